"""Flags of stage prepare."""

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.flags.number_lists import Joined, Numbers
from cosmogan_jax.settings import VALUE_KINDS
from cosmogan_jax.settings import Prepare as SETTINGS

__all__ = ["SETTINGS", "define"]


class _Shape(flags.ArgumentParser):
    """Whole numbers between commas."""

    syntactic_help = "whole numbers, as 2048,2048"

    def parse(self, argument):
        """A tuple of the numbers."""
        if isinstance(argument, tuple):
            return argument
        parts = argument.split(",") if argument else []
        if not all(part.strip().isdigit() for part in parts):
            raise ValueError("expected whole numbers, as 2048,2048")
        return tuple(map(int, parts))

    def flag_type(self):
        """As absl names it."""
        return "whole numbers"


def define() -> None:
    """Define the flags."""
    _define_maps()
    flags.DEFINE_enum(
        "split_by",
        "map",
        ["map", "crops"],
        "map: the maps are split, in their order, and all crops of a map belong to its split. crops: train, "
        "development and validation crops come from all maps, at other positions, and may overlap.",
    )
    for split in ("development", "validation"):
        flags.DEFINE_float(
            f"{split}_share",
            0.1,
            f"Share of {split} maps in --maps, or, with split_by=crops, of {split} crops.",
        )
    flags.DEFINE_integer("crop_size", 256, "Pixels on a side of a crop, and so of generated maps.")
    flags.DEFINE_integer("crops_per_map", 200, "Random crops of every map; with split_by=crops, to train on.")
    flags.DEFINE_enum(
        "normalisation",
        "none",
        ["none", "linear", "arcsinh"],
        "What the networks see, always undone in generated maps: kappa as it is (the paper), "
        "kappa/scale, or arcsinh(kappa/scale)/3.",
    )
    flags.DEFINE_float("normalisation_scale", 1.0, "Scale of the normalisation, in kappa (dimensionless).")


def _define_maps() -> None:
    flags.DEFINE_list(
        "maps",
        [],
        "Convergence maps to train on, in place of simulated ones: files, map stores, folders or globs of npy, "
        "npz, FITS, HDF5, zarr or raw .f32. Split into train, development and validation maps, see --split_by.",
    )
    for split in ("development", "validation", "auxiliary"):
        flags.DEFINE_list(f"{split}_maps", [], f"As --maps, for {split} maps from a source of their own.")
    flags.DEFINE_string(
        "hdf5_dataset",
        None,
        "Path of the dataset in HDF5 files, of the array in zarr groups, its name in npz archives; or a glob, "
        "as kappa_*, which takes all of these as maps. Unset: the only one.",
    )
    flags.DEFINE_string(
        "fits_extension",
        None,
        "Name or number of the image in FITS files (0: the first). Unset: the only floating-point image.",
    )
    flags.DEFINE(
        _Shape(),
        "raw_shape",
        (),
        "Shape of raw files (little-endian float32; .f32, or any ending where nothing else is told by what the "
        "file begins with): rows,columns of a map, or maps,rows,columns.",
        serializer=flags.ListSerializer(","),
    )
    flags.DEFINE_integer(
        "channel",
        None,
        "Channel of maps that have several; with --source_bins, the one that is trained on.",
        lower_bound=0,
    )
    flags.DEFINE_list(
        "source_bins",
        [],
        "Channels that are maps of one sky for several source redshifts or bins, and are read and stored "
        "together: all, or their numbers, as 0,2,4. With a glob in --hdf5_dataset each dataset is a bin. Where "
        "each bin has files of its own: how their names say which it is, as 'kappa{bin}.dat' for all, "
        "'kappa{bin}.dat',3,12 for some; names that agree but for that number are of the same maps.",
    )
    flags.DEFINE(
        Numbers(like="0.5,1"),
        "bin_redshifts",
        (),
        "Source redshifts of --source_bins, in their order, where the files do not tell them.",
        serializer=Joined(),
    )
    flags.DEFINE(
        Numbers(whole=True, most=2, like="256 or 256,100"),
        "cut_patches",
        (),
        "Flat squares to cut HEALPix maps to, by the gnomonic projection: pixels on a side, and how many of a "
        "sky at most (unset: all that do not overlap), as 256,100. They are --side_deg wide.",
        serializer=Joined(),
    )
    flags.DEFINE_string(
        "map_parameters",
        None,
        "CSV file of the maps' parameters: first column file (name, or end of the path) or index (number of "
        "the map over all given, from 0), the others parameters by name, as omega_m,sigma8.",
    )
    flags.DEFINE_string(
        "parameters_from_name",
        None,
        "How parameters stand in names of folders and files, as Om{omega_m}_si{sigma8}: {name} is a number, "
        "{} one that is not kept.",
    )
    flags.DEFINE_list(
        "vary",
        [],
        "Parameters in which the maps are meant to differ, as omega_m,sigma8,source_redshift; maps that differ "
        "in others are refused.",
    )
    flags.DEFINE_integer(
        "downsample", 1, "Pixels along a side that are averaged to one (the paper: 2, from 2048 to 1024)."
    )
    flags.DEFINE_enum(
        "invalid_pixels",
        "refuse",
        ["refuse", "drop", "avoid"],
        "Maps with NaN, infinite or fill-value pixels: refuse them, drop such maps (and constant ones), or "
        "avoid the pixels: no crop holds one; maps that are judged are judged as masked ones.",
    )
    flags.DEFINE_list(
        "mask",
        [],
        "Survey masks of the given maps, FITS, npy or HDF5 images of their pixels, 1 where observed: one for "
        "all maps, or one for each in their order. Crops hold no masked pixel; maps that are judged are judged "
        "by the statistics that take masks.",
    )
    flags.DEFINE_float(
        "mask_max_fraction",
        0.0,
        "Share of a crop's pixels that may be masked. Above 0 these keep the values that the maps have there.",
        lower_bound=0.0,
        upper_bound=1.0,
    )
    flags.DEFINE_list(
        "accept_values",
        [],
        "Maps that look like anything but convergence are refused, with the reason; what they look like is "
        f"meant where it is named here, of {', '.join(VALUE_KINDS)} (bins: several source bins as one set).",
    )
    flags.register_validator(
        "accept_values", lambda kinds: set(kinds) <= set(VALUE_KINDS), f"must be of {', '.join(VALUE_KINDS)}"
    )
