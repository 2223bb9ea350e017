"""Judged maps of several source bins: one by one, by what every pair has in common, and all at once."""

import json

import numpy as np
import pytest

from cosmogan_jax.figures import source_bins, spectra_triangle
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.maps.crop_table import write_crop_table
from cosmogan_jax.maps.store_writing import write_map_store
from cosmogan_jax.stages import evaluate
from cosmogan_jax.stages.evaluate import judged_bins
from cosmogan_jax.stages.evaluate.compared_sets import open_map_sets
from cosmogan_jax.summaries import cross_power_spectra, power_spectrum

pytestmark = pytest.mark.usefixtures("quick")

SIDE = 2.0
GEOMETRY = MapGeometry(16, SIDE)
EDGES = log_l_edges(GEOMETRY, 4)


def sky(count, seed, shared=True, bins=2):
    """White maps of 16 pixels; bins of one sky share most of it. (map, row, column, bin)"""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(count, 16, 16, 1))
    own = rng.normal(size=(count, 16, 16, bins))
    kappa = 0.9 * common + 0.43589 * own if shared else own  # both of unit variance
    return (kappa * 0.01 * (1 + np.arange(bins))).astype(np.float32)


def judge(run_main, tmp_path, generated, reference, auxiliary=None, flags=(), code=0):
    np.save(tmp_path / "g.npy", generated)
    np.save(tmp_path / "r.npy", reference)
    more = []
    if auxiliary is not None:
        np.save(tmp_path / "a.npy", auxiliary)
        more = [f"--auxiliary={tmp_path}/a.npy"]
    found, out, error = run_main(
        f"--workdir={tmp_path}/judge", f"--generated={tmp_path}/g.npy", f"--reference={tmp_path}/r.npy", *more,
        f"--side_deg={SIDE}", "--stages=evaluate", "--num_permutations=0", "--observer_smoothing_arcmin=",
        "--classifier_steps=0", "--num_resamples=50", "--evaluate_l_bins=4", *flags,
    )  # fmt: skip
    assert found == code, error
    return (tmp_path / "judge/evaluate", out) if not code else error


def test_cross_power_is_that_of_the_sum_and_the_difference():
    """P(a + b) - P(a - b) = 4 C_ab, by another function; and C_aa is P_a."""
    kappa = np.moveaxis(sky(3, 0, bins=3), -1, 1)
    found = np.asarray(cross_power_spectra(kappa, EDGES, SIDE))
    assert found.shape == (3, 3, len(EDGES) - 1)
    for number, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        both = [
            np.asarray(power_spectrum(kappa[:, i] + sign * kappa[:, j], EDGES, SIDE, mode_weights="full_plane"))
            for sign in (1, -1)
        ]
        # Float32 transforms: 1e-6 of the powers that are subtracted.
        np.testing.assert_allclose(found[:, number], (both[0] - both[1]) / 4, atol=4e-6 * both[0].max())
    same = np.asarray(cross_power_spectra(kappa[:, [1, 1]], EDGES, SIDE))[:, 0]
    np.testing.assert_allclose(
        same, power_spectrum(kappa[:, 1], EDGES, SIDE, mode_weights="full_plane"), rtol=1e-5
    )
    with pytest.raises(ValueError, match="must hold two bins or more"):
        cross_power_spectra(kappa[:, :1], EDGES, SIDE)


@pytest.fixture
def quickly(monkeypatch):
    """Each bin is not judged, but looked at: what its sets hold. The pairs are judged."""
    seen = []

    def look(settings, workdir, out, source_bin=None, *, evaluations=1):
        position = None if source_bin is None else source_bin.position
        sets = open_map_sets(settings, workdir, judged_bins.table_of(settings, workdir, source_bin), position)
        one = sets.generated
        seen.append((out.name, one.source_redshift, float(one.read_finite(0, one.num_maps).std())))
        (out / "results.json").write_text(json.dumps({"overall": {"outcome": "pass"}}))
        return {"outcome": "pass"}

    monkeypatch.setattr(evaluate, "_judge", look)
    return seen


