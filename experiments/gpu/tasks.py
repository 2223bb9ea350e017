"""The short measurements: card, train step, convolutions, maps and statistics, what must be equal to a CPU's.

    python experiments/gpu/tasks.py step --out=/tmp/gpu

Inputs are random and fresh at every repeat; times are of the device, after a call that compiles.
"""

import functools
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from telling import Size, Teller, arguments, milliseconds

from cosmogan_jax import keys
from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.networks import build_networks
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.layers import convolutions
from cosmogan_jax.stages.train.dispatch import scan_steps
from cosmogan_jax.summaries import PAPER_L_EDGES, PAPER_THRESHOLDS, minkowski_functionals, power_spectrum

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from train_step import operations

SIDE_DEG = 12**0.5 / 4  # of the paper's crops
# Bytes that a step must move in bfloat16, for each filter and pixel of a batch: 14 GB at the paper's size
# (experiments/gpu/README.md).
FLOOR_BYTES = 14e9 / (64 * 256**2 * 64)


def card(tell: Teller, size: Size, seconds: float) -> None:
    """Which card, which versions."""
    import flax
    import jaxlib

    said = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,memory.total,driver_version,clocks.max.sm", "--format=csv,noheader"],
        capture_output=True, text=True,
    ).stdout.strip() if shutil.which("nvidia-smi") else ""  # fmt: skip
    tell(
        "card", device=jax.devices()[0].device_kind, number=jax.device_count(), driver=said,
        python=platform.python_version(), jax=jax.__version__, jaxlib=jaxlib.__version__, flax=flax.__version__,
    )  # fmt: skip
    n = 16 * size.map_size
    for name, dtype in (("float32", jnp.float32), ("bfloat16", jnp.bfloat16)):
        one, two = (jax.random.normal(jax.random.key(i), (n, n), jnp.float32).astype(dtype) for i in (0, 1))
        timed = milliseconds(lambda i, a=one, b=two: _product(a, b), size.repeats)
        tell(
            f"product of {n}^2 matrices, {name}",
            TFLOP_a_second=round(2e-9 * n**3 / timed["median_ms"], 2),
            **timed,
        )
    large = jax.random.normal(jax.random.key(2), (n, n))
    timed = milliseconds(lambda i: _add(large, float(i)), size.repeats)
    tell(f"sum of {n}^2 numbers and one", GB_a_second=round(8e-6 * n**2 / timed["median_ms"], 1), **timed)


_product = jax.jit(jnp.matmul)


@jax.jit
def _add(large, number):
    return large + number


def step(tell: Teller, size: Size, seconds: float) -> None:
    """The train step in every precision, 1 and 16 steps a dispatch; goal 9 ms."""
    needed = operations(size.map_size, size.filters, size.batch)
    moved = FLOOR_BYTES * size.filters * size.batch * size.map_size**2
    for dtype, precision, steps in (
        ("bfloat16", "default", 16),
        ("float32", "tensorfloat32", 16),
        ("float32", "float32", 16),
        ("bfloat16_gradients", "tensorfloat32", 16),
        ("float32", "tensorfloat32", 1),
        ("bfloat16", "default", 1),
        ("float32", "float32", 1),
    )[: size.variants]:
        how = {"compute_dtype": dtype, "matmul_precision": precision}
        networks = build_networks(Architecture(size.map_size, 4, size.filters, 64, **how))
        optimizer = adam(2e-4, 0.5)
        one = make_train_step(networks, optimizer, StepSettings(0.01))
        dispatch = jax.jit(scan_steps(lambda state, held, batch, one=one: one(state, batch)), donate_argnums=0)
        held = [jax.jit(functools.partial(init_state, networks, optimizer))(jax.random.key(0))]

        shape = (size.batch, size.map_size, size.map_size)
        reals = [tuple(_noise(steps * i + n, shape) for n in range(steps)) for i in (0, 1)]

        def run(number, held=held, dispatch=dispatch, reals=reals):
            held[0], metrics = dispatch(held[0], (), reals[number % 2])
            return metrics

        began = time.monotonic()
        jax.block_until_ready(run(0))
        compiling = time.monotonic() - began
        timed = {k: v / steps if k.endswith("_ms") else v for k, v in milliseconds(run, size.repeats).items()}
        tell(
            f"train step, {dtype}, {precision}, {steps} a dispatch",
            TFLOP_a_second=float(f"{1e-9 * needed / timed['median_ms']:.3g}"),
            GB_a_second_at_least=float(f"{1e-6 * moved / timed['median_ms']:.3g}"),
            compiling_s=round(compiling, 1),
            finite=bool(jnp.isfinite(held[0].gen.params["dense"]["kernel"]).all()),
            **timed,
        )  # fmt: skip


