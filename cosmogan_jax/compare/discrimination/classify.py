"""A classifier trained from scratch to tell two sets of maps apart, and how well it does on maps held out.

Three rules judge each map: a small network by its pixels, and linear rules by its power spectrum and by the
heights of its pixels and peaks (`classifier_features.py`). None knows of the others; their logits are added up
with weights that maps teach which none of them was trained on (`combination`), so that a rule that learnt
nothing but noise adds none.

Whatever differs between the sets and can be seen in single maps lets it exceed one half; what it does not
find at a given number of maps and steps may still be there (experiments/010-classifier says how small a
difference is found, experiments/017-classifier-budget what more steps and maps add). Functions of their
arguments alone: randomness of step n is fold_in(key, n).
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

from cosmogan_jax.compare.discrimination.classifier_network import Classifier, Variables
from cosmogan_jax.summaries.batching import in_batches
from cosmogan_jax.symmetries import orient

# Adam at 3e-3 (0.02 more in AUC than 1e-3 after 300 steps: experiments/017-classifier-budget) falling to 0
# along a cosine, decoupled weight decay (Loshchilov & Hutter 2019). The fall does what an average of late
# weights would.
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2
NUM_LAYERS = 4
STRIDE = 2**NUM_LAYERS
# Of the logits' weights, in units of a logit of variance 1: 1000 maps of each set know one to 0.045.
_WEIGHT_SIGMA = 3.0
_NEWTON_STEPS = 30
_START_MAPS = 256  # whose averages the network starts from: means to 0.06 of their scatter


class Standard(NamedTuple):
    """Mean and standard deviation of the pixels of both sets together."""

    mean: float
    sigma: float

    def of(self, kappa: Float[np.ndarray, "maps size size *bins"]) -> Float[np.ndarray, "maps cut cut *bins"]:
        """Return pixels of mean 0 and variance 1; what is over a multiple of STRIDE pixels is cut off."""
        kept = slice(kappa.shape[1] - kappa.shape[1] % STRIDE)
        scaled = kappa[:, kept, kept] - np.float32(self.mean)
        scaled /= np.float32(self.sigma or 1.0)
        return scaled


def standard_of(*sets: Float[np.ndarray, "maps size size *bins"]) -> Standard:
    """Return mean and standard deviation of the pixels of all sets, added up in float64."""
    count, total, squares = 0, 0.0, 0.0
    for kappa in (kappa for maps in sets for kappa in maps):
        count += kappa.size
        total += kappa.sum(dtype=np.float64)
        squares += np.square(kappa, dtype=np.float64).sum()
    mean = total / count
    return Standard(float(mean), float(np.sqrt(max(0.0, squares / count - mean**2))))


@flax.struct.dataclass
class ClassifierState:
    """All that a step reads and writes."""

    step: Int[Array, ""]
    params: Variables
    opt_state: optax.OptState


@functools.partial(jax.jit, static_argnums=(0, 3))
def start(
    network: Classifier, key: Array, sample: Float[Array, "maps size size *bins"], num_steps: int
) -> ClassifierState:
    """Return the state of step 0 of num_steps; a few of the maps say what the averages of all are."""
    params = network.standardised(network.init(key), sample)
    return ClassifierState(jnp.zeros((), jnp.int32), params, _optimizer(num_steps).init(params))


def make_step(network: Classifier, num_steps: int, batch_size: int):
    """Return step(state, key, first, second) -> (state, loss), pure; it draws half a batch from either set.

    Maps are turned or mirrored, and moved, at random; the loss is the cross entropy of the logits.
    """
    optimizer = _optimizer(num_steps)

    def step(state: ClassifierState, key: Array, first: Array, second: Array):
        which, turns, moves = jax.random.split(jax.random.fold_in(key, state.step), 3)
        half = batch_size // 2

        def draw(key, maps):
            return maps[jax.random.randint(key, (half,), 0, maps.shape[0], jnp.int32)]

        drawn = [draw(jax.random.fold_in(which, i), maps) for i, maps in enumerate((first, second))]
        turn = jax.random.randint(turns, (2 * half,), 0, 8, jnp.int32)
        kappa = jax.vmap(orient)(jnp.concatenate(drawn), turn)
        reach = STRIDE // 2
        kappa = moved(kappa, jax.random.randint(moves, (2, 2 * half), -reach, reach, jnp.int32))
        label = jnp.repeat(jnp.array([1.0, 0.0]), half)

        def loss(params):
            return optax.sigmoid_binary_cross_entropy(network.apply(params, kappa), label).mean()

        # The network asks for it forward; what its gradients multiply is traced here.
        with jax.default_matmul_precision("float32"):
            value, grads = jax.value_and_grad(loss)(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        return ClassifierState(state.step + 1, optax.apply_updates(state.params, updates), opt_state), value

    return step


def moved(
    kappa: Float[Array, "maps size size *bins"], by: Int[Array, "2 maps"]
) -> Float[Array, "maps size size *bins"]:
    """Move each map by fewer rows and columns than it has; its mirror image fills what comes free.

    Pixels averaged by a stride of STRIDE know where they are; moved by up to half of it they do not. Maps are
    cut from larger ones: rolled, opposite borders would meet in a seam that only maps of a periodic generator
    lack. Cut-outs of 16 pixels less would throw away 44 % of a map of 64. A mirror's seam is continuous
    whatever the map, and takes nothing away.
    """
    size = kappa.shape[1]
    place = jnp.arange(size, dtype=jnp.int32) - by[..., None]
    place = jnp.where(place < 0, -1 - place, place)
    rows, columns = jnp.where(place >= size, 2 * size - 1 - place, place)
    return jax.vmap(lambda map_, row, column: map_[row][:, column])(kappa, rows, columns)


def train(
    network: Classifier,
    key: Array,
    first: Float[np.ndarray, "maps size size *bins"],
    second: Float[np.ndarray, "others size size *bins"],
    *,
    num_steps: int,
    batch_size: int,
    counted: Callable[[range], Iterable[int]] = iter,
) -> Variables:
    """Train num_steps steps on standardised maps, to logits that are positive for the first set.

    counted: goes through the steps, and may say how far it is.
    """
    start_key, run = jax.random.split(key)
    half = _START_MAPS // 2
    sample = [maps[np.arange(half) * len(maps) // half] for maps in (first, second)]
    state = start(network, start_key, jnp.concatenate(sample), num_steps)
    step = compiled_step(network, num_steps, batch_size)
    on_device = jnp.asarray(first), jnp.asarray(second)
    for _ in counted(range(num_steps)):
        state, _ = step(state, run, *on_device)
    return state.params


@functools.lru_cache(maxsize=4)
def compiled_step(network: Classifier, num_steps: int, batch_size: int):
    """Return `make_step`, jitted, its state donated; the same function every time."""
    return jax.jit(make_step(network, num_steps, batch_size), donate_argnums=0)


def logits(
    network: Classifier, params: Variables, kappa: Float[np.ndarray, "maps size size *bins"]
) -> Float[np.ndarray, " maps"]:
    """Return the mean logit of the eight orientations of each standardised map."""
    return in_batches(lambda maps: np.asarray(_mean_logits(network, params, maps)), kappa)


@functools.partial(jax.jit, static_argnums=0)
def _mean_logits(network: Classifier, params: Variables, kappa: Array) -> Array:
    # Turned side by side, not in a loop, in which XLA computes convolutions by a slow kernel on CPUs.
    turn = jnp.repeat(jnp.arange(8), len(kappa))
    repeated = jnp.tile(kappa, (8, *[1] * (kappa.ndim - 1)))
    return network.apply(params, jax.vmap(orient)(repeated, turn)).reshape(8, -1).mean(0)


def _optimizer(num_steps: int) -> optax.GradientTransformation:
    return optax.adamw(optax.cosine_decay_schedule(LEARNING_RATE, num_steps), weight_decay=WEIGHT_DECAY)


class Combination(NamedTuple):
    """One logit from those of several rules."""

    offset: float
    weights: Float[np.ndarray, " rules"]

    def __call__(self, logits: Float[np.ndarray, "maps rules"]) -> Float[np.ndarray, " maps"]:
        """Return offset + logits . weights."""
        return self.offset + logits @ self.weights


def combination(
    first: Float[np.ndarray, "maps rules"], second: Float[np.ndarray, "others rules"]
) -> Combination:
    """Fit a logistic regression to logits of maps that no rule was trained on, either set weighing alike.

    No rule is turned round: that one is wrong more often than right is chance of few boxes, and its weight is
    0. Where that leaves none, logits of variance 1 weigh alike.
    """
    both = np.concatenate([first, second]).astype(np.float64)
    centre, scale = both.mean(0), both.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    standard = (both - centre) / scale
    label = np.repeat([1.0, 0.0], [len(first), len(second)])
    weigh = np.repeat([0.5 / len(first), 0.5 / len(second)], [len(first), len(second)]) * len(both)
    offset, weights = 0.0, np.ones(both.shape[1])
    used = np.arange(both.shape[1])
    while len(used):
        offset, fitted = _logistic(standard[:, used], label, weigh)
        if (fitted > 0).all():
            weights = np.zeros(both.shape[1])
            weights[used] = fitted
            break
        offset, used = 0.0, np.delete(used, np.argmin(fitted))
    return Combination(float(offset - centre @ (weights / scale)), weights / scale)


def _logistic(logits: np.ndarray, label: np.ndarray, weigh: np.ndarray) -> tuple[float, np.ndarray]:
    """Find offset and weights by Newton's steps.

    A normal prior of 0 +- _WEIGHT_SIGMA keeps the weights finite where a rule makes no error.
    """
    x = np.concatenate([np.ones((len(logits), 1)), logits], 1)
    prior = np.append(0.0, np.full(logits.shape[1], _WEIGHT_SIGMA**-2))
    w = np.zeros(x.shape[1])
    for _ in range(_NEWTON_STEPS):
        expected = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        slope = x.T @ (weigh * (label - expected)) - prior * w
        curvature = (x.T * (weigh * expected * (1 - expected))) @ x + np.diag(prior + 1e-9)
        move = np.linalg.solve(curvature, slope)
        w = w + move / max(1.0, float(np.abs(move).max()))
    return float(w[0]), w[1:]
