"""Skies against closed forms and their own theory; disjoint regions proven by planted pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.cosmology import w0waCDM

from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.sky.cosmology import HUBBLE_DISTANCE, Cosmology, comoving_distance
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.lognormal import lognormal_amplitudes, lognormal_maps
from cosmogan_jax.sky.planes import born_maps, born_weights, check_region, plane_convergence, split_regions
from cosmogan_jax.summaries import power_spectrum

# 128 maps, ell > 500: about 1.5 % sampling noise of the mean in the lowest band used.
MEAN_POWER = 0.06


def test_distance_in_an_einstein_de_sitter_universe():
    z = np.array([0.1, 1.0, 3.0])
    expected = 2 * HUBBLE_DISTANCE * (1 - 1 / np.sqrt(1 + z))
    np.testing.assert_allclose(comoving_distance(Cosmology(1.0, 0.0, 0.7), z), expected, rtol=1e-12)


def test_distance_equals_astropy():
    theirs = w0waCDM(100.0, 0.26, 0.74, w0=-0.9, wa=0.1, Tcmb0=0).comoving_distance(1.5).value
    np.testing.assert_allclose(comoving_distance(Cosmology(0.26, 0.74, 0.7, -0.9, 0.1), 1.5), theirs, rtol=1e-6)


def test_convergence_power_is_of_the_known_size():
    # l^2 C/2pi of sources at z 1 peaks near 1e-4 (Bartelmann & Schneider 2001, Fig. 19).
    ell = np.geomspace(10, 2e4, 200)
    reduced = ell**2 * convergence_power(ell, 1.0) / (2 * np.pi)
    assert 3e-5 < reduced.max() < 3e-4
    assert convergence_power(1000.0, 0.5) < convergence_power(1000.0, 1.0)
    with pytest.raises(ValueError, match="source_redshift=9"):
        convergence_power(1000.0, 9.0)


def test_lognormal_maps_have_the_spectrum_and_do_not_depend_on_the_batch():
    geometry = MapGeometry(128, 3.5)
    amplitudes, variance = lognormal_amplitudes(lambda ell: convergence_power(ell, 1.0), geometry, 0.04)
    amplitudes = jnp.asarray(amplitudes, jnp.float32)
    draw = jax.jit(lognormal_maps)
    kappa = draw(jax.random.key(3), jnp.arange(128), amplitudes, variance, 0.04)
    np.testing.assert_array_equal(
        draw(jax.random.key(3), jnp.array([7]), amplitudes, variance, 0.04)[0], kappa[7]
    )
    edges = log_l_edges(geometry, 10)
    found = np.asarray(power_spectrum(kappa, edges, 3.5, mode_weights="full_plane")).mean(0)
    ell = geometry.half_plane_ell()
    bins = geometry.half_plane_bins(edges)
    theory = np.array([convergence_power(ell[bins == b], 1.0).mean() for b in range(len(edges) - 1)])
    band = (edges[:-1] > 500) & (edges[1:] < geometry.nyquist_ell)
    np.testing.assert_allclose(found[band], theory[band], rtol=MEAN_POWER)
    assert float(kappa.min()) > -0.04
    skewness = float(jnp.mean((kappa - kappa.mean()) ** 3) / kappa.std() ** 3)
    assert skewness > 0.5


def test_laplacian_of_a_cosine():
    size, side, m = 64, 2.0, 3
    x = np.arange(size) * 2 * np.pi * m / size
    psi = np.broadcast_to(np.cos(x), (1, size, size))
    pixel = np.radians(side) / size
    expected = (np.cos(x) * (np.cos(2 * np.pi * m / size) - 1)) / pixel**2
    np.testing.assert_allclose(
        plane_convergence(psi, side)[0, 0], expected, rtol=1e-5, atol=1e-3 * abs(expected).max()
    )


def test_no_pixel_of_another_region_enters():
    regions = split_regions(32)
    covered = np.zeros((32, 32), int)
    for name, region in regions.items():
        inside = np.zeros((32, 32), bool)
        inside[region.row : region.row + region.height, region.column : region.column + region.width] = True
        covered += inside
        planes = jnp.asarray(np.where(inside, 1.0, 1e6)[None], jnp.float32)
        maps = born_maps(jax.random.key(1), jnp.arange(64), planes, jnp.ones(1), region, 8)
        assert float(maps.max()) == 1.0, name
    assert (covered == 1).all()
    with pytest.raises(ValueError, match="map_pixels=17 is larger than the validation region"):
        check_region(regions["validation"], 17, "validation")


def test_windows_reach_all_positions_and_orientations():
    plane = jnp.arange(64.0).reshape(1, 8, 8)
    region = split_regions(8)["train"]
    maps = np.asarray(born_maps(jax.random.key(0), jnp.arange(800), plane, jnp.ones(1), region, 3))
    assert {float(m.min()) for m in maps} == {8.0 * row + column for row in range(6) for column in range(2)}
    assert len({tuple((m - m.min()).astype(int).ravel()) for m in maps}) == 8


def test_born_weights():
    cosmology = Cosmology(1.0, 0.0, 0.7)
    source = float(comoving_distance(cosmology, 1.0))
    weights = born_weights(np.array([0.25, 0.5, 0.9, 1.1]) * source, cosmology, 1.0)
    np.testing.assert_allclose(weights, [0.75, 0.5, 0.1, 0.0], rtol=1e-10)
    with pytest.raises(ValueError, match=r"source_redshift=3.0 lies at"):
        born_weights(np.array([100.0, 200.0]), cosmology, 3.0)
