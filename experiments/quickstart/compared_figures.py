"""The paper's figures with a column for each emulator; what real maps differ by among themselves is a band."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from compared_runs import Judged, power_ratio, scatter_ratio
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cosmogan_jax.figures.style import SEQUENTIAL, STYLE

# Okabe and Ito's; black is validation, blue are auxiliary maps.
COLOURS = ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MINKOWSKI = {"V0": "V0, area", "V1": "V1, boundary\n[1/pixel]", "V2": "V2, genus\n[1/pixel²]"}
_TILES = (3, 2)  # rows, columns


def draw_maps(runs: Sequence[Judged]) -> Figure:
    """Validation maps and each emulator's first ones, on the colour scale of the validation maps."""
    real = runs[0].shown["validation"]
    low, high = np.quantile(real, [0.005, 0.995])
    sets = {"validation maps": real, **{run.name: run.shown["generated"] for run in runs}}
    figure = Figure(figsize=(2.9 * len(sets) + 0.8, 4.6), layout="constrained")
    axes = figure.subplots(1, len(sets), squeeze=False)[0]
    for ax, (name, maps) in zip(axes, sets.items()):
        image = ax.imshow(_tiled(maps), vmin=low, vmax=high, origin="lower", cmap=SEQUENTIAL,
                          interpolation="nearest")  # fmt: skip
        ax.set_title(name, fontsize=11)
        ax.set_axis_off()
    figure.colorbar(image, ax=axes, label="convergence κ", extend="both", shrink=0.9)
    return figure


