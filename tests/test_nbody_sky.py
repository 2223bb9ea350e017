"""Stage simulate with the N-body sky, at tiny size: boxes shared, resumed, refused; maps as recorded."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import run_here

from cosmogan_jax.maps.lens_planes import read_lens_planes
from cosmogan_jax.maps.store import open_map_store

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "--stages=simulate",
    "--sky=nbody",
    "--box_size=64",
    "--num_particles_side=16",
    "--num_time_steps=6",
    "--source_redshift=0.1",
    "--side_deg=6",
    "--map_pixels=32",
    "--num_train_boxes=2",
    "--num_train_maps=5",
    "--num_development_maps=1",
    "--num_validation_maps=2",
]


def start(workdir, *flags, devices=1):
    return subprocess.Popen(
        [sys.executable, "-m", "cosmogan_jax.main", f"--workdir={workdir}", *TINY, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
        },
    )


def alone(workdir, *flags, devices=1, timeout=300):
    """In a process of its own."""
    process = start(workdir, *flags, devices=devices)
    said, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, said[-3000:]
    return said


def main(workdir, *flags, code=0):
    """In this process."""
    found, said = run_here(f"--workdir={workdir}", *TINY, *flags)
    assert found == code, said[-3000:]
    return said


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("nbody") / "whole"
    said = main(workdir, "--write_lens_planes")
    assert "warning: the boxes resolve ell up to" in said
    return workdir


def test_maps_name_their_boxes(whole):
    store = open_map_store(whole / "simulate/maps")
    assert store.manifest.splits == ["train"] * 5 + ["development"] + ["validation"] * 2 + ["auxiliary"] * 2
    assert store.manifest.boxes == [
        "train_000", "train_000", "train_000", "train_001", "train_001",
        "development_000", "validation_000", "validation_000", "auxiliary_000", "auxiliary_000",
    ]  # fmt: skip
    kappa = store.read()[..., 0]
    assert (kappa.std((1, 2)) > 1e-5).all()
    assert len(np.unique(kappa.std((1, 2)))) == len(kappa)
    cost = json.loads((whole / "simulate/cost.json").read_text())
    assert cost["box"] >= cost["step"] > 0
    placements = json.loads((whole / "simulate/placements.json").read_text())
    planes = len(store.manifest.origin["resolution"]["particle_nyquist_ell"])
    assert np.shape(placements["cut"]) == (10, planes)


def test_a_map_can_be_made_again_from_the_manifest_and_the_box(whole):
    """By an independent route: interpolation of the corrected plane by scipy, in float64."""
    from scipy.ndimage import map_coordinates

    from cosmogan_jax.maps.boxes import open_box
    from cosmogan_jax.sky import light_cone
    from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY

    store = open_map_store(whole / "simulate/maps")
    record = json.loads((whole / "boxes/train_001/box.json").read_text())
    settings = {key: value for key, value in record["settings"].items() if key != "version"}
    box = open_box(whole / "boxes", "train_001", settings)
    placed = json.loads((whole / "simulate/placements.json").read_text())
    schedule = light_cone.plane_schedule(PAPER_COSMOLOGY, 0.1, 64.0, 2)
    strength, weights = light_cone.lensing_weights(PAPER_COSMOLOGY, schedule, 0.1)
    size, index, kappa = 64, 4, 0.0
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    inside = np.hypot(rows, columns) <= 0.5
    window = (np.sinc(rows) * np.sinc(columns)) ** 4
    for number, chi in enumerate(schedule.chi):
        plane = box.read(number)[placed["cut"][index][number]].astype(np.float64)
        plane = np.fft.irfft2(np.where(inside, np.fft.rfft2(plane) / window, 0))
        turn = placed["turn"][index][number]
        plane = plane.T if turn & 1 else plane
        plane = plane[::-1] if turn & 2 else plane
        plane = plane[:, ::-1] if turn & 4 else plane
        rays = (np.arange(64) + 0.5 - 32) * np.radians(6.0) / 64 * chi / 64.0 * size
        shift = placed["shift"][index][number]
        at = np.meshgrid(rays + shift[0] * size, rays + shift[1] * size, indexing="ij")
        kappa = kappa + strength[number] * weights[number] * map_coordinates(
            plane, at, order=1, mode="grid-wrap"
        )
    expected = kappa.reshape(32, 2, 32, 2).mean((1, 3))
    found = store.read(index, index + 1)[0, ..., 0]
    # Shifts are written with seven digits; planes are corrected in float32.
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_lens_planes_hold_the_boxes_convergence(whole):
    from cosmogan_jax.files.zarr_arrays import open_array
    from cosmogan_jax.sky import light_cone, planes
    from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY

    lens = read_lens_planes(whole / "boxes/train_000/lens_planes")
    schedule = light_cone.plane_schedule(PAPER_COSMOLOGY, 0.1, 64.0, 2)
    assert len(lens.names) == 6 * len(schedule.chi)
    strength, _ = light_cone.lensing_weights(PAPER_COSMOLOGY, schedule, 0.1)
    number = lens.names.index(f"snap{len(schedule.chi) - 3}_potentialPlane1_normal2.fits")
    np.testing.assert_allclose(lens.side_deg[number], np.degrees(64.0 / schedule.chi[2]))
    kappa = planes.plane_convergence(lens.potential[number][None], lens.side_deg[number], "spectral")[0]
    record = json.loads((whole / "boxes/train_000/box.json").read_text())
    contrast = open_array(whole / "boxes/train_000/planes", tuple(record["shape"]))[2, 5].read().result()
    modes, expected = np.fft.rfft2(kappa), np.fft.rfft2(strength[2] * contrast)
    # Long waves: the clouds' window, divided out in the potential, is below 0.7 % there.
    low = slice(0, 4)
    np.testing.assert_allclose(modes[low, low], expected[low, low], atol=0.01 * np.abs(expected).max())


def test_the_planes_sky_refuses_planes_of_different_angle(whole):
    said = main(
        whole.parent / "other", "--sky=planes", f"--lens_planes={whole}/boxes/train_000/lens_planes", code=1
    )
    assert "lens planes of different angle" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_number_of_devices_and_resuming_change_nothing(whole, tmp_path):
    again = tmp_path / "two"
    process = start(again, devices=2)
    # Killed while it works, at whatever it does; then the same command goes on.
    time.sleep(7)
    process.kill()
    process.communicate()
    alone(again, devices=2)
    one, two = (open_map_store(run / "simulate/maps") for run in (whole, again))
    np.testing.assert_array_equal(one.read(), two.read())
    assert one.manifest.boxes == two.manifest.boxes


def test_interrupted_maps_go_on(whole, tmp_path):
    """The store's journal says three maps are written: these are kept as they are, the rest is made."""
    from cosmogan_jax.files.json_files import read_json, write_json
    from cosmogan_jax.files.zarr_arrays import open_array

    cut = tmp_path / "cut"
    shutil.copytree(whole, cut)
    record = read_json(cut / "simulate/stage.json")
    (cut / "simulate").rename(cut / "simulate.partial")
    partial = cut / "simulate.partial"
    write_json(
        partial / "settings.json", {**record["flags"], "inputs": record["inputs"], "keys": record["keys"]}
    )
    for name in ("stage.json", "maps/manifest.json"):
        (partial / name).unlink()
    write_json(partial / "maps/written.json", {"maps": 3})
    array = open_array(partial / "maps/kappa", (10, 32, 32, 1), write=True)
    planted = np.arange(10, dtype=np.float32)[:, None, None, None] * np.ones((32, 32, 1), np.float32)
    array[:].write(planted).result()
    main(cut)
    found, expected = (open_map_store(run / "simulate/maps").read() for run in (cut, whole))
    np.testing.assert_array_equal(found[:3], planted[:3])
    np.testing.assert_array_equal(found[3:], expected[3:])


