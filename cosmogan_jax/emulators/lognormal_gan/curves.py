"""What a lognormal GAN's training shows, and when it warns; no JAX."""

from collections.abc import Mapping
from typing import Any

from cosmogan_jax.emulators.curves import DISCRIMINATOR_RIGHT, LOSSES_IN_NAT, Curve, Panel
from cosmogan_jax.emulators.early_warnings import DUPLICATES, NO_VARIANCE, Rule

CURVES = (
    LOSSES_IN_NAT,
    DISCRIMINATOR_RIGHT,
    Panel(
        "Matched statistics",
        "standard deviations of one map",
        "log",
        (
            Curve("match_rms", "rms of their means' deviations", averaged=True),
            Curve("match_worst", "largest", averaged=True),
        ),
    ),
    Panel(
        "Gradient norms",
        "norm of the gradient",
        "log",
        (
            Curve("disc_grad_norm", "discriminator"),
            Curve("gen_grad_norm", "generator"),
            Curve("match_share", "matching / adversarial, before the cap"),
        ),
    ),
    Panel("Penalties", "as added to J(D)", "log", (Curve("r1", "R1"),)),
)
# Averaged over a logging interval. In the first trainings of experiments/019-lognormal-gan D was right on 0.57
# to 0.66 of either side from step 100 on, and the matched means came to within 0.06 (rms) after 300 steps.
DISCRIMINATOR_WINS, NOT_MATCHED = 0.9, 0.5


def _balance(line: Mapping[str, Any]) -> str | None:
    real, fake = line.get("mean_disc_accuracy_real"), line.get("mean_disc_accuracy_fake")
    if real is None or fake is None:
        return None
    lost = min(real, fake) >= DISCRIMINATOR_WINS
    return f"loss of balance: D is right on {real:.1%} of real and {fake:.1%} of generated maps" if lost else ""


def _matched(line: Mapping[str, Any]) -> str | None:
    rms = line.get("mean_match_rms")
    if rms is None:
        return None
    off = rms > NOT_MATCHED
    return f"matched statistics do not converge: {rms:.2g} standard deviations off (rms)" if off else ""


WARNINGS = (
    Rule("loss of balance", _balance),
    Rule("matched statistics", _matched),
    NO_VARIANCE,
    DUPLICATES,
)
