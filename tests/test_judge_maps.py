"""Maps that are arrays, judged from Python: as stage evaluate judges them, refused where they are none."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import load_script, quickly_compiled

import cosmogan_jax.compare
from cosmogan_jax import judging
from cosmogan_jax.compare import judge_maps
from cosmogan_jax.figures import verdict
from cosmogan_jax.stages import evaluate

SETTINGS = {
    "classifier_steps": 0, "observer_smoothing_arcmin": [], "num_permutations": 9, "num_resamples": 50,
    "evaluate_l_bins": 4, "margins": "tight,mean=0.5",
}  # fmt: skip


@pytest.fixture(scope="module")
def sets():
    """Skewed noise, the generated ones of half more amplitude: nobody calls them the same."""
    rng = np.random.default_rng(7)
    sizes = {"generated": (14, 0.03), "validation": (12, 0.02), "auxiliary": (11, 0.02)}
    return {
        name: ((rng.gamma(4, size=(count, 16, 16)) - 4) / 2 * sigma).astype(np.float32)
        for name, (count, sigma) in sizes.items()
    }


@pytest.fixture(scope="module")
def judged(sets):
    with quickly_compiled():
        return judge_maps(**sets, side_deg=0.5, source_redshift=1.0, **SETTINGS)


def judged_by_the_stage(run_main, tmp_path, sets, settings, *flags):
    """Where stage evaluate wrote what it found of the same maps in files."""
    roles = {"generated": "generated", "validation": "reference", "auxiliary": "auxiliary"}
    told = [f"--{roles[name]}={tmp_path}/{name}.npy" for name in sets]
    for name, kappa in sets.items():
        np.save(tmp_path / f"{name}.npy", kappa)
    code, _, error = run_main(
        f"--workdir={tmp_path}/run", *told, "--side_deg=0.5", *flags, "--stages=evaluate",
        *(f"--{name}={','.join(map(str, v)) if isinstance(v, list) else v}" for name, v in settings.items()),
    )  # fmt: skip
    assert code == 0, error
    return tmp_path / "run/evaluate"


def test_arrays_are_judged_as_stage_evaluate_judges_files(sets, judged, tmp_path, run_main):
    place = judged_by_the_stage(run_main, tmp_path, sets, SETTINGS, "--source_redshift=1")
    theirs = json.loads((place / "results.json").read_text())
    ours = json.loads(json.dumps(judged.results))
    theirs.pop("seconds")
    for results in (ours, theirs):
        assert results.pop("baseline").endswith("against validation maps")
        for of in results["sets"].values():
            of.pop("source")
    assert ours == theirs
    tables = json.loads((place / "statistics.json").read_text())
    assert judged.tables["statistics"] == tables["statistics"]


def test_the_verdict_is_found_and_prints(judged):
    """Twice the variance is beyond any margin; the table is the report's."""
    effects = judged.results["views"]["as it is"]["verdicts"]["judged"]
    power = next(of for of in effects if (of["quantity"], of["name"]) == ("power_bands", "mean"))
    # (0.03 / 0.02)^2 - 1 = 1.25, from 12 and 14 maps with some 60 modes a band.
    assert np.median(power["effect"]) == pytest.approx(1.25, abs=0.25)
    assert judged.outcome == "fail"
    first, _, head, *rows = str(judged).splitlines()
    assert first.startswith("fail (margins: tight,mean=0.5): differs in ")
    assert head.split()[:2] == ["statistic", "effect"]
    assert len(rows) == len(verdict.section(judged.results).tables[0].rows)
    failed = [row for row in rows if row.endswith("fail")]
    assert len(failed) == len(judged.results["overall"]["fails"]) > 0
    assert repr(judged) == str(judged)
    html = judged._repr_html_()
    assert html.startswith("<p>fail (margins: tight")
    assert html.count("<tr>") == len(rows) + 1


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"generated": np.zeros((3, 16))},
            r"generated: shape=\(3, 16\) of float64 must be \(maps, size, size\)",
        ),
        ({"validation": np.zeros((3, 16, 8))}, r"validation: shape=\(3, 16, 8\)"),
        ({"auxiliary": np.zeros((3, 16, 16), complex)}, "auxiliary: .* of complex128"),
        ({"generated": np.ones((3, 8, 8), np.float32)}, "generated maps have 8 pixels over 0.5 deg"),
        ({"generated": np.ones((1, 16, 16), np.float32)}, "generated: 1 map .*; two are needed"),
        ({"side_deg": -1.0}, "side_deg=-1.0 must be positive degrees"),
        ({"side_deg": float("nan")}, "side_deg=nan must be positive degrees"),
        ({"margins": "loose"}, "margins=loose"),
        ({"classifier_steps": -1}, "classifier_steps=-1"),
        ({"workdir": "x"}, "workdir='x' is no setting of a judgement: classifier_steps, evaluate_l_bins"),
        ({"reference": "x"}, "reference='x' is no setting of a judgement"),
        ({"parents": {"validation": np.arange(3)}}, r"parents of validation: shape=\(3,\) must be \(12,\)"),
        ({"boxes": {"reference": np.arange(3)}}, "labels of 'reference' are of no set of maps"),
        ({"auxiliary": None, "boxes": {"auxiliary": np.arange(3)}}, "labels of 'auxiliary' are of no set"),
    ],
)
def test_what_cannot_be_judged_is_refused(sets, changed, words):
    with pytest.raises(ValueError, match=words):
        judge_maps(**{**sets, "side_deg": 0.5, **SETTINGS, **changed})


