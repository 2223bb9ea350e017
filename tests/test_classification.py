"""The classifier of two sets: pure, split by parent, blind where there is nothing to see, and only there."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.compare.discrimination import classify
from cosmogan_jax.compare.discrimination.areas import (
    Share,
    discrimination,
    excess_auc,
)
from cosmogan_jax.compare.discrimination.classifier_features import features_of, linear_rule, reference_of
from cosmogan_jax.compare.discrimination.classifier_network import Classifier
from cosmogan_jax.stages.evaluate import classified_maps
from cosmogan_jax.stages.evaluate.classification import (
    BATCH_SIZE,
    NUM_FILTERS,
    ClassificationSettings,
    ClassifiedSet,
    KeptMaps,
    classify_sets,
    split,
)
from cosmogan_jax.symmetries import orient, turned

pytestmark = pytest.mark.usefixtures("quick")  # compilation takes nearly all the time
RNG = np.random.default_rng(0)
SIDE_DEG, SIZE = 0.5, 16
# One network, and as many maps and steps: one program for the tests of this module.
NETWORK, TRAIN_MAPS, STEPS = Classifier(SIZE, classify.NUM_LAYERS, NUM_FILTERS), 75, 30


def maps_of(count, amplitude=1.0):
    return (0.02 * amplitude * RNG.normal(size=(count, SIZE, SIZE))).astype(np.float32)


def some_maps(count=TRAIN_MAPS):
    return jnp.asarray(maps_of(count)) / 0.02


def set_of(name, kappa, parents=None):
    return ClassifiedSet(name, lambda a, b: kappa[a:b], np.arange(len(kappa)) if parents is None else parents)


def test_orientations_are_the_symmetries_of_the_square():
    kappa = maps_of(8)
    oriented = np.asarray(jax.vmap(orient)(jnp.asarray(kappa), jnp.arange(8)))
    for turn in range(8):
        np.testing.assert_array_equal(oriented[turn], turned(kappa[turn], turn))
    reference = reference_of(kappa, oriented, SIDE_DEG)
    for one, other in zip(*(features_of(maps, reference, SIDE_DEG) for maps in (kappa, oriented))):
        # Sums of modes in another order, and of the pixels that are averaged.
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_maps_are_moved_and_mirrored():
    kappa = some_maps(3)
    by = np.array([[0, 5, -7], [0, -8, 1]])
    found = classify.moved(kappa, jnp.asarray(by))
    for map_, moved, (row, column) in zip(np.asarray(kappa), found, by.T):
        padded = np.pad(map_, 8, mode="symmetric")
        np.testing.assert_array_equal(moved, padded[8 - row : 24 - row, 8 - column : 24 - column])


def test_a_step_depends_on_its_number_alone():
    first, second = some_maps(), some_maps()
    step = classify.compiled_step(NETWORK, STEPS, BATCH_SIZE)
    start = classify.start(NETWORK, jax.random.key(3), first, STEPS)

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


def test_averages_start_at_mean_0_and_variance_1():
    maps = some_maps()
    params = classify.start(NETWORK, jax.random.key(3), maps, STEPS).params
    again = NETWORK.standardised(params, maps)
    for name in ("centre", "scale"):
        np.testing.assert_allclose(again[name], params[name], rtol=1e-4, atol=1e-5)
    raw = NETWORK.standardised({**params, "kernel1": 0 * params["kernel1"]}, maps)
    assert np.isfinite(raw["scale"]).all()


def test_every_product_of_a_step_is_in_float32():
    """Gradients' too, on devices whose products have fewer bits unless told otherwise."""
    state = jax.eval_shape(lambda: classify.start(NETWORK, jax.random.key(0), some_maps(), STEPS))
    step = classify.make_step(NETWORK, STEPS, BATCH_SIZE)
    program = str(jax.make_jaxpr(step)(state, jax.random.key(1), some_maps(), some_maps()))
    said = re.findall(r"precision=(.*)", program)
    assert len(said) > 10
    assert set(said) == {"(Precision.HIGHEST, Precision.HIGHEST)"}


def test_logits_do_not_know_the_orientation():
    maps = some_maps(8)
    params = classify.start(NETWORK, jax.random.key(0), some_maps(), STEPS).params
    params = jax.tree.map(lambda x: x + 0.1, params)
    found = [classify.logits(NETWORK, params, np.asarray(m)) for m in (maps, turned(np.asarray(maps), 5))]
    assert np.ptp(found[0]) > 0.1
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-4)


def test_standardised_over_both_sets():
    first, second = maps_of(20), 3 * maps_of(20) + 1
    standard = classify.standard_of(first, second)
    pixels = np.concatenate([standard.of(m) for m in (first, second)])
    assert pixels.mean() == pytest.approx(0, abs=1e-5)
    assert pixels.std() == pytest.approx(1, rel=1e-5)


