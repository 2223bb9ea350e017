"""Figures of several cosmologies: the plane of their parameters, one of them by itself, ratios of power."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from cosmogan_jax.figures.style import SEQUENTIAL, STYLE

# Okabe and Ito's, each with a mark of its own: readable in grey.
_OUTCOMES = {"pass": ("#009e73", "o"), "incomplete": ("#e69f00", "s"), "fail": ("#d55e00", "X")}
_TRAINING = "#999999"
_MOST_PARAMETERS = 4  # of which all pairs are drawn
Known = Sequence[float | None]


class Point(NamedTuple):
    """A cosmology that was judged: its number, parameters, outcome, and largest deviation in margins."""

    number: int
    values: tuple[float, ...]
    outcome: str
    largest: float | None


class RatioBands(NamedTuple):
    """Ratios of power to the fiducial's, by bands: the emulator's over the simulations' - 1, with errors."""

    number: int
    generated: Known
    simulated: Known
    difference: Known
    error: Known


def draw_plane(
    names: Sequence[str], training: Sequence[Sequence[float]], points: Sequence[Point], fiducial: int
) -> Figure:
    """Draw all cosmologies by their parameters: training ones grey, judged ones by outcome and by deviation.

    Of one parameter along a line, of two in their plane, of more in the planes of all pairs of the first four.
    """
    pairs = itertools.combinations(range(min(len(names), _MOST_PARAMETERS)), 2)
    shown: list[tuple[int, int | None]] = [*pairs] or [(0, None)]
    figure = Figure(figsize=(10, 4.2 * len(shown)), layout="constrained")
    rows = figure.subplots(len(shown), 2, squeeze=False)
    known = [point.largest for point in points if point.largest]
    least = min([0.2, *known])
    norm = LogNorm(least, max([5.0, *known]))
    for (left, right), (x, y) in zip(rows, shown):
        for ax in (left, right):
            at = _columns([*map(list, training)], x, y)
            ax.scatter(*at, s=16, color=_TRAINING, label="training", zorder=1)
            ax.set(xlabel=names[x], ylabel="" if y is None else names[y])
            if y is None:
                ax.set_yticks([])
            of_fiducial = _columns([list(points[fiducial].values)], x, y)
            ax.scatter(*of_fiducial, s=190, facecolors="none", edgecolors="#222222", lw=1, label="fiducial")
        for outcome, (colour, marker) in _OUTCOMES.items():
            theirs = [list(point.values) for point in points if point.outcome == outcome]
            if theirs:
                at = _columns(theirs, x, y)
                left.scatter(*at, s=70, color=colour, marker=marker, label=f"held out: {outcome}", zorder=2)
        values = _columns([list(point.values) for point in points], x, y)
        largest = [np.nan if point.largest is None else max(point.largest, least) for point in points]
        image = right.scatter(*values, s=70, c=largest, norm=norm, cmap=SEQUENTIAL, zorder=2)
        figure.colorbar(image, ax=right, label="largest deviation / its margin")
        for ax in (left, right):
            for point, x_at, y_at in zip(points, *values):
                ax.annotate(str(point.number), (x_at, y_at), (6, 5), textcoords="offset points", fontsize=8)
    handles = dict(zip(*reversed(rows[0, 0].get_legend_handles_labels())))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), fontsize=9)
    rows[0, 0].set_title("outcome", fontsize=10)
    rows[0, 1].set_title("largest deviation, in units of its margin", fontsize=10)
    return figure


def draw_cosmology(
    tables: dict[str, Any], entry: dict[str, dict[str, Any]], ratio: RatioBands | None
) -> Figure:
    """Draw one cosmology's power, its scatter and its ratio to the fiducial's; V0 to V2 and peaks below.

    tables: statistics.json; entry: that cosmology's own in it.
    """
    figure = Figure(figsize=(12, 6), layout="constrained")
    rows = figure.subplots(2, 4)
    (power, scatter, to_fiducial, legend), below = rows
    if "power_bands" in entry:
        edges = np.array(tables["l_edges"])
        ell = np.sqrt(edges[1:] * edges[:-1])
        _relative(power, ell, entry["power_bands"], "mean")
        power.set_title("mean power / validation's − 1 [%]", fontsize=9)
        _relative(scatter, ell, entry["log_power"], "sigma")
        scatter.set_title("sd of log power / validation's − 1 [%]", fontsize=9)
        if ratio is not None:
            value, error = (100 * np.array(of, float) for of in (ratio.difference, ratio.error))
            colour = STYLE["generated"][0]
            to_fiducial.errorbar(ell, value, error, fmt="o", ms=4, capsize=2, color=colour)
            to_fiducial.axhspan(-3, 3, color="#222222", alpha=0.08, lw=0)
            to_fiducial.set_title("power over the fiducial's:\nemulator / simulations − 1 [%]", fontsize=9)
        else:
            _empty(to_fiducial, "the fiducial itself, or too few seeds")
        for ax in (power, scatter) if ratio is None else (power, scatter, to_fiducial):
            ax.axhline(0, color="#222222", lw=0.8)
            ax.set(xscale="log", xlabel="multipole ℓ")
    else:
        for ax in (power, scatter, to_fiducial):
            _empty(ax, "not measured of these maps")
    thresholds, heights = np.array(tables["thresholds"]), np.array(tables["peak_edges"])
    for ax, (key, edges, words) in zip(
        below,
        (
            *((name, thresholds, "threshold κ / σ of the map") for name in ("V0", "V1", "V2")),
            ("peaks", heights, "peak height κ"),
        ),
    ):
        _shift(ax, (edges[1:] + edges[:-1]) / 2, entry[key])
        ax.set(xlabel=words)
        ax.set_title(f"{key}: difference [σ of one map]", fontsize=9)
    _empty(legend, "± standard error over units")
    legend.legend(*below[0].get_legend_handles_labels(), loc="center", fontsize=9)
    return figure


