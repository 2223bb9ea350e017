"""Maps of several cosmologies: found in the sets, each judged by itself, and compared by ratios of power."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest

from cosmogan_jax.compare import design_verdict
from cosmogan_jax.compare.cosmologies import (
    Cosmologies,
    cosmologies_of,
    matched_parents,
    nearest_to_middle,
    shares_units,
)
from cosmogan_jax.compare.design_verdict import AucAtPoint, JudgedDesign
from cosmogan_jax.compare.discrimination.areas import Told, discrimination, excess_auc, mean_discrimination
from cosmogan_jax.compare.effects.ratios import GOAL, PowerSet, ratio, ratio_to_fiducial
from cosmogan_jax.compare.scales import Scales
from cosmogan_jax.figures import page
from cosmogan_jax.figures.design import Point, draw_plane
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.sets import MapSet, MapSets
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.settings.margins import parse
from cosmogan_jax.stages.evaluate import classified_cosmologies, cosmologies, overall, tables, uniformity
from cosmogan_jax.stages.evaluate.judgement import Judge
from cosmogan_jax.stages.report import cosmologies as page_of

pytestmark = pytest.mark.usefixtures("quick")

POINTS = np.array([[0.2, 0.7], [0.2, 0.9], [0.3, 0.8], [0.4, 0.7], [0.4, 0.9]])
NAMES = ("omega_m", "sigma8")
BANDS, MODES = 4, 5
BOXES, OF_EACH = 20, 20  # real boxes, and maps of each at every cosmology
WRONG = 0
SETTINGS = Evaluate(num_permutations=0, num_resamples=60, margins="default,slope=10")


def of_cosmology(common, own, point, excess=0.0):
    """Statistics of maps whose noise is `common` to all cosmologies but for a tenth, `own`."""
    noise = np.sqrt(0.99) * common + 0.1 * own
    amplitude = 1e-9 * np.sqrt(point[1] / 0.8) * (1 + excess)
    return {
        "power_bands": amplitude * np.exp(0.2 * noise[:, :BANDS]),
        "peaks": 9.0 + point[0] + 0.05 * noise[:, :MODES],
    }


def a_set(rng, units, of_each, wrong=None):
    """By cosmology: statistics of maps of the same units at each, units with 3 % of their own in all power."""
    box = np.repeat(rng.normal(size=units), of_each)[:, None]
    common = rng.normal(size=(units * of_each, MODES)) + 0.15 * box
    own = rng.normal(size=(len(POINTS), units * of_each, MODES))
    excess = [0.2 if number == wrong else 0.0 for number in range(len(POINTS))]
    return [of_cosmology(common, *one) for one in zip(own, POINTS, excess)]


@pytest.fixture(scope="module")
def by_point():
    rng = np.random.default_rng(0)
    return {
        "generated": a_set(rng, 400, 1, wrong=WRONG),
        "validation": a_set(rng, BOXES, OF_EACH),
        "auxiliary": a_set(rng, BOXES, OF_EACH),
    }


@pytest.fixture(scope="module")
def scale():
    nothing = dict.fromkeys(Scales._fields, np.zeros(0))
    return Scales(
        **{
            **nothing,
            "l_edges": np.geomspace(200, 5000, BANDS + 1),
            "peak_edges": np.linspace(-3, 3, MODES + 1),
        }
    )


@pytest.fixture(scope="module")
def whole(by_point):
    """All maps of each set, real ones cosmology by cosmology, generated ones with all cosmologies in turn."""
    each, of_map, labels = {}, {}, {}
    for name, points in by_point.items():
        in_turn = name == "generated"
        number = len(points[0]["peaks"])
        order = np.arange(len(POINTS) * number).reshape(len(POINTS), number)
        order = order.T.ravel() if in_turn else order.ravel()
        each[name] = {key: np.concatenate([one[key] for one in points])[order] for key in points[0]}
        of_map[name] = np.repeat(np.arange(len(POINTS)), number)[order]
        unit = np.arange(number) if in_turn else np.repeat(np.arange(BOXES), OF_EACH)
        labels[name] = np.tile(unit, len(POINTS))[order]
    return each, Cosmologies(NAMES, POINTS, of_map), labels


@pytest.fixture(scope="module")
def design(whole, scale):
    each, found, labels = whole
    training = {"omega_m": np.array([0.15, 0.45, 0.15]), "sigma8": np.array([0.6, 1.0, 0.6])}
    return cosmologies.judge(found, each, labels, scale, training, SETTINGS, no_verdict=None, selected=False)


def test_a_cosmology_is_judged_as_its_maps_alone_are(by_point, scale, design):
    """By maps that were never mixed with others; only a fail is asked to hold for all six verdicts."""
    for number in (1, WRONG):
        own = {name: points[number] for name, points in by_point.items()}
        units = {name: np.repeat(np.arange(BOXES), OF_EACH) for name in own}
        units["generated"] = np.arange(len(own["generated"]["peaks"]))
        judge = Judge(units, SETTINGS, scale, None, selected=False, together=len(POINTS) + 1)
        one = design.cosmologies[number]
        assert one.verdicts == judge.verdicts(own)
        assert one.key_numbers == tuple(judge.key_numbers(own))
        assert one.parameters == dict(zip(NAMES, POINTS[number]))
        assert one.maps == {"generated": 400, "validation": 400, "auxiliary": 400}
        assert one.units == {"generated": 400, "validation": BOXES, "auxiliary": BOXES}
        alone = Judge(units, SETTINGS, scale, None, selected=False).verdicts(own)
        for ours, theirs in zip(one.verdicts["judged"], alone["judged"], strict=True):
            fails, lone = (np.array(entry["outcomes"]) == "fail" for entry in (ours, theirs))
            assert not (fails & ~lone).any()
            if fails.any():  # where the difference is large, a limit that holds for more lies lower
                assert np.all(np.array(ours["sure"]) < theirs["sure"])
            for key in ("value", "lower", "upper", "effect", "reach", "bands"):
                assert ours[key] == theirs[key]


@pytest.fixture(scope="module")
def finished(whole, scale, design):
    """The design with its outcomes, and the whole one."""
    each, _, labels = whole
    view = {"verdicts": Judge(labels, SETTINGS, scale, None, selected=False, together=6).verdicts(each)}
    results = {
        "views": {"as it is": view},
        "statistics": {name: {} for name in ("power_spectrum", "power_bands", "pdf", "peaks", "minima")}
        | {row: {} for row in overall.STATISTICS},
        "left_out": {},
        "duplicates": {"outcome": "pass"},
        "position": {"too_few": "maps"},
        "classifier": None,
    }
    good = AucAtPoint(0.52, 0.01, 0.51, 0.01, 0.01, -0.01, 0.03, 0.05, "pass")
    areas = [good] * len(POINTS)
    done = cosmologies.with_outcomes(design, areas, results, SETTINGS.margins)
    return done, results, overall.judge(results, SETTINGS.margins, done)


def test_a_generator_that_is_wrong_at_one_cosmology_fails_there_and_as_a_whole(finished):
    """20 % of the power of one of five is 4 % of the mean over all, which the margin of 5 % lets pass."""
    design, results, joint = finished
    assert [one.outcome == "fail" for one in design.cosmologies] == [n == WRONG for n in range(len(POINTS))]
    assert design.cosmologies[WRONG].overall["fails"] == ["power spectrum, log bands: mean"]
    assert design.outcomes == {"pass": 0, "incomplete": 4, "fail": 1}
    together = overall.judge(results, SETTINGS.margins)
    assert together["outcome"] == "incomplete"
    assert joint["outcome"] == "fail"
    assert joint["fails"] == ["1 of 5 cosmologies by themselves (omega_m=0.2, sigma8=0.7)"]
    assert joint["said"].startswith("fail (margins: default,slope=10): differs in 1 of 5 cosmologies")


def test_what_is_open_at_a_cosmology_leaves_the_whole_open(finished):
    design, results, _ = finished
    passing = dict(outcome="pass", fails=[], agrees=["all"], open=[], said="pass")
    everywhere = [dataclasses.replace(one, overall=passing) for one in design.cosmologies]
    effects = results["views"]["as it is"]["verdicts"]["judged"]
    rows = [{**effect, "quantity": row, "outcome": "pass"} for row in overall.STATISTICS for effect in effects]
    fine = {
        **results,
        "views": {"as it is": {"verdicts": {"refused": None, "judged": rows}}},
        "position": {"mean": {"outcome": "pass"}, "sigma": {"outcome": "pass"}},
        "classifier": {"generated": {"excess": {"outcome": "pass"}}},
    }
    open_one = dataclasses.replace(everywhere[0], overall=passing | {"outcome": "incomplete"})
    for changed, outcome in ((everywhere, "pass"), ([open_one, *everywhere[1:]], "incomplete")):
        whole = dataclasses.replace(design, cosmologies=tuple(changed))
        assert overall.judge(fine, "default", whole)["outcome"] == outcome
    assert design.cosmologies[1].overall["outcome"] == "incomplete"  # of statistics that are not there


def test_key_numbers_are_what_the_maps_are_made_with(design):
    """rms over bands: 0.2 of the power; scatters alike; no more than a few errors of 20 boxes elsewhere."""
    numbers = {n.name: n for n in design.cosmologies[WRONG].key_numbers}
    assert list(numbers) == ["power", "log_power_scatter", "peaks"]
    power = numbers["power"]
    # The mean of 20 boxes is known to 0.2 sqrt(1/400 + 0.15^2/20) = 1.2 %; of real maps likewise.
    assert power.value == pytest.approx(0.2, abs=0.04)
    assert power.lower < power.value < power.upper
    assert power.relative
    assert power.in_margins == pytest.approx(power.value / 0.05)
    assert design.cosmologies[WRONG].largest == (power.in_margins, "mean power")
    for one in design.cosmologies:
        others = {n.name: n for n in one.key_numbers}
        # ln of the power scatters by 0.2 in all sets: known to 1/sqrt(2 400) = 3.5 % in each.
        assert others["log_power_scatter"].value < 0.09
        assert others["peaks"].value < 0.1
        assert not others["peaks"].relative
        assert one.number == WRONG or others["power"].value < 0.05


def test_ratios_know_what_single_powers_do_not(design, by_point):
    assert design.fiducial == 2
    assert design.matched == dict.fromkeys(by_point, True)
    assert design.cosmologies[2].ratio is None
    for one in design.cosmologies:
        if one.number == 2:
            continue
        truth = np.sqrt(POINTS[one.number, 1] / 0.8)
        np.testing.assert_allclose(one.ratio.simulated, truth, rtol=0.01)
        assert one.ratio.within_goal == (one.number != WRONG)
        # A tenth of the noise is its own: 0.1 sqrt(2) of it are left, where 1.4 were (and boxes' own 3 %).
        assert np.max(np.array(one.ratio.simulated_error) / one.ratio.simulated_unmatched_error) < 0.25
    assert one.ratio.difference[one.ratio.worst] == max(one.ratio.difference, key=abs)
    np.testing.assert_allclose(design.cosmologies[WRONG].ratio.difference, 0.2, atol=0.02)


def powers(rng, units, own, kinds=("both",)):
    """Powers 1 + e at two cosmologies of 2 and 1, e of variance 0.01 of which a share `own` is not common."""
    rows = []
    for at, kind in enumerate(kinds):
        common = rng.normal(size=(units, 1)) * np.sqrt(1 - own)
        for number, factor in ((0, 2.0), (1, 1.0)):
            if kind in ("both", number):
                e = common + np.sqrt(own) * rng.normal(size=(units, 1))
                rows.append((factor * (1 + 0.1 * e), np.full(units, number), np.arange(units) + at * units))
    return PowerSet(*(np.concatenate(column) for column in zip(*rows)))


@pytest.mark.parametrize(("own", "kinds"), [(0.04, ("both",)), (1.0, ("both",)), (0.04, (0, 1))])
def test_the_error_of_a_ratio_is_that_of_what_is_not_matched(own, kinds):
    """sd(R)/R = 0.1 sqrt(2 own/N) with matched units, 0.1 sqrt(2/N) without; known to 1/sqrt(2 N) = 5 %."""
    sample = powers(np.random.default_rng(1), 200, own, kinds)
    of = ratio(sample, 0, 1, seed=0, stream=0, num_resamples=400)
    left = own if kinds == ("both",) else 1.0
    assert of.draws.std(0, ddof=1)[0] / of.value[0] == pytest.approx(0.1 * np.sqrt(2 * left / 200), rel=0.2)
    assert of.unmatched.std(0, ddof=1)[0] / of.value[0] == pytest.approx(0.1 * np.sqrt(2 / 200), rel=0.2)
    assert of.value[0] == pytest.approx(2.0, rel=0.05)
    assert of.units == 200


def test_ratios_of_few_seeds_or_of_bands_without_modes_are_not_known():
    rng = np.random.default_rng(2)
    few, many = powers(rng, 4, 0.5), powers(rng, 50, 0.5)
    numbers = {"seed": 0, "num_resamples": 50}
    assert ratio_to_fiducial(few, many, 0, 1, **numbers) is None
    empty = many._replace(power=np.concatenate([many.power, np.zeros_like(many.power)], 1))
    known = ratio_to_fiducial(empty, empty, 0, 1, **numbers)
    assert known.difference == (0.0, None)
    assert known.worst == 0
    assert known.within_goal
    assert GOAL == 0.03  # what the emulator is asked for
    with pytest.raises(ValueError, match="no maps of cosmology 3"):
        ratio(many, 3, 1, seed=0, stream=0, num_resamples=2)


def parameters(rows, **more):
    return {name: column for name, column in zip(NAMES, np.array(rows, float).T)} | more


def test_cosmologies_are_found_in_what_maps_say_whatever_the_rounding():
    rows = np.repeat(POINTS, 2, 0)
    known = {
        "generated": parameters(rows[::-1].astype(np.float32)),
        "validation": parameters(rows, h=np.full(10, 0.7)),
        "auxiliary": parameters(rows * (1 + 1e-7), h=np.full(10, 0.7)),
    }
    found = cosmologies_of(known)
    assert found.names == NAMES
    np.testing.assert_allclose(found.points, POINTS, rtol=1e-6)
    for name, of_map in found.of_map.items():
        np.testing.assert_array_equal(of_map, np.repeat(np.arange(5), 2)[:: -1 if name == "generated" else 1])
    same = {name: {**of, "omega_m": np.full(10, 0.3)} for name, of in known.items()}
    assert cosmologies_of(same).names == ("sigma8",)
    assert len(cosmologies_of(same).points) == 3
    # Of one cosmology, or where the emulator is conditioned on nothing, there is nothing to tell apart.
    assert cosmologies_of({name: parameters(rows[:1]) for name in known}) is None
    assert cosmologies_of({**known, "generated": {}}) is None
    assert cosmologies_of({"generated": parameters(rows), "validation": {}}) is None


@pytest.mark.parametrize("lacking", ["generated", "validation", "auxiliary"])
def test_a_cosmology_that_a_set_lacks_is_one_line(lacking):
    known = dict.fromkeys(("generated", "validation", "auxiliary"), parameters(POINTS))
    with pytest.raises(ValueError, match=f"^{lacking} maps: none is of the cosmology omega_m=0.2") as error:
        cosmologies_of({**known, lacking: parameters(POINTS[[0, 2, 4]])})
    assert ", and none of 1 more; sets are judged cosmology by cosmology" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"^auxiliary maps do not say their sigma8, in which"):
        cosmologies_of({**known, "auxiliary": {"omega_m": POINTS[:, 0]}})


def test_the_nth_map_of_a_box_is_one_at_all_cosmologies():
    boxes, points = np.array([0, 0, 1, 1] * 2), np.repeat([0, 1], 4)
    parents = np.array([3, 4, 5, 6, 17, 18, 15, 16])
    np.testing.assert_array_equal(matched_parents(parents, boxes, points), [0, 1, 2, 3, 0, 1, 2, 3])
    np.testing.assert_array_equal(matched_parents(parents, boxes + 2 * points, points), parents)
    np.testing.assert_array_equal(matched_parents(parents, None, points), parents)
    assert shares_units(boxes, points)
    assert not shares_units(boxes + 2 * points, points)


def test_the_fiducial_is_nearest_to_the_middle_of_what_was_trained_on_too():
    assert nearest_to_middle(POINTS, np.zeros((0, 2))) == 2
    assert nearest_to_middle(POINTS, np.array([[0.6, 1.3]])) == 4


def a_map_set(name, kappa, units, points):
    return MapSet(
        name, MapGeometry(kappa.shape[1], 1.0), len(kappa), lambda a, b: kappa[a:b], units, units, None, name,
        {}, parameters=parameters(points),
    )  # fmt: skip


def test_where_maps_count_as_one_those_of_a_seed_do_at_all_cosmologies():
    kappa, points = np.zeros((8, 4, 4)), np.repeat(POINTS[:2], 4, 0)
    real = a_map_set("validation", kappa, np.arange(8), points)._replace(boxes=np.array([0, 0, 1, 1] * 2))
    sets = MapSets(a_map_set("generated", kappa, np.arange(8), points), real, None)
    found = cosmologies_of({maps.name: maps.parameters for maps in sets.present()})
    by_map = {"generated": (np.arange(8), "map"), "validation": (np.arange(8), "map")}
    joint = cosmologies.joint_units(sets, by_map, found)
    np.testing.assert_array_equal(joint["validation"][0], [0, 1, 2, 3] * 2)
    assert cosmologies.joint_units(sets, by_map, None) is by_map


@pytest.mark.parametrize("in_turn", [True, False])
def test_groups_of_seeds_share_none_and_hold_all(in_turn):
    rng = np.random.default_rng(3)
    seeds = np.repeat(np.arange(100), 5)
    seeds = seeds if in_turn else rng.permutation(seeds)
    kappa = rng.normal(size=(500, 4, 4)) + rng.normal(size=(100, 1, 1))[seeds]
    groups = uniformity.groups_of_seeds(a_map_set("generated", kappa, seeds, np.zeros((500, 2))), seeds)
    np.testing.assert_array_equal(groups.count, [65] * 7 + [45])
    order = np.argsort(seeds, kind="stable")
    np.testing.assert_allclose(groups.mean[1], kappa[order[65:130]].mean(0))
    np.testing.assert_allclose(groups.m2[1], kappa[order[65:130]].var(0) * 65)


def test_the_mean_area_errs_as_its_parents_do():
    rng = np.random.default_rng(4)
    scores = rng.normal(0.5, size=200), rng.normal(-0.5, size=200)
    parents = np.repeat(np.arange(20), 10)
    one = discrimination(*scores, parents, parents)
    same = mean_discrimination([Told(*scores, parents, parents)] * 3)
    apart = mean_discrimination([Told(*scores, parents + 20 * n, parents + 20 * n) for n in range(3)])
    for area, error, freedom in ((same, 1.0, 19), (apart, 1 / np.sqrt(3), 59)):
        assert area.auc.value == pytest.approx(one.auc.value)
        assert area.accuracy.value == pytest.approx(one.accuracy.value)
        # The factor G/(G - 1) of the variance is of 20 parents, or of 60.
        for share, alone in zip(area, one):
            assert share.standard_error == pytest.approx(error * alone.standard_error, rel=0.02)
            assert share.degrees == freedom


def test_many_areas_fail_as_one():
    area, control = one_share(0.65), one_share(0.5)
    assert excess_auc(area, control, 0.05).outcome == "fail"
    nine = excess_auc(area, control, 0.05, together=9)
    assert nine.outcome == "undecided"
    assert nine[:3] == excess_auc(area, control, 0.05)[:3]


def one_share(value):
    """An area with an error of 0.03 over 9 degrees: 0.1 at 0.042 of two is t = 2.4; 1.8 is asked, or 3.3."""
    scores, parents = np.arange(20.0), np.arange(20) // 2
    return discrimination(scores, scores, parents, parents).auc._replace(value=value, standard_error=0.03)


@pytest.fixture(scope="module")
def classified():
    """Generated maps have too much small-scale noise at one cosmology, and too little at the other."""
    rng = np.random.default_rng(5)
    sets = {}
    for name, tilt in (("generated", 0.35), ("validation", 0.0), ("auxiliary", 0.0)):
        kappa, count = [], 400
        for sign, sigma in ((1, 0.02), (-1, 0.04)):
            noise = rng.normal(size=(count, 16, 16))
            smooth = sum(np.roll(noise, shift, (1, 2)) for shift in itertools.product((0, 1), (0, 1)))
            kappa.append(sigma * (smooth + (1 + sign * tilt) * rng.normal(size=noise.shape)))
        units = np.tile(np.arange(count) // (1 if name == "generated" else 20), 2)
        kappa = np.concatenate(kappa).astype(np.float32)
        sets[name] = a_map_set(name, kappa, units, np.repeat(POINTS[:2], count, 0))
    sets = MapSets(**sets)
    found = cosmologies_of({maps.name: maps.parameters for maps in sets.present()})
    labels = {maps.name: maps.boxes for maps in sets.present()}
    with pytest.MonkeyPatch.context() as patch:
        # Without the network, which takes longer to compile than all else.
        patch.setattr(classified_cosmologies, "taught_pixels", lambda *_: lambda kappa: np.zeros(len(kappa)))
        return sets, found, labels, classified_cosmologies.judge(sets, labels, found, 1, 0.05)


def test_one_classifier_sees_what_is_off_in_opposite_ways(classified):
    sets, found, labels, (whole, points) = classified
    ours, control = whole["generated"], whole["control"]
    # 35 % of half of the noise more or less shows in every band's power; the control is chance of 10 boxes.
    assert min(point.generated for point in points) > 0.8
    assert all(point.outcome == "fail" for point in points)
    assert ours["auc"]["value"] == pytest.approx(np.mean([point.generated for point in points]))
    assert ours["auc_of_own_spectrum"]["value"] > 0.8 > 0.65 > ours["auc_of_spectrum"]["value"]
    assert abs(control["auc"]["value"] - 0.5) < 0.1
    assert ours["mean_over_cosmologies"] == control["mean_over_cosmologies"] == 2
    assert ours["excess"]["outcome"] == "fail"
    assert ours["test_parents"] == [200, 10]
    few = {**labels, "validation": np.where(found.of_map["validation"] == 1, labels["validation"] // 10, 50)}
    refused = classified_cosmologies.judge(sets, few, found, 1, 0.05)
    assert refused.whole == {"refused": "1 independent units in the validation set at sigma8=0.7; it needs 5"}
    assert classified_cosmologies.judge(sets, labels, found, 0, 0.05) == (None, [])


def test_parts_have_no_parent_in_common_and_as_many_maps_of_every_cosmology(classified):
    sets, found, labels, _ = classified
    kept = [
        classified_cosmologies.read_kept(
            classified_cosmologies.ClassifiedSet(
                maps.name, maps.read, labels[maps.name], found.of_map[maps.name]
            ),
            None,
        )
        for maps in sets.present()
    ]
    every = classified_cosmologies._split(kept)
    for parts in every:
        assert not set.intersection(*(set(part.parents) for part in parts))
        for part, other in itertools.combinations(parts, 2):
            assert not set(part.parents) & set(other.parents)
    for of_part in zip(*every):
        counts = [np.bincount(part.cosmology).tolist() for part in of_part]
        assert counts[0] == counts[1] == counts[2]
        assert counts[0][0] == counts[0][1] > 0


@pytest.fixture(scope="module")
def written(finished, whole, scale, tmp_path_factory):
    """What the report reads: the record as JSON, and statistics.json as far as it is drawn here."""
    design = JudgedDesign.from_json(json.loads(json.dumps(dataclasses.asdict(finished[0]))))
    each, found, labels = whole
    units = {name: (of_maps, "box") for name, of_maps in labels.items()}
    more = {name: {**of, **dict.fromkeys(("V0", "V1", "V2"), of["peaks"])} for name, of in each.items()}
    entries = json.loads(json.dumps(tables.by_cosmology(more, units, found), default=lambda x: x.tolist()))
    edges = np.linspace(-3, 3, MODES + 1).tolist()
    return design, {
        "l_edges": scale.l_edges.tolist(), "thresholds": edges, "peak_edges": edges, "cosmologies": entries
    }  # fmt: skip


def test_the_record_comes_back_from_json(written, finished):
    assert written[0] == finished[0]
    with pytest.raises(ValueError, match=r"results.json: 'bands'; damaged, or written by another version"):
        JudgedDesign.from_json({"names": [], "fiducial": 0}, "results.json")


def test_tables_of_a_cosmology_are_of_its_maps(written, by_point):
    entry = written[1]["cosmologies"][WRONG]
    for name, points in by_point.items():
        power = points[WRONG]["power_bands"]
        np.testing.assert_allclose(entry["power_bands"][name]["mean"], power.mean(0), rtol=1e-12)
        np.testing.assert_allclose(entry["log_power"][name]["sigma"], np.log(power).std(0), rtol=1e-2)


def test_the_page_has_a_row_a_figure_and_an_anchor_for_every_cosmology(written):
    design, content = written
    titles = {name: {"title": name, "mean_unit": "mean" if name == "power_bands" else "scatter"}
              for name in ("power_bands", "peaks")}  # fmt: skip
    overview = list(page_of.overview(design, content))
    sections = [*overview, *page_of.each(design, content, titles)]
    assert [section.title for section in overview] == [
        "Every cosmology by itself", "Ratios of power to the fiducial cosmology"
    ]  # fmt: skip
    assert all(section.figure is not None for section in sections)
    rows = overview[0].tables[0]
    assert [row[0] for row in rows.rows] == list("01234")
    assert [row[-1] for row in rows.rows] == [one.outcome for one in design.cosmologies]
    assert rows.rows[2][rows.head.index("ratio, worst [%]")] == "fiducial"
    html = "".join(page.table(table) for section in sections for table in section.tables)
    assert set(re.findall("href='#([^']*)'", html)) == {section.anchor for section in sections[2:]}
    assert html.count("<details><summary>every effect</summary>") == len(POINTS)
    assert sections[2 + WRONG].text[0].startswith("Outcome: fail (margins: default,slope=10): differs in power")


def test_the_terminal_says_a_line_for_every_cosmology(written):
    lines = design_verdict.short_table(written[0])
    assert lines[0].split()[:3] == ["no.", *NAMES]
    assert len(lines) == 1 + len(POINTS)
    assert re.search(r"\d, mean power +fail$", lines[1 + WRONG])
    assert max(map(len, lines)) < 132


@pytest.mark.parametrize("names", [("sigma8",), NAMES, (*NAMES, "h")])
def test_any_number_of_parameters_is_drawn(names):
    outcomes = (("pass", 0.0), ("fail", 3.0), ("incomplete", None))
    points = [Point(n, tuple(0.1 * n + k for k in range(len(names))), *told) for n, told in enumerate(outcomes)]
    figure = draw_plane(names, [point.values for point in points], points, 1)
    assert len(figure.axes) == 3 * {1: 1, 2: 1, 3: 3}[len(names)]  # two panels of a pair, and a scale
    assert figure.axes[0].get_xlabel() == names[0]


def test_margins_of_the_settings_are_those_of_the_numbers(design):
    margins = parse(SETTINGS.margins)
    assert {n.name: n.margin for n in design.cosmologies[0].key_numbers} == {
        "power": margins.mean, "log_power_scatter": margins.scatter, "peaks": margins.mean_in_scatter
    }  # fmt: skip
