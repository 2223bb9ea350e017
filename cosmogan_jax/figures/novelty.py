"""Figures of whether maps are new: the arrays of stage novelty's novelty.npz."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cosmogan_jax.figures.page import Section

_GENERATED, _REAL, _LIMIT = "#d55e00", "#222222", "#0072b2"  # Okabe and Ito's colour-blind palette
_SPACES = {
    "pixels": "rms difference per pixel [κ]",
    "windows": "rms difference per pixel [κ], all windows",
    "spectrum": "rms difference per band [σ]",
}

Arrays = Mapping[str, np.ndarray]


def draw_nearest(arrays: Arrays, side_deg: float) -> Figure:
    """Draw generated maps above the training maps nearest to them, by pixels and by power spectrum (Figure 7).

    Under each its distance, over the median of the validation crops' distances to their nearest: far below 1
    for a copy.
    """
    rows = {"generated": arrays["shown_generated"]}
    for name in ("pixels", "windows", "spectrum"):
        if f"shown_{name}" in arrays:
            rows[name] = arrays[f"shown_{name}"]
    columns = len(arrays["shown"])
    figure = Figure(figsize=(1.6 * columns + 1.2, 1.85 * len(rows) + 0.4), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    low, high = np.quantile(arrays["shown_generated"], [0.005, 0.995])
    for row, (name, maps) in zip(axes, rows.items()):
        for ax, kappa, number in zip(row, maps, arrays["shown"]):
            image = _map(ax, kappa, low, high, side_deg)
            if name == "generated":
                ax.set_title(f"map {number}", fontsize=8)
            else:
                ratio = _ratio(arrays, name, number)
                ax.set_xlabel("" if ratio is None else f"{ratio:.2f}", fontsize=8)
        label = {"generated": "generated", "windows": "nearest window\nof a training map"}
        row[0].set_ylabel(label.get(name, f"nearest training\ncrop, {name}"), fontsize=8)
    figure.colorbar(image, ax=axes, label="convergence κ", shrink=0.6)
    figure.supxlabel(
        f"maps {side_deg:.3g}° wide; numbers: distance / median distance of validation crops to their nearest",
        fontsize=8,
    )
    return figure


def draw_nearest_distances(arrays: Arrays, tables: dict[str, Any]) -> Figure:
    """Draw distances to the nearest training map, of generated maps and of validation crops, by space."""
    limits = {name: entry["verdict"]["threshold"] for name, entry in tables["nearest"].items()}
    return _histograms(arrays, "nearest", ("validation", "generated"), limits, "to the nearest training map")


def draw_birthday(arrays: Arrays, tables: dict[str, Any]) -> Figure:
    """Draw distances to the nearest other map, of generated maps and of crops of other parents, by space."""
    limits = {name: entry["verdict"]["threshold"] for name, entry in tables["birthday"].items()}
    features = tables.get("features") or {}
    own = {features["name"]: features["label"]} if features else {}
    return _histograms(arrays, "birthday", ("real", "generated"), limits, "to the nearest other map", own)


def draw_interpolation(arrays: Arrays, side_deg: float) -> Figure:
    """Draw maps along great circles between two z, left to right (Figure 8), with the steps' sizes below."""
    strips, steps = arrays["strips"], arrays["steps"]
    figure = Figure(figsize=(1.1 * strips.shape[1] + 1.2, 1.15 * len(strips) + 2), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(len(strips), 1.6))[:, 0]
    axes = above.subplots(*strips.shape[:2], squeeze=False)
    low, high = np.quantile(strips, [0.005, 0.995])
    for row, strip in zip(axes, strips):
        for ax, kappa in zip(row, strip):
            image = _map(ax, kappa, low, high, side_deg)
    for i, ax in enumerate(axes[0]):
        ax.set_title(f"{i / (strips.shape[1] - 1):.3g}", fontsize=8)
    above.colorbar(image, ax=axes, label="convergence κ", shrink=0.8)
    ax = below.subplots()
    t = (np.arange(steps.shape[1]) + 0.5) / steps.shape[1]
    ax.plot(t, steps[len(strips) :].T, "-", color="#999999", lw=0.8)
    for i, (values, line) in enumerate(zip(steps[: len(strips)], ("-", "--", ":"))):
        ax.plot(t, values, line, color=_GENERATED, label=f"strip {i + 1}")
    ax.set(xlim=(0, 1), ylim=(0, None), xlabel="position between the two z", ylabel="rms change\nof a step [κ]")
    ax.legend(fontsize=7, ncols=3)
    return figure


