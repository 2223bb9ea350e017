"""Plain lines about the known ways in which training an emulator fails, while there is time to act.

`observe` is a pure function over the lines of metrics.jsonl: what it has seen goes in and comes out. Every
failure has a rule: it must last before a line is given, and gives one line an episode. The rules here read the
development scores, which every kind of emulator has; a kind adds its own. Until WARM_UP steps
nothing counts: every network begins with the upsampling's own pattern and without contrast.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

# Thresholds from six runs at 64^2 with 16 filters of 1000 to 2600 steps, on two skies: kappa/0.12 with learning
# rates 1e-4 to 4e-4 and both update orders (healthy), and raw kappa, which did not leave the checkerboard
# (failing). Below are their extremes from step 500 on.
WARM_UP = 500
LASTING = 300

# Of the development maps' variance over maps: healthy 0.24 or more, failing 0.01 and falling.
COLLAPSED_VARIANCE = 0.1
# Of the development maps' distance to the most alike map in a batch: healthy 0.36 or more, failing 0.08
# or less.
COLLAPSED_DISTANCE = 0.2
# Excess power near the Nyquist frequency, as a share of the variance: healthy 0.08 or less, failing 0.27 or
# more. Beside it the ratio to the development maps': where these hold much power there, it is no pattern.
CHECKERBOARD_RATIO, CHECKERBOARD_EXCESS = 5.0, 0.15
# Share of pixels where tanh passes hardly any gradient, beyond the development maps' share: never seen above 0.
SATURATED = 0.01
# Of the matched means' deviations, averaged over a logging interval: within 0.06 after 300 steps of the first
# trainings of experiments/019-lognormal-gan.
NOT_MATCHED = 0.5


class Episode(NamedTuple):
    """Since when a failure is seen without a break, when it was seen last, and whether a warning told of it."""

    since: int | None
    last: int
    warned: bool


class Rule(NamedTuple):
    """A way to fail, and a function that tells in words what a line of metrics shows of it.

    "" where all is well, None where the line shows nothing.
    """

    name: str
    finding: Callable[[Mapping[str, Any]], str | None]


Episodes = dict[str, Episode]


def observe(episodes: Episodes, line: Mapping[str, Any], rules: Sequence[Rule]) -> tuple[Episodes, list[str]]:
    """Return the episodes after a line of metrics, and the warnings that the rules give."""
    step, after = line["step"], dict(episodes)
    warnings: list[str] = []
    if step < WARM_UP:
        return after, warnings
    for name, find in rules:
        finding = find(line)
        if finding is None:  # the line says nothing of it
            continue
        seen = after.get(name)
        if not finding:
            if seen and step - seen.last >= LASTING:
                del after[name]
            elif seen:
                after[name] = seen._replace(since=None)
            continue
        since = step if seen is None or seen.since is None else seen.since
        warned = seen is not None and seen.warned
        if not warned and step - since >= LASTING:
            warnings.append(f"warning: step {step}: {finding}, for {step - since} steps")
            warned = True
        after[name] = Episode(since, step, warned)
    return after, warnings


def _rule(name: str, metric: str, fails: Callable[[float], bool], words: str) -> Rule:
    """Make a rule about one metric; the words hold a place for its value."""

    def finding(line: Mapping[str, Any]) -> str | None:
        value = line.get(metric)
        if value is None:
            return None
        return words.format(value) if fails(value) else ""

    return Rule(name, finding)


def _checkerboard(line: Mapping[str, Any]) -> str | None:
    ratio, excess = line.get("checkerboard_ratio"), line.get("checkerboard_excess")
    if ratio is None or excess is None:
        return None
    failing = ratio > CHECKERBOARD_RATIO and excess > CHECKERBOARD_EXCESS
    return (
        f"checkerboard: {ratio:.3g} times the development maps' power in the upsampling's modes, "
        f"{excess:.1%} of the variance"
        if failing
        else ""
    )


NO_VARIANCE = _rule(
    "no variance",
    "variance_ratio",
    lambda ratio: ratio < COLLAPSED_VARIANCE,
    "collapse: generated maps vary by {:.3g} of the development maps' variance",
)
DUPLICATES = _rule(
    "duplicates",
    "nearest_ratio",
    lambda ratio: ratio < COLLAPSED_DISTANCE,
    "collapse: the most alike generated maps lie {:.3g} times as far apart as development maps",
)
CHECKERBOARD = Rule("checkerboard", _checkerboard)
SATURATED_TANH = _rule(
    "saturated",
    "saturated",
    lambda share: share > SATURATED,
    "tanh is saturated in {:.1%} of the pixels more than real maps need",
)
UNMATCHED = _rule(
    "matched statistics",
    "mean_match_rms",
    lambda rms: rms > NOT_MATCHED,
    "matched statistics do not converge: {:.2g} standard deviations off (rms)",
)
