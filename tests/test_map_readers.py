"""Readers: any shape, type and byte order comes back bit for bit; what is broken is named in one line."""

import gzip
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from cosmogan_jax.maps.formats import ReadOptions, as_kappa, find_map_files, gzip_cubes, open_map_file

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "real"
SEEDS = st.integers(0, 2**32 - 1)
FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]


def values(seed, shape, dtype):
    """Any finite pixels, negative zeros and subnormals among them."""
    rng = np.random.default_rng(seed)
    kappa = (rng.normal(size=shape) * 10.0 ** rng.integers(-9, 2)).astype(dtype)
    kappa.flat[0] = -0.0
    if np.dtype(dtype).itemsize > 2:
        kappa.flat[1] = 1e-42
    return kappa


def same_bits(found, expected):
    expected = np.asarray(expected, np.float32)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()


def read_all(file):
    """In two parts, as importing does."""
    half = file.num_maps // 2
    return np.concatenate([file.read(0, half), file.read(half, file.num_maps)])


@given(
    seed=SEEDS, maps=st.integers(1, 4), size=st.integers(2, 9), dtype=st.sampled_from(FLOATS),
    layout=st.sampled_from(["maps", "one", "last", "first", "one_last", "fortran"]),
)  # fmt: skip
def test_npy_of_any_shape_type_and_order(tmp_path_factory, seed, maps, size, dtype, layout):
    kappa = values(seed, (maps, size, size), dtype)
    if layout in ("last", "first") and maps == size:
        maps = size = size + 1
        kappa = values(seed, (maps, size, size), dtype)
    expected = kappa[:1] if layout.startswith("one") else kappa
    stored = {
        "maps": kappa, "one": kappa[0], "one_last": kappa[0][..., None], "fortran": np.asfortranarray(kappa),
        "last": kappa[..., None], "first": kappa[:, None],
    }[layout]  # fmt: skip
    path = tmp_path_factory.mktemp("npy") / "kappa.npy"
    np.save(path, stored)
    found = open_map_file(path)
    assert (found.format, found.num_maps, found.num_pixels) == ("npy", len(expected), size)
    assert np.dtype(found.dtype) == np.dtype(dtype)
    same_bits(read_all(found), expected)


@given(
    seed=SEEDS, maps=st.integers(1, 3), size=st.integers(2, 9),
    dtype=st.sampled_from([">f4", "<f4", ">f8", "<f8"]), ending=st.sampled_from([".fits", ".fit", ".fits.gz"]),
    cube=st.booleans(), extension=st.booleans(),
)  # fmt: skip
def test_fits_of_any_shape_type_and_ending(tmp_path_factory, seed, maps, size, dtype, ending, cube, extension):
    kappa = values(seed, (maps, size, size), dtype)
    image = kappa if cube else kappa[0]
    header = fits.Header({"ANGLE": 3.5, "ZSOURCE": 1.5})
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(image, header)] if extension else [fits.PrimaryHDU(image, header)]
    path = tmp_path_factory.mktemp("fits") / f"kappa{ending}"
    fits.HDUList(hdus).writeto(path)
    found = open_map_file(path)
    assert (found.num_maps, found.num_pixels) == (maps if cube else 1, size)
    assert (found.side_deg, found.source_redshift) == (3.5, 1.5)
    same_bits(read_all(found), kappa if cube else kappa[:1])


@given(
    seed=SEEDS, maps=st.integers(1, 4), size=st.integers(2, 9), dtype=st.sampled_from(FLOATS),
    single=st.booleans(),
)  # fmt: skip
def test_hdf5_of_any_shape_type_and_order(tmp_path_factory, seed, maps, size, dtype, single):
    kappa = values(seed, (maps, size, size), dtype)
    path = tmp_path_factory.mktemp("hdf5") / "maps.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("sims/kappa", data=kappa[0] if single else kappa)
        file.create_dataset("sims/parameters", data=np.zeros(5))
        file["sims/kappa"].attrs["ANGLE"] = 3.5
        file.attrs["source_redshift"] = np.array([0.7])
    found = open_map_file(path)
    assert found.format == "HDF5:sims/kappa"
    assert (found.side_deg, found.source_redshift) == (3.5, 0.7)
    same_bits(read_all(found), kappa[:1] if single else kappa)


