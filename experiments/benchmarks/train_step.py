"""Time of a train step: these networks in JAX against the same in PyTorch channels_last, on the same device.

    python experiments/benchmarks/train_step.py --size 64 --filters 16 --batch 32 --repeats 20

Interleaved (one dispatch of each in turn), medians. Beside the times: the step's operations a second
(those of its convolutions and dense layers, see `operations`) and their share of what large matrices' products
reach, measured in the same rounds and dtype. Needs the extra `benchmark` (torch), or --no_torch.
On an accelerator --steps_per_dispatch 16 measures what stage train does there.
"""

import argparse
import json
import os
import statistics
import time


def operations(size, filters, batch):
    """Floating-point operations of a joint step; a multiplication and an addition are two.

    A layer's products are needed once forward, once for its kernel's gradient and once for its input's:
    G has 3. D has 2 forward (real, fake), 4 for J(D)'s gradients, and 1 for J(G)'s on their way through D: 7.
    Not needed, and not counted: gradients with respect to real maps, to z, and of J(D) to fake maps.
    """
    base = size // 16
    products = {}
    # A tap of a 5x5 stride-2 convolution meets each pixel of its smaller side once.
    convolutions = [
        25 * (base * 2**n) ** 2 * (8 * filters // 2**n) * (4 * filters // 2**n if n < 3 else 1)
        for n in range(4)
    ]
    dense = base**2 * 8 * filters
    products["gen"] = 3 * (sum(convolutions) + 64 * dense) - 64 * dense
    products["disc"] = 7 * (sum(convolutions) + dense) - 2 * convolutions[3]
    return 2 * batch * sum(products.values())


def jax_stepper(size, filters, batch, steps, **how):
    import jax

    from cosmogan_jax.emulators.dcgan.architecture import Architecture
    from cosmogan_jax.emulators.dcgan.networks import build_networks
    from cosmogan_jax.emulators.dcgan.state import adam, init_state
    from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
    from cosmogan_jax.emulators.dcgan.train_step import make_train_step
    from cosmogan_jax.stages.train.dispatch import scan_steps

    networks, optimizer = build_networks(Architecture(size, 4, filters, 64, **how)), adam(2e-4, 0.5)
    step = make_train_step(networks, optimizer, StepSettings(0.01))
    dispatch = scan_steps(lambda state, held, batch: step(state, batch))
    dispatch = jax.jit(dispatch, donate_argnums=0)
    held = [init_state(networks, optimizer, jax.random.key(0))]
    real = 0.1 * jax.random.normal(jax.random.key(1), (batch, size, size))

    def run():
        held[0], _ = dispatch(held[0], (), (real,) * steps)
        jax.block_until_ready(held[0])

    return run


def torch_stepper(size, filters, batch):
    import torch
    from torch import nn

    base = size // 16

    def norm(n):
        return nn.BatchNorm2d(n, eps=1e-5, momentum=0.1)

    layers = [
        nn.Linear(64, base * base * 8 * filters),
        nn.Unflatten(1, (8 * filters, base, base)),
        norm(8 * filters),
        nn.ReLU(),
    ]
    for n in (4, 2, 1):
        layers += [
            nn.ConvTranspose2d(2 * n * filters, n * filters, 5, 2, 2, output_padding=1),
            norm(n * filters),
            nn.ReLU(),
        ]
    gen = nn.Sequential(*layers, nn.ConvTranspose2d(filters, 1, 5, 2, 2, output_padding=1), nn.Tanh())
    layers = [nn.Conv2d(1, filters, 5, 2, 2), nn.LeakyReLU(0.2)]
    for n in (1, 2, 4):
        layers += [
            nn.Conv2d(n * filters, 2 * n * filters, 5, 2, 2),
            norm(2 * n * filters),
            nn.LeakyReLU(0.2),
        ]
    disc = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * filters * base * base, 1))
    gen, disc = (net.to(memory_format=torch.channels_last) for net in (gen, disc))
    adams = [torch.optim.Adam(net.parameters(), 2e-4, betas=(0.5, 0.999)) for net in (gen, disc)]
    loss = nn.BCEWithLogitsLoss()
    real = (0.1 * torch.randn(batch, 1, size, size)).to(memory_format=torch.channels_last)
    ones, zeros = torch.ones(batch, 1), torch.zeros(batch, 1)

    def run():
        # Both gradients at the old parameters from one pass of D over the fakes, as in the joint order.
        fake = gen(torch.randn(batch, 64))
        fake_logits = disc(fake)
        gen_grads = torch.autograd.grad(loss(fake_logits, ones), list(gen.parameters()), retain_graph=True)
        disc_loss = loss(disc(real), ones) + loss(fake_logits, zeros)
        disc_grads = torch.autograd.grad(disc_loss, list(disc.parameters()))
        for net, grads, adam in zip((gen, disc), (gen_grads, disc_grads), adams):
            for parameter, grad in zip(net.parameters(), grads):
                parameter.grad = grad
            adam.step()

    return run


