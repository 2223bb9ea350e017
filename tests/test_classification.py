"""The classifier of two sets: pure, split by parent, blind where there is nothing to see, and only there."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.compare import classify
from cosmogan_jax.compare.classifier_network import Classifier
from cosmogan_jax.compare.discrimination import discrimination, equally_many, halves_by_parent
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.sky.symmetries import orient
from cosmogan_jax.stages.classification import (
    BATCH_SIZE,
    NUM_FILTERS,
    ClassificationSettings,
    MapSet,
    classify_sets,
)

RNG = np.random.default_rng(0)
SIDE_DEG, SIZE = 0.5, 16
BANDS = len(classify.l_edges_of_classifier(MapGeometry(SIZE, SIDE_DEG))) - 1
# One network, and as many maps and steps: one program for the tests of this module.
NETWORK, TRAIN_MAPS, STEPS = Classifier(SIZE, BANDS, classify.NUM_LAYERS, NUM_FILTERS), 100, 80


def maps_of(count, amplitude=1.0):
    return (0.02 * amplitude * RNG.normal(size=(count, SIZE, SIZE))).astype(np.float32)


def some_maps(count=TRAIN_MAPS):
    return classify.Maps(
        jnp.asarray(maps_of(count)) / 0.02, jnp.asarray(RNG.normal(size=(count, BANDS)), jnp.float32)
    )


def set_of(name, kappa, parents=None):
    return MapSet(name, lambda a, b: kappa[a:b], np.arange(len(kappa)) if parents is None else parents)


def test_orientations_are_the_symmetries_of_the_square():
    kappa = jnp.asarray(maps_of(8))
    found = classify.turned(kappa, jnp.arange(8))
    for turn in range(8):
        np.testing.assert_array_equal(found[turn], orient(kappa[turn], jnp.asarray(turn)))
    power = [classify.with_power(np.asarray(k), SIDE_DEG).log_power for k in (kappa, found)]
    np.testing.assert_allclose(*power, atol=1e-5)


def test_a_step_depends_on_its_number_alone():
    first, second = some_maps(), some_maps()
    step = classify.compiled_step(NETWORK, STEPS, BATCH_SIZE)
    start = classify.start(NETWORK, jax.random.key(3), STEPS)

    def run(state, count):
        state = jax.tree.map(jnp.copy, state)  # steps donate theirs
        for _ in range(count):
            state, loss = step(state, jax.random.key(1), first, second)
        return state, float(loss)

    at_once, loss = run(start, 6)
    halfway, _ = run(start, 3)
    resumed, _ = run(halfway, 3)
    jax.tree.map(np.testing.assert_array_equal, at_once, resumed)
    assert int(at_once.step) == 6
    # A fresh classifier has no opinion.
    logits = classify.logits(NETWORK, start.params, first)
    np.testing.assert_array_equal(logits, 0)
    assert np.isfinite(loss)


def test_every_product_of_a_step_is_in_float32():
    """Gradients' too, on devices whose products have fewer bits unless told otherwise."""
    state = jax.eval_shape(lambda: classify.start(NETWORK, jax.random.key(0), STEPS))
    step = classify.make_step(NETWORK, STEPS, BATCH_SIZE)
    program = str(jax.make_jaxpr(step)(state, jax.random.key(1), some_maps(), some_maps()))
    said = re.findall(r"precision=(.*)", program)
    assert len(said) > 10
    assert set(said) == {"(Precision.HIGHEST, Precision.HIGHEST)"}


def test_logits_do_not_know_the_orientation():
    maps = some_maps(8)
    params = jax.tree.map(lambda x: x + 0.1, classify.start(NETWORK, jax.random.key(0), STEPS).params)
    turned = maps._replace(kappa=classify.turned(maps.kappa, jnp.full(8, 5)))
    found = [np.asarray(classify.logits(NETWORK, params, m)) for m in (maps, turned)]
    assert np.ptp(found[0]) > 0.1
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-4)


def test_standardised_over_both_sets():
    first, second = some_maps(), some_maps()
    mixed = [(m.log_power + 5 * m.log_power[:, :1]).at[:, 1].set(2.0) for m in (first, second)]
    first, second = classify.Maps(first.kappa, mixed[0]), classify.Maps(3 * second.kappa + 1, mixed[1])
    standard = classify.standard_of(first, second)
    both = [standard.of(m) for m in (first, second)]
    pixels, bands = (np.concatenate(leaves) for leaves in zip(*both))
    assert pixels.mean() == pytest.approx(0, abs=1e-5)
    assert pixels.std() == pytest.approx(1, rel=1e-5)
    # Bands that correlate and a constant one come out as uncorrelated ones, fewer by one.
    np.testing.assert_allclose(bands.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(bands.T), np.diag([0.0] + [1.0] * (BANDS - 1)), atol=1e-3)


