"""The selection's curve: every candidate's score against its step, and what the second pass said of the best.

Readable in grey and by colour-blind readers: Okabe and Ito's colours, each with a marker of its own.
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_BLACK, _ORANGE, _BLUE = "#222222", "#d55e00", "#56b4e9"
_LABELS = {
    "spectrum_chi2": "χ² of histograms\n(0 equal, 1 disjoint)",
    "band_chi2": "χ² of band powers\nwith covariance",
}
_MANY = 200  # points from here on are drawn small


def draw_selection(selection: dict[str, Any]) -> Figure:
    """Draw both scores of selection.json over steps, the one that ranked on top.

    Raises:
      ValueError: no candidate has a score.
    """
    names = sorted(_LABELS, key=lambda name: name != selection["by"])
    names = [name for name in names if any(c["first"].get(name) is not None for c in selection["candidates"])]
    if not names:
        raise ValueError("the selection holds no score to draw")
    figure = Figure(figsize=(7, 1.2 + 2.4 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for ax, name in zip(axes, names):
        _panel(ax, selection, name)
        ax.set_title(
            ("ranks: " if name == selection["by"] else "beside it: ") + _title(selection, name), fontsize=9
        )
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", fontsize=8, ncols=4)
    figure.suptitle(_fallback(selection), fontsize=9)
    return figure


def _panel(ax, selection: dict[str, Any], name: str) -> None:
    first, second = (_points(selection, which, name) for which in ("first", "second"))
    many = first.shape[1] > _MANY
    ax.plot(
        *first, "." if many else "o-", color=_BLUE if many else _BLACK, ms=2 if many else 4, lw=0.8,
        label=f"first pass, {first.shape[1]} candidates",
    )  # fmt: skip
    ax.plot(*second, "^", color=_ORANGE, ms=5, label=f"second pass, best {second.shape[1]}")
    chosen = selection["selected"]
    ax.axvline(chosen, color=_BLACK, ls=":", lw=1)
    here = second[:, second[0] == chosen]
    ax.plot(*here, "*", color=_ORANGE, mec=_BLACK, ms=14, label=f"selected: step {chosen}")
    equal = selection["second"]["expected_if_equal"][name]
    if equal:
        ax.axhline(equal, color=_BLACK, ls="--", lw=0.8, label="mean of equal ensembles")
    ax.set_ylabel(_LABELS[name], fontsize=8)
    ax.grid(alpha=0.25, lw=0.5)
    # A zero has no place on a logarithmic axis; such a panel stays linear.
    if (first[1] > 0).all() and (second[1] > 0).all():
        ax.set_yscale("log")


def _points(selection: dict[str, Any], which: str, name: str) -> np.ndarray:
    points = [
        (candidate["step"], candidate[which][name])
        for candidate in selection["candidates"]
        if candidate[which] and candidate[which].get(name) is not None
    ]
    return np.array(points, float).reshape(-1, 2).T


def _fallback(selection: dict[str, Any]) -> str:
    """Say what the second pass made of the best of the first."""
    luck = selection["fallback"]
    best, chosen = (
        "{:.3g}, then {:.3g}".format(*luck[f"{which}_scores"]) for which in ("first_best", "chosen")
    )
    correlation = luck["rank_correlation"]
    ranks = "" if correlation is None else f"; rank correlation of the passes {correlation:.2f}"
    return f"best at first, step {luck['first_best']}: {best}; selected: {chosen}{ranks}"


def _title(selection: dict[str, Any], name: str) -> str:
    second = selection["second"]
    bins = f"{second['modes']} modes" if name == "spectrum_chi2" else f"{second['bands']} bands"
    return (
        f"{bins}, {second['maps']} maps against {second['development_crops']} crops of "
        f"{second['development_parents']} development maps"
    )
