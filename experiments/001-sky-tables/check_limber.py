"""The Limber convergence power from the stored table against CAMB: its source windows and its matter power.

python experiments/001-sky-tables/check_limber.py > experiments/001-sky-tables/results.json
"""

import json

import camb
import numpy as np
from camb.sources import GaussianSourceWindow

from cosmogan_jax.sky.cosmology import HUBBLE_DISTANCE, PAPER_COSMOLOGY
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.matter_power import camb_amplitude, camb_parameters

WINDOW_ELL = [30, 100, 300, 700, 1000, 2000, 4000, 7000]
LIMBER_ELL = [100, 1000, 5000, 10000, 20000, 40000, 53000, 75000]
K_MAX = 500.0  # h/Mpc, for the second check: beyond the stored table's 150


def window_power(params, redshift):
    """C_l of a lensing source window of width 0.005 about the redshift."""
    params.set_for_lmax(8000, lens_potential_accuracy=4)
    params.WantCls, params.Want_CMB = True, False
    params.NonLinear = camb.model.NonLinear_both
    params.SourceWindows = [GaussianSourceWindow(redshift=redshift, source_type="lensing", sigma=0.005)]
    return camb.get_results(params).get_source_cls_dict(raw_cl=True, lmax=8000)["W1xW1"][WINDOW_ELL]


def limber_power(params, redshift):
    """The same integral on CAMB's own matter power to K_MAX and CAMB's own distances, 4000 steps."""
    background = camb.get_background(params)
    matter = camb.get_matter_power_interpolator(params, nonlinear=True, kmax=K_MAX, zmax=redshift + 0.01)
    source = background.comoving_radial_distance(redshift) * PAPER_COSMOLOGY.h
    chi = np.linspace(1e-4, 1, 4001)[:-1] * source
    z = background.redshift_at_comoving_radial_distance(chi / PAPER_COSMOLOGY.h)
    power = []
    for ell in LIMBER_ELL:
        k = (ell + 0.5) / chi
        p = np.where(k < K_MAX, matter.P(z, np.minimum(k, K_MAX), grid=False), 0.0)
        power.append(np.trapezoid(((1 + z) * (1 - chi / source)) ** 2 * p, chi))
    return 2.25 * PAPER_COSMOLOGY.omega_m**2 / HUBBLE_DISTANCE**4 * np.array(power)


def main():
    amplitude = camb_amplitude(PAPER_COSMOLOGY)
    found = {"camb": camb.__version__, "amplitude": amplitude}
    for redshift in (0.5, 1.0):
        window = window_power(camb_parameters(PAPER_COSMOLOGY, amplitude), redshift)
        limber = limber_power(camb_parameters(PAPER_COSMOLOGY, amplitude), redshift)
        found[f"source_redshift_{redshift}"] = {
            "window_ell": WINDOW_ELL,
            "camb_window_power": [float(f"{p:.6e}") for p in window],
            "ours_to_camb_window": [
                round(float(r), 4) for r in convergence_power(WINDOW_ELL, redshift) / window
            ],
            "limber_ell": LIMBER_ELL,
            "ours_to_camb_limber": [
                round(float(r), 4) for r in convergence_power(LIMBER_ELL, redshift) / limber
            ],
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
