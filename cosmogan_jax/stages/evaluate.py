"""Stage evaluate: summary statistics of generated against validation maps, as tables."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from cosmogan_jax.compare.ensembles import bands, effective_modes
from cosmogan_jax.compare.validity import AGREEMENT_FACTOR, agreeing_range
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.stages.settings import Evaluate
from cosmogan_jax.storage.crop_table import CropTable, open_crop_table
from cosmogan_jax.storage.json_files import write_json
from cosmogan_jax.storage.map_store import open_map_store
from cosmogan_jax.storage.run_directory import stage_directory
from cosmogan_jax.summaries import (
    PAPER_L_EDGES,
    PAPER_THRESHOLDS,
    minkowski_functionals,
    pixel_histogram,
    power_spectrum,
)

_CHUNK = 256  # maps in memory at a time, and in one part of an interrupted run: 67 MB at 256^2
_PIXEL_BINS = 60
_SHOWN = 8
_BOOTSTRAP_SEED = 0

Summaries = dict[str, np.ndarray]


def run(settings: Evaluate, workdir: Path, out: Path) -> dict[str, Any]:
    """Write statistics.json (tables of mean and scatter over maps) and per-map statistics as npz.

    Memory holds one chunk of maps and the statistics of all, whatever the number of maps; chunks that an
    interrupted run has finished are not computed again.
    """
    table = open_crop_table(stage_directory(workdir, "prepare"))
    generated = open_map_store(stage_directory(workdir, "generate") / "maps")
    geometry = table.geometry
    if generated.geometry != geometry:
        raise ValueError(f"generated maps are {generated.geometry}, validation crops {geometry}")
    crops = table.choose("validation", generated.num_maps)
    l_edges = log_l_edges(geometry, settings.evaluate_l_bins) if settings.evaluate_l_bins else PAPER_L_EDGES
    first = table.cut(crops[:: max(1, len(crops) // _CHUNK)][:_CHUNK])
    low, high = np.quantile(first, [1e-4, 1 - 1e-4])
    pixel_edges = np.linspace(low - 0.25 * (high - low), high + 0.25 * (high - low), _PIXEL_BINS + 1)

    @jax.jit
    def summarise(kappa):
        v = minkowski_functionals(kappa, PAPER_THRESHOLDS)
        return {
            "power_spectrum": power_spectrum(kappa, l_edges, geometry.side_deg, mode_weights="full_plane"),
            "pixels": pixel_histogram(kappa, pixel_edges),
            **v._asdict(),
        }

    of = {
        "generated": _in_parts(summarise, generated.read, generated.num_maps, out, "generated"),
        "validation": _in_parts(summarise, lambda a, b: table.cut(crops[a:b]), len(crops), out, "validation"),
    }
    parents = {
        "generated": np.arange(generated.num_maps),
        "validation": np.array(table.manifest["parents"])[crops[:, 0]],
    }
    for name, values in of.items():
        np.savez(out / f"{name}.npz", parents=parents[name], **values)
    shown = generated.read(0, min(_SHOWN, generated.num_maps))
    np.savez(out / "shown.npz", generated=shown, validation=first[:_SHOWN])
    means = {
        key: [of[name][key].mean(0) for name in ("generated", "validation")]
        for key in ("power_spectrum", "pixels")
    }
    with np.errstate(divide="ignore", invalid="ignore"):  # bins without modes
        ratio = means["power_spectrum"][0] / means["power_spectrum"][1]
    write_json(
        out / "statistics.json",
        {
            "num_generated": generated.num_maps,
            "num_validation": len(crops),
            "validation_parent_maps": len(np.unique(parents["validation"])),
            "validation_boxes": _number_of_boxes(table, crops),
            "side_deg": geometry.side_deg,
            "num_pixels": geometry.num_pixels,
            "source_redshift": table.manifest["source_redshift"],
            "l_edges": l_edges.tolist(),
            "pixel_edges": pixel_edges.tolist(),
            "thresholds": PAPER_THRESHOLDS.tolist(),
            "statistics": {
                key: {name: _table(values[key], parents[name]) for name, values in of.items()}
                for key in of["generated"]
            },
            "power_ratio": _list(ratio),
            "validated": {
                "factor": AGREEMENT_FACTOR,
                "ell": agreeing_range(l_edges, *means["power_spectrum"]),
                "kappa": agreeing_range(pixel_edges, *means["pixels"]),
            },
        },
    )
    for part in out.glob("part_*"):
        part.unlink()
    middle = np.sqrt(l_edges[1:] * l_edges[:-1])
    inner = ratio[(middle >= 700) & (middle <= 7000)]
    inner = inner[~np.isnan(inner)]
    known = inner.size and (inner > 0).all() and np.isfinite(inner).all()
    return {
        "worst_power_factor_ell_700_7000": float(np.exp(np.abs(np.log(inner)).max())) if known else None,
        "num_generated": generated.num_maps,
        "num_validation": len(crops),
    }


def _in_parts(
    summarise: Callable[[np.ndarray], Summaries],
    read: Callable[[int, int], np.ndarray],
    count: int,
    out: Path,
    name: str,
) -> Summaries:
    """Statistics of maps 0 to count by chunks; finished chunks are kept as files until all are done."""
    parts = []
    for start in tqdm(range(0, count, _CHUNK), desc=f"evaluate {name}", unit="chunk", disable=None):
        path = out / f"part_{name}_{start:08d}.npz"
        if not path.exists():
            kappa = read(start, min(start + _CHUNK, count))
            if not np.isfinite(kappa).all():
                bad = start + int(np.argmin(np.isfinite(kappa).all(axis=(1, 2))))
                raise ValueError(f"{name} map {bad} holds non-finite values")
            temporary = path.with_suffix(".partial")
            with open(temporary, "wb") as file:
                np.savez(file, **{key: np.asarray(value) for key, value in summarise(kappa).items()})
            os.replace(temporary, path)
        with np.load(path, allow_pickle=False) as part:
            parts.append(dict(part))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _number_of_boxes(table: CropTable, crops: np.ndarray) -> int | None:
    """Independent boxes or regions the crops come from; None where the maps' origin does not tell."""
    boxes = {table.manifest["boxes"][i] for i in np.unique(crops[:, 0])}
    return None if None in boxes else len(boxes)


def _table(values: np.ndarray, parents: np.ndarray) -> dict[str, Any]:
    """Mean and scatter over maps, with standard errors from a bootstrap over parents where that is possible."""
    if not np.isfinite(values).all() or len(np.unique(parents)) < 2:
        return {"mean": _list(values.mean(0)), "sigma": _list(values.std(0))}
    found = bands(values, parents, seed=_BOOTSTRAP_SEED)
    varies = (np.ptp(values, axis=0) > 0).any()
    return {
        "mean": _list(found.mean.value),
        "mean_error": _list(found.mean.standard_error),
        "sigma": _list(found.sigma.value),
        "sigma_error": _list(found.sigma.standard_error),
        "effective_modes": effective_modes(values) if varies else None,
    }


def _list(values: np.ndarray) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]
