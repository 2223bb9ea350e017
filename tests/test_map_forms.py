"""Forms of map files beside npy, FITS and HDF5 of one dataset: the smallest file of each kind."""

import sys

import h5py
import numpy as np
import pytest
import zarr
from astropy.io import fits

from cosmogan_jax.files.zarr_folders import is_zarr
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.formats import ReadOptions, find_map_files, open_map_file
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.maps.store_writing import write_map_store


def maps(count=3, rows=6, columns=6, seed=0, dtype="<f4"):
    return np.random.default_rng(seed).normal(size=(count, rows, columns)).astype(dtype)


def read_all(found):
    """Map by map, as an import of large maps does, and all together again."""
    one_by_one = np.concatenate([found.read(n, n + 1) for n in range(found.num_maps)])
    np.testing.assert_array_equal(found.read(0, found.num_maps), one_by_one)
    return one_by_one


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
def test_npz_of_one_array_or_a_named_one(tmp_path, save, dtype):
    kappa, other = maps(dtype=dtype), maps(seed=1, dtype=dtype)
    save(tmp_path / "one.npz", kappa=kappa, ell=np.arange(5.0), omega_m=0.3)
    found = open_map_file(tmp_path / "one.npz")
    assert (found.format, found.num_maps, found.dtype) == ("npz:kappa", 3, np.dtype(dtype).str)
    np.testing.assert_array_equal(read_all(found), kappa.astype(np.float32))
    save(tmp_path / "two.npz", kappa=kappa, gamma=np.asfortranarray(other))
    with pytest.raises(ValueError, match=r"choose its dataset with --hdf5_dataset; .*kappa \(3, 6, 6\)"):
        open_map_file(tmp_path / "two.npz")
    for name, expected in (("kappa", kappa), ("gamma", other)):
        found = open_map_file(tmp_path / "two.npz", ReadOptions(hdf5_dataset=name))
        np.testing.assert_array_equal(read_all(found), expected.astype(np.float32))
    with pytest.raises(ValueError, match=r"two\.npz has no dataset hdf5_dataset=shear; .*kappa \(3, 6, 6\)"):
        open_map_file(tmp_path / "two.npz", ReadOptions(hdf5_dataset="shear"))
    assert [path.name for path in find_map_files([str(tmp_path)])] == ["one.npz", "two.npz"]


def test_several_arrays_of_one_file_are_one_set(tmp_path):
    kappa = maps(12).reshape(12, 1, 6, 6)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for n in range(12):
            file[f"sims/kappa_{n}"] = kappa[n, 0]
            file[f"sims/kappa_{n}"].attrs.update(z_s=1.0, side_deg=3.5, omega_m=0.25 + 0.01 * (n > 9))
        file["sims/mask"] = np.ones((6, 6), np.int8)
    np.savez(tmp_path / "a.npz", **{f"kappa_{n}": kappa[n, 0] for n in range(12)})
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    for n in range(12):
        group[f"kappa_{n}"] = kappa[n, 0]
    hint = r"\(--hdf5_dataset='(sims/)?kappa_\*' takes all as maps\)"
    for name, pattern in (("a.h5", "sims/kappa_*"), ("a.npz", "kappa_*"), ("a.zarr", "kappa_*")):
        with pytest.raises(ValueError, match=hint):
            open_map_file(tmp_path / name)
        found = open_map_file(tmp_path / name, ReadOptions(hdf5_dataset=pattern))
        # kappa_2 before kappa_10: their numbers, not their letters.
        np.testing.assert_array_equal(read_all(found), kappa[:, 0])
        np.testing.assert_array_equal(found.read(3, 7), kappa[3:7, 0])
        assert found.name(10) == f"{tmp_path / name}:{pattern[:-1]}10"
    found = open_map_file(tmp_path / "a.h5", ReadOptions(hdf5_dataset="sims/kappa_*"))
    assert (found.side_deg, found.source_redshift, found.facts) == (3.5, 1.0, {})
    assert found.parameters == {"omega_m": (0.25,) * 10 + (0.26,) * 2}
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["sims/kappa_3"].attrs["z_s"] = 0.5
        file["sims/kappa_x"] = np.zeros((8, 8), np.float32)
        file["sims/kappa_x"].attrs["side_deg"] = 3.5
    found = open_map_file(tmp_path / "a.h5", ReadOptions(hdf5_dataset="sims/kappa_[0-9]*"))
    assert found.source_redshift is None
    assert found.parameters["source_redshift"] == (1.0,) * 3 + (0.5,) + (1.0,) * 8
    with pytest.raises(ValueError, match=r"takes maps of 6x6 pixels, 3\.5 degrees .* and of 8x8 pixels"):
        open_map_file(tmp_path / "a.h5", ReadOptions(hdf5_dataset="sims/kappa_*"))


