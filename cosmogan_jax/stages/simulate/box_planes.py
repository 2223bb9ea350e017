"""A box's planes as LensTools' potential planes, for other programs to trace rays through."""

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.maps.boxes import Box
from cosmogan_jax.maps.lens_planes import LensPlanes, write_lens_planes
from cosmogan_jax.side_by_side import jit_on_one_thread
from cosmogan_jax.sky import light_cone, ray_tracing
from cosmogan_jax.stages.simulate.cone import LightCone


def write_box_planes(box: Box, cone: LightCone) -> None:
    """Write the box's planes as FITS files into its folder `lens_planes`; one that is there is whole."""
    folder = box.path / "lens_planes"
    if folder.exists():
        return
    partial = folder.with_name(folder.name + ".partial")
    slabs, cosmology = cone.box.slabs_per_box, cone.cosmology
    header = {"H": cosmology.h, "OMEGA_M": cosmology.omega_m, "OMEGA_L": cosmology.omega_lambda,
              "W0": cosmology.w0, "WA": cosmology.wa}  # fmt: skip
    for number, (chi, redshift) in enumerate(zip(cone.schedule.chi, cone.schedule.redshift)):
        side = cone.box.box_size / chi
        potential = _potential(
            jnp.asarray(box.read(number)), np.float32(cone.strength[number]), np.float32(side)
        )
        # LensTools counts snapshots from the farthest on; a plane is named by snapshot, slab and axis.
        snapshot = len(cone.schedule.chi) - 1 - number
        names = tuple(
            f"snap{snapshot}_potentialPlane{cut % slabs}_normal{cut // slabs}.fits" for cut in range(3 * slabs)
        )
        same = np.ones(3 * slabs)
        planes = LensPlanes(
            names, np.asarray(potential), redshift * same, chi * same, np.degrees(side) * same, header
        )
        if partial.exists():
            for name in names:
                (partial / name).unlink(missing_ok=True)
        write_lens_planes(partial, planes)
    partial.rename(folder)


@jit_on_one_thread
def _potential(contrast, strength, side):
    return jax.vmap(lambda plane: ray_tracing.potential_of_convergence(strength * plane, side))(
        light_cone.divide_clouds(contrast)
    )