def of_statistic(place, statistic, name="mean"):
    """The verdict on one statistic of the one pair."""
    judged = json.loads((place / "source_bins.json").read_text())["cross"]["judged"]
    (one,) = [one for one in judged if (one["statistic"], one["name"]) == (statistic, name)]
    return one


def test_each_bin_is_judged_and_so_are_their_pairs(run_main, tmp_path, quickly):
    flags = ("--source_bins=all", "--bin_redshifts=0.5,1")
    place, out = judge(run_main, tmp_path, sky(400, 0), sky(400, 1), sky(400, 2), flags)
    told = json.loads((place / "source_bins.json").read_text())
    assert [(one["number"], one["redshift"], one["folder"]) for one in told["bins"]] == [
        (0, 0.5, "."), (1, 1.0, "bin_1"),
    ]  # fmt: skip
    assert [(name, redshift) for name, redshift, _ in quickly] == [("evaluate.partial", 0.5), ("bin_1", 1.0)]
    np.testing.assert_allclose([sigma for *_, sigma in quickly], [0.01, 0.02], rtol=0.02)
    assert told["cross"]["refused"] is None
    pair = "0 (redshift 0.5) and 1 (redshift 1)"
    assert {one["quantity"] for one in told["cross"]["judged"]} == {pair}
    effects = {(one["statistic"], one["name"]): one for one in told["cross"]["judged"]}
    assert effects.keys() == {
        ("cross_power", "mean"), ("cross_power", "scatter"), ("coherence", "coherence"),
        ("joint_moments", "mean"), ("joint_moments", "scatter"),
        ("joint_roughness", "mean"), ("joint_roughness", "scatter"),
    }  # fmt: skip
    # Two sets of one distribution: no fail, and within three of their own 95 % limits.
    assert "fail" not in [one["outcome"] for one in effects.values()]
    one = effects["cross_power", "mean"]
    reach = np.subtract(one["effect_upper"], one["effect"])
    assert (np.abs(one["effect"]) < 3 * reach).all()
    results = json.loads((place / "results.json").read_text())
    assert results["overall"] == told["overall"]
    assert results["overall_of_bin"] == {"outcome": "pass"}
    assert "evaluate: source bin 1 (redshift 1)" in out
    # White maps that share 0.9 of the amplitude: r = 0.81, whatever ell.
    for of in told["spectra"]["coherence"].values():
        error = np.array(of["standard_error"])
        assert (np.abs(np.array(of["value"]) - 0.81) < 5 * error).all()
        assert (error < 0.02).all()
    with np.load(place / "pairs_generated.npz") as values:
        mean = values["power"].mean(0)
    np.testing.assert_allclose(told["spectra"]["power"]["generated"]["value"], mean, rtol=1e-12)


def test_bins_whose_cross_power_is_too_strong_fail(run_main, tmp_path, quickly):
    """Twice the shared part of the amplitude in one bin: 100 % more cross power."""
    generated = sky(200, 0)
    generated[..., 1] *= 2
    place, _ = judge(run_main, tmp_path, generated, sky(200, 1), sky(200, 2), ("--source_bins=all",))
    mean = of_statistic(place, "cross_power")
    np.testing.assert_allclose(mean["effect"], 1, atol=0.3)  # six of some 30 modes' errors
    assert mean["outcome"] == "fail"


def test_one_of_the_bins_alone(run_main, tmp_path, quickly):
    flags = ("--source_bins=all", "--channel=1", "--bin_redshifts=1,2")
    place, _ = judge(run_main, tmp_path, sky(20, 0), sky(20, 1), flags=flags)
    assert not (place / "source_bins.json").exists()
    ((name, redshift, sigma),) = quickly
    assert (name, redshift) == ("evaluate.partial", 2.0)
    assert sigma == pytest.approx(0.02, rel=0.05)