def test_maps_that_are_not_finite_or_in_two_sets_are_refused(sets):
    spoilt = sets["generated"].copy()
    spoilt[3, 2, 1] = np.nan
    shared = np.concatenate([sets["generated"][:12], sets["validation"][:2]])
    with quickly_compiled():
        with pytest.raises(ValueError, match=r"generated map 3 .*holds non-finite values"):
            judge_maps(**{**sets, "generated": spoilt}, side_deg=0.5, **SETTINGS)
        with pytest.raises(ValueError, match="2 of the 14 generated maps are among the validation maps"):
            judge_maps(**{**sets, "generated": shared}, side_deg=0.5, **SETTINGS)


BINS = {"observer_smoothing_arcmin": [2.0], "galaxies_per_arcmin2": [9.0, 16.0], "num_permutations": 0}


@pytest.fixture(scope="module")
def two_bins(sets):
    """The sets with a second bin, twice as wide and of the same skies in part."""
    rng = np.random.default_rng(8)
    own = {name: 0.01 * rng.normal(size=kappa.shape) for name, kappa in sets.items()}
    return {name: np.stack([k, 2 * k + own[name]], -1).astype(np.float32) for name, k in sets.items()}


def without_names(results):
    """What a judgement of arrays and one of files have in common: all but where maps are from, and times."""
    results = json.loads(json.dumps(results))
    for of in results["sets"].values():
        of.pop("source")
    return {name: of for name, of in results.items() if name not in ("baseline", "seconds")}


def test_arrays_of_several_bins_are_judged_as_stage_evaluate_judges_files(two_bins, tmp_path, run_main):
    settings = {**SETTINGS, **BINS}
    with quickly_compiled():
        ours = judge_maps(**two_bins, side_deg=0.5, source_redshift=[0.5, 1.0], **settings)
    bins = "--source_bins=all", "--bin_redshifts=0.5,1"
    place = judged_by_the_stage(run_main, tmp_path, two_bins, settings, *bins)
    theirs = [json.loads((place / name / "results.json").read_text()) for name in ("", "bin_1")]
    assert ours.source_bins == json.loads((place / "source_bins.json").read_text())
    assert without_names(ours.results) == without_names(theirs[0])
    for of_bin, results in zip(ours.of_bins, theirs, strict=True):
        own = {"overall": results.get("overall_of_bin", results["overall"])}
        assert without_names(of_bin.results) == without_names({**results, **own})
    tables = [json.loads((place / name / "statistics.json").read_text()) for name in ("", "bin_1")]
    assert [of.tables["statistics"] for of in ours.of_bins] == [of["statistics"] for of in tables]
    assert ours.outcome == "fail"  # half of more amplitude, in both bins
    assert [of["outcome"] for of in ours.source_bins["bins"]] == [of.outcome for of in ours.of_bins]
    # As observers see the pairs it is told too, of noise that is not the same: other effects.
    (label,) = ours.source_bins["observed"]
    assert label in ours.results["views"]
    pairs = [ours.source_bins["cross"]["judged"], ours.source_bins["observed"][label]["judged"]]
    assert [[(e["statistic"], e["name"]) for e in of] for of in pairs[:1]] == [
        [(e["statistic"], e["name"]) for e in of] for of in pairs[1:]
    ]
    assert pairs[0][0]["effect"] != pairs[1][0]["effect"]
    # The printed form: the joint outcome, the bins, their pairs, each bin.
    text = str(ours)
    lines = text.splitlines()
    assert lines[0] == ours.results["overall"]["said"]
    at = [lines.index(title) for title in ("Source bins", "Pairs of source bins", "Source bin 0 (redshift 0.5)",
                                           "Source bin 1 (redshift 1)")]  # fmt: skip
    assert at == sorted(at)
    assert lines[at[0] + 2].split() == ["source", "bin", "redshift", "outcome"]
    assert lines[at[0] + 4].split() == ["1", "1", ours.of_bins[1].outcome]
    assert "cross power of bins 0 and 1" in text
    assert lines[at[2] + 1] == ours.of_bins[0].results["overall"]["said"]
    assert ours._repr_html_().count("<table") == 4


