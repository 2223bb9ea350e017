"""A transfer function that gives a box's planes the small-scale power of halofit."""

from collections.abc import Iterable
from functools import partial

import numpy as np
from jaxtyping import Float

from cosmogan_jax.sky.light_cone import PlaneSchedule
from cosmogan_jax.sky.matter_power import MatterPower
from cosmogan_jax.sky.resolution import slab_power

TRANSFER_BINS = 65
# Below 0.3 h/Mpc planes keep their own power; the transfer sets in up to 0.6 h/Mpc. There a 240 Mpc/h box has
# some 10^3 waves a plane, and its power is the theory's to a few per cent.
BLEND_K = (0.3, 0.6)


def plane_power(
    contrast: Float[np.ndarray, "cuts size size"], box_size: float
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Return mean k and two-dimensional power, (Mpc/h)^2, in TRANSFER_BINS - 1 even steps of k up to Nyquist.

    The clouds' window is divided out; empty bins hold NaN.
    """
    size = contrast.shape[-1]
    rows, columns = np.fft.fftfreq(size), np.fft.rfftfreq(size)
    window = (np.sinc(rows)[:, None] * np.sinc(columns)) ** 2
    power = (np.abs(np.fft.rfft2(contrast) / window) ** 2).mean(0) * box_size**2 / size**4
    k = 2 * np.pi * np.hypot(rows[:, None], columns) * size / box_size
    weight = np.where((columns == 0) | (columns == 0.5), 1.0, 2.0) * (k > 0)
    edges = np.linspace(0, np.pi * size / box_size, TRANSFER_BINS)
    counts = np.histogram(k, edges, weights=weight)[0]
    with np.errstate(invalid="ignore"):
        means = (np.histogram(k, edges, weights=weight * values)[0] / counts for values in (k, power))
        return tuple(means)


def sharpening_transfer(
    planes: Iterable[Float[np.ndarray, "cuts size size"]],
    schedule: PlaneSchedule,
    power: MatterPower,
    box_size: float,
) -> Float[np.ndarray, "planes bins"]:
    """Return sqrt(halofit / measured power) of every plane, on TRANSFER_BINS even steps of k from 0 to Nyquist.

    1 below BLEND_K, and continued with its last value where a bin is empty. Measured power includes shot noise:
    where that exceeds the theory the transfer is below 1. It fits the mean power by construction, and says
    nothing about any other statistic.
    """
    transfer = []
    for contrast, redshift in zip(planes, schedule.redshift):
        k, measured = plane_power(contrast, box_size)
        valid = np.isfinite(measured) & (measured > 0)
        theory = slab_power(partial(power.nonlinear, redshift=redshift), k[valid], schedule.thickness, box_size)
        gain = np.sqrt(theory / measured[valid])
        grid = np.linspace(0, np.pi * contrast.shape[-1] / box_size, TRANSFER_BINS)
        share = np.clip((grid - BLEND_K[0]) / (BLEND_K[1] - BLEND_K[0]), 0, 1)
        transfer.append(1 + share * (np.interp(grid, k[valid], gain) - 1))
    return np.array(transfer)
