"""The light cone that all maps of an N-body sky look through, and what its boxes resolve."""

import dataclasses
import sys
from typing import Any

import numpy as np
from jaxtyping import Float

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.settings import Simulate
from cosmogan_jax.sky import light_cone, resolution
from cosmogan_jax.sky.cosmology import Cosmology
from cosmogan_jax.sky.light_cone import PlaneSchedule
from cosmogan_jax.sky.limber import convergence_power, convergence_power_of_bins
from cosmogan_jax.sky.matter_power import MatterPower
from cosmogan_jax.sky.nbody import BoxSettings
from cosmogan_jax.sky.source_distributions import SourceBin
from cosmogan_jax.stages.simulate.skies import chosen_cosmology, chosen_side_deg
from cosmogan_jax.stages.simulate.sources import source_bins

_RESOLUTION_ELL = (200, 500, 1000, 2000, 5000, 10000, 20000, 50000)


@dataclasses.dataclass(frozen=True)
class LightCone:
    """Slabs of boxes one behind the other, up to the farthest sources.

    Attributes:
      source_redshift: of the farthest sources.
      strength, weights: of these sources, by `light_cone.lensing_weights`.
      factors: from a plane's overdensity to convergence: strength * weights, of several bins those of
        `light_cone.bin_factors`.
    """

    geometry: MapGeometry
    box: BoxSettings
    cosmology: Cosmology
    bins: tuple[SourceBin, ...]
    source_redshift: float
    schedule: PlaneSchedule
    strength: Float[np.ndarray, " planes"]
    weights: Float[np.ndarray, " planes"]
    factors: Float[np.ndarray, "*bins planes"]


def plan_light_cone(settings: Simulate) -> LightCone:
    """Return the light cone of these settings.

    Raises:
      ValueError: settings that make no simulation, or maps wider than a box.
    """
    geometry = MapGeometry(settings.map_pixels, chosen_side_deg(settings))
    if settings.rays_per_pixel < 1:
        raise ValueError(f"rays_per_pixel={settings.rays_per_pixel} must be positive")
    for name, least in (("num_particles_side", 2), ("mesh_factor", 1), ("plane_pixels", 1)):
        if (value := getattr(settings, name)) is not None and value < least:
            raise ValueError(f"{name}={value} must be at least {least}")
    box = BoxSettings(
        settings.box_size,
        settings.num_particles_side,
        settings.mesh_factor * settings.num_particles_side,
        settings.num_time_steps,
        settings.start_redshift,
        settings.slabs_per_box,
        settings.plane_pixels or 4 * settings.num_particles_side,
    )
    cosmology, bins = chosen_cosmology(settings), source_bins(settings)
    redshift = max(bin.farthest for bin in bins)
    schedule = light_cone.plane_schedule(cosmology, redshift, box.box_size, box.slabs_per_box)
    width = geometry.side_rad * schedule.chi[-1]
    if width > box.box_size:
        raise ValueError(
            f"side_deg={geometry.side_deg:g} is {width:.0f} Mpc/h wide at the farthest plane, more than "
            f"box_size={box.box_size:g}: maps would hold the same structures twice"
        )
    strength, weights = light_cone.lensing_weights(cosmology, schedule, redshift)
    several = len(bins) > 1
    factors = light_cone.bin_factors(cosmology, schedule, bins) if several else strength * weights
    return LightCone(geometry, box, cosmology, bins, redshift, schedule, strength, weights, factors)


def resolution_limits(cone: LightCone, power: MatterPower) -> dict[str, Any]:
    """Return what the boxes resolve, for the manifest; warn where maps are finer than that.

    Of several bins of sources, those of each: the nearer they are, the lower is the ell that is resolved.
    """
    box, schedule = cone.box, cone.schedule
    particles = resolution.nyquist_ell(box.num_particles_side, box.box_size, schedule.chi)
    mesh = resolution.nyquist_ell(box.num_mesh, box.box_size, schedule.chi)
    factors = np.atleast_2d(cone.factors)
    if len(cone.bins) == 1:
        theory = convergence_power(np.array(_RESOLUTION_ELL), cone.source_redshift, power)[None]
    else:
        theory = np.einsum("aal->al", convergence_power_of_bins(np.array(_RESOLUTION_ELL), cone.bins, power))
    of_bins = [_limits_of_bin(cone, *of_bin) for of_bin in zip(factors, theory)]
    lowest = of_bins[0]
    limit, peak = lowest["particle_nyquist_ell_at_lensing_peak"], lowest["lensing_peak_chi"]
    if limit < cone.geometry.nyquist_ell:
        of_nearest = f" of {cone.bins[0].name}" if len(cone.bins) > 1 else ""
        print(
            f"simulate: warning: the boxes resolve ell up to {limit:.0f} (particle Nyquist at the lensing "
            f"peak{of_nearest}, {peak:.0f} Mpc/h); pixels reach {cone.geometry.nyquist_ell:.0f}",
            file=sys.stderr,
        )
    return {
        "particle_nyquist_k": round(np.pi * box.num_particles_side / box.box_size, 4),
        "mesh_nyquist_k": round(np.pi * box.num_mesh / box.box_size, 4),
        "particle_nyquist_ell": [round(float(ell)) for ell in particles],
        "mesh_nyquist_ell": [round(float(ell)) for ell in mesh],
        "ell": list(_RESOLUTION_ELL),
        **(lowest if len(cone.bins) == 1 else {"of_bins": of_bins}),
    }


def _limits_of_bin(
    cone: LightCone, factors: Float[np.ndarray, " planes"], theory: Float[np.ndarray, " ells"]
) -> dict[str, Any]:
    """Return what of the limits is a bin's own; theory: its power at the ell of the table."""
    box, schedule = cone.box, cone.schedule
    peak = float(schedule.chi[np.argmax(factors)])
    shot = resolution.shot_noise_power(
        schedule, factors, np.ones_like(factors), box.box_size, box.num_particles_side
    )
    return {
        "lensing_peak_chi": round(peak, 1),
        "particle_nyquist_ell_at_lensing_peak": round(
            float(resolution.nyquist_ell(box.num_particles_side, box.box_size, peak))
        ),
        "shot_noise_power": shot,
        "shot_noise_to_halofit": [float(f"{shot / c_ell:.3g}") for c_ell in theory],
    }
