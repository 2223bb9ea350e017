"""The scripts of experiments 023 and 024 end to end, with an emulator of which everything is known."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import load_script, quickly_compiled

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.sky.matter_power import MatterPower
from cosmogan_jax.sky.nbody import BoxSettings

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
FOLDERS = [EXPERIMENTS / "023-derivatives-covariance", EXPERIMENTS / "024-inference"]
SMALL = ("--emulator=stand-in", "--num_pixels=24", "--num_bands=5", "--reference_maps=64")
TRUTHS = (
    "--num_truths=50", "--boxes_per_truth=16", "--patches_per_box=1", "--fiducial_boxes=64", "--table_maps=256",
    "--more_nodes=4", "--grid=40", "--resamples=3",
)  # fmt: skip
PAPER = {"omega_m": 0.26, "sigma8": 0.798}

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def scripts():
    """By name; what they import of each other goes with them."""
    before = list(sys.path), set(sys.modules)
    sys.path[:0] = map(str, FOLDERS)
    yield {name: load_script(folder / f"{name}.py") for name, folder in zip(("compare", "infer"), FOLDERS)}
    sys.path[:] = before[0]
    for name in (set(sys.modules) - before[1]) & {"boxes_at", "powers", "stand_in", "tables"}:
        del sys.modules[name]


@pytest.fixture(scope="module")
def inferred(scripts, tmp_path_factory):
    """results.json where truths are of the emulator itself, and of one that answers to sigma8 by 20 % more."""
    results, work = {}, tmp_path_factory.mktemp("truths")
    with quickly_compiled():
        for truths in ("stand-in", "stand-in:1.2"):
            scripts["infer"].main([*SMALL, *TRUTHS, f"--truths_from={truths}", f"--work={work}"])
            results[truths] = json.loads((work / "results.json").read_text())
    return results, work


def test_posteriors_of_the_emulators_own_maps_are_calibrated_and_of_another_answer_are_not(inferred):
    results, _ = inferred
    name = "sigma8 (omega_m / 0.3)^0.5"
    for quantity in ("omega_m", "sigma8", name):
        assert results["stand-in"][quantity]["calibrated"], results["stand-in"]
    right, wrong = (results[truths][name] for truths in ("stand-in", "stand-in:1.2"))
    # The correlation of 50 ranks and means scatters by 0.14 where there is none.
    assert wrong["trend"] < -0.3 < right["trend"]
    assert not wrong["calibrated"]
    at_fiducial = results["stand-in"]["fiducial sigma8"]
    assert abs(at_fiducial["shift"]) < 0.5
    assert abs(at_fiducial["width"] - 1) < 0.35


def test_a_table_is_not_made_again(inferred, scripts, capsys):
    _, work = inferred
    nodes = {path: path.stat().st_mtime_ns for path in (work / "table").glob("*.npy")}
    assert len(nodes) == 13
    scripts["infer"].main([*SMALL, *TRUTHS, "--truths_from=stand-in", f"--work={work}", "--part=table"])
    assert nodes == {path: path.stat().st_mtime_ns for path in nodes}
    scripts["infer"].main([*SMALL, *TRUTHS, "--truths_from=stand-in", f"--work={work}", "--part=summary"])
    assert "| omega_m |" in capsys.readouterr().out


def test_of_the_emulators_own_maps_nothing_differs(scripts, tmp_path):
    sizes = ("--matched_seeds=8", "--covariance_seeds=8", "--patches_per_box=16", "--num_maps=128")
    # At the paper's cosmology halofit needs no CAMB.
    given = (
        *sizes,
        "--simulations=stand-in",
        "--statistics=power_bands,peaks",
        "--fiducial=omega_m=0.26,sigma8=0.798",
    )
    scripts["compare"].main([*SMALL, *given, f"--work={tmp_path}"])
    results = json.loads((tmp_path / "results.json").read_text())
    power = results["power"]["sigma8"]
    apart, error = (np.array(power[name]) for name in ("emulator less simulations", "error of that"))
    assert (np.abs(apart) < 5 * error).all(), power
    # Of the very same maps at steps of 5 %: the third derivative leaves (0.05)^2 times 2.
    np.testing.assert_allclose(power["emulator, derivatives"], power["emulator, differences"], atol=0.01)
    row = results["statistics"]["power_bands"]
    ratio, ratio_error = (np.array(row[name]) for name in ("sigma_ratio", "sigma_ratio_error"))
    assert (np.abs(ratio - 1) < 4 * ratio_error).all(), row
    assert results["covariance"]["peaks"]["chi2_same_p"] > 1e-3
    assert results["covariance"]["power_bands"]["independent_maps"][1] == pytest.approx(128, rel=0.5)


def test_boxes_are_made_once_and_seen_alike(scripts, tmp_path, monkeypatch):
    boxes_at = sys.modules["boxes_at"]

    def patches(key, box, power, geometry, source_redshift, num_patches, rays_per_pixel):
        """What test_box_patches.py tests."""
        assert source_redshift == 0.6
        return 0.02 * np.random.default_rng(0).normal(size=(num_patches, *(geometry.num_pixels,) * 2))

    monkeypatch.setattr(boxes_at, "box_patches", patches)
    settings, geometry = BoxSettings(60.0, 16, 32, 4, 9.0, 1, 32), MapGeometry(16, 16 * 0.82 / 60)
    look = boxes_at.Look(30.0, 0.26, 1.0)
    boxes = boxes_at.Boxes(tmp_path, settings, geometry, 0.6, look, 2)
    first = boxes.seen(PAPER, [5], 2)[0]
    assert first.shape == (2, 16, 16)
    stored = list(tmp_path.glob("*/*.npy"))
    assert [path.name for path in stored] == ["000005.npy"]
    written = stored[0].stat().st_mtime_ns
    np.testing.assert_array_equal(boxes.seen(PAPER, [5], 1)[0], first[:1])
    assert stored[0].stat().st_mtime_ns == written
    plain = boxes_at.Boxes(tmp_path, settings, geometry, 0.6, boxes_at.Look(0.0, 0.26, 1.0), 2)
    noise = first - plain.seen(PAPER, [5], 2)[0]
    # Noise of 30 galaxies a square arcminute, smoothed over 1 arcmin: 0.26 / sqrt(30 4 pi) = 0.0134.
    assert noise.std() == pytest.approx(0.0134, rel=0.25)
    with pytest.raises(ValueError, match="boxes there have num_patches=2, and num_patches=3 is asked"):
        boxes_at.Boxes(tmp_path, settings, geometry, 0.6, look, 3)


def test_power_between_a_few_omega_m_is_that_of_a_smooth_law(scripts, tmp_path, monkeypatch):
    powers, asked = sys.modules["powers"], []
    log_k = np.linspace(-5, 3, 20)

    def law(cosmology):
        """Wiggles that move by a third of a period over the range, on a power that bends."""
        asked.append(cosmology.omega_m)
        bent = -np.log1p((np.exp(log_k) / cosmology.omega_m) ** 2)
        log_linear = bent + 0.1 * np.sin(6 * log_k * cosmology.omega_m**0.25) + 2 * np.log(cosmology.sigma8)
        return MatterPower(cosmology, log_k, log_linear, np.zeros((31, 20)), "a law")

    monkeypatch.setattr(powers, "matter_power", law)
    for theta in ({"omega_m": 0.213, "sigma8": 0.65}, {"omega_m": 0.377, "sigma8": 0.93}):
        between = powers.power_between(theta, tmp_path, (0.2, 0.4))
        expected = law(between.cosmology)
        assert (between.cosmology.omega_m, between.cosmology.sigma8) == tuple(theta.values())
        # Of a function as smooth as this one a polynomial of degree nine leaves some 1e-5.
        np.testing.assert_allclose(between.log_linear, expected.log_linear, atol=1e-4)
        assert np.isnan(between.log_nonlinear).all()
    assert len(asked) == 10 + 2  # the second reads the file
    with pytest.raises(ValueError, match=r"omega_m=0.45 must lie in 0.2 to 0.4"):
        powers.power_between({"omega_m": 0.45, "sigma8": 0.8}, tmp_path, (0.2, 0.4))


def test_boxes_are_such_as_the_card_says(scripts, tmp_path):
    boxes_at, compare = sys.modules["boxes_at"], scripts["compare"]
    args = compare.parsed(["--emulator=stand-in", "--time_steps=8", f"--work={tmp_path}"])
    emulator = sys.modules["stand_in"].stand_in(16)
    with pytest.raises(ValueError, match="particles of the training boxes is not in the emulator's card"):
        boxes_at.boxes_of(args, tmp_path / "no", emulator, 1)
    trained = {
        "num_particles_side": 16,
        "mesh_factor": 3,
        "num_time_steps": 32,
        "box_size": 60.0,
        "slabs_per_box": 1,
    }
    card = {"training": {"flags": trained}, "source_redshift": 0.7}
    boxes = boxes_at.boxes_of(args, tmp_path / "as", dataclasses.replace(emulator, card=card), 1)
    assert boxes.settings == BoxSettings(60.0, 16, 48, 8, 9.0, 1, 64)
    assert (boxes.source_redshift, boxes.rays_per_pixel) == (0.7, 2)


@pytest.mark.parametrize(
    ("script", "given", "words"),
    [
        ("infer", ("--emulator=pm-zs1-64",), "must be one of omega_m and sigma8, with its design"),
        ("infer", ("--emulator=nowhere",), "pretrained='nowhere' is neither a folder"),
        ("compare", ("--emulator=pm-zs1-64",), "must be conditioned on omega_m, sigma8, and is on nothing"),
        ("compare", (*SMALL, "--simulations=stand-in", "--fiducial=sigma8=0.8"), "fiducial=sigma8=0.8 must be"),
    ],
)
def test_what_cannot_be_is_one_line(scripts, tmp_path, script, given, words):
    with pytest.raises(SystemExit, match=words):
        scripts[script].main([*given, f"--work={tmp_path}"])