def test_few_maps_of_several_bins_are_told_as_such(run_main, tmp_path, quickly):
    place, _ = judge(run_main, tmp_path, sky(4, 0), sky(4, 1), flags=("--source_bins=all",))
    told = json.loads((place / "source_bins.json").read_text())
    assert told["overall"]["outcome"] == "incomplete"
    assert "parents" in told["cross"]["refused"]


def test_sets_whose_bins_differ_are_refused(run_main, tmp_path, quickly):
    sets = sky(8, 0), sky(8, 1, bins=3)
    error = judge(run_main, tmp_path, *sets, flags=("--source_bins=all",), code=1)
    assert "source bins of generated maps are 0, 1, of reference maps 0, 1, 2" in error
    error = judge(run_main, tmp_path, *sets, flags=("--source_bins=all", "--bin_redshifts=1,2"), code=1)
    assert "bin_redshifts=1,2 disagrees with" in error
    error = judge(run_main, tmp_path, *sets, flags=("--source_bins=0,2",), code=1)
    assert "source_bins=0,2 must lie in 0 to 1" in error
    error = judge(run_main, tmp_path, sky(8, 0), sky(8, 1)[..., 0], flags=("--source_bins=all",), code=1)
    assert "maps disagree" in error or "source bins of generated maps" in error
    many = ("--source_bins=all", "--galaxies_per_arcmin2=4,5,6")
    error = judge(run_main, tmp_path, sky(8, 0), sky(8, 1), flags=many, code=1)
    assert "galaxies_per_arcmin2=4,5,6: galaxies of 3 source bins, and maps have 2" in error
    empty = sky(8, 0)
    empty[..., 1] = 0
    error = judge(run_main, tmp_path, empty, sky(8, 1), flags=("--source_bins=all",), code=1)
    assert "source bin 1 of the generated maps is 0 in every pixel of the first 8: an empty channel" in error
    assert not quickly


def store_of(folder, kappa, redshifts):
    manifest = {"bin_redshifts": redshifts, "parents": [*range(len(kappa))]}
    write_map_store(folder / "maps", [kappa], len(kappa), GEOMETRY, manifest, num_bins=kappa.shape[3])
    record = {"flags": {}, "inputs": {}, "summary": {}, "result": "", "finished": ""}
    (folder / "stage.json").write_text(json.dumps(record))


def run_of_bins(folder, generated, real, redshifts=((0.5, 1.0), (0.5, 1.0))):
    """A working directory as stages generate and prepare leave it: half of the real maps are validation."""
    store_of(folder / "generate", generated, redshifts[0])
    store_of(folder / "prepare", real, redshifts[1])
    crops = np.zeros((len(real), 3), np.int32)
    crops[:, 0] = np.arange(len(real))
    half = len(real) // 2
    splits = {
        "train": crops[:1],
        "development": crops[:1],
        "validation": crops[:half],
        "auxiliary": crops[half:],
    }
    manifest = {
        "maps": "maps", "crop_size": 16, "side_deg": SIDE, "source_redshift": None,
        "parents": [*range(len(real))], "boxes": [None] * len(real), "origin": {},
        "normalisation": {"kind": "none", "scale": 1.0},
    }  # fmt: skip
    write_crop_table(folder / "prepare", splits, manifest)
    record = {"flags": {"match_weight": 1.0, "match": ["power"]}, "inputs": {}, "summary": {}, "result": "",
              "finished": ""}  # fmt: skip
    (folder / "train").mkdir()
    (folder / "train/stage.json").write_text(json.dumps(record))
    (folder / "out").mkdir()
    return folder


def evaluated(parse, folder, *flags):
    given = ("--num_resamples=50", "--evaluate_l_bins=4", "--classifier_steps=0", *flags)
    settings = parse(f"--workdir={folder}", *given).by_stage["evaluate"]
    return evaluate.run(settings, folder, folder / "out")


