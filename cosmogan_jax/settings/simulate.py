"""Settings of stage simulate."""

import dataclasses
from typing import Any, Literal

from cosmogan_jax.settings.declaration import setting, shared
from cosmogan_jax.settings.run import Run


def _of_cosmology(paper: float, what: str) -> Any:
    return setting(None, f"{what}. Unset: the paper's {paper:g}. Anything else needs CAMB (extra sky).")


def _boxes(default: int, split: str) -> Any:
    return setting(default, f"Boxes that the {split} maps are made of (nbody).")


@dataclasses.dataclass(frozen=True)
class Simulate:
    """What sky maps are made of, of which cosmology, and how many."""

    seed: int = shared(Run, "seed")
    sky: Literal["lognormal", "planes", "nbody"] = setting(
        "lognormal",
        "Where convergence maps come from: lognormal fields, lens planes made elsewhere, or own N-body boxes.",
    )
    lens_planes: str | None = setting(
        None, "Folder of lens planes in LensTools' FITS format (sky=planes).", names="something"
    )
    map_pixels: int = setting(1024, "Pixels on a side of a simulated map.")
    side_deg: float | None = setting(
        None,
        "Side of a map in degrees. Unset: sqrt(12) (lognormal, nbody), what the planes say, or the files of "
        "--maps.",
    )
    source_redshift: float | None = setting(
        None, "Redshift of the lensed sources. Unset: the paper's 1, or what the files of --maps say."
    )
    source_redshifts: tuple[float, ...] = setting(
        (),
        "Redshifts of several source bins, rising: maps then have a channel for each, of the same structures.",
        like="0.5,1,1.5",
    )
    source_distributions: str | None = setting(
        None,
        "CSV file of the n(z) of several source bins, in place of --source_redshifts: a row of names, z and "
        "those of the bins, then redshifts and n(z) of each, which need not be normalised.",
        names="something",
    )
    smail: str = setting(
        "",
        "Source bins of as many galaxies each, in place of --source_redshifts: sharp slices of p(z) ~ z^alpha "
        "exp(-(z/z0)^beta) up to z=3, as z0=0.11,alpha=2,beta=0.68,bins=4.",
    )
    lognormal_shift: float = setting(
        0.04,
        "Lowest possible convergence of the lognormal sky, negated; sets its skewness (0.04 matches the pixel "
        "skewness of N-body maps, 0.027 that of maps smoothed by 1 arcmin). Dimensionless. Of several source "
        "bins it is that of sources at redshift 1; others' are in proportion to the least convergence that a "
        "line of sight can have, one without matter.",
    )
    omega_m: float | None = _of_cosmology(0.26, "Matter density today; the rest is dark energy (flat)")
    omega_b: float | None = _of_cosmology(0.046, "Baryon density today, a part of omega_m")
    sigma8: float | None = _of_cosmology(0.798, "Linear rms overdensity today in spheres of 8 Mpc/h")
    n_s: float | None = _of_cosmology(0.96, "Spectral index of the primordial power")
    h: float | None = _of_cosmology(0.72, "Hubble constant in 100 km/s/Mpc")
    w0: float | None = _of_cosmology(-1.0, "Equation of state of dark energy today")
    wa: float | None = _of_cosmology(0.0, "Its change, w = w0 + wa z/(1+z)")
    design: str | None = setting(
        None,
        "Maps of several cosmologies, for an emulator of any cosmology among them: a CSV file with a row of "
        "names and one for each cosmology, or sobol:<number> of points in --design_ranges. Numbers of maps and "
        "boxes are then those of each cosmology.",
        names="something",
    )
    design_ranges: str = setting(
        "", "Ranges of the parameters of --design=sobol:<number>, as omega_m=0.2:0.4,sigma8=0.6:1.0."
    )
    held_out: tuple[int, ...] = setting(
        (),
        "Points of the design, from 0, that no training map is of; validation and auxiliary maps are of these, "
        "from boxes of the same seeds at each.",
        least=0,
        like="3,7",
    )
    num_held_out: int = setting(
        0, "Number of points to hold out, drawn inside the hull of the others and far from each other.", least=0
    )
    ray_tracing: Literal["born", "multi_plane"] = setting(
        "born",
        "How light passes the planes of sky=nbody or planes: on straight lines, or deflected at each plane.",
    )
    rays_per_pixel: int = setting(
        2, "Rays along a side of a map pixel, averaged (nbody; the paper's downsampling)."
    )
    box_size: float = setting(240.0, "Side of a simulated box, Mpc/h (nbody).")
    num_particles_side: int = setting(512, "Particles along a side of a box (nbody).")
    mesh_factor: int = setting(2, "Cells of the force mesh per particle along a side (nbody).")
    num_time_steps: int = setting(60, "Steps from start_redshift to the nearest plane (nbody).")
    start_redshift: float = setting(9.0, "Redshift of the initial conditions (nbody).")
    slabs_per_box: int = setting(2, "Lens planes along a side of a box (nbody).")
    plane_pixels: int | None = setting(
        None, "Pixels on a side of a lens plane (nbody). Unset: 4 num_particles_side."
    )
    sharpen_to: Literal["none", "halofit"] = setting(
        "none",
        "Raise the planes' small-scale power, which a particle mesh loses, to that of halofit (nbody). It fits "
        "the power spectrum by construction; calibrated on the first training box.",
    )
    num_train_boxes: int = _boxes(5, "train")
    num_development_boxes: int = _boxes(1, "development")
    num_validation_boxes: int = _boxes(1, "validation")
    num_auxiliary_boxes: int = _boxes(1, "auxiliary")
    num_train_maps: int = setting(1000, "Maps to train on.")
    num_development_maps: int = setting(100, "Maps to select checkpoints on.")
    num_validation_maps: int = setting(100, "Maps to evaluate against; seen by no other stage.")
    num_auxiliary_maps: int | None = setting(
        None,
        "Maps to compare validation maps with, as generated ones are. Unset: as many as validation maps; "
        "none for sky=planes, whose one light cone holds nothing independent.",
    )
    boxes_dir: str | None = setting(
        None,
        "Folder of the boxes; runs that name the same one share them, and share the work if they run at once "
        "(nbody). Unset: boxes in the run directory.",
        names="something",
        neutral=True,
    )
    write_lens_planes: bool = setting(
        False,
        "Write every box's planes as FITS files for LensTools, to lens_planes in the box's folder (nbody).",
        neutral=True,
    )
