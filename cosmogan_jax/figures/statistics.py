"""Figures of the summary statistics: mean and scatter over maps, and their distributions at single modes."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cosmogan_jax.figures.style import STYLE

Values = dict[str, dict[str, np.ndarray]]
_V_LABELS = {"V0": "area V0", "V1": "boundary length V1 [1/pixel]", "V2": "genus density V2 [1/pixel²]"}
_PAIR = ("validation", "generated")


def draw_pixels(tables: dict[str, Any]) -> Figure:
    """Draw the density of the pixel values."""
    edges = np.array(tables["pixel_edges"])
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    _bands(ax, (edges[1:] + edges[:-1]) / 2, tables, "pixels")
    top = max(np.nanmax(_table(tables, "pixels", name)[0]) for name in _PAIR)
    ax.set(yscale="log", xlabel="convergence κ", ylabel="density per unit κ", ylim=(top * 1e-5, top * 3))
    ax.legend()
    return figure


def draw_power(tables: dict[str, Any]) -> Figure:
    """Draw dimensionless power at the paper's modes, and the ratio of the means there and in bands."""
    edges = np.array(tables["paper_l_edges"])
    ell = (edges[1:] + edges[:-1]) / 2
    figure = Figure(figsize=(7, 5.8), layout="constrained")
    ax, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    known = np.array(_table(tables, "power_spectrum", "validation")[0]) > 0
    scale = (ell * (ell + 1) / (2 * np.pi))[known]
    _bands(ax, ell[known], tables, "power_spectrum", scale, known)
    ax.set(xscale="log", yscale="log", ylabel="ℓ(ℓ+1) P(ℓ) / 2π")
    ax.legend()
    ratio = _ratio(tables, "power_spectrum")[known]
    if "auxiliary" in tables["statistics"]["power_spectrum"]:
        real = _ratio(tables, "power_spectrum", "auxiliary")[known]
        below.plot(
            ell[known], real, STYLE["auxiliary"][1], color=STYLE["auxiliary"][0], lw=0.8, label="auxiliary"
        )
    below.plot(ell[known], ratio, color=STYLE["generated"][0], lw=0.8, alpha=0.6, label="at each mode")
    bands = np.array(tables["l_edges"])
    middle = np.sqrt(bands[1:] * bands[:-1])
    below.errorbar(
        middle,
        np.array(tables["power_ratio"], float),
        yerr=_ratio_error(tables, "power_bands"),
        fmt="o",
        ms=4,
        capsize=2,
        color=STYLE["validation"][0],
        label="in bands, ± its error",
    )
    below.axhline(1, color="#222222", lw=0.8)
    low, high = np.nanmin(ratio[ratio > 0], initial=0.9), np.nanmax(ratio, initial=1.1)
    below.set(yscale="log", ylim=(max(low * 0.9, 0.1), min(high * 1.1, 10)))
    below.set(xlabel="multipole ℓ", ylabel="generated /\nvalidation")
    below.legend(fontsize=8)
    return figure


def draw_power_slices(tables: dict[str, Any], values: Values) -> Figure:
    """Draw the distribution over maps of the power at three of the paper's modes: low, middle, high."""
    edges = np.array(tables["paper_l_edges"])
    power = {name: values[name]["power_spectrum"] for name in _PAIR}
    modes = np.flatnonzero(np.ptp(power["validation"], axis=0) > 0)
    chosen = modes[[int(q * (len(modes) - 1)) for q in (0.04, 0.35, 0.8)]]
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    for ax, mode in zip(figure.subplots(1, 3), chosen):
        _slice(ax, {name: np.log10(np.maximum(values[:, mode], 1e-300)) for name, values in power.items()})
        ax.set(title=f"{edges[mode]:.0f} < ℓ ≤ {edges[mode + 1]:.0f}", xlabel="log₁₀ P(ℓ) [sr]")
    ax.legend(fontsize=8)
    return figure


def draw_minkowski(tables: dict[str, Any]) -> Figure:
    """Draw V0, V1, V2 over thresholds, and the difference of their means in units of one map's scatter."""
    t = np.array(tables["thresholds"])
    middle = (t[1:] + t[:-1]) / 2
    figure = Figure(figsize=(11, 5), layout="constrained")
    rows = figure.subplots(2, 3, sharex=True, height_ratios=(2, 1))
    for ax, below, (key, label) in zip(rows[0], rows[1], _V_LABELS.items()):
        _bands(ax, middle, tables, key)
        ax.set(ylabel=label)
        _difference(below, middle, tables, key)
        below.set(xlabel="threshold κ / σ of the map")
    rows[0][2].legend(fontsize=7)
    rows[1][0].set(ylabel="difference of means\n[σ of one map]")
    return figure


