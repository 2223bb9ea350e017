"""The interface of every kind of emulator: a model that makes maps, and an engine that trains it.

A kind is a name in `emulators/kinds.py`, a model, an engine and settings of its own. Whatever trains, ships or
judges emulators goes through what stands here and knows no kind by name:

    model = kind.model(settings)
    engine = kind.engine(model, settings, None)
    state = engine.init(key)
    state, metrics = engine.step(state, batch)
    variables = engine.variables(state, "last")
    x = model.sample(variables, latent, theta)          # in network units

Variables, latents and states are pytrees of arrays; nobody but their kind looks into them. Maps have a last
axis of source bins. theta holds what a map is conditioned on, (batch, 0) where that is nothing, so that nothing
branches.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.emulators.curves import Panel
from cosmogan_jax.emulators.early_warnings import Rule
from cosmogan_jax.settings import Train

Variables = Any  # a pytree of arrays: all that a trained model is shipped with
Latent = Any  # a pytree of arrays: all that is random in a map
State = Any  # a pytree of arrays and PRNG keys, with an attribute `step`
Metrics = dict[str, Float[Array, ""]]
MapParts = Callable[[], Iterator[Float[np.ndarray, "maps size size bins"]]]
Weights = str  # "last": as the last step left them; "ema": their moving average


class Batch(NamedTuple):
    """Maps as a training step takes them, and the parameters that each of them is conditioned on.

    Attributes:
      kappa: maps with a last axis of source bins (one where maps are of one source redshift).
      theta: parameters of every map, in the order that the run names them; no column where it names none.
    """

    kappa: Float[Array, "batch size size bins"]
    theta: Float[Array, "batch parameters"]


class TrainingMaps(Protocol):
    """Maps in network units, in parts, as often as they are wanted."""

    @property
    def theta(self) -> Float[np.ndarray, "maps parameters"]:
        """Return what each map is conditioned on, in their order."""
        ...

    def __call__(self) -> Iterator[Float[np.ndarray, "maps size size bins"]]:
        """Return all maps again, from the first on."""
        ...


class Model(Protocol):
    """A maker of maps; frozen and hashable, so that it can be static to jit."""

    @property
    def limit(self) -> float | None:
        """Return the largest |x| that it can make in network units (1 for tanh); None where there is none."""
        ...

    @property
    def upsamplings(self) -> int:
        """Count the layers that double the resolution, whose pattern is looked for; 0: there is none."""
        ...

    @property
    def any_size(self) -> bool:
        """Say whether it makes maps of other sizes than the training's, of the same pixels and law."""
        ...

    @property
    def full_precision(self) -> tuple[str, ...]:
        """Return how paths of variables begin that are packed as float32 whatever the others are."""
        ...

    def __hash__(self) -> int: ...

    def init(self, key: Array) -> Variables:
        """Make fresh variables in float32."""
        ...

    def latent(self, key: Array, height: int, width: int | None = None) -> Latent:
        """Draw what one map of height x width pixels is made from; square where no width is given.

        Raises:
          ValueError: a size of which it makes no maps.
        """
        ...

    def widest_margin(self, height: int, width: int) -> int:
        """Return how many pixels around a map of this size `sample` can make from its latent; 0: none."""
        ...

    def sample(
        self, variables: Variables, latent: Latent, theta: Float[Array, "batch parameters"], margin: int = 0
    ) -> Float[Array, "batch height width bins"]:
        """Compute maps in network units; pure. The latents are those of single maps, stacked.

        margin: so many pixels more on every side. In the middle lies the very map of margin 0.
        """
        ...

    def left_out(self, variables: Variables) -> dict[str, float]:
        """Return what it knows to err by, at cosmologies between the training's or of coherence, by name."""
        ...

    def describe(self) -> dict[str, Any]:
        """Describe it as JSON: {"kind": its name in KINDS, ...}; `kinds.model_of` makes it again."""
        ...


class Features(NamedTuple):
    """A space beside pixels and power in which novelty looks for copies and pairs.

    Attributes:
      name: as it stands in files and figures, one word.
      label: of an axis that shows distances in it.
      compute: (state, maps in network units with their axis of bins) -> features, (batch, ...); pure.
    """

    name: str
    label: str
    compute: Callable[[State, Float[Array, "batch size size bins"]], Float[Array, "batch ..."]]


class Engine(NamedTuple):
    """A training of a model; every function is pure, to be jitted by whoever calls it.

    Attributes:
      init: key -> the state of step 0.
      step: (state, batch in network units) -> (state after it, metrics of this step). What is random in step n
        comes from the state's own key and n.
      variables: (state, "last" or "ema") -> variables ready to sample: as the step left them, or their moving
        average. ValueError where the training keeps none.
      curves: panels of metrics, as the report draws them.
      warnings: rules about lines of metrics (`early_warnings.py`).
      features: None where the kind has no such space; `no_features` then says why.
      begin: (state of step 0, training maps, wider ones) -> that state, with what the kind measures of the maps
        before its first step; None where it measures nothing. Calling either gives maps in network units, in
        parts, from the first on; they may be called again. The wider ones are squares around the others, where
        there are any: what is of longer waves than a training map is measured there.
    """

    init: Callable[[Array], State]
    step: Callable[[State, Batch], tuple[State, Metrics]]
    variables: Callable[[State, Weights], Variables]
    curves: tuple[Panel, ...]
    warnings: tuple[Rule, ...]
    features: Features | None = None
    no_features: str = "this kind of emulator has no space of features"
    begin: Callable[[State, TrainingMaps, TrainingMaps], State] | None = None


class Kind(NamedTuple):
    """A kind of emulator, as a name in KINDS stands for it.

    Attributes:
      model: from the settings of stage train, of which `of_kind` are its own. ValueError for sizes that no
        model has, numbers that no training has: it is asked before any work.
      engine: (model, settings, the sharding of a batch among devices or None) -> engine.
      model_of: (what `Model.describe` gave, whether forward-mode differentiation must go through) -> model.
        ValueError for what is unknown, missing or of another type: it may come from a stranger's card.
      joint: (settings, number of source bins) -> model of all of them, the last axis of its maps, which it has
        as `num_bins`; None where the kind makes maps of one bin.
    """

    model: Callable[[Train], Model]
    engine: Callable[[Any, Train, jax.sharding.Sharding | None], Engine]
    model_of: Callable[[Mapping[str, Any], bool], Model]
    joint: Callable[[Train, int], Model] | None = None


def num_bins(model: Model) -> int:
    """Return how many source bins a model's maps have; one that has no such attribute makes one."""
    return getattr(model, "num_bins", 1)