@pytest.fixture
def pairs_only(monkeypatch):
    """Each bin passes unseen; pairs are judged. What is told of the bins."""
    told = []

    def pass_unseen(sets, settings, out, **how):
        told.append((out.name.startswith("bin_"), how["bin_"], how["evaluations"]))
        (out / "statistics.json").write_text("{}")
        return {"overall": {"outcome": "pass", "said": "pass"}}

    monkeypatch.setattr(evaluate, "judge_sets", pass_unseen)
    return told


def test_bins_that_changed_places_fail(pairs_only):
    """Of three bins two share their sky; r is known to 0.02 of 60 maps with 100 modes and more in all bands."""
    sets = {}
    for number, name in enumerate(("generated", "validation", "auxiliary")):
        rng = np.random.default_rng(number)
        first, own, third = rng.normal(size=(3, 60, 16, 16))
        sets[name] = np.stack([first, 0.9 * first + 0.436 * own, third], -1) * 0.02
    right = judge_maps(**sets, side_deg=0.5, **SETTINGS)
    assert pairs_only == [(False, 0, 4), (True, 1, 4), (True, 2, 4)]
    assert not [name for name in right.results["overall"]["fails"] if "coherence" in name]
    sets["generated"] = sets["generated"][..., [0, 2, 1]]
    swapped = judge_maps(**sets, side_deg=0.5, **SETTINGS)
    assert swapped.outcome == "fail"
    failed = [name for name in swapped.results["overall"]["fails"] if name.endswith(": coherence")]
    assert [name.split(" of ")[1] for name in failed] == ["bins 0 and 1: coherence", "bins 0 and 2: coherence"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"generated": (14, 3)}, "generated maps are of 3 source bins, validation maps of 2"),
        ({"auxiliary": (14,)}, "auxiliary maps are of 1 source bins, validation maps of 2"),
        ({"source_redshift": 1.0}, "source_redshift=1.0 must be positive, one redshift for each of the 2"),
        ({"source_redshift": [1.0, -1.0]}, r"source_redshift=\[1.0, -1.0\] must be positive"),
        (
            {"galaxies_per_arcmin2": [1, 2, 3]},
            "galaxies_per_arcmin2=1,2,3: galaxies of 3 source bins, and maps",
        ),
        ({"generated": (14, 0)}, r"source bin 1 \(redshift 1\) of the generated maps is 0 in every pixel"),
        ({"validation": (14, 2, 2)}, r"validation: shape=\(14, 16, 16, 2, 2\)"),
    ],
)
def test_bins_that_cannot_be_judged_are_refused(changed, words):
    rng = np.random.default_rng(5)
    given = {name: rng.normal(size=(14, 16, 16, 2)) for name in ("generated", "validation", "auxiliary")}
    for name, shape in changed.items():
        if name in given and shape[1:] == (0,):
            given[name][..., 1] = 0
        elif name in given:
            given[name] = rng.normal(size=(14, 16, 16, *shape[1:]))
        else:
            given[name] = shape
    with pytest.raises(ValueError, match=words):
        judge_maps(**{"source_redshift": [0.5, 1.0], **given}, side_deg=0.5, **SETTINGS)


