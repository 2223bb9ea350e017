"""Power that a light cone of particles has for their number alone, as its planes and rays let it through."""

import numpy as np
from jaxtyping import Float

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.sky.light_cone import PlaneSchedule
from cosmogan_jax.sky.map_power import band_means, seen_power

# Of planes that are finer than 1/16 of the map's pixels some noise is left out.
_MOST_FOLDS = 8


def plane_noise(
    phase_rows: Float[np.ndarray, "rows 1"],
    phase_columns: Float[np.ndarray, "1 columns"],
    transfer: Float[np.ndarray, " bins"],
) -> Float[np.ndarray, "rows columns"]:
    """Return what painting, `light_cone.correct_windows` and reading leave of a plane's white noise of power 1.

    Painted clouds fold all waves of a plane's pixels into those up to Nyquist: 1 - 2/3 sin^2(k/2) along each
    axis is the sum of W^2(k + 2 pi m), W = (sin(k/2) / (k/2))^2 (Jing 2005, Eq. 20). Both windows are divided
    out of them, W^-4 in power, waves beyond the Nyquist circle are set to 0, and bilinear reading multiplies by
    W^2 at the wave itself: it shows images of the plane's waves beyond its Nyquist frequency. Right up to there
    for a smooth field, this more than doubles the noise at Nyquist.

    Args:
      phase_rows, phase_columns: phase of a wave over a pixel of the plane, radian.
      transfer: factors of amplitude at 0 to pi in even steps, as sharpening gives them.
    """

    def along(phase):
        folded = (phase + np.pi) % (2 * np.pi) - np.pi
        painted = (1 - 2 / 3 * np.sin(folded / 2) ** 2) / np.sinc(folded / (2 * np.pi)) ** 8
        return folded, painted * np.sinc(phase / (2 * np.pi)) ** 4

    folded_rows, rows = along(phase_rows)
    folded_columns, columns = along(phase_columns)
    k = np.hypot(folded_rows, folded_columns)
    gain = np.interp(k, np.linspace(0, np.pi, len(transfer)), transfer) ** 2 if np.ptp(transfer) else 1.0
    return np.where(k <= np.pi, rows * columns * gain, 0.0)


def particle_noise_bands(
    schedule: PlaneSchedule,
    strength: Float[np.ndarray, " planes"],
    weights: Float[np.ndarray, " planes"],
    box_size: float,
    num_particles_side: int,
    transfer: Float[np.ndarray, "planes bins"],
    plane_pixels: int,
    geometry: MapGeometry,
    l_edges: Float[np.ndarray, " edges"],
    rays_per_pixel: int,
) -> Float[np.ndarray, " bands"]:
    """Return mean power in bands, in steradian, of maps through boxes of particles that are strewn at random.

        C_l = sum over planes of (w s / chi)^2 / (n_bar thickness)

    (Limber's integral of W^2/chi^2 / n_bar over the planes there are), each plane's as `plane_noise` shapes it,
    through the rays and pixels of the map. strength and weights: `light_cone.lensing_weights`; n_bar: particles
    of a box over its volume.

    An upper bound. Particles start on a lattice, which has no noise below its own Nyquist frequency, and where
    they have not crossed, as early on and in voids, they scatter less than Poisson's.
    """
    surface = (box_size / num_particles_side) ** 3 / schedule.thickness
    pixel = box_size / plane_pixels / schedule.chi  # radian
    of_plane = (weights * strength / schedule.chi) ** 2 * surface

    def spectrum(rows, columns):
        total = np.zeros(np.broadcast_shapes(rows.shape, columns.shape))
        for power, width, gain in zip(of_plane, pixel, transfer):
            if power > 0:
                total += power * plane_noise(rows * width, columns * width, gain)
        return total

    # Painted planes hold waves up to their Nyquist frequency, and images of them soon beyond it.
    top = 1.5 * np.pi / pixel[of_plane > 0].min(initial=np.inf)
    furthest = min(_MOST_FOLDS, int(np.ceil(top / (2 * geometry.nyquist_ell))))
    # Twice as wide is wide enough: noise has no long waves of its own.
    power = seen_power(spectrum, geometry, 2, rays_per_pixel, furthest)
    return band_means(power, geometry, l_edges)
