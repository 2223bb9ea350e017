"""Equilateral and folded bispectrum."""

import functools
from typing import Literal, NamedTuple

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float, Int

from cosmogan_jax.geometry import MapGeometry, check_edges
from cosmogan_jax.summaries import bin_sums
from cosmogan_jax.summaries.batching import over_maps
from cosmogan_jax.summaries.edges import check_kappa
from cosmogan_jax.switches import with_usual


@with_usual
def bispectrum(
    kappa: Float[Array, "*batch size size"],
    l_edges: Float[np.ndarray, " edges"],
    side_deg: float,
    *,
    configuration: Literal["equilateral", "folded"] = "equilateral",
    ratio: float = 0.5,
) -> Float[Array, "*batch bins"]:
    """Compute B_b = theta^4/N^6 <Re f(k1) f(k2) f(k3)>, steradian^2, with LensTools' triangles (Petri 2016).

    k1 runs over the half plane with l_b < l <= l_{b+1} (l equal to the last edge left out), k3 = -k1 - k2.
    "equilateral": k2 is k1 turned by 120 degrees, each component truncated towards 0; k1 with kx < 0 and
    ky < sqrt(3) |kx| are left out. "folded": k2 = -trunc(ratio k1). x is axis 0 here. Triangles with a leg
    beyond N/2 along an axis are left out; a bin without triangles gives 0.

    For an odd number of pixels LensTools counts the row i = (N-1)/2 as i - N instead of i, so that the modes
    of that one row carry a wrong k; this is followed, for equality. A NaN pixel makes every bin that holds
    triangles NaN.

    Raises:
      ValueError: edges that do not increase or are fewer than two, maps not square or not of real numbers,
        side_deg not positive, unknown configuration, ratio outside (0, 1].
    """
    edges = check_edges("l_edges", l_edges)
    kappa = check_kappa(kappa, square=True)
    if configuration not in ("equilateral", "folded"):
        raise ValueError(f"configuration={configuration!r} must be 'equilateral' or 'folded'")
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio={ratio} must lie in (0, 1]")
    geometry = MapGeometry(kappa.shape[-1], side_deg)
    triangles = _triangles(geometry, tuple(edges), configuration, float(ratio))
    num_bins = len(edges) - 1
    count = np.maximum(np.bincount(triangles.bins, minlength=num_bins), 1)
    norm = jnp.asarray(geometry.side_rad**4 / geometry.num_pixels**6 / count, kappa.dtype)

    def product(map_):
        f = jnp.fft.fft2(map_).ravel()
        f1, f2, f3 = (f[leg] for leg in triangles.legs)
        return bin_sums.of_known_bins((f1 * f2 * f3).real, triangles.bins, num_bins) * norm

    return over_maps(product, kappa)


class _Triangles(NamedTuple):
    legs: tuple[Int[np.ndarray, " triangles"], ...]
    bins: Int[np.ndarray, " triangles"]


@functools.lru_cache(maxsize=16)
def _triangles(geometry: MapGeometry, edges: tuple[float, ...], configuration: str, ratio: float) -> _Triangles:
    size = geometry.num_pixels
    row = np.arange(size)
    row = np.where(row < size >> 1, row, row - size)
    x, y = np.meshgrid(row, np.arange(size // 2 + 1), indexing="ij")
    ell = np.sqrt((x * geometry.fundamental_ell) ** 2 + (y * geometry.fundamental_ell) ** 2)
    bins = np.searchsorted(edges, ell, side="left") - 1
    use = (bins >= 0) & (ell < edges[-1])
    if configuration == "equilateral":
        sine = np.sqrt(3) / 2
        x2, y2 = np.trunc(-x / 2 - sine * y), np.trunc(sine * x - y / 2)
        use &= ~((x < 0) & (y < np.sqrt(3) * np.abs(x)))
    else:
        x2, y2 = -np.trunc(ratio * x), -np.trunc(ratio * y)
    x2, y2 = x2.astype(int), y2.astype(int)
    legs = ((x, y), (x2, y2), (-x - x2, -y - y2))
    for leg in legs[1:]:
        for component in leg:
            use &= np.abs(component) < size // 2 + 1
    # Leg indices wrap: f of a negative wave number is the stored full plane's own entry.
    return _Triangles(tuple((a % size * size + b % size)[use] for a, b in legs), bins[use])
