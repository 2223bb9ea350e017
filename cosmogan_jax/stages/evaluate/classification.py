"""The classifier: can it tell generated from validation maps, and as well real maps of other boxes?

What results.json holds of it as `classifier`.
"""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax import keys
from cosmogan_jax.compare.discrimination import classify
from cosmogan_jax.compare.discrimination.areas import Share, discrimination, excess_auc
from cosmogan_jax.compare.discrimination.classifier_features import (
    features_of,
    linear_rule,
    linear_rules,
    reference_of,
)
from cosmogan_jax.compare.discrimination.classifier_network import Classifier
from cosmogan_jax.compare.parents import equally_many, parts_by_parent
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.sets import MapSets
from cosmogan_jax.settings.margins import SETS
from cosmogan_jax.stages.evaluate.classified_maps import (
    ClassifiedSet,
    KeptMaps,
    Parts,
    Reader,
    of_some_parents,
    read_kept,
    standardise,
)

# Measured on 64^2 maps (experiments/010-classifier): twice the filters find no more, at 2.8 times the cost.
NUM_FILTERS = 8
BATCH_SIZE = 64
# Maps to test on, to train rules on, and to weigh the rules by; in the order in which parents are dealt out.
SHARES = (4, 3, 1)
# In each part of a set two parents at least are wanted to train and to test on.
FEWEST_PARENTS = 5
SEEN = 512  # training maps of each set that say how often it is right on what it has seen
_SEED = 0


class ClassificationSettings(NamedTuple):
    """num_steps of training, 0 for none; seed of everything random.

    max_maps: of each set at most so many are read; None: what MOST_BYTES hold.
    margin: of the AUC beyond what real maps excuse.
    together: how many areas are judged as one, as `areas.excess_auc` has it.
    """

    num_steps: int
    max_maps: int | None
    seed: int
    margin: float = SETS["default"].auc
    together: int = 1


def judge(
    sets: MapSets,
    labels: dict[str, np.ndarray],
    num_steps: int,
    margin: float,
    *,
    together: int = 1,
    of_all_bins: Mapping[str, Reader] | None = None,
) -> dict[str, Any] | None:
    """Return results.json's `classifier`; refused: why there is none, where one was asked for.

    Args:
      together: as `ClassificationSettings` has it.
      of_all_bins: by set what reads maps of several source bins, all of which are seen; the sets are of one.
    """
    if not num_steps:
        return None
    size = sets.validation.geometry.num_pixels
    if size < classify.STRIDE:
        return {"refused": f"maps of {size} pixels are too small for it, which needs {classify.STRIDE}"}
    for maps in sets.present():
        count, needed = len(np.unique(labels[maps.name])), FEWEST_PARENTS
        if maps.name == "validation" and sets.auxiliary is None:
            needed *= 2
        if count < needed:
            return {"refused": f"{count} independent units in the {maps.name} set; it needs {needed}"}
    classified = {
        maps.name: ClassifiedSet(
            maps.name, maps.read if of_all_bins is None else of_all_bins[maps.name], labels[maps.name]
        )
        for maps in sets.present()
    }
    return classify_sets(
        classified["generated"],
        classified["validation"],
        classified.get("auxiliary"),
        sets.validation.geometry.side_deg,
        ClassificationSettings(num_steps, None, _SEED, margin, together),
    )


def classify_sets(
    generated: ClassifiedSet,
    validation: ClassifiedSet,
    auxiliary: ClassifiedSet | None,
    side_deg: float,
    settings: ClassificationSettings,
) -> dict[str, Any] | None:
    """Return accuracy and AUC of a classifier trained from scratch, of generated maps and of the control.

    Both are told from the same validation maps; the control is the auxiliary set, of as many maps and parents
    and with the same steps. "excess" says what the one means beside the other
    (`discrimination.excess_auc`). Without an auxiliary set one half of the validation parents is told from the
    other, on half as many maps: two such halves are alike whatever their number, so that a smaller control
    excuses no more, and the first comparison uses all maps. None where num_steps is 0.

    Maps of several source bins, (maps, size, size, bins), are seen in all bins at once, each in units of its
    own validation maps: by one network of so many channels, by spectra and heights of every bin, and by the
    coherence of every pair.

    Raises:
      ValueError: maps that are not finite, not of one size or of less than 16 pixels; too few parents.
    """
    if settings.num_steps == 0:
        return None
    kept = [read_kept(s, settings.max_maps) for s in (generated, validation, auxiliary) if s is not None]
    if kept[1].kappa.ndim == 4:
        standardise(kept, kept[1].kappa)
    seed, names = settings.seed, ["auxiliary", "validation"]
    if auxiliary is None:
        generated_parts, real = split(kept, seed)
        # The two halves must be those of the parents, not of the maps.
        halves = [kept[1].at(half) for half in parts_by_parent(kept[1].parents, (1, 1), seed=seed)]
        others = split(halves, seed)
        names = ["one half of the validation parents", "the other half"]
    else:
        generated_parts, real, other = split(kept, seed)
        others = [other, real]
    del kept
    result = tell_apart(generated_parts, real, side_deg, settings) | {"sets": ["generated", "validation"]}
    control = tell_apart(others[0], others[1], side_deg, settings) | {"sets": names}
    print(
        f"evaluate: classifier took {result['seconds'] + control['seconds']:.0f} s: twice {settings.num_steps} "
        f"steps, {result['maps_each']['train']} maps of each set to train on",
        flush=True,
    )
    excess = excess_auc(share_of(result["auc"]), share_of(control["auc"]), settings.margin, settings.together)
    return {
        "generated": result | {"excess": excess._asdict() | {"margin": settings.margin}},
        "control": control,
    }


