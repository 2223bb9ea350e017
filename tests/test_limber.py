"""The Limber power spectrum against CAMB's own, and smooth where the stored table ends."""

import numpy as np
import pytest

from cosmogan_jax.sky.limber import convergence_power

# C_l of a lensing source window (a Gaussian of width 0.005 in redshift), CAMB 2.0.5, Takahashi halofit; made by
# experiments/001-sky-tables/check_limber.py.
CAMB_ELL = np.array([100, 300, 700, 1000, 2000, 4000, 7000])
CAMB_POWER = {
    0.5: [1.474689e-09, 3.726921e-10, 1.405124e-10, 8.917521e-11, 3.159778e-11, 8.971638e-12, 2.854532e-12],
    1.0: [6.226093e-09, 1.382265e-09, 4.836162e-10, 3.164423e-10, 1.295091e-10, 4.429636e-11, 1.597002e-11],
}
# CAMB's windows, sampled at its default accuracy, differ from a converged Limber integral by up to 0.42 %.
CAMB_ACCURACY = 5e-3


@pytest.mark.parametrize("source_redshift", sorted(CAMB_POWER))
def test_power_equals_camb(source_redshift):
    found = convergence_power(CAMB_ELL, source_redshift)
    np.testing.assert_allclose(found, CAMB_POWER[source_redshift], rtol=CAMB_ACCURACY)


def test_power_goes_on_smoothly_beyond_the_table():
    # Sources at z 0.02 lie at 60 Mpc/h, so k passes the table's 150 h/Mpc everywhere above ell 9000.
    ell = np.geomspace(1000, 1e5, 60)
    slope = np.diff(np.log(convergence_power(ell, 0.02))) / np.diff(np.log(ell))
    assert np.isfinite(slope).all()
    assert np.abs(np.diff(slope)).max() < 0.1
    assert (slope < 0).all()


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("source_redshift", [0.02, 1.0])
def test_many_ell_are_interpolated(source_redshift, linear):
    ell = np.geomspace(1, 1e5, 3001).reshape(1, 3001)
    found = convergence_power(ell, source_redshift, linear=linear)
    assert found.shape == ell.shape
    few = [convergence_power(ell[0, i::60], source_redshift, linear=linear) for i in (0, 31)]
    np.testing.assert_allclose(found[0, 0::60], few[0], rtol=1e-6)
    np.testing.assert_allclose(found[0, 31::60], few[1], rtol=1e-6)
