"""The page that compares emulators: its numbers are those of the runs, and other real maps are refused."""

import importlib
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import flags_to_be_set, run_here

from cosmogan_jax import flags
from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.settings import results_only

QUICKSTART = Path(__file__).resolve().parents[1] / "experiments/quickstart"
SIZE = 16
JUDGED = (
    "--stages=prepare,evaluate", "--side_deg=1.5", "--judged_side_deg=1", "--classifier_steps=0",
    f"--crop_size={SIZE}", "--normalisation=linear", "--num_permutations=0",
    "--num_resamples=50", "--evaluate_l_bins=4", "--observer_smoothing_arcmin=", "--num_generated=40",
    "--crops_per_map=2",
)  # fmt: skip
SPLITS = {"": "train", "validation_": "validation", "auxiliary_": "auxiliary"}
AREAS = ("auc", "auc_of_pixels", "auc_of_spectrum", "auc_of_heights")
CLASSIFIER = {
    which: {name: {"value": first + n / 100, "standard_error": n / 1000} for n, name in enumerate(AREAS)}
    for which, first in (("generated", 0.8), ("control", 0.5))
}


def sky(seed, maps, size=SIZE, amplitude=1.0):
    """Gaussian maps with more power on large scales."""
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    noise = np.fft.rfft2(np.random.default_rng(seed).normal(size=(maps, size, size)))
    return (amplitude * 0.02 * np.fft.irfft2(noise / (0.1 + k), s=(size, size))).astype(np.float32)


