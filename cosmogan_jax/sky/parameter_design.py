"""Designs of cosmologies: at which parameters simulations are run, and which of them are held out."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from cosmogan_jax.files.csv_files import Line, number_in

# What a sky takes, and the range of each, which holds all that CAMB and a light cone can make.
PARAMETER_RANGES: dict[str, tuple[float, float]] = {
    "omega_m": (0.01, 1.0),
    "omega_b": (0.0, 0.5),
    "sigma8": (0.05, 3.0),
    "n_s": (0.1, 2.0),
    "h": (0.1, 2.0),
    "w0": (-3.0, 0.0),
    "wa": (-3.0, 3.0),
    "source_redshift": (0.01, 3.0),
}
Value = TypeVar("Value")
_CLOSEST = 1e-9  # of two points, relative to the design's extent: nearer ones are the same
_INSIDE = 1e-9  # how far outside a hull rounding may put a point of its border, in its extent


@dataclasses.dataclass(frozen=True)
class Design:
    """Points in parameter space.

    Attributes:
      names: of the parameters, the columns of points.
      points: a row a cosmology.
      held_out: which of them no training map comes from.
    """

    names: tuple[str, ...]
    points: Float[np.ndarray, "points parameters"]
    held_out: Bool[np.ndarray, " points"]

    def values(self, number: int) -> dict[str, float]:
        """Return the parameters of one point by name."""
        return {name: float(value) for name, value in zip(self.names, self.points[number])}


def points_of(
    lines: Sequence[Line], where: str, known: Sequence[str] = tuple(PARAMETER_RANGES)
) -> tuple[tuple[str, ...], Float[np.ndarray, "points parameters"]]:
    """Return names and points of a table whose first line names the columns, of the known ones.

    where: what errors begin with: the flag and the file.

    Raises:
      ValueError: no rows, an unknown or repeated column, a cell that is no number or outside what the parameter
        may be, or two equal points; with the line.
    """
    if len(lines) < 2:
        raise ValueError(f"{where} holds no points: a row of names, then a row for each cosmology")
    names = _checked(tuple(lines[0].cells), known, where)
    points = []
    for line, row in lines[1:]:
        if len(row) != len(names):
            raise ValueError(f"{where}, line {line}: {len(row)} values for {len(names)} columns")
        points.append([number_in(cell) for cell in row])
        if not np.isfinite(points[-1]).all():
            raise ValueError(f"{where}, line {line}: {', '.join(row)} must be finite numbers")
    return names, check_points(names, np.array(points), where)


def sobol_points(
    count: int, ranges: dict[str, tuple[float, float]], seed: int
) -> tuple[tuple[str, ...], Float[np.ndarray, "points parameters"]]:
    """Return names and points that fill the ranges evenly: their middle, then a scrambled Sobol sequence.

    Raises:
      ValueError: no point, no range, or an unknown parameter or limits outside what it may be.
    """
    from scipy.stats import qmc  # here: every emulator imports this module, and few programs make a design

    if count < 1:
        raise ValueError(f"design=sobol:{count} must have a positive number of points")
    names = _checked(tuple(ranges), tuple(PARAMETER_RANGES), "design_ranges")
    low, high = np.array([ranges[name] for name in names], float).T
    if not (low < high).all():
        name = names[int(np.argmin(low < high))]
        raise ValueError(f"design_ranges={name}={ranges[name][0]:g}:{ranges[name][1]:g} must rise")
    sequence = qmc.Sobol(len(names), scramble=True, rng=np.random.default_rng(seed))
    # Its balance is that of powers of two; a part of one is even enough, and no warning is worth a line.
    whole = sequence.random_base2(max(0, math.ceil(math.log2(max(count - 1, 1)))))
    points = np.concatenate([[np.full(len(names), 0.5)], whole[: count - 1]])
    return names, check_points(names, low + points * (high - low), "design_ranges")


def parsed_ranges(text: str) -> dict[str, tuple[float, float]]:
    """Return limits by name, of `omega_m=0.2:0.4,sigma8=0.6:1.0`.

    Raises:
      ValueError: text of another form, or a name twice.
    """

    def limits(word: str) -> tuple[float, float]:
        low, high = (float(limit) for limit in word.split(":"))
        return low, high

    ranges = _by_name(text, "design_ranges", limits, "name=lowest:highest, as omega_m=0.2:0.4")
    if not ranges:
        raise ValueError(f"design_ranges={text} names no parameter; write omega_m=0.2:0.4,sigma8=0.6:1.0")
    return ranges


def named_values(text: str) -> dict[str, float]:
    """Return values by name, of `omega_m=0.3,sigma8=0.8`.

    Raises:
      ValueError: text of another form, a name twice, or a value that is not finite.
    """

    def number(word: str) -> float:
        value = float(word)
        if not math.isfinite(value):
            raise ValueError
        return value

    return _by_name(text, "generate_parameters", number, "name=number, as omega_m=0.3")


def _by_name(text: str, flag: str, parse: Callable[[str], Value], form: str) -> dict[str, Value]:
    """Return what stands behind each name of `name=...,name=...`; ValueError: another form, a name twice."""
    values: dict[str, Value] = {}
    for part in filter(None, (word.strip() for word in text.split(","))):
        name, _, word = (piece.strip() for piece in part.partition("="))
        try:
            value = parse(word)
        except ValueError:
            raise ValueError(f"{flag}={part} must be {form}") from None
        if name in values:
            raise ValueError(f"{flag} names {name} twice")
        values[name] = value
    return values


def check_points(
    names: Sequence[str], points: Float[np.ndarray, "points parameters"], where: str
) -> Float[np.ndarray, "points parameters"]:
    """Return the points, all of them possible and no two the same.

    Raises:
      ValueError: a value that is not finite or outside PARAMETER_RANGES, or two equal points; beginning with
        `where`.
    """
    for number, point in enumerate(points):
        for name, value in zip(names, point):
            low, high = PARAMETER_RANGES.get(name, (-np.inf, np.inf))
            if not (low <= value <= high and math.isfinite(value)):
                raise ValueError(f"{where}: {name}={value:g} of point {number} must lie in [{low:g}, {high:g}]")
    scaled = _scaled(points, points)
    for number in range(1, len(points)):
        same = np.flatnonzero(np.abs(scaled[:number] - scaled[number]).max(1) <= _CLOSEST)
        if same.size:
            raise ValueError(f"{where}: points {same[0]} and {number} are the same")
    return points


def design_of(
    names: tuple[str, ...],
    points: Float[np.ndarray, "points parameters"],
    held_out: Sequence[int] | int,
    seed: int,
) -> Design:
    """Return the design with these points held out, or with so many that are drawn.

    Raises:
      ValueError: a number of no point, nothing left to train on, or more than can be held out.
    """
    mask = np.zeros(len(points), bool)
    if isinstance(held_out, int):
        mask[drawn_inside(points, held_out, seed)] = True
        return Design(names, points, mask)
    for number in held_out:
        if not 0 <= number < len(points):
            raise ValueError(f"held_out={number} is none of the design's {len(points)} points, from 0 on")
    mask[list(held_out)] = True
    if mask.all():
        raise ValueError(f"held_out names all {len(points)} points of the design: none is left to train on")
    for number in np.flatnonzero(mask).tolist():
        if not in_hull(points[~mask], points[number]):
            raise ValueError(
                f"held_out={number} lies outside the hull of the points that are trained on; an emulator is "
                "asked for what lies inside"
            )
    return Design(names, points, mask)


def drawn_inside(points: Float[np.ndarray, "points parameters"], count: int, seed: int) -> list[int]:
    """Draw numbers of `count` points, far from each other, all inside the hull of the points that stay.

    The first is drawn among those inside the hull; each next one is, of those that may follow, the farthest
    from all before.

    Raises:
      ValueError: fewer can be taken out so.
    """
    scaled = _scaled(points, points)
    order = np.random.default_rng(seed).permutation(len(points)).tolist()
    chosen: list[int] = []
    while len(chosen) < count:
        apart = [min((np.linalg.norm(scaled[n] - scaled[c]) for c in chosen), default=0.0) for n in order]
        for place in np.argsort(-np.array(apart), kind="stable"):
            n = order[place]
            if n in chosen:
                continue
            out = [*chosen, n]
            stay = np.delete(points, out, axis=0)
            if len(stay) and all(in_hull(stay, points[m]) for m in out):
                chosen = out
                break
        else:
            raise ValueError(
                f"num_held_out={count}: of the design's {len(points)} points {len(chosen)} can be held out "
                "inside the hull of the others"
            )
    return sorted(chosen)


def in_hull(points: Float[np.ndarray, "points parameters"], point: Float[np.ndarray, " parameters"]) -> bool:
    """Say whether a point is a mean of the others with weights from 0 to 1: inside their hull or on its border.

    A linear program, which unlike a triangulation is quick in any number of dimensions.
    """
    from scipy.optimize import linprog  # here, as qmc

    within, target = _scaled(points, points), _scaled(points, np.asarray(point)[None])[0]
    if not (np.isfinite(target).all() and np.abs(target).max(initial=0) <= 1 + _INSIDE):
        return False
    # The least sum of deviations |sum_i w_i x_i - x|: 0 inside. w >= 0 and sum w = 1, deviations split in two.
    count, size = within.shape
    equal = np.block([[within.T, np.eye(size), -np.eye(size)], [np.ones((1, count)), np.zeros((1, 2 * size))]])
    cost = np.concatenate([np.zeros(count), np.ones(2 * size)])
    best = linprog(cost, A_eq=equal, b_eq=np.append(target, 1.0), bounds=(0, None), method="highs")
    return bool(best.status == 0 and best.fun <= 10 * _INSIDE)


def _scaled(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the others in units in which the points fill [-1, 1] along every parameter."""
    low, high = points.min(0), points.max(0)
    half = np.where(high > low, (high - low) / 2, 1.0)
    return (others - (low + high) / 2) / half


def _checked(names: tuple[str, ...], known: Sequence[str], where: str) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: {name!r} is no parameter here; known: {', '.join(known) or 'none'}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{where}: {twice[0]} stands twice")
    return names
