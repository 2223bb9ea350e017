"""Lens planes in LensTools' FITS format: dimensionless lensing potential, one plane a file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cosmogan_jax.files.fits_files import ENDINGS, parsable, read_image, write_image

_SHARED = ("H", "OMEGA_M", "OMEGA_L", "W0", "WA")


class LensPlanes(NamedTuple):
    """Planes in order of distance; header holds the cosmology, which all of them share."""

    names: tuple[str, ...]
    potential: Float[np.ndarray, "planes size size"]
    redshift: Float[np.ndarray, " planes"]
    chi: Float[np.ndarray, " planes"]
    side_deg: Float[np.ndarray, " planes"]
    header: dict[str, float]


def read_lens_planes(folder: Path) -> LensPlanes:
    """Read all planes of a folder; chi in Mpc/h, potential dimensionless.

    Raises:
      ValueError: no folder, no planes, a broken file, non-finite values, or planes whose size or cosmology
        disagree.
      ModuleNotFoundError: astropy is not installed.
    """
    folder = Path(folder)
    files = sorted(p for p in folder.glob("*") if p.name.endswith(ENDINGS)) if folder.is_dir() else []
    if not files:
        raise ValueError(f"lens_planes={folder} holds no {' or '.join(ENDINGS)} file")
    planes = []
    for path in files:
        header, data = read_image(path)
        try:
            with parsable(path):
                values = {key: float(header[key]) for key in (*_SHARED, "ANGLE", "Z", "CHI")}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a lens plane: {' '.join(map(str, error.args))}") from error
        data = data.astype(np.float32)
        if data.ndim != 2 or data.shape[0] != data.shape[1]:
            raise ValueError(f"{path} has shape {data.shape}, expected a square plane")
        if not np.isfinite(data).all():
            raise ValueError(f"{path} holds non-finite values")
        planes.append((values, data, path.name))
    first, shape, name = planes[0][0], planes[0][1].shape, planes[0][2]
    for values, data, other in planes:
        for key in _SHARED:
            if abs(values[key] - first[key]) > 1e-6 * abs(first[key]):
                raise ValueError(
                    f"lens planes disagree: {key}={first[key]} in {name}, {values[key]} in {other}"
                )
        if data.shape != shape:
            raise ValueError(f"lens planes disagree: shape {shape} in {name}, {data.shape} in {other}")
    planes.sort(key=lambda plane: plane[0]["CHI"])
    return LensPlanes(
        names=tuple(p[2] for p in planes),
        potential=np.stack([p[1] for p in planes]),
        redshift=np.array([p[0]["Z"] for p in planes]),
        chi=np.array([p[0]["CHI"] for p in planes]),
        side_deg=np.array([p[0]["ANGLE"] for p in planes]),
        header={key: first[key] for key in _SHARED},
    )


def write_lens_planes(folder: Path, planes: LensPlanes) -> None:
    """Write every plane to folder/name as LensTools writes its own, so that it can read them.

    The potential is kept bit for bit. H0 follows from H; NPART is -1, LensTools' value where no number of
    particles is known.

    Raises:
      ValueError: a name without a FITS ending, a file that is there already, or non-finite values.
      ModuleNotFoundError: astropy is not installed.
    """
    folder = Path(folder)
    for name, potential in zip(planes.names, planes.potential):
        if not name.endswith(ENDINGS):
            raise ValueError(f"lens plane name={name} must end in {' or '.join(ENDINGS)}")
        if (folder / name).exists():
            raise ValueError(f"{folder / name} is there already")
        if not np.isfinite(potential).all():
            raise ValueError(f"lens plane {name} holds non-finite values")
    folder.mkdir(parents=True, exist_ok=True)
    shared = planes.header
    for name, potential, z, chi, side_deg in zip(
        planes.names, planes.potential, planes.redshift, planes.chi, planes.side_deg
    ):
        cards = {
            "H0": (100.0 * shared["H"], "Hubble constant in km/s*Mpc"),
            "H": (shared["H"], "Dimensionless Hubble constant"),
            "OMEGA_M": (shared["OMEGA_M"], "Dark Matter density"),
            "OMEGA_L": (shared["OMEGA_L"], "Dark Energy density"),
            "W0": (shared["W0"], "Dark Energy equation of state"),
            "WA": (shared["WA"], "Dark Energy running equation of state"),
            "Z": (float(z), "Redshift of the lens plane"),
            "CHI": (float(chi), "Comoving distance in Mpc/h"),
            "ANGLE": (float(side_deg), "Side angle in degrees"),
            "NPART": (-1.0, "Number of particles on the plane"),
        }
        write_image(folder / name, np.asarray(potential, np.float32), cards)
