"""Maps through one box of particles, without files: what a box at any cosmology gives of patches of sky.

A key is the same box at every cosmology, with the same white noise, and its patches look through the same cuts
of it at the same places (as shares of the box): what parameters change is seen with hardly any sample variance.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.sky import light_cone, nbody
from cosmogan_jax.sky.light_cone import Placement
from cosmogan_jax.sky.matter_power import MatterPower
from cosmogan_jax.sky.source_distributions import SourceBin, single_redshift

_add = functools.partial(jax.jit, static_argnums=5, donate_argnums=0)(light_cone.add_born_maps)
_correct = jax.jit(light_cone.correct_windows)


def box_patches(
    key: Array,
    box: nbody.BoxSettings,
    power: MatterPower,
    geometry: MapGeometry,
    source_redshift: float | Sequence[SourceBin],
    num_patches: int,
    rays_per_pixel: int = 2,
) -> Float[np.ndarray, "patches size size *bins"]:
    """Evolve a box and return convergence in patches through its planes, in Born's approximation.

    Patches of one box hang together. Made as stage simulate's N-body sky makes maps, without sharpening; the
    box is fold_in(key, 0), patch n is placed by fold_in(fold_in(key, 1), n) of it.

    source_redshift: of all sources, or several bins of them, which are then the last axis.

    Raises:
      ValueError: patches wider than the box at the farthest plane, num_patches not positive; as `nbody.evolve`.
    """
    if num_patches < 1 or rays_per_pixel < 1:
        raise ValueError(f"num_patches={num_patches} and rays_per_pixel={rays_per_pixel} must be positive")
    several = isinstance(source_redshift, Sequence)
    bins = source_redshift if isinstance(source_redshift, Sequence) else (single_redshift(source_redshift),)
    cosmology, farthest = power.cosmology, max(bin.farthest for bin in bins)
    schedule = light_cone.plane_schedule(cosmology, farthest, box.box_size, box.slabs_per_box)
    width = geometry.side_rad * schedule.chi[-1]
    if width > box.box_size:
        raise ValueError(
            f"patches of {geometry.side_deg:g} degrees are {width:.0f} Mpc/h wide at the farthest plane, "
            f"more than box_size={box.box_size:g}"
        )
    factors = light_cone.bin_factors(cosmology, schedule, bins)
    factors = factors if several else factors[0]
    box_key, place_key = (jax.random.fold_in(key, number) for number in range(2))
    placed = _placements(place_key, num_patches, len(schedule.chi), box.slabs_per_box)
    image = (*factors.shape[:-1], geometry.num_pixels, geometry.num_pixels)
    kappa, untouched = jnp.zeros((num_patches, *image)), jnp.ones(2)
    for _, planes in nbody.evolve(box_key, box, power, schedule):
        for number, cuts in planes:
            pixel = np.float32(schedule.chi[number] * geometry.pixel_rad / box.box_size * box.plane_pixels)
            weight = factors[..., number].astype(np.float32)
            at_plane = Placement(*(leaf[:, number] for leaf in placed))
            kappa = _add(kappa, _correct(cuts, untouched), at_plane, pixel, weight, rays_per_pixel)
    return np.moveaxis(np.asarray(kappa), 1, -1) if several else np.asarray(kappa)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _placements(key: Array, num_patches: int, num_planes: int, slabs_per_box: int) -> Placement:
    """Return how every patch (first axis) sees every plane."""
    place = jax.vmap(light_cone.placements, (None, 0, None, None))
    return place(key, jnp.arange(num_patches), num_planes, slabs_per_box)
