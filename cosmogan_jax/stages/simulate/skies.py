"""Skies that need no simulation: lognormal fields, and lens planes that somebody has made.

`Sky` says what stage simulate asks of a sky, of these and of `nbody_sky.py`'s.
"""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax import keys
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.lens_planes import read_lens_planes
from cosmogan_jax.runs.directory import key_scheme
from cosmogan_jax.settings import Simulate
from cosmogan_jax.side_by_side import SideBySide, jit_on_one_thread
from cosmogan_jax.sky import lognormal, planes
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, Cosmology
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.matter_power import matter_power

PAPER_REDSHIFT = 1.0
PAPER_SIDE_DEG = math.sqrt(12.0)  # maps of 12 square degrees
_PARAMETERS = ("omega_m", "omega_b", "sigma8", "n_s", "h", "w0", "wa")


class Sky(Protocol):
    """What stage simulate asks of a sky; a map depends on its index alone, whatever the batch.

    Attributes:
      geometry: pixels and side of every map.
      origin: for the manifest.
      parameters: of all its maps, what it knows.
      records: JSON files beside the maps, by name.
      cost: seconds, by what was done.
      batch_size: maps at a time.
    """

    geometry: MapGeometry
    origin: dict[str, Any]
    parameters: dict[str, float]
    records: dict[str, Any]
    cost: dict[str, Any]
    batch_size: int

    def box(self, index: int, split: str) -> str:
        """What a map's structures come from."""

    def maps(self, index: Int[Array, " maps"], split: str) -> Float[Array | np.ndarray, "maps size size"]:
        """Maps of these numbers, all of one split."""


def told_parameters(cosmology: Cosmology, settings: Simulate) -> dict[str, float]:
    """The parameters of a sky's maps: of its cosmology those that are known, and the source redshift."""
    known = {name: float(value) for name, value in vars(cosmology).items() if value is not None}
    return {**known, "source_redshift": float(source_redshift(settings))}


MakeSky = Callable[[Simulate, Path, dict[str, int]], Sky]


def source_redshift(settings: Simulate) -> float:
    """Of the sources: as it was given, else the paper's."""
    return PAPER_REDSHIFT if settings.source_redshift is None else settings.source_redshift


def chosen_cosmology(settings: Simulate) -> Cosmology:
    """The paper's cosmology with the parameters that were given."""
    given = {name: getattr(settings, name) for name in _PARAMETERS if getattr(settings, name) is not None}
    values = {**vars(PAPER_COSMOLOGY), **given}
    return Cosmology(**{**values, "omega_lambda": 1.0 - values["omega_m"]} if given else values)


class LognormalSky:
    """Shifted lognormal fields with the Limber spectrum."""

    batch_size = 16

    def __init__(self, settings: Simulate, workdir: Path, counts: dict[str, int]):
        if settings.ray_tracing != "born":
            raise ValueError(f"ray_tracing={settings.ray_tracing} needs --sky=nbody or --sky=planes")
        side_deg = PAPER_SIDE_DEG if settings.side_deg is None else settings.side_deg
        self.geometry = MapGeometry(settings.map_pixels, side_deg)
        power = matter_power(chosen_cosmology(settings))
        redshift = source_redshift(settings)
        amplitudes, self._variance = lognormal.lognormal_amplitudes(
            lambda ell: convergence_power(ell, redshift, power),
            self.geometry,
            settings.lognormal_shift,
        )
        self._amplitudes = jnp.asarray(amplitudes, jnp.float32)
        self._key, self._kappa0 = keys.key(settings.seed, "sky", key_scheme(workdir)), settings.lognormal_shift
        self.origin = {
            "sky": "lognormal",
            "lognormal_shift": settings.lognormal_shift,
            "cosmology": vars(power.cosmology),
            "matter_power": power.source,
            "independence": "every map is an independent draw",
        }
        self.parameters = told_parameters(power.cosmology, settings)
        self.records, self.cost = dict[str, Any](), dict[str, Any]()
        draw = jit_on_one_thread(lognormal.lognormal_maps)
        self._maps = SideBySide(
            lambda index: draw(self._key, index, self._amplitudes, self._variance, self._kappa0)
        )

    def box(self, index: int, split: str) -> str:
        """Every map is its own box."""
        return f"map {index}"

    def maps(self, index: Int[Array, " maps"], split: str) -> Float[np.ndarray, "maps size size"]:
        """The maps of these indices."""
        return _one_by_one(self._maps, index)


