"""Settings of stages that read maps from files: what such files leave open."""

import dataclasses
from typing import Literal

from cosmogan_jax.settings.declaration import FILES, setting, shared
from cosmogan_jax.settings.simulate import Simulate

# What values may look like that are not convergence (`maps/plausibility.py`).
VALUE_KINDS = ("units", "fill", "mask", "counts", "bins")


@dataclasses.dataclass(frozen=True)
class MapFiles:
    """How files hold their maps, and what is done where they do not say it, or hold what is no convergence."""

    side_deg: float | None = shared(Simulate, "side_deg")
    source_redshift: float | None = shared(Simulate, "source_redshift")
    hdf5_dataset: str | None = setting(
        None,
        "Path of the dataset in HDF5 files, of the array in zarr groups, its name in npz archives; or a glob, "
        "as kappa_*, which takes all of these as maps. Unset: the only one.",
        names="something",
    )
    fits_extension: str | None = setting(
        None,
        "Name or number of the image in FITS files (0: the first). Unset: the only floating-point image.",
        names="something",
    )
    raw_shape: tuple[int, ...] = setting(
        (),
        "Shape of raw files (little-endian float32; .f32, or any ending where nothing else is told by what the "
        "file begins with): rows,columns of a map, or maps,rows,columns.",
        least=0,
        like="2048,2048",
    )
    channel: int | None = setting(
        None,
        "Channel of maps that have several; with --source_bins, the one that is trained on, else all together.",
        least=0,
    )
    source_bins: tuple[str, ...] = setting(
        (),
        "Channels that are maps of one sky for several source redshifts or bins, and are read and stored "
        "together: all, or their numbers, as 0,2,4. With a glob in --hdf5_dataset each dataset is a bin. Where "
        "each bin has files of its own: how their names say which it is, as 'kappa{bin}.dat' for all, "
        "'kappa{bin}.dat',3,12 for some; names that agree but for that number are of the same maps.",
    )
    bin_redshifts: tuple[float, ...] = setting(
        (),
        "Source redshifts of --source_bins, in their order, where the files do not tell them.",
        like="0.5,1",
    )
    cut_patches: tuple[int, ...] = setting(
        (),
        "Flat squares to cut HEALPix maps to, by the gnomonic projection: pixels on a side, and how many of a "
        "sky at most (unset: all that do not overlap), as 256,100. They are --side_deg wide.",
        size=2,
        like="256 or 256,100",
    )
    invalid_pixels: Literal["refuse", "drop", "avoid"] = setting(
        "refuse",
        "Maps with NaN, infinite or fill-value pixels: refuse them, drop such maps (and constant ones), or "
        "avoid the pixels: no crop holds one; maps that are judged are judged as masked ones.",
    )
    accept_values: tuple[str, ...] = setting(
        (),
        "Maps that look like anything but convergence are refused, with the reason; what they look like is "
        f"meant where it is named here, of {', '.join(VALUE_KINDS)} (bins: several source bins as one set).",
        valid=lambda kinds: set(kinds) <= set(VALUE_KINDS),
        words=f"must be of {', '.join(VALUE_KINDS)}",
        neutral=True,
    )


@dataclasses.dataclass(frozen=True)
class GivenMaps(MapFiles):
    """Generated maps that are given as files, to stages that look at them."""

    generated: tuple[str, ...] = setting(
        (),
        "Maps to judge, in place of those of stage generate: another emulator's, a mock's. Files, folders or "
        "quoted globs, as --maps.",
        names=FILES,
    )
    judged_side_deg: float | None = setting(
        None,
        "Side of the maps of --generated, --reference and --auxiliary whose files do not tell it, in degrees, "
        "where it is not --side_deg: of crops, while --side_deg is that of --maps.",
        valid=lambda degrees: degrees is None or 0 < degrees < 180,
        words="must be positive degrees",
    )