def test_a_run_of_several_bins_is_judged_by_its_own_maps(parse, tmp_path, quickly):
    summary = evaluated(parse, run_of_bins(tmp_path, sky(100, 0), sky(200, 1)))
    assert summary["source_bins"] == 2
    told = json.loads((tmp_path / "out/source_bins.json").read_text())
    assert [(one["number"], one["redshift"]) for one in told["bins"]] == [(0, 0.5), (1, 1.0)]
    assert [(name, redshift) for name, redshift, _ in quickly] == [("out", 0.5), ("bin_1", 1.0)]
    np.testing.assert_allclose([sigma for *_, sigma in quickly], [0.01, 0.02], rtol=0.03)
    assert told["spectra"]["power"].keys() == {"generated", "validation", "auxiliary"}
    assert "fail" not in [one["outcome"] for one in told["cross"]["judged"]]
    assert told["statistics"]["coherence"]["trained_on"]  # by its training's --match_weight
    assert any("(trained on)" in one["name"] for one in told["overall"]["open"])


def test_one_of_a_runs_own_bins_alone(parse, tmp_path, quickly):
    evaluated(parse, run_of_bins(tmp_path, sky(20, 0), sky(20, 1)), "--channel=1")
    ((name, redshift, sigma),) = quickly
    assert (name, redshift) == ("out", 1.0)
    assert sigma == pytest.approx(0.02, rel=0.05)
    with pytest.raises(ValueError, match="channel=2 must be one of the run's own source bins, 0 to 1"):
        evaluated(parse, tmp_path, "--channel=2")


KNOWN, SWAPPED = (0.5, 1.0), (1.0, 0.5)


@pytest.mark.parametrize(
    ("bins", "redshifts", "told"),
    [
        ([0], (None,), "validation maps are 0 .redshift 0.5., 1 .redshift 1., of generated maps 0: sets that"),
        ([1, 0], SWAPPED, "the same in another order: sets that are compared must have the same bins"),
    ],
)
def test_bins_of_a_run_that_do_not_fit(parse, tmp_path, quickly, bins, redshifts, told):
    run_of_bins(tmp_path, sky(8, 0)[..., bins], sky(16, 1), (redshifts, KNOWN))
    with pytest.raises(ValueError, match=told):
        evaluated(parse, tmp_path)
    assert not quickly


def test_an_empty_bin_of_a_run_is_told_before_anything_is_judged(parse, tmp_path, quickly):
    run_of_bins(tmp_path, sky(8, 0) * np.float32([1, 0]), sky(16, 1), (KNOWN, KNOWN))
    with pytest.raises(ValueError, match=r"source bin 1 .redshift 1. of the generated maps is 0 in every"):
        evaluated(parse, tmp_path)
    assert not quickly


def test_bins_that_changed_places_fail(parse, tmp_path, quickly):
    """Of three bins two share more: with the last two swapped the pairs are those of others."""

    def of_three(count, seed):
        two = sky(count, seed)
        third = np.random.default_rng(seed + 9).normal(size=(*two.shape[:3], 1)) * 0.01
        return np.concatenate([two / [0.01, 0.02] * 0.01, third], -1).astype(np.float32)

    run_of_bins(tmp_path, of_three(60, 0)[..., [0, 2, 1]], of_three(120, 1), ((None,) * 3, (None,) * 3))
    evaluated(parse, tmp_path)
    told = json.loads((tmp_path / "out/source_bins.json").read_text())
    assert told["overall"]["outcome"] == "fail"
    assert any("coherence" in name for name in told["overall"]["fails"])
    judged = {one["quantity"]: one for one in told["cross"]["judged"] if one["statistic"] == "coherence"}
    # r = 0.81 of the first two bins, 0 of others; errors of 60 maps with some 20 modes and more in a band.
    for pair, effect in (("0 and 1", -0.81), ("0 and 2", 0.81), ("1 and 2", 0)):
        np.testing.assert_allclose(judged[pair]["effect"], effect, atol=0.2)
    assert [judged[pair]["outcome"] == "fail" for pair in ("0 and 1", "0 and 2", "1 and 2")] == [
        True,
        True,
        False,
    ]


