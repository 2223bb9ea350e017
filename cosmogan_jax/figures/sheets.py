"""Pictures of maps: real beside generated on one colour scale."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

try:
    import matplotlib
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("figures need matplotlib: pip install 'cosmogan_jax[report]'") from error

from cosmogan_jax.figures.files import write_png


def draw_sheet(
    real: Float[np.ndarray, "maps size size"],
    generated: Float[np.ndarray, "maps size size"],
    side_deg: float,
    title: str = "",
) -> Figure:
    """Draw real maps above, generated maps below, on the real maps' colour scale (0.5 to 99.5 per cent).

    Pixels that are no measurement are left blank.
    """
    columns = min(len(real), len(generated))
    figure = Figure(figsize=(1.5 * columns + 1, 3.8), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    low, high = np.nanquantile(real, [0.005, 0.995])
    for row, (name, maps) in zip(axes, (("real", real), ("generated", generated))):
        for ax, kappa in zip(row, maps):
            image = ax.imshow(
                kappa, vmin=low, vmax=high, origin="lower", cmap="cividis", extent=(0, side_deg, 0, side_deg)
            )
            ax.tick_params(labelsize=6)
            if ax is not row[0]:
                ax.set_yticks([])
        row[0].set_ylabel(f"{name}\n[deg]", fontsize=8)
    for ax in axes[0]:
        ax.set_xticks([])
    for ax in axes[1]:
        ax.set_xlabel("[deg]", fontsize=7)
    figure.colorbar(image, ax=axes, label="convergence κ", shrink=0.8)
    figure.suptitle(title, fontsize=9)
    return figure


def draw_maps(kappa: Float[np.ndarray, "maps size size"], side_deg: float, title: str) -> Figure:
    """Draw a row of maps on one colour scale (0.5 to 99.5 per cent of valid pixels); invalid ones in red."""
    figure = Figure(figsize=(1.9 * len(kappa) + 1, 2.6), layout="constrained")
    axes = figure.subplots(1, len(kappa), squeeze=False)[0]
    valid = kappa[np.isfinite(kappa)]
    low, high = np.quantile(valid, [0.005, 0.995]) if valid.size else (0.0, 1.0)
    colours = matplotlib.colormaps["cividis"].with_extremes(bad="#d62728")
    for ax, image in zip(axes, kappa):
        shown = ax.imshow(
            image, vmin=low, vmax=high, origin="lower", cmap=colours, extent=(0, side_deg, 0, side_deg)
        )
        ax.tick_params(labelsize=6)
        ax.set_xlabel("[deg]", fontsize=7)
        if ax is not axes[0]:
            ax.set_yticks([])
    axes[0].set_ylabel("[deg]", fontsize=7)
    figure.colorbar(shown, ax=axes, label="convergence κ", shrink=0.9)
    figure.suptitle(title, fontsize=9)
    return figure


def write_maps(path: Path, kappa: Float[np.ndarray, "maps size size"], side_deg: float, title: str) -> None:
    """Write `draw_maps` as a PNG file."""
    write_png(draw_maps(kappa, side_deg, title), path)


def write_sheet(
    path: Path,
    real: Float[np.ndarray, "maps size size"],
    generated: Float[np.ndarray, "maps size size"],
    side_deg: float,
    title: str,
) -> None:
    """Write `draw_sheet` as a PNG file."""
    write_png(draw_sheet(real, generated, side_deg, title), path)
