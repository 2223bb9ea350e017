"""Make cosmogan_jax/sky/tables/paper_power.npz: non-linear matter power of the paper's cosmology, by CAMB.

python experiments/001-sky-tables/make_table.py
"""

from pathlib import Path

import camb
import numpy as np

OMEGA_M, OMEGA_B, H, SIGMA8, N_S = 0.26, 0.046, 0.72, 0.798, 0.96
OUT = Path(__file__).resolve().parents[2] / "cosmogan_jax/sky/tables/paper_power.npz"


def cosmology(amplitude):
    """CAMB's parameters without a matter power table: kmax=150 beside a lensing window takes 11 GB."""
    params = camb.set_params(
        H0=100 * H,
        ombh2=OMEGA_B * H**2,
        omch2=(OMEGA_M - OMEGA_B) * H**2,
        mnu=0.0,
        omk=0.0,
        As=amplitude,
        ns=N_S,
        halofit_version="takahashi",
    )
    params.NonLinear = camb.model.NonLinear_both
    return params


def results(amplitude, redshifts):
    params = cosmology(amplitude)
    params.set_matter_power(redshifts=redshifts, kmax=150.0)
    return camb.get_results(params)


def main():
    first = results(2e-9, [0.0])
    amplitude = 2e-9 * (SIGMA8 / first.get_sigma8_0()) ** 2
    redshift = np.linspace(0, 3, 31)
    final = results(amplitude, redshift[::-1])
    k, z, power = final.get_matter_power_spectrum(minkh=1e-4, maxkh=150.0, npoints=256)
    np.savez(
        OUT,
        log_k=np.log(k).astype(np.float32),
        redshift=np.asarray(z, np.float32),
        log_power=np.log(power).astype(np.float32),
        source=f"CAMB {camb.__version__}, halofit takahashi; k in h/Mpc, P in (Mpc/h)^3",
    )
    print("sigma8", final.get_sigma8_0(), "As", amplitude, power.shape, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
