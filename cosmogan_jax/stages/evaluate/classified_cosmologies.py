"""The classifier of maps of several cosmologies: how well maps of each are told apart, and the mean of that.

One training for all, whatever their number: a training at each would take as many times as long, on as many
times fewer maps. Its rules know of cosmologies so far:

- maps are standardised by mean and sigma of their own cosmology's validation maps, so that a cosmology is not
  what is learnt, and a generator whose sigma is off is still seen;
- in every part of a split there are as many maps of one set as of the other at every cosmology;
- beside the network and the linear rules of all maps there are linear rules of each cosmology, closed forms
  that cost next to nothing: a generator that answers too strongly to a parameter is off in one direction here
  and in the other there, which no rule of all maps sees;
- the weights of the rules, whose logits are log odds, are those of all maps.

What the network alone would see at one cosmology only, it has seen in few maps: there the whole is weaker than
a training at that cosmology. The control is treated alike.

The mean over cosmologies of the area under the ROC curve stands in results.json as `classifier`, in the form
that `classification.py` gives it, and decides; each one's own is told with the cosmology (`cosmologies.py`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare.cosmologies import Cosmologies, in_words, shares_units
from cosmogan_jax.compare.design_verdict import AucAtPoint
from cosmogan_jax.compare.discrimination import classify
from cosmogan_jax.compare.discrimination.areas import (
    Discrimination,
    Told,
    discrimination,
    excess_auc,
    mean_discrimination,
)
from cosmogan_jax.compare.discrimination.classifier_features import features_of, linear_rule, reference_of
from cosmogan_jax.compare.parents import equally_many, parts_by_parent
from cosmogan_jax.maps.sets import MapSets
from cosmogan_jax.stages.evaluate.classification import (
    FEWEST_PARENTS,
    SEEN,
    SHARES,
    ClassificationSettings,
    rules_of,
    share_entry,
    share_of,
    taught_pixels,
)
from cosmogan_jax.stages.evaluate.classified_maps import (
    ClassifiedSet,
    KeptMaps,
    Parts,
    Reader,
    of_some_parents,
    read_kept,
    standardise,
)

_SEED = 0
# A linear rule of fewer maps of each set than so many times its features is noise.
_MAPS_A_FEATURE = 2


class Classified(NamedTuple):
    """results.json's `classifier`, and each cosmology's own; none where there is no classifier."""

    whole: dict[str, Any] | None
    points: list[AucAtPoint]


def judge(
    sets: MapSets,
    labels: dict[str, np.ndarray],
    cosmologies: Cosmologies,
    num_steps: int,
    margin: float,
    *,
    together: int = 1,
    of_all_bins: Mapping[str, Reader] | None = None,
) -> Classified:
    """Train and test; refused, with the reason, where a cosmology has too few units or maps are too small.

    together: how many evaluations are given as one, of several source bins. of_all_bins: as
    `classification.judge` takes it.
    """
    if not num_steps:
        return Classified(None, [])
    if refused := _refusal(sets, labels, cosmologies):
        return Classified({"refused": refused}, [])
    reads = of_all_bins or {maps.name: maps.read for maps in sets.present()}
    kept = [
        read_kept(ClassifiedSet(name, reads[name], labels[name], cosmologies.of_map[name]), None)
        for name in (maps.name for maps in sets.present())
    ]
    _standardise(kept, len(cosmologies.points))
    settings = ClassificationSettings(num_steps, None, _SEED, margin)
    side_deg, names = sets.validation.geometry.side_deg, ["auxiliary", "validation"]
    if sets.auxiliary is None:
        generated, real = _split(kept)
        halves = [kept[1].at(half) for half in _by_parent(kept[1], (1, 1))]
        others = _split(halves)
        names = ["one half of the validation parents", "the other half"]
    else:
        generated, real, other = _split(kept)
        others = [other, real]
    del kept
    result, of_points = _tell_apart(generated, real, side_deg, settings)
    control, of_control = _tell_apart(others[0], others[1], side_deg, settings)
    count = len(cosmologies.points)
    print(
        f"evaluate: classifier took {result['seconds'] + control['seconds']:.0f} s: twice {num_steps} steps, "
        f"{result['maps_each']['train']} maps of each set to train on, of {count} cosmologies",
        flush=True,
    )
    excess = excess_auc(share_of(result["auc"]), share_of(control["auc"]), margin, together)
    whole = {
        "generated": result
        | {"sets": ["generated", "validation"], "excess": excess._asdict() | {"margin": margin}},
        "control": control | {"sets": names},
    }
    points = [
        _at_point(ours, theirs, margin, together * count)
        for ours, theirs in zip(of_points, of_control, strict=True)
    ]
    return Classified(whole, points)


def _at_point(ours: Discrimination, theirs: Discrimination, margin: float, together: int) -> AucAtPoint:
    generated, control = ours.auc, theirs.auc
    excess = excess_auc(generated, control, margin, together)
    return AucAtPoint(
        generated.value, generated.standard_error, control.value, control.standard_error,
        excess.value, excess.lower, excess.upper, margin, excess.outcome,
    )  # fmt: skip


def _refusal(sets: MapSets, labels: dict[str, np.ndarray], cosmologies: Cosmologies) -> str | None:
    size = sets.validation.geometry.num_pixels
    if size < classify.STRIDE:
        return f"maps of {size} pixels are too small for it, which needs {classify.STRIDE}"
    for maps in sets.present():
        needed = FEWEST_PARENTS * (2 if maps.name == "validation" and sets.auxiliary is None else 1)
        for number in range(len(cosmologies.points)):
            count = len(np.unique(labels[maps.name][cosmologies.of_map[maps.name] == number]))
            if count < needed:
                at = in_words(cosmologies.values(number))
                return f"{count} independent units in the {maps.name} set at {at}; it needs {needed}"
    return None


def _standardise(kept: Sequence[KeptMaps], num_points: int) -> None:
    """Bring all maps, in place, to units of their own cosmology's validation maps, which come second."""
    for number in range(num_points):
        here = [maps.cosmology == number for maps in kept]
        standardise(kept, kept[1].kappa[here[1]], here)


