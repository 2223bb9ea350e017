"""How the power spectrum of a map answers to the cosmology: derivatives of the bands by Omega_m and sigma8."""

import dataclasses
import functools
import importlib.resources
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cosmogan_jax.geometry import ARCMIN_PER_DEG, MapGeometry, check_edges, half_plane_indices
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, Cosmology
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.matter_power import MatterPower, camb_matter_power, paper_matter_power

Parameter = Literal["omega_m", "sigma8"]
PARAMETERS: tuple[Parameter, ...] = ("omega_m", "sigma8")
# Half the distance between the two cosmologies of a difference, relative to the parameter. With half of it
# d ln P(k, z)/d ln theta, of about 2, moves by at most 0.014 anywhere (experiments/001-sky-tables), and bands
# by less (tests/test_fisher.py).
STEP = 0.02


class Response(NamedTuple):
    """Theory's power in bands of ell, in steradian, and its derivatives by the parameters, named in order."""

    power: Float[np.ndarray, " bands"]
    derivatives: Float[np.ndarray, "bands parameters"]
    parameters: tuple[str, ...]

    @property
    def logarithmic(self) -> Float[np.ndarray, "bands parameters"]:
        """d ln P_b / d theta_a, in which whatever multiplies the power drops out.

        Times a map set's own mean power (without noise) it gives derivatives that share the set's resolution.
        """
        return self.derivatives / self.power[:, None]


def band_response(
    l_edges: Float[np.ndarray, " edges"],
    geometry: MapGeometry,
    cosmology: Cosmology,
    source_redshift: float,
    *,
    pixel_window: bool = True,
    smoothing_arcmin: float = 0.0,
    step: float = STEP,
) -> Response:
    """Return dP_b/dtheta by central differences, (P_b(theta + d) - P_b(theta - d)) / 2d, with d = step * theta.

    P_b is the mean of C_l (Limber; halofit of Takahashi et al. 2012) over the modes of the map with
    l_b < l <= l_{b+1}, the conjugates counted, as `summaries.power_spectrum` takes it with "full_plane", times
    the windows below. Omega_m varies in a flat universe at fixed sigma8, h, Omega_b and n_s; sigma8 with all
    else fixed.

    Left out: the resolution of the simulation that made the maps, and the leakage of modes in a map that is not
    periodic. Both nearly drop out of `Response.logarithmic`.

    Args:
      l_edges: bands; each must hold a mode.
      pixel_window: whether pixels are averages over their area: times sinc^2(l_x p/2pi) sinc^2(l_y p/2pi).
      smoothing_arcmin: theta_G of `summaries.observer.smooth`: times exp(-l^2 theta_G^2).

    Raises:
      ValueError: a band without modes, step not in (0, 0.2], smoothing_arcmin negative, source_redshift not in
        (0, 3], a cosmology without omega_b, sigma8 or n_s.
      ModuleNotFoundError: a cosmology other than the paper's, and CAMB is not installed.
    """
    if not 0 < step <= 0.2:
        raise ValueError(f"step={step} must lie in (0, 0.2]")
    if not 0 <= smoothing_arcmin < np.inf:
        raise ValueError(f"smoothing_arcmin={smoothing_arcmin} must be 0 or positive")
    l_edges = check_edges("l_edges", l_edges)
    bins, weights, modes = _weighted_modes(l_edges, geometry, pixel_window, smoothing_arcmin)
    used = bins >= 0
    different, back = np.unique(geometry.half_plane_ell()[used], return_inverse=True)

    def banded(power: MatterPower) -> np.ndarray:
        c_ell = convergence_power(different, source_redshift, power)[back]
        return np.bincount(bins[used], weights[used] * c_ell, len(l_edges) - 1) / modes

    derivatives = []
    for name in PARAMETERS:
        upper, lower = (displaced_power(cosmology, name, sign * step) for sign in (1, -1))
        difference = getattr(upper.cosmology, name) - getattr(lower.cosmology, name)
        derivatives.append((banded(upper) - banded(lower)) / difference)
    return Response(banded(displaced_power(cosmology, "sigma8", 0.0)), np.stack(derivatives, -1), PARAMETERS)


def _weighted_modes(
    l_edges: Float[np.ndarray, " edges"], geometry: MapGeometry, pixel_window: bool, smoothing_arcmin: float
) -> tuple[Int[np.ndarray, "rows half"], Float[np.ndarray, "rows half"], Float[np.ndarray, " bands"]]:
    """Return each mode's band (-1: none) and its weight with the windows, and the number of modes in a band."""
    bins, weights = geometry.half_plane_bins(l_edges), geometry.half_plane_weights()
    modes = np.bincount(bins[bins >= 0], weights[bins >= 0], len(l_edges) - 1)
    if not modes.all():
        band = int(np.argmin(modes))
        raise ValueError(f"l_edges={l_edges[band]:g} to {l_edges[band + 1]:g} hold no mode of {geometry}")
    smoothing_rad = np.radians(smoothing_arcmin / ARCMIN_PER_DEG)
    weights = weights * np.exp(-((geometry.half_plane_ell() * smoothing_rad) ** 2))
    if pixel_window:
        rows, columns = half_plane_indices(geometry.num_pixels)
        window = np.sinc(rows / geometry.num_pixels)[:, None] * np.sinc(columns / geometry.num_pixels)
        weights = weights * window**2
    return bins, weights, modes


@functools.lru_cache(maxsize=16)
def displaced_power(cosmology: Cosmology, parameter: Parameter, relative: float) -> MatterPower:
    """Return matter power where one parameter is (1 + relative) times the cosmology's, the universe still flat.

    By CAMB; around the paper's cosmology from stored derivatives d ln P(k, z) / d ln theta of its table
    (experiments/001-sky-tables), to first order in the logarithm.

    Raises:
      ValueError: a cosmology without omega_b, sigma8 or n_s.
      ModuleNotFoundError: another cosmology, and CAMB is not installed.
    """
    changed = displaced(cosmology, parameter, relative)
    if cosmology != PAPER_COSMOLOGY:
        return camb_matter_power(changed)
    table, log_step = paper_matter_power(), np.log1p(relative)
    by_log = _paper_derivatives()
    return MatterPower(
        changed,
        table.log_k,
        table.log_linear + log_step * by_log[f"linear_{parameter}"],
        table.log_nonlinear + log_step * by_log[f"nonlinear_{parameter}"],
        source=table.source,
    )


def displaced(cosmology: Cosmology, parameter: Parameter, relative: float) -> Cosmology:
    """Return the cosmology with one parameter (1 + relative) times as large, flat.

    Raises:
      ValueError: the parameter is unknown, or not known of the cosmology.
    """
    if parameter not in PARAMETERS:
        raise ValueError(f"parameter={parameter!r} must be one of {', '.join(PARAMETERS)}")
    value = getattr(cosmology, parameter)
    if value is None:
        raise ValueError(f"{parameter}=None: a derivative by it needs it")
    value *= 1 + relative
    changed: dict[str, Any] = {parameter: value}
    if parameter == "omega_m":
        changed["omega_lambda"] = cosmology.omega_lambda + cosmology.omega_m - value
    return dataclasses.replace(cosmology, **changed)


@functools.cache
def _paper_derivatives() -> dict[str, Float[np.ndarray, "..."]]:
    file = importlib.resources.files("cosmogan_jax.sky") / "tables/paper_derivatives.npz"
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as table:
        return {key: table[key].astype(np.float64) for key in table.files if table[key].dtype.kind == "f"}