@functools.partial(jax.jit, static_argnums=1)
def _noise(number, shape):
    return 0.1 * jax.random.normal(jax.random.fold_in(jax.random.key(5), number), shape)


def _layers(size: Size):
    """(name, maps of the smaller side, channels there, channels of the larger side), widest first."""
    base = size.map_size // 16
    for n in range(4):
        small, large = 8 * size.filters // 2**n, 4 * size.filters // 2**n if n < 3 else 1
        yield f"{base * 2**n}^2 x {small} to {base * 2 ** (n + 1)}^2 x {large}", base * 2**n, small, large


def convolutions_of_all_layers(tell: Teller, size: Size, seconds: float) -> None:
    """Transposed and strided ones of every layer in each form, with errors against float64 on the CPU."""
    forms = {
        "input gradient": convolutions.by_input_gradient,
        "phases": convolutions.by_phases,
        "stock": functools.partial(convolutions.transposed_convolution, form="stock"),
    }
    precisions = (("default", jnp.bfloat16), ("tensorfloat32", jnp.float32), ("float32", jnp.float32))
    for precision, dtype in precisions[: size.variants]:
        for name, pixels, small, large in _layers(size):
            kernel = 0.02 * jax.random.normal(jax.random.key(1), (5, 5, small, large))
            about = f"{name}, {jnp.dtype(dtype).name}, {precision}"
            with jax.default_matmul_precision(precision):
                for form, function in forms.items():
                    shape = (size.batch, pixels, pixels, small)
                    timed, error = _timed_and_compared(function, shape, kernel, dtype, size.repeats)
                    tell(f"transposed, {about}, {form}", error=error, **timed)
                shape = (size.batch, 2 * pixels, 2 * pixels, large)
                timed, error = _timed_and_compared(
                    convolutions.strided_convolution, shape, kernel.swapaxes(2, 3), dtype, size.repeats
                )
                tell(f"strided, {about}", error=error, **timed)


def _timed_and_compared(function, shape, kernel, dtype, repeats):
    compiled = jax.jit(lambda x, k: function(x.astype(dtype), k.astype(dtype)))
    timed = milliseconds(lambda i: compiled(_noise(i, shape), kernel), repeats)
    few = _noise(0, shape)[:1]
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        exact = np.asarray(jax.jit(function)(np.asarray(few, np.float64), np.asarray(kernel, np.float64)))
    found = np.asarray(compiled(few, kernel), np.float64)
    return timed, float(f"{np.abs(found - exact).max() / np.abs(exact).max():.2g}")


