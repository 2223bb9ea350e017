"""Up to where a run's training maps are a sky: from what their manifest says, and their mean power by bands."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.compare.sky_limits import SkyLimits
from cosmogan_jax.files.json_files import Fields, check_object, read_object
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.crop_table import CropTable
from cosmogan_jax.maps.source_bins import only_bin
from cosmogan_jax.sky import light_cone, resolution
from cosmogan_jax.sky.cosmology import Cosmology
from cosmogan_jax.sky.limber import convergence_power, convergence_power_of_bins
from cosmogan_jax.sky.map_power import expected_bands, pixel_window_bands
from cosmogan_jax.sky.matter_power import matter_power
from cosmogan_jax.sky.particle_noise import particle_noise_bands
from cosmogan_jax.sky.source_distributions import SourceBin, bins_of_record, single_redshift
from cosmogan_jax.summaries import power_spectrum

# More crops of the same volume make its mean no better known.
_MOST_CROPS, _AT_ONCE = 8192, 256
_BOX: Fields = {"box_size": float, "num_particles_side": int, "slabs_per_box": int, "plane_pixels": int}


def measure(table: CropTable, l_edges: Float[np.ndarray, " edges"]) -> SkyLimits:
    """Return the training crops' power beside the theory of their sky, where the manifest tells it."""
    crops = table.choose("train", _MOST_CROPS)
    power = _power(table, crops, l_edges)
    unit, labels = _units(table, crops)
    names, first = np.unique(labels, return_index=True)
    of_unit = np.array([power[labels == label].mean(0) for label in names])
    error = of_unit.std(0, ddof=1) / np.sqrt(len(of_unit)) if len(of_unit) > 1 else None
    if "design" in table.manifest.origin:
        theta = table.theta(crops[first], tuple(table.manifest.origin["design"]["names"]))
        error = error_within(of_unit, np.unique(theta, axis=0, return_inverse=True)[1].reshape(-1))
    modes = np.bincount(
        (bins := table.geometry.half_plane_bins(l_edges))[bins >= 0], minlength=len(l_edges) - 1
    )
    mean = np.where(modes, of_unit.mean(0), np.nan)
    return SkyLimits(
        l_edges=tuple(l_edges),
        num_maps=len(crops),
        units=len(of_unit),
        unit=unit,
        power=tuple(mean),
        power_error=None if error is None else tuple(error),
        **_sky(table, l_edges),
    )


def error_within(
    of_unit: Float[np.ndarray, "units bands"], cosmology: Int[np.ndarray, " units"]
) -> Float[np.ndarray, " bands"] | None:
    """Return the error of the units' mean power, by their scatter about that of their own cosmology.

    The scatter is relative, pooled over cosmologies; None where each of these has a single unit.
    """
    count = cosmology.max() + 1
    if len(of_unit) <= count:
        return None
    means = np.array([of_unit[cosmology == number].mean(0) for number in range(count)])
    off = of_unit / means[cosmology] - 1
    return np.sqrt((off**2).sum(0) / (len(of_unit) - count) / len(of_unit)) * of_unit.mean(0)


def _power(table: CropTable, crops: np.ndarray, l_edges: np.ndarray) -> Float[np.ndarray, "maps bands"]:
    side_deg = table.geometry.side_deg

    @jax.jit
    def power_of(kappa):
        return power_spectrum(kappa, l_edges, side_deg, mode_weights="full_plane")

    starts = range(0, len(crops), _AT_ONCE)
    parts = [power_of(jnp.asarray(only_bin(table.cut(crops[i : i + _AT_ONCE])))) for i in starts]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])


def _units(table: CropTable, crops: np.ndarray) -> tuple[str, np.ndarray]:
    """Return the name and labels of what counts as one: box or region where known, else the map cut."""
    if (boxes := table.boxes(crops)) is not None:
        own = table.manifest.origin.get("sky") == "lognormal"  # every map is a box of its own
        return ("map" if own else "box"), boxes
    return "map", table.parents(crops)