class PlanesSky:
    """Windows of lens planes in LensTools' format."""

    batch_size = 16

    def __init__(self, settings: Simulate, workdir: Path, counts: dict[str, int]):
        if not settings.lens_planes:
            raise ValueError("sky=planes needs --lens_planes=<folder of lens planes>")
        for name in _PARAMETERS:
            if getattr(settings, name) is not None:
                raise ValueError(
                    f"{name}={getattr(settings, name)}: the cosmology of sky=planes is the planes'"
                )
        if counts["auxiliary"]:
            raise ValueError(
                f"num_auxiliary_maps={counts['auxiliary']}: one light cone holds no independent structures "
                "for auxiliary maps; sky=planes makes none"
            )
        lens = read_lens_planes(Path(settings.lens_planes))
        plane_size, plane_side = lens.potential.shape[-1], float(lens.side_deg[0])
        if np.ptp(lens.side_deg) > 1e-6 * plane_side:
            raise ValueError(
                f"lens planes of different angle, {lens.side_deg.min():g} to {lens.side_deg.max():g} degrees: "
                "sky=planes cuts the same window from planes of one angle"
            )
        self._regions = planes.split_regions(plane_size)
        traced = settings.ray_tracing == "multi_plane"
        margin = planes.MARGIN if traced else 0
        for name, region in self._regions.items():
            planes.check_region(region, settings.map_pixels, name, margin)
        self.geometry = MapGeometry(plane_size, plane_side).crop(settings.map_pixels)
        side = self.geometry.side_deg
        if settings.side_deg is not None and not math.isclose(settings.side_deg, side, rel_tol=1e-6):
            raise ValueError(f"side_deg={settings.side_deg} disagrees with the planes: {settings.map_pixels} "
                             f"of their pixels are {side} degrees wide")  # fmt: skip
        header = lens.header
        cosmology = Cosmology(header["OMEGA_M"], header["OMEGA_L"], header["H"], header["W0"], header["WA"])
        weights = planes.born_weights(lens.chi, cosmology, source_redshift(settings))
        used = weights > 0
        chi = jnp.asarray(lens.chi[used], jnp.float32)
        source = planes.source_distance(cosmology, source_redshift(settings))
        self._planes = (
            (jnp.asarray(lens.potential[used]), chi, jnp.float32(source),
             jnp.float32(self.geometry.pixel_rad))
            if traced
            else (jnp.asarray(planes.plane_convergence(lens.potential[used], plane_side)),
                  jnp.asarray(weights[used], jnp.float32))
        )  # fmt: skip
        self._key, self._size = keys.key(settings.seed, "sky", key_scheme(workdir)), settings.map_pixels
        self.origin = {
            "sky": "planes",
            "ray_tracing": settings.ray_tracing,
            "planes": [name for name, use in zip(lens.names, used) if use],
            "born_weights": [round(float(w), 6) for w in weights[used]],
            "cosmology": vars(cosmology),
            "regions": {name: region._asdict() for name, region in self._regions.items()},
            "independence": "all maps of a region share its structures and are not independent samples; "
            "the regions of the splits are disjoint in every plane",
        }
        self.parameters = told_parameters(cosmology, settings)
        self.records, self.cost = dict[str, Any](), dict[str, Any]()
        draw = planes.traced_maps if traced else planes.born_maps
        self._draw = jit_on_one_thread(draw, static_argnames=("region", "num_pixels"))
        self._maps = {
            name: SideBySide(functools.partial(self._of_region, region))
            for name, region in self._regions.items()
        }

    def box(self, index: int, split: str) -> str:
        """Maps of one region are one sample."""
        return f"region {split}"

    def maps(self, index: Int[Array, " maps"], split: str) -> Float[np.ndarray, "maps size size"]:
        """The maps of these indices, from the split's region."""
        return _one_by_one(self._maps[split], index)

    def _of_region(self, region: planes.Region, index: Int[Array, " maps"]) -> Float[Array, "maps size size"]:
        return self._draw(self._key, index, *self._planes, region=region, num_pixels=self._size)


def _one_by_one(maps: SideBySide, index: Int[Array, " maps"]) -> Float[np.ndarray, "maps size size"]:
    numbers = np.asarray(index)
    return np.concatenate(maps([numbers[i : i + 1] for i in range(len(numbers))]))