def test_bins_that_share_no_sky_fail_by_their_cross_power_alone(run_main, tmp_path, quickly):
    sets = sky(60, 0, shared=False), sky(60, 1), sky(60, 2)
    place, _ = judge(run_main, tmp_path, *sets, ("--source_bins=all",))
    told = json.loads((place / "source_bins.json").read_text())
    mean = of_statistic(place, "cross_power")
    # Nothing where there should be C_ab: -100 %.
    np.testing.assert_allclose(mean["effect"], -1, atol=0.2)
    assert mean["outcome"] == "fail"
    # The same in a few numbers: each bin's own power is right, as 60 maps tell it; of r nothing is left.
    (numbers,) = told["key_numbers"].values()
    of = {number["name"]: number for number in numbers}
    np.testing.assert_allclose(of["cross_power"]["value"], 1, atol=0.1)
    r = np.array(told["spectra"]["coherence"]["validation"]["value"])[0]
    np.testing.assert_allclose(of["coherence"]["value"], np.sqrt((r**2).mean()), atol=0.15)
    assert told["overall"]["outcome"] == "fail"
    assert told["overall"]["fails"][0] == "cross power of bins 0 and 1: mean"
    np.testing.assert_allclose(of_statistic(place, "coherence", "coherence")["effect"], -0.81, atol=0.15)
    assert "correlation coefficient r(ℓ) of bins 0 and 1: coherence" in told["overall"]["fails"]
    assert "joint moments of bins 0 and 1: mean" in told["overall"]["fails"]  # <k_i k_j>


@pytest.mark.slow
def test_a_whole_judgement_of_two_bins(run_main, tmp_path):
    flags = ("--source_bins=all",)
    place, _ = judge(run_main, tmp_path, sky(60, 0, shared=False), sky(60, 1), sky(60, 2), flags)
    told = json.loads((place / "source_bins.json").read_text())
    assert "fail" not in [one["outcome"] for one in told["bins"]]
    for folder in (place, place / "bin_1"):
        assert (folder / "generated.npz").is_file()
        own = json.loads((folder / "results.json").read_text())["key_numbers"]
        assert next(number for number in own if number["name"] == "power")["value"] < 0.1
        assert (folder / "statistics.json").is_file()
    mean = of_statistic(place, "cross_power")
    # Nothing where there should be C_ab: -100 %.
    np.testing.assert_allclose(mean["effect"], -1, atol=0.2)
    assert mean["outcome"] == "fail"
    # The same in a few numbers: each bin's own power is right, as 60 maps tell it; of r nothing is left.
    (numbers,) = told["key_numbers"].values()
    of = {number["name"]: number for number in numbers}
    np.testing.assert_allclose(of["cross_power"]["value"], 1, atol=0.1)
    r = np.array(told["spectra"]["coherence"]["validation"]["value"])[0]
    np.testing.assert_allclose(of["coherence"]["value"], np.sqrt((r**2).mean()), atol=0.15)
    assert told["overall"]["outcome"] == "fail"
    assert told["overall"]["fails"][0] == "cross power of bins 0 and 1: mean"
    record = json.loads((place / "stage.json").read_text())
    assert (record["summary"]["outcome"], record["summary"]["source_bins"]) == ("fail", 2)


