"""The other forms of map files, as a user gives them: through prepare, and as sets to judge."""

import json
import shutil

import jax
import numpy as np
import pytest
import zarr

from cosmogan_jax.compare.novelty.nearest_window import nearest_window, window
from cosmogan_jax.maps.crop_table import open_crop_table

CROPS = ("--stages=prepare", "--crop_size=8", "--crops_per_map=20")


def maps(count, rows=24, columns=24, seed=0):
    return (np.random.default_rng(seed).normal(size=(count, rows, columns)) * 0.02).astype(np.float32)


def run(run_main, tmp_path, *flags, code=0):
    found, out, error = run_main(f"--workdir={tmp_path}/run", *CROPS, "--side_deg=2", *flags)
    assert found == code, error
    return open_crop_table(tmp_path / "run/prepare") if not code else error, out


def test_crops_are_cut_from_maps_that_are_not_square(run_main, tmp_path):
    kappa = maps(10, 24, 40)
    kappa[2, 5, 30] = np.nan
    np.save(tmp_path / "k.npy", kappa)
    table, out = run(run_main, tmp_path, f"--maps={tmp_path}/k.npy", "--invalid_pixels=avoid")
    assert "10 maps of 24x40 pixels, 2 by 3.33333 degrees wide (5 arcmin a pixel" in out
    np.testing.assert_array_equal(table.store.read()[..., 0], kappa)
    assert table.geometry.side_deg == pytest.approx(2 / 3)  # 8 of 24 rows
    every = np.concatenate(list(table.crops.values()))
    # They reach into the columns that a square of 24 pixels has not, and no further.
    assert every[:, 1].max() <= 16
    assert 24 < every[:, 2].max() <= 32
    for number, row, column in every[::17]:
        cut = table.cut(np.array([[number, row, column]]))[0, ..., 0]
        np.testing.assert_array_equal(cut, kappa[number, row : row + 8, column : column + 8])
    assert np.isfinite(table.cut(every)).all()
    assert table.of_size(16).cut(every[:3])[0].shape == (16, 16, 1)
    with pytest.raises(ValueError, match="num_pixels=25 must be at most 24"):
        table.of_size(25)
    # Prepared again from the store: the same maps and crops.
    (tmp_path / "run").rename(tmp_path / "first")
    again, _ = run(run_main, tmp_path, f"--maps={tmp_path}/first/prepare/maps", "--invalid_pixels=avoid")
    assert again.store.manifest.sha256 == table.store.manifest.sha256
    shutil.rmtree(tmp_path / "run")
    for flags, words in (
        (["--crop_size=25"], "crop_size=25 is larger than the maps of 24x40 pixels"),
        (["--crops_per_map=562"], "crops_per_map=562 is more than the 561 positions of a crop of 8 pixels"),
        (["--downsample=16"], "downsample=16 must divide the 24 pixels"),
    ):
        said, _ = run(run_main, tmp_path, f"--maps={tmp_path}/k.npy", "--invalid_pixels=avoid", *flags, code=1)
        assert words in said


def test_statistics_refuse_maps_that_are_not_square(run_main, tmp_path):
    np.save(tmp_path / "a.npy", maps(8, 16, 32))
    np.save(tmp_path / "b.npy", maps(8, 16, 32, seed=1))
    code, _, error = run_main(
        f"--workdir={tmp_path}/judge", f"--generated={tmp_path}/a.npy", f"--reference={tmp_path}/b.npy",
        "--side_deg=1", "--stages=evaluate",
    )  # fmt: skip
    assert code == 1
    assert f"{tmp_path}/a.npy holds maps of 16x32 pixels; statistics are of square maps" in error


