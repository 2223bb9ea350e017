"""Fisher matrices of bands against closed forms; planted biases; the response of the bands to the cosmology."""

import dataclasses
import sys

import numpy as np
import pytest

from cosmogan_jax.compare.fisher import independent_maps, infer, inverse_covariance
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.sky import response
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, Cosmology
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.matter_power import MatterPower, camb_matter_power, paper_matter_power
from cosmogan_jax.sky.response import band_response, displaced, displaced_power

RNG = np.random.default_rng(0)
BANDS, MAPS = 6, 4000
SCATTER = np.geomspace(3e-12, 1e-9, BANDS)
DERIVATIVES = np.stack([SCATTER * np.linspace(1, 2, BANDS), SCATTER * np.linspace(2, -1, BANDS)], -1)
AREAS = {"map_deg2": 0.5, "survey_deg2": 50.0}


def bands_of(maps, scale=1.0):
    """Independent normal bands of very different size."""
    return 3 * SCATTER + scale * SCATTER * RNG.normal(size=(maps, BANDS))


def test_closed_form():
    a, b = np.arange(MAPS), np.arange(2 * MAPS)
    found = infer(bands_of(MAPS, 0.5), bands_of(2 * MAPS), DERIVATIVES, a, b, seed=0, **AREAS)
    relative = DERIVATIVES / SCATTER[:, None]
    sigma = np.sqrt(np.diag(np.linalg.inv(relative.T @ relative)))
    # 100 maps to the survey; the covariance's own scatter is about 1/sqrt(2 N).
    np.testing.assert_allclose(found.sigma_of_survey.value, sigma / 10, rtol=0.03)
    # Half the scatter: four times the Fisher matrix, in two parameters.
    np.testing.assert_allclose(found.sigma_ratio.value, 0.5, rtol=0.04)
    assert found.figure_of_merit_ratio.value == pytest.approx(4, rel=0.06)
    assert abs(found.figure_of_merit_ratio.value - 4) < 4 * found.figure_of_merit_ratio.standard_error
    np.testing.assert_allclose(found.bias_of_survey.value, 10 * found.bias_of_one_map.value)
    np.testing.assert_allclose(found.bias_of_survey.value, found.bias.value / found.sigma_of_survey.value)
    assert found.maps_validation == pytest.approx(2 * MAPS, rel=0.05)


def test_a_planted_bias_is_recovered():
    validation, bias = bands_of(MAPS), np.array([0.02, -0.01])
    parents = np.arange(MAPS)
    same = infer(validation + DERIVATIVES @ bias, validation, DERIVATIVES, parents, parents, seed=1, **AREAS)
    np.testing.assert_allclose(same.bias.value, bias, rtol=1e-8)
    other = infer(
        bands_of(MAPS) + DERIVATIVES @ bias, validation, DERIVATIVES, parents, parents, seed=1, **AREAS
    )
    assert (np.abs(other.bias.value - bias) < 4 * other.bias.standard_error).all()
    # A mean of N maps knows a parameter to its standard deviation over sqrt(N); here two means.
    expected = np.sqrt(2 / MAPS) * other.sigma_of_survey.value * 10
    np.testing.assert_allclose(other.bias.standard_error, expected, rtol=0.2)
    # Sets of as many parents are drawn independently of each other, be they the same maps.
    np.testing.assert_allclose(same.bias.standard_error, expected, rtol=0.2)


def test_errors_are_those_of_repeated_trials():
    # 5 crops of one parent share half of their variance.
    rng = np.random.default_rng(1)

    def crops(parents):
        shared = np.repeat(rng.normal(size=(parents, BANDS)), 5, 0)
        return SCATTER * (shared + rng.normal(size=shared.shape)) / np.sqrt(2)

    labels, biases, errors = np.repeat(np.arange(60), 5), [], []
    for trial in range(240):
        found = infer(crops(60), crops(60), DERIVATIVES, labels, labels, seed=trial, num_resamples=20, **AREAS)
        biases.append(found.bias.value)
        errors.append(found.bias.standard_error)
    # 240 trials know a scatter to 4.6 %; crops taken for independent maps would have errors of 0.58 of it.
    np.testing.assert_allclose(np.std(biases, axis=0), np.mean(errors, axis=0), rtol=0.14)


