"""What verdicts and tests rest on, piece by piece: limits, yardsticks, units, bands, noise, areas."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.compare.effects import verdict
from cosmogan_jax.compare.effects.excess import Limits
from cosmogan_jax.compare.effects.quantities import MapSet, Quantity
from cosmogan_jax.compare.scales import scales
from cosmogan_jax.compare.statistics import STATISTICS, num_modes
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.settings.margins import parse as margins_of
from cosmogan_jax.stages.evaluate import summarising
from cosmogan_jax.stages.evaluate.judgement import Judge
from cosmogan_jax.stages.evaluate.observing import views
from cosmogan_jax.summaries import minimum_counts, minkowski_functionals, peak_counts, power_spectrum

pytestmark = pytest.mark.usefixtures("quick")

judge = functools.partial(verdict.judge, margins=margins_of("default,mean=0.02,scatter=0.05"))
BANDS = tuple(f"band {n}" for n in range(8))
POWER = Quantity("power", BANDS)


def powers(seed, maps, factor=1.0):
    """Independent bands of 1 that scatter by 10 %, a map a parent."""
    values = factor * (1 + 0.1 * np.random.default_rng(seed).normal(size=(maps, len(BANDS))))
    return MapSet({"power": values}, np.arange(maps))


def test_only_an_upper_limit_below_the_margin_passes():
    """A mean that 200 parents know to 0.7 %: differences of 1.5 % are likely, limits below 2 % are not."""
    judged = judge(powers(0, 200, 1.012), powers(1, 200), powers(2, 200), [POWER], seed=0, num_resamples=100)
    mean = next(one for one in judged if one.name == "mean")
    assert mean.margin == 0.02
    passed = np.array(mean.outcomes) == "pass"
    below, surely_below = mean.value < 0.02**2, mean.upper < 0.02**2
    assert (below & ~surely_below).sum() >= 3
    assert not (passed & ~surely_below).any()
    # With parents enough for the margin, limits are as near as estimates.
    many = judge(powers(0, 9000), powers(1, 9000), powers(2, 9000), [POWER], seed=0, num_resamples=100)
    assert set(many[0].outcomes) == {"pass"}


def test_the_yardstick_is_real_maps_against_real_maps():
    """Generated maps 10 % too bright say nothing of auxiliary against validation maps, which are alike."""
    sets = powers(0, 1000, 1.1), powers(1, 1000), powers(2, 1000)
    mean = judge(*sets, [POWER], seed=0, num_resamples=100)[0]
    np.testing.assert_allclose(mean.effect, 0.1, atol=0.02)
    # 10 % of 1000 maps on either side: 0.45 %.
    assert np.abs(mean.baseline_effect).max() < 0.02
    a, v = sets[2].values["power"].mean(0), sets[1].values["power"].mean(0)
    np.testing.assert_allclose(mean.baseline_effect, a / v - 1, rtol=1e-6)
    assert mean.baseline_lower.max() < 0.01**2


@pytest.mark.parametrize(("generated", "errors"), [(5000, 1.97), (100, 3.35)])
def test_what_is_resolvable_in_errors_of_the_validation_mean(generated, errors):
    """2.0 of them on average where generated maps add no noise, 3.4 where they add as much."""
    bands, rng = tuple(str(n) for n in range(300)), np.random.default_rng(5)

    def independent(maps):
        values = 1 + 0.1 * rng.normal(size=(maps, len(bands)))
        return MapSet({"power": values}, np.arange(maps))

    sets = independent(generated), independent(100), independent(100)
    # A margin that is far off, so that nothing is capped.
    mean = judge(*sets, [Quantity("power", bands)], margins=margins_of("mean=1"), seed=0, num_resamples=100)[0]
    # 300 independent bands, of which each scatters by a tenth.
    np.testing.assert_allclose(mean.resolvable.mean(), errors * 0.1 / np.sqrt(100), rtol=0.03)


CROPS, UNITS = 3, 12
SCALES = scales(np.random.default_rng(0).normal(size=(4, 16, 16)).astype(np.float32), MapGeometry(16, 1.0), 3)
# As many modes as the labels of each statistic, and three of the paper's.
WIDTHS = {key: len(row.labels(SCALES)) if row.judged else 3 for key, row in STATISTICS.items()}


def statistics(seed, shift=0.0):
    """All statistics of crops of which all of one parent are equal; some pixels."""
    rng = np.random.default_rng(seed)
    of = {
        key: np.repeat(rng.normal(size=(UNITS, width)) + shift + 9, CROPS, 0) for key, width in WIDTHS.items()
    }
    chance = np.repeat(rng.dirichlet(np.full(6, 30.0), UNITS), CROPS, 0)
    chance = np.roll(chance, 3 if shift else 0, axis=1) * (np.arange(6) < 3 if shift else 1)
    return of | {"fine_pixels": np.floor(chance * 4096).astype(np.int64)}


@pytest.fixture(scope="module")
def view():
    """A view of generated maps that are far off, beside an auxiliary set that is not."""
    each = {"generated": statistics(0, 30.0), "validation": statistics(1), "auxiliary": statistics(2)}
    units = {name: np.repeat(np.arange(UNITS), CROPS) for name in each}
    return units, each


@pytest.fixture
def judged(view, parse):
    units, each = view
    settings = parse("--workdir=w", "--num_permutations=99", "--num_resamples=50").by_stage["evaluate"]
    return Judge(units, settings, SCALES).judge(each, heights=True)


def test_one_crop_of_every_unit_is_tested_and_real_maps_are_the_yardstick(judged):
    for key, found in judged["tests"].items():
        for side in ("generated", "baseline"):
            assert found[side]["maps"] == [UNITS, UNITS], (key, side)
        assert found["generated"]["ks"]["family_wise_p"] == 0.01
        # 24 maps of one distribution, the seeds fixed: no p as small, of a dozen statistics.
        assert found["baseline"]["ks"]["family_wise_p"] > 0.02, key
    pixels = judged["pixels"]
    assert pixels["generated"]["maps"] == pixels["baseline"]["maps"] == [UNITS, UNITS]
    assert pixels["generated"]["p"] == 0.01
    assert pixels["baseline"]["p"] > 0.03
    assert pixels["generated"]["distance"] > 0.3 > pixels["baseline"]["distance"]
    for key, found in judged["heights"].items():
        assert found["generated"]["modes"] == found["baseline"]["modes"] == WIDTHS[key]
    # Crops that all say the same are no more maps to W1's noise than their parents are.
    noise = np.array(judged["distances"]["baseline"]["V0"]["noise"])
    assert (noise > 0.25).all()
    assert np.array(judged["distances"]["generated"]["V0"]["value"]).min() > 20
    assert np.array(judged["distances"]["baseline"]["V0"]["value"]).max() < 2


def test_a_generator_that_was_not_chosen_is_not_said_to_be(view, parse):
    units, each = view
    settings = parse("--workdir=w", "--num_permutations=0", "--num_resamples=50").by_stage["evaluate"]
    for selected in (True, False):
        found = Judge(units, settings, SCALES, selected=selected).judge(each, heights=False)
        chosen = {one["quantity"] for one in found["verdicts"]["judged"] if one["used_by_selection"]}
        assert chosen == ({"power_bands"} if selected else set())


def test_power_that_few_boxes_do_not_know_is_said_and_the_rest_goes_on(view, parse):
    """A dozen boxes whose longest waves scatter by three times their mean: no relative difference is known."""
    units, each = view
    faint = {name: {**of, "power_bands": of["power_bands"].copy()} for name, of in each.items()}
    scatter = np.repeat(np.random.default_rng(3).normal(1.0, 3.0, UNITS), CROPS)
    faint["validation"]["power_bands"][:, 0] = scatter - scatter.mean() + 1
    settings = parse("--workdir=w", "--num_permutations=0", "--num_resamples=50").by_stage["evaluate"]
    judge_ = Judge(units, settings, SCALES)
    found = judge_.judge(faint, heights=False)
    assert "modes [0] have means within 5 standard errors of 0" in found["verdicts"]["refused"]
    assert found["verdicts"]["judged"] == []
    assert judge_.key_numbers(faint) == []
    assert found["distances"]["generated"]["V0"]["value"]  # what is told beside it is there


def test_halves_of_validation_have_no_unit_in_common(view, parse):
    units, each = view
    without = {name: of for name, of in each.items() if name != "auxiliary"}
    settings = parse("--workdir=w", "--num_permutations=99", "--num_resamples=50").by_stage["evaluate"]
    judge_ = Judge({name: units[name] for name in without}, settings, SCALES)
    one, other = judge_._sides(without)["baseline"]
    assert [len(half["V0"]) for half in (one, other)] == [UNITS // 2, UNITS // 2]
    both = np.concatenate([one["V0"], other["V0"]])
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(each["validation"]["V0"], axis=0))


def test_bands_are_means_over_the_full_plane_and_peaks_go_by_sigma():
    geometry, rng = MapGeometry(16, 1.0), np.random.default_rng(3)
    kappa = rng.normal(size=(2, 16, 16)).astype(np.float32) * np.linspace(0.2, 1, 16, dtype=np.float32)
    for amplitude in (1.0, 0.01):
        scale = scales(amplitude * kappa, geometry, 4)
        if amplitude == 1.0:
            summarise = summarising.summariser(scale, geometry)
            found = summarise(jnp.asarray(kappa))
            # A sky has no axis: a map on its side has the same bands. (The half plane's mean has not.)
            turned = summarise(jnp.asarray(kappa.swapaxes(1, 2).copy()))
            np.testing.assert_allclose(found["power_bands"], turned["power_bands"], rtol=1e-5)
            plane = power_spectrum(kappa, scale.l_edges, 1.0, mode_weights="full_plane")
            np.testing.assert_allclose(found["power_bands"], plane, rtol=1e-6)
            assert np.abs(power_spectrum(kappa, scale.l_edges, 1.0) / plane - 1).max() > 1e-2
            heights = scale.peak_edges
        else:  # of fainter maps the heights are as much lower
            np.testing.assert_allclose(scale.peak_edges, amplitude * heights, rtol=1e-5)


def test_one_program_measures_all_views_each_in_its_own_bins():
    """Views have edges of their own, more or fewer bins of extrema; what fills these up is cut away."""
    geometry, rng = MapGeometry(16, 1.0), np.random.default_rng(4)
    seen = (
        rng.normal(size=(40, 16, 16)).astype(np.float32),
        rng.gamma(0.2, size=(40, 16, 16)).astype(np.float32),
    )
    edges = [scales(kappa, geometry, 4) for kappa in seen]
    for name in ("peak_edges", "minimum_edges"):
        assert len({len(getattr(scale, name)) for scale in edges}) == 2, name
    summarising._of_each.clear_cache()  # of maps of this size from other modules
    for kappa, scale in zip(seen, edges):
        found = summarising.summariser(scale, geometry)(kappa)
        assert {name: found[name].shape[1] for name in STATISTICS} == num_modes(scale)
        np.testing.assert_allclose(found["peaks"], peak_counts(kappa, scale.peak_edges), rtol=3e-7)
        np.testing.assert_allclose(found["minima"], minimum_counts(kappa, scale.minimum_edges), rtol=3e-7)
        heights = minkowski_functionals(kappa, scale.kappa_thresholds, normalised=False)
        np.testing.assert_array_equal(found["V0_of_kappa"], heights.V0)
        np.testing.assert_allclose(found["V1_of_kappa"], heights.V1, rtol=1e-5, atol=1e-6)
        cells = np.split(np.asarray(found["fine_pixels"]), scale.density_cells, axis=1)
        counted = np.stack([part.sum(1) for part in cells], 1)
        np.testing.assert_array_equal(np.round(np.asarray(found["pdf"]) * 16**2), counted)
        np.testing.assert_array_equal(counted.sum(1), 16**2)
    assert summarising._of_each._cache_size() == 1


def test_no_two_sets_have_the_same_shape_noise(parse):
    settings = parse("--workdir=w", "--observer_smoothing_arcmin=1").by_stage["evaluate"]
    see = views(settings, MapGeometry(16, 0.5))["shape noise, 1 arcmin"]
    blank, index = np.zeros((20, 16, 16), np.float32), np.arange(20)
    seen = np.stack(
        [np.asarray(see(blank, index, name)).ravel() for name in ("generated", "validation", "auxiliary")]
    )
    # 20 x 256 pixels, some ten of which hang together.
    assert np.abs(np.corrcoef(seen) - np.eye(3)).max() < 0.2
    np.testing.assert_array_equal(seen[0], np.asarray(see(blank, index, "generated")).ravel())


def test_a_band_is_convicted_by_the_limit_of_the_whole_family_alone():
    """In units of margin^2: sure, lower and upper limit of a band, what equal sets give, the yardstick."""
    rows = {
        "fail": (1.1, 1.5, 2.0, 0.5, 0.0),
        "undecided": (0.9, 1.5, 2.0, 0.5, 0.0),  # by its own 95 % limit it would fail
        "not resolvable": (0.9, 1.5, 2.0, 1.5, 0.0),
        "pass": (-0.2, 0.1, 0.9, 0.5, 0.0),
        "yardstick off": (-0.2, 0.1, 0.9, 0.5, 1.1),
    }
    sure, lower, upper, null, of_real = np.array(list(rows.values())).T * 0.05**2
    limits = Limits((lower + upper) / 2, lower, upper, sure, null[:, None])
    assert verdict._outcomes(limits, of_real, 0.05) == tuple(rows)
