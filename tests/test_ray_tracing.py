"""Ray tracing against closed forms, hand-derived planes, Kaiser-Squires and an independent ray tracer."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.sky import planes, ray_tracing
from cosmogan_jax.sky.cosmology import Cosmology, comoving_distance
from cosmogan_jax.sky.planes import Region
from cosmogan_jax.sky.ray_tracing import LensField

SHARED = Path(__file__).resolve().parents[2] / "shared/real"


def linear_field(size, pixel, origin, yy, xy, xx):
    """A plane whose tidal matrix is the same everywhere: bilinear interpolation of it is exact."""
    y, x = np.meshgrid(*[(np.arange(size) - o) * pixel for o in origin], indexing="ij")
    values = (yy * y + xy * x, xy * y + xx * x, yy + 0 * y, xy + 0 * y, xx + 0 * y)
    return LensField(*(jnp.asarray(v, jnp.float32) for v in values))


def test_one_plane_of_constant_shear_and_convergence():
    pixel, origin = 1e-4, jnp.array([20.0, 20.0])
    theta = ray_tracing.ray_grid(8, 8e-4)
    field = linear_field(40, pixel, origin, 0.03, 0.01, 0.05)
    rays = ray_tracing.pass_plane(ray_tracing.begin(theta), field, 1000.0, pixel, origin, wrap=False)
    maps = ray_tracing.lensed_maps(rays, 2000.0)
    # (1 - 1000/2000) of kappa = (psi_xx + psi_yy)/2, gamma1 = (psi_xx - psi_yy)/2, gamma2 = psi_xy.
    np.testing.assert_allclose(maps.kappa, 0.5 * 0.04, rtol=1e-5)
    np.testing.assert_allclose(maps.gamma1, 0.5 * 0.01, rtol=1e-4)
    np.testing.assert_allclose(maps.gamma2, 0.5 * 0.01, rtol=1e-4)
    np.testing.assert_allclose(maps.omega, 0.0, atol=1e-8)
    beta = ray_tracing.position(rays, 2000.0)
    np.testing.assert_allclose(beta[0], theta[0] - 0.5 * (0.03 * theta[0] + 0.01 * theta[1]), atol=1e-9)


def test_two_planes_couple():
    """A = 1 - g1 U1 - g2 U2 (1 - g12 U1): coupling makes a rotation where U1 and U2 do not commute."""
    pixel, origin = 1e-4, jnp.array([20.0, 20.0])
    one, two, source = 1000.0, 1600.0, 2400.0
    u1, u2 = np.array([[0.06, 0.02], [0.02, 0.2]]), np.array([[0.1, -0.05], [-0.05, 0.02]])  # (y, x)
    rays = ray_tracing.begin(ray_tracing.ray_grid(6, 6e-4))
    for u, chi in ((u1, one), (u2, two)):
        field = linear_field(40, pixel, origin, u[0, 0], u[0, 1], u[1, 1])
        rays = ray_tracing.pass_plane(rays, field, chi, pixel, origin, wrap=False)
    unit = np.eye(2)
    expected = unit - (1 - one / source) * u1 - (1 - two / source) * u2 @ (unit - (1 - one / two) * u1)
    a = np.asarray(ray_tracing.jacobian(rays, source))
    np.testing.assert_allclose(a, np.broadcast_to(expected[:, :, None, None], a.shape), atol=1e-6)
    # A uniform tidal field maps positions by the same matrix.
    beta = np.einsum("ij,jyx->iyx", expected, np.asarray(rays.theta))
    np.testing.assert_allclose(ray_tracing.position(rays, source), beta, atol=1e-9)
    omega = ray_tracing.lensed_maps(rays, source).omega
    np.testing.assert_allclose(omega, (expected[0, 1] - expected[1, 0]) / 2, atol=1e-6)
    assert abs(float(omega[0, 0])) > 1e-4


def test_deflection_by_an_isothermal_sphere():
    """kappa = e / (2 r) deflects by e towards the centre at any distance (an isothermal sphere)."""
    size, side = 512, 0.05
    y = (np.arange(size) - size // 2) * side / size
    r = np.hypot(y[:, None], y)
    einstein, core = 1e-5, 3 * side / size
    kappa = einstein / 2 / np.sqrt(r**2 + core**2)
    field = ray_tracing.field_of_convergence(jnp.asarray(kappa, jnp.float32), side)
    row = np.asarray(field.alpha_x)[size // 2, size // 2 + 20 : size // 2 + 60]
    x = y[size // 2 + 20 : size // 2 + 60]
    # alpha = e (sqrt(x^2 + c^2) - c) / x, less the mean density that a periodic plane takes off: kappa_mean x.
    expected = einstein * (np.sqrt(x**2 + core**2) - core) / x - kappa.mean() * x
    np.testing.assert_allclose(row, expected, rtol=0.01)
    assert np.abs(np.asarray(field.alpha_y)[size // 2]).max() < 1e-3 * einstein


def test_deflection_by_a_point_mass():
    """alpha = mass / (pi theta) with mass = the integral of kappa, far from the pixel and from the copies."""
    size, side = 256, 0.01
    pixel = side / size
    # A point, spread over three pixels so that its transform ends before the Nyquist frequency.
    y = np.arange(size) - size // 2
    kappa = np.exp(-(y[:, None] ** 2 + y**2) / 2 / 1.5**2) / (2 * np.pi * 1.5**2)
    field = ray_tracing.field_of_convergence(jnp.asarray(kappa, jnp.float32), side)
    offset = np.arange(10, 25)
    found = np.asarray(field.alpha_x)[size // 2, size // 2 + offset]
    expected = pixel**2 / (np.pi * offset * pixel) - kappa.mean() * offset * pixel
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_shear_gives_the_convergence_back():
    """Kaiser & Squires (1993): kappa = ((x^2 - y^2) gamma1 + 2 x y gamma2) / ell^2, mode by mode."""
    size, side = 64, 0.02
    rng = np.random.default_rng(0)
    modes = np.fft.rfft2(rng.normal(size=(size, size)))
    modes[size // 4 : -size // 4 + 1] = 0
    modes[:, size // 4 :] = 0
    modes[0, 0] = 0
    kappa = np.fft.irfft2(modes)
    field = ray_tracing.field_of_convergence(jnp.asarray(kappa, jnp.float32), side)
    rays = ray_tracing.begin(ray_tracing.ray_grid(size, side) * 0.0)
    y, x = np.mgrid[:size, :size] * side / size
    rays = rays._replace(theta=jnp.asarray(np.stack([y, x]), jnp.float32))
    weak = LensField(*(f * 1e-3 for f in field))
    passed = ray_tracing.pass_plane(rays, weak, 1.0, side / size, jnp.zeros(2))
    maps = ray_tracing.lensed_maps(passed, 1e9)
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    squared = np.maximum(rows**2 + columns**2, 1e-12)
    gamma1, gamma2 = (np.fft.rfft2(np.asarray(g, np.float64)) for g in (maps.gamma1, maps.gamma2))
    back = np.fft.irfft2(((columns**2 - rows**2) * gamma1 + 2 * rows * columns * gamma2) / squared)
    scale = np.abs(maps.kappa).max()
    np.testing.assert_allclose(back, maps.kappa, atol=2e-3 * scale)
    np.testing.assert_allclose(maps.kappa, 1e-3 * kappa, atol=2e-3 * scale)


def test_difference_fields_of_a_wave():
    size, pixel = 40, 1e-3
    y, x = np.mgrid[:size, :size].astype(float)
    p, q = 0.3, 0.2
    psi = np.cos(p * y + q * x)
    field = ray_tracing.field_of_potential(jnp.asarray(psi), pixel)
    phase = (p * y + q * x)[2:-2, 2:-2]
    dy, dx = np.sin(p) / pixel, np.sin(q) / pixel
    for found, expected in zip(
        field,
        (-dy * np.sin(phase), -dx * np.sin(phase), -dy * dy * np.cos(phase), -dy * dx * np.cos(phase),
         -dx * dx * np.cos(phase)),
    ):  # fmt: skip
        assert found.shape == (36, 36)
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max() + 0.2)


def test_weak_planes_trace_as_born():
    """To first order ray tracing is the Born sum of the same windows; no pixel of another region enters."""
    rng = np.random.default_rng(1)
    size, pixel = 64, 1e-4
    modes = np.fft.rfft2(rng.normal(size=(3, size, size)))
    ell = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    psi = np.fft.irfft2(modes * np.exp(-((ell * 12) ** 2))) * 1e-12
    region = Region(0, 0, 64, 32)
    outside = psi.copy()
    outside[:, :, 32:] = 1.0
    chi, source = np.array([300.0, 700.0, 1100.0]), 1500.0
    arguments = (jnp.asarray(chi, jnp.float32), jnp.float32(source), jnp.float32(pixel))
    key, index = jax.random.key(0), jnp.arange(3)
    traced = planes.traced_maps(key, index, jnp.asarray(psi, jnp.float32), *arguments, region, 12)
    again = planes.traced_maps(key, index, jnp.asarray(outside, jnp.float32), *arguments, region, 12)
    np.testing.assert_array_equal(traced, again)
    # The Born sum of the same windows: their places are drawn for the window with its margin.
    kappa = planes.plane_convergence(psi, np.degrees(pixel * size), laplacian="wide")
    wide = 12 + 2 * planes.MARGIN
    born = planes.born_maps(key, index, jnp.asarray(kappa), jnp.asarray(1 - chi / source), region, wide)
    inner = born[:, planes.MARGIN : -planes.MARGIN, planes.MARGIN : -planes.MARGIN]
    np.testing.assert_allclose(traced, inner, atol=0.02 * float(jnp.abs(inner).max()))


@pytest.mark.skipif(not (SHARED / "kappa").is_dir(), reason="the real lens planes are not on this machine")
def test_against_an_independent_ray_tracer():
    """The map at redshift 0.99, from the same planes; numbers of all variants in experiments/004-nbody."""
    from astropy.io import fits

    from cosmogan_jax.maps.lens_planes import read_lens_planes

    lens = read_lens_planes(SHARED / "lens_planes")
    rolls = json.loads((SHARED / "rolls.json").read_text())
    with fits.open(SHARED / "kappa/convergence_z99.fit") as opened:
        reference = opened[0].data.astype(np.float64)
    head = lens.header
    cosmology = Cosmology(head["OMEGA_M"], head["OMEGA_L"], head["H"], head["W0"], head["WA"])
    source, side = float(comoving_distance(cosmology, 0.99)), np.radians(lens.side_deg[0])
    size = reference.shape[0]
    theta = jnp.asarray(np.mgrid[:size, :size] * side / size, jnp.float32)
    rays = ray_tracing.begin(theta)
    through = jax.jit(ray_tracing.pass_plane, static_argnames="wrap")
    for name, psi, chi in zip(lens.names, lens.potential, lens.chi):
        if chi < source:
            psi = np.pad(np.roll(psi, rolls.get(name, (0, 0)), (0, 1)), 2, mode="wrap")
            field = ray_tracing.field_of_potential(jnp.asarray(psi), np.float32(side / size))
            rays = through(rays, field, np.float32(chi), np.float32(side / size), jnp.zeros(2))
    kappa = np.asarray(ray_tracing.lensed_maps(rays, source).kappa)
    assert np.corrcoef(kappa.ravel(), reference.ravel())[0, 1] >= 0.9925