@given(seed=SEEDS, maps=st.integers(1, 4), size=st.integers(2, 9), counted=st.booleans())
def test_raw_float32(tmp_path_factory, seed, maps, size, counted):
    kappa = values(seed, (maps, size, size), "<f4")
    path = tmp_path_factory.mktemp("raw") / "kappa.f32"
    path.write_bytes(kappa.tobytes())
    shape = (maps, size, size) if counted else (size, size)
    found = open_map_file(path, ReadOptions(raw_shape=shape))
    assert found.num_maps == maps
    same_bits(read_all(found), kappa)


@given(seed=SEEDS, factor=st.sampled_from([2, 3]), dtype=st.sampled_from(["f4", "f8"]))
def test_downsampling_is_the_mean_rounded_once(seed, factor, dtype):
    kappa = values(seed, (2, 6, 6), dtype)
    small = 6 // factor
    exact = kappa.astype(np.longdouble).reshape(2, small, factor, small, factor).mean((2, 4))
    # Sums of at most nine float64 numbers: an ulp of float32 only where the exact mean lies at a tie.
    np.testing.assert_allclose(as_kappa(kappa, factor), exact.astype(np.float32), rtol=2**-23, atol=1e-45)


def test_float64_is_rounded_and_fill_values_are_invalid():
    kappa = np.array([[[1 / 3, np.nan], [-np.inf, -1.6375e30]]])
    found = as_kappa(kappa)
    assert found[0, 0, 0] == np.float32(1 / 3)
    assert np.isnan(found).sum() == 3
    big = np.array([[[1e29, 1.0], [1e31, 9.96921e36]]], np.float32)
    np.testing.assert_array_equal(np.isnan(as_kappa(big)), [[[False, False], [True, True]]])
    # A block that holds one invalid pixel is invalid.
    assert np.isnan(as_kappa(kappa, 2)).all()


def test_hdf5_fill_values_are_invalid(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kappa"] = np.array([[0.1, -99.0], [0.2, 0.3]], np.float32)
        file["kappa"].attrs["_FillValue"] = np.float32(-99.0)
    np.testing.assert_array_equal(
        open_map_file(tmp_path / "a.h5").read(0, 1), np.array([[[0.1, np.nan], [0.2, 0.3]]], np.float32)
    )


def test_columbia_names_tell_the_redshift_and_wcs_the_angle(tmp_path):
    image = np.ones((4, 4), np.float32)
    path = tmp_path / "WLconv_z1.50_0001r.fits"
    header = fits.Header({"ANGLE": 3.5})
    fits.PrimaryHDU(image, header).writeto(path)
    assert open_map_file(path).source_redshift == 1.5
    for name in (
        "convergence_z99.fits", "size2.5.fits", "phz0.5.fits", "kappa_z0.3_0.6.fits", "kappa_z0.3-z0.6.fits",
        "kappa_z0.30to0.60.fits", "kappa_z0.3_to_0.6.fits", "kappa_z0.3..0.6.fits", "lens_z0.5_zs1.0.fits",
    ):  # fmt: skip
        path.rename(tmp_path / name)
        path = tmp_path / name
        assert open_map_file(path).source_redshift is None
    wcs = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 2.5, "CRPIX2": 2.5, "CRVAL1": 0, "CRVAL2": 0}
    for name, own, side in (
        ("cdelt", {"CDELT1": -0.5, "CDELT2": 0.5}, 2.0),
        ("cd", {"CD1_1": 0.0, "CD1_2": 0.25, "CD2_1": -0.25, "CD2_2": 0.0}, 1.0),
        ("arcmin", {"CDELT1": 30.0, "CDELT2": 30.0, "CUNIT1": "arcmin", "CUNIT2": "arcmin"}, 2.0),
    ):
        fits.PrimaryHDU(image, fits.Header(wcs | own)).writeto(tmp_path / f"{name}.fits")
        assert open_map_file(tmp_path / f"{name}.fits").side_deg == pytest.approx(side, rel=1e-12)
    fits.PrimaryHDU(image, fits.Header(wcs | {"ANGLE": 3.0, "CDELT1": 0.5, "CDELT2": 0.5})).writeto(
        tmp_path / "two.fits"
    )
    with pytest.raises(ValueError, match=r"ANGLE=3 degrees, but its WCS makes the map 2 degrees"):
        open_map_file(tmp_path / "two.fits")
    fits.PrimaryHDU(image, fits.Header(wcs | {"CDELT1": 0.5, "CDELT2": 0.4})).writeto(tmp_path / "flat.fits")
    with pytest.raises(ValueError, match=r"2 by 1\.6 degrees; not square"):
        open_map_file(tmp_path / "flat.fits")


