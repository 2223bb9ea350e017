"""Judged maps of several source bins: one by one, and by the cross power of every pair."""

import json

import numpy as np
import pytest

from cosmogan_jax.figures import source_bins
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.stages import evaluate
from cosmogan_jax.stages.evaluate.compared_sets import open_map_sets
from cosmogan_jax.summaries import cross_power_spectra, power_spectrum

SIDE = 2.0
EDGES = log_l_edges(MapGeometry(16, SIDE), 4)


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

    def look(settings, workdir, out):
        sets = open_map_sets(settings, workdir, None)
        one = sets.generated
        seen.append((out.name, one.source_redshift, float(one.read_finite(0, one.num_maps).std())))
        (out / "results.json").write_text(json.dumps({"overall": {"outcome": "pass"}}))
        return {"outcome": "pass"}

    monkeypatch.setattr(evaluate, "_judge", look)
    return seen


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
    effects = {(one["quantity"], one["name"]): one for one in told["cross"]["judged"]}
    assert effects.keys() == {(pair, "mean"), (pair, "scatter")}
    # Two sets of one distribution: no fail, and within three of their own 95 % limits.
    assert "fail" not in [one["outcome"] for one in effects.values()]
    one = effects[pair, "mean"]
    reach = np.subtract(one["effect_upper"], one["effect"])
    assert (np.abs(one["effect"]) < 3 * reach).all()
    results = json.loads((place / "results.json").read_text())
    assert results["overall"] == told["overall"]
    assert results["overall_of_bin"] == {"outcome": "pass"}
    assert "evaluate: source bin 1 (redshift 1)" in out


def test_bins_whose_cross_power_is_too_strong_fail(run_main, tmp_path, quickly):
    """Twice the shared part of the amplitude in one bin: 100 % more cross power."""
    generated = sky(200, 0)
    generated[..., 1] *= 2
    place, _ = judge(run_main, tmp_path, generated, sky(200, 1), sky(200, 2), ("--source_bins=all",))
    (mean,) = [
        one
        for one in json.loads((place / "source_bins.json").read_text())["cross"]["judged"]
        if one["name"] == "mean"
    ]
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
    code, _, error = run_main(
        f"--workdir={tmp_path}/other", f"--generated={tmp_path}/g.npy", "--source_bins=all",
        "--stages=evaluate", f"--side_deg={SIDE}",
    )  # fmt: skip
    assert code == 1
    assert not quickly


def test_bins_that_share_no_sky_fail_by_their_cross_power_alone(run_main, tmp_path, quickly):
    sets = sky(60, 0, shared=False), sky(60, 1), sky(60, 2)
    place, _ = judge(run_main, tmp_path, *sets, ("--source_bins=all",))
    told = json.loads((place / "source_bins.json").read_text())
    (mean,) = [one for one in told["cross"]["judged"] if one["name"] == "mean"]
    # Nothing where there should be C_ab: -100 %.
    np.testing.assert_allclose(mean["effect"], -1, atol=0.2)
    assert mean["outcome"] == "fail"
    assert told["overall"]["outcome"] == "fail"
    assert told["overall"]["fails"][0] == "cross power of bins 0 and 1: mean"


@pytest.mark.slow
def test_a_whole_judgement_of_two_bins(run_main, tmp_path):
    flags = ("--source_bins=all",)
    place, _ = judge(run_main, tmp_path, sky(60, 0, shared=False), sky(60, 1), sky(60, 2), flags)
    told = json.loads((place / "source_bins.json").read_text())
    assert "fail" not in [one["outcome"] for one in told["bins"]]
    for folder in (place, place / "bin_1"):
        assert (folder / "generated.npz").is_file()
        assert (folder / "statistics.json").is_file()
    (mean,) = [one for one in told["cross"]["judged"] if one["name"] == "mean"]
    # Nothing where there should be C_ab: -100 %.
    np.testing.assert_allclose(mean["effect"], -1, atol=0.2)
    assert mean["outcome"] == "fail"
    assert told["overall"]["outcome"] == "fail"
    assert told["overall"]["fails"][0] == "cross power of bins 0 and 1: mean"
    record = json.loads((place / "stage.json").read_text())
    assert (record["summary"]["outcome"], record["summary"]["source_bins"]) == ("fail", 2)


def test_a_report_tells_of_every_bin_and_of_their_pairs():
    """By what source_bins.json says of bins 3 and 7 and of their cross power."""
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
    of_all, cross = source_bins.overview(told)
    assert of_all.tables[0].rows == [("3", "0.5", "pass"), ("7", "not known", "fail")]
    assert of_all.tables[0].marks == ("pass", "fail")
    (row,) = cross.tables[0].rows
    assert row[:4] == ("bins 3 (redshift 0.5) and 7", "mean", "ell 200 to 300", "-17 %")
    results = {
        "views": {"as it is": {"verdicts": {"refused": None, "judged": [{**one, "quantity": "peaks"}]}}},
        "statistics": {"peaks": {"title": "peak counts", "mean_unit": "scatter"}},
    }
    (other,) = source_bins.others(told, [results])
    assert other.title == "Verdict on source bin 7"
    assert other.tables[0].rows[0][:4] == ("peak counts", "mean", "ell 200 to 300", "-0.17 σ")
    none = {**told, "cross": {"refused": "too few boxes", "judged": []}}
    assert list(source_bins.overview(none))[1].text == ("No verdict: too few boxes.",)