def test_linear_rule_is_the_log_odds_of_normal_features():
    mixing = RNG.normal(size=(3, 3))
    first, second = (RNG.normal(size=(20_000, 3)) @ mixing + shift for shift in (0.3, 0.0))
    constant_and_repeated = [np.concatenate([x, x[:, :1], np.ones((len(x), 1))], 1) for x in (first, second)]
    rule = linear_rule(*constant_and_repeated)
    truth = np.linalg.solve(mixing.T @ mixing, np.full(3, 0.3))
    x = RNG.normal(size=(50, 3)) @ mixing
    found = rule(np.concatenate([x, x[:, :1], np.ones((50, 1))], 1))
    # 20,000 maps of each know each of three independent weights to 0.01; five of their errors at 3 sigma maps.
    np.testing.assert_allclose(found, (x - 0.15) @ truth, atol=0.15 * max(1.0, np.abs(truth).max()))


def test_rules_are_weighed_by_what_they_know():
    truth = np.repeat([0.5, -0.5], 5000)
    # A rule that knows, twice too sure, and one that guesses: log odds of the first are half of what it says.
    logits = np.stack([2 * (truth + RNG.normal(size=10_000)), RNG.normal(size=10_000)], 1)
    offset, weights = classify.combination(logits[:5000], logits[5000:])
    # 10,000 maps know an offset or a weight of a logit of variance 1 to 0.02; of the first, to half of that.
    np.testing.assert_allclose([offset, *weights], [0, 0.5, 0], atol=0.08)
    # One that is wrong is not turned round, and where no other is left it stays, for errors want a score.
    assert classify.combination(logits[5000:], logits[:5000]).weights.min() >= 0
    wrong = classify.combination(logits[5000:, :1], logits[:5000, :1])
    assert wrong(logits[:1, :1] + 1) > wrong(logits[:1, :1])
    perfect = classify.combination(truth[:5000, None], truth[5000:, None])
    assert np.isfinite(perfect.weights).all()
    assert (perfect(truth[:5000, None]) > 0).all()


@pytest.fixture(scope="module")
def found():
    """What is found of 10 % in amplitude at every ell, and of nothing in maps of other boxes."""
    # 256 pixels of white noise tell it with d' = sqrt(2 * 256) * 0.1 = 2.2: an AUC of 0.95 at best.
    boxes = np.arange(300) // 10
    return classify_sets(
        set_of("generated", maps_of(200, 1.1)),
        set_of("validation", maps_of(300), boxes[::-1].copy()),
        set_of("auxiliary", maps_of(240), boxes[:240]),
        SIDE_DEG,
        ClassificationSettings(num_steps=STEPS, max_maps=None, seed=0),
    )


def test_finds_a_difference_and_says_what_it_saw(found):
    generated, control = found["generated"], found["control"]
    assert generated["auc"]["value"] > 0.85  # 0.88 to 0.94 over seeds
    assert generated["accuracy"]["value"] > 0.75
    # It is a matter of the spectrum alone.
    assert generated["auc_of_spectrum"]["sigma_from_one_half"] > 6
    # Nothing to be found: four errors.
    assert abs(control["auc"]["sigma_from_one_half"]) < 4
    assert generated["excess"]["outcome"] == "fail"
    assert generated["excess"]["lower"] > generated["excess"]["margin"] == 0.05


def test_both_comparisons_have_as_many_maps_boxes_and_steps(found):
    # 24 boxes of ten real maps, 12 to test on; 200 generated maps, each a parent, 100 to test on.
    generated, control = found["generated"], found["control"]
    assert generated["maps_each"] == control["maps_each"] == {"train": 75, "weigh": 25, "test": 100}
    assert generated["parents"][0] == {"train": 75, "weigh": 25, "test": 100}
    assert generated["parents"][1] == control["parents"][0] == control["parents"][1]
    assert control["parents"][0] == {"train": 9, "weigh": 3, "test": 12}
    assert generated["num_steps"] == control["num_steps"] == STEPS
    for of in (generated, control):
        assert of["auc"]["degrees_of_freedom"] == 11


def test_parts_share_no_parent_and_are_as_large_as_the_smallest():
    sets = [KeptMaps(maps_of(n), RNG.integers(0, boxes, n)) for n, boxes in ((90, 9), (120, 12), (70, 8))]
    parts = split(sets, seed=3)
    for whole, part in zip(sets, parts):
        names = [set(p.parents) for p in part]
        assert len(set.union(*names)) == sum(map(len, names)) == 8
        for p in part:
            for kappa, parent in zip(p.kappa, p.parents):
                assert whole.parents[(whole.kappa == kappa).all((1, 2))] == parent
    assert len({tuple(len(p.parents) for p in part) for part in parts}) == 1


def test_maps_are_read_up_to_a_limit_of_memory(monkeypatch):
    monkeypatch.setattr(classified_maps, "MOST_BYTES", 30 * SIZE**2 * 4)
    kappa = maps_of(70)
    kept = classified_maps.read_kept(set_of("generated", kappa), None)
    assert len(kept.kappa) == 30
    np.testing.assert_array_equal(kept.kappa, kappa[kept.parents])
    assert len(classified_maps.read_kept(set_of("generated", kappa), 20).kappa) == 20