def maps(tell: Teller, size: Size, seconds: float) -> None:
    """Maps generated (goal 20 ms for 1024) and summarised (goal 60 ms for 6400); float32 against float64."""
    precisions = (("bfloat16", "default"), ("float32", "tensorfloat32"), ("float32", "float32"))
    for dtype, precision in precisions[: size.variants]:
        networks = build_networks(
            Architecture(size.map_size, 4, size.filters, 64, compute_dtype=dtype, matmul_precision=precision)
        )
        params, stats = jax.jit(networks.gen.init)(jax.random.key(0))

        @jax.jit
        def generate(z, networks=networks, params=params, stats=stats):
            # A batch at a time, as stage generate does; all results stay on the device.
            def batch(of_batch):
                return networks.gen.apply(params, stats, of_batch, train=False)[0]

            return jax.lax.map(batch, z.reshape(-1, min(256, size.generated), 64))

        timed = milliseconds(
            lambda i, generate=generate: generate(_noise(i, (size.generated, 64))), size.repeats
        )
        tell(f"{size.generated} maps generated, {dtype}, {precision}", **timed)
    shape = (size.summarised, size.map_size, size.map_size)
    parts = max(1, size.summarised // 1600)

    @jax.jit
    def summarise(kappa):
        def part(of):
            return power_spectrum(of, PAPER_L_EDGES, SIDE_DEG), minkowski_functionals(of, PAPER_THRESHOLDS)

        return jax.lax.map(part, kappa.reshape(parts, -1, *kappa.shape[1:]))

    kappa = [jax.block_until_ready(_noise(i, shape)) for i in range(2)]
    tell(f"{size.summarised} maps summarised", **milliseconds(lambda i: summarise(kappa[i % 2]), size.repeats))
    again = [jax.tree.leaves(summarise(kappa[0])) for _ in range(2)]
    tell("summarised twice", equal_bits=all(bool((a == b).all()) for a, b in zip(*again)))
    few = np.asarray(kappa[0][: size.compared])
    found = jax.tree.leaves((
        power_spectrum(few, PAPER_L_EDGES, SIDE_DEG), minkowski_functionals(few, PAPER_THRESHOLDS),
    ))  # fmt: skip
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        exact = jax.tree.leaves((
            power_spectrum(few.astype(np.float64), PAPER_L_EDGES, SIDE_DEG),
            minkowski_functionals(few.astype(np.float64), PAPER_THRESHOLDS),
        ))  # fmt: skip
    for name, one, other in zip(("power spectrum", "V0", "V1", "V2"), found, exact):
        off = np.abs(np.asarray(one, np.float64) - np.asarray(other)).max() / np.abs(np.asarray(other)).max()
        tell(f"{name}, float32 against float64 of the CPU, of its largest", error=float(f"{off:.2g}"))


def equality(tell: Teller, size: Size, seconds: float) -> None:
    """What does not depend on a device, or only by rounding: draws, a step, gradients of the convolutions."""
    here, cpu = jax.devices()[0], jax.devices("cpu")[0]
    draws = []
    for device in (here, cpu):
        with jax.default_device(device):
            key = keys.key(3, "latents")
            draws.append([np.asarray(jax.random.bits(jax.random.fold_in(key, n), (64,))) for n in range(4)])
    tell("bits drawn", equal=all((a == b).all() for a, b in zip(*draws)))
    networks, optimizer = build_networks(Architecture(32, 4, 8, 16)), adam(2e-4, 0.5)
    one = make_train_step(networks, optimizer, StepSettings(0.01))
    states = []
    for device in (here, cpu):
        with jax.default_device(device):
            state = jax.jit(functools.partial(init_state, networks, optimizer))(jax.random.key(0))
            state, metrics = jax.jit(one)(state, jax.device_put(np.asarray(_noise(1, (8, 32, 32))), device))
            states.append({name: float(value) for name, value in metrics.items()})
    tell("metrics of a step, device and CPU", **{n: [states[0][n], states[1][n]] for n in states[0]})
    for name, pixels, small, large in _layers(size._replace(map_size=64, filters=8)):
        x = np.asarray(_noise(2, (4, pixels, pixels, small)))
        kernel = 0.02 * np.asarray(_noise(3, (5, 5, small, large)))
        found = []
        for device in (here, cpu):
            with jax.default_device(device), jax.default_matmul_precision("float32"):

                @jax.jit
                def both(x, kernel):
                    y, back = jax.vjp(convolutions.transposed_convolution, x, kernel)
                    return y, *back(jnp.cos(y))

                found.append([np.asarray(leaf, np.float64) for leaf in both(x, kernel)])
        off = [float(f"{np.abs(a - b).max() / np.abs(b).max():.2g}") for a, b in zip(*found)]
        tell(f"transposed, {name}, device against CPU", maps=off[0], by_maps=off[1], by_kernel=off[2])


TASKS = {
    "card": card, "step": step, "convolutions": convolutions_of_all_layers, "maps": maps, "equality": equality,
}  # fmt: skip

if __name__ == "__main__":
    task, args, size = arguments(TASKS)
    task(Teller(args.out, args.task), size, args.seconds)
    sys.exit(0)
