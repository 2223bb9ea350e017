"""Posteriors of a few parameters on an even grid inside the hull of a design, for a flat prior in it.

    p(theta | d) ~ L(d | mean(theta), covariance(theta) / n)    for d the mean data vector of n independent maps

by `compare/estimated_covariance.py`'s likelihoods. They are those of Gaussian data, and the power of few modes
is none: its logarithm is nearer to one, and its scatter hardly changes with the parameters,

    ln d:  mean ln mu_i - C_ii / (2 n mu_i^2),  covariance C_ij / (n mu_i mu_j)

A posterior is a mass at every point of the grid, which stands for its cell. NumPy, float64.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.spatial import Delaunay, QhullError

from cosmogan_jax.compare.ensembles import Estimate
from cosmogan_jax.compare.estimated_covariance import Form, log_likelihood
from cosmogan_jax.inference.summary_model import SummaryModel

_SETS_AT_ONCE = 32  # a hundred megabytes at ten thousand points and a dozen modes


@dataclasses.dataclass(frozen=True, eq=False)
class ParameterGrid:
    """Points of an even grid, each the middle of a cell.

    Attributes:
      names: of the parameters.
      points: those inside the hull.
      spacing: of the grid, along each parameter.
    """

    names: tuple[str, ...]
    points: Float[np.ndarray, "points parameters"]
    spacing: Float[np.ndarray, " parameters"]


def hull_grid(
    names: Sequence[str], design: Float[np.ndarray, "cosmologies parameters"], num_each: int
) -> ParameterGrid:
    """Return the grid of so many points along each parameter, those inside the hull of a design.

    Raises:
      ValueError: a design whose hull has no volume, or fewer than two points along a parameter.
    """
    design = np.asarray(design, np.float64)
    if design.ndim != 2 or design.shape[1] != len(names):
        raise ValueError(f"design.shape={design.shape} must be (cosmologies, {len(names)} parameters)")
    if num_each < 2:
        raise ValueError(f"num_each={num_each} must be at least 2")
    low, high = design.min(0), design.max(0)
    spacing = (high - low) / num_each
    axes = [a + s * (np.arange(num_each) + 0.5) for a, s in zip(low, spacing)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(names))
    return ParameterGrid(tuple(names), points[inside_hull(design, points)], spacing)


def inside_hull(
    design: Float[np.ndarray, "cosmologies parameters"], points: Float[np.ndarray, "points parameters"]
) -> np.ndarray:
    """Say which points lie inside the hull of a design of few parameters.

    Raises:
      ValueError: the hull has no volume.
    """
    if design.shape[1] == 1:
        return ((points >= design.min()) & (points <= design.max()))[:, 0]
    centre, scale = design.mean(0), np.ptp(design, axis=0)
    try:
        hull = Delaunay((design - centre) / np.where(scale > 0, scale, 1.0))
    except QhullError:
        raise ValueError(f"a design of {len(design)} cosmologies on one line or plane has no hull") from None
    return hull.find_simplex((points - centre) / np.where(scale > 0, scale, 1.0)) >= 0


def drawn_in_hull(
    design: Float[np.ndarray, "cosmologies parameters"], count: int, random: np.random.Generator
) -> Float[np.ndarray, "count parameters"]:
    """Draw points evenly in the hull of a design: truths of the prior of these posteriors.

    Raises:
      ValueError: the hull has no volume.
    """
    design = np.asarray(design, np.float64)
    low, high = design.min(0), design.max(0)
    drawn = np.zeros((0, design.shape[1]))
    while len(drawn) < count:
        candidates = random.uniform(low, high, (4 * count, design.shape[1]))
        drawn = np.concatenate([drawn, candidates[inside_hull(design, candidates)]])
    return drawn[:count]


def posteriors(
    grid: ParameterGrid,
    model: SummaryModel,
    data: Float[np.ndarray, "sets modes"],
    num_maps: int,
    *,
    logarithm: bool = False,
    form: Form = "sellentin-heavens",
    covariance: Float[np.ndarray, "modes modes"] | None = None,
    covariance_maps: float | None = None,
    mean_maps: float | None = None,
) -> Float[np.ndarray, "sets points"]:
    """Return the posterior mass at every point of the grid, for each mean data vector of num_maps maps.

    Args:
      model: of one map.
      logarithm: compare the data's logarithm with the model's; for what is positive.
      covariance: of one map (of its logarithm, C_ij / (mu_i mu_j), where these are compared), held at all
        cosmologies, in place of the model's; covariance_maps: the independent maps that it is of.
      mean_maps: those that the model's mean is of, whose noise is allowed for; None: model.maps; inf: no noise.

    Raises:
      ValueError: num_maps not positive, data that are not finite, or not positive where logarithms are
        compared; as `log_likelihood`.
    """
    data = np.atleast_2d(np.asarray(data, np.float64))
    if num_maps < 1 or not np.isfinite(data).all():
        raise ValueError(f"num_maps={num_maps} must be positive, and all data finite")
    mean = model.mean(grid.points)
    if logarithm and not ((data > 0).all() and (mean > 0).all()):
        raise ValueError("logarithm=True: data vectors and their means must be positive")
    if covariance is None:
        of_points, maps = model.covariance(grid.points), model.maps
        if logarithm:
            of_points = of_points / (mean[:, :, None] * mean[:, None, :])
    else:
        of_points = np.broadcast_to(covariance, (*mean.shape, mean.shape[1]))
        maps = model.maps if covariance_maps is None else covariance_maps
    if logarithm:
        data, mean = np.log(data), np.log(mean) - np.diagonal(of_points, axis1=1, axis2=2) / (2 * num_maps)
    # Of the mean of num_maps maps; the model's own mean scatters by num_maps / mean_maps of that.
    of_mean, masses = of_points / num_maps, []
    noise_maps = (model.maps if mean_maps is None else mean_maps) / num_maps
    for start in range(0, len(data), _SETS_AT_ONCE):
        some = data[start : start + _SETS_AT_ONCE]
        log_l = log_likelihood(some, mean, of_mean, maps, form, mean_maps=noise_maps).T
        mass = np.exp(log_l - log_l.max(1, keepdims=True))
        masses.append(mass / mass.sum(1, keepdims=True))
    return np.concatenate(masses)


def moments(
    grid: ParameterGrid, mass: Float[np.ndarray, "sets points"]
) -> tuple[Float[np.ndarray, "sets parameters"], Float[np.ndarray, "sets parameters"]]:
    """Return mean and standard deviation of each parameter in each posterior."""
    mean = mass @ grid.points
    variance = mass @ grid.points**2 - mean**2
    return mean, np.sqrt(np.maximum(variance, 0.0))


def ranks(
    grid: ParameterGrid,
    mass: Float[np.ndarray, "sets points"],
    truths: Float[np.ndarray, "sets parameters"],
    quantity: Callable[[Float[np.ndarray, "points parameters"]], Float[np.ndarray, " points"]],
) -> Float[np.ndarray, " sets"]:
    """Return the posterior's mass below the truth of a quantity, a smooth function of the parameters.

    Each cell's mass is spread evenly over the values that the quantity takes in it, so that the grid leaves no
    steps. Uniform where truths are drawn from the prior and the posteriors are right: the rank statistic of
    Talts et al. (2018, arXiv:1804.06788) for infinitely many draws of the posterior.
    """
    values, width = quantity(grid.points), np.zeros(len(grid.points))
    for number, spacing in enumerate(grid.spacing):
        step = np.zeros(len(grid.spacing))
        step[number] = spacing / 2
        width += np.abs(quantity(grid.points + step) - quantity(grid.points - step))
    width = np.maximum(width, 1e-12 * np.abs(values).max(initial=1e-300))
    below = (quantity(np.asarray(truths, np.float64))[:, None] - values) / width + 0.5
    return (mass * np.clip(below, 0.0, 1.0)).sum(1)


def shift_and_width(
    grid: ParameterGrid, mass: Float[np.ndarray, "sets points"], reference: Float[np.ndarray, "others points"]
) -> tuple[Estimate, Estimate]:
    """Return shifts of the mean in sigmas of a reference posterior, and ratios of widths, by parameter.

    Values are those of the first posterior of either, errors the scatter of the others (bootstrap): where
    neither has more than one, the errors are NaN.
    """
    shifts, ratios = _compared(grid, mass[:1], reference[:1])
    count = max(len(mass), len(reference)) - 1
    if count < 2:
        nothing = np.full_like(shifts[0], np.nan)
        return Estimate(shifts[0], nothing), Estimate(ratios[0], nothing)
    resampled = [array[1:] if len(array) > 1 else array for array in (mass, reference)]
    errors = [values.std(0, ddof=1) for values in _compared(grid, *resampled)]
    return Estimate(shifts[0], errors[0]), Estimate(ratios[0], errors[1])


def _compared(grid: ParameterGrid, mass: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (mean, sigma), (other_mean, other_sigma) = moments(grid, mass), moments(grid, reference)
    return (mean - other_mean) / other_sigma, sigma / other_sigma
