"""A kind of emulator in some thirty lines with nothing of the DCGAN: an affine map of a coloured field."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cosmogan_jax.emulators.curves import Curve, Panel
from cosmogan_jax.emulators.early_warnings import NO_VARIANCE
from cosmogan_jax.emulators.interface import Engine, Kind
from cosmogan_jax.settings.declaration import setting


@dataclasses.dataclass(frozen=True)
class ToySettings:
    toy_slope: float = setting(1.0, "Of the toy's coloured noise: amplitudes fall as k^-slope.", least=0.0)


@dataclasses.dataclass(frozen=True)
class Toy:
    """x = shift + scale * field; the latent is white noise of any size, the variables are a tuple in a dict."""

    slope: float
    limit: ClassVar[float | None] = None
    upsamplings: ClassVar[int] = 0
    any_size: ClassVar[bool] = True
    full_precision: ClassVar[tuple[str, ...]] = ()

    def init(self, key):
        return {"affine": (jnp.zeros((), jnp.float32), jnp.float32(0.3))}

    def latent(self, key, height, width=None):
        if width not in (None, height):
            raise ValueError(f"size={height}x{width}: a toy makes square maps only")
        return {"white": jax.random.normal(key, (height, height), jnp.float32)}

    def widest_margin(self, height, width):
        return 0

    def sample(self, variables, latent, theta, margin=0):
        assert margin == 0
        size = latent["white"].shape[-1]
        k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)) * size
        colour = np.where(k > 0, np.maximum(k, 1.0) ** -self.slope, 0.0)
        colour = (colour * size / np.sqrt(_full(colour, size))).astype(np.float32)
        field = jnp.fft.irfft2(jnp.fft.rfft2(latent["white"]) * colour, (size, size))
        shift, scale = variables["affine"]
        return (shift + scale * field + theta.sum(1)[:, None, None])[..., None]

    def left_out(self, variables):
        return {}

    def describe(self):
        return {"kind": "toy", "slope": self.slope}


def _full(colour, size):
    """Sum of squares over the whole plane of modes."""
    weights = np.full(colour.shape, 2.0)
    weights[:, 0] = weights[:, -1] = 1.0
    return (weights * colour**2).sum()


class State(NamedTuple):
    step: Any
    key: Any
    affine: Any
    opt_state: Any
    average: Any


def make_engine(model, settings, batch_sharding):
    optimizer = optax.adam(settings.learning_rate)

    def init(key):
        affine = model.init(key)
        return State(
            jnp.zeros((), jnp.int32), key, affine, optimizer.init(affine), jax.tree.map(jnp.copy, affine)
        )

    def step(state, batch):
        keys = jax.random.split(jax.random.fold_in(state.key, state.step), len(batch.kappa))
        latent = jax.vmap(lambda key: model.latent(key, batch.kappa.shape[1]))(keys)

        def mismatch(affine):
            made = model.sample(affine, latent, batch.theta)
            return (made.mean() - batch.kappa.mean()) ** 2 + (made.std() - batch.kappa.std()) ** 2

        value, slope = jax.value_and_grad(mismatch)(state.affine)
        change, opt_state = optimizer.update(slope, state.opt_state)
        affine = optax.apply_updates(state.affine, change)
        decay = settings.ema_decay
        average = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.average, affine)
        return State(state.step + 1, state.key, affine, opt_state, average), {"mismatch": value}

    def variables(state, weights):
        return state.affine if weights == "last" else state.average

    curves = (Panel("Matching", "squared difference", "log", (Curve("mismatch", "moments", True, "m"),)),)
    return Engine(init, step, variables, curves, (NO_VARIANCE,), None, "a toy looks at no features")


def model_of(said, forward_mode):
    if said.keys() != {"kind", "slope"}:
        raise ValueError(f"architecture: {dict(said)} is not a toy's")
    return Toy(said["slope"])


TOY = Kind(lambda settings: Toy(settings.of_kind.toy_slope), make_engine, model_of)
