"""One step of the authors' algorithm in NumPy float64: forward passes, gradients and Adam written out by hand.

It shares nothing with the package but the names of the weights. Convolutions are sums over taps; every backward
pass is derived on paper. Layouts are channels last; kernels are (5, 5, in, out), where tap i of a transposed
convolution adds to output 2m + 3 - i (flax's convention, TensorFlow's kernel turned by 180 degrees).
"""

import numpy as np

EPSILON, DECAY, SLOPE = 1e-5, 0.9, 0.2


def conv(x, kernel):
    """SAME, stride 2: y[m] = sum_i x[2m - 1 + i] w[i]."""
    padded = np.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)))
    n = x.shape[1] // 2
    return sum(
        padded[:, i : i + 2 * n : 2, j : j + 2 * n : 2] @ kernel[i, j] for i in range(5) for j in range(5)
    )


def conv_back(x, kernel, dy):
    """Gradients of a loss with respect to x and the kernel."""
    padded = np.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)))
    dx, dk, n = np.zeros_like(padded), np.zeros_like(kernel), dy.shape[1]
    for i in range(5):
        for j in range(5):
            window = (slice(None), slice(i, i + 2 * n, 2), slice(j, j + 2 * n, 2))
            dk[i, j] = np.einsum("bxyc,bxyf->cf", padded[window], dy)
            dx[window] += dy @ kernel[i, j].T
    return dx[:, 1:-2, 1:-2], dk


def deconv(x, kernel):
    """SAME, stride 2: x[m] w[i] adds to y[2m + 3 - i]."""
    batch, n, _, _ = x.shape
    y = np.zeros((batch, 2 * n + 3, 2 * n + 3, kernel.shape[-1]))
    for i in range(5):
        for j in range(5):
            y[:, 4 - i : 4 - i + 2 * n : 2, 4 - j : 4 - j + 2 * n : 2] += x @ kernel[i, j]
    return y[:, 1:-2, 1:-2]


def deconv_back(x, kernel, dy):
    """Gradients of a loss with respect to x and the kernel."""
    padded = np.pad(dy, ((0, 0), (1, 2), (1, 2), (0, 0)))
    dx, dk, n = np.zeros_like(x), np.zeros_like(kernel), x.shape[1]
    for i in range(5):
        for j in range(5):
            part = padded[:, 4 - i : 4 - i + 2 * n : 2, 4 - j : 4 - j + 2 * n : 2]
            dk[i, j] = np.einsum("bxyc,bxyf->cf", x, part)
            dx += part @ kernel[i, j].T
    return dx, dk


def norm(x, weights, stats):
    """Batch normalisation by the batch's own moments; the running averages as they are after it."""
    axes = tuple(range(x.ndim - 1))
    mean, var = x.mean(axes), x.var(axes)
    hat = (x - mean) / np.sqrt(var + EPSILON)
    moved = {
        "mean": DECAY * stats["mean"] + (1 - DECAY) * mean,
        "var": DECAY * stats["var"] + (1 - DECAY) * var,
    }
    return hat * weights["scale"] + weights["bias"], (hat, var), moved


def norm_back(saved, weights, dy):
    """dx = (d - mean(d) - hat mean(d hat)) / sigma with d = dy * scale; gradients of scale and bias."""
    hat, var = saved
    axes = tuple(range(dy.ndim - 1))
    d = dy * weights["scale"]
    dx = (d - d.mean(axes) - hat * (d * hat).mean(axes)) / np.sqrt(var + EPSILON)
    return dx, {"scale": (dy * hat).sum(axes), "bias": dy.sum(axes)}