def test_inverse_covariance_is_unbiased():
    # Hartlap's factor of 10 bands from 30 maps is 0.62.
    found = [inverse_covariance(RNG.normal(size=(30, 10)), np.ones(30), 30) for _ in range(1500)]
    np.testing.assert_allclose(np.mean(found, axis=0), np.eye(10), atol=0.05)


def test_copies_are_no_independent_maps():
    values = RNG.normal(size=(500, 4))
    copied = independent_maps(np.repeat(values, 8, axis=0), np.repeat(np.arange(500), 8))
    assert copied == pytest.approx(500, rel=0.02)
    alone = independent_maps(RNG.normal(size=(4000, 4)), np.repeat(np.arange(500), 8))
    assert alone == pytest.approx(4000, rel=0.15)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generated": np.full((40, BANDS), np.nan)}, r"generated\[0, 0\]=nan must be finite"),
        ({"generated": bands_of(14)}, "generated: 14 independent maps are too few for 6 bands, which need 18"),
        ({"validation": np.ones((40, BANDS))}, "validation band 0 does not vary"),
        ({"validation": RNG.normal(size=(40, 21))}, "at most 20 bands"),
        ({"derivatives": DERIVATIVES[:, [0, 0]]}, "zero or proportional to each other"),
        ({"derivatives": DERIVATIVES[:4]}, r"derivatives.shape=\(4, 2\)"),
        ({"survey_deg2": 0.0}, "survey_deg2=0.0 must be positive"),
    ],
)
def test_bad_input_is_named(changes, said):
    given = (
        {"generated": bands_of(40), "validation": bands_of(40), "derivatives": DERIVATIVES} | AREAS | changes
    )
    parents = {f"{name}_parents": np.arange(len(given[name])) for name in ("generated", "validation")}
    with pytest.raises(ValueError, match=said):
        infer(**given, **parents, seed=0)


GEOMETRY = MapGeometry(32, 3.0)
EDGES = log_l_edges(GEOMETRY, 6)


def test_power_is_the_mean_over_the_modes_of_the_map():
    found = band_response(EDGES, GEOMETRY, PAPER_COSMOLOGY, 1.0, pixel_window=False)
    frequencies = np.fft.fftfreq(32, 1 / 32) * GEOMETRY.fundamental_ell
    ell = np.hypot(frequencies[:, None], frequencies)
    inside = (ell > EDGES[3]) & (ell <= EDGES[4])
    assert found.power[3] == pytest.approx(convergence_power(ell[inside], 1.0).mean(), rel=1e-6)


def test_sizes_of_the_derivatives():
    found = band_response(EDGES, GEOMETRY, PAPER_COSMOLOGY, 1.0)
    by_log = found.logarithmic * [PAPER_COSMOLOGY.omega_m, PAPER_COSMOLOGY.sigma8]
    # Linear power goes as sigma8^2, non-linear power as about sigma8^3 (Jain & Seljak 1997, ApJ 484, 560);
    # with Omega_m by a factor Omega_m^1.2 to 1.7 in the convergence.
    assert (by_log[:, 1] > 1.9).all()
    assert (by_log[:, 1] < 3.3).all()
    assert (by_log[:, 0] > 0.8).all()
    assert (by_log[:, 0] < 2.2).all()
    lowest = band_response(np.array([10.0, 25.0]), MapGeometry(16, 20.0), PAPER_COSMOLOGY, 1.0).logarithmic
    assert lowest[0, 1] * PAPER_COSMOLOGY.sigma8 == pytest.approx(2, abs=0.05)


def test_derivatives_converge_with_the_step():
    # What a central difference leaves out falls with the square of the step.
    at = {step: band_response(EDGES, GEOMETRY, PAPER_COSMOLOGY, 1.0, step=step) for step in (0.1, 0.05, 0.02)}
    far, near = (np.abs(at[step].derivatives / at[0.02].derivatives - 1) for step in (0.1, 0.05))
    assert far.max() < 0.02
    assert (near < 0.35 * far + 1e-6).all()