def test_scaled_integers_and_blanks(tmp_path):
    hdu = fits.PrimaryHDU(np.array([[1, 2], [3, -32768]], np.int16))
    hdu.header["BLANK"] = -32768
    hdu.header["BSCALE"], hdu.header["BZERO"] = 0.5, 1.0
    hdu.writeto(tmp_path / "a.fits")
    found = open_map_file(tmp_path / "a.fits")
    assert found.dtype == ">i2"
    np.testing.assert_array_equal(found.read(0, 1), [[[1.5, 2.0], [2.5, np.nan]]])


def test_folders_and_globs_in_natural_order(tmp_path):
    for n in (10, 2, 1):
        np.save(tmp_path / f"map_{n}.npy", np.zeros((2, 2), np.float32))
    (tmp_path / "README.txt").write_text("about")
    names = [p.name for p in find_map_files([str(tmp_path)])]
    assert names == ["map_1.npy", "map_2.npy", "map_10.npy"]
    assert [p.name for p in find_map_files([f"{tmp_path}/map_1*.npy", f"{tmp_path}/map_10.npy"])] == [
        "map_1.npy",
        "map_10.npy",
    ]
    (tmp_path / "deep/er").mkdir(parents=True)
    np.save(tmp_path / "deep/er/x.npy", np.zeros((2, 2)))
    assert [p.name for p in find_map_files([f"{tmp_path}/**/x.npy"])] == ["x.npy"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="the folder holds no file that ends in"):
        find_map_files([str(tmp_path / "empty")])
    with pytest.raises(ValueError, match="no such file, folder or glob"):
        find_map_files([str(tmp_path / "*.fits")])