@pytest.fixture(scope="module")
def compare():
    """The script as a module; those that lie beside it are imported by it."""
    sys.path.insert(0, str(QUICKSTART))
    names = ("compare", "compared_runs", "compared_figures")
    yield importlib.import_module("compare")
    sys.path.remove(str(QUICKSTART))
    for name in names:
        sys.modules.pop(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs on the same maps in two normalisations; one's records say that it trained the paper's network.

    What a classifier finds is made up: to train one takes as long as all else.
    """
    path = tmp_path_factory.mktemp("compared")
    for seed, name in enumerate(("train", "validation", "auxiliary")):
        np.save(path / f"{name}.npy", sky(seed, 24, 24))
    np.save(path / "ours.npy", sky(6, 40))
    np.save(path / "theirs.npy", sky(7, 40, amplitude=1.2))
    for name, scale in (("ours", 0.5), ("theirs", 0.1)):
        code, said = run_here(
            *JUDGED,
            *(f"--{split}maps={path}/{of}.npy" for split, of in SPLITS.items()),
            f"--workdir={path}/{name}",
            f"--generated={path}/{name}.npy",
            f"--normalisation_scale={scale}",
        )
        assert code == 0, said
    ours = path / "ours"
    evaluated = read_json(ours / "evaluate/stage.json")
    evaluated["flags"]["generated"] = []
    write_json(ours / "evaluate/stage.json", evaluated)
    write_json(
        ours / "evaluate/results.json", {**read_json(ours / "evaluate/results.json"), "classifier": CLASSIFIER}
    )
    with flags_to_be_set() as set_to:
        set_to(f"--workdir={ours}")  # the paper's network
        trained = results_only(flags.read().by_stage["train"])
    machine = {"processor": "AMD EPYC", "cores": 2}
    for name, settings, summary in (
        ("train", trained, {"device": "cpu"}),
        ("generate", {"pretrained": None}, {"device": "cpu", "seconds_of_1024_maps": 1.5}),
    ):
        (ours / name).mkdir()
        record = {"stage": name, "flags": settings, "summary": summary, "seconds": 1.0, "machine": machine}
        write_json(ours / name / "stage.json", {**evaluated, **record})
    line = json.dumps({"step": 1, "steps_per_second": 0.0}), json.dumps({"step": 101, "steps_per_second": 4.0})
    (ours / "train/metrics.jsonl").write_text("\n".join(line) + "\n")
    return path


@pytest.fixture(scope="module")
def runs(compare, folder):
    return compare.read_runs([folder / "ours", folder / "theirs"], ["ours", "theirs"])


def row(table, title):
    """The cells after the title: real maps, ours, theirs."""
    found = [cells[1:] for cells in table.rows if cells[0].startswith(title)]
    assert len(found) == 1, title
    return found[0]


def power(workdir, name):
    return np.load(workdir / f"evaluate/{name}.npz")["power_bands"].astype(np.float64)


def test_power_and_its_scatter_are_those_of_the_maps(compare, folder, runs):
    table = compare.numbers(runs)
    mean = row(table, "mean power over validation, 4 bands")
    scatter = row(table, "scatter of log power")
    for n, (run, name) in enumerate((("ours", "auxiliary"), ("ours", "generated"), ("theirs", "generated"))):
        ours, real = power(folder / run, name), power(folder / run, "validation")
        ratio = ours.mean(0) / real.mean(0)
        assert mean[n] == f"{100 * np.sqrt(np.mean((ratio - 1) ** 2)):.1f} %"
        spread = np.log(ours).std(0) / np.log(real).std(0)
        assert scatter[n] == f"{100 * np.sqrt(np.mean((spread * correction(ours, real) - 1) ** 2)):.1f} %"
    ranges = [cells[1:] for cells in table.rows if cells[0] == "lowest to highest"]
    ratio = power(folder / "theirs", "generated").mean(0) / power(folder / "theirs", "validation").mean(0)
    assert ranges[0][2] == f"{ratio.min():.2f} to {ratio.max():.2f}"


def correction(ours, real):
    """From divisors N to N - 1."""
    return np.sqrt(len(ours) / (len(ours) - 1) * (len(real) - 1) / len(real))


def test_verdicts_and_costs_are_those_of_the_runs(compare, folder, runs):
    results = {name: read_json(folder / f"{name}/evaluate/results.json") for name in ("ours", "theirs")}
    table = compare.numbers(runs)
    for n, of in enumerate(results.values(), 1):
        overall = of["overall"]
        assert row(table, "outcome")[n] == f"{overall['outcome']} (margins: default)"
        differs, fails = row(table, "differs in")[n], overall["fails"]
        assert differs.startswith(", ".join(fails[:2]) or "nothing")
        assert differs.endswith(f" and {len(fails) - 2} more") == (len(fails) > 2)
    assert len(results["theirs"]["overall"]["fails"]) > 2
    areas = {
        title: [cell.replace("\xa0", " ") for cell in row(table, title)] for title in compare._AREAS.values()
    }
    assert areas["a classifier's area under the curve"] == ["0.500 ± 0.000", "0.800 ± 0.000", "not trained"]
    assert areas["by heights alone"] == ["0.530 ± 0.003", "0.830 ± 0.003", "not trained"]
    # The paper's network (tests/test_networks.py).
    assert row(table, "weights trained") == ("", "12,824,449", "not known")
    steps, other = row(table, "training")[1:]
    assert steps == "25 s in 100 steps, 2 cores of AMD EPYC"
    assert other == "not in this run"
    assert row(table, "1024 maps made in") == ("", "1.5 s, 2 cores of AMD EPYC", "not in this run")


def test_largest_deviations_are_those_of_the_verdict(compare, folder, runs):
    table = compare.shifts(runs)
    for n, name in enumerate(("ours", "theirs")):
        judged = read_json(folder / f"{name}/evaluate/results.json")["views"]["as it is"]["verdicts"]["judged"]
        genus = next(of for of in judged if (of["quantity"], of["name"]) == ("V2", "mean"))
        said = row(table, "Minkowski V2, thresholds in each map's sigma")
        assert said[n + 1] == f"{max(map(abs, genus['effect'])):.2f} {genus['outcome']}"
        assert said[0] == f"{max(map(abs, genus['baseline_effect'])):.2f}"
    # 1.2 times the amplitude: sigma0, one of the moments, is a fifth too large, more than its scatter.
    assert float(row(table, "moments")[2].split()[0]) > 1
    titles = [cells[0] for cells in table.rows]
    assert "power spectrum, log bands" not in titles  # judged relative to the mean, in the other table
    assert len(titles) == len(set(titles)) > 10


def test_ratios_and_their_errors(compare, runs):
    ratio, error = compare.power_ratio(runs[0], "validation")
    np.testing.assert_allclose(ratio, 1)
    of = runs[0].tables["statistics"]["power_bands"]["validation"]
    np.testing.assert_allclose(error, np.sqrt(2) * np.array(of["mean_error"]) / np.array(of["mean"]))
    ratio, _ = compare.scatter_ratio(runs[0], "validation")
    np.testing.assert_allclose(ratio, 1)


def test_the_page_fetches_nothing_and_shows_every_emulator(compare, folder, capsys):
    given = [f"--runs={folder}/ours,{folder}/theirs", "--names=network <16>,mock", f"--to={folder}/page.html"]
    compare.main(given)
    assert capsys.readouterr().out == f"compare: {folder}/page.html\n"
    page = (folder / "page.html").read_text()
    for number in ("1: Maps", "2: Pixel intensity", "3: Power spectrum", "5: Minkowski functionals"):
        assert f"<h2>Figure {number}</h2>" in page
    assert page.count("<img") == 4
    sources = re.findall(r"(?:src|href|url)\s*[=(]\s*['\"]?([^'\")>\s]+)", page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in re.sub(r"base64,[^'\"]*", "", page)
    assert page.count("<th>network &lt;16&gt;</th><th>mock</th>") == 2


def test_every_figure_has_a_column_for_each_emulator(compare, runs):
    figures = {section.title: section.figure for section in compare.sections(runs) if section.figure}
    titles = {name: [ax.get_title() for ax in of.axes if ax.get_title()] for name, of in figures.items()}
    assert titles.pop("Maps") == ["validation maps", "ours", "theirs"]
    assert list(titles.values()) == [["ours", "theirs"]] * 3
    images = [ax.images[0] for ax in figures["Maps"].axes if ax.images]
    assert len({image.get_clim() for image in images}) == 1  # one scale of colours
    # The first map is on top, to the left, upright as all maps are shown: row 0 is at the bottom.
    shown = np.asarray(images[1].get_array())
    np.testing.assert_array_equal(shown[-SIZE:, :SIZE], runs[0].shown["generated"][0])
    np.testing.assert_array_equal(shown[-SIZE:, -SIZE:], runs[0].shown["generated"][1])


def refused(compare, capsys, folder, names, *more):
    """The one line that is said where no page is made."""
    runs = ",".join(str(folder / name) for name in names)
    with pytest.raises(SystemExit) as ended:
        compare.main([f"--runs={runs}", f"--to={folder}/none.html", *more])
    assert not (folder / "none.html").exists()
    said = str(ended.value)
    assert said.startswith("compare: ")
    assert "\n" not in said
    return said


def test_too_few_runs_and_names_that_do_not_tell_them_apart(compare, folder, capsys):
    assert "must be 2 to 5 working directories, found 1" in refused(compare, capsys, folder, ["ours"])
    both = ["ours", "theirs"]
    assert "names=a,a must be 2 different names" in refused(compare, capsys, folder, both, "--names=a,a")
    assert "names=a must be 2 different names" in refused(compare, capsys, folder, both, "--names=a")
    said = refused(compare, capsys, folder, ["ours", "absent"])
    assert f"workdir={folder}/absent holds no finished stage 'evaluate'" in said


def test_other_real_maps_are_refused(compare, folder, capsys):
    """The same maps under another normalisation are the same; another crop is another set."""
    real_maps = sys.modules["compared_runs"].real_maps
    assert real_maps(folder / "ours") == real_maps(folder / "theirs")
    shutil.copytree(folder / "theirs", folder / "moved")
    crops = np.load(folder / "moved/prepare/crops_validation.npy")
    crops[0, 1] = 8 - crops[0, 1] if crops[0, 1] != 4 else 5
    np.save(folder / "moved/prepare/crops_validation.npy", crops)
    said = refused(compare, capsys, folder, ["ours", "moved"])
    assert re.search(
        r"must be judged by the same validation maps: \S+ours by 40 of SHA-256 \w{12}, \S+moved by", said
    )
    record = read_json(folder / "moved/prepare/stage.json")
    write_json(folder / "moved/prepare/stage.json", record | {"result": "other"})
    assert "moved/prepare was made anew since stage evaluate" in refused(
        compare, capsys, folder, ["ours", "moved"]
    )


def test_files_of_real_maps_are_told_apart_too(compare, folder, capsys):
    for name, mark in (("first", "a" * 64), ("second", "b" * 64)):
        shutil.copytree(folder / "theirs", folder / name)
        record = read_json(folder / name / "evaluate/stage.json")
        write_json(
            folder / name / "evaluate/stage.json",
            {**record, "inputs": {"reference": "c" * 64, "auxiliary": mark}},
        )
    said = refused(compare, capsys, folder, ["first", "second"])
    assert "same auxiliary maps" in said
    assert "second by 40 of SHA-256 bbbbbbbbbbbb" in said


def test_other_bands_are_refused(compare, folder, capsys):
    shutil.copytree(folder / "theirs", folder / "bands")
    tables = read_json(folder / "bands/evaluate/statistics.json")
    tables["l_edges"] = tables["l_edges"][:-1]
    write_json(folder / "bands/evaluate/statistics.json", tables)
    said = refused(compare, capsys, folder, ["ours", "bands"])
    assert re.search(r"judged in the same l_edges: \S+ours in 4 bins, \S+bands in 3", said)


def test_runs_of_before_there_was_an_outcome_are_refused(compare, folder, capsys):
    shutil.copytree(folder / "theirs", folder / "early")
    results = read_json(folder / "early/evaluate/results.json")
    results["schema"] = 2
    write_json(folder / "early/evaluate/results.json", results)
    assert "early/evaluate/results.json has no outcome" in refused(compare, capsys, folder, ["ours", "early"])