def split(sets: Sequence[KeptMaps], seed: int) -> list[Parts]:
    """Return each set in parts of its parents, as many maps of one set as of any other in every part.

    Sets whose parents gave several maps each are cut to as many parents as the one of them that has fewest:
    more boxes teach more, and are known better.
    """
    counts = [len(np.unique(s.parents)) for s in sets]
    boxes = [n for n, s in zip(counts, sets) if n < len(s.parents)]
    sets = [of_some_parents(s, min(boxes), seed) if n < len(s.parents) else s for n, s in zip(counts, sets)]
    parts = [parts_by_parent(s.parents, SHARES, seed=seed) for s in sets]
    fewest = [min(map(len, part)) for part in zip(*parts)]
    chosen = [
        [s.at(equally_many(most, s.parents, index)) for most, index in zip(fewest, indices)]
        for s, indices in zip(sets, parts)
    ]
    return [Parts(train, weigh, test) for test, train, weigh in chosen]


def tell_apart(
    first: Parts, second: Parts, side_deg: float, settings: ClassificationSettings
) -> dict[str, Any]:
    """Train on the first parts of both sets, weigh the rules by the second ones, test on the last.

    Beside the classifier's own accuracy and AUC stand those of its three rules alone: a small tilt of the power
    spectrum is seen by the spectrum as well as by all together, what spectra do not hold by the heights and by
    the network's pixels only. Where all four are looked at, the smallest of four chances is to be multiplied by
    four; the verdict looks at the whole alone.

    There is one split, not two that change places: each half would test what the other taught, and where the
    sets are alike both results would err together, beyond what their errors say.
    """
    began = time.monotonic()
    both = first.train.kappa, second.train.kappa
    logits_of = _taught(*both, side_deg, settings)
    combined = classify.combination(logits_of(first.weigh.kappa), logits_of(second.weigh.kappa))
    logits = [logits_of(part.kappa) for part in (first.test, second.test)]
    parents = [part.parents for part in (first.test, second.test)]
    whole = discrimination(*(combined(x) for x in logits), *parents)
    alone = {
        f"auc_of_{rule}": share_entry(discrimination(*(x[:, i] for x in logits), *parents).auc)
        for i, rule in enumerate(rules_of(both[0]))
    }
    seen = [np.mean(combined(logits_of(kappa[:: -(-len(kappa) // SEEN)])) > 0) for kappa in both]
    return {
        "accuracy": share_entry(whole.accuracy),
        "auc": share_entry(whole.auc),
        **alone,
        "accuracy_on_training_maps": float((seen[0] + 1 - seen[1]) / 2),
        "num_steps": settings.num_steps,
        "maps_each": {name: len(part.parents) for name, part in first._asdict().items()},
        "parents": [
            {name: len(np.unique(part.parents)) for name, part in s._asdict().items()} for s in (first, second)
        ],
        "test_parents": [len(np.unique(p)) for p in parents],
        "seconds": round(time.monotonic() - began, 1),
    }


def rules_of(kappa: np.ndarray) -> tuple[str, ...]:
    """Return the names of the rules by which maps of this shape are judged, together and each alone."""
    return ("pixels", *linear_rules(kappa))


def _taught(
    first: np.ndarray, second: np.ndarray, side_deg: float, settings: ClassificationSettings
) -> Callable[[np.ndarray], Float[np.ndarray, "maps rules"]]:
    """Train the rules to tell maps of two sets apart; return what gives each map's logits by them."""
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(f"maps of {first.shape[1:]} and {second.shape[1:]} pixels cannot be told apart")
    if (size := min(first.shape[1:3])) < classify.STRIDE:
        raise ValueError(
            f"maps of {size} pixels are too small for the classifier, which needs {classify.STRIDE}"
        )
    both = first, second
    reference = reference_of(*both, side_deg)
    rules = [linear_rule(*pair) for pair in zip(*(features_of(kappa, reference, side_deg) for kappa in both))]
    pixels_of = taught_pixels(*both, settings)

    def logits_of(kappa):
        features = features_of(kappa, reference, side_deg)
        return np.stack([pixels_of(kappa), *(rule(x) for rule, x in zip(rules, features))], -1)

    return logits_of


def taught_pixels(
    first: np.ndarray, second: np.ndarray, settings: ClassificationSettings
) -> Callable[[np.ndarray], Float[np.ndarray, " maps"]]:
    """Train the network on the maps of two sets; return what gives each map's logit by it."""
    both = first, second
    standard = classify.standard_of(*both)
    train = [standard.of(kappa) for kappa in both]
    num_bins = train[0].shape[3] if train[0].ndim == 4 else None
    network = Classifier(train[0].shape[1], classify.NUM_LAYERS, NUM_FILTERS, num_bins)
    params = classify.train(
        network,
        keys.key(settings.seed, "classifier"),
        *train,
        num_steps=settings.num_steps,
        batch_size=BATCH_SIZE,
        counted=functools.partial(progress, desc="evaluate classifier", unit="step"),
    )

    return lambda kappa: classify.logits(network, params, standard.of(kappa))


def share_entry(share: Share) -> dict[str, Any]:
    """Return a share for JSON."""
    return {
        "value": share.value,
        "standard_error": share.standard_error,
        "degrees_of_freedom": share.degrees,
        "interval_95": list(share.interval),
        # A perfect score has no error of its own.
        "sigma_from_one_half": (share.value - 0.5) / share.standard_error if share.standard_error > 0 else None,
    }


def share_of(entry: dict[str, Any]) -> Share:
    """Return the share of an entry."""
    return Share(entry["value"], entry["standard_error"], entry["degrees_of_freedom"])