def _tiled(maps: np.ndarray) -> np.ndarray:
    """The first maps in rows and columns with a gap between them."""
    rows, columns = _TILES
    size = maps.shape[-1]
    gap = max(1, size // 24)
    canvas = np.full((rows * (size + gap) - gap, columns * (size + gap) - gap), np.nan)
    for n, one in enumerate(maps[: rows * columns]):
        top, left = (size + gap) * (rows - 1 - n // columns), (size + gap) * (n % columns)
        canvas[top : top + size, left : left + size] = one
    return canvas


def draw_power(runs: Sequence[Judged]) -> Figure:
    """Power at the paper's modes, and in bands the ratios of its mean and of the scatter of its logarithm."""
    figure, rows = _columns(runs, (2, 1, 1), 3.0)
    edges = np.array(runs[0].tables["paper_l_edges"])
    ell = (edges[1:] + edges[:-1]) / 2
    bands = np.array(runs[0].tables["l_edges"])
    middle = np.sqrt(bands[1:] * bands[:-1])
    there = np.array(runs[0].tables["statistics"]["power_spectrum"]["validation"]["mean"], float) > 0
    for ax, run, colour in zip(rows[0], runs, COLOURS):
        scale = ell * (ell + 1) / (2 * np.pi)
        _means(ax, run, "power_spectrum", ell, colour, scale, there)
        ax.set(xscale="log", yscale="log")
        _top_of_means(ax, run, "power_spectrum", scale, there)
    rows[0][0].set_ylabel("ℓ(ℓ+1) P(ℓ) / 2π")
    for row, ratio, label in (
        (rows[1], power_ratio, "mean power\n/ validation"),
        (rows[2], scatter_ratio, "scatter of ln P\n/ validation"),
    ):
        for ax, run, colour in zip(row, runs, COLOURS):
            _ratios(ax, run, middle, ratio, colour)
        row[0].set_ylabel(label)
    for ax in rows[2]:
        ax.set_xlabel("multipole ℓ")
    rows[1][0].legend(fontsize=8)
    return figure


def _ratios(ax: Axes, run: Judged, x: np.ndarray, ratio: Callable, colour: str) -> None:
    if run.has_auxiliary:
        value, error = ratio(run, "auxiliary")
        ax.fill_between(x, value - error, value + error, color=STYLE["auxiliary"][0], alpha=0.3, lw=0,
                        label="auxiliary maps ± error")  # fmt: skip
    value, error = ratio(run)
    ax.errorbar(
        x, value, yerr=np.nan_to_num(error), fmt="o", ms=4, capsize=2, color=colour, label="generated ± error"
    )
    ax.axhline(1, color="#222222", lw=0.8)


def draw_pixels(runs: Sequence[Judged]) -> Figure:
    """Density of the pixels, and its ratio to that of the validation maps."""
    figure, rows = _columns(runs, (2, 1), 3.0)
    edges = np.array(runs[0].tables["pixel_edges"])
    kappa = (edges[1:] + edges[:-1]) / 2
    for ax, below, run, colour in zip(*rows, runs, COLOURS):
        _means(ax, run, "pixels", kappa, colour)
        top = np.nanmax(_of(run, "pixels", "validation", "mean"))
        ax.set(yscale="log", ylim=(top * 1e-5, top * 3))
        if run.has_auxiliary:
            _density_ratio(below, run, kappa, "auxiliary", STYLE["auxiliary"][0])
        _density_ratio(below, run, kappa, "generated", colour)
        below.axhline(1, color="#222222", lw=0.8)
        below.set(yscale="log", ylim=(0.4, 2.5), xlabel="convergence κ")
        below.set_yticks([0.5, 1, 2], ["0.5", "1", "2"])
        below.set_yticks([], minor=True)
    rows[0][0].set_ylabel("density per unit κ")
    rows[1][0].set_ylabel("density\n/ validation")
    return figure


def _density_ratio(ax: Axes, run: Judged, kappa: np.ndarray, name: str, colour: str) -> None:
    """With its error as a band; where there are no real pixels there is no ratio."""
    mean, error, real, real_error = (
        _of(run, "pixels", one, key) for one in (name, "validation") for key in ("mean", "mean_error")
    )
    there = (real > 0) & (mean > 0)
    ratio = mean[there] / real[there]
    bar = ratio * np.hypot(error[there] / mean[there], real_error[there] / real[there])
    ax.plot(kappa[there], ratio, STYLE[name][1], color=colour)
    ax.fill_between(kappa[there], ratio - bar, ratio + bar, color=colour, alpha=0.3, lw=0)


def draw_minkowski(runs: Sequence[Judged]) -> Figure:
    """V0, V1 and V2, and below each the difference of the means in one map's sigma."""
    figure, rows = _columns(runs, (2, 1) * len(_MINKOWSKI), 1.7)
    edges = np.array(runs[0].tables["thresholds"])
    middle = (edges[1:] + edges[:-1]) / 2
    for (key, label), row, below in zip(_MINKOWSKI.items(), rows[0::2], rows[1::2]):
        for ax, under, run, colour in zip(row, below, runs, COLOURS):
            _means(ax, run, key, middle, colour)
            if run.has_auxiliary:
                value, bar = _shift(run, key, "auxiliary")
                under.fill_between(
                    middle, value - bar, value + bar, color=STYLE["auxiliary"][0], alpha=0.3, lw=0
                )
            value, bar = _shift(run, key, "generated")
            under.errorbar(middle, value, yerr=np.nan_to_num(bar), fmt="o", ms=3, capsize=2, color=colour)
            under.axhline(0, color="#222222", lw=0.8)
            # Logarithmic beyond 0.1: one emulator's tenth of a sigma is seen beside another's whole one.
            under.set_yscale("symlog", linthresh=0.1, linscale=0.6)
            under.set_yticks([-1, -0.1, 0, 0.1, 1], ["-1", "-0.1", "0", "0.1", "1"], fontsize=8)
            under.set_yticks([], minor=True)
        row[0].set_ylabel(label)
        below[0].set_ylabel("difference\n[σ of a map]", fontsize=8)
    for ax in rows[-1]:
        ax.set_xlabel("threshold κ / σ of the map")
    return figure


def _columns(runs: Sequence[Judged], heights: tuple[int, ...], inches: float) -> tuple[Figure, Any]:
    """Rows of axes with a column for each emulator, on common scales; the first row names them."""
    figure = Figure(
        figsize=(4.1 * len(runs) + 0.7, inches * sum(heights) / max(heights) + 0.8), layout="constrained"
    )
    rows = figure.subplots(
        len(heights), len(runs), sharex=True, sharey="row", squeeze=False, height_ratios=heights
    )
    for ax, run in zip(rows[0], runs):
        ax.set_title(run.name, fontsize=11)
    return figure, rows


def _means(ax: Axes, run: Judged, key: str, x, colour: str, scale=1.0, there=slice(None)) -> None:
    """Mean and standard deviation over maps, of validation and generated maps."""
    for name, of_this, label in (
        ("validation", STYLE["validation"][0], "validation"),
        ("generated", colour, "generated"),
    ):
        mean, sigma = ((_of(run, key, name, what) * scale)[there] for what in ("mean", "sigma"))
        ax.plot(x[there], mean, STYLE[name][1], color=of_this, label=f"{label}, mean ± σ of maps")
        ax.fill_between(x[there], mean - sigma, mean + sigma, color=of_this, alpha=0.2, lw=0)
    if ax.get_subplotspec().is_first_row():
        ax.legend(fontsize=8)


def _top_of_means(ax: Axes, run: Judged, key: str, scale: np.ndarray, there: np.ndarray) -> None:
    """Limits of a logarithmic axis by the real means: where sigma exceeds a mean the band has no lower end."""
    mean = (_of(run, key, "validation", "mean") * scale)[there]
    ax.set_ylim(mean.min() / 4, mean.max() * 4)


def _shift(run: Judged, key: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Difference of a set's mean from the validation maps' in one map's sigma, with its standard error."""
    mean, error = (_of(run, key, name, what) for what in ("mean", "mean_error"))
    real, real_error, sigma = (_of(run, key, "validation", what) for what in ("mean", "mean_error", "sigma"))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (mean - real) / sigma, np.hypot(error, real_error) / sigma


def _of(run: Judged, key: str, name: str, what: str) -> np.ndarray:
    entry = run.tables["statistics"][key][name]
    return np.array(entry.get(what, [np.nan] * len(entry["mean"])), float)