def test_a_report_tells_of_every_bin_and_of_their_pairs():
    """By what source_bins.json says of bins 3 and 7 and of their cross power, as earlier versions wrote it."""
    one = {
        "quantity": "3 (redshift 0.5) and 7", "name": "mean", "bands": ["ell 100 to 200", "ell 200 to 300"],
        "upper": [0.01, 0.04], "within_band": "ell 200 to 300", "within": 0.2, "real_within": 0.1,
        "needs": None, "effect": [0.02, -0.17], "baseline_effect": [0.0, 0.03], "value": [0.0, 0.02],
        "lower": [0.0, 0.01], "margin": 0.05, "outcome": "fail", "used_by_selection": False,
        "mean_unit": "mean",
    }  # fmt: skip
    bins = [
        {"number": 3, "redshift": 0.5, "outcome": "pass", "folder": "."},
        {"number": 7, "redshift": None, "outcome": "fail", "folder": "bin_7"},
    ]
    told = {"overall": {}, "bins": bins, "cross": {"refused": None, "judged": [one]}}
    of_all, cross = source_bins.outcomes(told), source_bins.pairs(told)
    assert not list(source_bins.pairs_observed(told))
    assert of_all.tables[0].rows == [("3", "0.5", "pass"), ("7", "not known", "fail")]
    assert of_all.tables[0].marks == ("pass", "fail")
    (row,) = cross.tables[0].rows
    assert row[:4] == ("cross power of bins 3 and 7", "mean", "ell 200 to 300", "-17 %")
    results = {
        "views": {"as it is": {"verdicts": {"refused": None, "judged": [{**one, "quantity": "peaks"}]}}},
        "statistics": {"peaks": {"title": "peak counts", "mean_unit": "scatter"}},
    }
    (other,) = source_bins.others(told, [results])
    assert other.title == "Verdict on source bin 7"
    assert other.tables[0].rows[0][:4] == ("peak counts", "mean", "ell 200 to 300", "-0.17 σ")
    none = {**told, "cross": {"refused": "too few boxes", "judged": []}}
    assert source_bins.pairs(none).text == ("No verdict: too few boxes.",)
    observed = {**told, "observed": {"shape noise, 1 arcmin": {"refused": "few boxes", "judged": []}}}
    (seen,) = source_bins.pairs_observed(observed)
    assert seen.title == "Verdict on pairs of source bins with shape noise, 1 arcmin"
    assert seen.text == ("No verdict: few boxes.",)


def test_the_triangle_draws_each_pair_in_its_place():
    """Numbers that say which pair they are of: auto ij of bins i = j, crosses below, r above."""
    rng, edges = np.random.default_rng(0), [100.0, 200.0, 400.0]
    pairs, crosses = list(zip(*np.triu_indices(3))), list(zip(*np.triu_indices(3, 1)))

    def of(count):
        value = 1 + rng.random((count, 2))
        return {"value": value.tolist(), "standard_error": (0.01 * value).tolist()}

    sets = ("generated", "validation")
    spectra = {
        "l_edges": edges,
        "power": {name: of(len(pairs)) for name in sets},
        "coherence": {name: of(len(crosses)) for name in sets},
    }
    told = {"bins": [{"number": n, "redshift": z, "outcome": "pass", "folder": "."} for n, z in
                     ((0, 0.5), (1, 1.0), (2, None))],
            "cross": {"refused": "few", "judged": []}, "spectra": spectra, "classifier": None,
            "statistics": {}}  # fmt: skip
    triangle = spectra_triangle.section(told)
    axes = np.array(triangle.figure.axes).reshape(3, 3)
    ell = np.sqrt([100.0 * 200, 200 * 400])
    for row, column in np.ndindex(3, 3):
        pair = (min(row, column), max(row, column))
        kind, place, scale = ("power", pairs.index(pair), ell * (ell + 1) / 2 / np.pi)
        if column > row:
            kind, place, scale = "coherence", crosses.index(pair), 1.0
        lines = [container.lines[0] for container in axes[row, column].containers]
        assert [container.get_label() for container in axes[row, column].containers] == list(sets)
        for name, line in zip(sets, lines):
            np.testing.assert_allclose(line.get_ydata(), np.array(spectra[kind][name]["value"][place]) * scale)
    assert [axes[n, n].get_title() for n in range(3)] == ["bin 0 (z = 0.5)", "bin 1 (z = 1)", "bin 2"]