def _by_parent(maps: KeptMaps, shares: Sequence[float]) -> list[np.ndarray]:
    """Return indices of parts: of parents shared by cosmologies, and else of each cosmology's own."""
    if shares_units(np.unique(maps.parents, return_inverse=True)[1], maps.cosmology):
        return parts_by_parent(maps.parents, shares, seed=_SEED)
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for number in np.unique(maps.cosmology):
        here = np.flatnonzero(maps.cosmology == number)
        for part, index in zip(parts, parts_by_parent(maps.parents[here], shares, seed=_SEED)):
            part.append(here[index])
    return [np.sort(np.concatenate(part)) for part in parts]


def _split(sets: Sequence[KeptMaps]) -> list[Parts]:
    """Return each set in parts of its parents, at every cosmology as many maps as of any other set in each.

    Sets whose parents gave several maps of a cosmology each are cut to as many parents as the one of them that
    has fewest, as in `classification.split`.
    """
    several = [len(np.unique(np.stack([_numbers(s), s.cosmology]), axis=1).T) < len(s.parents) for s in sets]
    fewest = min((len(np.unique(s.parents)) for s, some in zip(sets, several) if some), default=0)
    sets = [of_some_parents(s, fewest, _SEED) if some else s for s, some in zip(sets, several)]
    parts = [_by_parent(s, SHARES) for s in sets]
    chosen: list[list[np.ndarray]] = [[] for _ in sets]
    for indices in zip(*parts):
        here = [[index[s.cosmology[index] == number] for number in np.unique(sets[0].cosmology)]
                for s, index in zip(sets, indices)]  # fmt: skip
        most = [min(map(len, at)) for at in zip(*here)]
        for s, at, kept in zip(sets, here, chosen):
            kept.append(np.concatenate([equally_many(n, s.parents, index) for n, index in zip(most, at)]))
    return [
        Parts(s.at(train), s.at(weigh), s.at(test))
        for s, (test, train, weigh) in zip(sets, chosen, strict=True)
    ]


