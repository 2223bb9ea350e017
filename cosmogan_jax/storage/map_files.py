"""Single maps as other tools read them: FITS (LensTools, astropy) and npy."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from cosmogan_jax.geometry import MapGeometry


def write_fits_map(
    path: Path,
    kappa: Float[np.ndarray, "height width"],
    geometry: MapGeometry,
    cards: dict[str, tuple[object, str]],
) -> None:
    """One convergence map with ANGLE (side in degrees, LensTools' key), a flat WCS scale and unit.

    Args:
      path: file to write; an existing one is replaced.
      kappa: the map, dimensionless; written as float32.
      geometry: its pixels and side.
      cards: further header cards, name to (value, comment).

    Raises:
      ModuleNotFoundError: astropy is not installed; the message names the extra.
    """
    try:
        from astropy.io import fits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("FITS files need astropy: pip install 'cosmogan_jax[fits]'") from error
    header = fits.Header()
    header["ANGLE"] = (geometry.side_deg, "Side angle in degrees")
    header["ITYPE"] = ("ConvergenceMap", "Image type")
    header["BUNIT"] = ("", "convergence, dimensionless")
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CUNIT1"] = header["CUNIT2"] = "deg"
    header["CRVAL1"] = header["CRVAL2"] = 0.0
    header["CRPIX1"] = header["CRPIX2"] = (geometry.num_pixels + 1) / 2
    header["CDELT1"] = header["CDELT2"] = geometry.side_deg / geometry.num_pixels
    for name, card in cards.items():
        header[name] = card
    fits.PrimaryHDU(np.asarray(kappa, np.float32), header).writeto(path, overwrite=True)
