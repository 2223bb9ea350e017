"""What patterns mean: each file once, in order, nothing that is no map; and options that fit no file."""

import numpy as np
import pytest

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.formats import ReadOptions, check_options, find_map_files, open_map_file
from cosmogan_jax.maps.store_writing import write_map_store


def save(path, shape=(2, 4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:  # np.save would add its ending
        np.save(file, np.random.default_rng(0).normal(size=shape).astype(np.float32))
    return path


def store(path):
    kappa = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)
    write_map_store(path, [kappa], 2, MapGeometry(4, 1.0), {})
    return path


def names(*patterns):
    return [path.name for path in find_map_files([str(pattern) for pattern in patterns])]


def test_one_file_by_many_spellings_is_one(tmp_path, monkeypatch):
    path = save(tmp_path / "sims/a.npy")
    (tmp_path / "link.npy").symlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path / "sims")
    monkeypatch.chdir(tmp_path)
    spellings = ["sims/a.npy", str(path), "./sims/../sims/a.npy", "link.npy", "folder", "sims/*", "**/a.npy"]
    assert len(find_map_files(spellings)) == 1
    # The first spelling is the name it goes by.
    assert [str(p) for p in find_map_files(spellings)] == ["sims/a.npy"]


def test_empty_items_are_skipped_unless_there_is_nothing_else(tmp_path):
    path = save(tmp_path / "a.npy")
    assert names(path, "", " ") == ["a.npy"]
    assert find_map_files([]) == []
    with pytest.raises(ValueError, match=r"^auxiliary_maps=, names no file$"):
        find_map_files(["", ""], "auxiliary_maps")
    with pytest.raises(ValueError, match=r"^auxiliary_maps=nowhere: no such file"):
        find_map_files(["nowhere"], "auxiliary_maps")


def test_endings_of_any_case_and_no_hidden_files(tmp_path):
    for name in ("a.FITS", "b.NPY", "c.Fit.GZ", "d.F32", "._a.FITS", ".b.npy", "README.md", "e.npy.partial"):
        save(tmp_path / name)
    assert names(tmp_path) == ["a.FITS", "b.NPY", "c.Fit.GZ", "d.F32"]
    assert names(tmp_path / "*") == ["a.FITS", "b.NPY", "c.Fit.GZ", "d.F32"]


def test_globs_leave_out_what_is_no_map_and_say_so_when_nothing_is_left(tmp_path):
    for name in ("README.md", "Maps00/map_10.npy", "Maps00/map_2.npy", "Maps00/log.txt", "Maps05/map_1.npy"):
        save(tmp_path / name)
    store(tmp_path / "Maps05/store")
    assert names(tmp_path / "**") == ["map_2.npy", "map_10.npy", "map_1.npy", "store"]
    assert names(tmp_path / "*/*") == ["map_2.npy", "map_10.npy", "map_1.npy", "store"]
    with pytest.raises(
        ValueError, match=r"of 1 files and folders that fit, none .* is read whatever its ending"
    ):
        find_map_files([f"{tmp_path}/*.md"])
    with pytest.raises(ValueError, match=r"of 2 files .*; to look into folders, write .*/Maps0\*/\*$"):
        find_map_files([f"{tmp_path}/Maps0*"])
    with pytest.raises(ValueError, match=r"the folder holds no file that ends in .*Maps00 does, name it or"):
        find_map_files([str(tmp_path)])
    assert names(tmp_path / "README.md") == ["README.md"]  # named itself; its content decides


def test_a_name_with_brackets_that_exists_is_that_file(tmp_path):
    save(tmp_path / "map[12].npy")
    save(tmp_path / "map1.npy")
    assert names(tmp_path / "map[12].npy") == ["map[12].npy"]
    assert names(tmp_path / "map[1].npy") == ["map1.npy"]
    save(tmp_path / "run[1]/k.npy")
    assert names(tmp_path / "run[1]") == ["k.npy"]


def test_folders_of_a_run_name_the_store_to_give(tmp_path):
    run = tmp_path / "run"
    generated = store(run / "generate/maps")
    (run / "generate/stage.json").write_text("{}")
    with pytest.raises(
        ValueError, match=rf"maps={run} is a folder that a run .*; give its map store, {generated}"
    ):
        find_map_files([str(run)])
    with pytest.raises(ValueError, match=rf"give its map store, {generated}$"):
        find_map_files([str(run / "generate")])
    simulated = store(run / "simulate/maps")
    with pytest.raises(ValueError, match=rf"give its map store, {simulated} or {generated}$"):
        find_map_files([str(run)])
    # A table of crops of simulated maps: its npy files hold no maps.
    save(run / "prepare/crops_train.npy", (9, 3))
    (run / "prepare/stage.json").write_text("{}")
    with pytest.raises(ValueError, match=r"give its map store, .*simulate/maps$"):
        find_map_files([str(run / "prepare")])
    assert names(generated) == ["maps"]
    # Exported maps are files like any other, and a user's own folder may hold a store beside files.
    save(run / "export/kappa.npy")
    (run / "export/stage.json").write_text("{}")
    assert names(run / "export") == ["kappa.npy"]
    store(tmp_path / "mine/maps")
    save(tmp_path / "mine/k.npy")
    assert names(tmp_path / "mine") == ["k.npy"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ReadOptions(hdf5_dataset="a"),
            "hdf5_dataset=a is for HDF5 files, zarr groups and npz archives, and none is given: ",
        ),
        (ReadOptions(raw_shape=(4, 4)), "raw_shape=4,4 is for raw files, and none is given: "),
        (ReadOptions(fits_extension="1"), "fits_extension=1 is for FITS files, and none is given: "),
        (ReadOptions(channel=0), "channel=0 is for arrays with a channel axis, and none is given: "),
    ],
)
def test_options_that_no_file_takes(tmp_path, options, words):
    path = save(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="is for") as caught:
        check_options([open_map_file(path, options), open_map_file(path, options)], options)
    assert str(caught.value) == f"{words}{path} (npy)"
    check_options([open_map_file(path)], ReadOptions())
    check_options([], options)


def test_an_option_that_one_file_takes_is_enough(tmp_path):
    plain, other = save(tmp_path / "a.npy"), save(tmp_path / "b.npy", (2, 4, 4, 3))
    (tmp_path / "c.f32").write_bytes(b"\0" * 64)
    options = ReadOptions(channel=2, raw_shape=(4, 4))
    check_options([open_map_file(path, options) for path in (plain, other, tmp_path / "c.f32")], options)
    for shape in ((2, 1, 4, 4), (4, 4, 1), (2, 4, 4, 1)):
        single = open_map_file(save(tmp_path / "d.npy", shape), ReadOptions(channel=0))
        check_options([single], ReadOptions(channel=0))


@pytest.mark.parametrize("shape", [(5, 5, 3), (3, 5, 5, 2), (3, 2, 5, 5)])
def test_channels(tmp_path, shape):
    kappa = np.load(save(tmp_path / "a.npy", shape))
    with pytest.raises(ValueError, match="channels; choose one with --channel"):
        open_map_file(tmp_path / "a.npy")
    found = open_map_file(tmp_path / "a.npy", ReadOptions(channel=1))
    expected = {3: kappa[None, :, :, 1] if kappa.ndim == 3 else None}.get(kappa.ndim)
    if kappa.ndim == 4:
        expected = kappa[..., 1] if shape[-1] == 2 else kappa[:, 1]
    np.testing.assert_array_equal(found.read(0, found.num_maps), expected)