def test_windows():
    plain = band_response(EDGES, GEOMETRY, PAPER_COSMOLOGY, 1.0, pixel_window=False)
    seen = band_response(EDGES, GEOMETRY, PAPER_COSMOLOGY, 1.0, smoothing_arcmin=2.0)
    assert (seen.power < plain.power).all()
    # Within a band windows weigh the modes anew; in the first one they hardly do.
    np.testing.assert_allclose(seen.logarithmic[0], plain.logarithmic[0], rtol=1e-3)
    np.testing.assert_allclose(seen.logarithmic, plain.logarithmic, rtol=0.05)
    one_mode = np.array([119.0, 121.0])
    ratio = [
        band_response(one_mode, GEOMETRY, PAPER_COSMOLOGY, 1.0, smoothing_arcmin=s).power[0] for s in (0.0, 5.0)
    ]
    assert ratio[1] / ratio[0] == pytest.approx(np.exp(-((120 * np.radians(5 / 60)) ** 2)), rel=1e-6)


def test_stored_derivatives_are_cambs():
    # CAMB takes seconds for every cosmology; the derivative by sigma8 is held to theory above.
    name, relative = "omega_m", 0.03
    table, camb = (
        displaced_power(PAPER_COSMOLOGY, name, relative),
        camb_matter_power(displaced(PAPER_COSMOLOGY, name, relative)),
    )
    k = np.geomspace(1e-3, 100, 60)
    for z in (0.0, 0.9):
        change = np.log(camb.nonlinear(k, z) / paper_matter_power().nonlinear(k, z))
        found = np.log(table.nonlinear(k, z) / paper_matter_power().nonlinear(k, z))
        # The table's own float32 and CAMB's sigma8 (1e-3), and the second derivative, relative^2 times about 1.
        np.testing.assert_allclose(found, change, atol=2e-3)
        assert np.abs(change).max() > 0.02


def power_law(cosmology):
    """P = sigma8^2 / k at every redshift: closed forms."""
    log_k = paper_matter_power().log_k
    log_p = 2 * np.log(cosmology.sigma8) - log_k
    return MatterPower(cosmology, log_k, log_p, np.tile(log_p, (31, 1)), source="power law")


def test_any_cosmology_by_camb(monkeypatch):
    monkeypatch.setattr(response, "camb_matter_power", power_law)
    cosmology = dataclasses.replace(PAPER_COSMOLOGY, sigma8=0.9, omega_m=0.3, omega_lambda=0.7)
    response.displaced_power.cache_clear()
    try:
        found = band_response(EDGES, GEOMETRY, cosmology, 1.0)
        # Central differences of a square are exact.
        np.testing.assert_allclose(found.logarithmic[:, 1], 2 / 0.9, rtol=1e-6)
        # l C_l does not depend on ell (but for l + 1/2): no band differs from another by its Omega_m.
        np.testing.assert_allclose(found.logarithmic[:, 0], found.logarithmic[0, 0], rtol=1e-4)
    finally:
        response.displaced_power.cache_clear()


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "camb", None)
    band_response(EDGES, GEOMETRY, PAPER_COSMOLOGY, 0.5)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'cosmogan_jax\[sky\]'"):
        band_response(EDGES, GEOMETRY, dataclasses.replace(PAPER_COSMOLOGY, sigma8=0.77), 0.5)
    with pytest.raises(ValueError, match="sigma8=None: a derivative by it needs it"):
        displaced(Cosmology(0.26, 0.74, 0.72), "sigma8", 0.1)
    with pytest.raises(ValueError, match=r"l_edges=1 to 2 hold no mode"):
        band_response([1.0, 2.0], GEOMETRY, PAPER_COSMOLOGY, 0.5)
    for changes in ({"step": 0.0}, {"smoothing_arcmin": -1.0}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            band_response(EDGES, GEOMETRY, PAPER_COSMOLOGY, 0.5, **changes)
