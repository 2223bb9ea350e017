"""Power that a map of finite pixels and sides is expected to show of a sky of a given spectrum."""

import itertools
from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.geometry import MapGeometry

Grid = Float[np.ndarray, "rows columns"]
# C(l_y, l_x) in steradian, at l_y of a column (rows, 1) and l_x of a row (1, columns), of either sign.
Spectrum = Callable[[Float[np.ndarray, "rows 1"], Float[np.ndarray, "1 columns"]], Grid]
Fold = tuple[int, int]

# The torus that a map is cut from is so many times as wide: with 16 times the lowest band of a convergence map
# changes by 3e-4, the others by less. Half of it where its grid would have more pixels than _MOST a side.
_WIDER, _MOST = 8, 4096


def pixel_window(
    ell: Float[np.ndarray, "..."], pixel_rad: float, rays_per_pixel: int
) -> Float[np.ndarray, "..."]:
    """Return the amplitude, along one axis, that a wave keeps in the mean of evenly spaced rays across a pixel.

    sin(l p / 2) / (r sin(l p / 2r)), p the pixel's width and r the rays: sinc(l p / 2) for many, 1 for one. Its
    sign, where l passes the rays' own frequency, is left out.
    """
    half = np.asarray(ell, np.float64) * (pixel_rad / 2)
    below = rays_per_pixel * np.sin(half / rays_per_pixel)
    in_phase = np.abs(below) < 1e-9  # all rays of a pixel see the same phase
    return np.where(in_phase, 1.0, np.abs(np.sin(half) / np.where(in_phase, 1.0, below)))


def folded_power(
    spectrum: Spectrum, geometry: MapGeometry, rays_per_pixel: int, folds: Iterable[Fold]
) -> Float[np.ndarray, "rows half"]:
    """Return power on the map's half plane of pixels that are each the mean of rays_per_pixel^2 rays.

        P(l) = sum over m of C(l + 2 pi m / p) W^2(l_y + 2 pi m_y / p) W^2(l_x + 2 pi m_x / p)

    over the vectors m in folds: waves that the pixels cannot tell from l are seen as l; (0, 0) is l itself.
    """
    rows, columns = _modes(geometry)
    step = geometry.num_pixels
    total = np.zeros((len(rows), len(columns)))
    for up, across in folds:
        l_rows, l_columns = (
            geometry.fundamental_ell * (index + step * fold) for index, fold in ((rows, up), (columns, across))
        )
        window = [pixel_window(ell, geometry.pixel_rad, rays_per_pixel) ** 2 for ell in (l_rows, l_columns)]
        total += window[0][:, None] * window[1] * spectrum(l_rows[:, None], l_columns[None, :])
    return total


def seen_power(
    spectrum: Spectrum, geometry: MapGeometry, wider: int, rays_per_pixel: int, reach: int
) -> Float[np.ndarray, "rows half"]:
    """Return the expected periodogram of a map cut, through its pixels, out of a sky so many times wider.

    `cut_out_power` of the wave itself and `folded_power` of those that look like it, up to reach sampling
    frequencies away: what is folded is smooth, so that mixing of neighbouring waves changes nothing.
    """
    wide = MapGeometry(wider * geometry.num_pixels, wider * geometry.side_deg)
    folds = range(-reach, reach + 1)
    others = [fold for fold in itertools.product(folds, folds) if fold != (0, 0)]
    itself = cut_out_power(folded_power(spectrum, wide, rays_per_pixel, [(0, 0)]), geometry)
    return itself + folded_power(spectrum, geometry, rays_per_pixel, others)


def cut_out_power(
    power: Float[np.ndarray, "wide half_wide"], geometry: MapGeometry
) -> Float[np.ndarray, "rows half"]:
    """Return the expected periodogram, on the half plane, of a map cut out of a torus of given power.

        <|f(l)|^2> (side / N^2)^2 = p^2 sum over lags d of (1 - |d_y|/N) (1 - |d_x|/N) xi(d) exp(-i l d p)

    with xi the correlation function on the torus: a map that does not wrap around mixes neighbouring waves,
    those longer than its side among them. Exact for every stationary field.

    Args:
      power: steradian, on the half plane of the torus, which has the map's pixels and at least twice its side.

    Raises:
      ValueError: a torus that is less than twice as wide.
    """
    size, wide = geometry.num_pixels, power.shape[0]
    if wide < 2 * size:
        raise ValueError(f"a torus of {wide} pixels must be twice as wide as the map of {size} at least")
    correlation = np.fft.irfft2(power, s=(wide, wide))  # xi p^2
    lags = np.arange(2 * size)
    back = 2 * size - lags
    at, overlap = np.where(lags <= size, lags, wide - back), 1 - np.minimum(lags, back) / size
    # Twice the side holds all lags; every other of its modes is one of the map's.
    return np.fft.rfft2(overlap[:, None] * overlap * correlation[np.ix_(at, at)]).real[::2, ::2]


