"""Maps as an observer sees them: with the shape noise of the source galaxies, and smoothed."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.geometry import ARCMIN_PER_DEG, MapGeometry, half_plane_indices
from cosmogan_jax.summaries.edges import check_kappa
from cosmogan_jax.switches import with_usual


@dataclasses.dataclass(frozen=True)
class GalaxyNoise:
    """The shape noise of a survey's source galaxies, white in the convergence: `shape_noise_sigma`.

    Attributes:
      galaxies_per_arcmin2: galaxies with shapes on a square arcminute, in each source bin: one number for all
        bins, or one of every bin in their order (not the total over bins, of which each has its share).
      sigma_e: scatter of one component of their ellipticities.

    Raises:
      ValueError: galaxies_per_arcmin2 not positive, sigma_e negative, or one that is not finite.
    """

    galaxies_per_arcmin2: float | tuple[float, ...] = 30.0
    sigma_e: float = 0.26

    def __post_init__(self):
        if np.ndim(self.galaxies_per_arcmin2):
            given = tuple(np.asarray(self.galaxies_per_arcmin2).tolist())
            # One is for all bins, however it is given.
            object.__setattr__(self, "galaxies_per_arcmin2", given[0] if len(given) == 1 else given)
        densities = self._densities
        if not densities or not all(0 < density < math.inf for density in densities):
            raise ValueError(f"galaxies_per_arcmin2={self.galaxies_per_arcmin2} must be positive and finite")
        if not 0 <= self.sigma_e < math.inf:
            raise ValueError(f"sigma_e={self.sigma_e} must be 0 or positive, and finite")

    @property
    def _densities(self) -> tuple[float, ...]:
        of = self.galaxies_per_arcmin2
        return of if isinstance(of, tuple) else (of,)

    def sigma(self, geometry: MapGeometry) -> float | Float[np.ndarray, " bins"]:
        """Return standard deviation of convergence noise in one of the geometry's pixels, of each density."""
        if not isinstance(self.galaxies_per_arcmin2, tuple):
            return shape_noise_sigma(geometry, self.sigma_e, self.galaxies_per_arcmin2)
        return np.array([shape_noise_sigma(geometry, self.sigma_e, of) for of in self.galaxies_per_arcmin2])

    def of_bins(self, num_bins: int) -> tuple["GalaxyNoise", ...]:
        """Return the noise of each of so many source bins.

        Raises:
          ValueError: densities of another number of bins.
        """
        densities = self._densities
        if len(densities) not in (1, num_bins):
            values = ",".join(f"{of:g}" for of in densities)
            raise ValueError(
                f"galaxies_per_arcmin2={values}: galaxies of {len(densities)} source bins, and maps have "
                f"{num_bins}; give one number for all, or one of each"
            )
        return tuple(GalaxyNoise(of, self.sigma_e) for of in densities * (num_bins // len(densities)))


def shape_noise_sigma(
    geometry: MapGeometry, sigma_e_per_component: float, galaxies_per_arcmin2: float
) -> float:
    """Return the standard deviation of convergence noise in a pixel, sigma_e / sqrt(n_gal A_pixel).

    Van Waerbeke (2000, MNRAS 313, 524): sigma_kappa^2 = sigma_epsilon^2 / (2 n_gal A), with sigma_epsilon^2 the
    variance of both components of the ellipticity together, twice that of one, which is what is given here
    (0.26 in LSST's and Euclid's forecasts). In the inversion of Kaiser & Squires (1993) shear and convergence
    differ by a phase in every Fourier mode, so that noise that is white in the shear is white, and of the same
    variance a component, in the convergence; its power is sigma_e^2/n_gal at every ell, n_gal per steradian.
    Left out: reduced shear, masks and holes, intrinsic alignments, galaxies that cluster.

    Raises:
      ValueError: sigma_e_per_component negative or not finite, galaxies_per_arcmin2 not positive.
    """
    if not 0 <= sigma_e_per_component < np.inf:
        raise ValueError(f"sigma_e_per_component={sigma_e_per_component} must be 0 or positive")
    if not 0 < galaxies_per_arcmin2 < np.inf:
        raise ValueError(f"galaxies_per_arcmin2={galaxies_per_arcmin2} must be positive")
    return sigma_e_per_component / np.sqrt(galaxies_per_arcmin2) / geometry.pixel_arcmin


@with_usual
def add_shape_noise(
    key: Array,
    kappa: Float[Array, "maps size size"],
    map_index: Int[Array, " maps"],
    geometry: MapGeometry,
    *,
    sigma_e_per_component: float,
    galaxies_per_arcmin2: float,
) -> Float[Array, "maps size size"]:
    """Add white Gaussian noise of `shape_noise_sigma` to maps, each from fold_in(key, its index).

    Map n has the same noise whatever the batch. Two sets that are compared need keys of their own: the same
    noise on both would correlate them.

    Raises:
      ValueError: maps of another size than the geometry's, indices of another length; as `shape_noise_sigma`.
    """
    kappa = _checked(kappa, geometry)
    sigma = shape_noise_sigma(geometry, sigma_e_per_component, galaxies_per_arcmin2)
    return _with_white_noise(key, kappa, map_index, sigma)


@with_usual
def add_shape_noise_of_bins(
    key: Array,
    kappa: Float[Array, "maps bins size size"],
    map_index: Int[Array, " maps"],
    geometry: MapGeometry,
    noise: GalaxyNoise | Sequence[GalaxyNoise],
) -> Float[Array, "maps bins size size"]:
    """Add white Gaussian noise to maps of several source bins, of the galaxies that are in each.

    Each galaxy is in one bin: the noise has no cross power. Bin b is `add_shape_noise` with fold_in(key, b).

    Args:
      noise: of all bins, with one density or one of each; or a noise of every bin.

    Raises:
      ValueError: a noise or a density that is missing for a bin, or left over; as `add_shape_noise`.
    """
    kappa = _checked(kappa, geometry)
    if kappa.ndim != 4:
        raise ValueError(f"kappa.shape={kappa.shape} must be (maps, bins, size, size)")
    bins = kappa.shape[1]
    of_each = noise.of_bins(bins) if isinstance(noise, GalaxyNoise) else tuple(noise)
    if len(of_each) != bins:
        raise ValueError(f"kappa.shape={kappa.shape} must be (maps, {len(of_each)}, ...), a bin for each noise")
    noisy = []
    for number, of_bin in enumerate(of_each):
        sigma = of_bin.of_bins(1)[0].sigma(geometry)
        noisy.append(_with_white_noise(jax.random.fold_in(key, number), kappa[:, number], map_index, sigma))
    return jnp.stack(noisy, 1)


@with_usual
def smooth(
    kappa: Float[Array, "*batch size size"], geometry: MapGeometry, theta_arcmin: float
) -> Float[Array, "*batch size size"]:
    """Convolve maps with a Gaussian of deviation theta_G: every mode times exp(-ell^2 theta_G^2 / 2).

    theta_G = theta_arcmin is the width of W(theta) = exp(-theta^2 / (2 theta_G^2)) / (2 pi theta_G^2), as in
    LensTools' `smooth` and the forecasts made with it (Liu & Haiman 2016; Petri 2016); its full width at half
    maximum is 2.355 theta_G. Another convention, exp(-theta^2/theta_G^2) (van Waerbeke 2000; Kratochvil et al.
    2010), has a theta_G sqrt(2) times as large for the same kernel.

    Periodic, although crops are not: within about 2 theta_G of a border a pixel holds something of the opposite
    border. All sets are to be smoothed alike; the comparison then holds, the smoothed map's border does not.
    theta_arcmin=0 gives the maps back.

    Raises:
      ValueError: theta_arcmin negative or not finite, maps of another size than the geometry's.
    """
    return _smoothed(_checked(kappa, geometry), geometry, theta_arcmin)


@with_usual
def smooth_inside(
    kappa: Float[Array, "*batch tall wide"], geometry: MapGeometry, theta_arcmin: float, margin: int
) -> Float[Array, "*batch height width"]:
    """Return the middle of `smooth`ed maps: `margin` pixels are cut away on every side.

    Of maps that go on beyond what is wanted of them. From `margin_of` on, nothing of the opposite border is
    left in the middle. Maps of any shape; the geometry says how wide their pixels are.

    Raises:
      ValueError: theta_arcmin negative or not finite, a margin that is negative or leaves nothing.
    """
    smoothed = _smoothed(check_kappa(kappa), geometry, theta_arcmin)
    tall, wide = smoothed.shape[-2:]
    if not 0 <= 2 * margin < min(tall, wide):
        raise ValueError(f"margin={margin} must be 0 or positive and leave something of {tall}x{wide} pixels")
    return smoothed[..., margin : tall - margin, margin : wide - margin]


def margin_of(geometry: MapGeometry, theta_arcmin: float) -> int:
    """Return pixels beyond which no border is felt: 5 theta_G, with 6e-7 of the kernel left, and two more.

    Two more, since the kernel that is a Gaussian in Fourier space up to the Nyquist mode rings about its own.
    """
    return math.ceil(5 * theta_arcmin / geometry.pixel_arcmin) + 2 if theta_arcmin else 0


def _with_white_noise(
    key: Array, kappa: Float[Array, "maps size size"], map_index: Int[Array, " maps"], sigma: Any
) -> Array:
    map_index = jnp.asarray(map_index)
    if map_index.shape != kappa.shape[:1] or kappa.ndim != 3:
        raise ValueError(f"map_index.shape={map_index.shape} must be ({len(kappa)},), one for each map")

    def noise(index):
        return jax.random.normal(jax.random.fold_in(key, index), kappa.shape[1:], kappa.dtype)

    return kappa + jnp.asarray(sigma, kappa.dtype) * jax.vmap(noise)(map_index)


def _smoothed(kappa: Float[Array, "*batch height width"], geometry: MapGeometry, theta_arcmin: float) -> Array:
    if not 0 <= theta_arcmin < np.inf:
        raise ValueError(f"theta_arcmin={theta_arcmin} must be 0 or positive")
    if theta_arcmin == 0:
        return kappa
    height, width = kappa.shape[-2:]
    window = jnp.asarray(_window(geometry, height, width, float(theta_arcmin)), kappa.dtype)
    return jnp.fft.irfft2(jnp.fft.rfft2(kappa) * window, s=(height, width))


@functools.lru_cache(maxsize=16)
def _window(
    geometry: MapGeometry, height: int, width: int, theta_arcmin: float
) -> Float[np.ndarray, "height half"]:
    """Return the window of maps of the geometry's pixels; of its own size as many."""
    theta_rad = np.radians(theta_arcmin / ARCMIN_PER_DEG)
    row, column = half_plane_indices(height)[0], half_plane_indices(width)[1]
    ell_y, ell_x = (
        index * (geometry.fundamental_ell * geometry.num_pixels / side)
        for index, side in ((row, height), (column, width))
    )
    return np.exp(-0.5 * (np.sqrt(ell_y[:, None] ** 2 + ell_x[None, :] ** 2) * theta_rad) ** 2)


def _checked(kappa: Array, geometry: MapGeometry) -> Array:
    kappa = check_kappa(kappa, square=True)
    if kappa.shape[-1] != geometry.num_pixels:
        raise ValueError(
            f"kappa.shape={kappa.shape} must be (..., {geometry.num_pixels}, {geometry.num_pixels})"
        )
    return kappa