def test_finds_a_difference_and_says_what_it_saw():
    # 10 % in amplitude at every ell: 256 pixels of white noise tell it with d' = sqrt(2 * 256) * 0.1 = 2.2.
    settings = ClassificationSettings(num_steps=STEPS, max_maps=4 * TRAIN_MAPS, seed=0)
    validation = maps_of(4 * TRAIN_MAPS + 40)
    found = classify_sets(
        set_of("generated", maps_of(2 * TRAIN_MAPS, 1.1)),
        set_of("validation", validation),
        None,
        SIDE_DEG,
        settings,
    )
    assert found["generated"]["auc"]["sigma_from_one_half"] > 6
    assert found["generated"]["auc"]["value"] > 0.75  # 0.80 to 0.92 over seeds
    # After so few steps the logits' zero is not yet where it divides the sets best: 0.59 to 0.72 over seeds.
    assert found["generated"]["accuracy"]["value"] > 0.55
    # It is a matter of the spectrum alone.
    assert found["generated"]["auc_of_spectrum"]["sigma_from_one_half"] > 6
    for name in found:
        assert found[name]["maps_each"] == {"train": TRAIN_MAPS, "test": TRAIN_MAPS}
    # Nothing to be found: four errors, of which there is one test in 16,000.
    assert abs(found["control"]["auc"]["sigma_from_one_half"]) < 4


def test_off():
    nothing = ClassificationSettings(num_steps=0, max_maps=10, seed=0)
    assert classify_sets(None, None, None, SIDE_DEG, nothing) is None


def test_auc_and_accuracy_by_counting():
    a, b = RNG.integers(-3, 5, 41).astype(float), RNG.integers(-4, 3, 60).astype(float)
    found = discrimination(a, b, np.arange(41), np.arange(60))
    higher = (a[:, None] > b).mean() + (a[:, None] == b).mean() / 2
    assert found.auc.value == pytest.approx(higher, rel=1e-12)
    right = ((a > 0).mean() + (a == 0).mean() / 2, (b < 0).mean() + (b == 0).mean() / 2)
    assert found.accuracy.value == pytest.approx(np.mean(right), rel=1e-12)
    # Copies of the maps add nothing.
    copies = discrimination(*(np.repeat(x, 7) for x in (a, b, np.arange(41), np.arange(60))))
    for one, other in zip(found, copies):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_errors_are_those_of_repeated_trials():
    values, errors = [], []
    for _ in range(100):
        shared = np.repeat(RNG.normal(size=(2, 30)), 4, axis=1)  # 4 crops a parent
        a, b = shared + RNG.normal(size=shared.shape) + [[0.3], [-0.3]]
        parents = np.repeat(np.arange(30), 4)
        found = discrimination(a, b, parents, parents)
        values.append([float(e.value) for e in found])
        errors.append([float(e.standard_error) for e in found])
    # 100 trials know a scatter to 7 %; 30 parents know theirs to 13 % each.
    np.testing.assert_allclose(np.std(values, axis=0), np.mean(errors, axis=0), rtol=0.25)


def test_halves_share_no_parent():
    parents = RNG.integers(0, 17, 300)
    first, second = halves_by_parent(parents, seed=4)
    assert not set(parents[first]) & set(parents[second])
    assert sorted([*first, *second]) == list(range(300))
    assert abs(len(first) - len(second)) < 40
    assert not np.array_equal(first, halves_by_parent(parents, seed=5)[0])
    chosen = equally_many(34, parents, first)
    assert set(chosen) <= set(first)
    assert np.ptp(np.unique(parents[chosen], return_counts=True)[1]) <= 1


def test_bad_input_is_named():
    settings = ClassificationSettings(num_steps=1, max_maps=100, seed=0)
    good, nan = maps_of(20), maps_of(20)
    nan[7, 2, 2] = np.nan
    with pytest.raises(ValueError, match="generated map 7 holds non-finite values"):
        classify_sets(set_of("generated", nan), set_of("validation", good), None, SIDE_DEG, settings)
    one = set_of("validation", good, np.arange(20) % 3)
    with pytest.raises(ValueError, match="3 parents are too few: two halves need at least four"):
        classify_sets(set_of("generated", good), one, None, SIDE_DEG, settings)
    small = set_of("generated", good[:, :12, :12]), set_of("validation", good[:, :12, :12])
    with pytest.raises(ValueError, match="maps of 12 pixels are too small"):
        classify_sets(*small, None, SIDE_DEG, settings)
    with pytest.raises(ValueError, match=r"\(16, 16\) and \(12, 12\) pixels"):
        classify_sets(
            set_of("generated", good), set_of("validation", good[:, :12, :12]), None, SIDE_DEG, settings
        )
    with pytest.raises(ValueError, match=r"map_size=20 must be divisible by 2\*\*num_layers=16"):
        Classifier(20, 5, 4, 4)