def test_boxes_are_shared_and_their_settings_kept(whole, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in (whole / "boxes").rglob("box.json")}
    shared = f"--boxes_dir={whole}/boxes"
    main(tmp_path / "more", shared, "--num_validation_maps=1")
    assert before == {p: p.stat().st_mtime_ns for p in (whole / "boxes").rglob("box.json")}
    said = main(tmp_path / "other", shared, "--num_time_steps=7", code=1)
    assert "was made with num_time_steps=6, now num_time_steps=7" in said


@pytest.mark.slow
def test_waits_for_a_box_that_another_process_makes(whole, tmp_path):
    boxes = tmp_path / "boxes"
    shutil.copytree(whole / "boxes", boxes)
    (boxes / "train_001").rename(tmp_path / "train_001")
    with open(boxes / "train_001.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(tmp_path / "waits", f"--boxes_dir={boxes}")
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "waits for box train_001" in line:
                (tmp_path / "train_001").rename(boxes / "train_001")
                break
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, "".join(lines) + said
    np.testing.assert_array_equal(
        open_map_store(tmp_path / "waits/simulate/maps").read(), open_map_store(whole / "simulate/maps").read()
    )


def test_multi_plane_maps_are_near_born(whole, tmp_path):
    main(tmp_path / "traced", f"--boxes_dir={whole}/boxes", "--ray_tracing=multi_plane")
    born, traced = (open_map_store(run / "simulate/maps").read() for run in (whole, tmp_path / "traced"))
    correlation = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(born, traced)])
    assert 0.98 < correlation < 1.0


