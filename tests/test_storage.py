"""Map store and lens planes: round trips, and nothing broken taken for whole."""

from pathlib import Path

import numpy as np
import pytest

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.storage.lens_planes import read_lens_planes
from cosmogan_jax.storage.map_store import open_map_store, write_map_store

GEOMETRY = MapGeometry(16, 1.5)


def maps(count):
    return np.random.default_rng(0).normal(size=(count, 16, 16)).astype(np.float32)


def test_round_trip_is_exact(tmp_path):
    kappa = maps(7)
    write_map_store(tmp_path / "s", iter([kappa[:3], kappa[3:]]), 7, GEOMETRY, {"source_redshift": 1.0})
    store = open_map_store(tmp_path / "s")
    np.testing.assert_array_equal(store.read(), kappa)
    np.testing.assert_array_equal(store.read(2, 4), kappa[2:4])
    assert store.geometry == GEOMETRY


def test_cut_off_non_finite_and_flipped_bytes(tmp_path):
    with pytest.raises(ValueError, match="num_maps=5 announced, 3 maps given"):
        write_map_store(tmp_path / "short", [maps(3)], 5, GEOMETRY, {})
    with pytest.raises(ValueError, match="no whole map store"):
        open_map_store(tmp_path / "short")
    bad = maps(3)
    bad[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="map 1 holds non-finite"):
        write_map_store(tmp_path / "nan", [bad], 3, GEOMETRY, {})
    write_map_store(tmp_path / "flip", [maps(3)], 3, GEOMETRY, {})
    shard = next(p for p in (tmp_path / "flip/kappa/c").rglob("*") if p.is_file())
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match="Digest mismatch"):
        open_map_store(tmp_path / "flip").read()


def write_plane(path, chi, omega_m=0.26, size=8):
    from astropy.io import fits

    header = fits.Header(
        {
            "ANGLE": 3.5,
            "H": 0.7,
            "OMEGA_M": omega_m,
            "OMEGA_L": 1 - omega_m,
            "W0": -1.0,
            "WA": 0.0,
            "Z": 0.1,
            "CHI": chi,
        }
    )
    fits.PrimaryHDU(np.full((size, size), chi, np.float32), header).writeto(path)


def test_lens_planes(tmp_path):
    write_plane(tmp_path / "a.fits", 200.0)
    write_plane(tmp_path / "b.fits", 100.0)
    planes = read_lens_planes(tmp_path)
    assert planes.names == ("b.fits", "a.fits")
    assert planes.potential[0, 0, 0] == 100.0
    write_plane(tmp_path / "c.fits", 300.0, omega_m=0.3)
    with pytest.raises(ValueError, match=r"OMEGA_M=0\.26 in a\.fits, 0\.3 in c\.fits"):
        read_lens_planes(tmp_path)
    (tmp_path / "c.fits").write_bytes((tmp_path / "a.fits").read_bytes()[:2900])
    with pytest.raises(ValueError, match=r"c\.fits is not a whole FITS image"):
        read_lens_planes(tmp_path)
    with pytest.raises(ValueError, match="holds no"):
        read_lens_planes(tmp_path / "nowhere")


def test_real_planes():
    folder = Path(__file__).resolve().parents[2] / "shared/real/lens_planes"
    if not folder.is_dir():
        pytest.skip("the real lens planes are not part of the repository")
    planes = read_lens_planes(folder)
    assert len(planes.names) == 31
    assert (np.diff(planes.chi) > 0).all()
