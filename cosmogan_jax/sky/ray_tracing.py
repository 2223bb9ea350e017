"""Multi-plane ray tracing: deflections and the Jacobian of the lens map, plane by plane.

Rays are followed backwards from the observer. With psi_i the lensing potential of plane i for a source at
infinity (kappa_i = lap psi_i / 2), in a flat universe (Jain, Seljak & White 2000; Hilbert et al. 2009):

    beta(chi) = theta - sum_{chi_i < chi} (1 - chi_i/chi) alpha_i(beta_i),   alpha_i = grad psi_i
    A(chi)    = 1     - sum_{chi_i < chi} (1 - chi_i/chi) U_i A_i,           U_i = grad grad psi_i

with angles in radian and beta_i = beta(chi_i), A_i = A(chi_i). The sums of alpha_i, chi_i alpha_i, U_i A_i and
chi_i U_i A_i are all that must be kept, whatever the number of planes.
"""

from typing import NamedTuple

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array | np.floating, ""] | float


class Rays(NamedTuple):
    """Where rays are seen, and the four sums over the planes they have passed; axis 0 is (y, x)."""

    theta: Float[Array, "2 rows columns"]
    deflection: Float[Array, "2 rows columns"]
    deflection_chi: Float[Array, "2 rows columns"]
    tidal: Float[Array, "2 2 rows columns"]
    tidal_chi: Float[Array, "2 2 rows columns"]


class LensField(NamedTuple):
    """First and second derivatives of a plane's potential, per radian and per radian^2."""

    alpha_y: Float[Array, "size size"]
    alpha_x: Float[Array, "size size"]
    psi_yy: Float[Array, "size size"]
    psi_xy: Float[Array, "size size"]
    psi_xx: Float[Array, "size size"]


class LensedMaps(NamedTuple):
    """What the Jacobian holds, in the order (x, y): Mustafa et al. 2019, Eq. 1, and the rotation omega.

    A = ((1 - kappa - gamma1, -gamma2 - omega), (-gamma2 + omega, 1 - kappa + gamma1))
    """

    kappa: Float[Array, "rows columns"]
    gamma1: Float[Array, "rows columns"]
    gamma2: Float[Array, "rows columns"]
    omega: Float[Array, "rows columns"]


def begin(theta: Float[Array, "2 rows columns"]) -> Rays:
    """Return rays that have passed no plane; theta = (y, x) in radian."""
    return Rays(theta, *(jnp.zeros((2, *theta.shape[1:]), theta.dtype),) * 2,
                *(jnp.zeros((2, 2, *theta.shape[1:]), theta.dtype),) * 2)  # fmt: skip


def position(rays: Rays, chi: Scalar) -> Float[Array, "2 rows columns"]:
    """Return beta at comoving distance chi (in the unit of all distances), in radian."""
    return rays.theta - rays.deflection + rays.deflection_chi / chi


def jacobian(rays: Rays, chi: Scalar) -> Float[Array, "2 2 rows columns"]:
    """Return A at distance chi, d beta_i / d theta_j with i, j in (y, x)."""
    unit = jnp.eye(2, dtype=rays.theta.dtype)[:, :, None, None]
    return unit - rays.tidal + rays.tidal_chi / chi


def _potential_modes(kappa, side_rad):
    """Return psi = -2 kappa / ell^2 in Fourier space, without the mean, and ell of rows and columns."""
    size = kappa.shape[-1]
    rows = jnp.fft.fftfreq(size, 1 / size, dtype=kappa.dtype)[:, None] * (2 * jnp.pi / side_rad)
    columns = jnp.fft.rfftfreq(size, 1 / size, dtype=kappa.dtype)[None, :] * (2 * jnp.pi / side_rad)
    squared = rows**2 + columns**2
    return -2 * jnp.fft.rfft2(kappa) / jnp.where(squared == 0, jnp.inf, squared), rows, columns


def potential_of_convergence(kappa: Float[Array, "size size"], side_rad: Scalar) -> Float[Array, "size size"]:
    """Return the lensing potential, in radian^2, of a periodic plane: lap psi = 2 (kappa - mean of kappa)."""
    return jnp.fft.irfft2(_potential_modes(kappa, side_rad)[0], s=kappa.shape)


def field_of_convergence(kappa: Float[Array, "size size"], side_rad: Scalar) -> LensField:
    """Return derivatives of the potential of a periodic plane of given convergence, exact in Fourier space.

    The mean of kappa does not act. A single derivative has no sign at the Nyquist frequency and is 0 there.
    """
    psi, rows, columns = _potential_modes(kappa, side_rad)
    limit = jnp.pi * kappa.shape[-1] / side_rad * (1 - 1e-6)
    y, x = (jnp.where(jnp.abs(ell) < limit, ell, 0.0) for ell in (rows, columns))
    modes = (1j * y * psi, 1j * x * psi, -(rows**2) * psi, -x * y * psi, -(columns**2) * psi)
    return LensField(*(jnp.fft.irfft2(m, s=kappa.shape) for m in modes))


