"""How a DCGAN is trained, as `interface.Engine`."""

import jax
from jaxtyping import Array, Float

from cosmogan_jax import keys
from cosmogan_jax.emulators.dcgan.averaging import with_own_statistics
from cosmogan_jax.emulators.dcgan.curves import shown
from cosmogan_jax.emulators.dcgan.model import Dcgan, make_model, model_of
from cosmogan_jax.emulators.dcgan.networks import Variables
from cosmogan_jax.emulators.dcgan.state import GanState, NetState, adam, init_state
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.emulators.interface import Batch, Engine, Features, Kind, Metrics, Weights
from cosmogan_jax.settings import Train


def make_engine(model: Dcgan, settings: Train, batch_sharding: jax.sharding.Sharding | None) -> Engine:
    """The engine of the settings; both networks have an Adam of their own."""
    networks, optimizer = model.networks, adam(settings.learning_rate, settings.adam_beta1)
    train_step = make_train_step(
        networks,
        optimizer,
        label_flip_probability=settings.of_kind.label_flip_probability,
        loss=settings.of_kind.loss,
        r1_penalty=settings.of_kind.r1_penalty,
        gradient_penalty=settings.of_kind.gradient_penalty,
        update_order=settings.of_kind.update_order,
        ema_decay=settings.ema_decay,
        batch_sharding=batch_sharding,
    )

    def init(key: Array) -> GanState:
        return init_state(networks, optimizer, key, with_ema=settings.ema_decay > 0)

    def step(state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        return train_step(state, batch.kappa[..., 0])

    def variables(state: GanState, weights: Weights) -> Variables:
        """The average comes with batch statistics of its own, from the same z for every state and run."""
        gen = state.gen
        if weights == "ema":
            if state.ema is None:
                raise ValueError(f"weights={weights}, but the training kept no average (ema_decay)")
            gen = with_own_statistics(networks, state.ema, keys.key(0, "statistics", 1))
        return as_variables(gen)

    def last_convolution(state: GanState, x: Float[Array, "batch size size 1"]) -> Array:
        return networks.disc.last_convolution(state.disc.params, state.disc.batch_stats, x[..., 0])

    features = Features("discriminator", "rms difference per feature", last_convolution)
    return Engine(init, step, variables, *shown(settings.of_kind.loss), features)


def as_variables(gen: NetState) -> Variables:
    """What is shipped of a generator."""
    return {"params": gen.params, "batch_stats": gen.batch_stats}


DCGAN = Kind(make_model, make_engine, model_of)
