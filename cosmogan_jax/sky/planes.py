"""Born convergence maps from lens planes, train, development and validation from disjoint regions."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from cosmogan_jax.sky import ray_tracing
from cosmogan_jax.sky.cosmology import Cosmology, comoving_distance
from cosmogan_jax.sky.limber import lensing_efficiency
from cosmogan_jax.sky.source_distributions import SourceBin
from cosmogan_jax.symmetries import orient

# Pixels about a window that multi-plane ray tracing needs: rays wander by a few arcminutes at most, and second
# differences reach two pixels further.
MARGIN = 8


class Region(NamedTuple):
    """A rectangle of a plane, in pixels."""

    row: int
    column: int
    height: int
    width: int


def split_regions(num_pixels: int) -> dict[str, Region]:
    """Return disjoint regions of a plane: its left half to train, right quarters to develop and validate."""
    half = num_pixels // 2
    return {
        "train": Region(0, 0, num_pixels, half),
        "development": Region(0, half, half, num_pixels - half),
        "validation": Region(half, half, num_pixels - half, num_pixels - half),
    }


def check_region(region: Region, num_pixels: int, name: str, margin: int = 0) -> None:
    """Raise ValueError where a window of num_pixels, with a margin about it, does not fit the region."""
    if num_pixels + 2 * margin > min(region.height, region.width):
        space = f", with {margin} pixels about it for bent rays," if margin else ""
        raise ValueError(
            f"map_pixels={num_pixels}{space} is larger than the {name} region of the planes, "
            f"{region.height}x{region.width} pixels"
        )


def plane_convergence(
    potential: Float[np.ndarray, "planes size size"], side_deg: float, laplacian: str = "five_point"
) -> Float[np.ndarray, "planes size size"]:
    """Return the convergence of each plane for a source at infinity: half the Laplacian of the potential.

    Laplacian per radian^2 on the periodic plane, in float64 (the potential is smooth and its second
    differences lose half the digits). Along each axis, for a mode whose phase grows by p per pixel,
    "spectral" multiplies by -p^2 and damps nothing; "five_point" takes neighbours one pixel away and damps by
    (sin(p/2) / (p/2))^2; "wide" takes those two pixels away, as LensTools' ray tracer does (hessian in its
    differentials.c), and damps by (sin(p) / p)^2: nothing is left of a mode at the Nyquist frequency.
    Measured against a map of that ray tracer in experiments/003-real-planes.

    Raises:
      ValueError: an unknown laplacian.
    """
    size = potential.shape[-1]
    pixel_rad = np.radians(side_deg) / size
    kappa = np.empty(potential.shape, np.float32)
    if laplacian not in ("five_point", "wide", "spectral"):
        raise ValueError(f"laplacian={laplacian!r} must be five_point, wide or spectral")
    reach = 2 if laplacian == "wide" else 1
    step = 2 * np.pi * np.fft.fftfreq(size)
    ell_squared = (step[:, None] ** 2 + step[: size // 2 + 1] ** 2) / pixel_rad**2
    for i, psi in enumerate(potential):
        psi = psi.astype(np.float64)
        if laplacian == "spectral":
            kappa[i] = np.fft.irfft2(-ell_squared / 2 * np.fft.rfft2(psi), s=(size, size))
        else:
            around = sum(np.roll(psi, shift, axis) for axis in (0, 1) for shift in (reach, -reach))
            kappa[i] = (around - 4 * psi) / (reach * pixel_rad) ** 2 / 2
    return kappa


def born_weights(
    chi: Float[np.ndarray, " planes"], cosmology: Cosmology, source_redshift: float
) -> Float[np.ndarray, " planes"]:
    """Return 1 - chi/chi_s for planes in front of the source, 0 behind; distances in Mpc/h.

    Raises:
      ValueError: the source lies further behind the last plane than the planes lie apart, or before the first.
    """
    if not source_redshift > 0:
        raise ValueError(f"source_redshift={source_redshift} must be positive")
    chi = np.asarray(chi, np.float64)
    source = float(comoving_distance(cosmology, source_redshift))
    spacing = float(np.diff(np.sort(chi)).max()) if len(chi) > 1 else 0.0
    if source > chi.max() + spacing or source <= chi.min():
        raise ValueError(
            f"source_redshift={source_redshift} lies at {source:.0f} Mpc/h, "
            f"the planes at {chi.min():.0f} to {chi.max():.0f} Mpc/h"
        )
    return np.maximum(0.0, 1 - chi / source)


def bin_weights(
    chi: Float[np.ndarray, " planes"], cosmology: Cosmology, bins: Sequence[SourceBin]
) -> Float[np.ndarray, "bins planes"]:
    """Return the mean of 1 - chi/chi_s over each bin's sources, 0 for those that a plane lies behind.

    Raises:
      ValueError: the farthest sources do not fit the planes (`born_weights`), or a bin's all lie before them.
    """
    born_weights(chi, cosmology, max(bin.farthest for bin in bins))
    weights = lensing_efficiency(cosmology, np.asarray(chi, np.float64), bins)
    for bin, of_planes in zip(bins, weights):
        if not of_planes.any():
            raise ValueError(
                f"all sources of {bin.name}, up to redshift {bin.farthest:g}, lie before the planes"
            )
    return weights


def born_maps(
    key: Array,
    map_index: Array,
    kappa_planes: Float[Array, "planes size size"],
    weights: Float[Array, "*bins planes"],
    region: Region,
    num_pixels: int,
) -> Float[Array, "maps *bins num_pixels num_pixels"]:
    """Sum over planes a random window inside the region, in one of the square's eight orientations.

    Never across the region's border. Map n depends on fold_in(key, n) alone. Bins of sources, where weights are
    those of several, see the same windows.
    """

    def make(index):
        keys = jax.random.split(jax.random.fold_in(key, index), kappa_planes.shape[0])
        cut = jax.vmap(lambda key, plane: window(key, plane, region, num_pixels))
        return jnp.tensordot(weights, cut(keys, kappa_planes), 1, precision="float32")

    return jax.lax.map(make, map_index)


def window(
    key: Array, plane: Float[Array, "size size"], region: Region, num_pixels: int
) -> Float[Array, "num_pixels num_pixels"]:
    """Cut a window at a random place inside the region, in one of the square's eight orientations."""
    corner = jnp.array([region.row, region.column])
    room = jnp.array([region.height - num_pixels + 1, region.width - num_pixels + 1])
    place_key, turn_key = jax.random.split(key)
    row, column = corner + jax.random.randint(place_key, (2,), 0, room, jnp.int32)
    cut = jax.lax.dynamic_slice(plane, (row, column), (num_pixels, num_pixels))
    return orient(cut, jax.random.randint(turn_key, (), 0, 8, jnp.int32))


