"""Figures of the summary statistics, mean and scatter over maps, readable in grey."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

_STYLE = {
    "validation": ("#222222", "-"),
    "generated": ("#d55e00", "--"),
}  # Okabe and Ito's colour-blind palette


def _table(tables: dict[str, Any], key: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    entry = tables["statistics"][key][name]
    return np.array(entry["mean"], float), np.array(entry["sigma"], float)


def _bands(ax, x, tables, key: str, scale=1.0) -> None:
    for name, (colour, line) in _STYLE.items():
        mean, sigma = _table(tables, key, name)
        ax.plot(x, mean * scale, line, color=colour, label=f"{name}, mean ± σ of maps")
        ax.fill_between(x, (mean - sigma) * scale, (mean + sigma) * scale, color=colour, alpha=0.2, lw=0)


def draw_pixels(tables: dict[str, Any]) -> Figure:
    """Density of the pixel values."""
    edges = np.array(tables["pixel_edges"])
    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    _bands(ax, (edges[1:] + edges[:-1]) / 2, tables, "pixels")
    top = max(np.nanmax(_table(tables, "pixels", name)[0]) for name in _STYLE)
    ax.set(yscale="log", xlabel="convergence κ", ylabel="density per unit κ", ylim=(top * 1e-5, top * 3))
    ax.legend()
    return figure


def draw_power(tables: dict[str, Any]) -> Figure:
    """Dimensionless power and the ratio of the means."""
    edges = np.array(tables["l_edges"])
    ell = np.sqrt(edges[1:] * edges[:-1])
    figure = Figure(figsize=(6, 5.4), layout="constrained")
    ax, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    _bands(ax, ell, tables, "power_spectrum", ell * (ell + 1) / (2 * np.pi))
    ax.set(xscale="log", yscale="log", ylabel="ℓ(ℓ+1) P(ℓ) / 2π")
    ax.legend()
    below.plot(ell, np.array(tables["power_ratio"], float), "o-", color=_STYLE["generated"][0], ms=3)
    below.axhline(1, color="#222222", lw=0.8)
    below.axhspan(1 / 1.5, 1.5, color="#222222", alpha=0.08, label="within a factor 1.5")
    below.set(yscale="log", xlabel="multipole ℓ", ylabel="generated /\nvalidation")
    below.legend(fontsize=8)
    return figure


def draw_minkowski(tables: dict[str, Any]) -> Figure:
    """V0, V1, V2 over thresholds."""
    t = np.array(tables["thresholds"])
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    labels = {"V0": "area V0", "V1": "boundary length V1 [1/pixel]", "V2": "genus density V2 [1/pixel²]"}
    for ax, (key, label) in zip(figure.subplots(1, 3), labels.items()):
        _bands(ax, (t[1:] + t[:-1]) / 2, tables, key)
        ax.set(xlabel="threshold κ / σ of the map", ylabel=label)
    ax.legend(fontsize=7)
    return figure