def write_cases(folder):
    """Broken or unfit files by the words of the error each must give."""
    good = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    np.save(folder / "good.npy", good)
    whole = (folder / "good.npy").read_bytes()
    fits.PrimaryHDU(good).writeto(folder / "good.fits")
    image = (folder / "good.fits").read_bytes()
    with h5py.File(folder / "good.h5", "w") as file:
        file["a"], file["b"] = good, good
    hdf5 = (folder / "good.h5").read_bytes()
    objects = np.array([{"a": 1}], dtype=object)
    np.save(folder / "objects.npy", objects, allow_pickle=True)
    np.save(folder / "integers.npy", np.zeros((4, 4), np.int64))
    np.save(folder / "complex.npy", np.zeros((4, 4), np.complex64))
    np.save(folder / "flat.npy", np.zeros((4, 100)))
    np.save(folder / "bins.npy", np.zeros((20, 30, 5)))
    np.save(folder / "colours.npy", np.zeros((3, 4, 4, 5)))
    np.save(folder / "cube.npy", np.zeros((4, 4, 4, 4)))
    np.save(folder / "five.npy", np.zeros((1, 1, 1, 2, 2)))
    np.save(folder / "none.npy", np.zeros((0, 4, 4)))
    np.savez(folder / "arrays.npz", good, good)
    np.savez(folder / "objects.npz", objects)
    np.savez(folder / "whole.npz", kappa=good)
    archive = (folder / "whole.npz").read_bytes()
    fits.PrimaryHDU().writeto(folder / "no_image.fits")
    fits.PrimaryHDU(np.zeros((4, 4), np.int16)).writeto(folder / "integers.fits")
    fits.PrimaryHDU(good, fits.Header({"CHI": 100.0, "NPART": 5, "ANGLE": 3.5})).writeto(folder / "plane.fits")
    fits.PrimaryHDU(good, fits.Header({"ANGLE": "wide"})).writeto(folder / "angle.fits")
    contents = {
        "short.npy": whole[:-5],
        "header.npy": whole[:20],
        "empty.npy": b"",
        "text.npy": b"0.1 0.2 0.3\n",
        "evil.npy": pickle.dumps(good),
        "short.fits": image[:9000],
        "cut.fits": image[:100],
        "short.fits.gz": gzip.compress(image)[:5000],
        "not.fits.gz": gzip.compress(b"hello"),
        "short.h5": hdf5[:-200],
        "head.h5": hdf5[:40],
        "pointer.fits": b"version https://git-lfs.github.com/spec/v1\n",
        "odd.f32": b"\0" * 1000,
        "short.npz": archive[:-40],
        "flipped.npz": archive[:9000] + bytes([archive[9000] ^ 1]) + archive[9001:],
    }
    with zipfile.ZipFile(folder / "other.npz", "w") as file:
        file.writestr("README", "about")
    for name, content in contents.items():
        (folder / name).write_bytes(content)


