"""Matter power by CAMB against the stored table, and for dark energy that is not a constant."""

import sys

import numpy as np
import pytest

from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, Cosmology, comoving_distance, growth
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.matter_power import camb_matter_power, matter_power, paper_matter_power

# CAMB's steps in k are good to 1.5e-3 of the power beside the CMB's spectra, as the table was made, and to 9e-4
# without them, as it is called now (against three times as fine ones, 2026-11-28).
TABLE = 1.5e-3
# Of sigma8: CAMB's integral over those steps. 6e-4 was found where baryons are half of the matter.
SIGMA8 = 1e-3


def test_stored_table_is_cambs():
    stored, made = paper_matter_power(), camb_matter_power(PAPER_COSMOLOGY)
    k = np.geomspace(2e-4, 140, 100)
    np.testing.assert_allclose(stored.linear(k), made.linear(k), rtol=TABLE)
    np.testing.assert_allclose(stored.nonlinear(k, 0.7), made.nonlinear(k, 0.7), rtol=TABLE)


def test_the_stored_table_is_used_for_the_papers_cosmology_only():
    assert matter_power(PAPER_COSMOLOGY) is paper_matter_power()
    other = matter_power(Cosmology(**{**vars(PAPER_COSMOLOGY), "sigma8": 0.9}))
    k = np.array([0.01, 0.1])
    np.testing.assert_allclose(other.linear(k) / paper_matter_power().linear(k), (0.9 / 0.798) ** 2, rtol=TABLE)


def sigma8_of(power):
    """The integral itself: d ln k k^3 P(k) / 2 pi^2 times the square of a top hat's transform, R = 8 Mpc/h."""
    k = np.geomspace(1e-4, 140, 100_000)
    x = 8 * k
    window = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    return np.sqrt(np.trapezoid(k**3 * power.linear(k) * window**2 / (2 * np.pi**2), np.log(k)))


def test_amplitudes_of_which_camb_computes_no_lensing_of_the_cmb():
    """ "Lensing requires a realistically normalized spectrum", it says: P(k = 0.05/Mpc) > 2e-8."""
    cosmology = Cosmology(**{**vars(PAPER_COSMOLOGY), "omega_m": 0.1, "omega_lambda": 0.9, "sigma8": 1.2})
    power = matter_power(cosmology)
    assert sigma8_of(power) == pytest.approx(1.2, rel=SIGMA8)
    assert sigma8_of(paper_matter_power()) == pytest.approx(0.798, rel=SIGMA8)
    # Halofit is linear theory on large scales, and adds power to small ones.
    assert power.nonlinear(1e-3, 0.0) == pytest.approx(power.linear(1e-3), rel=1e-3)
    assert power.nonlinear(10.0, 0.0) > 5 * power.linear(10.0)


def test_what_camb_cannot_compute_is_said_by_the_cosmology():
    few_baryons = Cosmology(**{**vars(PAPER_COSMOLOGY), "omega_b": 1e-3})
    with pytest.raises(ValueError, match=r"CAMB cannot compute .* omega_m=0.26, .* omega_b=0.001, .* recomb"):
        matter_power(few_baryons)


@pytest.mark.slow
def test_dark_energy_with_w_other_than_minus_1():
    import camb

    cosmology = Cosmology(**{**vars(PAPER_COSMOLOGY), "w0": -0.8, "wa": -0.2})
    power = matter_power(cosmology)
    params = camb.set_params(
        H0=72.0, ombh2=0.046 * 0.72**2, omch2=0.214 * 0.72**2, mnu=0.0, omk=0.0, As=2e-9, ns=0.96,
        w=-0.8, wa=-0.2, dark_energy_model="ppf", TCMB=1.0,
    )  # fmt: skip
    params.set_matter_power(redshifts=[1.0, 0.0], kmax=5.0)
    results = camb.get_results(params)
    _, redshift, linear = results.get_linear_matter_power_spectrum()
    ratio = np.sqrt(linear[list(redshift).index(1.0), -1] / linear[list(redshift).index(0.0), -1])
    # CAMB without radiation to speak of; dark energy clusters there, which the growth equation leaves out.
    assert float(growth(cosmology, 1.0).d) == pytest.approx(ratio, rel=1e-3)
    theirs = results.comoving_radial_distance(1.0) * 0.72
    assert float(comoving_distance(cosmology, 1.0)) == pytest.approx(theirs, rel=1e-4)
    assert convergence_power(1000.0, 1.0, power) != pytest.approx(convergence_power(1000.0, 1.0), rel=0.01)


def test_what_is_missing_is_said(monkeypatch):
    with pytest.raises(ValueError, match="sigma8=None: a matter power spectrum needs it"):
        matter_power(Cosmology(0.26, 0.74, 0.72, omega_b=0.046, n_s=0.96))
    monkeypatch.setitem(sys.modules, "camb", None)
    assert matter_power(PAPER_COSMOLOGY) is paper_matter_power()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'cosmogan_jax\[sky\]'"):
        matter_power(Cosmology(**{**vars(PAPER_COSMOLOGY), "w0": -0.9}))


def test_linear_theory_is_the_limit_of_long_waves():
    assert convergence_power(10.0, 1.0, linear=True) == pytest.approx(convergence_power(10.0, 1.0), rel=0.02)
    assert convergence_power(5000.0, 1.0, linear=True) < 0.2 * convergence_power(5000.0, 1.0)
