"""Figures of two ensembles side by side: correlations of the spectrum's modes, mean and scatter by position."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from cosmogan_jax.figures.statistics import Values
from cosmogan_jax.figures.style import DIVERGING, SEQUENTIAL


def draw_correlations(
    tables: dict[str, Any], values: Values, contrasts: dict[str, dict[str, Any] | None]
) -> Figure:
    """Draw correlation matrices of the paper's modes, and how far they differ, beside real against real.

    contrasts: results.json's `correlation`; where it is known, a row in bands shows the differences in units of
    their bootstrap errors.
    """
    power = {name: of_set["power_spectrum"] for name, of_set in values.items()}
    varies = np.ptp(power["validation"], axis=0) > 0
    edges = np.array(tables["paper_l_edges"])
    ell = ((edges[1:] + edges[:-1]) / 2)[varies]
    matrix = {name: _correlation(bands[:, varies]) for name, bands in power.items()}
    if "auxiliary" in power:
        real, label = matrix["auxiliary"], "auxiliary − validation"
        baseline = real - matrix["validation"]
    else:
        # Every other unit: no map of one half shares its structures with one of the other.
        unit = np.unique(values["validation"]["parents"], return_inverse=True)[1]
        halves = [power["validation"][unit % 2 == half][:, varies] for half in (0, 1)]
        label = "one half of validation − other half"
        baseline = None  # of a single unit, or of two
        if min(map(len, halves)) > 1:
            baseline = _correlation(halves[0]) - _correlation(halves[1])
    difference = matrix["generated"] - matrix["validation"]
    known = any(contrast is not None for contrast in contrasts.values())
    figure = Figure(figsize=(10.5, 13 if known else 8.6), layout="constrained")
    top, bottom, *more = figure.subplots(3 if known else 2, 2)
    panels = ((top[0], "validation"), (top[1], "generated"))
    box = (ell[0], ell[-1], ell[0], ell[-1])
    for ax, name in panels:
        image = ax.imshow(matrix[name], vmin=-0.2, vmax=1, origin="lower", extent=box, cmap=SEQUENTIAL)
        ax.set_title(name)
    figure.colorbar(image, ax=top, label="correlation", shrink=0.9)
    pairs = [("generated − validation", difference), (label, baseline)]
    limit = max(np.nanquantile(np.abs(shown), 0.999) for _, shown in pairs if shown is not None)
    for ax, (title, shown) in zip(bottom, pairs):
        if shown is None:
            _leave_empty(ax, f"{title}: too few units")
            continue
        image = ax.imshow(shown, vmin=-limit, vmax=limit, origin="lower", extent=box, cmap=DIVERGING)
        ax.set_title(
            f"{title}\nlargest {np.nanmax(np.abs(shown)):.3f}, rms {np.sqrt(np.nanmean(shown**2)):.3f}",
            fontsize=10,
        )
    figure.colorbar(image, ax=bottom, label="difference of correlations", shrink=0.9)
    for ax in (*top, *bottom):
        ax.set(xlabel="multipole ℓ", ylabel="multipole ℓ")
    for row in more:
        for ax, title, contrast in zip(row, ("generated − validation", label), contrasts.values()):
            if contrast is None:
                _leave_empty(ax, f"{title}: too few units for errors")
                continue
            image = _draw_significance(ax, title, contrast, np.array(tables["l_edges"]))
        figure.colorbar(image, ax=row, label="difference / bootstrap error", shrink=0.9)
    return figure


def _leave_empty(ax: Axes, why: str) -> None:
    ax.set_axis_off()
    ax.set_title(why, fontsize=10)


def _draw_significance(ax: Axes, title: str, contrast: dict[str, Any], l_edges: np.ndarray) -> AxesImage:
    size = len(contrast["bands"])
    row, column = np.triu_indices(size, 1)
    shown = np.full((size, size), np.nan)
    value, error = np.array(contrast["difference"]), np.array(contrast["standard_error"])
    shown[row, column] = shown[column, row] = value / np.where(error > 0, error, np.nan)
    image = ax.imshow(shown, vmin=-4, vmax=4, origin="lower", cmap=DIVERGING)
    middle = np.sqrt(l_edges[1:] * l_edges[:-1])[contrast["bands"]]
    ticks = np.unique(np.linspace(0, size - 1, 6).round().astype(int))
    labels = [f"{middle[i]:.0f}" for i in ticks]
    ax.set_xticks(ticks, labels)
    ax.set_yticks(ticks, labels)
    ax.set(xlabel="multipole ℓ, log bands", ylabel="multipole ℓ, log bands")
    beyond = np.mean(np.abs(value) > 2 * error)
    ax.set_title(
        f"{title}, in bands\n{100 * beyond:.0f} % beyond 2 (median error {np.median(error):.3f})", fontsize=10
    )
    return image


def draw_positions(positions: dict[str, np.ndarray], side_deg: float) -> Figure:
    """Draw mean and sigma over maps at every pixel; a sky has no preferred place."""
    figure = Figure(figsize=(9, 7.4), layout="constrained")
    rows = figure.subplots(2, 2)
    for row, what, label in zip(rows, ("mean", "sigma"), ("mean κ", "σ of κ")):
        by_set = {name: positions[f"{name}_{what}"] for name in ("validation", "generated")}
        low, high = np.quantile(np.stack(list(by_set.values())), [0.002, 0.998])
        for ax, (name, image) in zip(row, by_set.items()):
            shown = ax.imshow(
                image, vmin=low, vmax=high, origin="lower", extent=(0, side_deg) * 2, cmap=SEQUENTIAL
            )
            ax.set_title(f"{label}, {name}", fontsize=10)
            ax.set(xlabel="[deg]", ylabel="[deg]")
        figure.colorbar(shown, ax=list(row), label=label, shrink=0.9)
    return figure


def _correlation(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.corrcoef(values / np.abs(values).max(0), rowvar=False)