def field_of_potential(psi: Float[Array, "size size"], pixel_rad: Scalar) -> LensField:
    """Return derivatives by central differences, twice for the second ones, as in LensTools' ray tracer.

    Second differences therefore reach two pixels. The outermost two pixels of the window given are lost: the
    fields are those of psi[2:-2, 2:-2].
    """

    def along(f, axis):
        ahead, behind = (jnp.take(f, jnp.arange(at, f.shape[axis] - 2 + at), axis) for at in (2, 0))
        return (ahead - behind) / (2 * pixel_rad)

    y, x = along(psi, 0), along(psi, 1)
    return LensField(
        y[1:-1, 2:-2], x[2:-2, 1:-1], along(y, 0)[:, 2:-2], along(along(psi, 0), 1)[1:-1, 1:-1],
        along(x, 1)[2:-2, :],
    )  # fmt: skip


def read(
    values: Float[Array, "size size"], y: Float[Array, "..."], x: Float[Array, "..."], wrap: bool
) -> Float[Array, "..."]:
    """Interpolate bilinearly at (y, x) in pixels, centres at whole numbers; periodic, or held at the edge."""
    rows, columns = values.shape
    flat = values.ravel()

    def bounds(place, size):
        if not wrap:
            place = jnp.clip(place, 0, size - 1)
        low = jnp.floor(place)
        fraction = place - low
        low = low.astype(jnp.int32) % size
        high = jnp.where(low == size - 1, 0 if wrap else size - 1, low + 1)
        return low, high, fraction

    (y0, y1, fy), (x0, x1, fx) = bounds(y, rows), bounds(x, columns)
    upper = (1 - fx) * flat[y0 * columns + x0] + fx * flat[y0 * columns + x1]
    lower = (1 - fx) * flat[y1 * columns + x0] + fx * flat[y1 * columns + x1]
    return (1 - fy) * upper + fy * lower


def pass_plane(
    rays: Rays,
    field: LensField,
    chi: Scalar,
    pixel_rad: Scalar,
    origin: Float[Array, " 2"],
    wrap: bool = True,
) -> Rays:
    """Send rays through a plane at distance chi.

    Args:
      field: derivatives on the plane's pixels.
      pixel_rad: width of those pixels, in radian.
      origin: the pixel (y, x) that the direction theta = 0 meets.
      wrap: whether the plane is periodic; if not, its border's values hold beyond it.
    """
    beta, a = position(rays, chi), jacobian(rays, chi)
    y, x = (beta[i] / pixel_rad + origin[i] for i in (0, 1))
    alpha_y, alpha_x, yy, xy, xx = (read(values, y, x, wrap) for values in field)
    alpha = jnp.stack([alpha_y, alpha_x])
    tidal = jnp.stack([yy * a[0] + xy * a[1], xy * a[0] + xx * a[1]])
    return Rays(
        rays.theta,
        rays.deflection + alpha,
        rays.deflection_chi + chi * alpha,
        rays.tidal + tidal,
        rays.tidal_chi + chi * tidal,
    )


def added_convergence(before: Rays, passed: Rays) -> Float[Array, "rows columns"]:
    """Return what the plane that rays have just passed adds to the convergence of sources at infinity.

    tr(U_i A_i) / 2. Sources at chi see the sum over planes of (1 - chi_i/chi) times it, as `lensed_maps` has
    it: rays traced once, to the farthest sources, give the convergence of nearer ones too, and means over bins.
    """
    added = passed.tidal - before.tidal
    return (added[0, 0] + added[1, 1]) / 2


def lensed_maps(rays: Rays, chi: Scalar) -> LensedMaps:
    """Return convergence, shear and rotation for sources at distance chi.

    From A - 1, not from A: in float32 that would round kappa to 6e-8.
    """
    (yy, yx), (xy, xx) = rays.tidal_chi / chi - rays.tidal
    return LensedMaps(-(xx + yy) / 2, (yy - xx) / 2, -(xy + yx) / 2, (yx - xy) / 2)


def ray_grid(num_rays: int, side_rad: Scalar) -> Float[Array, "2 rays rays"]:
    """Return directions of rays at the pixel centres of a map about theta = 0, (y, x) in radian."""
    line = (jnp.arange(num_rays) + 0.5 - num_rays / 2) * (side_rad / num_rays)
    return jnp.stack(jnp.meshgrid(line, line, indexing="ij"))


def pixel_means(
    values: Float[Array, "... rays rays"], rays_per_pixel: int
) -> Float[Array, "... pixels pixels"]:
    """Return the mean over the rays of each pixel."""
    *lead, rows, columns = values.shape
    r = rays_per_pixel
    return values.reshape(*lead, rows // r, r, columns // r, r).mean((-3, -1))
