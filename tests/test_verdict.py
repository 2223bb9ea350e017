"""Verdicts on ensembles that are equal, tilted, too few, or not fit to be compared."""

import functools

import numpy as np
import pytest

from cosmogan_jax.compare.effects import needs, verdict
from cosmogan_jax.compare.effects.quantities import MapSet, Quantity
from cosmogan_jax.compare.effects.verdict import overall
from cosmogan_jax.settings.margins import SETS, parse

# Margins that resolve small planted differences, where a test does not say others.
judge = functools.partial(verdict.judge, margins=SETS["tight"])
BANDS = tuple(f"band {b}" for b in range(12))
POWER = Quantity("power", BANDS, covariance=True, used_by_selection=True)
SKEWNESS = Quantity("skewness", ("2'", "4'"), mean_unit="scatter")


def sky(seed, parents, crops, tilt=0.0, shift=0.0):
    """Band powers with a part common to all bands and one common to all crops of a parent, and a skewness."""
    rng = np.random.default_rng(seed)
    of_parent = np.repeat(rng.normal(size=(parents, 13)), crops, axis=0)
    common = rng.normal(size=(parents * crops, 1))
    own = rng.normal(size=(parents * crops, 12))
    normal = np.sqrt(0.1) * of_parent[:, :12] + np.sqrt(0.7) * common + np.sqrt(0.2) * own
    mean = 1e-11 * np.linspace(3, 1, 12) * (1 + tilt * np.linspace(1, -1, 12))
    skewness = 0.3 * of_parent[:, 12:] + rng.normal(size=(parents * crops, 2))
    values = {"power": mean * (1 + shift + 0.1 * normal), "skewness": skewness}
    return MapSet(values, np.repeat(np.arange(parents), crops))


def by_name(judged, quantity="power"):
    return {one.name: one for one in judged if one.quantity == quantity}


@pytest.fixture(scope="module")
def validation():
    return sky(1, 1000, 25)


@pytest.fixture(scope="module")
def auxiliary():
    return sky(2, 1000, 25)


def test_equal_ensembles_of_a_thousand_parents_pass(validation, auxiliary):
    judged = judge(sky(0, 30000, 1), validation, auxiliary, [POWER, SKEWNESS], seed=0, num_resamples=200)
    assert overall(judged) == {"power": "pass", "skewness": "pass"}
    found = by_name(judged)
    assert list(found) == ["mean", "scatter", "correlation", "covariance slope"]
    assert [one.margin for one in found.values()] == [0.01, 0.03, 0.02, 0.05]
    assert by_name(judged, "skewness")["mean"].margin == 0.1
    assert found["mean"].bands == BANDS
    assert found["correlation"].bands[1] == "band 0 … band 5 × band 6 … band 11"
    assert all(one.used_by_selection == (one.quantity == "power") for one in judged)
    assert {(one.num_parents, one.baseline) for one in judged} == {(1000, "auxiliary")}
    for one in judged:
        assert len(one.bands) == len(one.outcomes) == len(one.value) == len(one.resolvable)
        assert (one.lower <= one.value).all()
        assert (one.value <= one.upper).all()
        assert (one.effect_lower <= one.effect_upper).all()
        assert (one.resolvable < one.margin).all()


def test_a_tilt_of_three_percent_fails(validation, auxiliary):
    judged = judge(sky(0, 30000, 1, tilt=0.03), validation, auxiliary, [POWER], seed=0, num_resamples=200)
    mean = by_name(judged)["mean"]
    # +-3 % at both ends; within 0.3 % in the middle, where the margin of 1 % holds.
    assert mean.outcome == "fail"
    assert {mean.outcomes[0], mean.outcomes[11]} == {"fail"}
    assert {mean.outcomes[5], mean.outcomes[6]} == {"pass"}
    np.testing.assert_allclose(mean.effect[[0, -1]], [0.03, -0.03], atol=0.006)
    np.testing.assert_allclose(np.sqrt(mean.value[[0, -1]]), 0.03, atol=0.006)
    assert (mean.effect_lower[0], mean.effect_upper[-1]) > (0.02, -0.04)
    assert overall(judged) == {"power": "fail"}
    assert by_name(judged)["correlation"].outcome == "pass"


