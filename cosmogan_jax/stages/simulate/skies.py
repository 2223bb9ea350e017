"""Skies that need no simulation: lognormal fields, and lens planes that somebody has made.

`Sky` is what stage simulate asks of a sky, of these and of `nbody_sky.py`'s.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from cosmogan_jax import keys
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.lens_planes import LensPlanes, read_lens_planes
from cosmogan_jax.runs.directory import key_scheme
from cosmogan_jax.settings import Simulate
from cosmogan_jax.side_by_side import SideBySide, jit_on_one_thread
from cosmogan_jax.sky import lognormal, planes
from cosmogan_jax.sky.cosmology import Cosmology, comoving_distance, paper_with
from cosmogan_jax.sky.limber import convergence_power, convergence_power_of_bins
from cosmogan_jax.sky.matter_power import MatterPower, matter_power
from cosmogan_jax.sky.parameter_design import PARAMETER_RANGES
from cosmogan_jax.sky.source_distributions import SourceBin
from cosmogan_jax.stages.simulate.sources import bins_last, source_bins

PAPER_SIDE_DEG = math.sqrt(12.0)  # maps of 12 square degrees
_PARAMETERS = tuple(name for name in PARAMETER_RANGES if name != "source_redshift")


@dataclasses.dataclass(frozen=True)
class Sky:
    """What stage simulate asks of a sky; a map depends on its index alone, whatever the batch.

    Attributes:
      geometry: pixels and side of every map.
      origin: for the manifest.
      parameters: what it knows of a map (index, split).
      box: what the structures of a map (index, split) come from.
      maps: maps of these indices, all of one split.
      records: JSON files beside the maps, by name.
      cost: seconds, by what was done.
      batch_size: maps at a time.
    """

    geometry: MapGeometry
    origin: dict[str, Any]
    parameters: Callable[[int, str], dict[str, float]]
    box: Callable[[int, str], str]
    maps: Callable[[Int[np.ndarray, " maps"], str], Float[np.ndarray, "maps size size *bins"]]
    records: dict[str, Any] = dataclasses.field(default_factory=dict)
    cost: dict[str, float] = dataclasses.field(default_factory=dict)
    batch_size: int = 16


MakeSky = Callable[[Simulate, Path, dict[str, int]], Sky]


def sky_parameters(cosmology: Cosmology, bins: tuple[SourceBin, ...]) -> dict[str, float]:
    """Return the parameters of a sky's maps: of its cosmology those that are known, and the source redshift.

    Of several bins none is that of a map.
    """
    values = {name: float(value) for name, value in vars(cosmology).items() if value is not None}
    return values if len(bins) > 1 else {**values, "source_redshift": bins[0].farthest}


def chosen_side_deg(settings: Simulate) -> float:
    """Return the maps' side in degrees, the paper's by default."""
    return PAPER_SIDE_DEG if settings.side_deg is None else settings.side_deg


def chosen_cosmology(settings: Simulate) -> Cosmology:
    """Return the paper's cosmology with the parameters that the settings give."""
    return paper_with(
        **{name: getattr(settings, name) for name in _PARAMETERS if getattr(settings, name) is not None}
    )


def make_lognormal_sky(settings: Simulate, workdir: Path, counts: dict[str, int]) -> Sky:
    """Return the sky of shifted lognormal fields with the Limber spectrum; every map is its own box."""
    if settings.ray_tracing != "born":
        raise ValueError(f"ray_tracing={settings.ray_tracing} needs --sky=nbody or --sky=planes")
    geometry = MapGeometry(settings.map_pixels, chosen_side_deg(settings))
    power, bins = matter_power(chosen_cosmology(settings)), source_bins(settings)
    key = keys.key(settings.seed, "sky", key_scheme(workdir))
    if len(bins) == 1:
        maps, told = _lognormal_maps(key, geometry, settings.lognormal_shift, bins[0], power)
    else:
        maps, told = _lognormal_bin_maps(key, geometry, settings.lognormal_shift, bins, power)
    origin = {
        "sky": "lognormal",
        "lognormal_shift": settings.lognormal_shift,
        **told,
        "cosmology": vars(power.cosmology),
        "matter_power": power.source,
        "independence": "every map is an independent draw",
    }
    return Sky(
        geometry,
        origin,
        parameters=lambda index, split: sky_parameters(power.cosmology, bins),
        box=lambda index, split: f"map {index}",
        maps=lambda index, split: _each(maps, index),
    )


def _lognormal_maps(
    key: Array, geometry: MapGeometry, shift: float, sources: SourceBin, power: MatterPower
) -> tuple[SideBySide, dict[str, Any]]:
    """Return what draws maps of one bin, and what the manifest tells of it."""
    amplitude, variance = lognormal.lognormal_amplitudes(
        lambda ell: convergence_power(ell, sources.farthest, power), geometry, shift
    )
    amplitudes = jnp.asarray(amplitude, jnp.float32)
    draw = jit_on_one_thread(lognormal.lognormal_maps)
    return SideBySide(lambda index: draw(key, index, amplitudes, variance, shift)), {}


def _lognormal_bin_maps(
    key: Array, geometry: MapGeometry, shift: float, bins: tuple[SourceBin, ...], power: MatterPower
) -> tuple[SideBySide, dict[str, Any]]:
    """Return what draws maps of several bins, and what the manifest tells of them."""
    shifts = lognormal.shifts_of_bins(shift, power.cosmology, bins)
    fields = lognormal.lognormal_bin_amplitudes(
        lambda ell: convergence_power_of_bins(ell, bins, power), geometry, [bin.name for bin in bins], shifts
    )
    drawn_of = [jnp.asarray(of_bins, jnp.float32) for of_bins in fields[:3]]
    draw = jit_on_one_thread(lognormal.lognormal_bin_maps)
    told = {
        "lognormal_shifts": [float(f"{shift:.6g}") for shift in fields.shifts],
        "power_set_to_zero": float(f"{fields.cut:.3g}"),
    }
    return SideBySide(lambda index: draw(key, index, *drawn_of)), told


