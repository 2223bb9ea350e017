"""Stage evaluate: summary statistics of generated against validation maps, as tables."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.stages.settings import Evaluate
from cosmogan_jax.storage.crop_table import open_crop_table
from cosmogan_jax.storage.json_files import write_json
from cosmogan_jax.storage.map_store import open_map_store
from cosmogan_jax.storage.run_directory import stage_directory
from cosmogan_jax.summaries import PAPER_THRESHOLDS, minkowski_functionals, pixel_histogram, power_spectrum

_BATCH = 64
_PIXEL_BINS = 60
_SHOWN = 8


def run(settings: Evaluate, workdir: Path, out: Path) -> dict[str, Any]:
    """Write statistics.json (tables of mean and scatter over maps) and per-map statistics as npz."""
    table = open_crop_table(stage_directory(workdir, "prepare"))
    generated = open_map_store(stage_directory(workdir, "generate") / "maps")
    geometry = table.geometry
    if generated.geometry != geometry:
        raise ValueError(f"generated maps are {generated.geometry}, validation crops {geometry}")
    real = table.read("validation", generated.num_maps)
    l_edges = log_l_edges(geometry, settings.evaluate_l_bins)
    low, high = np.quantile(real, [1e-4, 1 - 1e-4])
    pixel_edges = np.linspace(low - 0.25 * (high - low), high + 0.25 * (high - low), _PIXEL_BINS + 1)

    @jax.jit
    def summarise(kappa):
        v = minkowski_functionals(kappa, PAPER_THRESHOLDS)
        return {
            "power_spectrum": power_spectrum(kappa, l_edges, geometry.side_deg, mode_weights="full_plane"),
            "pixels": pixel_histogram(kappa, pixel_edges),
            "V0": v.V0,
            "V1": v.V1,
            "V2": v.V2,
        }

    def summaries(read, count, name):
        parts = []
        for start in tqdm(range(0, count, _BATCH), desc=f"evaluate {name}", unit="batch", disable=None):
            kappa = read(start, min(start + _BATCH, count))
            if not np.isfinite(kappa).all():
                raise ValueError(f"{name} maps {start} to {start + len(kappa) - 1} hold non-finite values")
            parts.append({key: np.asarray(value) for key, value in summarise(kappa).items()})
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    of = {
        "generated": summaries(generated.read, generated.num_maps, "generated"),
        "validation": summaries(lambda a, b: real[a:b], len(real), "validation"),
    }
    for name, values in of.items():
        np.savez(out / f"{name}.npz", **values)
    np.savez(
        out / "shown.npz",
        generated=generated.read(0, min(_SHOWN, generated.num_maps)),
        validation=real[:_SHOWN],
    )
    ratio = of["generated"]["power_spectrum"].mean(0) / of["validation"]["power_spectrum"].mean(0)
    crops = table.crops["validation"]
    write_json(
        out / "statistics.json",
        {
            "num_generated": generated.num_maps,
            "num_validation": len(real),
            "validation_parent_maps": int(min(len(np.unique(crops[:, 0])), len(real))),
            "validation_boxes": len({table.manifest["boxes"][i] for i in np.unique(crops[:, 0])}),
            "side_deg": geometry.side_deg,
            "num_pixels": geometry.num_pixels,
            "source_redshift": table.manifest["source_redshift"],
            "l_edges": l_edges.tolist(),
            "pixel_edges": pixel_edges.tolist(),
            "thresholds": PAPER_THRESHOLDS.tolist(),
            "statistics": {
                key: {
                    name: {"mean": _list(values[key].mean(0)), "sigma": _list(values[key].std(0))}
                    for name, values in of.items()
                }
                for key in of["generated"]
            },
            "power_ratio": _list(ratio),
        },
    )
    middle = np.sqrt(l_edges[1:] * l_edges[:-1])
    band = (middle >= 700) & (middle <= 7000)
    known = band.any() and (ratio[band] > 0).all()
    worst = float(np.exp(np.abs(np.log(ratio[band])).max())) if known else None
    return {
        "worst_power_factor_ell_700_7000": worst,
        "num_generated": generated.num_maps,
        "num_validation": len(real),
    }


def _list(values: np.ndarray) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]
