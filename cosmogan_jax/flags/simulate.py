"""Flags of stage simulate."""

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.settings import Simulate as SETTINGS

__all__ = ["SETTINGS", "define"]


def define() -> None:
    """Define the flags."""
    flags.DEFINE_enum(
        "sky",
        "lognormal",
        ["lognormal", "planes", "nbody"],
        "Where convergence maps come from: lognormal fields, lens planes made elsewhere, or own N-body boxes.",
    )
    flags.DEFINE_string("lens_planes", None, "Folder of lens planes in LensTools' FITS format (sky=planes).")
    flags.DEFINE_integer("map_pixels", 1024, "Pixels on a side of a simulated map.")
    flags.DEFINE_float(
        "side_deg",
        None,
        "Side of a map in degrees. Unset: sqrt(12) (lognormal, nbody), what the planes say, or the files of "
        "--maps.",
    )
    flags.DEFINE_float(
        "source_redshift",
        None,
        "Redshift of the lensed sources. Unset: the paper's 1, or what the files of --maps say.",
    )
    flags.DEFINE_float(
        "lognormal_shift",
        0.04,
        "Lowest possible convergence of the lognormal sky, negated; sets its skewness (0.04 matches the pixel "
        "skewness of N-body maps, 0.027 that of maps smoothed by 1 arcmin). Dimensionless.",
    )
    _define_cosmology()
    _define_nbody()
    for split, maps, what in (
        ("train", 1000, "to train on"),
        ("development", 100, "to select checkpoints on"),
        ("validation", 100, "to evaluate against; seen by no other stage"),
    ):
        flags.DEFINE_integer(f"num_{split}_maps", maps, f"Maps {what}.")
    flags.DEFINE_integer(
        "num_auxiliary_maps",
        None,
        "Maps to compare validation maps with, as generated ones are. Unset: as many as validation maps; "
        "none for sky=planes, whose one light cone holds nothing independent.",
    )


def _define_cosmology() -> None:
    for name, paper, what in (
        ("omega_m", 0.26, "Matter density today; the rest is dark energy (flat)"),
        ("omega_b", 0.046, "Baryon density today, a part of omega_m"),
        ("sigma8", 0.798, "Linear rms overdensity today in spheres of 8 Mpc/h"),
        ("n_s", 0.96, "Spectral index of the primordial power"),
        ("h", 0.72, "Hubble constant in 100 km/s/Mpc"),
        ("w0", -1.0, "Equation of state of dark energy today"),
        ("wa", 0.0, "Its change, w = w0 + wa z/(1+z)"),
    ):
        flags.DEFINE_float(
            name, None, f"{what}. Unset: the paper's {paper:g}. Anything else needs CAMB (extra sky)."
        )


def _define_nbody() -> None:
    flags.DEFINE_enum(
        "ray_tracing",
        "born",
        ["born", "multi_plane"],
        "How light passes the planes of sky=nbody or planes: on straight lines, or deflected at each plane.",
    )
    flags.DEFINE_integer(
        "rays_per_pixel", 2, "Rays along a side of a map pixel, averaged (nbody; the paper's downsampling)."
    )
    flags.DEFINE_float("box_size", 240.0, "Side of a simulated box, Mpc/h (nbody).")
    flags.DEFINE_integer("num_particles_side", 512, "Particles along a side of a box (nbody).")
    flags.DEFINE_integer("mesh_factor", 2, "Cells of the force mesh per particle along a side (nbody).")
    flags.DEFINE_integer("num_time_steps", 60, "Steps from start_redshift to the nearest plane (nbody).")
    flags.DEFINE_float("start_redshift", 9.0, "Redshift of the initial conditions (nbody).")
    flags.DEFINE_integer("slabs_per_box", 2, "Lens planes along a side of a box (nbody).")
    flags.DEFINE_integer(
        "plane_pixels", None, "Pixels on a side of a lens plane (nbody). Unset: 4 num_particles_side."
    )
    flags.DEFINE_enum(
        "sharpen_to",
        "none",
        ["none", "halofit"],
        "Raise the planes' small-scale power, which a particle mesh loses, to that of halofit (nbody). It fits "
        "the power spectrum by construction; calibrated on the first training box.",
    )
    for split, boxes in (("train", 5), ("development", 1), ("validation", 1), ("auxiliary", 1)):
        flags.DEFINE_integer(f"num_{split}_boxes", boxes, f"Boxes that the {split} maps are made of (nbody).")
    flags.DEFINE_string(
        "boxes_dir",
        None,
        "Folder of the boxes; runs that name the same one share them, and share the work if they run at once "
        "(nbody). Unset: boxes in the run directory.",
    )
    flags.DEFINE_boolean(
        "write_lens_planes",
        False,
        "Write every box's planes as FITS files for LensTools, to lens_planes in the box's folder (nbody).",
    )