def generate(params, stats, z, layers):
    """Maps, what the backward pass needs, and the moved averages."""
    saved, moved = {"z": z}, {}
    flat = z @ params["dense"]["kernel"] + params["dense"]["bias"]
    features = params["bn0"]["scale"].size
    base = round((flat.shape[1] // features) ** 0.5)
    x = flat.reshape(-1, base, base, features)
    for n in range(layers):
        x, saved[f"bn{n}"], moved[f"bn{n}"] = norm(x, params[f"bn{n}"], stats[f"bn{n}"])
        saved[f"relu{n}"] = x > 0
        x = x * saved[f"relu{n}"]
        saved[f"in{n + 1}"] = x
        layer = params[f"deconv{n + 1}"]
        x = deconv(x, layer["kernel"]) + layer["bias"]
    saved["out"] = np.tanh(x)
    return saved["out"][..., 0], saved, moved


def generate_back(params, saved, dmaps, layers):
    """Gradients of all weights of the generator."""
    grads = {}
    d = dmaps[..., None] * (1 - saved["out"] ** 2)
    for n in range(layers, 0, -1):
        bias = d.sum((0, 1, 2))
        d, kernel = deconv_back(saved[f"in{n}"], params[f"deconv{n}"]["kernel"], d)
        grads[f"deconv{n}"] = {"kernel": kernel, "bias": bias}
        d = d * saved[f"relu{n - 1}"]
        d, grads[f"bn{n - 1}"] = norm_back(saved[f"bn{n - 1}"], params[f"bn{n - 1}"], d)
    d = d.reshape(len(d), -1)
    grads["dense"] = {"kernel": saved["z"].T @ d, "bias": d.sum(0)}
    return grads


def judge(params, stats, maps, layers):
    """Logits, what the backward pass needs, and the moved averages."""
    saved, moved, x = {}, {}, maps[..., None]
    for n in range(1, layers + 1):
        saved[f"in{n}"] = x
        x = conv(x, params[f"conv{n}"]["kernel"]) + params[f"conv{n}"]["bias"]
        if n > 1:
            x, saved[f"bn{n}"], moved[f"bn{n}"] = norm(x, params[f"bn{n}"], stats[f"bn{n}"])
        saved[f"slope{n}"] = np.where(x > 0, 1.0, SLOPE)
        x = x * saved[f"slope{n}"]
    saved["flat"] = x.reshape(len(x), -1)
    saved["shape"] = x.shape
    return (saved["flat"] @ params["dense"]["kernel"] + params["dense"]["bias"])[:, 0], saved, moved


def judge_back(params, saved, dlogits, layers):
    """Gradients of all weights of the discriminator, and of the maps."""
    d = dlogits[:, None]
    grads = {"dense": {"kernel": saved["flat"].T @ d, "bias": d.sum(0)}}
    d = (d @ params["dense"]["kernel"].T).reshape(saved["shape"])
    for n in range(layers, 0, -1):
        d = d * saved[f"slope{n}"]
        if n > 1:
            d, grads[f"bn{n}"] = norm_back(saved[f"bn{n}"], params[f"bn{n}"], d)
        bias = d.sum((0, 1, 2))
        d, kernel = conv_back(saved[f"in{n}"], params[f"conv{n}"]["kernel"], d)
        grads[f"conv{n}"] = {"kernel": kernel, "bias": bias}
    return grads, d[..., 0]


def cross_entropy(logits, target):
    """Mean of -t log p - (1 - t) log(1 - p), p = 1 / (1 + exp(-logit)); and its gradient."""
    p = 1 / (1 + np.exp(-logits))
    loss = -(target * np.log(p) + (1 - target) * np.log1p(-p)).mean()
    return loss, (p - target) / len(logits)


def step(gen, disc, real, z, flipped, layers):
    """Losses, gradients of both networks at the old weights, and their moved running averages.

    gen and disc are {"params": ..., "batch_stats": ...}; flipped is 0 or 1 for the whole batch, real and fake.
    """
    fake, gen_saved, gen_stats = generate(gen["params"], gen["batch_stats"], z, layers)
    real_logits, real_saved, stats = judge(disc["params"], disc["batch_stats"], real, layers)
    fake_logits, fake_saved, disc_stats = judge(disc["params"], stats | {}, fake, layers)
    real_loss, d_real = cross_entropy(real_logits, 1 - flipped)
    fake_loss, d_fake = cross_entropy(fake_logits, flipped)
    gen_loss, d_gen = cross_entropy(fake_logits, 1)
    by_real, _ = judge_back(disc["params"], real_saved, d_real, layers)
    by_fake, _ = judge_back(disc["params"], fake_saved, d_fake, layers)
    disc_grads = {
        layer: {name: by_real[layer][name] + by_fake[layer][name] for name in by_real[layer]}
        for layer in by_real
    }
    _, d_maps = judge_back(disc["params"], fake_saved, d_gen, layers)
    return {
        "disc_loss": real_loss + fake_loss,
        "gen_loss": gen_loss,
        "disc_grads": disc_grads,
        "gen_grads": generate_back(gen["params"], gen_saved, d_maps, layers),
        "disc_stats": disc_stats,
        "gen_stats": gen_stats,
    }


def adam(param, grad, m, v, count, rate, beta1, beta2=0.999, epsilon=1e-8):
    """Kingma and Ba, Algorithm 1: the updated parameter and moments; count is 1 in the first step."""
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    change = (m / (1 - beta1**count)) / (np.sqrt(v / (1 - beta2**count)) + epsilon)
    return param - rate * change, m, v