def _numbers(maps: KeptMaps) -> np.ndarray:
    return np.unique(maps.parents, return_inverse=True)[1]


def _tell_apart(
    first: Parts, second: Parts, side_deg: float, settings: ClassificationSettings
) -> tuple[dict[str, Any], list[Discrimination]]:
    """Return what `classification.tell_apart` does, of means over cosmologies, and each one's own."""
    began = time.monotonic()
    logits_of = _taught(first.train, second.train, side_deg, settings)
    combined = classify.combination(logits_of(first.weigh), logits_of(second.weigh))
    logits = [logits_of(part) for part in (first.test, second.test)]
    tests = first.test, second.test

    def told(scores: Sequence[np.ndarray]) -> list[Told]:
        of_points = []
        for number in np.unique(first.test.cosmology):
            here = [part.cosmology == number for part in tests]
            of_points.append(
                Told(
                    *(score[at] for score, at in zip(scores, here)),
                    *(part.parents[at] for part, at in zip(tests, here)),
                )
            )
        return of_points

    rules = rules_of(first.train.kappa)
    by_point = told([combined(x) for x in logits])
    whole = mean_discrimination(by_point)
    alone = {
        f"auc_of_{rule}": share_entry(mean_discrimination(told([x[:, i] for x in logits])).auc)
        for i, rule in enumerate((*rules, *(f"own_{rule}" for rule in rules[1:])))
    }
    seen = []
    for part in (first.train, second.train):
        some = np.arange(0, len(part.parents), -(-len(part.parents) // SEEN))
        seen.append(np.mean(combined(logits_of(part.at(some))) > 0))
    entry = {
        "accuracy": share_entry(whole.accuracy),
        "auc": share_entry(whole.auc),
        **alone,
        "accuracy_on_training_maps": float((seen[0] + 1 - seen[1]) / 2),
        "num_steps": settings.num_steps,
        "mean_over_cosmologies": len(by_point),
        "maps_each": {name: len(part.parents) for name, part in first._asdict().items()},
        "parents": [
            {name: len(np.unique(part.parents)) for name, part in s._asdict().items()} for s in (first, second)
        ],
        "test_parents": [len(np.unique(part.parents)) for part in tests],
        "seconds": round(time.monotonic() - began, 1),
    }
    return entry, [discrimination(*at) for at in by_point]


def _taught(
    first: KeptMaps, second: KeptMaps, side_deg: float, settings: ClassificationSettings
) -> Callable[[KeptMaps], Float[np.ndarray, "maps rules"]]:
    """Train rules on all maps, and linear ones at every cosmology; return what gives maps' logits by them."""
    both = first, second
    reference = reference_of(first.kappa, second.kappa, side_deg)
    features = list(zip(*(features_of(maps.kappa, reference, side_deg) for maps in both)))
    rules = [linear_rule(*pair) for pair in features]
    own = [
        {
            number: linear_rule(*(x[maps.cosmology == number] for x, maps in zip(pair, both)))
            for number in np.unique(first.cosmology)
            if min((maps.cosmology == number).sum() for maps in both) > _MAPS_A_FEATURE * pair[0].shape[1]
        }
        for pair in features
    ]
    pixels_of = taught_pixels(first.kappa, second.kappa, settings)

    def logits_of(maps: KeptMaps) -> np.ndarray:
        measured = features_of(maps.kappa, reference, side_deg)
        columns = [pixels_of(maps.kappa), *(rule(x) for rule, x in zip(rules, measured))]
        for of_points, x in zip(own, measured):
            logit = np.zeros(len(x))  # no opinion where a cosmology has too few maps
            for number, rule in of_points.items():
                here = maps.cosmology == number
                logit[here] = rule(x[here])
            columns.append(logit)
        return np.stack(columns, -1)

    return logits_of