CASES = {
    "short.npy": "short.npy is not a whole npy file",
    "header.npy": "header.npy is not a whole npy file",
    "empty.npy": "empty.npy is empty",
    "text.npy": r"none of npy, FITS, .*it begins with b'0\.1 0\.2 0\.3'?",
    "evil.npy": "a pickle, which is never loaded",
    "objects.npy": "it holds pickled Python objects, which are never loaded",
    "integers.npy": "holds int64; convergence maps are real floating-point numbers",
    "complex.npy": "holds complex64; convergence maps are real",
    "flat.npy": r"has shape \(4, 100\); no map is 25 times as long as it is wide",
    "bins.npy": r"whether its last axis is of 5 columns or channels cannot be told; .*--channel=0 to 4",
    "colours.npy": r"5 channels; choose one with --channel=0 to 4",
    "cube.npy": "which axis is the channel cannot be told",
    "five.npy": r"has shape \(1, 1, 1, 2, 2\); expected",
    "none.npy": "it holds no map",
    "arrays.npz": r"choose its dataset with --hdf5_dataset; .*arr_0 \(64, 64\), arr_1 \(64, 64\) "
    r"\(--hdf5_dataset='arr_\*' takes all as maps\)",
    "objects.npz": "it holds pickled Python objects, which are never loaded",
    "short.npz": "short.npz is not a whole npz archive: File is not a zip file",
    "flipped.npz": "flipped.npz is not a whole npz archive: Bad CRC-32 for file 'kappa.npy'",
    "other.npz": "other.npz is not a whole npz archive: it holds no npy file",
    "no_image.fits": "no_image.fits holds no FITS image",
    "integers.fits": "holds int16; convergence maps are real",
    "plane.fits": "is a lens plane .*--sky=planes --lens_planes",
    "angle.fits": "ANGLE='wide' in its header is not a number of degrees",
    "short.fits": "short.fits is not a whole FITS image: File may have been truncated",
    "cut.fits": "cut.fits is not a whole FITS image",
    "short.fits.gz": "short.fits.gz is not a whole FITS image",
    "not.fits.gz": "not.fits.gz is not a whole FITS image",
    "short.h5": "short.h5 is not a whole HDF5 file",
    "head.h5": "head.h5 is not a whole HDF5 file",
    "good.h5": r"choose its dataset with --hdf5_dataset; .*a \(64, 64\), b \(64, 64\)",
    "pointer.fits": "a pointer of Git LFS",
    "odd.f32": r"raw float32 of 1000 bytes: give its shape, --raw_shape=rows,columns",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    write_cases(folder)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_broken_files_are_named(broken, name):
    with pytest.raises(ValueError, match=CASES[name]) as caught:
        open_map_file(broken / name).read(0, 1)
    assert "\n" not in str(caught.value)


def test_options_that_do_not_fit(broken):
    with pytest.raises(ValueError, match=r"1000 bytes, not a multiple of the 256 of a map"):
        open_map_file(broken / "odd.f32", ReadOptions(raw_shape=(8, 8)))
    with pytest.raises(ValueError, match=r"1000 bytes, --raw_shape=3,8,8 needs 768"):
        open_map_file(broken / "odd.f32", ReadOptions(raw_shape=(3, 8, 8)))
    with pytest.raises(ValueError, match=r"no dataset hdf5_dataset=kappa; .*a \(64, 64\)"):
        open_map_file(broken / "good.h5", ReadOptions(hdf5_dataset="kappa"))
    with pytest.raises(ValueError, match=r"channel=5 must lie in 0 to 4"):
        open_map_file(broken / "colours.npy", ReadOptions(channel=5))
    assert open_map_file(broken / "colours.npy", ReadOptions(channel=4)).num_maps == 3
    assert open_map_file(broken / "good.h5", ReadOptions(hdf5_dataset="b")).format == "HDF5:b"


def test_nothing_is_unpickled(tmp_path):
    """A pickle that would write a file, under a name that asks for it to be loaded."""

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    for name in ("a.npy", "b.f32"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    np.save(tmp_path / "c.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    for name in ("a.npy", "b.f32", "c.npy"):
        with pytest.raises(ValueError, match=name):
            open_map_file(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@given(
    seed=SEEDS, dtype=st.sampled_from([">f4", ">f8", ">i2", "tiles"]), channel=st.booleans(),
    extension=st.booleans(), starts=st.permutations(range(5)),
)  # fmt: skip
def test_gzipped_cubes_in_any_order_as_astropy_reads_them(
    tmp_path_factory, seed, dtype, channel, extension, starts
):
    kappa = values(seed, (5, 6, 6), ">f4" if dtype == "tiles" else dtype) if dtype != ">i2" else None
    if kappa is None:
        kappa = np.random.default_rng(seed).integers(-5, 5, (5, 6, 6)).astype(dtype)
    stored = kappa[:, None] if channel and dtype != "tiles" else kappa
    header = fits.Header({"BSCALE": 0.5, "BZERO": 1.0, "BLANK": -5} if dtype == ">i2" else {})
    if dtype == "tiles":
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(stored, compression_type="GZIP_1", quantize_level=0)]
    else:
        kind = fits.ImageHDU if extension else fits.PrimaryHDU
        image = kind(stored)
        image.header.update(header)
        hdus = [fits.PrimaryHDU(), image] if extension else [image]
    path = tmp_path_factory.mktemp("cube") / "kappa.fits.gz"
    fits.HDUList(hdus).writeto(path)
    with fits.open(path) as opened:
        expected = opened[-1].data.reshape(5, 6, 6).astype(np.float32)
    found = open_map_file(path)
    for start in starts:
        stop = min(start + 2, 5)
        np.testing.assert_array_equal(found.read(start, stop), expected[start:stop])


def test_a_gzipped_cube_is_decompressed_once_a_pass(tmp_path, monkeypatch):
    kappa = np.random.default_rng(0).normal(size=(50, 16, 16)).astype(np.float32)
    fits.PrimaryHDU(kappa).writeto(tmp_path / "a.fits.gz")
    found, opened = open_map_file(tmp_path / "a.fits.gz"), []

    class Counted(gzip.GzipFile):
        def __init__(self, *arguments):
            opened.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(gzip_cubes.gzip, "GzipFile", Counted)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([found.read(n, n + 1) for n in range(50)]), kappa)
    assert len(opened) == 2


def test_a_gzipped_cube_whose_checksum_fails(tmp_path):
    kappa = np.random.default_rng(0).normal(size=(50, 64, 64)).astype(np.float32)
    fits.PrimaryHDU(kappa).writeto(tmp_path / "a.fits.gz")
    content = bytearray((tmp_path / "a.fits.gz").read_bytes())
    content[-7] ^= 1  # of the CRC32, which stands before the length
    (tmp_path / "a.fits.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.fits\.gz is not a whole FITS image: .*[Cc][Rr][Cc]"):
        read_all(open_map_file(tmp_path / "a.fits.gz"))


def test_thousands_of_files_need_no_file_descriptor_each(tmp_path):
    """With room for 48 open files, 61 of each form are opened together, then read."""
    kappa = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    (tmp_path / "f.f32").write_bytes(kappa.tobytes())
    np.save(tmp_path / "n.npy", kappa)
    fits.PrimaryHDU(kappa).writeto(tmp_path / "c.fits.gz")
    fits.PrimaryHDU(kappa).writeto(tmp_path / "i.fits")
    with h5py.File(tmp_path / "h.h5", "w") as file:
        file["kappa"] = kappa
    code = """
import resource, shutil, sys
import numpy as np
from pathlib import Path
from cosmogan_jax.maps.formats import ReadOptions, find_map_files, open_map_file
folder = Path(sys.argv[1])
for path in list(folder.iterdir()):
    for n in range(60):
        shutil.copy(path, folder / f"{n}_{path.name}")
resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
files = [open_map_file(path, ReadOptions(raw_shape=(8, 8))) for path in find_map_files([str(folder)])]
assert len(files) == 305
for file in files:
    assert np.array_equal(file.read(0, 2)[1], file.read(1, 3)[0])
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


def test_raw_files_may_begin_with_anything(tmp_path):
    for n, magic in enumerate(
        (b"\x1f\x8b\x08\x00", b"\x93NUMPY\x01\x00", b"SIMPLE  =   ", b"\x80\x04\x95\x00")
    ):
        content = magic + np.arange(64 - len(magic) // 4, dtype="<f4").tobytes()
        for name in (f"{n}.f32", f"{n}.F32"):
            (tmp_path / name).write_bytes(content)
            found = open_map_file(tmp_path / name, ReadOptions(raw_shape=(8, 8)))
            same_bits(found.read(0, 1), np.frombuffer(content, "<f4").reshape(1, 8, 8))


def test_kappatng_binary(tmp_path):
    kappa = np.random.default_rng(0).normal(size=(24, 24))
    framed = np.int32(24).tobytes() + kappa.tobytes() + np.int32(24).tobytes()
    (tmp_path / "kappa23.dat").write_bytes(framed)
    (tmp_path / "zs.dat").write_text("3.446699999999999764e-02\n")
    found = open_map_file(tmp_path / "kappa23.dat")
    assert (found.format, found.num_maps, found.dtype) == ("kappaTNG", 1, "<f8")
    same_bits(found.read(0, 1), kappa[None])
    assert [path.name for path in find_map_files([f"{tmp_path}/*"])] == ["kappa23.dat"]
    for content in (framed[:-8], framed[:-4] + np.int32(25).tobytes()):
        (tmp_path / "cut.dat").write_bytes(content)
        with pytest.raises(ValueError, match=r"cut\.dat is none of npy"):
            open_map_file(tmp_path / "cut.dat")


def test_real_maps():
    if not SHARED.is_dir():
        pytest.skip("the real maps are not part of the repository")
    found = {path.name: open_map_file(path) for path in find_map_files([str(SHARED / "kappa")])}
    assert [f.num_pixels for f in found.values()] == [512, 512, 512, 256, 350]
    assert [f.side_deg for f in found.values()] == [3.5, 3.5, 3.5, None, None]
    for path in (SHARED / "kappa").iterdir():
        with fits.open(path) as opened:
            same_bits(found[path.name].read(0, 1), opened[0].data[None])
    with pytest.raises(ValueError, match="is a lens plane"):
        open_map_file(next((SHARED / "lens_planes").iterdir()))