def matrix_products(side, dtype, precision):
    """A chain of products of square matrices, and its operations."""
    import jax
    import jax.numpy as jnp

    chain = 4
    x = (jax.random.normal(jax.random.key(0), (side, side)) / side**0.5).astype(dtype)

    @jax.jit
    def multiply(x):
        with jax.default_matmul_precision(precision):
            for _ in range(chain):
                x = jnp.matmul(x, x)
        return x

    return lambda: jax.block_until_ready(multiply(x)), chain * 2 * side**3


def _ratio(times, one, other):
    return round(statistics.median(a / b for a, b in zip(times[one], times[other], strict=True)), 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 64), ("filters", 16), ("batch", 32), ("repeats", 20), ("matrix_side", 2048)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--steps_per_dispatch", type=int, default=1)
    parser.add_argument("--compute_dtype", default="float32")
    parser.add_argument("--matmul_precision", default="float32")
    parser.add_argument("--stock", action="store_true", help="measure the slow stock form too")
    parser.add_argument("--no_torch", action="store_true", help="leave PyTorch out")
    args = parser.parse_args()
    shape, steps = (args.size, args.filters, args.batch), args.steps_per_dispatch
    how = {"compute_dtype": args.compute_dtype, "matmul_precision": args.matmul_precision}
    dtype = "bfloat16" if args.compute_dtype == "bfloat16" else "float32"
    multiply, multiply_operations = matrix_products(args.matrix_side, dtype, args.matmul_precision)
    forms = ("phases", "winograd", *(["stock"] if args.stock else []))
    steppers = {f"jax {form}": jax_stepper(*shape, steps, convolution_form=form, **how) for form in forms}
    steppers["matrix products"] = multiply
    if not args.no_torch:
        steppers["torch channels_last"] = torch_stepper(*shape)
    times = {name: [] for name in steppers}
    for repeat in range(args.repeats + 2):
        for name, run in steppers.items():
            began = time.perf_counter()
            run()
            if repeat >= 2:
                times[name].append(1e3 * (time.perf_counter() - began) / (steps if "jax" in name else 1))
    medians = {name: statistics.median(values) for name, values in times.items()}
    model = operations(*shape)
    reached = {name: model / (1e6 * ms) for name, ms in medians.items() if name != "matrix products"}
    peak = multiply_operations / (1e6 * medians["matrix products"])

    import jax

    result = {
        **vars(args),
        "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "median_ms": {name: round(ms, 2) for name, ms in medians.items()},
        "gflop_a_step": round(model / 1e9, 2),
        "gflop_s": {name: round(value, 1) for name, value in reached.items()}
        | {"matrix products": round(peak, 1)},
        "share_of_matrix_products": {name: round(value / peak, 3) for name, value in reached.items()},
    }
    # Medians of ratios within a round: what slows a machine down slows both.
    result["winograd_to_phases"] = _ratio(times, "jax winograd", "jax phases")
    if not args.no_torch:
        result["jax_to_torch"] = {f: _ratio(times, f"jax {f}", "torch channels_last") for f in forms}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
