"""Can a classifier tell generated from validation maps, and validation maps from their like?"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from cosmogan_jax import keys
from cosmogan_jax.compare import classify
from cosmogan_jax.compare.classifier_network import Classifier
from cosmogan_jax.compare.discrimination import discrimination, equally_many, halves_by_parent, interval
from cosmogan_jax.compare.ensembles import Estimate
from cosmogan_jax.stages.progress import progress

# Measured on 64^2 maps (experiments/010-classifier): twice the filters find no more, at 2.8 times the cost.
NUM_FILTERS = 8
BATCH_SIZE = 64
_CHUNK = 256


class MapSet(NamedTuple):
    """Where maps come from: read(start, stop) gives kappa of maps start to stop - 1; parents are in order."""

    name: str
    read: Callable[[int, int], Float[np.ndarray, "maps size size"]]
    parents: Shaped[np.ndarray, " maps"]


class ClassificationSettings(NamedTuple):
    """num_steps of training, 0 for none; at most max_maps of each set are read; seed of everything random."""

    num_steps: int
    max_maps: int
    seed: int


def classify_sets(
    generated: MapSet,
    validation: MapSet,
    auxiliary: MapSet | None,
    side_deg: float,
    settings: ClassificationSettings,
) -> dict[str, Any] | None:
    """Accuracy and AUC of a classifier trained from scratch: generated against validation, and the control.

    The control is auxiliary against validation, or without an auxiliary set one half of the validation parents
    against the other, on half as many maps. It should be at one half, and is what the first is to be held
    against: where it is not, real sets differ as well. None where num_steps is 0.

    Raises:
      ValueError: maps that are not finite, not of one size or of less than 16 pixels; too few parents.
    """
    if settings.num_steps == 0:
        return None
    kept = {s.name: _read(s, settings.max_maps) for s in (generated, validation, auxiliary) if s is not None}
    real = kept[validation.name]
    if auxiliary is None:
        # The two halves must be those of the parents, not of the maps.
        halves = halves_by_parent(real.parents, seed=settings.seed)
        first, second = (KeptMaps(real.kappa[half], real.parents[half]) for half in halves)
        names = ["one half of the validation parents", "the other half"]
    else:
        first, second, names = kept[auxiliary.name], real, ["auxiliary", "validation"]
    return {
        "generated": tell_apart(kept[generated.name], real, side_deg, settings)
        | {"sets": ["generated", "validation"]},
        "control": tell_apart(first, second, side_deg, settings) | {"sets": names},
    }


class KeptMaps(NamedTuple):
    """Maps in memory, and the parent of each."""

    kappa: Float[np.ndarray, "maps size size"]
    parents: Shaped[np.ndarray, " maps"]


def tell_apart(
    first: KeptMaps, second: KeptMaps, side_deg: float, settings: ClassificationSettings
) -> dict[str, Any]:
    """Train on half of the parents of both sets, as many maps of one as of the other; test on the other half.

    Beside the classifier's own accuracy and AUC stand those of its two branches alone, which were trained
    together: a small tilt of the power spectrum is seen best by the spectral branch, to which the noise of the
    other one's logits adds nothing but noise, and what spectra do not hold by the pixel branch only. Where all
    three are looked at, the smallest of three chances is to be tripled.

    There is one split, not two that change places: each half would test what the other taught, and where the
    sets are alike both results would err together, beyond what their errors say.
    """
    if first.kappa.shape[1:] != second.kappa.shape[1:]:
        raise ValueError(
            f"maps of {first.kappa.shape[1:]} and {second.kappa.shape[1:]} pixels cannot be told apart"
        )
    halves = [halves_by_parent(s.parents, seed=settings.seed) for s in (first, second)]
    chosen = []
    for half in zip(*halves):
        count = min(map(len, half))
        chosen.append([equally_many(count, s.parents, index) for s, index in zip((first, second), half)])
    train, test = (
        [classify.with_power(s.kappa[i], side_deg) for s, i in zip((first, second), part)] for part in chosen
    )
    standard = classify.standard_of(*train)
    train, test = ([standard.of(maps) for maps in part] for part in (train, test))
    sizes = (train[0].kappa.shape[-1], train[0].log_power.shape[-1])
    network = Classifier(*sizes, classify.NUM_LAYERS, NUM_FILTERS)
    key = keys.key(settings.seed, "classifier")
    counted = functools.partial(progress, desc="evaluate classifier", unit="step")
    params = classify.train(
        network, key, *train, num_steps=settings.num_steps, batch_size=BATCH_SIZE, counted=counted
    )

    def judged(part, indices):
        logits = [np.asarray(classify.logits(network, params, maps)) for maps in part]
        parents = [s.parents[i] for s, i in zip((first, second), indices)]
        scores = {"both": [x.sum(-1) for x in logits]}
        scores |= {name: [x[:, i] for x in logits] for i, name in enumerate(("pixels", "spectrum"))}
        return {name: discrimination(*pair, *parents) for name, pair in scores.items()}, parents

    held_out, parents = judged(test, chosen[1])
    return {
        "accuracy": _said(held_out["both"].accuracy),
        "auc": _said(held_out["both"].auc),
        "auc_of_pixels": _said(held_out["pixels"].auc),
        "auc_of_spectrum": _said(held_out["spectrum"].auc),
        "accuracy_on_training_maps": float(judged(train, chosen[0])[0]["both"].accuracy.value),
        "num_steps": settings.num_steps,
        "maps_each": {"train": len(train[0].kappa), "test": len(test[0].kappa)},
        "test_parents": [len(np.unique(p)) for p in parents],
    }


def _said(estimate: Estimate) -> dict[str, Any]:
    value, error = float(estimate.value), float(estimate.standard_error)
    return {
        "value": value,
        "standard_error": error,
        "interval_95": list(interval(estimate)),
        # A perfect score has no error of its own.
        "sigma_from_one_half": (value - 0.5) / error if error > 0 else None,
    }


def _read(maps: MapSet, most: int) -> KeptMaps:
    """At most so many maps, evenly spread over the set, read by chunks."""
    count = len(maps.parents)
    wanted = np.arange(min(count, most)) * count // min(count, most)
    kept = []
    for start in range(0, count, _CHUNK):
        inside = wanted[(wanted >= start) & (wanted < start + _CHUNK)]
        if len(inside):
            kappa = np.asarray(maps.read(start, min(start + _CHUNK, count)), np.float32)[inside - start]
            if not np.isfinite(kappa).all():
                bad = int(inside[np.argmin(np.isfinite(kappa).all(axis=(1, 2)))])
                raise ValueError(f"{maps.name} map {bad} holds non-finite values")
            kept.append(kappa)
    return KeptMaps(np.concatenate(kept), np.asarray(maps.parents)[wanted])
