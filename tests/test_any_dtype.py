"""Maps and masks of every real dtype and byte order: what float32 maps of the same values give is computed."""

import inspect

import jax
import ml_dtypes
import numpy as np
import pytest
from jax import numpy as jnp

from cosmogan_jax import summaries
from cosmogan_jax.compare.position_moments import add_maps, no_maps
from cosmogan_jax.compare.scores.sample_health import checkerboard_share, nearest_distance, saturated_share
from cosmogan_jax.compare.stationarity import axis_power, ring_moments, ring_widths
from cosmogan_jax.summaries.edges import check_kappa, check_mask

DTYPES = (
    "f2", ">f2", "f4", ">f4", "f8", ">f8", "g", "i2", ">i2", "i8", "u1",
    ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn,
)  # fmt: skip
SIDE_DEG, EDGES = 1.0, np.linspace(-0.06, 0.06, 7)
L_EDGES = np.array([300.0, 1000.0, 2500.0])
ROWS = np.tile(EDGES, (3, 1))

STATISTICS = {
    "power_spectrum": lambda k: summaries.power_spectrum(k, L_EDGES, SIDE_DEG),
    "cross_power_spectra": lambda k: summaries.cross_power_spectra(k, L_EDGES, SIDE_DEG),
    "pair_power_spectra": lambda k: summaries.pair_power_spectra(k, L_EDGES, SIDE_DEG),
    "joint_moments": lambda k: summaries.joint_moments(k, np.zeros(2), np.full(2, 0.02)),
    "joint_roughness": lambda k: summaries.joint_roughness(k, np.zeros(2), np.full(2, 0.02)),
    "bispectrum": lambda k: summaries.bispectrum(k, L_EDGES, SIDE_DEG),
    "minkowski_functionals": lambda k: summaries.minkowski_functionals(k, summaries.PAPER_THRESHOLDS),
    "pixel_histogram": lambda k: summaries.pixel_histogram(k, EDGES),
    "peak_counts": lambda k: summaries.peak_counts(k, EDGES),
    "minimum_counts": lambda k: summaries.minimum_counts(k, EDGES),
    "moments": summaries.moments,
    "roughness": lambda k: summaries.roughness(k, 0.0, 0.02),
    "scattering_coefficients": lambda k: summaries.scattering_coefficients(k, 2, 2),
    "starlet_transform": lambda k: summaries.starlet_transform(k, 3),
    "starlet_l1_norm": lambda k: summaries.starlet_l1_norm(k, ROWS),
    "starlet_peak_counts": lambda k: summaries.starlet_peak_counts(k, ROWS),
    "starlet_statistics": lambda k: summaries.starlet_statistics(k, ROWS, ROWS),
    "ms_ssim": lambda k: summaries.ms_ssim(k, k[::-1], 0.2),
    "pair_similarity": lambda k: summaries.pair_similarity(k, np.array([[0, 1]]), 0.2),
    "kappa_to_shear": summaries.kappa_to_shear,
    "shear_to_kappa": lambda k: summaries.shear_to_kappa(k, k[::-1]),
    "pure_modes": lambda k: summaries.pure_modes(k, k[::-1]),
    "shear_of_canvas": lambda k: summaries.shear_of_canvas(k, 8, 8),
    "ring_moments": lambda k: ring_moments(k, ring_widths(k.shape[-1])),
    "axis_power": lambda k: axis_power(k, L_EDGES, SIDE_DEG),
    "position_moments": lambda k: add_maps(no_maps(k.shape[1:]), k),
    "checkerboard_share": lambda k: checkerboard_share(k, 1),
    "nearest_distance": nearest_distance,
    "saturated_share": lambda k: saturated_share(k, 0.03),
}


@pytest.fixture(scope="module")
def kappa():
    return np.random.default_rng(0).normal(size=(2, 24, 24)) * 0.02


def test_every_public_statistic_is_here():
    functions = {name for name in summaries.__all__ if inspect.isfunction(getattr(summaries, name))}
    assert functions - set(STATISTICS) == {
        "scattering_labels",
        "roughness_labels",
        "joint_roughness_labels",
        "coherence",
    }  # of no maps


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_maps_of_any_dtype_are_those_of_float32(kappa, dtype):
    given = (100 * kappa).astype(dtype)  # so that whole numbers are not all 0
    checked = check_kappa(given)
    assert checked.dtype == jnp.float32
    np.testing.assert_array_equal(checked, given.astype(np.float32))
    if np.dtype(dtype).isnative and dtype not in ("f8", "g", "i8"):
        assert jax.eval_shape(check_kappa, jnp.asarray(given)).dtype == jnp.float32


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_of_half_precision_and_of_fits_images(kappa, name):
    """The same to the bit: they are computed in float32 from the values that the narrow maps hold."""
    half = kappa.astype(np.float16)
    expected = jax.tree.leaves(STATISTICS[name](half.astype(np.float32)))
    for given in (half, jnp.asarray(half), half.astype(">f4")):
        for ours, theirs in zip(jax.tree.leaves(STATISTICS[name](given)), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_area_above_thresholds_of_a_large_float16_map():
    """V0 is a share of the pixels; in float16, which ends at 65504, a map of 512^2 counts to infinity."""
    kappa = np.random.default_rng(1).normal(size=(512, 512)).astype(np.float16)
    thresholds = np.array([-1.5, -0.5, 0.5, 1.5])
    exact = kappa.astype(np.float64)
    middles = (thresholds[1:] + thresholds[:-1]) / 2 * exact.std()
    shares = [(exact >= middle).mean() for middle in middles]
    found = summaries.minkowski_functionals(kappa, thresholds).V0
    np.testing.assert_allclose(found, shares, atol=20 / kappa.size)  # pixels at a threshold, in float32


@pytest.mark.parametrize("dtype", [bool, "u1", ">i2", "i8", ">f4", "f8"], ids=str)
def test_masks_of_any_dtype(kappa, dtype):
    valid = np.random.default_rng(2).random(kappa.shape) > 0.1
    found = check_mask(valid.astype(dtype), check_kappa(kappa))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, valid)


def test_pixels_that_numpy_masks_are_no_numbers(kappa):
    """NumPy's masked arrays hold something below the mask, which must not pass for convergence."""
    masked = np.ma.MaskedArray(kappa, np.zeros(kappa.shape, bool))
    masked[0, 3, 4] = np.ma.masked
    found = np.isnan(np.asarray(check_kappa(masked)))
    assert found[0, 3, 4]
    assert found.sum() == 1
    valid = check_mask(np.ma.MaskedArray(np.ones((24, 24)), np.eye(24)), check_kappa(kappa))
    np.testing.assert_array_equal(valid[1], ~np.eye(24, dtype=bool))


@pytest.mark.parametrize("dtype", [bool, complex, object, str], ids=str)
def test_what_is_no_number_is_refused(dtype):
    with pytest.raises(ValueError, match=r"kappa.dtype=\S+ must be a real type"):
        check_kappa(np.ones((4, 4)).astype(dtype))


@pytest.mark.parametrize("value", [0.5, 2, np.nan, -1])
def test_masks_are_0_and_1(value):
    mask = np.ones((4, 4))
    mask[1, 2] = value
    with pytest.raises(ValueError, match=f"mask={value} must be 0 or 1"):
        check_mask(mask, check_kappa(np.zeros((4, 4))))


def test_float64_is_kept_where_jax_is_told_to(kappa):
    with jax.enable_x64(True):
        assert check_kappa(kappa).dtype == check_kappa(kappa.astype(">f8")).dtype == jnp.float64
        assert check_kappa(kappa.astype(np.float16)).dtype == jnp.float32
