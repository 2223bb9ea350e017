"""A classifier trained from scratch to tell two sets of maps apart, and how well it does on maps held out.

Whatever differs between the sets and can be seen in single maps lets it exceed one half; what it does not
find at a given number of maps and steps may still be there (experiments/010-classifier says how small a
difference is found). Functions of their arguments alone: randomness of step n is fold_in(key, n).
"""

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import flax.struct
import jax
import numpy as np
import optax
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.compare.classifier_network import Classifier, Variables
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.summaries import power_spectrum

# Adam at 1e-3 falling to 0 along a cosine, decoupled weight decay (Loshchilov & Hutter 2019).
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-2
BANDS = 20
NUM_LAYERS = 4
STRIDE = 2**NUM_LAYERS
_MAPS_AT_ONCE = 64  # in all eight orientations: 268 MB of features of the first layer at 256^2
_FAINT = 1e-6  # of a band's mean power: what an empty map counts as


class Maps(NamedTuple):
    """Maps, and the logarithms of their power in bands of ell, which symmetries of the square leave alone."""

    kappa: Float[Array, "maps size size"]
    log_power: Float[Array, "maps bands"]


class Standard(NamedTuple):
    """What standardises maps: mean and standard deviation of pixels, mean and whitening matrix of bands."""

    kappa_mean: float
    kappa_sigma: float
    band_means: Float[np.ndarray, " bands"]
    whitening: Float[np.ndarray, "bands bands"]

    def of(self, maps: Maps) -> Maps:
        """Pixels of mean 0 and variance 1; bands of mean 0 and variance 1 that do not correlate.

        Bands of a map correlate at up to 0.99, and a gradient descends slowly where what is to be told apart is
        their difference.
        """
        kappa = (maps.kappa - self.kappa_mean) / (self.kappa_sigma or 1.0)
        bands = jnp.matmul(maps.log_power - self.band_means, self.whitening, precision="float32")
        return Maps(kappa, bands)


def standard_of(first: Maps, second: Maps) -> Standard:
    """Over the maps of both sets, of which there are as many in one as in the other.

    whitening is V / sqrt(lambda) of the bands' covariance V lambda V^T. Of combinations whose variance is below
    _FAINT of the largest, and of bands that do not vary, nothing is kept.
    """
    count, total, squares = 0, 0.0, 0.0
    for maps in (first, second):
        for kappa in np.asarray(maps.kappa):  # in turn, in float64
            count += kappa.size
            total += kappa.sum(dtype=np.float64)
            squares += np.square(kappa, dtype=np.float64).sum()
    mean = total / count
    bands = np.concatenate([np.asarray(maps.log_power, np.float64) for maps in (first, second)])
    variance, axes = np.linalg.eigh(np.cov(bands.T))
    kept = variance > _FAINT * variance[-1]
    whitening = axes * np.where(kept, 1 / np.sqrt(np.where(kept, variance, 1.0)), 0.0)
    sigma = np.sqrt(max(0.0, squares / count - mean**2))
    return Standard(mean, sigma, *(x.astype(np.float32) for x in (bands.mean(0), whitening)))


@flax.struct.dataclass
class ClassifierState:
    """All that a step reads and writes."""

    step: Int[Array, ""]
    params: Variables
    opt_state: optax.OptState


def l_edges_of_classifier(geometry: MapGeometry) -> Float[np.ndarray, " edges"]:
    """BANDS bands, even in log ell, from the fundamental to the Nyquist mode, and one for the corners."""
    edges = log_l_edges(geometry, BANDS)
    return np.append(edges, 1.01 * np.sqrt(2) * edges[-1])


def with_power(kappa: Float[np.ndarray, "maps size size"], side_deg: float) -> Maps:
    """Maps with the logarithms of their power spectra, at least _FAINT of the mean over the maps.

    What is over a multiple of STRIDE pixels is cut off at the end of both axes, after the spectrum.

    Raises:
      ValueError: maps of less than STRIDE pixels.
    """
    size = kappa.shape[-1]
    if size < STRIDE:
        raise ValueError(f"maps of {size} pixels are too small for the classifier, which needs {STRIDE}")
    power = _in_batches(functools.partial(_power, MapGeometry(size, side_deg)), kappa)
    kept = slice(size - size % STRIDE)
    return Maps(
        jnp.asarray(kappa[:, kept, kept], jnp.float32), jnp.log(jnp.maximum(power, _FAINT * power.mean(0)))
    )


@functools.partial(jax.jit, static_argnums=0)
def _power(geometry: MapGeometry, kappa: Array) -> Array:
    return power_spectrum(kappa, l_edges_of_classifier(geometry), geometry.side_deg, mode_weights="full_plane")