def _sky(table: CropTable, l_edges: np.ndarray) -> dict[str, Any]:
    origin: Any = table.manifest.origin
    sky = origin.get("sky")
    if "design" in origin:
        return {
            "sky": "given",
            "unknown": "they are of several cosmologies, each with a power of its own, and measured together",
        }
    if sky not in ("nbody", "lognormal", "planes"):
        return {
            "sky": "given",
            "unknown": "the maps come as files, which tell neither the power that they should have nor box, "
            "particles, rays and pixels",
        }
    rays = {"nbody": origin.get("rays_per_pixel"), "lognormal": 1, "planes": 1}[sky]
    told = {"sky": sky, "rays_per_pixel": rays, "ray_tracing": origin.get("ray_tracing")}
    if sky == "nbody":
        said = f"{table.store.path}/manifest.json, origin"
        check_object(origin, {"box": dict, "ray_tracing": str, "rays_per_pixel": int}, said)
        check_object(origin["box"], _BOX, f"{said}, box")
    if sky == "planes":
        unknown = (
            "lens planes tell neither the power that they should have nor the box and particles behind them"
        )
        return {**told, "unknown": unknown}
    cosmology = _cosmology(origin)
    sources, farthest = _sources(table)
    try:
        power = matter_power(cosmology)
    except ModuleNotFoundError as error:
        return {
            **told,
            **_boxes(origin, _planes(origin["box"], cosmology, sources, farthest)),
            "unknown": str(error),
        }

    def c_ell(ell):
        if len(sources.redshifts) == 1:
            return convergence_power(ell, sources.farthest, power)
        return convergence_power_of_bins(ell, [sources], power)[0, 0]

    geometry = table.geometry
    told["theory"] = tuple(expected_bands(c_ell, geometry, l_edges, rays))
    if sky == "nbody":
        planes = _planes(origin["box"], cosmology, sources, farthest)
        told |= _boxes(origin, planes)
        told["pixel_window"] = tuple(pixel_window_bands(c_ell, geometry, l_edges, rays))
        told["particle_noise"] = tuple(_noise(table, origin, planes, geometry, l_edges))
    return told


def _cosmology(origin: dict[str, Any]) -> Cosmology:
    if "box" in origin:
        mark = "cosmology."
        return Cosmology(**{k.removeprefix(mark): v for k, v in origin["box"].items() if k.startswith(mark)})
    return Cosmology(**origin["cosmology"])


class _Planes(NamedTuple):
    """The planes of a light cone, and both factors that make convergence of their overdensity."""

    schedule: light_cone.PlaneSchedule
    strength: Float[np.ndarray, " planes"]
    weights: Float[np.ndarray, " planes"]


def _sources(table: CropTable) -> tuple[SourceBin, float]:
    """Return the sources of the crops, and the redshift of the farthest that the maps' planes reach to."""
    of_bins: Any = table.manifest.origin.get("source_bins")
    redshift: Any = table.manifest.source_redshift  # every simulated sky of one bin has one
    if not of_bins or table.manifest.bin is None:
        return single_redshift(redshift), redshift
    bins = bins_of_record(of_bins)
    return bins[table.manifest.bin], max(bin.farthest for bin in bins)


def _planes(box: dict[str, Any], cosmology: Cosmology, sources: SourceBin, farthest: float) -> _Planes:
    schedule = light_cone.plane_schedule(cosmology, farthest, box["box_size"], box["slabs_per_box"])
    if len(sources.redshifts) == 1 and sources.farthest == farthest:
        return _Planes(schedule, *light_cone.lensing_weights(cosmology, schedule, farthest))
    factors = light_cone.bin_factors(cosmology, schedule, [sources])[0]
    return _Planes(schedule, factors, np.ones_like(factors))


def _boxes(origin: dict[str, Any], planes: _Planes) -> dict[str, Any]:
    box = origin["box"]
    schedule, strength, weights = planes
    peak = schedule.chi[np.argmax(strength * weights)]
    return {
        "box_size": float(box["box_size"]),
        "slab_size": schedule.thickness,
        # Two cells make the shortest wave: the longest, the box, is the Nyquist wave of two cells.
        "box_ell": float(resolution.nyquist_ell(2, box["box_size"], peak)),
        "particles_side": box["num_particles_side"],
        "sharpened": origin.get("sharpen_to", "none") != "none",
    }


def _noise(
    table: CropTable,
    origin: dict[str, Any],
    planes: _Planes,
    geometry: MapGeometry,
    l_edges: np.ndarray,
) -> Float[np.ndarray, " bands"]:
    box = origin["box"]
    schedule, strength, weights = planes
    transfer = np.ones((len(schedule.chi), 2))
    if origin.get("sharpening"):  # the noise is sharpened too
        path = Path(table.store.path).parent / origin["sharpening"]
        transfer = np.array(read_object(path, {"gain": list})["gain"], float)
    return particle_noise_bands(
        schedule,
        strength,
        weights,
        box["box_size"],
        box["num_particles_side"],
        transfer,
        box["plane_pixels"],
        geometry,
        l_edges,
        origin["rays_per_pixel"],
    )