def draw_minkowski_slices(tables: dict[str, Any], values: Values) -> Figure:
    """Draw the distribution over maps of V0, V1, V2 at thresholds of -1, 0 and 1 sigma."""
    t = np.array(tables["thresholds"])
    figure = Figure(figsize=(11, 8), layout="constrained")
    for row, (key, label) in zip(figure.subplots(3, 3), _V_LABELS.items()):
        for ax, threshold in zip(row, (-1.0, 0.0, 1.0)):
            index = int(np.argmin(np.abs((t[1:] + t[:-1]) / 2 - threshold)))
            _slice(ax, {name: values[name][key][:, index] for name in _PAIR})
            ax.set(xlabel=label)
            ax.set_title(f"{t[index]:.1f} ≤ κ/σ < {t[index + 1]:.1f}", fontsize=9)
    ax.legend(fontsize=7)
    return figure


def draw_peaks(tables: dict[str, Any]) -> Figure:
    """Draw peak counts by height, with differences in units of one map's scatter."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(2, 1))
    _peaks(above, below, tables)
    return figure


def draw_peaks_and_bispectrum(tables: dict[str, Any]) -> Figure:
    """Draw peak counts by height and the equilateral bispectrum, with differences in one map's scatter."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    (peaks, triangles), (peaks_below, triangles_below) = figure.subplots(2, 2, height_ratios=(2, 1))
    _peaks(peaks, peaks_below, tables)
    edges = np.array(tables["bispectrum_edges"])
    ell = np.sqrt(edges[1:] * edges[:-1])
    _bands(triangles, ell, tables, "bispectrum", ell**4)
    triangles.set(xscale="log", ylabel="ℓ⁴ B(ℓ, ℓ, ℓ)")
    _difference(triangles_below, ell, tables, "bispectrum")
    triangles_below.set(xscale="log", xlabel="multipole ℓ")
    return figure


def _peaks(peaks, below, tables: dict[str, Any]) -> None:
    edges = np.array(tables["peak_edges"])
    height = (edges[1:] + edges[:-1]) / 2
    _bands(peaks, height, tables, "peaks")
    peaks.set(ylabel="peaks of a map, per unit κ")
    peaks.legend(fontsize=8)
    _difference(below, height, tables, "peaks")
    below.set(xlabel="height κ", ylabel="difference\n[σ of one map]")


def _table(tables: dict[str, Any], key: str, name: str, columns=("mean", "sigma")) -> tuple[np.ndarray, ...]:
    entry = tables["statistics"][key][name]
    return tuple(np.array(entry.get(column, [np.nan] * len(entry["mean"])), float) for column in columns)


def _ratio(tables: dict[str, Any], key: str, name: str = "generated") -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return _table(tables, key, name)[0] / _table(tables, key, "validation")[0]


def _ratio_error(tables: dict[str, Any], key: str) -> np.ndarray:
    """Return the error of the ratio of means: relative errors of both sides in quadrature."""
    square = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        for name in _PAIR:
            mean, error = _table(tables, key, name, ("mean", "mean_error"))
            square = square + (error / mean) ** 2
    return np.nan_to_num(np.abs(_ratio(tables, key)) * np.sqrt(square))


def _bands(ax, x, tables, key: str, scale=1.0, known=slice(None)) -> None:
    if "auxiliary" in tables["statistics"][key]:
        colour, line = STYLE["auxiliary"]
        mean = _table(tables, key, "auxiliary")[0][known]
        ax.plot(x, mean * scale, line, color=colour, label="auxiliary, mean")
    for name in _PAIR:
        colour, line = STYLE[name]
        mean, sigma = (column[known] for column in _table(tables, key, name))
        ax.plot(x, mean * scale, line, color=colour, label=f"{name}, mean ± σ of maps")
        ax.fill_between(x, (mean - sigma) * scale, (mean + sigma) * scale, color=colour, alpha=0.2, lw=0)


def _difference(ax, x, tables, key: str) -> None:
    """Draw generated (and auxiliary, if any) less validation means, in units of one map's scatter."""
    real, sigma, real_error = _table(tables, key, "validation", ("mean", "sigma", "mean_error"))
    for name, marker in (("auxiliary", "s"), ("generated", "o")):
        if name not in tables["statistics"][key]:
            continue
        mean, error = _table(tables, key, name, ("mean", "mean_error"))
        with np.errstate(divide="ignore", invalid="ignore"):
            value, bar = (mean - real) / sigma, np.sqrt(error**2 + real_error**2) / sigma
        known = np.isfinite(value)
        bar = np.nan_to_num(bar[known])
        ax.errorbar(
            x[known], value[known], yerr=bar, fmt=marker, ms=3, capsize=2, color=STYLE[name][0], label=name
        )
    ax.axhline(0, color="#222222", lw=0.8)


def _slice(ax, by_set: dict[str, np.ndarray], num_bins: int = 30) -> None:
    both = np.concatenate(list(by_set.values()))
    # Of a few maps all are shown.
    low, high = np.quantile(both, 0.001, method="lower"), np.quantile(both, 0.999, method="higher")
    edges = np.linspace(low, high if high > low else low + 1, num_bins + 1)
    for name, values in by_set.items():
        colour, line = STYLE[name]
        # Per unit, of all maps of the set, those beyond the edges too: of a set may all be there.
        weights = np.full(len(values), 1 / (len(values) * (edges[1] - edges[0])))
        ax.hist(values, edges, weights=weights, histtype="step", color=colour, ls=line, lw=1.4, label=name)
    ax.set(ylabel="density of maps")
