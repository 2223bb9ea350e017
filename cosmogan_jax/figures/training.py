"""Training curves: what the kind of emulator shows of its training, development scores, speed.

Readable in grey and by colour-blind readers: Okabe and Ito's colours, each with a line style of its own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

_BLACK, _ORANGE, _BLUE, _GREEN = "#222222", "#d55e00", "#0072b2", "#009e73"
_STYLES = ((_BLACK, "-"), (_ORANGE, "--"), (_BLUE, "-."), (_GREEN, ":"))
# A panel: title, label of its axis with units, scale, the curves by name of the metric. What a log does not
# hold is left out, and so is a panel of which it holds nothing. These are of every kind of emulator.
Panel = tuple[str, str, str, dict[str, str]]
_PANELS: tuple[Panel, ...] = (
    (
        "Distances to development maps",
        "distance (0: equal)",
        "log",
        {"pixel_ks": "pixels, Kolmogorov-Smirnov", "spectrum_chi2": "power spectrum, χ²"},
    ),
    (
        "Diversity",
        "generated / development",
        "log",
        {"variance_ratio": "variance over maps", "nearest_ratio": "distance to most alike map"},
    ),
    (
        "Upsampling's pattern",
        "power, generated / development",
        "log",
        {"checkerboard_ratio": "near the Nyquist frequency"},
    ),
    (
        "Stationarity",
        "contrast (0: stationary)",
        "linear",
        {
            "border_mean": "border − centre, mean [σ]",
            "border_sigma": "border / centre, σ − 1",
            "row_column": "ln(row / column power)",
        },
    ),
    ("Speed", "steps per second", "linear", {"steps_per_second": "without compilation and scores"}),
)


def draw_training(metrics: list[dict[str, Any]], own: Sequence[Panel] = ()) -> Figure:
    """Draw every panel that the lines of metrics.jsonl fill, over steps; interval means where there are such.

    own are the panels of the kind of emulator, which come first.

    Raises:
      ValueError: no line holds any of the curves.
    """
    panels = [
        (panel, curves)
        for panel in (*own, *_PANELS)
        if (
            curves := [
                (label, *_curve(metrics, name)) for name, label in panel[3].items() if _has(metrics, name)
            ]
        )
    ]
    if not panels:
        raise ValueError("the training's log holds nothing to draw")
    columns = 2 if len(panels) > 1 else 1
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.5 * columns, 2.7 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, ((title, unit, scale, _), curves) in zip(axes, panels):
        for (label, step, value), (colour, line) in zip(curves, _STYLES):
            marker = "o" if len(step) < 15 else None
            ax.plot(step, value, line, color=colour, lw=1.2, marker=marker, ms=3, label=label)
        # A zero on a logarithmic axis has no place; such a panel stays linear.
        positive = all((value > 0).all() for _, _, value in curves)
        ax.set(xlabel="step", yscale=scale if positive else "linear")
        ax.set_title(title, fontsize=10)
        ax.set_ylabel(unit, fontsize=8)
        if title == "Speed":
            ax.set_ylim(bottom=0)
        ax.grid(alpha=0.25, lw=0.5)
        ax.legend(fontsize=8, framealpha=0.8)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    return figure


def _has(metrics: list[dict[str, Any]], name: str) -> bool:
    return any(line.get(name) is not None for line in metrics)


def _curve(metrics: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and values of the lines that hold a metric; its interval's mean where a line holds it."""
    mean = f"mean_{name}"
    points = [(line["step"], line.get(mean, line.get(name))) for line in metrics if line.get(name) is not None]
    return tuple(np.array(points, float).T)