def _map(ax, kappa: np.ndarray, low: float, high: float, side_deg: float):
    ax.set(xticks=[], yticks=[])
    return ax.imshow(
        kappa, vmin=low, vmax=high, origin="lower", cmap="cividis", extent=(0, side_deg, 0, side_deg)
    )


def _ratio(arrays: Arrays, name: str, number: int) -> float | None:
    typical = np.median(arrays[f"nearest_{name}_validation"])
    return float(arrays[f"nearest_{name}_generated"][number] / typical) if typical > 0 else None


def _histograms(
    arrays: Arrays,
    kind: str,
    sets: tuple[str, str],
    limits: dict[str, float],
    to_what: str,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> Figure:
    """Draw one panel a space; labels: of the axes of spaces that are not of every kind of emulator."""
    figure = Figure(figsize=(3.9 * len(limits), 3.2), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(limits)))
    for ax, (name, limit) in zip(axes, limits.items()):
        values = {which: arrays[f"{kind}_{name}_{which}"] for which in sets}
        values = {which: distance[np.isfinite(distance)] for which, distance in values.items()}
        top = max(distance.max(initial=0) for distance in values.values())
        bins = np.linspace(0, 1.02 * top if top > 0 else 1, 41)
        for which, colour, line in zip(sets, (_REAL, _GENERATED), ("-", "--")):
            share = np.full(len(values[which]), 1 / max(1, len(values[which])))
            label = f"{'training crops' if which == 'real' else which} ({len(share)})"
            style = {"histtype": "step", "color": colour, "ls": line, "lw": 1.5}
            ax.hist(values[which], bins, weights=share, label=label, **style)
        if limit:
            ax.axvspan(0, limit, color=_LIMIT, alpha=0.15, lw=0, label="counts as the same")
        ax.set(
            xlabel=f"{labels.get(name) or _SPACES.get(name, 'rms difference per feature')}\n{to_what}",
            ylabel="share of maps",
            title=name,
            xlim=(0, bins[-1]),
        )
        ax.locator_params(axis="x", nbins=5)
        ax.legend(fontsize=7)
    return figure


def sections(tables: dict[str, Any], arrays: dict[str, np.ndarray], side_deg: float) -> Iterator[Section]:
    """Give the sections of what stage novelty found, as a report tells it: novelty.json and novelty.npz."""
    titles = ("Generated maps and the training maps nearest to them", "The closest pairs")
    left_out = tables.get("left_out", {})
    if "nearest" in left_out:
        yield Section(titles[0], (f"Not looked for: {left_out['nearest']}.",))
    else:
        text = (
            "Under each map its distance, in units of the median distance of validation maps to their nearest."
        )
        yield Section(titles[0], (text,), draw_nearest(arrays, side_deg), number="Figure 7")
        yield Section("Distances to the nearest training map", (), draw_nearest_distances(arrays, tables))
    if "strips" in arrays:  # given maps come without their generator
        yield Section("Interpolation", (), draw_interpolation(arrays, side_deg), number="Figure 8")
    missing = {"features": "Pairs by features of the training", "interpolation": "Interpolation"}
    not_drawn = [
        f"Not drawn: {missing.get(name, name)}, since {why}."
        for name, why in left_out.items()
        if name not in ("nearest", "pairs")
    ]
    if "pairs" in left_out:
        yield Section(titles[1], (f"Not looked for: {left_out['pairs']}.", *_copies(tables), *not_drawn))
        return
    text = " ".join((_support(tables), *_copies(tables)))
    yield Section(titles[1], (text, *not_drawn), draw_birthday(arrays, tables))


def _copies(tables: dict[str, Any]) -> tuple[str, ...]:
    """Say whether there are copies; nothing where they were not looked for."""
    copies = tables["verdict"]["copies"]
    return () if copies is None else (f"Copies of training maps: {'found' if copies else 'none'}.",)


def _support(tables: dict[str, Any]) -> str:
    verdict, count = tables["verdict"], tables["num_batches"]
    line = f"{'One batch' if count == 1 else f'{count} batches'} of {tables['num_maps']} generated maps: "
    line += "maps that are the same were found" if verdict["collisions"] else "no two maps are the same"
    if verdict["support_above"]:
        line += f", which says at 95 % that there are more than {verdict['support_above']:.2g} distinct ones"
    return line + "."