@functools.partial(jax.jit, static_argnums=(0, 2))
def start(network: Classifier, key: Array, num_steps: int) -> ClassifierState:
    """State of step 0 of a training of num_steps steps."""
    params = network.init(key)
    return ClassifierState(jnp.zeros((), jnp.int32), params, _optimizer(num_steps).init(params))


def make_step(network: Classifier, num_steps: int, batch_size: int):
    """step(state, key, first, second) -> (state, loss); pure. Half of each batch is drawn from either set.

    Maps are turned or mirrored at random; the loss is the cross entropy of the logits.
    """
    optimizer = _optimizer(num_steps)

    def step(state: ClassifierState, key: Array, first: Maps, second: Maps):
        which, turns = jax.random.split(jax.random.fold_in(key, state.step))
        half = batch_size // 2

        def draw(key, maps):
            index = jax.random.randint(key, (half,), 0, maps.kappa.shape[0], jnp.int32)
            return jax.tree.map(lambda leaf: leaf[index], maps)

        drawn = (draw(jax.random.fold_in(which, i), maps) for i, maps in enumerate((first, second)))
        batch = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *drawn)
        kappa = turned(batch.kappa, jax.random.randint(turns, (2 * half,), 0, 8, jnp.int32))
        label = jnp.repeat(jnp.array([1.0, 0.0]), half)

        def loss(params):
            logits = network.apply(params, kappa, batch.log_power).sum(-1)
            return optax.sigmoid_binary_cross_entropy(logits, label).mean()

        # The network asks for it forward; what its gradients multiply is traced here.
        with jax.default_matmul_precision("float32"):
            value, grads = jax.value_and_grad(loss)(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        return ClassifierState(state.step + 1, optax.apply_updates(state.params, updates), opt_state), value

    return step


def turned(kappa: Float[Array, "maps size size"], turn: Int[Array, " maps"]) -> Float[Array, "maps size size"]:
    """Each map in one of the eight orientations: bit 0 transposes, bits 1 and 2 flip rows and columns."""

    def chosen(bit, changed, unchanged):
        return jnp.where((turn & bit > 0)[:, None, None], changed, unchanged)

    kappa = chosen(1, kappa.swapaxes(1, 2), kappa)
    kappa = chosen(2, kappa[:, ::-1], kappa)
    return chosen(4, kappa[:, :, ::-1], kappa)


def train(
    network: Classifier,
    key: Array,
    first: Maps,
    second: Maps,
    *,
    num_steps: int,
    batch_size: int,
    counted: Callable[[range], Iterable[int]] = iter,
) -> Variables:
    """Parameters after num_steps steps on standardised maps; the logits are positive for the first set.

    counted: goes through the steps, and may say how far it is.
    """
    start_key, run = jax.random.split(key)
    state = start(network, start_key, num_steps)
    step = compiled_step(network, num_steps, batch_size)
    for _ in counted(range(num_steps)):
        state, _ = step(state, run, first, second)
    return state.params


@functools.lru_cache(maxsize=4)
def compiled_step(network: Classifier, num_steps: int, batch_size: int):
    """`make_step`, jitted, its state donated; the same function every time."""
    return jax.jit(make_step(network, num_steps, batch_size), donate_argnums=0)


def logits(network: Classifier, params: Variables, maps: Maps) -> Float[Array, "maps 2"]:
    """Logits of the pixel and the spectral branch, each the mean over the eight orientations of a map."""
    return _in_batches(functools.partial(_mean_logits, network, params), *maps)


@functools.partial(jax.jit, static_argnums=0)
def _mean_logits(network: Classifier, params: Variables, kappa: Array, log_power: Array) -> Array:
    # Turned side by side, not in a loop, in which XLA computes convolutions by a slow kernel on CPUs.
    turn = jnp.repeat(jnp.arange(8), len(kappa))
    all_kappa = turned(jnp.tile(kappa, (8, 1, 1)), turn)
    return network.apply(params, all_kappa, jnp.tile(log_power, (8, 1))).reshape(8, -1, 2).mean(0)


def _optimizer(num_steps: int) -> optax.GradientTransformation:
    return optax.adamw(optax.cosine_decay_schedule(LEARNING_RATE, num_steps), weight_decay=WEIGHT_DECAY)


def _in_batches(function, *arrays):
    """function of so many maps at a time, the last of them filled up: one program whatever their number."""
    count = len(arrays[0])
    results = []
    for first in range(0, count, _MAPS_AT_ONCE):
        index = np.minimum(np.arange(first, first + _MAPS_AT_ONCE), count - 1)
        results.append(function(*(jnp.asarray(a[index], jnp.float32) for a in arrays)))
    return jnp.concatenate(results)[:count]
