"""Known ways in which a generator's maps fail, as numbers beside those of real maps.

Each measure is a mean over maps or needs one batch; all are in jnp, to be jitted or vmapped. What counts as
too much stands in `emulators/early_warnings.py`.
"""

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.compare.position_moments import PositionMoments, folded
from cosmogan_jax.summaries.edges import check_kappa

# Of |x| in network units: tanh's slope there is 2 % of its largest, and hardly any gradient passes.
SATURATED_FROM = 0.99


def checkerboard_share(
    kappa: Float[Array, "maps size size"], num_layers: int
) -> Float[Array, "maps 1_plus_layers"]:
    """Return the share of a map's variance in the modes where upsampling leaves its traces.

    First the modes within one fundamental of the Nyquist frequency along either axis; then, for L = 1 to
    num_layers, the modes of period 2^L pixels and their harmonics that no smaller L holds: the lattice of wave
    numbers that are multiples of N/2^L along both axes (a transposed convolution of stride 2, L layers before
    the map, repeats its uneven overlap with that period). Odena, Dumoulin & Olah 2016.

    Raises:
      ValueError: maps not square, or a side that 2^num_layers does not divide.
    """
    kappa = check_kappa(kappa, square=True)
    size = kappa.shape[-1]
    if num_layers < 1 or size % 2**num_layers:
        raise ValueError(f"size={size} must be divisible by 2**num_layers={2**num_layers}")
    weights = jnp.asarray(_mode_sets(size, num_layers), kappa.dtype)

    # Centred first: the mean carries no pattern, and float32 keeps its digits.
    f = jnp.fft.rfft2(kappa - kappa.mean((-2, -1), keepdims=True))
    power = (f.real**2 + f.imag**2).reshape(kappa.shape[0], -1)
    in_sets = jnp.matmul(power, weights.T, precision="highest")
    return in_sets[:, 1:] / in_sets[:, :1]


def pattern_amplitude(moments: PositionMoments, num_layers: int) -> Float[Array, ""]:
    """Return the rms, in sigma, of what repeats with period 2^num_layers in the mean map and the sigma map.

    A pattern common to all maps, in brightness or in contrast, adds up here however faint it is in one map. For
    stationary maps it tends to 0 as 1/sqrt(maps). Period 2^num_layers holds all shorter ones.
    """
    period = 2**num_layers
    unit = jnp.sqrt((moments.sigma**2).mean())
    parts = [folded(moments.mean, period), folded(moments.sigma, period)]
    return jnp.sqrt(sum(part.var() for part in parts)) / unit


def sample_variance(moments: PositionMoments) -> Float[Array, ""]:
    """Return the variance over maps, averaged over pixels: near 0 where the generator ignores z."""
    return (moments.sigma**2).mean()


def nearest_distance(kappa: Float[Array, "maps size size"]) -> Float[Array, ""]:
    """Return the median over a batch of the rms difference to the most alike other map of it.

    Near-duplicates make it small though the variance may be right (a generator with a few outputs). It falls
    with the number of maps: compare batches of equal size. Cost maps^2 pixels; memory maps^2.

    Raises:
      ValueError: fewer than two maps.
    """
    kappa = check_kappa(kappa)
    if kappa.shape[0] < 2:
        raise ValueError(f"{kappa.shape[0]} map has no other to be near to")
    flat = kappa.reshape(kappa.shape[0], -1)
    flat = flat - flat.mean(0)  # distances stay; the squares they are differences of shrink
    square = (flat**2).mean(1)
    cross = jnp.matmul(flat, flat.T, precision="highest") / flat.shape[1]
    apart = jnp.maximum(square[:, None] + square - 2 * cross, 0)
    apart = jnp.where(jnp.eye(len(flat), dtype=bool), jnp.inf, apart)
    return jnp.sqrt(jnp.median(apart.min(1)))


def saturated_share(kappa: Float[Array, "maps height width"], limit: float) -> Float[Array, " maps"]:
    """Return the share of each map's pixels with |kappa| >= limit (SATURATED_FROM, brought to kappa)."""
    return (jnp.abs(check_kappa(kappa)) >= limit).mean((-2, -1))


def _mode_sets(size: int, num_layers: int) -> np.ndarray:
    """Return weights of the half plane's modes: all, those near Nyquist, the lattice of each layer."""
    row = np.minimum(np.arange(size), size - np.arange(size))[:, None]
    column = np.arange(size // 2 + 1)[None]
    weight = np.broadcast_to(np.where((column == 0) | (2 * column == size), 1.0, 2.0), (size, size // 2 + 1))
    everywhere = (row > 0) | (column > 0)
    sets = [everywhere, np.maximum(row, column) >= size // 2 - 1]
    taken = ~everywhere
    for layer in range(1, num_layers + 1):
        spacing = size // 2**layer
        lattice = (row % spacing == 0) & (column % spacing == 0)
        sets.append(lattice & ~taken)
        taken = taken | lattice
    return np.stack([(weight * chosen).ravel() for chosen in sets])