def make_planes_sky(settings: Simulate, workdir: Path, counts: dict[str, int]) -> Sky:
    """Return the sky of windows of lens planes in LensTools' format; maps of one region are one sample.

    Raises:
      ValueError: settings that planes cannot give, or planes of different angle or of none before the sources.
    """
    lens = _planes_of_one_angle(settings, counts)
    regions, geometry = _windows(settings, lens)
    header, bins = lens.header, source_bins(settings)
    cosmology = Cosmology(header["OMEGA_M"], header["OMEGA_L"], header["H"], header["W0"], header["WA"])
    if len(bins) == 1:
        weights = planes.born_weights(lens.chi, cosmology, bins[0].farthest)
    else:
        weights = planes.bin_weights(lens.chi, cosmology, bins)
    used = np.max(np.atleast_2d(weights), axis=0) > 0
    weights = weights[..., used]
    draw, *arrays = _through_planes(settings, lens, used, weights, cosmology, bins, geometry)
    draw = jit_on_one_thread(draw, static_argnames=("region", "num_pixels"))
    key = keys.key(settings.seed, "sky", key_scheme(workdir))

    def of_region(
        region: planes.Region, index: Int[np.ndarray, " maps"]
    ) -> Float[Array, "maps *bins size size"]:
        return draw(key, index, *arrays, region=region, num_pixels=settings.map_pixels)

    maps = {name: SideBySide(functools.partial(of_region, region)) for name, region in regions.items()}
    origin = {
        "sky": "planes",
        "ray_tracing": settings.ray_tracing,
        "planes": [name for name, use in zip(lens.names, used) if use],
        "born_weights": np.round(weights, 6).tolist(),
        "cosmology": vars(cosmology),
        "regions": {name: region._asdict() for name, region in regions.items()},
        "independence": "all maps of a region share its structures and are not independent samples; "
        "the regions of the splits are disjoint in every plane",
    }
    return Sky(
        geometry,
        origin,
        parameters=lambda index, split: sky_parameters(cosmology, bins),
        box=lambda index, split: f"region {split}",
        maps=lambda index, split: _each(maps[split], index),
    )


def _through_planes(
    settings: Simulate,
    lens: LensPlanes,
    used: Bool[np.ndarray, " planes"],
    weights: Float[np.ndarray, "*bins used"],
    cosmology: Cosmology,
    bins: tuple[SourceBin, ...],
    geometry: MapGeometry,
) -> tuple[Any, ...]:
    """Return what draws maps through the planes in front of the sources, and its arrays."""
    potential, factors = lens.potential[used], jnp.asarray(weights, jnp.float32)
    if settings.ray_tracing == "born":
        kappa = planes.plane_convergence(potential, float(lens.side_deg[0]))
        return planes.born_maps, jnp.asarray(kappa), factors
    chi, pixel = jnp.asarray(lens.chi[used], jnp.float32), jnp.float32(geometry.pixel_rad)
    if len(bins) > 1:
        return planes.traced_bin_maps, jnp.asarray(potential), chi, factors, pixel
    source = jnp.float32(float(comoving_distance(cosmology, bins[0].farthest)))
    return planes.traced_maps, jnp.asarray(potential), chi, source, pixel


def _planes_of_one_angle(settings: Simulate, counts: dict[str, int]) -> LensPlanes:
    """Return the lens planes that the settings name; ValueError for settings that planes cannot follow."""
    if not settings.lens_planes:
        raise ValueError("sky=planes needs --lens_planes=<folder of lens planes>")
    for name in _PARAMETERS:
        if getattr(settings, name) is not None:
            raise ValueError(f"{name}={getattr(settings, name)}: the cosmology of sky=planes is the planes'")
    if counts["auxiliary"]:
        raise ValueError(
            f"num_auxiliary_maps={counts['auxiliary']}: one light cone holds no independent structures "
            "for auxiliary maps; sky=planes makes none"
        )
    lens = read_lens_planes(Path(settings.lens_planes))
    if np.ptp(lens.side_deg) > 1e-6 * lens.side_deg[0]:
        raise ValueError(
            f"lens planes of different angle, {lens.side_deg.min():g} to {lens.side_deg.max():g} degrees: "
            "sky=planes cuts the same window from planes of one angle"
        )
    return lens


def _windows(settings: Simulate, lens: LensPlanes) -> tuple[dict[str, planes.Region], MapGeometry]:
    """Return each split's region of the planes and the geometry of a window; ValueError where none fits."""
    size = lens.potential.shape[-1]
    regions = planes.split_regions(size)
    margin = planes.MARGIN if settings.ray_tracing == "multi_plane" else 0
    for name, region in regions.items():
        planes.check_region(region, settings.map_pixels, name, margin)
    geometry = MapGeometry(size, float(lens.side_deg[0])).crop(settings.map_pixels)
    side = geometry.side_deg
    if settings.side_deg is not None and not math.isclose(settings.side_deg, side, rel_tol=1e-6):
        raise ValueError(
            f"side_deg={settings.side_deg} disagrees with the planes: {settings.map_pixels} "
            f"of their pixels are {side} degrees wide"
        )
    return regions, geometry


def _each(maps: SideBySide, index: Int[np.ndarray, " maps"]) -> Float[np.ndarray, "maps size size *bins"]:
    """Return the maps of these indices, made one by one."""
    return bins_last(np.concatenate(maps([index[i : i + 1] for i in range(len(index))])))
