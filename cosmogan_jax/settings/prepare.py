"""Settings of stage prepare."""

import dataclasses
from typing import Any, Literal

from cosmogan_jax.settings.declaration import FILES, setting, shared
from cosmogan_jax.settings.map_files import MapFiles
from cosmogan_jax.settings.run import Run


def _maps(split: str) -> Any:
    return setting((), f"As --maps, for {split} maps from a source of their own.", names=FILES)


def _share(split: str) -> Any:
    return setting(0.1, f"Share of {split} maps in --maps, or, with split_by=crops, of {split} crops.")


@dataclasses.dataclass(frozen=True)
class Prepare(MapFiles):
    """Which maps are trained on, what is known of them, and how crops are cut from them."""

    seed: int = shared(Run, "seed")
    maps: tuple[str, ...] = setting(
        (),
        "Convergence maps to train on, in place of simulated ones: files, map stores, folders or globs of npy, "
        "npz, FITS, HDF5, zarr, kappaTNG or raw .f32. Split into train, development and validation maps, see "
        "--split_by.",
        names=FILES,
    )
    development_maps: tuple[str, ...] = _maps("development")
    validation_maps: tuple[str, ...] = _maps("validation")
    auxiliary_maps: tuple[str, ...] = _maps("auxiliary")
    map_parameters: str | None = setting(
        None,
        "CSV file of the maps' parameters: first column file (name, or end of the path) or index (number of "
        "the map over all given, from 0), the others parameters by name, as omega_m,sigma8.",
        names="something",
    )
    parameters_from_name: str | None = setting(
        None,
        "How parameters stand in names of folders and files, as Om{omega_m}_si{sigma8}: {name} is a number, "
        "{} one that is not kept.",
        names="something",
    )
    box_from_name: str | None = setting(
        None,
        "How the number of the simulated box, or of its initial conditions, stands in names of folders and "
        "files, as LP{box} or _{box}r.fits: maps of one box then belong to one split, whatever their "
        "parameters, and what is independent is the box.",
        names="something",
    )
    vary: tuple[str, ...] = setting(
        (),
        "Parameters in which the maps are meant to differ, as omega_m,sigma8,source_redshift; maps that differ "
        "in others are refused.",
    )
    downsample: int = setting(
        1, "Pixels along a side that are averaged to one (the paper: 2, from 2048 to 1024)."
    )
    mask: tuple[str, ...] = setting(
        (),
        "Survey masks of the given maps, FITS, npy or HDF5 images of their pixels, 1 where observed: one for "
        "all maps, or one for each in their order. Crops hold no masked pixel; maps that are judged are judged "
        "by the statistics that take masks.",
        names=FILES,
    )
    mask_max_fraction: float = setting(
        0.0,
        "Share of a crop's pixels that may be masked. Above 0 these keep the values that the maps have there.",
        least=0.0,
        most=1.0,
    )
    split_by: Literal["map", "crops"] = setting(
        "map",
        "map: the maps are split, in their order, and all crops of a map belong to its split. crops: train, "
        "development and validation crops come from all maps, at other positions, and may overlap.",
    )
    development_share: float = _share("development")
    validation_share: float = _share("validation")
    crop_size: int = setting(256, "Pixels on a side of a crop, and so of generated maps.")
    crops_per_map: int = setting(200, "Random crops of every map; with split_by=crops, to train on.")
    normalisation: Literal["none", "linear", "arcsinh"] = setting(
        "none",
        "What the networks see, always undone in generated maps: kappa as it is (the paper), "
        "kappa/scale, or arcsinh(kappa/scale)/3.",
    )
    normalisation_scale: float = setting(1.0, "Scale of the normalisation, in kappa (dimensionless).")
    bin_scales: tuple[float, ...] = setting(
        (),
        "Scale of the normalisation of each source bin that is trained on, in their order, in place of one "
        "--normalisation_scale for all: bins of higher redshift scatter more.",
        like="0.06,0.12",
    )
