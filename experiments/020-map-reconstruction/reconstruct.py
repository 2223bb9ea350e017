"""Reconstruct masked, noisy maps of unseen boxes by ascent of the posterior, beside the Wiener filter.

python experiments/020-map-reconstruction/reconstruct.py --emulator=<name or folder> --workdir=<run directory>

The maps are the first crop of each of ten validation boxes of the run directory (stages simulate and prepare),
with shape noise, and with discs cut out of them. README.md says what --average and --free are for.
"""

import argparse
import functools
import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cosmogan_jax import keys
from cosmogan_jax.emulators.posterior import log_likelihood, log_prior
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.pretrained import load
from cosmogan_jax.summaries.observer import add_shape_noise, shape_noise_sigma

OBSERVED_SHARE, HOLES = 0.8, (3.0, 6.0)  # of the pixels; the discs' radii in pixels


def masks(rng, shape):
    """True where observed: discs are cut out until a fifth of the pixels is gone."""
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    mask = np.ones(shape, bool)
    for one in mask:
        while one.mean() > OBSERVED_SHARE:
            row, column = rng.uniform(0, shape[1:])
            one &= np.hypot(rows - row, columns - column) > rng.uniform(*HOLES)
    return mask


def correlation(maps, mean):
    """Mean product of two pixels of a map, by their distance in rows and columns, modulo twice the side."""
    size = maps.shape[-1]
    double = (2 * size, 2 * size)
    sums = sum((np.abs(np.fft.rfft2(m - mean, s=double)) ** 2).sum(0) for m in np.array_split(maps, 32))
    pairs = np.rint(np.fft.irfft2(np.abs(np.fft.rfft2(np.ones((size, size)), s=double)) ** 2, s=double))
    xi = np.fft.irfft2(sums / len(maps), s=double) / np.maximum(pairs, 1)
    xi = (xi + np.roll(xi[::-1], 1, 0)) / 2
    return (xi + xi.T) / 2


def wiener(observed, mask, sigma, xi, mean):
    """mean + C (C + N)^-1 (d - mean), with C between all pixels and those observed; exact."""
    size = observed.shape[-1]
    row, column = np.divmod(np.arange(size**2), size)
    covariance = xi[row[:, None] - row, column[:, None] - column]
    seen = mask.ravel()
    noisy = covariance[np.ix_(seen, seen)] + sigma**2 * np.eye(seen.sum())
    return mean + (covariance[:, seen] @ np.linalg.solve(noisy, observed[mask] - mean)).reshape(size, size)


def wiener_width(xi, sigma, canvas):
    """What is left of a mode's standard deviation, 1 / sqrt(1 + share P / sigma^2), on the latent's canvas."""
    size = len(xi) // 2
    lag = np.minimum(np.arange(canvas), canvas - np.arange(canvas))
    known = lag < size
    at = np.minimum(lag, size - 1)
    on_canvas = np.where(np.outer(known, known), xi[np.ix_(at, at)], 0)
    power = np.maximum(np.fft.rfft2(on_canvas).real, 0)
    return np.float32(1 / np.sqrt(1 + OBSERVED_SHARE * power / sigma**2))


def around(emulator, centre, key, width, average):
    """The centre, or two latents on opposite sides of it, as far away as the posterior is wide."""
    if not average:
        return [centre]
    white = emulator.latents(key, jnp.arange(len(centre.field)))
    off = white._replace(field=jnp.fft.irfft2(jnp.fft.rfft2(white.field) * width, s=white.field.shape[-2:]))
    return [jax.tree.map(jnp.add, centre, off), jax.tree.map(jnp.subtract, centre, off)]


def reconstruct(emulator, observed, mask, sigma, width, settings):
    """Maps kappa(z) at the maximum, or their mean over the posterior's width about it; yields (step, maps)."""
    root = emulator.key(settings.seed)
    centre = jax.tree.map(jnp.zeros_like, emulator.latents(root, jnp.arange(len(observed))))
    free = jax.tree.map(lambda leaf: float(settings.free == "all"), centre)._replace(field=1.0)
    # Cosine to 0; the second moment forgets fast, because the first steps' gradients are the largest.
    optimiser = optax.adam(optax.cosine_decay_schedule(settings.rate, settings.steps), b2=0.99)

    def loss(centre, key):
        some = around(emulator, centre, key, width, settings.average)
        likelihood = sum(log_likelihood(emulator, z, observed, sigma, mask) for z in some) / len(some)
        return -(likelihood + log_prior(centre)).sum()

    @jax.jit
    def step(centre, moments, key):
        gradient = jax.tree.map(jnp.multiply, free, jax.grad(loss)(centre, key))
        change, moments = optimiser.update(gradient, moments)
        return optax.apply_updates(centre, change), moments

    @jax.jit
    def maps(centre, key):
        some = around(emulator, centre, key, width, settings.average)
        return sum(emulator.kappa(z) for z in some) / len(some)

    moments = optimiser.init(centre)
    for n in range(1, settings.steps + 1):
        centre, moments = step(centre, moments, jax.random.fold_in(root, n))
        if n % 50 == 0 or n == settings.steps:
            draws = 1 if not settings.average else settings.draws if n == settings.steps else 8
            other = [jax.random.fold_in(root, 2**20 + d) for d in range(draws)]
            yield n, np.mean([np.asarray(maps(centre, key)) for key in other], 0)


