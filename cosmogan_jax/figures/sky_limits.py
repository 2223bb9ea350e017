"""Training maps' power beside halofit's, with and without particle noise, and what is left of it to chance."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cosmogan_jax.figures.style import STYLE

Values = Sequence[float | None] | None


def draw_sky_limits(
    l_edges: Sequence[float], ratio: Values, less_noise: Values, noise_share: Values, floor: Values
) -> Figure:
    """Draw power over halofit's (left, with shares at which a band agrees), and shares of the power (right)."""
    edges = np.array(l_edges)
    middle = np.sqrt(edges[1:] * edges[:-1])
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    ax, shares = figure.subplots(1, 2)
    dark, blue, red = (STYLE[name][0] for name in ("validation", "auxiliary", "generated"))
    if ratio is not None:
        for share in (0.05, 0.1):
            ax.axhspan(1 - share, 1 + share, color="#222222", alpha=0.08, lw=0)
        error = _array(floor, middle) * _array(ratio, middle)
        ax.errorbar(middle, _array(ratio, middle), np.nan_to_num(error), fmt="o-", ms=4, capsize=2, color=dark,
                    label="training maps")  # fmt: skip
        if less_noise is not None:
            ax.plot(middle, _array(less_noise, middle), "s--", ms=4, color=red, label="without particle noise")
        ax.axhline(1, color="#222222", lw=0.8)
        ax.legend(fontsize=8)
    else:
        ax.text(0.5, 0.5, "not known", ha="center", transform=ax.transAxes)
    ax.set(xscale="log", xlabel="multipole ℓ", ylabel="power / halofit", ylim=(0, None))
    for values, name, style, colour in (
        (noise_share, "particle noise", "s--", red),
        (floor, "error of the training maps' mean", "o-", dark),
    ):
        if values is not None:
            shares.plot(middle, _array(values, middle), style, ms=4, color=colour, label=name)
    for share in (0.05, 0.1):
        shares.axhline(share, color=blue, lw=0.8, ls=":")
    shares.set(xscale="log", yscale="log", xlabel="multipole ℓ", ylabel="share of the power")
    if shares.get_legend_handles_labels()[0]:  # of maps of files neither may be known
        shares.legend(fontsize=8)
    return figure


def _array(values: Values, like: np.ndarray) -> np.ndarray:
    return np.full(like.shape, np.nan) if values is None else np.array(values, float)