def test_maps_of_several_bins_are_seen_together():
    """Of the same bins one by one, of different skies: the rule of pairs tells them apart, not the control."""
    kappa = 0.02 * RNG.normal(size=(3, 60, 16, 16, 2)).astype(np.float32)
    # What is real has a common part; generated maps have as much amplitude.
    kappa[1:, ..., 1] += kappa[1:, ..., 0]
    kappa[0, ..., 1] *= np.float32(np.sqrt(2))
    sets = [set_of(name, of) for name, of in zip(("generated", "validation", "auxiliary"), kappa)]
    found = classify_sets(*sets, SIDE_DEG, ClassificationSettings(2, None, 0))
    assert found["generated"]["auc_of_pairs"]["value"] > 0.95
    assert found["generated"]["auc"]["value"] > 0.9
    assert abs(found["control"]["auc_of_pairs"]["value"] - 0.5) < 0.25  # four errors of 30 maps of each
    assert found["generated"]["excess"]["outcome"] == "fail"
    assert list(kappa.std((0, 1, 2, 3)) < 0.1) == [True, True]  # the maps that were given stay as they are


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


def test_excess_says_what_real_maps_excuse():
    def outcome(generated, control, error=0.005, degrees=1000):
        return excess_auc(Share(generated, error, degrees), Share(control, error, degrees), 0.05).outcome

    # Limits are 1.65 sqrt(2) 0.005 = 0.0116 on either side.
    assert [outcome(g, 0.5) for g in (0.53, 0.545, 0.57)] == ["pass", "undecided", "fail"]
    # A control below one half excuses as much as one at one half; one above excuses what it has, to the margin.
    assert [outcome(g, 0.44) for g in (0.53, 0.57)] == ["pass", "fail"]
    assert [outcome(g, 0.54) for g in (0.57, 0.61)] == ["pass", "fail"]
    # Real maps that differ by more are no yardstick, though what is off by twice the margin is off in any case.
    assert [outcome(g, 0.97) for g in (0.52, 0.97)] == ["yardstick off", "fail"]
    # Few boxes know their errors badly: with one degree of freedom the limit is 6.3 errors away.
    assert outcome(0.57, 0.5, degrees=1) == "undecided"
    found = excess_auc(Share(0.6, 0.03, 11), Share(0.48, 0.04, 5), 0.05)
    np.testing.assert_allclose([found.value, found.upper - found.value], [0.1, 2.015 * 0.05], rtol=1e-3)


@pytest.mark.parametrize("control", [0.46, 0.5, 0.52, 0.55])
def test_levels_of_the_excess(control):
    """At the margin a pass and a fail are each wrong in 5 % at most, with errors from six boxes."""
    trials, degrees, margin = 2000, 5, 0.05
    truth = min(max(control, 0.5), 0.5 + margin) + margin
    for errors in ((0.02, 0.02), (0.02, 0.005), (0.005, 0.02)):
        counts = {"pass": 0, "fail": 0}
        for _ in range(trials):
            values = RNG.normal([truth, control], errors)
            known = errors * np.sqrt(RNG.chisquare(degrees, 2) / degrees)
            made = excess_auc(*(Share(*of, degrees) for of in zip(values, known)), margin)
            counts[made.outcome] = counts.get(made.outcome, 0) + 1
        # 2000 trials know 5 % to 0.5 %: four of that.
        assert max(counts["pass"], counts["fail"]) < (0.05 + 4 * 0.005) * trials, (errors, counts)


def test_bad_input_is_named():
    settings = ClassificationSettings(num_steps=1, max_maps=100, seed=0)
    good, nan = maps_of(20), maps_of(20)
    nan[7, 2, 2] = np.nan
    with pytest.raises(ValueError, match="generated map 7 holds non-finite values"):
        classify_sets(set_of("generated", nan), set_of("validation", good), None, SIDE_DEG, settings)
    one = set_of("validation", good, np.arange(20) % 3)
    with pytest.raises(ValueError, match="3 parents are too few: a split into 3 parts needs at least 4"):
        classify_sets(set_of("generated", good), one, None, SIDE_DEG, settings)
    small = set_of("generated", good[:, :12, :12]), set_of("validation", good[:, :12, :12])
    with pytest.raises(ValueError, match="maps of 12 pixels are too small"):
        classify_sets(*small, None, SIDE_DEG, settings)
    with pytest.raises(ValueError, match=r"\(16, 16\) and \(12, 12\) pixels"):
        classify_sets(
            set_of("generated", good), set_of("validation", good[:, :12, :12]), None, SIDE_DEG, settings
        )
    with pytest.raises(ValueError, match=r"map_size=20 must be divisible by 2\*\*num_layers=16"):
        Classifier(20, 4, 4)
