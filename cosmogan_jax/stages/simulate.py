"""Stage simulate: convergence maps from a sky, each with its split and what it was made of."""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.sky import lognormal, planes
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, Cosmology
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.stages.settings import Simulate
from cosmogan_jax.storage.crop_table import SPLITS
from cosmogan_jax.storage.lens_planes import read_lens_planes
from cosmogan_jax.storage.map_store import write_map_store

PAPER_SIDE_DEG = math.sqrt(12.0)  # maps of 12 square degrees
_BATCH = 16


def run(settings: Simulate, workdir: Path, out: Path) -> dict[str, Any]:
    """Write the map store `maps`; its manifest tells split, parent and box or region of every map."""
    counts = {split: getattr(settings, f"num_{split}_maps") for split in SPLITS}
    for split, count in counts.items():
        if count < 1:
            raise ValueError(f"num_{split}_maps={count} must be positive")
    if settings.map_pixels < 1:
        raise ValueError(f"map_pixels={settings.map_pixels} must be positive")
    sky = _SKIES[settings.sky](settings)
    split_of = [split for split, count in counts.items() for _ in range(count)]
    manifest = {
        "source_redshift": settings.source_redshift,
        "seed": settings.seed,
        "origin": sky.origin,
        "splits": split_of,
        "parents": list(range(len(split_of))),
        "boxes": [sky.box(i, split) for i, split in enumerate(split_of)],
    }

    def batches():
        with tqdm(total=len(split_of), desc="simulate", unit="map", disable=None) as bar:
            first = 0
            for split, count in counts.items():
                for start in range(0, count, _BATCH):
                    index = np.arange(first + start, first + min(start + _BATCH, count))
                    yield np.asarray(sky.maps(jnp.asarray(index), split))
                    bar.update(len(index))
                first += count

    write_map_store(out / "maps", batches(), len(split_of), sky.geometry, manifest)
    return {"num_maps": len(split_of), "side_deg": sky.geometry.side_deg, **counts}


class _Lognormal:
    def __init__(self, settings: Simulate):
        side_deg = PAPER_SIDE_DEG if settings.side_deg is None else settings.side_deg
        self.geometry = MapGeometry(settings.map_pixels, side_deg)
        amplitudes, self._variance = lognormal.lognormal_amplitudes(
            lambda ell: convergence_power(ell, settings.source_redshift),
            self.geometry,
            settings.lognormal_shift,
        )
        self._amplitudes = jnp.asarray(amplitudes, jnp.float32)
        self._key, self._kappa0 = jax.random.key(settings.seed), settings.lognormal_shift
        self.origin = {
            "sky": "lognormal",
            "lognormal_shift": settings.lognormal_shift,
            "cosmology": vars(PAPER_COSMOLOGY),
            "independence": "every map is an independent draw",
        }
        self._maps = jax.jit(lognormal.lognormal_maps)

    def box(self, index: int, split: str) -> str:
        return f"map {index}"

    def maps(self, index, split: str):
        return self._maps(self._key, index, self._amplitudes, self._variance, self._kappa0)


class _Planes:
    def __init__(self, settings: Simulate):
        if not settings.lens_planes:
            raise ValueError("sky=planes needs --lens_planes=<folder of lens planes>")
        lens = read_lens_planes(Path(settings.lens_planes))
        plane_size, plane_side = lens.potential.shape[-1], lens.header["ANGLE"]
        self._regions = planes.split_regions(plane_size)
        for name, region in self._regions.items():
            planes.check_region(region, settings.map_pixels, name)
        self.geometry = MapGeometry(plane_size, plane_side).crop(settings.map_pixels)
        side = self.geometry.side_deg
        if settings.side_deg is not None and not math.isclose(settings.side_deg, side, rel_tol=1e-6):
            raise ValueError(f"side_deg={settings.side_deg} disagrees with the planes: {settings.map_pixels} "
                             f"of their pixels are {side} degrees wide")  # fmt: skip
        header = lens.header
        cosmology = Cosmology(header["OMEGA_M"], header["OMEGA_L"], header["H"], header["W0"], header["WA"])
        weights = planes.born_weights(lens.chi, cosmology, settings.source_redshift)
        used = weights > 0
        self._kappa = jnp.asarray(planes.plane_convergence(lens.potential[used], plane_side))
        self._weights = jnp.asarray(weights[used], jnp.float32)
        self._key, self._size = jax.random.key(settings.seed), settings.map_pixels
        self.origin = {
            "sky": "planes",
            "planes": [name for name, use in zip(lens.names, used) if use],
            "born_weights": [round(float(w), 6) for w in weights[used]],
            "cosmology": vars(cosmology),
            "regions": {name: region._asdict() for name, region in self._regions.items()},
            "independence": "all maps of a region share its structures and are not independent samples; "
            "the regions of the splits are disjoint in every plane",
        }
        self._maps = jax.jit(planes.born_maps, static_argnums=(4, 5))

    def box(self, index: int, split: str) -> str:
        return f"region {split}"

    def maps(self, index, split: str):
        return self._maps(self._key, index, self._kappa, self._weights, self._regions[split], self._size)


_SKIES = {"lognormal": _Lognormal, "planes": _Planes}
