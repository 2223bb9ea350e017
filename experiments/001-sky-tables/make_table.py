"""Make cosmogan_jax/sky/tables/paper_power.npz: matter power of the paper's cosmology, by CAMB.

python experiments/001-sky-tables/make_table.py
"""

from pathlib import Path

import numpy as np

from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY
from cosmogan_jax.sky.matter_power import REDSHIFTS, camb_matter_power

OUT = Path(__file__).resolve().parents[2] / "cosmogan_jax/sky/tables/paper_power.npz"


def main():
    power = camb_matter_power(PAPER_COSMOLOGY)
    np.savez(
        OUT,
        log_k=power.log_k.astype(np.float32),
        redshift=REDSHIFTS.astype(np.float32),
        log_linear=power.log_linear.astype(np.float32),
        log_nonlinear=power.log_nonlinear.astype(np.float32),
        source=f"{power.source}, halofit takahashi; k in h/Mpc, P in (Mpc/h)^3",
    )
    print(power.source, power.log_nonlinear.shape, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
