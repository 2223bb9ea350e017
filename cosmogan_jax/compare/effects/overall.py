"""One outcome for an emulator: pass, incomplete or fail; and what it rests on.

pass          everything that is required is resolvable and passes: mean and standard deviation of the power
              spectrum, the density of the pixels, peaks and Minkowski functionals, correlations and slope of
              the power's covariance; no more duplicates than among real maps; nothing fixed in place beyond its
              margin; a classifier's upper limit within its margin of what real maps give
fail          anything that was judged fails, whether it is required or not: disagreement is shown
incomplete    neither: it agrees on what is listed, and the rest could not be told

Fewer maps make no pass easier: what they cannot resolve is open, and an open requirement is no pass.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Outcome = Literal["pass", "incomplete", "fail"]


class Finding(NamedTuple):
    """One thing that was judged.

    outcome: "pass", "fail", or in other words why it is open. required: no pass without it. needs: what would
    settle it, in words.
    """

    name: str
    outcome: str
    required: bool = True
    needs: str | None = None


class Overall(NamedTuple):
    """The outcome, and names of what passes, fails and is open; required things before others."""

    outcome: Outcome
    agrees: tuple[str, ...]
    fails: tuple[str, ...]
    open: tuple[Finding, ...]

    def in_words(self) -> str:
        """Say in one line what passes, fails or is open."""
        if self.outcome == "fail":
            return f"differs in {_listed(self.fails)}"
        if self.outcome == "pass":
            return f"agrees in all {len(self.agrees)} things that are told"
        unknown = [finding.name for finding in self.open if finding.required]
        agrees = f"agrees on {_listed(self.agrees)}" if self.agrees else "agreement is shown in nothing"
        return f"{agrees}; open: {_listed(unknown)}"


def overall(findings: Sequence[Finding]) -> Overall:
    """Return the outcome of all findings together.

    Raises:
      ValueError: none that is required: nothing would be asked for a pass.
    """
    if not any(finding.required for finding in findings):
        raise ValueError("no finding is required: there is nothing to pass")
    ordered = sorted(findings, key=lambda finding: not finding.required)
    agrees, fails = (
        tuple(finding.name for finding in ordered if finding.outcome == outcome) for outcome in ("pass", "fail")
    )
    unresolved = tuple(finding for finding in ordered if finding.outcome not in ("pass", "fail"))
    passes = not any(finding.required for finding in unresolved)
    return Overall("fail" if fails else "pass" if passes else "incomplete", agrees, fails, unresolved)


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
