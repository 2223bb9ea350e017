"""What a DCGAN's training shows, and when it warns; no JAX."""

from collections.abc import Mapping
from typing import Any

from cosmogan_jax.emulators.curves import DISCRIMINATOR_RIGHT, LOSSES, LOSSES_IN_NAT, Curve, Panel
from cosmogan_jax.emulators.early_warnings import CHECKERBOARD, DUPLICATES, NO_VARIANCE, SATURATED_TANH, Rule

CURVES = (
    LOSSES_IN_NAT,
    DISCRIMINATOR_RIGHT,
    Panel(
        "Gradient norms",
        "norm of the gradient",
        "log",
        (Curve("disc_grad_norm", "discriminator"), Curve("gen_grad_norm", "generator")),
    ),
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


def shown(loss: str) -> tuple[tuple[Panel, ...], tuple[Rule, ...]]:
    """Panels and rules of a training by a loss: only the paper's is measured in nat.

    The sign of a logit says nothing of Wasserstein's D: nothing counts as right there.
    """
    if loss == "non_saturating":
        return CURVES, WARNINGS
    panels = (Panel("Losses", f"loss, {loss.replace('_', ' ')}", "linear", LOSSES), *CURVES[1:])
    if loss != "wasserstein":
        return panels, WARNINGS
    return tuple(panel for panel in panels if panel is not DISCRIMINATOR_RIGHT), WARNINGS[1:]