def test_raw_files_of_any_ending(tmp_path):
    kappa = maps()
    options = ReadOptions(raw_shape=(6, 6))
    (tmp_path / "sims").mkdir()
    for name in ("a.bin", "b.bin", "c"):
        kappa.tofile(tmp_path / "sims" / name)
        np.testing.assert_array_equal(read_all(open_map_file(tmp_path / "sims" / name, options)), kappa)
    # A number that begins as gzip does.
    content = b"\x1f\x8b\x08\x00" + kappa.tobytes()[4:]
    (tmp_path / "d.bin").write_bytes(content)
    assert open_map_file(tmp_path / "d.bin", options).read(0, 3).tobytes() == content
    glob = f"{tmp_path}/sims/*.bin"
    assert [path.name for path in find_map_files([glob], any_ending=True)] == ["a.bin", "b.bin"]
    with pytest.raises(ValueError, match="a file that is named without"):
        find_map_files([glob])
    with pytest.raises(ValueError, match=r"a\.bin is none of npy, .*; raw float32 goes with --raw_shape"):
        open_map_file(tmp_path / "sims/a.bin")
    # What is told by its content or claims to be something else is no raw array.
    np.save(tmp_path / "e.npy", kappa)
    (tmp_path / "e.npy").rename(tmp_path / "e.dat")
    assert open_map_file(tmp_path / "e.dat", options).format == "npy"
    kappa.tofile(tmp_path / "f.fits")
    with pytest.raises(ValueError, match=r"f\.fits is none of"):
        open_map_file(tmp_path / "f.fits", options)
    kappa.astype("<f8").tofile(tmp_path / "g.bin")
    with pytest.raises(ValueError, match=r"needs 432; it would be float64, which is not read so: store npy"):
        open_map_file(tmp_path / "g.bin", ReadOptions(raw_shape=(3, 6, 6)))


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_as_zarr_python_writes_it(tmp_path, version):
    kappa = maps(5, 12, 12, dtype="<f8")
    group = zarr.open_group(tmp_path / "sims.zarr", mode="w", zarr_format=version)
    group.attrs.update(source_redshift=1.0, omega_m=0.3)
    array = group.create_array("deep/kappa", shape=kappa.shape, dtype="f8", chunks=(2, 5, 5))
    array[...] = kappa
    array.attrs["ANGLE"] = 3.5
    group.create_array("ell", shape=(4,), dtype="f8")
    for path in (tmp_path / "sims.zarr", tmp_path / "sims.zarr/deep/kappa"):
        assert is_zarr(path)
        found = open_map_file(path)
        assert (found.num_maps, found.num_pixels, found.side_deg) == (5, 12, 3.5)
        np.testing.assert_array_equal(read_all(found), kappa.astype(np.float32))
    found = open_map_file(tmp_path / "sims.zarr")
    assert (found.format, found.source_redshift) == ("zarr:deep/kappa", 1.0)
    assert found.facts == {"cosmology": {"omega_m": 0.3}}
    # One thing to folders and globs, whatever is in it.
    for pattern in (tmp_path, tmp_path / "*", tmp_path / "**"):
        assert [path.name for path in find_map_files([str(pattern)])] == ["sims.zarr"]
    chunk = next(p for p in (tmp_path / "sims.zarr/deep/kappa").rglob("*") if p.is_file() and p.name[0] != "."
                 and p.name != "zarr.json")  # fmt: skip
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"sims\.zarr/deep/kappa cannot be read: ") as caught:
        read_all(open_map_file(tmp_path / "sims.zarr"))
    assert "\n" not in str(caught.value)


def test_zarr_of_xarray_with_packed_pixels(tmp_path):
    xarray = pytest.importorskip("xarray")
    kappa = maps()
    kappa[1, 2, 3] = np.nan
    packed = {"kappa": {"dtype": "int16", "scale_factor": 1e-3, "_FillValue": -32768}}
    data = xarray.Dataset({"kappa": (("map", "y", "x"), kappa)}, attrs={"side_deg": 2.0})
    for version in (2, 3):
        data.to_zarr(tmp_path / "a.zarr", mode="w", zarr_format=version, consolidated=False, encoding=packed)
        found = open_map_file(tmp_path / "a.zarr")
        np.testing.assert_allclose(read_all(found), kappa, atol=0.6e-3)  # half of a step
        assert np.isnan(found.read(1, 2)).sum() == 1
        data.to_zarr(tmp_path / "b.zarr", mode="w", zarr_format=version, consolidated=False)
        np.testing.assert_array_equal(read_all(open_map_file(tmp_path / "b.zarr")), kappa)


def test_a_group_with_an_array_called_kappa_is_not_taken_for_a_store_that_was_cut_off(tmp_path):
    group = zarr.open_group(tmp_path / "theirs", mode="w")
    group["kappa"] = maps()
    np.testing.assert_array_equal(read_all(open_map_file(tmp_path / "theirs")), maps())
    ours = tmp_path / "ours"
    write_map_store(ours, [maps()], 3, MapGeometry(6, 1.0), {})
    assert open_map_file(ours).format == "map store"
    (ours / "manifest.json").unlink()
    with pytest.raises(ValueError, match="holds no whole map store"):
        open_map_file(ours)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [10**9, 6, 6]}, "is not written: "),
        ({"shape": "wide"}, "shape=wide is none of an array"),
        ({"codecs": [{"name": "magic"}]}, "the array cannot be opened"),
        ({"data_type": "complex64"}, r"choose its dataset with --hdf5_dataset; arrays of 2 to 4 axes: none"),
    ],
)
def test_damaged_zarr_is_one_line(tmp_path, change, words):
    import json

    zarr.open_group(tmp_path / "a.zarr", mode="w")["kappa"] = maps()
    place = tmp_path / "a.zarr/kappa/zarr.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | change))
    with pytest.raises(ValueError, match=words) as caught:
        open_map_file(tmp_path / "a.zarr").read(0, 1)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(3, 6, 10), (6, 10), (3, 1, 6, 10), (3, 6, 10, 1), (1, 1, 6, 10)])