def band_means(
    power: Float[np.ndarray, "rows half"], geometry: MapGeometry, l_edges: Float[np.ndarray, " edges"]
) -> Float[np.ndarray, " bands"]:
    """Return means over a band's modes as `summaries.power_spectrum`'s with "full_plane"; NaN where none."""
    bins, weights = geometry.half_plane_bins(l_edges), geometry.half_plane_weights()
    used, count = bins >= 0, len(l_edges) - 1
    total, modes = (np.bincount(bins[used], grid[used], count) for grid in (weights * power, weights))
    with np.errstate(invalid="ignore"):
        return total / modes


def expected_bands(
    c_ell: Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]],
    geometry: MapGeometry,
    l_edges: Float[np.ndarray, " edges"],
    rays_per_pixel: int = 1,
) -> Float[np.ndarray, " bands"]:
    """Return mean power in bands, in steradian, of maps cut out of a sky of spectrum C_l, through their pixels.

    Pixels are means of rays. Waves shorter than two rays, which rays show as longer ones, are left out of the
    sky, since planes seldom hold any. With one ray this is a map whose modes up to the corners of its Fourier
    plane have the power C_l, as lognormal maps are made.

    Args:
      c_ell: power in steradian as a function of ell.
      geometry: of the maps that are cut out.
      l_edges: bands of ell.
      rays_per_pixel: along a side of a pixel.
    """
    size = geometry.num_pixels
    wider = _WIDER if _WIDER * size <= _MOST else _WIDER // 2
    wide = MapGeometry(wider * size, wider * geometry.side_deg)
    spectrum_at = _tabulated(c_ell, wide.fundamental_ell, 1.5 * rays_per_pixel * wide.nyquist_ell)
    half = rays_per_pixel * wide.num_pixels / 2  # the rays' Nyquist frequency, in waves across the torus

    def spectrum(rows, columns):
        up, across = (np.rint(ell / wide.fundamental_ell) for ell in (rows, columns))
        # Half open, as rows and columns of a half plane are: a wave at the limit and its opposite are one.
        resolved = (up >= -half) & (up < half) & (across > -half) & (across <= half)
        return np.where(resolved, spectrum_at(np.hypot(rows, columns)), 0.0)

    reach = rays_per_pixel // 2
    return band_means(seen_power(spectrum, geometry, wider, rays_per_pixel, reach), geometry, l_edges)


def pixel_window_bands(
    c_ell: Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]],
    geometry: MapGeometry,
    l_edges: Float[np.ndarray, " edges"],
    rays_per_pixel: int,
) -> Float[np.ndarray, " bands"]:
    """Return the share of a band's power C that pixels of so many rays leave: mean of C W^2 over that of C."""

    spectrum_at = _tabulated(c_ell, geometry.fundamental_ell, 1.5 * geometry.nyquist_ell)
    left, whole = (
        band_means(
            folded_power(lambda y, x: spectrum_at(np.hypot(y, x)), geometry, rays, [(0, 0)]), geometry, l_edges
        )
        for rays in (rays_per_pixel, 1)
    )
    return left / whole


def _tabulated(c_ell: Callable, low: float, high: float) -> Callable:
    """Tabulate c_ell from low to high, to 1e-4 or better for a convergence map's; 0 at 0, the mean's."""
    nodes = np.geomspace(low, high, 512)
    log_nodes, log_power = np.log(nodes), np.log(c_ell(nodes))

    def spectrum_at(ell):
        power = np.exp(np.interp(np.log(np.maximum(ell, low)), log_nodes, log_power))
        return np.where(ell > 0, power, 0.0)

    return spectrum_at


def _modes(geometry: MapGeometry) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " half"]]:
    """Return signed wave numbers of the half plane's rows, and its columns', in fundamentals."""
    size = geometry.num_pixels
    return np.rint(np.fft.fftfreq(size, 1 / size)).astype(np.int64), np.arange(size // 2 + 1)
