"""Curves and warnings of a DCGAN's training; no JAX."""

from collections.abc import Mapping
from typing import Any

from cosmogan_jax.emulators.curves import (
    DISCRIMINATOR_RIGHT,
    LOSSES,
    LOSSES_IN_NAT,
    MATCHED,
    Curve,
    Panel,
    gradient_norms,
)
from cosmogan_jax.emulators.early_warnings import (
    CHECKERBOARD,
    DUPLICATES,
    NO_VARIANCE,
    SATURATED_TANH,
    UNMATCHED,
    Rule,
)

CURVES = (
    LOSSES_IN_NAT,
    DISCRIMINATOR_RIGHT,
    gradient_norms(matched=False),
    Panel(
        "Penalties",
        "as added to J(D)",
        "log",
        (Curve("r1", "R1"), Curve("gradient_penalty", "gradient penalty")),
    ),
)
# Both accuracies, averaged over a logging interval, in the runs of `early_warnings.py`: healthy at most 0.96 in
# both, failing 1.00.
DISCRIMINATOR_WINS = 0.98


def _discriminator_wins(line: Mapping[str, Any]) -> str | None:
    real, fake = line.get("mean_disc_accuracy_real"), line.get("mean_disc_accuracy_fake")
    if real is None or fake is None:
        return None
    wins = min(real, fake) >= DISCRIMINATOR_WINS
    return (
        f"the discriminator wins: right on {real:.1%} of real and {fake:.1%} of generated maps" if wins else ""
    )


WARNINGS = (
    Rule("discriminator wins", _discriminator_wins),
    NO_VARIANCE,
    DUPLICATES,
    CHECKERBOARD,
    SATURATED_TANH,
)


def shown(loss: str, *, matched: bool = False) -> tuple[tuple[Panel, ...], tuple[Rule, ...]]:
    """Return panels and rules of a training by a loss, which may match statistics; the paper's is in nat.

    The sign of a logit says nothing of Wasserstein's D: nothing counts as right there.
    """
    panels: tuple[Panel, ...] = CURVES
    rules: tuple[Rule, ...] = WARNINGS
    if matched:
        losses, right, _, penalties = CURVES
        panels = (losses, right, MATCHED, gradient_norms(matched=True), penalties)
        rules = (*WARNINGS, UNMATCHED)
    if loss == "non_saturating":
        return panels, rules
    panels = (Panel("Losses", f"loss, {loss.replace('_', ' ')}", "linear", LOSSES), *panels[1:])
    if loss != "wasserstein":
        return panels, rules
    return tuple(panel for panel in panels if panel is not DISCRIMINATOR_RIGHT), rules[1:]
