"""Tables of the statistics: statistics.json, which the figures draw, and an npz file of every map's a set."""

from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.compare.agreement_range import AGREEMENT_FACTOR, agreeing_range
from cosmogan_jax.compare.cosmologies import Cosmologies
from cosmogan_jax.compare.ensembles import bands, effective_modes
from cosmogan_jax.compare.scales import Scales, display_pixels
from cosmogan_jax.compare.statistics import STATISTICS
from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.maps.sets import MapSets
from cosmogan_jax.stages.evaluate.summarising import Summaries
from cosmogan_jax.summaries import PAPER_L_EDGES, PAPER_THRESHOLDS

_BOOTSTRAP_SEED = 0
# Statistics whose tables the figures draw; the others are in the npz files.
_OF_COSMOLOGIES = ("power_bands", "V0", "V1", "V2", "peaks")
_TABLES = ("pixels", *(row.name for row in STATISTICS.values() if row.shown))


def write(
    sets: MapSets,
    each: dict[str, Summaries],
    units: dict[str, tuple[np.ndarray, str]],
    scale: Scales,
    out: Path,
    cosmologies: Cosmologies | None = None,
) -> None:
    """Write statistics.json, and the statistics of every map of each set as <set>.npz.

    Of several cosmologies statistics.json has a few tables of each, and the npz files its number for every map.
    """
    each = {
        name: {**values, "pixels": display_pixels(values["fine_pixels"], scale)}
        for name, values in each.items()
    }
    for name, values in each.items():
        more = {} if cosmologies is None else {"cosmology": cosmologies.of_map[name]}
        write_arrays(out / f"{name}.npz", {"parents": units[name][0], **more, **values})
    # Of masked maps no power is known.
    power = _means(each, "power_bands") if "power_bands" in each["validation"] else None
    ratio = np.full(len(scale.l_edges) - 1, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # bins without modes
        if power:
            ratio = power[0] / power[1]
    validation = sets.validation
    write_json(
        out / "statistics.json",
        {
            "num_generated": sets.generated.num_maps,
            "num_validation": validation.num_maps,
            "validation_parent_maps": len(np.unique(validation.parents)),
            "validation_boxes": None if validation.boxes is None else len(np.unique(validation.boxes)),
            "auxiliary": None if sets.auxiliary is None else sets.auxiliary.source,
            "side_deg": validation.geometry.side_deg,
            "num_pixels": validation.geometry.num_pixels,
            "source_redshift": validation.source_redshift,
            "l_edges": scale.l_edges.tolist(),
            "paper_l_edges": np.asarray(PAPER_L_EDGES).tolist(),
            "pixel_edges": scale.pixel_edges.tolist(),
            "peak_edges": scale.peak_edges.tolist(),
            "bispectrum_edges": scale.bispectrum_edges.tolist(),
            "thresholds": np.asarray(PAPER_THRESHOLDS).tolist(),
            "statistics": {
                key: {name: _table(values[key], units[name][0]) for name, values in each.items()}
                for key in _TABLES
                if key in each["validation"]
            },
            "power_ratio": ratio,
            "validated": {
                "factor": AGREEMENT_FACTOR,
                "ell": agreeing_range(scale.l_edges, *power) if power else None,
                "kappa": agreeing_range(scale.pixel_edges, *_means(each, "pixels")),
            },
            **({} if cosmologies is None else {"cosmologies": by_cosmology(each, units, cosmologies)}),
        },
    )


def by_cosmology(
    each: dict[str, Summaries], units: dict[str, tuple[np.ndarray, str]], cosmologies: Cosmologies
) -> list[dict[str, Any]]:
    """Return the tables of each cosmology, as those of `statistics`; log_power is of the bands' logarithms."""
    every = []
    for number in range(len(cosmologies.points)):
        entry: dict[str, dict[str, Any]] = {}
        for name, values in each.items():
            here = cosmologies.of_map[name] == number
            own = {key: values[key][here] for key in _OF_COSMOLOGIES if key in values}
            if "power_bands" in own:
                own["log_power"] = np.log(np.where(own["power_bands"] > 0, own["power_bands"], np.nan))
            for key, of_maps in own.items():
                entry.setdefault(key, {})[name] = _table(of_maps, units[name][0][here])
        every.append(entry)
    return every


def worst_power_factor(out: Path) -> float | None:
    """Return the factor that the mean power is off by at most, at ell of 700 to 7000; None if not known."""
    tables = read_json(out / "statistics.json")
    edges = np.array(tables["l_edges"])
    middle = np.sqrt(edges[1:] * edges[:-1])
    inner = np.array(tables["power_ratio"], float)[(middle >= 700) & (middle <= 7000)]
    inner = inner[~np.isnan(inner)]
    if not (inner.size and (inner > 0).all() and np.isfinite(inner).all()):
        return None
    return float(np.exp(np.abs(np.log(inner)).max()))


def _means(each: dict[str, Summaries], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the means over generated and over validation maps."""
    return each["generated"][key].mean(0), each["validation"][key].mean(0)


def _table(values: np.ndarray, units: np.ndarray) -> dict[str, Any]:
    """Return mean and scatter over maps, with errors from a bootstrap over units where that is possible."""
    if not np.isfinite(values).all() or len(np.unique(units)) < 2:
        return {"mean": values.mean(0), "sigma": values.std(0)}
    estimates = bands(values, units, seed=_BOOTSTRAP_SEED)
    varies = (np.ptp(values, axis=0) > 0).any()
    return {
        "mean": estimates.mean.value,
        "mean_error": estimates.mean.standard_error,
        "sigma": estimates.sigma.value,
        "sigma_error": estimates.sigma.standard_error,
        "effective_modes": effective_modes(values) if varies else None,
    }