def test_nothing_passes_by_a_yardstick_that_is_off():
    """200 parents, a margin of 2 %: generated maps 4 % off beside auxiliary maps 5 % off, and perfect ones."""
    validation, off = sky(1, 200, 8), sky(2, 200, 8, shift=0.05)
    for shift, expected in ((0.04, "fail"), (0.0, "yardstick off")):
        generated = sky(0, 6000, 1, shift=shift)
        margins = parse("default,mean=0.02")
        judged = by_name(judge(generated, validation, off, [POWER], margins=margins, seed=0, num_resamples=200))
        mean = judged["mean"]
        assert mean.outcome == expected
        # A generator that is off fails where that is sure, and passes nowhere.
        assert set(mean.outcomes) <= {expected, "yardstick off"}
        assert (mean.baseline_lower > 0.02**2).all()
        # What is off in the mean alone is no reason against the scatter, whose unit is the mean's 10 %.
        assert judged["scatter"].outcome != "fail"
        # No yardstick in the distance itself.
        np.testing.assert_allclose(np.sqrt(np.maximum(mean.distance, 0)), shift, atol=0.012)
        assert (mean.distance_upper > shift**2).mean() > 0.9


def test_wrong_correlations_fail(validation, auxiliary):
    generated = sky(0, 30000, 1)
    power = generated.values["power"]
    # Bands of other maps: the same means and scatters, and no correlation left.
    shuffled = np.random.default_rng(4).permuted(power, axis=0)
    judged = judge(MapSet({"power": shuffled}, generated.parents), validation, auxiliary, [POWER], seed=0,
                   num_resamples=200)  # fmt: skip
    outcomes = {name: one.outcome for name, one in by_name(judged).items()}
    assert outcomes == {"mean": "pass", "scatter": "pass", "correlation": "fail", "covariance slope": "fail"}
    assert by_name(judged)["covariance slope"].effect[0] == pytest.approx(-1, abs=0.05)


def test_halves_of_validation_are_the_baseline_without_auxiliary(validation):
    margins = parse("default,mean=0.02")
    judged = judge(
        sky(0, 30000, 1), validation, None, [POWER, SKEWNESS], margins=margins, seed=0, num_resamples=200
    )
    assert {(one.num_parents, one.baseline) for one in judged} == {(500, "halves of validation")}
    assert by_name(judged)["mean"].outcome == "pass"
    assert by_name(judged, "skewness")["mean"].outcome == "pass"
    tilted = judge(
        sky(0, 30000, 1, tilt=0.03), validation, None, [POWER], margins=margins, seed=0, num_resamples=200
    )
    assert by_name(tilted)["mean"].outcomes[0] != "pass"


def test_few_parents_are_told_what_is_resolvable():
    sets = sky(0, 2000, 1), sky(1, 40, 10), sky(2, 40, 10)
    judged = judge(*sets, [POWER], margins=SETS["default"], seed=0, num_resamples=200)
    # A mean of 40 parents with 10 crops of 10 % scatter is known to 0.1 sqrt(0.1/40 + 0.9/400) = 0.7 %; equal
    # ensembles give a limit of 2.0 such errors on average if generated maps add little.
    # 40 parents know that error to 15 %, and twelve bands scatter so; their mean to 5 %; three times that.
    np.testing.assert_allclose(by_name(judged)["mean"].resolvable.mean(), 2.0 * 0.0069, rtol=0.15)
    assert by_name(judged)["mean"].outcome == "pass"
    correlation = by_name(judged)["correlation"]
    assert correlation.outcome in ("not resolvable", "undecided")
    assert correlation.needs.units > 40


@pytest.mark.parametrize("parents", [5, pytest.param(12, marks=pytest.mark.slow)])
def test_limits_of_few_parents_hold(parents):
    """Generated maps exactly one margin off: each band passes in one of twenty trials at most."""
    margins, passed = parse("mean=0.05,scatter=0.1"), {"mean": [], "scatter": []}
    for trial in range(12):
        rng = np.random.default_rng([parents, trial])
        sets = [
            MapSet(
                {"power": 1 + off + 0.1 * wide * _grouped(rng, count, crops)},
                np.repeat(np.arange(count), crops),
            )
            for off, wide, count, crops in ((0.05, 1.1, 1500, 1), (0, 1, parents, 30), (0, 1, parents, 30))
        ]
        for one in judge(*sets, [Quantity("power", BANDS)], margins=margins, seed=trial, num_resamples=100):
            passed[one.name] += list(one.upper < one.margin**2)
    # 144 bands of 12 independent trials; a level of 0.05 gives more than 0.12 in one of a hundred tests.
    assert max(map(np.mean, passed.values())) < 0.12


def _grouped(rng, parents, crops):
    """Standard normal bands; crops of a parent correlate at 0.3."""
    of_parent = np.repeat(rng.normal(size=(parents, 12)), crops, axis=0)
    return np.sqrt(0.3) * of_parent + np.sqrt(0.7) * rng.normal(size=(parents * crops, 12))


