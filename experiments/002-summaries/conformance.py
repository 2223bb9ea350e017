"""Worst deviation of every summary statistic from LensTools' values, relative to the statistic's maximum.

python experiments/002-summaries/conformance.py tests/golden/lenstools_synthetic.npz
"""

import argparse
import json

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.summaries import (
    bispectrum,
    minkowski_functionals,
    moments,
    peak_counts,
    pixel_histogram,
    power_spectrum,
)


def statistics_of(golden, name, dtype):
    kappa = jnp.asarray(golden[f"{name}/map"], dtype)
    side, mask = float(golden[f"{name}/side_deg"]), golden.get(f"{name}/mask")
    if mask is None:
        for bins in ("lin", "log", "mode"):
            edges = golden[f"edges/l_{bins}"]
            yield f"ps_{bins}", power_spectrum(kappa, edges, side)
            yield f"bispec_eq_{bins}", bispectrum(kappa, edges, side)
            yield f"bispec_fold05_{bins}", bispectrum(kappa, edges, side, configuration="folded")
    for form, pixels, peaks, normalised in (
        ("norm", "t_paper", "t_peak_norm", True),
        ("raw", "t_raw", "t_peak_raw", False),
        ("nonuni", "t_nonuni", "t_nonuni", True),
    ):
        edges = golden[f"edges/{pixels}"]
        if mask is None:
            yield f"pdf_{form}", pixel_histogram(kappa, edges, normalised=normalised)
            yield f"peaks_{form}", peak_counts(kappa, golden[f"edges/{peaks}"], normalised=normalised)
        functionals = minkowski_functionals(kappa, edges, normalised=normalised, mask=mask)
        for key, values in functionals._asdict().items():
            yield f"mf_{form}_{key}", values
    yield "moments", moments(kappa, mask)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("golden", help="npz file of reference values")
    path = parser.parse_args().golden
    with np.load(path, allow_pickle=False) as opened:
        golden = dict(opened)
    names = sorted({key.split("/")[0] for key in golden} - {"edges", "meta"})
    result = {}
    for dtype in ("float64", "float32"):
        worst, nan_patterns = {}, []
        for name in names:
            with jax.enable_x64(dtype == "float64"):
                found = {k: np.asarray(v) for k, v in statistics_of(golden, name, dtype)}
            for key, values in found.items():
                reference = golden.get(f"{name}/{key}")
                if reference is None:
                    continue
                if (np.isnan(values) != np.isnan(reference)).any():
                    nan_patterns.append(f"{name}/{key}")
                    continue
                scale = np.nanmax(np.abs(reference), initial=0) or 1.0
                deviation = float(np.nanmax(np.abs(values - reference), initial=0) / scale)
                if deviation >= worst.get(key, (0, ""))[0]:
                    worst[key] = (float(f"{deviation:.2g}"), name)
        result[dtype] = {"worst": worst, "other_nan_pattern": nan_patterns}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
