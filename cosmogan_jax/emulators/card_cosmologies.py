"""What a model card says of the cosmologies that an emulator is of: range, hull, errors, derivatives."""

import itertools
from typing import Any

import numpy as np
from jaxtyping import Float

from cosmogan_jax.sky.parameter_design import in_hull

_COLUMNS, _ROWS = 44, 15  # of a drawn hull


def section(card: dict[str, Any]) -> str:
    """Return the section on cosmologies of card.md; nothing where maps are conditioned on none."""
    names = card["parameters"]
    if not names:
        return ""
    points = np.array(card.get("design", []), float).reshape(-1, len(names))
    lines = ["## Cosmologies", f"Conditioned on {', '.join(names)}. {_training(names, points)}"]
    for first, second in itertools.combinations(range(len(names)), 2):
        if len(points):
            lines += ["", f"{names[second]} over {names[first]}: training cosmologies `o`, their hull `.`", ""]
            lines += [
                f"    {row}" for row in drawn_hull(points[:, [first, second]], names[first], names[second])
            ]
    if errors := card.get("left_out"):
        parts = ", ".join(f"{name} {value:.2g}" for name, value in errors.items())
        lines += [
            "",
            f"What the base errs by at a training cosmology that is left out (rms over all): {parts}.",
        ]
    limit = card.get("derivatives_to_ell")
    lines += [
        "",
        f"Derivatives with respect to {', '.join(names)} hold up to ell {limit:g}, as those of its training "
        "maps do; none is offered beyond."
        if limit
        else "Up to which ell derivatives of its training maps with respect to these hold is not known.",
        "A seed at two source redshifts is not one light cone: cross spectra of the two are not modelled."
        if "source_redshift" in names
        else "",
    ]
    return "\n".join(lines).rstrip() + "\n\n"


def flag_of_the_mean(card: dict[str, Any]) -> str:
    """Return the flag of stage generate for the mean of the training cosmologies; nothing if there are none."""
    design = card.get("design", [])
    means = [
        f"{name}={sum(values) / len(design):.4g}" for name, values in zip(card["parameters"], zip(*design))
    ]
    return f" --generate_parameters={','.join(means)}" if means else ""


def drawn_hull(points: Float[np.ndarray, "points 2"], across: str, up: str) -> list[str]:
    """Draw points in a plane, and their hull, with characters."""
    low, high = points.min(0), points.max(0)
    extent = np.where(high > low, high - low, 1.0)
    cells = np.array([_COLUMNS - 1, _ROWS - 1])
    rows = [[" "] * _COLUMNS for _ in range(_ROWS)]
    for row, column in itertools.product(range(_ROWS), range(_COLUMNS)):
        if in_hull(points, low + np.array([column, row]) / cells * extent):
            rows[row][column] = "."
    for column, row in np.rint((points - low) / extent * cells).astype(int):
        rows[row][column] = "o"
    label = max(len(f"{limit:.4g}") for limit in (low[1], high[1], 0.0))
    sides = {_ROWS - 1: f"{high[1]:.4g}", 0: f"{low[1]:.4g}"}
    lines = [f"{up}"]
    lines += [f"{sides.get(n, ''):>{label}} |{''.join(rows[n])}".rstrip() for n in reversed(range(_ROWS))]
    lines += [f"{'':>{label}} +{'-' * _COLUMNS}"]
    left, right = f"{low[0]:.4g}", f"{high[0]:.4g}"
    lines += [f"{'':>{label}}  {left}{across:^{_COLUMNS - len(left) - len(right)}}{right}"]
    return lines


def _training(names: list[str], points: np.ndarray) -> str:
    if not len(points):
        return "Which cosmologies it was trained on is not recorded."
    ranges = ", ".join(
        f"{name} {low:.4g} to {high:.4g}" for name, low, high in zip(names, points.min(0), points.max(0))
    )
    return (
        f"Trained on {len(points)} cosmologies, {ranges}; outside their hull maps are refused unless told "
        "otherwise (`extrapolate`)."
    )