def test_maps_that_are_not_square(tmp_path, shape):
    kappa = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.save(tmp_path / "a.npy", kappa)
    found = open_map_file(tmp_path / "a.npy")
    assert (found.num_pixels, found.columns) == (6, 10)
    np.testing.assert_array_equal(read_all(found), kappa.reshape(-1, 6, 10))
    np.testing.assert_allclose(
        found.read(0, 1, 2)[0], kappa.reshape(-1, 3, 2, 5, 2)[0].mean((1, 3)), rtol=1e-5, atol=1e-7
    )


def test_a_chosen_channel_tells_which_axis_it_is(tmp_path):
    kappa = np.random.default_rng(0).normal(size=(20, 30, 5)).astype(np.float32)
    np.save(tmp_path / "a.npy", kappa)
    found = open_map_file(tmp_path / "a.npy", ReadOptions(channel=4))
    assert (found.num_maps, found.num_pixels, found.columns) == (1, 20, 30)
    np.testing.assert_array_equal(found.read(0, 1)[0], kappa[..., 4])


def test_angle_of_a_fits_image_that_is_not_square(tmp_path):
    wcs = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.5, "CDELT2": 0.5}
    fits.PrimaryHDU(np.ones((4, 10), np.float32), fits.Header(wcs)).writeto(tmp_path / "a.fits")
    found = open_map_file(tmp_path / "a.fits")
    assert (found.num_pixels, found.columns) == (4, 10)
    assert found.side_deg == pytest.approx(2.0, rel=1e-12)  # of a column, 4 pixels of half a degree
    fits.PrimaryHDU(np.ones((4, 10), np.float32), fits.Header(wcs | {"CDELT2": 0.4})).writeto(
        tmp_path / "b.fits"
    )
    with pytest.raises(ValueError, match=r"5 by 1\.6 degrees; not square pixels"):
        open_map_file(tmp_path / "b.fits")


def test_names_with_commas(tmp_path):
    folder = tmp_path / "Om0.3,s80.8"
    folder.mkdir()
    for name in ("a.npy", "b,1.npy", "b,2.npy", "c, d.npy", "e[0].npy"):
        np.save(folder / name, maps())

    def found(argument):  # as absl cuts a list
        parts = [part.strip() for part in argument.split(",")]
        return [path.name for path in find_map_files(parts)]

    assert found(f"{folder}/a.npy") == ["a.npy"]
    assert found(f"{folder}/b,1.npy,{folder}/a.npy,{folder}/c, d.npy") == ["b,1.npy", "a.npy", "c, d.npy"]
    assert found(f"{folder}/*,[12].npy") == ["b,1.npy", "b,2.npy"]
    assert len(found(f"{folder},")) == 5
    with pytest.raises(ValueError, match=r"^maps=.*Om0\.3: no such file, folder or glob"):
        found(f"{folder}/a.npy,{folder}/none.npy")
    # Two names that exist are two names, though they would be one as well.
    (tmp_path / "x").mkdir()
    np.save(tmp_path / "x/a.npy", maps())
    np.save(tmp_path / "x/a.npy,b.npy", maps())
    assert found(f"{tmp_path}/x/a.npy,b.npy") == ["a.npy,b.npy"]
    assert find_map_files([str(tmp_path / "gone.npy"), str(folder / "b"), "1.npy"], missing_ok=True) == [
        folder / "b,1.npy"
    ]


def test_a_store_of_maps_that_are_not_square_is_read(tmp_path):
    kappa = maps(3, 6, 10)
    write_map_store(tmp_path / "maps", [kappa], 3, MapGeometry(6, 1.0), {}, num_columns=10)
    found = open_map_file(tmp_path / "maps")
    assert (found.num_pixels, found.columns, found.side_deg) == (6, 10, 1.0)
    np.testing.assert_array_equal(read_all(found), kappa)
    store = open_map_store(tmp_path / "maps")
    assert store.crop_geometry(3) == MapGeometry(3, 0.5)
    with pytest.raises(ValueError, match=r"num_pixels=7 must be at most 6"):
        store.crop_geometry(7)


def test_npz_and_zarr_hold_no_file_open(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", maps())
    found = open_map_file(tmp_path / "a.npz")
    if sys.platform == "linux":
        from pathlib import Path

        before = len(list(Path("/proc/self/fd").iterdir()))
        found.read(0, 2)
        found.read(2, 3)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
