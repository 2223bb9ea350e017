"""A triangle of the spectra of several source bins: auto powers, cross powers, correlation coefficients."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cosmogan_jax.figures.page import Section
from cosmogan_jax.figures.style import STYLE

_MOST_BINS = 6  # of a triangle that can be read


def section(source_bins: dict[str, Any]) -> Section:
    """Give the triangle with its words, of source_bins.json."""
    names = [_name(b) for b in source_bins["bins"]]
    words: tuple[str, ...] = (
        "On the diagonal the power of each bin, below it the cross power of two; above it their correlation "
        "coefficient r(ℓ), the ratio of mean powers. Bars are standard errors over independent units. Powers "
        "are ℓ(ℓ+1) P(ℓ) / 2π.",
    )
    if len(names) > _MOST_BINS:
        words += (f"Drawn are the first {_MOST_BINS} of {len(names)} bins.",)
    return Section("Triangle of spectra", words, draw_triangle(source_bins["spectra"], names))


def _name(source_bin: dict[str, Any]) -> str:
    at = "" if source_bin["redshift"] is None else f" (z = {source_bin['redshift']:g})"
    return f"bin {source_bin['number']}{at}"


def draw_triangle(spectra: dict[str, Any], names: Sequence[str]) -> Figure:
    """Draw auto powers on the diagonal, cross powers below and r(ell) above it, of every set with errors.

    Args:
      spectra: the entry of source_bins.json: l_edges; power and coherence by set.
      names: of the bins, in their order.
    """
    of_all, shown = len(names), min(len(names), _MOST_BINS)
    edges = np.array(spectra["l_edges"])
    ell = np.sqrt(edges[1:] * edges[:-1])
    figure = Figure(figsize=(1.2 + 2.3 * shown, 1.0 + 2.0 * shown), layout="constrained")
    axes = figure.subplots(shown, shown, sharex=True, squeeze=False)
    # Places of the pairs i <= j, and i < j, in the rows of powers and of coherence.
    powers = {pair: n for n, pair in enumerate(itertools.combinations_with_replacement(range(of_all), 2))}
    crosses = {pair: n for n, pair in enumerate(itertools.combinations(range(of_all), 2))}
    for row in range(shown):
        for column in range(shown):
            ax: Axes = axes[row, column]
            pair = (min(row, column), max(row, column))
            if column > row:
                _draw(ax, ell, spectra["coherence"], crosses[pair], 1.0)
                ax.yaxis.set_label_position("right")
                ax.yaxis.tick_right()
            else:
                _draw(ax, ell, spectra["power"], powers[pair], ell * (ell + 1) / (2 * np.pi))
            ax.set_xscale("log")
            ax.tick_params(labelsize=6, which="both")
            what = "r" if column > row else "power" if row == column else "cross"
            words = names[row] if row == column else f"{what}, {names[pair[0]]} × {names[pair[1]]}"
            ax.set_title(words, fontsize=8 if row == column else 6.5)
    for ax in axes[-1]:
        ax.set_xlabel("multipole ℓ", fontsize=8)
    axes[0, 0].legend(fontsize=6.5)
    return figure


def _draw(ax: Axes, ell: np.ndarray, by_set: dict[str, Any], pair: int, scale: Any) -> None:
    """Draw one pair's spectrum of every set: powers on a logarithmic axis where all are positive, r on its own.

    Errors of r are drawn beside each other; along a steep spectrum that would look like a difference.
    """
    step = 1.0 if np.ndim(scale) else (ell[-1] / ell[0]) ** (0.1 / max(len(ell) - 1, 1))
    lowest = []
    for number, (name, of) in enumerate(by_set.items()):
        value, error = (np.array(of[key], float)[pair] * scale for key in ("value", "standard_error"))
        colour, line = STYLE[name]
        at = ell * step ** (number - (len(by_set) - 1) / 2)
        ax.errorbar(at, value, error, color=colour, ls=line, lw=1, capsize=1.5, label=name)
        lowest.append(value.min() / value.max())
    if np.ndim(scale) and min(lowest) > 0:
        ax.set_yscale("log")
