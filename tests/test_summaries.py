"""Statistics against LensTools' values, closed forms and invariances."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.summaries import (
    PAPER_L_EDGES,
    PAPER_THRESHOLDS,
    minkowski_functionals,
    moments,
    peak_counts,
    pixel_histogram,
    power_spectrum,
)

GOLDEN = np.load(Path(__file__).parent / "golden/lenstools_synthetic.npz", allow_pickle=False)
EXACT = 1e-10  # of the statistic's maximum, float64
# float32 against float64: V1, V2 and histograms move where pixels cross a bin edge.
FLOAT32 = {"power": 1e-5, "minkowski": 2e-3, "pixels": 2e-3}
MAPS = (
    "grf0",
    "grf1",
    "lognormal0",
    "lognormal1",
    "odd63",
    "tiny16",
    "quantised64",
    "onedge64",
    "f64_nearties32",
)


def close(ours, reference, tolerance=EXACT):
    np.testing.assert_allclose(ours, reference, rtol=0, atol=tolerance * np.abs(reference).max())


def edges(name):
    return GOLDEN[f"edges/{name}"]


@pytest.mark.parametrize("name", MAPS)
def test_power_spectrum_equals_lenstools(name):
    side = float(GOLDEN[f"{name}/side_deg"])
    with jax.enable_x64(True):
        kappa = jnp.asarray(GOLDEN[f"{name}/map"], jnp.float64)
        for bins in ("lin", "log"):
            close(power_spectrum(kappa, edges(f"l_{bins}"), side), GOLDEN[f"{name}/ps_{bins}"])


@pytest.mark.parametrize("name", MAPS)
def test_minkowski_and_pixels_equal_lenstools(name):
    with jax.enable_x64(True):
        kappa = jnp.asarray(GOLDEN[f"{name}/map"], jnp.float64)
        for form, thresholds, normalised in (("norm", "t_paper", True), ("raw", "t_raw", False)):
            found = minkowski_functionals(kappa, edges(thresholds), normalised=normalised)
            for key, values in found._asdict().items():
                close(values, GOLDEN[f"{name}/mf_{form}_{key}"])


@pytest.mark.parametrize("name", MAPS)
def test_raw_pixel_histogram_equals_numpy(name):
    kappa = GOLDEN[f"{name}/map"].astype(np.float64)
    with jax.enable_x64(True):
        found = np.asarray(pixel_histogram(jnp.asarray(kappa), edges("t_raw")))
    counts = np.histogram(kappa, edges("t_raw"))[0]
    close(found, counts / counts.sum() / np.diff(edges("t_raw")))


# LensTools compares peaks after a cast to float32, which f64_nearties32 was made to show.
@pytest.mark.parametrize("name", [name for name in MAPS if name != "f64_nearties32"])
def test_peaks_moments_and_normalised_pixels_equal_lenstools(name):
    with jax.enable_x64(True):
        kappa = jnp.asarray(GOLDEN[f"{name}/map"], jnp.float64)
        close(peak_counts(kappa, edges("t_peak_norm"), normalised=True), GOLDEN[f"{name}/peaks_norm"])
        close(peak_counts(kappa, edges("t_peak_raw")), GOLDEN[f"{name}/peaks_raw"])
        close(pixel_histogram(kappa, edges("t_paper"), normalised=True), GOLDEN[f"{name}/pdf_norm"])
        found, reference = np.asarray(moments(kappa)), GOLDEN[f"{name}/moments"]
        np.testing.assert_allclose(found, reference, rtol=1e-8, atol=EXACT * np.abs(reference).max())


def test_constant_map_has_no_normalised_histogram():
    assert np.isnan(pixel_histogram(jnp.ones((8, 8)), edges("t_paper"), normalised=True)).all()


def test_float32_stays_near():
    kappa, side = GOLDEN["grf0/map"], float(GOLDEN["grf0/side_deg"])
    close(power_spectrum(kappa, edges("l_lin"), side), GOLDEN["grf0/ps_lin"], FLOAT32["power"])
    for key, values in minkowski_functionals(kappa, edges("t_paper"))._asdict().items():
        close(values, GOLDEN[f"grf0/mf_norm_{key}"], FLOAT32["minkowski"])


def test_paper_edges_are_lenstools_edges():
    np.testing.assert_array_equal(PAPER_L_EDGES, edges("l_lin"))
    np.testing.assert_array_equal(PAPER_THRESHOLDS, edges("t_paper"))


def test_parseval_and_symmetry():
    kappa = jax.random.normal(jax.random.key(0), (2, 64, 64)) + 0.5
    every = np.array([-1.0, 1e9])
    side = 3.0
    total = power_spectrum(kappa, every, side, mode_weights="full_plane")[:, 0] / np.radians(side) ** 2 * 64**2
    np.testing.assert_allclose(total, (kappa**2).mean((1, 2)) * 1, rtol=1e-5)
    bins = np.geomspace(100, 8000, 9)
    full = power_spectrum(kappa, bins, side, mode_weights="full_plane")
    np.testing.assert_allclose(
        full, power_spectrum(kappa.swapaxes(1, 2), bins, side, mode_weights="full_plane"), rtol=1e-4
    )
    rolled = jnp.roll(kappa, (5, -9), (1, 2))
    np.testing.assert_allclose(full, power_spectrum(rolled, bins, side, mode_weights="full_plane"), rtol=1e-4)


def test_cosine_falls_into_its_bin():
    x = jnp.cos(2 * jnp.pi * 5 * jnp.arange(64) / 64)
    power = power_spectrum(jnp.broadcast_to(x, (64, 64)), np.arange(0.5, 10) * 360 / 2.0, 2.0)
    assert int(jnp.argmax(power)) == 4
    assert float(power[4]) > 0.999 * float(power.sum())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: power_spectrum(k, [3.0, 2.0], 1.0), "l_edges must increase"),
        (lambda k: power_spectrum(k, [3.0], 1.0), "at least two edges"),
        (lambda k: power_spectrum(k[:4], [1.0, 2.0], 1.0), "must be square"),
        (lambda k: power_spectrum(k, [1.0, 2.0], -1.0), "side_deg=-1.0"),
        (lambda k: power_spectrum(k.astype(int), [1.0, 2.0], 1.0), "dtype=int32"),
        (lambda k: minkowski_functionals(k, [1.0, 1.0]), "thresholds must increase"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((8, 8)))
