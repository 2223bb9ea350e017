"""Figures of two ensembles side by side: correlations of the spectrum's modes, mean and scatter by position."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cosmogan_jax.figures.statistics import Values
from cosmogan_jax.figures.style import DIVERGING, SEQUENTIAL


def draw_correlations(tables: dict[str, Any], values: Values) -> Figure:
    """Correlation matrices of the paper's modes, and how far they differ, beside real against real."""
    power = {name: of["power_spectrum"] for name, of in values.items()}
    varies = np.ptp(power["validation"], axis=0) > 0
    edges = np.array(tables["paper_l_edges"])
    ell = ((edges[1:] + edges[:-1]) / 2)[varies]
    matrix = {name: _correlation(of[:, varies]) for name, of in power.items()}
    if "auxiliary" in power:
        real, label = matrix["auxiliary"], "auxiliary − validation"
        baseline = real - matrix["validation"]
    else:
        # Every other unit: no map of one half shares its structures with one of the other.
        unit = np.unique(values["validation"]["parents"], return_inverse=True)[1]
        one, two = (_correlation(power["validation"][unit % 2 == half][:, varies]) for half in (0, 1))
        baseline, label = one - two, "one half of validation − other half"
    difference = matrix["generated"] - matrix["validation"]
    figure = Figure(figsize=(10.5, 8.6), layout="constrained")
    top, bottom = figure.subplots(2, 2)
    panels = ((top[0], "validation"), (top[1], "generated"))
    box = (ell[0], ell[-1], ell[0], ell[-1])
    for ax, name in panels:
        image = ax.imshow(matrix[name], vmin=-0.2, vmax=1, origin="lower", extent=box, cmap=SEQUENTIAL)
        ax.set_title(name)
    figure.colorbar(image, ax=top, label="correlation", shrink=0.9)
    limit = max(np.nanquantile(np.abs(difference), 0.999), np.nanquantile(np.abs(baseline), 0.999))
    for ax, (title, of) in zip(bottom, (("generated − validation", difference), (label, baseline))):
        image = ax.imshow(of, vmin=-limit, vmax=limit, origin="lower", extent=box, cmap=DIVERGING)
        ax.set_title(
            f"{title}\nlargest {np.nanmax(np.abs(of)):.3f}, rms {np.sqrt(np.nanmean(of**2)):.3f}", fontsize=10
        )
    figure.colorbar(image, ax=bottom, label="difference of correlations", shrink=0.9)
    for ax in (*top, *bottom):
        ax.set(xlabel="multipole ℓ", ylabel="multipole ℓ")
    return figure


def draw_positions(positions: dict[str, np.ndarray], side_deg: float) -> Figure:
    """Mean and sigma over maps at every pixel; a sky has no preferred place."""
    figure = Figure(figsize=(9, 7.4), layout="constrained")
    rows = figure.subplots(2, 2)
    for row, what, label in zip(rows, ("mean", "sigma"), ("mean κ", "σ of κ")):
        of = {name: positions[f"{name}_{what}"] for name in ("validation", "generated")}
        low, high = np.quantile(np.stack(list(of.values())), [0.002, 0.998])
        for ax, (name, image) in zip(row, of.items()):
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