def test_the_nearest_window_of_a_map_that_is_not_square():
    """Found where it was cut, also where a side of the map is as long as the window."""
    for shape in ((8, 20), (20, 8), (13, 20)):
        (kappa,) = maps(1, *shape, seed=3)
        place = (shape[0] - 8, shape[1] - 9 if shape[1] > 8 else 0)
        cut = window(kappa, *place, 8)
        found = nearest_window(cut[None].transpose(0, 2, 1), [maps(1, *shape)[0], kappa], symmetries=True)
        assert (int(found.map[0]), int(found.row[0]), int(found.column[0])) == (1, *place)
        assert found.distance[0] == 0.0
    jax.clear_caches()


def test_names_with_commas_in_flags(run_main, tmp_path):
    folder = tmp_path / "Om0.3,s80.8"
    folder.mkdir()
    for n in range(6):
        np.save(folder / f"k,{n}.npy", maps(1, seed=n)[0])
    flags = [f"--maps={folder}/k,0.npy,{folder}/k,[1-5].npy"]
    table, _ = run(run_main, tmp_path, *flags)
    assert table.store.num_maps == 6
    # The same flags again, and those of the flag file: the same files, and nothing is done.
    for again in (flags, [f"--flagfile={tmp_path}/run/flags.txt"]):
        code, _, error = run_main(f"--workdir={tmp_path}/run", *CROPS, "--side_deg=2", *again)
        assert (code, error.count("skipped")) == (0, 1), error
    np.save(folder / "k,3.npy", maps(1, seed=99)[0])
    said, _ = run(run_main, tmp_path, *flags, code=1)
    assert f"maps={folder}/k,3.npy has changed since" in said


def test_raw_files_of_a_glob(run_main, tmp_path):
    kappa = maps(6)
    for n, one in enumerate(kappa):
        one.tofile(tmp_path / f"kappa_{n}.bin")
    table, _ = run(run_main, tmp_path, f"--maps={tmp_path}/*.bin", "--raw_shape=24,24")
    np.testing.assert_array_equal(table.store.read()[..., 0], kappa)
    code, _, error = run_main(
        f"--workdir={tmp_path}/run", *CROPS, "--side_deg=2", f"--maps={tmp_path}/*.bin", "--raw_shape=24,24"
    )
    assert (code, error.count("skipped")) == (0, 1), error


def test_zarr_through_prepare_and_what_changes_in_it(run_main, tmp_path):
    kappa = maps(6)
    group = zarr.open_group(tmp_path / "k.zarr", mode="w")
    group["kappa"] = kappa
    flags = [f"--maps={tmp_path}/k.zarr"]
    table, _ = run(run_main, tmp_path, *flags)
    np.testing.assert_array_equal(table.store.read()[..., 0], kappa)
    (record,) = table.store.manifest.origin["files"]
    assert (record["format"], record["maps"]) == ("zarr:kappa", 6)
    code, _, error = run_main(f"--workdir={tmp_path}/run", *CROPS, "--side_deg=2", *flags)
    assert (code, error.count("skipped")) == (0, 1), error
    group["kappa"][3] = kappa[3] + 1
    said, _ = run(run_main, tmp_path, *flags, code=1)
    assert f"maps={tmp_path}/k.zarr has changed since" in said


@pytest.mark.slow
def test_npz_sets_are_judged(run_main, tmp_path):
    for n, name in enumerate(("generated", "reference")):
        np.savez_compressed(tmp_path / f"{name}.npz", kappa=maps(8, 16, 16, seed=n), theta=np.zeros((8, 2)))
    code, _, error = run_main(
        f"--workdir={tmp_path}/judge", f"--generated={tmp_path}/generated.npz", "--hdf5_dataset=kappa",
        f"--reference={tmp_path}/reference.npz", "--side_deg=1", "--stages=evaluate", "--num_permutations=0",
        "--observer_smoothing_arcmin=", "--classifier_steps=0", "--num_resamples=50",
    )  # fmt: skip
    assert code == 0, error
    tables = json.loads((tmp_path / "judge/evaluate/statistics.json").read_text())
    assert (tables["num_generated"], tables["num_pixels"]) == (8, 16)
