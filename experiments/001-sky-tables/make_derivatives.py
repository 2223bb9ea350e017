"""Make cosmogan_jax/sky/tables/paper_derivatives.npz: d ln P(k, z) / d ln theta at the paper's cosmology.

python experiments/001-sky-tables/make_derivatives.py
"""

from pathlib import Path

import numpy as np

from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY
from cosmogan_jax.sky.matter_power import camb_matter_power
from cosmogan_jax.sky.response import PARAMETERS, STEP, displaced

OUT = Path(__file__).resolve().parents[2] / "cosmogan_jax/sky/tables/paper_derivatives.npz"


def by_logarithm(name, step):
    upper, lower = (camb_matter_power(displaced(PAPER_COSMOLOGY, name, sign * step)) for sign in (1, -1))
    width = np.log1p(step) - np.log1p(-step)
    linear, nonlinear = (
        (getattr(upper, of) - getattr(lower, of)) / width for of in ("log_linear", "log_nonlinear")
    )
    return {f"linear_{name}": linear, f"nonlinear_{name}": nonlinear}, upper.source


def main():
    arrays = {}
    for name in PARAMETERS:
        found, source = by_logarithm(name, STEP)
        half, _ = by_logarithm(name, STEP / 2)
        for key, values in found.items():
            print(key, values.shape, "half the step changes it by at most", np.abs(values - half[key]).max())
            arrays[key] = values.astype(np.float32)
    np.savez(OUT, **arrays, source=f"{source}, halofit takahashi; central differences, step {STEP}")
    print(OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
