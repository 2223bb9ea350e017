"""What a shell or a notebook has switched on in JAX: runs keep its defaults, public functions work as ever."""

import ast
import concurrent.futures
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_main import SWITCHES_OF_A_SHELL
from whole_runs import assert_same_stage

import cosmogan_jax
from cosmogan_jax import summaries, switches
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.machine import computing
from cosmogan_jax.summaries.observer import smooth

pytestmark = pytest.mark.usefixtures("quick")
ROOT = Path(__file__).resolve().parents[1]
STAGES = ("simulate", "prepare", "train", "select", "generate", "evaluate", "novelty")
TINY = [
    "--map_pixels=32", "--side_deg=1", "--num_train_maps=6", "--num_development_maps=3", "--crop_size=16",
    "--num_validation_maps=3", "--crops_per_map=6", "--normalisation=linear", "--normalisation_scale=0.12",
    "--num_filters=4", "--batch_size=4", "--num_steps=2", "--log_every_steps=1", "--select_maps=8",
    "--num_generated=10", "--generate_batch=4", "--novelty_maps=10", "--observer_smoothing_arcmin=",
    "--classifier_steps=2", "--num_permutations=49", "--num_resamples=50", f"--stages={','.join(STAGES)}",
]  # fmt: skip


def command_line(*flags, **environ):
    done = subprocess.run(
        [sys.executable, "-m", "cosmogan_jax.main", *flags],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environ}, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.slow  # but for novelty and the classifier in tests/test_main.py too
def test_no_switch_of_a_shell_changes_a_run(tmp_path):
    """Every stage that computes, by the command line: the same bits, and one line of what does not hold."""
    said = {}
    for name, environ in (("usual", {}), ("switched", SWITCHES_OF_A_SHELL)):
        code, said[name] = command_line(f"--workdir={tmp_path / name}", *TINY, JAX_PLATFORMS="cpu", **environ)
        assert code == 0, said[name][-3000:]
    for stage in STAGES:
        assert_same_stage(stage, tmp_path / "usual", tmp_path / "switched")
    assert "not for runs" not in said["usual"]


def test_runs_compute_under_what_jax_begins_with():
    """Every switch that is set for runs, as a process has it in whose environment none is set."""
    script = (
        "import jax, sys; v = jax.config.values; "
        "print({n: str(getattr(v[n], 'name', v[n])).lower() for n in sys.argv[1:] if n in v})"
    )
    bare = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    names = list(switches._OF_RUNS)
    command = [sys.executable, "-c", script, *names]
    said = subprocess.run(command, capture_output=True, text=True, env=bare, check=True, timeout=120).stdout
    expected = ast.literal_eval(said)
    assert len(expected) > 8
    # No guard of transfers at all is one that allows them.
    guards = {name: "allow" for name in names if "transfer_guard" in name}
    expected = {name: guards.get(name, value) for name, value in expected.items()}

    def now():
        return {name: switches._in_words(jax.config.values[name]).lower() for name in expected}

    with switches.of_runs(), concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert now() == expected
        assert pool.submit(now).result() == expected
    with jax.debug_nans(True), jax.numpy_dtype_promotion("strict"), switches.of_runs():
        assert now() == expected


def test_a_run_puts_back_what_it_switched_off():
    """Of all threads, and of a context that the caller is in."""
    seen = {}

    def look(name):
        seen[name] = jax.config.values["jax_enable_x64"], jnp.asarray(1.5).dtype.name

    def in_thread(name):
        thread = threading.Thread(target=look, args=(name,))
        thread.start()
        thread.join()

    before = dict(jax.config.values)
    with switches.of_runs() as otherwise:
        assert otherwise == []
    jax.config.update("jax_numpy_rank_promotion", "warn")
    try:
        with jax.enable_x64(True), jax.transfer_guard("log"):
            with switches.of_runs() as otherwise:
                look("run")
                in_thread("run's thread")
            look("context")
            in_thread("context's thread")
        assert jax.config.values["jax_numpy_rank_promotion"] == "warn"
    finally:
        jax.config.update("jax_numpy_rank_promotion", "allow")
    assert seen == {
        "run": (False, "float32"),
        "run's thread": (False, "float32"),
        "context": (True, "float64"),
        "context's thread": (False, "float32"),
    }
    assert "JAX_ENABLE_X64=True" in otherwise
    assert "JAX_NUMPY_RANK_PROMOTION=warn" in otherwise
    assert dict(jax.config.values) == before


def test_what_fails_in_a_run_puts_switches_back_too():
    with pytest.raises(ZeroDivisionError), jax.enable_x64(True), switches.of_runs():
        1 / 0  # noqa: B018
    assert not jax.config.values["jax_enable_x64"]


@contextlib.contextmanager
def strict():
    """As a careful program has it, for all that it calls."""
    with (
        jax.enable_x64(True),
        jax.debug_nans(True),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
        jax.transfer_guard("disallow"),
    ):
        yield