def rms(difference, mask=None):
    """Of each map, over the pixels of a mask."""
    mask = np.ones(difference.shape, bool) if mask is None else mask
    return np.sqrt((difference**2 * mask).sum((1, 2)) / mask.sum((1, 2)))


def draw(path, columns, mask, sigma, count=3):
    """Maps side by side, a row each."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    figure, axes = plt.subplots(count, len(columns), figsize=(2.1 * len(columns), 2.15 * count), squeeze=False)
    for row in range(count):
        for axis, (name, maps) in zip(axes[row], columns.items()):
            limit = 2.5 * sigma if name == "observed" else 0.03
            shown = np.where(mask[row], maps[row], np.nan) if name == "observed" else maps[row]
            axis.imshow(shown, vmin=-limit, vmax=limit, origin="lower", cmap="RdBu_r", interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(f"{name} (±{limit:.2f})", fontsize=9)
    figure.tight_layout(pad=0.4)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90)
    # Maps are colours of one table: 256 of them show all there is, in a quarter of the bytes.
    Image.open(buffer).convert("RGB").quantize(256).save(path, optimize=True)


def main() -> None:
    """Print rms errors, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulator", required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--maps", type=int, default=10)
    parser.add_argument("--galaxies_per_arcmin2", type=float, default=30.0)
    parser.add_argument("--sigma_e", type=float, default=0.26)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rate", type=float, default=0.03)
    parser.add_argument("--draws", type=int, default=64, help="pairs of latents in the last mean")
    parser.add_argument("--average", type=int, default=1, choices=(0, 1))
    parser.add_argument("--free", choices=("field", "all"), default="field")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path)
    settings = parser.parse_args()

    emulator = load(settings.emulator)
    table = open_crop_table(settings.workdir / "prepare")
    crops = table.choose("validation")
    _, first_of_box = np.unique(np.array(table.manifest.boxes)[crops[:, 0]], return_index=True)
    truth = table.cut(crops[first_of_box[: settings.maps]])[..., 0]
    training = table.cut(table.choose("train", 3072))[..., 0].astype(float)

    survey = {"sigma_e_per_component": settings.sigma_e, "galaxies_per_arcmin2": settings.galaxies_per_arcmin2}
    sigma = shape_noise_sigma(emulator.geometry, **survey)
    mask = masks(np.random.default_rng(settings.seed), truth.shape)
    key = keys.key(settings.seed, "shape noise")
    observed = np.asarray(add_shape_noise(key, truth, jnp.arange(len(truth)), emulator.geometry, **survey))

    xi = correlation(training, training.mean())
    filtered = np.stack([wiener(d, m, sigma, xi, training.mean()) for d, m in zip(observed, mask)])
    width = wiener_width(xi, sigma, emulator.latents(key, jnp.arange(1)).field.shape[-1])
    say = functools.partial(print, flush=True)
    say(f"sigma of the noise {sigma:.4f}, of the maps {truth.std():.4f}; {1 - mask.mean():.2f} masked")

    def line(name, maps):
        parts = ((None, "all pixels"), (mask, "observed"), (~mask, "holes"))
        ratios = {said: rms(maps - truth, part) / rms(filtered - truth, part) for part, said in parts}
        ratio = ratios["all pixels"]
        error = ratio.std(ddof=1) / np.sqrt(len(ratio))
        regions = ", ".join(f"{said} {values.mean():.4f}" for said, values in ratios.items())
        say(
            f"{name}: rms {rms(maps - truth).mean():.5f}, bias {(maps - truth).mean():+.5f}, over Wiener's: "
            f"{regions} (error {error:.4f}), nearer on {(ratio < 1).sum()} of {len(ratio)}"
        )

    line("mean of the training maps", np.full_like(truth, training.mean()))
    line("Wiener filter", filtered)
    for step, maps in reconstruct(emulator, observed, mask, sigma, width, settings):
        line(f"step {step}", maps)
    if settings.figure:
        draw(
            settings.figure,
            {"truth": truth, "observed": observed, "Wiener filter": filtered, "posterior": maps},
            mask,
            sigma,
        )


if __name__ == "__main__":
    main()
