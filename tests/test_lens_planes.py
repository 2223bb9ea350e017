"""Lens planes written and read back, and the Laplacians that make convergence of them."""

import numpy as np
import pytest

from cosmogan_jax.maps.lens_planes import LensPlanes, read_lens_planes, write_lens_planes
from cosmogan_jax.sky.planes import plane_convergence

HEADER = {"H": 0.7, "OMEGA_M": 0.26, "OMEGA_L": 0.74, "W0": -0.9, "WA": 0.1}
# A FITS card holds 20 characters of a number.
CARD_DIGITS = 1e-13


def planes():
    potential = np.random.default_rng(2).normal(size=(2, 8, 8)).astype(np.float32) * np.float32(1e-7)
    potential[0, 0, :3] = [0.0, -0.0, 1e-42]
    chi, redshift = np.array([40.00001588847272, 2439.817844379609]), np.array([0.01337760180130476, 1.04])
    return LensPlanes(("near.fits", "far.fit.gz"), potential, redshift, chi, np.array([3.5, 2.0]), dict(HEADER))


def test_round_trip_is_bit_exact(tmp_path):
    written = planes()
    write_lens_planes(tmp_path / "p", written)
    read = read_lens_planes(tmp_path / "p")
    assert read.names == written.names
    assert read.potential.tobytes() == written.potential.tobytes()
    np.testing.assert_allclose(read.chi, written.chi, rtol=CARD_DIGITS)
    np.testing.assert_allclose(read.redshift, written.redshift, rtol=CARD_DIGITS)
    np.testing.assert_array_equal(read.side_deg, written.side_deg)
    assert read.header == written.header
    assert sorted(p.name for p in (tmp_path / "p").iterdir()) == ["far.fit.gz", "near.fits"]


def test_header_is_that_of_lenstools(tmp_path):
    write_lens_planes(tmp_path, planes())
    from astropy.io import fits

    header = fits.getheader(tmp_path / "near.fits")
    expected = ["H0", "H", "OMEGA_M", "OMEGA_L", "W0", "WA", "Z", "CHI", "ANGLE", "NPART"]
    assert [key for key in header if key in expected] == expected
    assert header["H0"] == 70.0
    assert header["BITPIX"] == -32


def test_refuses_to_overwrite_or_write_nonsense(tmp_path):
    write_lens_planes(tmp_path, planes())
    with pytest.raises(ValueError, match=r"near\.fits is there already"):
        write_lens_planes(tmp_path, planes())
    with pytest.raises(ValueError, match=r"name=near\.npy must end in"):
        write_lens_planes(tmp_path / "b", planes()._replace(names=("near.npy", "x.fits")))
    with pytest.raises(ValueError, match=r"near\.fits holds non-finite"):
        write_lens_planes(tmp_path / "b", planes()._replace(potential=np.full((2, 8, 8), np.nan, np.float32)))
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("size", [31, 32])
def test_spectral_laplacian_of_a_wave_is_exact(size):
    side_deg, rows, columns = 2.0, 3, 5
    y, x = np.mgrid[:size, :size] * 2 * np.pi / size
    psi = np.cos(rows * y + columns * x)
    expected = -psi * (rows**2 + columns**2) * (2 * np.pi / np.radians(side_deg)) ** 2 / 2
    found = plane_convergence(psi[None], side_deg, laplacian="spectral")[0]
    np.testing.assert_allclose(found, expected, atol=1e-6 * abs(expected).max())
    # The difference forms are below it by sinc² along each axis.
    for laplacian, reach in (("five_point", 1), ("wide", 2)):
        damped = sum(2 * np.cos(2 * np.pi * reach * m / size) - 2 for m in (rows, columns)) / 2
        damped = damped * psi / (reach * np.radians(side_deg) / size) ** 2
        found = plane_convergence(psi[None], side_deg, laplacian=laplacian)[0]
        np.testing.assert_allclose(found, damped, atol=1e-6 * abs(expected).max())


def test_unknown_laplacian():
    with pytest.raises(ValueError, match="laplacian='nine_point' must be"):
        plane_convergence(np.zeros((1, 8, 8)), 1.0, laplacian="nine_point")


def test_a_card_that_cannot_be_parsed(tmp_path):
    """astropy says so with an error of its own, and only when the card is asked for."""
    write_lens_planes(tmp_path, LensPlanes(("a.fits",), np.ones((1, 8, 8)), *np.ones((3, 1)), HEADER))
    content = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(content.replace(b"OMEGA_M =  ", b"OMEGA_M = [", 1))
    with pytest.raises(ValueError, match=r"a\.fits is not a (whole FITS image|lens plane): Unparsable card"):
        read_lens_planes(tmp_path)