@pytest.mark.slow
def test_what_a_verdict_needs_is_what_it_takes():
    """By the needs of a set of 40 parents with two crops, others are made, and equal ensembles then pass."""

    def judged(seed, generated, parents, crops, name):
        sets = [
            MapSet({"power": 1 + 0.1 * _grouped(np.random.default_rng([seed, i]), *size)},
                   np.repeat(np.arange(size[0]), size[1]))
            for i, size in enumerate(((generated, 1), (parents, crops), (parents, crops)))
        ]  # fmt: skip
        quantity = Quantity("power", BANDS)
        return by_name(judge(*sets, [quantity], margins=parse("mean=0.02"), seed=seed, num_resamples=100))[name]

    first = judged(0, 600, 40, 2, "mean")
    assert first.outcome != "pass"
    # The mean's variance is 0.01 (0.3 + 0.7/2)/40, the worst of twelve limits some four errors: 0.05 where 0.02
    # is the margin, so that (0.05/0.02)^2 times the parents are needed; 0.3/40 remains of any number of crops.
    assert 100 < first.needs.units < 600
    assert first.needs.crops is None or first.needs.of_units > 40
    passes = [judged(1 + t, 5 * first.needs.units * 2, first.needs.units, 2, "mean").outcome for t in range(10)]
    assert passes.count("pass") >= 8
    # A fifth of that does not do.
    few = [judged(1 + t, 600, first.needs.units // 5, 2, "mean").outcome for t in range(10)]
    assert few.count("pass") <= 3


def test_needs_follow_from_the_limits_and_the_design():
    reach, design = needs.Reach, needs.Design(1000, 100, 10.0)
    assert needs.needs(reach(0.04, 0.03, 0.04), 0.05, design) is None
    # Generated maps alone: 0.06^2 = 0.02^2 + noise, and the margin (with a tenth to spare) allows 0.0455^2.
    found = needs.needs(reach(0.06, 0.02, 0.025), 0.05, design)
    assert found == needs.Needs(generated=2000)
    assert found.in_words() == "2,000 generated maps"
    # Limit^2 = B + W/crops: 0.10^2 with 10 crops and 0.13^2 with 5 is B = 0.0031, W = 0.069.
    found = needs.needs(reach(0.11, 0.10, 0.13), 0.05, design)
    allowed = (0.05 / 1.1) ** 2
    assert found.units == 490
    assert found.of_units * allowed > 0.0031
    assert (0.0031 + 0.069 / found.crops) / (found.of_units / 100) <= allowed
    assert found.in_words() == (
        f"490 units, or {found.crops} crops of each of {found.of_units}, and plenty of generated maps"
    )
    # Single crops say nothing of the parts, and noise that hides the effect itself nothing at all.
    assert needs.needs(reach(0.11, 0.10, None), 0.05, design) == needs.Needs(units=490)
    assert (
        needs.needs(reach(np.nan, np.nan, None), 0.05, design).in_words()
        == "more maps than can be told from these"
    )


def test_what_equal_ensembles_could_not_pass_is_not_resolvable():
    # 200 parents of one crop each: correlations to 0.04, the margin 0.03.
    judged = judge(sky(0, 3000, 1), sky(1, 200, 1), sky(2, 200, 1), [POWER], seed=0, num_resamples=200)
    correlation = by_name(judged)["correlation"]
    assert correlation.outcome == "not resolvable"
    assert (correlation.resolvable > 0.03).all()


def test_the_same_seed_gives_the_same_verdict():
    sets = sky(0, 400, 1), sky(1, 20, 3), sky(2, 20, 3)
    one, two, three = (judge(*sets, [SKEWNESS], seed=s, num_resamples=50)[0].upper for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != three).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, v, a: (g, MapSet(v.values, np.repeat(np.arange(4), 15)), a),
         "validation: 4 parents are too few: an interval needs at least 5"),
        (lambda g, v, a: (g, MapSet(v.values, np.arange(60) // 8), None),
         "half of validation: 4 parents are too few: an interval needs at least 5"),
        (lambda g, v, a: (MapSet({"power": g.values["power"][:, :11]}, g.parents), v, a),
         "power of generated of shape \\(80, 11\\) must be \\(maps, bands\\) \\(80, 12\\)"),
        (lambda g, v, a: (g, v, MapSet({}, a.parents)), "auxiliary has no power, but nothing"),
        (lambda g, v, a: (MapSet({"power": g.values["power"] * [0] + 1}, g.parents), v, a),
         "power of generated: modes \\[0, 1, .*\\] are constant over the maps"),
        (lambda g, v, a: (MapSet({"power": g.values["power"] + np.inf}, g.parents), v, a),
         "power of generated: values\\[0, 0\\]=inf must be finite"),
    ],
)  # fmt: skip
def test_bad_input(change, message):
    sets = change(sky(0, 80, 1), sky(1, 20, 3), sky(2, 20, 3))
    with pytest.raises(ValueError, match=message):
        judge(*sets, [POWER], seed=0, num_resamples=20)
