"""Statistics against LensTools' values, closed forms and invariances."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from cosmogan_jax.summaries import (
    PAPER_L_EDGES,
    PAPER_THRESHOLDS,
    bispectrum,
    minkowski_functionals,
    moments,
    peak_counts,
    pixel_histogram,
    power_spectrum,
)

GOLDEN = np.load(Path(__file__).parent / "golden/lenstools_synthetic.npz", allow_pickle=False)
EXACT = 1e-10  # of the statistic's maximum, float64
MAPS = (
    *("grf0", "grf1", "lognormal0", "lognormal1", "odd63", "tiny16", "quantised64", "onedge64"),
    *("f64_nearties32", "const_pos", "const_neg", "zeros"),
)
# float32 against LensTools' float64, of the statistic's maximum, on fields without ties: a pixel crossing an
# edge moves V1, V2, histograms and peaks by whole pixels (1/65536 of the area, one peak of up to 100 a bin).
FLOAT32 = {
    **{"power_spectrum": 1e-5, "bispectrum": 1e-4, "V0": 1e-4, "V1": 5e-4, "V2": 1e-3},
    **{"pixel_histogram": 5e-4, "peak_counts": 1e-2, "moments": 1e-4},
}


def edges(name):
    return GOLDEN[f"edges/{name}"]


def golden_map(name, dtype=jnp.float64):
    return jnp.asarray(GOLDEN[f"{name}/map"], dtype), float(GOLDEN[f"{name}/side_deg"])


def close(ours, reference, tolerance=EXACT):
    scale = np.nanmax(np.abs(reference)) if np.isfinite(reference).any() else 0
    np.testing.assert_allclose(ours, reference, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", [*MAPS, "nan64_unmasked"])
def test_spectra_equal_lenstools(name):
    with jax.enable_x64(True):
        kappa, side = golden_map(name)
        for bins in ("lin", "log", "mode"):
            if f"{name}/ps_{bins}" not in GOLDEN:
                continue
            l_edges = edges(f"l_{bins}")
            close(power_spectrum(kappa, l_edges, side), GOLDEN[f"{name}/ps_{bins}"])
            close(bispectrum(kappa, l_edges, side), GOLDEN[f"{name}/bispec_eq_{bins}"])
            folded = bispectrum(kappa, l_edges, side, configuration="folded", ratio=0.5)
            close(folded, GOLDEN[f"{name}/bispec_fold05_{bins}"])


@pytest.mark.parametrize("name", [*MAPS, "masked64"])
def test_minkowski_functionals_and_moments_equal_lenstools(name):
    mask = GOLDEN.get(f"{name}/mask")
    with jax.enable_x64(True):
        kappa, _ = golden_map(name)
        for form, thresholds, normalised in (
            ("norm", "t_paper", True),
            ("raw", "t_raw", False),
            ("nonuni", "t_nonuni", True),
        ):
            found = minkowski_functionals(kappa, edges(thresholds), normalised=normalised, mask=mask)
            for key, values in found._asdict().items():
                close(values, GOLDEN[f"{name}/mf_{form}_{key}"])
        close(moments(kappa, mask), GOLDEN[f"{name}/moments"])


@pytest.mark.parametrize("name", MAPS)
def test_pixels_and_peaks_equal_lenstools(name):
    with jax.enable_x64(True):
        kappa, _ = golden_map(name)
        for form, thresholds, peaks, normalised in (
            ("norm", "t_paper", "t_peak_norm", True),
            ("raw", "t_raw", "t_peak_raw", False),
            ("nonuni", "t_nonuni", "t_nonuni", True),
        ):
            pixels = pixel_histogram(kappa, edges(thresholds), normalised=normalised)
            close(pixels, GOLDEN[f"{name}/pdf_{form}"])
            # LensTools casts a peak's centre to float32, which f64_nearties32 was made to show: not followed.
            if name != "f64_nearties32":
                counts = peak_counts(kappa, edges(peaks), normalised=normalised)
                close(counts, GOLDEN[f"{name}/peaks_{form}"])


def test_peaks_are_not_compared_in_float32():
    with jax.enable_x64(True):
        kappa, _ = golden_map("f64_nearties32")
        k = np.asarray(kappa)
        shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
        peaks = np.all([k > np.roll(k, shift, (0, 1)) for shift in shifts], axis=0)
        expected = np.histogram(k[peaks], edges("t_peak_raw"))[0] / np.diff(edges("t_peak_raw"))
        close(peak_counts(kappa, edges("t_peak_raw")), expected)
        assert not np.allclose(expected, GOLDEN["f64_nearties32/peaks_raw"])


def test_ties_on_edges_equal_lenstools():
    with jax.enable_x64(True):
        kappa, side = golden_map("onedge64")
        t = GOLDEN["onedge64/t_exact"]
        close(power_spectrum(kappa, GOLDEN["onedge64/l_exact"], side), GOLDEN["onedge64/ps_exact"])
        close(pixel_histogram(kappa, t), GOLDEN["onedge64/pdf_exact"])
        close(peak_counts(kappa, t), GOLDEN["onedge64/peaks_exact"])
        for key, values in minkowski_functionals(kappa, t, normalised=False)._asdict().items():
            close(values, GOLDEN[f"onedge64/mf_exact_{key}"])


@pytest.mark.parametrize("name", ["grf0", "lognormal1"])
def test_float32_stays_near(name):
    kappa, side = golden_map(name, jnp.float32)
    assert kappa.dtype == jnp.float32
    ours = {
        "power_spectrum": (power_spectrum(kappa, edges("l_lin"), side), "ps_lin"),
        "bispectrum": (bispectrum(kappa, edges("l_log"), side), "bispec_eq_log"),
        "pixel_histogram": (pixel_histogram(kappa, edges("t_paper"), normalised=True), "pdf_norm"),
        "peak_counts": (peak_counts(kappa, edges("t_peak_norm"), normalised=True), "peaks_norm"),
        "moments": (moments(kappa), "moments"),
    }
    for key, values in minkowski_functionals(kappa, edges("t_paper"))._asdict().items():
        ours[key] = (values, f"mf_norm_{key}")
    for statistic, (values, key) in ours.items():
        assert values.dtype == jnp.float32
        close(values, GOLDEN[f"{name}/{key}"], FLOAT32[statistic])


def test_triangles_whose_leg_is_the_last_edge_are_left_out():
    """As LensTools' bispectrum does, unlike its power spectrum; modes (5, 0) and (3, 4) lie on the edge."""
    kappa = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 16)), jnp.float32)

    def up_to(last):
        return np.asarray(bispectrum(kappa, 360.0 * np.array([0.5, 3.5, last]), 1.0))

    np.testing.assert_array_equal(up_to(5.0), up_to(5.0 - 1e-6))
    with_them = up_to(5.0 + 1e-6)
    np.testing.assert_array_equal(with_them[:, 0], up_to(5.0)[:, 0])
    assert (np.abs(with_them[:, 1] / up_to(5.0)[:, 1] - 1) > 0.01).all()