def test_sharpening_is_recorded(whole, tmp_path):
    main(tmp_path / "sharp", f"--boxes_dir={whole}/boxes", "--sharpen_to=halofit")
    store = open_map_store(tmp_path / "sharp/simulate/maps")
    assert store.manifest.origin["sharpen_to"] == "halofit"
    record = json.loads((tmp_path / "sharp/simulate/transfer.json").read_text())
    assert record["calibrated_on"] == "train_000"
    assert not np.array_equal(store.read(), open_map_store(whole / "simulate/maps").read())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--side_deg=60"], "maps would hold the same structures twice"),
        (["--mesh_factor=0"], "mesh_factor=0 must be at least 1"),
        (["--num_particles_side=1024"], "exceeds 2147483647"),
        (["--num_particles_side=640"], "GiB free"),
        (["--source_redshift=0"], "source_redshift=0.0 must be positive"),
        (["--sigma8=0"], "sigma8=0.0 must be positive"),
        (["--omega_m=-0.1"], "omega_m=-0.1 must be positive"),
        (["--num_train_boxes=0"], "num_train_boxes=0 must be positive"),
        (["--num_train_boxes=9"], "num_train_boxes=9 is more than num_train_maps=5"),
        (["--start_redshift=1", "--source_redshift=2.5", "--side_deg=0.5"], "must be above the farthest plane"),
        (["--rays_per_pixel=0"], "rays_per_pixel=0 must be positive"),
        (["--sky=lognormal", "--ray_tracing=multi_plane"], "needs --sky=nbody or --sky=planes"),
    ],
)
def test_bad_input_is_one_line(tmp_path, flags, message):
    said = main(tmp_path / "bad", *flags, code=1)
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in said


@pytest.mark.slow
def test_power_of_240_boxes_is_limbers(tmp_path):
    """C_l within 10 % of Limber on ell 200 to 800, mean of six boxes (one has 8 %); 6 minutes on two cores."""
    from cosmogan_jax.sky.limber import convergence_power
    from cosmogan_jax.summaries import power_spectrum

    alone(
        tmp_path / "run", "--box_size=240", "--num_particles_side=128", "--num_time_steps=60",
        "--source_redshift=1", "--side_deg=3.4641016", "--map_pixels=256", "--num_train_boxes=3",
        "--num_train_maps=48", "--num_development_maps=4", "--num_validation_maps=4",
        timeout=1800,
    )  # fmt: skip
    store = open_map_store(tmp_path / "run/simulate/maps")
    edges, geometry = np.array([200.0, 400.0, 800.0]), store.geometry
    power = np.asarray(
        power_spectrum(store.read()[..., 0], edges, geometry.side_deg, mode_weights="full_plane")
    )
    boxes = np.array(store.manifest.boxes)
    mean = np.mean([power[boxes == name].mean(0) for name in np.unique(boxes)], axis=0)
    bins, weights = geometry.half_plane_bins(edges), geometry.half_plane_weights()
    theory = convergence_power(np.maximum(geometry.half_plane_ell(), 1.0), 1.0)
    theory = [np.average(theory[bins == b], weights=weights[bins == b]) for b in (0, 1)]
    np.testing.assert_allclose(mean, theory, rtol=0.1)


def test_planes_are_read_once_a_box_and_amplitudes_made_once(run_main, tmp_path, monkeypatch):
    from cosmogan_jax.maps.boxes import Box
    from cosmogan_jax.stages.simulate import box_maps, boxes

    read, made, read_plane, make = [], [], Box.read, boxes.mode_amplitudes
    monkeypatch.setattr(
        Box, "read", lambda box, plane: read.append((box.path.name, plane)) or read_plane(box, plane)
    )
    monkeypatch.setattr(boxes, "mode_amplitudes", lambda *given: made.append(given) or make(*given))
    # One map at a time, as with many rays.
    monkeypatch.setattr(box_maps, "_BATCH_BYTES", 1)
    flags = [*TINY, "--ray_tracing=multi_plane", f"--boxes_dir={tmp_path}/boxes"]
    kappa = []
    for name, share in (("held", 0.25), ("read again", 0.0)):
        monkeypatch.setattr(box_maps, "_HELD_SHARE", share)
        read.clear()
        code, _, error = run_main(f"--workdir={tmp_path}/{name}", *flags)
        assert code == 0, error
        kappa.append(open_map_store(tmp_path / name / "simulate/maps").read())
        assert len(made) == 1  # for four boxes, and none for those that are there
        if share:
            assert len(read) == len(set(read)) > 4
        else:
            assert len(read) == 2 * len(set(read))  # eight maps through four boxes
    np.testing.assert_array_equal(*kappa)


