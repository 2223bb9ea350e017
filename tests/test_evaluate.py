"""Any sets of maps judged: what counts as independent, what is found, what is refused, what the page shows."""

import html
import re

import numpy as np
import pytest
from conftest import quickly_compiled

from cosmogan_jax.compare.parents import one_of_each
from cosmogan_jax.files.json_files import read_json
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.store_writing import write_map_store
from cosmogan_jax.stages.evaluate.compared_sets import open_map_sets, units_of

SIZE, MAPS = 16, 48
QUICK = (
    "--classifier_steps=0",
    "--side_deg=1",
    "--num_permutations=99",
    "--num_resamples=50",
    "--evaluate_l_bins=4",
)


def sky(seed, maps=MAPS, amplitude=1.0):
    """Gaussian maps with more power on large scales."""
    rng = np.random.default_rng(seed)
    k = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
    noise = np.fft.rfft2(rng.normal(size=(maps, SIZE, SIZE)))
    return (amplitude * 0.02 * np.fft.irfft2(noise / (0.1 + k), s=(SIZE, SIZE))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sets")
    for name, maps in {"good": sky(5), "bad": sky(2, amplitude=1.5), "real": sky(3), "more": sky(4)}.items():
        np.save(path / f"{name}.npy", maps)
    return path


def sets(folder, generated="good", reference="real"):
    return (f"--generated={folder}/{generated}.npy", f"--reference={folder}/{reference}.npy", *QUICK)


@pytest.fixture(scope="module")
def judged(folder):
    """results.json of a good and of a bad emulator, and the good one's run directory."""
    from absl import flags as absl_flags
    from absl.testing import flagsaver

    from cosmogan_jax import flags, main

    values = absl_flags.FLAGS
    if "workdir" not in values:
        flags.define()
    saved = flagsaver.save_flag_values(values)
    found = {}
    of_each = {
        "good": (f"--auxiliary={folder}/more.npy", "--classifier_steps=4", "--observer_smoothing_arcmin=1"),
        "bad": ("--stages=evaluate", "--observer_smoothing_arcmin=1"),
    }
    for name, given in of_each.items():
        flagsaver.restore_flag_values(saved, values)
        values.unparse_flags()
        values(["cosmogan_jax", f"--workdir={folder}/run_{name}", *sets(folder, name), *given])
        with quickly_compiled():
            assert main.main(["cosmogan_jax"]) in (None, 0)
        found[name] = read_json(folder / f"run_{name}/evaluate/results.json")
    flagsaver.restore_flag_values(saved, values)
    return {**found, "workdir": folder / "run_good"}


def test_a_good_emulator_is_not_told_from_the_sky_and_a_bad_one_is(judged):
    for name in ("power_spectrum", "peaks", "moments"):
        good = judged["good"]["views"]["as it is"]["tests"][name]
        bad = judged["bad"]["views"]["as it is"]["tests"][name]
        # 99 permutations: the smallest p there is is 0.01. 1.5 times the amplitude is far beyond it; of the
        # same sky, p below 0.02 over all modes has 2 chances in 100, fixed by the seeds.
        assert bad["generated"]["ks"]["family_wise_p"] == 0.01
        assert good["generated"]["ks"]["family_wise_p"] > 0.02
        assert bad["baseline"]["ks"]["family_wise_p"] > 0.02
    # V0 of thresholds in units of each map's sigma does not see an amplitude. (LensTools' V1 does.)
    assert judged["bad"]["views"]["as it is"]["tests"]["V0"]["generated"]["ks"]["family_wise_p"] > 0.02
    assert judged["bad"]["views"]["as it is"]["pixels"]["generated"]["p"] == 0.01


def test_correlations_and_distances_stand_beside_their_noise(judged):
    for name, of in judged.items():
        if name == "workdir":
            continue
        view = of["views"]["as it is"]
        for pair in ("generated", "baseline"):
            found = view["correlation"][pair]
            assert found["largest"] >= abs(found["low_high"]["value"])
            # The mean of the largest of noise lies below its own 95 % quantile.
            assert 0 < found["largest_of_noise"] < found["noise_95"]
            assert found["low_high"]["lower"] < found["low_high"]["value"] < found["low_high"]["upper"]
    # 1.5 times the amplitude: powers of 2.25 times the mean lie far beyond noise, those of the same sky within.
    apart = {name: judged[name]["views"]["as it is"]["distances"]["generated"] for name in ("good", "bad")}
    for mode in range(4):
        assert apart["bad"]["power_bands"]["lower"][mode] > 0
        good = apart["good"]["power_bands"]
        assert good["lower"][mode] <= 0 or good["value"][mode] < 2 * good["noise"][mode]


def test_the_baseline_is_the_auxiliary_set_or_two_halves(judged):
    assert judged["good"]["baseline"].endswith("more.npy against validation maps")
    assert judged["good"]["views"]["as it is"]["tests"]["peaks"]["baseline"]["maps"] == [MAPS, MAPS]
    assert judged["bad"]["baseline"] == "one half of the validation units against the other"
    assert judged["bad"]["views"]["as it is"]["tests"]["peaks"]["baseline"]["maps"] == [MAPS // 2, MAPS // 2]


def test_an_observer_sees_less(judged):
    """Shape noise hides the amplitude's difference in part: distances shrink."""
    assert set(judged["good"]["views"]) == {"as it is", "shape noise, 1 arcmin"}
    views = judged["bad"]["views"]
    distance = {name: of["pixels"]["generated"]["distance"] for name, of in views.items()}
    assert distance["shape noise, 1 arcmin"] < distance["as it is"]


def test_page_has_every_figure_and_fetches_nothing(judged):
    report = judged["workdir"] / "report"
    page = (report / "report.html").read_text()
    for number in ("1", "2", "3a", "3b", "4", "5", "6"):
        assert f"<h2>Figure {number}:" in page
    sources = re.findall(r"(?:src|href|url)\s*[=(]\s*['\"]?([^'\")>\s]+)", page)
    assert sources
    for source in sources:
        assert source.startswith("data:image/png;base64,") or (report / source).is_file(), source
    assert "http" not in re.sub(r"base64,[^'\"]*", "", page)
    for ending in ("pdf", "png"):
        assert len(list((report / "figures").glob(f"*.{ending}"))) == page.count("<img")


@pytest.mark.slow
def test_other_files_are_judged_anew(folder, judged, run_main, tmp_path):
    np.save(tmp_path / "mine.npy", sky(5))
    given = ("--stages=evaluate", f"--workdir={tmp_path}/run", f"--generated={tmp_path}/mine.npy", *QUICK)
    given += (f"--reference={folder}/real.npy", "--observer_smoothing_arcmin=", "--margins=default,mean=0.5")
    assert run_main(*given, "--require=pass", "--stages=report")[0] == 1  # at once: there is no evaluation
    code, said, _ = run_main(*given)
    assert code in (None, 0)
    # The outcome is said on the terminal, with its margins, and is the exit status where that is asked for.
    found = read_json(tmp_path / "run/evaluate/results.json")["overall"]
    assert found["said"].startswith(f"{found['outcome']} (margins: default,mean=0.5): ")
    assert f"evaluate: {found['said']}" in said.splitlines()
    code, _, errors = run_main(*given, "--require=pass")
    assert "skipped" in errors
    assert code == 1
    assert errors.splitlines()[-1].endswith(
        f"the outcome of stage evaluate in {tmp_path}/run is {found['outcome']}"
    )
    np.save(tmp_path / "mine.npy", sky(6))
    assert "skipped" not in run_main(*given)[2]


def test_the_outcome_is_the_first_line_of_the_page(judged):
    said = judged["good"]["overall"]["said"]
    page = (judged["workdir"] / "report/report.html").read_text()
    assert page.index(f"Outcome: {html.escape(said)}") < page.index("<h2>")
    classifier = judged["good"]["classifier"]
    assert classifier["generated"]["excess"]["margin"] == 0.05
    assert page.count(f"{classifier['generated']['auc']['value']:.3f}") >= 2


def test_crops_of_one_map_count_once(tmp_path, parse):
    """A store's parents, and its boxes where they are enough; one map of each unit goes into a test."""
    geometry, maps = MapGeometry(SIZE, 1.0), sky(7, maps=60)
    of = {
        "source_redshift": None, "splits": ["validation"] * 60, "parents": [i // 3 for i in range(60)],
        "boxes": [f"box {i // 30}" for i in range(60)],
    }  # fmt: skip
    write_map_store(tmp_path / "maps", iter([maps]), 60, geometry, of)
    np.save(tmp_path / "generated.npy", sky(8))
    given = (f"--reference={tmp_path}/maps", f"--generated={tmp_path}/generated.npy", *QUICK)
    validation = open_map_sets(parse(*given).by_stage["evaluate"], tmp_path, None).validation
    units, name = units_of(validation, "auto")
    assert name == "map"
    assert len(np.unique(units)) == 20
    assert len(np.unique(units_of(validation, "box")[0])) == 2
    chosen = one_of_each(units, 0)
    assert sorted(units[chosen]) == list(range(20))
    np.testing.assert_array_equal(validation.read(58, 60), maps[58:])


@pytest.mark.parametrize(
    ("maps", "given", "said"),
    [
        (np.zeros((4, 8, 8), np.float32), (), "8 pixels over"),
        (sky(1, maps=1), (), "1 map from"),
        (np.full((4, SIZE, SIZE), np.nan, np.float32), (), "maps.npy[0] holds no valid pixel"),
        (sky(1, maps=4), ("--independent_unit=box",), "do not say which box"),
        (
            np.concatenate([sky(1, maps=7), sky(3)[[9, 2]]]), (),
            "2 of the 9 generated maps are among the validation maps, the first is number 7",
        ),
    ],
)  # fmt: skip
def test_bad_sets_are_one_clear_line(folder, run_main, tmp_path, maps, given, said):
    np.save(tmp_path / "maps.npy", maps)
    code, _, error = run_main(
        f"--workdir={tmp_path}/run", f"--generated={tmp_path}/maps.npy", f"--reference={folder}/real.npy",
        *QUICK, "--observer_smoothing_arcmin=", *given,
    )  # fmt: skip
    assert code == 1
    lines = [line for line in error.splitlines() if "evaluate:" not in line]
    assert said in lines[-1], error


def test_a_constant_reference_is_refused(folder, run_main, tmp_path):
    np.save(tmp_path / "flat.npy", np.ones((4, SIZE, SIZE), np.float32))
    code, _, error = run_main(
        f"--workdir={tmp_path}/run",
        f"--generated={folder}/good.npy",
        f"--reference={tmp_path}/flat.npy",
        *QUICK,
    )
    assert code == 1
    assert "constant" in error.splitlines()[-1]