KAPPA = np.random.default_rng(0).normal(scale=0.02, size=(3, 24, 24)).astype(np.float32)
ELL, HEIGHTS = np.linspace(400, 4000, 5), np.linspace(-0.04, 0.04, 6)
PUBLIC = {
    "bispectrum": lambda: summaries.bispectrum(KAPPA, ELL, 1.0),
    "cross_power_spectra": lambda: summaries.cross_power_spectra(KAPPA, ELL, 1.0),
    "joint_moments": lambda: summaries.joint_moments(KAPPA, np.zeros(3), np.full(3, 0.02)),
    "joint_roughness": lambda: summaries.joint_roughness(KAPPA, np.zeros(3), np.full(3, 0.02)),
    "kappa_to_shear": lambda: summaries.kappa_to_shear(KAPPA),
    "minimum_counts": lambda: summaries.minimum_counts(KAPPA, HEIGHTS),
    "minkowski_functionals": lambda: summaries.minkowski_functionals(KAPPA, HEIGHTS),
    "moments": lambda: summaries.moments(KAPPA),
    "ms_ssim": lambda: summaries.ms_ssim(KAPPA[:2], KAPPA[1:], 0.1),
    "pair_similarity": lambda: summaries.pair_similarity(KAPPA, np.array([[0, 1], [1, 2]]), 0.1),
    "pair_power_spectra": lambda: summaries.pair_power_spectra(KAPPA, ELL, 1.0),
    "peak_counts": lambda: summaries.peak_counts(KAPPA, HEIGHTS),
    "pixel_histogram": lambda: summaries.pixel_histogram(KAPPA, HEIGHTS),
    "power_spectrum": lambda: summaries.power_spectrum(KAPPA, ELL, 1.0),
    "pure_modes": lambda: summaries.pure_modes(KAPPA, KAPPA[::-1]),
    "roughness": lambda: summaries.roughness(KAPPA, 0.0, 0.02),
    "scattering_coefficients": lambda: summaries.scattering_coefficients(KAPPA, 2),
    "shear_of_canvas": lambda: summaries.shear_of_canvas(KAPPA, 12, 12),
    "shear_to_kappa": lambda: summaries.shear_to_kappa(KAPPA, KAPPA[::-1]),
    "starlet_l1_norm": lambda: summaries.starlet_l1_norm(KAPPA, [HEIGHTS, HEIGHTS]),
    "starlet_peak_counts": lambda: summaries.starlet_peak_counts(KAPPA, [HEIGHTS, HEIGHTS]),
    "starlet_statistics": lambda: summaries.starlet_statistics(KAPPA, [HEIGHTS, HEIGHTS], [HEIGHTS, HEIGHTS]),
    "starlet_transform": lambda: summaries.starlet_transform(KAPPA, 2),
    "smooth": lambda: smooth(KAPPA, MapGeometry(24, 1.0), 2.0),
    "load and sample": lambda: cosmogan_jax.load("pm-zs1-64").sample(seed=3, num_maps=2, size=32),
    "as observed": lambda: cosmogan_jax.load("pm-zs1-64").sample(
        seed=3, num_maps=1, size=32, noise=cosmogan_jax.GalaxyNoise(30, 0.26), smoothing_arcmin=1.0
    ),
}
NO_MAPS = {"PAPER_L_EDGES", "PAPER_THRESHOLDS", "MinkowskiFunctionals", "Shear", "StarletStatistics"}


def test_every_public_statistic_is_tried():
    of_no_maps = {"scattering_labels", "roughness_labels", "joint_roughness_labels", "coherence"}
    assert set(summaries.__all__) - NO_MAPS - of_no_maps <= PUBLIC.keys()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_work_under_strict_switches(name):
    """Types are those that are given, so float32's results come out as float32, up to rounding."""
    usual = [np.asarray(leaf) for leaf in jax.tree.leaves(PUBLIC[name]())]
    with strict():
        found = [np.asarray(leaf) for leaf in jax.tree.leaves(jax.device_get(PUBLIC[name]()))]
    assert [a.dtype for a in found] == [a.dtype for a in usual]
    for a, b in zip(found, usual):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("platform", ["nowhere", "cuda"])
def test_a_platform_that_is_not_there_is_said_in_words(tmp_path, platform):
    """Before anything is begun; of one that JAX has no plugin for it says nothing but an assertion."""
    if platform == "cuda" and any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("there is one")
    flags = f"--workdir={tmp_path}/run", "--stages=simulate"
    code, said = command_line(*flags, JAX_PLATFORMS=platform)
    assert code == 1
    assert said.startswith(f"error: JAX_PLATFORMS={platform} cannot be computed on here; cpu always can")
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_devices_in_words(monkeypatch):
    class Device:
        device_kind = "NVIDIA H100"

    monkeypatch.setattr(jax, "devices", lambda: [Device()] * 4)
    assert computing.device_in_words() == "4 x NVIDIA H100"
    assert computing.device_in_words(2) == "2 x NVIDIA H100"
    assert computing.device_in_words(1) == "NVIDIA H100"


def test_what_jax_warns_of_comes_through_once():
    """As that a GPU is there and not used, which JAX says by this logger when it looks for devices."""
    code = (
        "import logging, sys\n"
        "from cosmogan_jax import main\n"
        "from cosmogan_jax.stages import pipeline\n"
        "def run(*_):\n"
        "    import jax\n"
        "    logging.getLogger('jax._src.xla_bridge').warning('Falling back to cpu.')\n"
        "    logging.getLogger('absl').warning('of a library')\n"
        "pipeline.run, sys.argv = run, ['main']\n"
        "main.console()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Falling back to cpu.") == 1
    assert "of a library" not in done.stderr
    import jax._src.xla_bridge as there

    assert there.logger.name == "jax._src.xla_bridge"
