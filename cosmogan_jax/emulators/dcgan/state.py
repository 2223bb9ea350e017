"""The explicit state of a training run, and how it begins."""

import dataclasses
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from cosmogan_jax.emulators.conditioning import Standardisation, num_terms, unstandardised
from cosmogan_jax.emulators.dcgan.networks import Networks, Variables
from cosmogan_jax.emulators.matched_statistics import AnyScale
from cosmogan_jax.emulators.matching import Matcher, Targets
from cosmogan_jax.emulators.measuring import unmeasured_scale


@flax.struct.dataclass
class NetState:
    """One network: its parameters, running batch statistics and optimizer state."""

    params: Variables
    batch_stats: Variables
    opt_state: optax.OptState


# Maps that an average's batch statistics are of: means of features to 1 % of their sigma in the smallest layer.
AVERAGED_OVER = 1024


class Matched(NamedTuple):
    """Matched statistics: measured on the training maps before the first step, all but the running means.

    mean and sigma are of the training maps' pixels in network units, of every bin where there are several; the
    rest is in units of that sigma.
    """

    mean: Float[Array, "*bins"]
    sigma: Float[Array, "*bins"]
    scale: AnyScale
    targets: Targets
    running: Float[Array, "*terms numbers"]

    def units(self, x: Float[Array, "batch size size *bins"]) -> Float[Array, "batch size size *bins"]:
        """Convert maps from network units to units of the training maps' sigma about their mean."""
        return (x - self.mean) / self.sigma


class Conditioned(NamedTuple):
    """What a training of several cosmologies measured on its maps before the first step.

    Attributes:
      standardisation: takes theta to t.
      t: of maps drawn at random among the training maps; batch statistics of an average are taken at these.
      basis: of the regressors that what is matched follows (`conditioning.py`); None where nothing is.
    """

    standardisation: Standardisation
    t: Float[Array, "maps parameters"]
    basis: Float[Array, "terms terms"] | None = None


@flax.struct.dataclass
class GanState:
    """All that a step reads and writes. Randomness of step n is fold_in(key, n): resuming needs no history.

    ema is the moving average of gen's parameters and batch statistics (`averaging.py`), with no optimizer
    state; None where the run keeps no average.
    """

    step: Int[Array, ""]
    key: Array
    gen: NetState
    disc: NetState
    ema: NetState | None = None


@flax.struct.dataclass
class MatchingState(GanState):
    """The state of a run that matches statistics; a class of its own, for a checkpoint names every field."""

    matched: Matched | None = None


@flax.struct.dataclass
class ConditionalState(MatchingState):
    """The state of a run of several cosmologies, which may match statistics; a class of its own likewise."""

    conditioned: Conditioned | None = None


def adam(learning_rate: float, beta1: float, beta2: float = 0.999) -> optax.GradientTransformation:
    """Return Adam as the paper used it: rate 2e-4, beta1 0.5; beta2 0.999 and epsilon 1e-8 are defaults.

    TensorFlow 1 adds epsilon to sqrt(v) before the bias correction ("epsilon hat"), optax after it; with
    epsilon 1e-8 the two differ where |gradient| is within a few orders of 1e-8 only.
    """
    return optax.adam(learning_rate, b1=beta1, b2=beta2, eps=1e-8)


def init_state(
    networks: Networks,
    optimizer: optax.GradientTransformation,
    key: Array,
    *,
    with_ema: bool = False,
    matcher: Matcher | None = None,
    theta_order: int = 1,
) -> GanState:
    """Make the state of step 0, nothing measured yet. One optimizer, with a state of each network.

    theta_order: of the polynomials in the networks' parameters that what is matched follows.
    """
    gen_key, disc_key, run_key = jax.random.split(key, 3)

    def start(network, net_key):
        params, batch_stats = network.init(net_key)
        return NetState(params, batch_stats, optimizer.init(params))

    gen = start(networks.gen, gen_key)
    state = GanState(
        step=jnp.zeros((), jnp.int32),
        key=run_key,
        gen=gen,
        disc=start(networks.disc, disc_key),
        # A copy: a state that is donated must not hold the same memory twice.
        ema=jax.tree.map(jnp.copy, gen.replace(opt_state=())) if with_ema else None,
    )
    count = networks.num_parameters
    if matcher is None and not count:
        return state
    terms = num_terms(count, theta_order) if count else 1
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    matched = None if matcher is None else _unmeasured(matcher, networks.arch.map_size, terms - 1)
    if not count:
        return MatchingState(**fields, matched=matched)
    basis = None if matcher is None else jnp.eye(terms)
    conditioned = Conditioned(unstandardised(count), jnp.zeros((AVERAGED_OVER, count)), basis)
    return ConditionalState(**fields, matched=matched, conditioned=conditioned)


def _unmeasured(matcher: Matcher, size: int, num_slopes: int) -> Matched:
    scale = unmeasured_scale(size, matcher.num_bins, num_slopes, matcher)
    targets = matcher.unmeasured(size, scale, num_slopes)
    bins = () if matcher.num_bins == 1 else (matcher.num_bins,)
    return Matched(jnp.zeros(bins), jnp.ones(bins), scale, targets, targets.reached())
