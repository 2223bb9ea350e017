"""How far bfloat16's gradients and losses are from float32's, at the states of a float32 training.

    python experiments/benchmarks/precision.py --size 64 --filters 16 --batch 32

A float32 training on skewed maps. From its states after the steps of --at, one step in float32 and one in every
other compute dtype, of the same batch and z: |g - g32| / |g32| of the gradients, over a whole network and for
every tensor (a bias that feeds a batch norm has no true gradient and is left out of the list). Then each dtype
trains as many steps from the start, and the means of both losses are compared. One JSON line.

XLA may drop a rounding to bfloat16 between two operations that it fuses;
XLA_FLAGS=--xla_allow_excess_precision=false has it keep all of them.
"""

import argparse
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cosmogan_jax.emulators.dcgan.architecture import COMPUTE_DTYPES, Architecture
from cosmogan_jax.emulators.dcgan.networks import build_networks
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step

BATCHES = 16
NORMED = {"gen": ("deconv1", "deconv2", "deconv3"), "disc": ("conv2", "conv3", "conv4")}


def skewed_maps(count: int, size: int, seed: int) -> np.ndarray:
    """Lognormal maps with power falling as ell^-2, of mean 0 and standard deviation 0.15, in float32."""
    rng = np.random.default_rng(seed)
    ell = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    ell[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(count, size, size))) / ell, s=(size, size))
    kappa = np.exp(0.7 * field / field.std())
    return (0.15 * (kappa - kappa.mean()) / kappa.std()).astype(np.float32)


def keeping_gradients(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """The optimizer, with the gradients that it was given last beside its state."""

    def update(grads, state, params):
        updates, inner = optimizer.update(grads, state[0], params)
        return updates, (inner, grads)

    return optax.GradientTransformation(lambda params: (optimizer.init(params), params), update)


def gradient_errors(found, exact):
    """Norm-relative errors of both networks and of their tensors, from the states after a step of each."""
    errors = {}
    for network in ("gen", "disc"):
        ours, theirs = (getattr(state, network).opt_state[1] for state in (found, exact))
        errors[network] = optax.tree.norm(jax.tree.map(jnp.subtract, ours, theirs)) / optax.tree.norm(theirs)
        for layer, tensors in theirs.items():
            for tensor, g in tensors.items():
                if not (tensor == "bias" and layer in NORMED[network]):
                    error = jnp.linalg.norm(ours[layer][tensor] - g) / jnp.linalg.norm(g)
                    errors[f"{network}/{layer}/{tensor}"] = error
    return {name: float(f"{error:.3g}") for name, error in errors.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 64), ("filters", 16), ("batch", 32), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--at", type=int, nargs="+", default=[0, 50, 200])
    args = parser.parse_args()
    maps = skewed_maps(BATCHES * args.batch, args.size, args.seed).reshape(BATCHES, -1, args.size, args.size)
    optimizer = keeping_gradients(adam(2e-4, 0.5))
    networks = {
        dtype: build_networks(Architecture(args.size, 4, args.filters, 64, compute_dtype=dtype))
        for dtype in COMPUTE_DTYPES
    }
    steps = {
        dtype: jax.jit(make_train_step(nets, optimizer, StepSettings(0.01))) for dtype, nets in networks.items()
    }
    errors, means = {dtype: {} for dtype in COMPUTE_DTYPES if dtype != "float32"}, {}
    for dtype, step in steps.items():
        state, losses = init_state(networks[dtype], optimizer, jax.random.key(args.seed)), []
        for number in range(max(args.at) + 1):
            batch = maps[number % BATCHES]
            after, metrics = step(state, batch)
            if dtype == "float32" and number in args.at:
                for other, found in errors.items():
                    found[str(number)] = gradient_errors(steps[other](state, batch)[0], after)
            losses.append([float(metrics["disc_loss"]), float(metrics["gen_loss"])])
            state = after
        means[dtype] = np.mean(losses[: max(args.at)], axis=0)
    result = {
        **vars(args),
        "device": jax.devices()[0].device_kind,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "gradient_error": errors,
        "mean_disc_and_gen_loss": {dtype: mean.round(4).tolist() for dtype, mean in means.items()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