def traced_maps(
    key: Array,
    map_index: Array,
    potential: Float[Array, "planes size size"],
    chi: Float[Array, " planes"],
    source_chi: Float[Array, ""],
    pixel_rad: Float[Array, ""],
    region: Region,
    num_pixels: int,
) -> Float[Array, "maps num_pixels num_pixels"]:
    """Make maps as born_maps, with rays deflected from plane to plane (multi-plane), one ray a pixel.

    Windows are MARGIN pixels larger on every side. A deflection that all rays of a window share only moves it,
    and is taken off, so rays stay within the margin; one that would not reads the border's value.
    """
    through, rays = _windows_of_planes(pixel_rad, region, num_pixels)

    def make(index):
        keys = jax.random.split(jax.random.fold_in(key, index), potential.shape[0])
        passed, _ = jax.lax.scan(lambda rays, plane: (through(rays, plane), None), rays, (keys, potential, chi))
        return ray_tracing.lensed_maps(passed, source_chi).kappa

    return jax.lax.map(make, map_index)


def traced_bin_maps(
    key: Array,
    map_index: Array,
    potential: Float[Array, "planes size size"],
    chi: Float[Array, " planes"],
    weights: Float[Array, "bins planes"],
    pixel_rad: Float[Array, ""],
    region: Region,
    num_pixels: int,
) -> Float[Array, "maps bins num_pixels num_pixels"]:
    """Make maps of several bins of sources along the rays of `traced_maps`; weights: `bin_weights`."""
    through, rays = _windows_of_planes(pixel_rad, region, num_pixels)

    def make(index):
        def add(so_far, at_plane):
            before, kappa = so_far
            *plane, of_bins = at_plane
            passed = through(before, plane)
            added = ray_tracing.added_convergence(before, passed)
            return (passed, kappa + of_bins[:, None, None] * added), None

        keys = jax.random.split(jax.random.fold_in(key, index), potential.shape[0])
        empty = jnp.zeros((len(weights), num_pixels, num_pixels), potential.dtype)
        (_, kappa), _ = jax.lax.scan(add, (rays, empty), (keys, potential, chi, weights.T))
        return kappa

    return jax.lax.map(make, map_index)


def _windows_of_planes(
    pixel_rad: Float[Array, ""], region: Region, num_pixels: int
) -> tuple[Callable, ray_tracing.Rays]:
    """Return what sends rays through a window of a plane (its key, potential and distance), and rays."""
    theta = ray_tracing.ray_grid(num_pixels, num_pixels * pixel_rad)
    wide = num_pixels + 2 * MARGIN
    middle = jnp.full(2, (wide - 4 - 1) / 2)  # of the window without the two pixels that differences cost

    def through(rays, plane):
        plane_key, psi, distance = plane
        field = ray_tracing.field_of_potential(window(plane_key, psi, region, wide), pixel_rad)
        field = field._replace(
            alpha_y=field.alpha_y - field.alpha_y.mean(), alpha_x=field.alpha_x - field.alpha_x.mean()
        )
        return ray_tracing.pass_plane(rays, field, distance, pixel_rad, middle, wrap=False)

    return through, ray_tracing.begin(theta)
