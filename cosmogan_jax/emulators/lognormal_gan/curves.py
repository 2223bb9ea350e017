"""Curves and warnings of a lognormal GAN's training; no JAX."""

from collections.abc import Mapping
from typing import Any

from cosmogan_jax.emulators.curves import (
    DISCRIMINATOR_RIGHT,
    LOSSES_IN_NAT,
    MATCHED,
    Curve,
    Panel,
    gradient_norms,
)
from cosmogan_jax.emulators.early_warnings import DUPLICATES, NO_VARIANCE, UNMATCHED, Rule

_PENALTIES = Panel("Penalties", "as added to J(D)", "log", (Curve("r1", "R1"),))
# Averaged over a logging interval. In the first trainings of experiments/019-lognormal-gan D was right on 0.57
# to 0.66 of either side from step 100 on.
DISCRIMINATOR_WINS = 0.9


def _balance(line: Mapping[str, Any]) -> str | None:
    real, fake = line.get("mean_disc_accuracy_real"), line.get("mean_disc_accuracy_fake")
    if real is None or fake is None:
        return None
    lost = min(real, fake) >= DISCRIMINATOR_WINS
    return f"loss of balance: D is right on {real:.1%} of real and {fake:.1%} of generated maps" if lost else ""


BALANCE = Rule("loss of balance", _balance)


def shown(*, matched: bool) -> tuple[tuple[Panel, ...], tuple[Rule, ...]]:
    """Return panels and rules of a training that matches statistics, or none."""
    norms = gradient_norms(matched)
    if not matched:
        return (LOSSES_IN_NAT, DISCRIMINATOR_RIGHT, norms, _PENALTIES), (BALANCE, NO_VARIANCE, DUPLICATES)
    panels = (LOSSES_IN_NAT, DISCRIMINATOR_RIGHT, MATCHED, norms, _PENALTIES)
    return panels, (BALANCE, UNMATCHED, NO_VARIANCE, DUPLICATES)