def draw_ratios(l_edges: Sequence[float], ratios: Sequence[RatioBands], goal: float) -> Figure:
    """Draw ratios of power to the fiducial's (simulated lines, emulated dots), and how far they are apart."""
    edges = np.array(l_edges)
    ell = np.sqrt(edges[1:] * edges[:-1])
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = colormaps[SEQUENTIAL](np.linspace(0.0, 0.9, len(ratios)))
    for place, (ratio, colour) in enumerate(zip(ratios, colours)):
        at = ell * 1.02 ** (place - (len(ratios) - 1) / 2)
        left.plot(ell, np.array(ratio.simulated, float), color=colour, lw=1)
        left.plot(ell, np.array(ratio.generated, float), "o", color=colour, ms=4, label=str(ratio.number))
        value, error = (100 * np.array(of, float) for of in (ratio.difference, ratio.error))
        right.errorbar(at, value, error, fmt="o", ms=4, lw=1, capsize=2, color=colour)
    right.axhspan(-100 * goal, 100 * goal, color="#222222", alpha=0.08, lw=0)
    right.axhline(0, color="#222222", lw=0.8)
    left.set(xscale="log", yscale="log", xlabel="multipole ℓ", ylabel="power / power at the fiducial")
    figure.legend(loc="outside right upper", fontsize=8, title="no.", title_fontsize=8)
    right.set(xscale="log", xlabel="multipole ℓ", ylabel="emulator / simulations − 1 [%]")
    return figure


def _columns(rows: list[list[float]], x: int, y: int | None) -> tuple[list[float], list[float]]:
    return [row[x] for row in rows], [0.0 if y is None else row[y] for row in rows]


def _relative(ax: Axes, ell: np.ndarray, table: dict[str, Any], key: str) -> None:
    """Draw mean or scatter of generated and auxiliary maps over validation's, less 1, in per cent."""
    real, real_error = (_array(table["validation"], name) for name in (key, f"{key}_error"))
    for name, marker in (("auxiliary", "s"), ("generated", "o")):
        if name not in table:
            continue
        value, error = (_array(table[name], which) for which in (key, f"{key}_error"))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = value / real
            bar = np.abs(ratio) * np.sqrt((error / value) ** 2 + (real_error / real) ** 2)
        ax.errorbar(
            ell, 100 * (ratio - 1), 100 * np.nan_to_num(bar), fmt=marker, ms=4, capsize=2,
            color=STYLE[name][0], label=name,
        )  # fmt: skip


def _shift(ax: Axes, x: np.ndarray, table: dict[str, Any]) -> None:
    """Draw means of generated and auxiliary maps less validation's, in units of one map's scatter."""
    real, sigma, real_error = (_array(table["validation"], key) for key in ("mean", "sigma", "mean_error"))
    for name, marker in (("auxiliary", "s"), ("generated", "o")):
        if name not in table:
            continue
        mean, error = (_array(table[name], key) for key in ("mean", "mean_error"))
        with np.errstate(divide="ignore", invalid="ignore"):
            value, bar = (mean - real) / sigma, np.hypot(error, real_error) / sigma
        known = np.isfinite(value)
        ax.errorbar(
            x[known], value[known], np.nan_to_num(bar[known]), fmt=marker, ms=3, capsize=2,
            color=STYLE[name][0], label=name,
        )  # fmt: skip
    ax.axhline(0, color="#222222", lw=0.8)


def _array(table: dict[str, Any], key: str) -> np.ndarray:
    return np.array(table.get(key, [np.nan] * len(table["mean"])), float)


def _empty(ax: Axes, words: str) -> None:
    ax.set_axis_off()
    ax.set_title(words, fontsize=9)