def test_paper_edges_are_lenstools_edges():
    np.testing.assert_array_equal(PAPER_L_EDGES, edges("l_lin"))
    np.testing.assert_array_equal(PAPER_THRESHOLDS, edges("t_paper"))
    # Two of the paper's 248 bins hold no mode of its crops.
    power = power_spectrum(jax.random.normal(jax.random.key(0), (256, 256)), PAPER_L_EDGES, np.sqrt(12) / 4)
    assert np.flatnonzero(np.asarray(power) == 0).tolist() == [0, 2]


def test_parseval():
    kappa = jax.random.normal(jax.random.key(0), (2, 64, 64)) + 0.5
    every, side = np.array([-1.0, 1e9]), 3.0
    mean_power = power_spectrum(kappa, every, side, mode_weights="full_plane")[:, 0]
    np.testing.assert_allclose(mean_power / np.radians(side) ** 2 * 64**2, (kappa**2).mean((1, 2)), rtol=1e-5)


def test_white_noise_is_flat():
    # 256 maps of unit variance: P = pixel area; the weakest bin has 12 modes a map, 3 % of a sigma is 0.02.
    kappa = jax.random.normal(jax.random.key(1), (256, 64, 64))
    power = np.asarray(power_spectrum(kappa, np.arange(1.5, 32, 2) * 120, 3.0, mode_weights="full_plane"))
    np.testing.assert_allclose(power.mean(0) / (np.radians(3.0) / 64) ** 2, 1, atol=0.06)


def test_cosine_falls_into_its_bin():
    x = jnp.cos(2 * jnp.pi * 5 * jnp.arange(64) / 64)
    power = power_spectrum(jnp.broadcast_to(x, (64, 64)), np.arange(0.5, 10) * 360 / 2.0, 2.0)
    assert int(jnp.argmax(power)) == 4
    assert float(power[4]) > 0.999 * float(power.sum())


