"""Export: what other tools read in the files, and the range in which the emulator was validated."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from cosmogan_jax.compare.agreement_range import agreeing_range
from cosmogan_jax.files.checksums import tree_sha256
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.formats import find_map_files, open_map_file
from cosmogan_jax.maps.map_files import write_fits_map, write_npy_maps
from cosmogan_jax.maps.store_writing import write_map_store

ROOT = Path(__file__).resolve().parents[1]
VALIDATED = {"factor": 1.25, "ell": [420.0, 9000.0], "kappa": None}


@pytest.fixture
def store(tmp_path):
    kappa = np.random.default_rng(0).normal(size=(5, 32, 32)).astype(np.float32)
    kappa[1, 2, 3] = np.nan
    manifest = {
        "source_redshift": 1.0,
        "seed": 7,
        "parents": [0, 0, 1, 1, 2],
        "splits": ["generated"] * 5,
        "origin": {
            "generator_step": 1234,
            "generator_sha256": "ab" * 32,
            "trained_on": {"cosmology": {"omega_m": 0.26, "h": 0.72, "w0": -1.0, "sigma8": 0.798}},
        },
    }
    return write_map_store(tmp_path / "s", [kappa], 5, MapGeometry(32, 0.866), manifest, allow_invalid=True)


def test_fits_as_lenstools_and_astropy_read_it(store, run_main, tmp_path):
    code, _, error = run_main(
        f"--workdir={tmp_path}/run", "--stages=export", f"--export_from={store.path}", "--export=fits,npy"
    )
    assert code == 0, error
    kappa = store.read()[..., 0]
    names = sorted(p.name for p in (tmp_path / "run/export/fits").iterdir())
    assert names == [f"kappa_{n:06d}.fits" for n in range(5)]
    for n, name in enumerate(names):
        # LensTools' ConvergenceMap.load: the primary image, and ANGLE in degrees.
        with fits.open(tmp_path / "run/export/fits" / name) as opened:
            header, image = opened[0].header, opened[0].data
            assert header["ANGLE"] == 0.866
            assert image.astype("<f4").tobytes() == kappa[n].tobytes()
        sides = 32 * proj_plane_pixel_scales(WCS(header))
        np.testing.assert_allclose(sides, 0.866, rtol=1e-9)
        # As the sky is seen: east is to the left, north above; the map's middle is the reference point.
        middle, left, above = WCS(header).wcs_pix2world([[15.5, 15.5], [14.5, 15.5], [15.5, 16.5]], 0)
        np.testing.assert_allclose((middle + 180) % 360 - 180, 0, atol=1e-9)
        np.testing.assert_allclose((left + 180) % 360 - 180, [0.866 / 32, 0], atol=1e-6)
        np.testing.assert_allclose((above + 180) % 360 - 180, [0, 0.866 / 32], atol=1e-6)
        assert (header["ZSOURCE"], header["SEED"], header["MAPINDEX"]) == (1.0, 7, n)
        assert (header["GENSTEP"], header["GENSHA"]) == (1234, "ab" * 32)
        assert (header["H"], header["OMEGA_M"], header["W0"], header["SIGMA8"]) == (0.72, 0.26, -1.0, 0.798)
        assert header["PARENT"] == store.manifest.parents[n]
        assert header["VALID"] == "unknown"
    # Its own readers take the files back: maps, angle, redshift.
    for n, path in enumerate(find_map_files([f"{tmp_path}/run/export/fits"])):
        back = open_map_file(path)
        assert (back.side_deg, back.source_redshift, back.facts["cosmology"]["omega_m"]) == (0.866, 1.0, 0.26)
        assert back.read(0, 1)[0].tobytes() == kappa[n].tobytes()
    assert np.load(tmp_path / "run/export/kappa.npy", allow_pickle=False).tobytes() == kappa.tobytes()
    manifest = json.loads((tmp_path / "run/export/manifest.json").read_text())
    assert manifest["origin"]["generator_step"] == 1234


def test_validated_range_in_the_header(store):
    from cosmogan_jax.stages.export import _cards

    cards = _cards(store, VALIDATED)
    assert {key: cards[key][0] for key in ("VALFACT", "VELLMIN", "VELLMAX", "VKAP")} == {
        "VALFACT": 1.25, "VELLMIN": 420.0, "VELLMAX": 9000.0, "VKAP": "nowhere",
    }  # fmt: skip


def test_nothing_to_export_and_unknown_formats(run_main, tmp_path):
    code, _, error = run_main(f"--workdir={tmp_path}/run", "--stages=export")
    assert (code, error) == (1, "error: stages=export: nothing to do, --export names no format\n")
    code, _, error = run_main(f"--workdir={tmp_path}/run", "--stages=export", "--export=npy")
    assert (code, "holds no finished stage 'generate'" in error) == (1, True)
    code, _, error = run_main(
        f"--workdir={tmp_path}/run", "--stages=export", "--export=npy", f"--export_from={tmp_path}"
    )
    assert (code, "holds no whole map store" in error) == (1, True)


def test_npy_is_whole_or_not_there(tmp_path):
    with pytest.raises(ValueError, match="5 maps announced, 3 given"):
        write_npy_maps(tmp_path / "k.npy", [np.zeros((3, 4, 4), np.float32)], (5, 4, 4))
    with pytest.raises(ValueError, match=r"maps of shape \(4, 5\) do not fit \(4, 4\)"):
        write_npy_maps(tmp_path / "k.npy", [np.zeros((3, 4, 5), np.float32)], (3, 4, 4))
    with pytest.raises(ValueError, match=r"none/k\.npy cannot be written: No such file or directory"):
        write_npy_maps(tmp_path / "none" / "k.npy", [], (0, 4, 4))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["k.npy", "k.fits", "k.fits.gz"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, name):
    """A limit on file sizes stands in for a full disk; SIGXFSZ is ignored, as Python does."""
    code = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.map_files import write_fits_map, write_npy_maps
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, kappa = Path(sys.argv[1]), np.random.default_rng(0).normal(size=(20, 64, 64)).astype("f4")
def write():
    if path.suffix == ".npy":
        write_npy_maps(path, np.split(kappa, 5), kappa.shape)
    else:
        write_fits_map(path, kappa[0], MapGeometry(64, 1.0), {})
write()
whole = path.read_bytes()
path.unlink()
no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) - 100, no_limit[1]))
try:
    write()
except ValueError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)  # what measures coverage writes at the end
print([p.name for p in path.parent.iterdir()])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / name], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / name} cannot be written: File too large\n[]\n"


def test_a_changed_pixel_of_an_exported_map_is_found(tmp_path):
    kappa = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    for name in ("a.fits", "b.fits"):
        write_fits_map(tmp_path / name, kappa, MapGeometry(64, 1.0), {"SEED": (1, "")})
    content = bytearray((tmp_path / "a.fits").read_bytes())
    assert content == (tmp_path / "b.fits").read_bytes()
    np.testing.assert_array_equal(open_map_file(tmp_path / "a.fits").read(0, 1)[0], kappa)
    content[-3000] ^= 1
    (tmp_path / "a.fits").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"a\.fits is not a whole FITS image: its pixels do not add up to the DATASUM"
    ):
        open_map_file(tmp_path / "a.fits").read(0, 1)


def test_agreeing_range():
    edges = np.arange(9.0)
    reference = np.array([1.0, 1, 1, 1, 1, 1, 1, 1])
    assert agreeing_range(edges, reference * 1.2, reference) == (0.0, 8.0)
    assert agreeing_range(edges, reference * 1.3, reference) is None
    assert agreeing_range(edges, reference / 1.3, reference) is None
    found = np.array([1.0, 2.0, 1.0, 1.1, 0.9, 3.0, 1.0, 1.0])
    assert agreeing_range(edges, found, reference) == (2.0, 5.0)
    # Bins that neither side fills do not break a run, nor belong to its ends.
    empty = np.array([0.0, 1, 1, 0, 1, 0, 0, 5.0])
    assert agreeing_range(edges, empty, np.where(empty > 0, 1.0, 0.0)) == (1.0, 5.0)
    # A bin that one side alone fills does.
    assert agreeing_range(edges, empty, reference) == (1.0, 3.0)
    with pytest.raises(ValueError, match="factor=1 must be above 1"):
        agreeing_range(edges, reference, reference, 1)
    with pytest.raises(ValueError, match="9 edges do not fit"):
        agreeing_range(edges, reference[:4], reference[:4])


def test_checksum_of_variables():
    tree = {"a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "b": np.zeros(3, np.float32)}
    same = {"b": tree["b"].copy(), "a": {"kernel": np.asfortranarray(tree["a"]["kernel"]).astype(">f4")}}
    assert tree_sha256(tree) == tree_sha256(same)
    for change in (
        {"a": {"kernel": tree["a"]["kernel"].reshape(3, 2)}, "b": tree["b"]},
        {"c": tree["a"], "b": tree["b"]},
        {"a": tree["a"], "b": np.array([0, 0, 1e-45], np.float32)},
        {"a": tree["a"], "b": np.zeros(3, np.float64)},
    ):
        assert tree_sha256(change) != tree_sha256(tree)