@pytest.mark.parametrize("ray_tracing", ["born", "multi_plane"])
def test_a_map_does_not_depend_on_its_batch(whole, parse, monkeypatch, ray_tracing):
    from cosmogan_jax.stages.simulate import box_maps
    from cosmogan_jax.stages.simulate.nbody_sky import make_nbody_sky

    flags = [*TINY, f"--workdir={whole}", f"--ray_tracing={ray_tracing}"]
    counts = {"train": 5, "development": 1, "validation": 2, "auxiliary": 2}
    sky = make_nbody_sky(parse(*flags).by_stage["simulate"], whole, counts)
    # Programs of their own: those of the run above are compiled with little optimisation, and round otherwise.
    monkeypatch.setattr(box_maps, "_RAYS_TOGETHER", 8 * 64**2)
    together = sky.maps(np.arange(5), "train")
    alone = [sky.maps(np.array([number]), "train")[0] for number in range(5)]
    np.testing.assert_array_equal(together, alone)
    monkeypatch.setattr(box_maps, "_RAYS_TOGETHER", 1)  # two maps a program, several programs a box
    np.testing.assert_array_equal(together, sky.maps(np.arange(5), "train"))


def test_what_a_thread_could_not_write_is_told(tmp_path):
    from cosmogan_jax.maps.boxes import BoxWriter
    from cosmogan_jax.stages.simulate.boxes import _WriteBehind

    writer, plane = BoxWriter(tmp_path, "b", 3, 3, 4), np.ones((3, 4, 4), np.float32)
    with _WriteBehind(writer) as behind:
        behind.write([(0, plane)])
        behind.write([(1, np.nan * plane)])
        with pytest.raises(ValueError, match=r"plane 1 of .*b holds non-finite values"):
            behind.write([(2, plane)])


def test_boxes_side_by_side_are_those_made_one_after_the_other(run_main, tmp_path, monkeypatch):
    from cosmogan_jax.stages.simulate import boxes

    kappa, threads, make = [], [], boxes._make
    monkeypatch.setattr(boxes, "_make", lambda *given: threads.append(threading.get_ident()) or make(*given))
    for count in (1, 3):
        monkeypatch.setattr(boxes, "_at_a_time", lambda *_, count=count: count)
        threads.clear()
        code, _, error = run_main(f"--workdir={tmp_path}/{count}", *TINY)
        assert code == 0, error
        assert len(threads) == 5
        assert (len(set(threads)) > 1) == (count > 1)
        kappa.append(open_map_store(tmp_path / str(count) / "simulate/maps").read())
    np.testing.assert_array_equal(*kappa)


@pytest.mark.parametrize(
    ("cores", "missing", "free_boxes", "container_boxes", "at_a_time"),
    [
        (8, 20, 100, 100, 8),
        (8, 3, 100, 100, 3),
        (8, 20, 7, 100, 3),
        (8, 20, 100, 7, 3),  # of a host of much memory, whose container may take little
        (8, 20, 1, 100, 1),
        (1, 20, 100, 100, 1),
        (8, 20, None, 100, 1),
    ],
)
def test_boxes_at_a_time_are_those_that_cores_and_half_the_memory_hold(
    monkeypatch, cores, missing, free_boxes, container_boxes, at_a_time
):
    from cosmogan_jax.machine import memory
    from cosmogan_jax.sky.resolution import box_bytes
    from cosmogan_jax.stages.simulate import boxes

    settings = boxes.BoxSettings(64.0, 16, 32, 6, 9.0, 1, 64)
    size = box_bytes(16, 32, 1, 64)
    free = None if free_boxes is None else free_boxes * size
    monkeypatch.setattr(boxes, "unused_memory", lambda _: free)
    monkeypatch.setattr(boxes.os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(memory, "usable_memory", lambda: container_boxes * size)
    assert boxes._at_a_time(jax.devices("cpu")[0], settings, missing) == at_a_time