STATISTICS = {
    "power_spectrum": lambda k: power_spectrum(k, np.geomspace(100, 8000, 9), 3.0),
    "full_plane": lambda k: power_spectrum(k, np.geomspace(100, 8000, 9), 3.0, mode_weights="full_plane"),
    "minkowski": lambda k: jnp.stack(minkowski_functionals(k, PAPER_THRESHOLDS)),
    "pixels": lambda k: pixel_histogram(k, PAPER_THRESHOLDS, normalised=True),
    "peaks": lambda k: peak_counts(k, PAPER_THRESHOLDS, normalised=True),
    "moments": lambda k: moments(k),
    "equilateral": lambda k: bispectrum(k, np.geomspace(100, 4000, 5), 3.0),
    "folded": lambda k: bispectrum(k, np.geomspace(100, 4000, 5), 3.0, configuration="folded"),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_roll_and_transpose(name):
    with jax.enable_x64(True):
        kappa = jax.random.normal(jax.random.key(4), (64, 64), jnp.float64)
        statistic = jax.jit(STATISTICS[name])
        found = statistic(kappa)
        close(statistic(jnp.roll(kappa, (5, -9), (0, 1))), found, 1e-9)
        if name in ("full_plane", "minkowski", "pixels", "peaks", "moments"):
            close(statistic(kappa.T), found, 1e-9)
        elif name == "power_spectrum":
            # The half plane is not symmetric: few modes, two columns counted double.
            assert np.max(np.abs(statistic(kappa.T) / found - 1)) > 0.05


@pytest.mark.parametrize("name", STATISTICS)
def test_batches_equal_single_maps(name):
    kappa = jax.random.normal(jax.random.key(3), (2, 3, 32, 32))
    statistic = STATISTICS[name]
    of_one = jax.jit(statistic)
    single = jnp.stack([jnp.stack([of_one(k) for k in row]) for row in kappa])
    if name == "minkowski":
        single = jnp.moveaxis(single, 2, 0)
    batched = jax.jit(statistic)(kappa)
    close(batched, np.asarray(single), 1e-5)
    assert statistic(kappa[:0]).size == 0


def test_gaussian_field_has_its_analytic_functionals():
    # Tomita 1986, unit variance: V1 = sqrt(tau)/8 exp(-nu^2/2), V2 = tau nu exp(-nu^2/2)/(2 pi)^(3/2), tau half
    # the mean squared gradient. White noise smoothed over 6 pixels, so that differences are derivatives.
    with jax.enable_x64(True):
        frequency = jnp.fft.fftfreq(256)
        filter_ = jnp.exp(-2 * (jnp.pi * 6) ** 2 * (frequency[:, None] ** 2 + frequency[None, :129] ** 2))
        white = jax.random.normal(jax.random.key(2), (32, 256, 256), jnp.float64)
        kappa = jnp.fft.irfft2(jnp.fft.rfft2(white) * filter_, (256, 256))
        kappa = (kappa - kappa.mean((1, 2), keepdims=True)) / kappa.std((1, 2), keepdims=True)
        nu = (PAPER_THRESHOLDS[1:] + PAPER_THRESHOLDS[:-1]) / 2
        v0, v1, v2 = (np.asarray(v) for v in minkowski_functionals(kappa, PAPER_THRESHOLDS))
        values = np.asarray(moments(kappa))
        tau = float((values[:, 1] ** 2 / values[:, 0] ** 2).mean() / 2)
    gauss = np.exp(-(nu**2) / 2)
    # Sampling noise of 32 maps of about 450 patches each: 1 % of the maximum; finite differences: 2 %.
    close(v0.mean(0), norm.sf(nu), 0.02)
    close(v1.mean(0), np.sqrt(tau) / 8 * gauss, 0.03)
    close(v2.mean(0), tau * nu * gauss / (2 * np.pi) ** 1.5, 0.06)


def directional(f, kappa, direction, step):
    return (f(kappa + step * direction) - f(kappa - step * direction)) / (2 * step)


@pytest.mark.parametrize("weights", ["half_plane", "full_plane"])
def test_power_spectrum_gradient(weights):
    with jax.enable_x64(True):
        kappa, direction = jax.random.normal(jax.random.key(5), (2, 16, 16), jnp.float64)
        spectrum = functools.partial(power_spectrum, l_edges=np.geomspace(50, 2000, 6), side_deg=3.0)
        _, tangent = jax.jvp(lambda k: spectrum(k, mode_weights=weights), (kappa,), (direction,))
        expected = directional(lambda k: spectrum(k, mode_weights=weights), kappa, direction, 1e-4)
        np.testing.assert_allclose(tangent, expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max())
        gradient = jax.grad(lambda k: spectrum(k, mode_weights=weights).sum())(jnp.zeros((16, 16)))
        assert np.isfinite(gradient).all()


def test_smooth_functionals_have_true_gradients_and_become_the_hard_ones():
    thresholds = np.linspace(-1.5, 1.5, 5)
    with jax.enable_x64(True):
        kappa, direction = jax.random.normal(jax.random.key(6), (2, 24, 24), jnp.float64)

        def smooth(k, width=0.3):
            return jnp.stack(minkowski_functionals(k, thresholds, smooth_width=width))

        _, tangent = jax.jvp(smooth, (kappa,), (direction,))
        expected = directional(smooth, kappa, direction, 1e-5)
        np.testing.assert_allclose(tangent, expected, rtol=1e-5, atol=1e-7 * np.abs(expected).max())
        hard = jnp.stack(minkowski_functionals(kappa, thresholds))
        distance = [float(jnp.abs(smooth(kappa, width) - hard).max()) for width in (0.3, 0.03, 1e-6)]
        assert distance[0] > distance[1] > distance[2]
        assert distance[2] < 1e-9
        flat = jax.grad(lambda k: smooth(k)[1:].sum())(jnp.zeros((8, 8)).at[3, 3].set(1.0))
        assert np.isfinite(flat).all()


def test_mask_hides_what_lies_under_it():
    kappa = np.array(GOLDEN["masked64/map"])
    mask = GOLDEN["masked64/mask"].astype(bool)
    hidden = np.where(mask, kappa, np.nan)
    for statistic in (
        lambda k: jnp.stack(minkowski_functionals(k, PAPER_THRESHOLDS, mask=mask)),
        lambda k: moments(k, mask),
    ):
        np.testing.assert_array_equal(statistic(jnp.asarray(kappa)), statistic(jnp.asarray(hidden)))
        assert np.isnan(statistic(jnp.asarray(kappa).at[tuple(np.argwhere(mask)[0])].set(np.nan))).all()


@pytest.mark.parametrize(
    "name", [name for name in STATISTICS if "plane" not in name and "spectrum" not in name]
)
def test_nan_is_never_a_silent_number(name):
    found = STATISTICS[name](jnp.ones((32, 32)).at[3, 4].set(jnp.nan))
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: power_spectrum(k, [3.0, 2.0], 1.0), "l_edges must increase"),
        (lambda k: power_spectrum(k, [3.0], 1.0), "at least 2 edges"),
        (lambda k: power_spectrum(k[:4], [1.0, 2.0], 1.0), "must be square"),
        (lambda k: power_spectrum(k, [1.0, 2.0], -1.0), "side_deg=-1.0"),
        (lambda k: power_spectrum(k, [1.0, 2.0], 1.0, mode_weights="all"), "mode_weights='all'"),
        (lambda k: power_spectrum(k.astype(bool), [1.0, 2.0], 1.0), "dtype=bool"),
        (lambda k: power_spectrum(k + 1j, [1.0, 2.0], 1.0), "dtype=complex64"),
        (lambda k: minkowski_functionals(k, [1.0, 1.0]), "thresholds must increase"),
        (lambda k: minkowski_functionals(k, [0.0, 1.0], mask=np.ones((4, 4), bool)), "mask.shape=\\(4, 4\\)"),
        (lambda k: minkowski_functionals(k, [0.0, 1.0], smooth_width=0.0), "smooth_width=0.0"),
        (lambda k: moments(k[0]), "kappa.shape=\\(8,\\)"),
        (lambda k: pixel_histogram(k, [0.0, np.nan]), "edges=nan must be finite"),
        (lambda k: peak_counts(k, [[0.0, 1.0]]), "thresholds of shape"),
        (lambda k: bispectrum(k, [1.0, 2.0], 1.0, configuration="squeezed"), "configuration='squeezed'"),
        (lambda k: bispectrum(k, [1.0, 2.0], 1.0, ratio=0.0), "ratio=0.0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((8, 8)))
    with pytest.raises(ValueError, match=message):
        jax.jit(call)(jnp.zeros((8, 8)))


@pytest.mark.parametrize("width", [0.5, 1.5, 3.0])
def test_weak_bins_in_float32_are_as_good_as_is_said(width):
    """Smoothed maps, whose bins span 1e-2 to 1e-16 of the largest power, against float64 of the same pixels."""
    k = 2 * np.pi * np.fft.fftfreq(256)
    squared = k[:, None] ** 2 + (2 * np.pi * np.fft.rfftfreq(256)) ** 2
    modes = np.fft.rfft2(np.random.default_rng(0).normal(size=(256, 256)))
    kappa = np.fft.irfft2(modes * np.exp(-squared * width**2 / 2) / (1 + 100 * squared)).astype(np.float32)
    found = np.asarray(power_spectrum(kappa, PAPER_L_EDGES, 0.866), np.float64)
    with jax.enable_x64(True):
        exact = np.asarray(power_spectrum(kappa.astype(np.float64), PAPER_L_EDGES, 0.866))
    there = exact > 1e-14 * exact.max()
    # The largest of hundreds of bins: twice what is said of one.
    allowed = 2 * np.maximum(5e-9 * np.sqrt(exact.max() / exact[there]), 5e-7)
    assert (np.abs(found[there] / exact[there] - 1) < allowed).all()
    assert there.sum() > 50