def test_one_bin_as_a_last_axis_is_one_bin(sets, judged, monkeypatch):
    """The same maps are handed on, and what is returned is a verdict on one bin."""

    def look(given, settings, out, **how):
        (out / "statistics.json").write_text("{}")
        for of, maps in zip(sets.values(), given, strict=True):
            np.testing.assert_array_equal(maps.read(0, len(of)), of)
        assert given.validation.source_redshift == 1.0
        return judged.results

    monkeypatch.setattr(judging, "judge_sets", look)
    given = {name: kappa[..., None] for name, kappa in sets.items()}
    verdict = judge_maps(**given, side_deg=0.5, source_redshift=[1.0], **SETTINGS)
    assert verdict.source_bins is None
    assert str(verdict) == str(judged)


def test_crops_of_a_map_and_maps_of_a_box_count_as_one(sets):
    """Six parents, seven boxes: what independence is said to be is what is counted."""
    labels = {
        "parents": {"validation": np.array(list("aabbccddeeff"))},
        "boxes": {"generated": np.arange(14) // 2},
    }
    with quickly_compiled():
        found = judge_maps(sets["generated"], sets["validation"], None, 0.5, **labels, **SETTINGS).results
    of = found["sets"]
    assert (of["validation"]["unit"], of["validation"]["units"]) == ("map", 6)
    assert (of["generated"]["unit"], of["generated"]["units"]) == ("box", 7)
    assert "6 independent units in the validation set" in found["views"]["as it is"]["verdicts"]["refused"]
    assert found["inference"]["refused"].startswith("the source redshift")


def test_compare_brings_it_when_asked_for_and_loads_nothing_before():
    code = (
        "import sys, cosmogan_jax.compare as c; early = 'jax' in sys.modules; assert 'judge_maps' in dir(c); "
        "from cosmogan_jax.compare import judge_maps; sys.exit(early)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match=r"'cosmogan_jax.compare' has no attribute 'judge_map'"):
        cosmogan_jax.compare.judge_map  # noqa: B018


@pytest.mark.slow
def test_the_script_that_judges_two_emulators():
    """Twice the convergence is four times the power; another seed is no other law."""
    script = load_script(Path(__file__).parents[1] / "experiments/tutorial/judge.py")
    with quickly_compiled():
        right, wrong = (script.judge(of, 64, num_permutations=0, num_resamples=50) for of in (1.0, 2.0))
    assert right.outcome == "incomplete"
    assert wrong.outcome == "fail"
    assert "power spectrum, log bands: mean" in wrong.results["overall"]["fails"]
    effects = wrong.results["views"]["as it is"]["verdicts"]["judged"]
    power = next(of for of in effects if (of["quantity"], of["name"]) == ("power_bands", "mean"))
    # Of bands with many modes, to some 3 % of 64 maps.
    assert np.median(power["effect"][6:]) == pytest.approx(3.0, abs=0.4)


def test_maps_that_differ_in_parameters_are_judged_at_each_of_them_too(sets, judged):
    assert "cosmologies" not in judged.results
    sigma8 = {name: {"sigma8": np.where(np.arange(len(kappa)) % 2, 0.9, 0.7)} for name, kappa in sets.items()}
    with quickly_compiled():
        verdict = judge_maps(**sets, side_deg=0.5, parameters=sigma8, **SETTINGS)
    low, high = verdict.results["cosmologies"]["cosmologies"]
    assert (low["parameters"], high["parameters"]) == ({"sigma8": 0.7}, {"sigma8": 0.9})
    assert low["units"] == {"generated": 7, "validation": 6, "auxiliary": 6}
    assert high["units"] == {"generated": 7, "validation": 6, "auxiliary": 5}
    # Of six maps a statistic may hardly vary: that cosmology is open, and the other is judged.
    assert "vary in too few parents" in high["verdicts"]["refused"]
    assert (low["overall"]["outcome"], high["overall"]["outcome"]) == ("fail", "incomplete")
    assert "1 of 2 cosmologies by themselves (sigma8=0.7)" in verdict.results["overall"]["said"]
    assert [set(entry["power_bands"]) for entry in verdict.tables["cosmologies"]] == [set(sets)] * 2
    for changed, words in (
        ({"generated": {"sigma8": np.full(14, 0.7)}}, "generated maps: none is of the cosmology sigma8=0.9"),
        ({"auxiliary": {}}, "auxiliary maps do not say their sigma8"),
        ({"generated": {"sigma8": np.zeros(3)}}, r"sigma8 of generated: shape=\(3,\) must be \(14,\)"),
        ({"training": {}}, "labels of 'training' are of no set"),
    ):
        with pytest.raises(ValueError, match=words):
            judge_maps(**sets, side_deg=0.5, parameters=sigma8 | changed, **SETTINGS)
