"""Matter power spectra: stored for the paper's cosmology, by CAMB for any other."""

import dataclasses
import functools
import importlib.resources
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline, RectBivariateSpline

from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, Cosmology

MIN_K, MAX_K = 1e-4, 150.0  # h/Mpc
REDSHIFTS = np.linspace(0.0, 3.0, 31)
_SAME = 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class MatterPower:
    """Linear power today and non-linear power (halofit, Takahashi et al. 2012) at REDSHIFTS, in (Mpc/h)^3."""

    cosmology: Cosmology
    log_k: Float[np.ndarray, " k"]
    log_linear: Float[np.ndarray, " k"]
    log_nonlinear: Float[np.ndarray, "redshift k"]
    source: str

    def linear(self, k: float | Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Return linear power today in (Mpc/h)^3, k in h/Mpc; beyond the table by the slopes at its ends."""
        return np.exp(self._linear(np.log(k)))

    def nonlinear(
        self, k: float | Float[np.ndarray, "..."], redshift: float | Float[np.ndarray, "..."]
    ) -> Float[np.ndarray, "..."]:
        """Return non-linear power in (Mpc/h)^3 at 0 <= redshift <= 3, k in h/Mpc; the two broadcast together.

        Beyond 150 h/Mpc each redshift's power goes on with the logarithmic slope it has there: counting it as 0
        would lose 1.8 % of C_l at ell 53,000 for sources at redshift 1 and 9 % at 0.5. Below 1e-4 it is
        held constant, which is not felt at ell > 10.

        Raises:
          ValueError: redshift out of range.
        """
        k, z = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(redshift, np.float64))
        if not ((z >= 0) & (z <= REDSHIFTS[-1])).all():
            raise ValueError(f"redshift={z.min():g} to {z.max():g} must lie in [0, {REDSHIFTS[-1]:g}]")
        log_k, last = np.log(np.maximum(k, MIN_K)), self.log_k[-1]
        slope = self._nonlinear(z, last, dy=1, grid=False)
        inside = self._nonlinear(z, np.minimum(log_k, last), grid=False)
        return np.exp(inside + slope * np.maximum(log_k - last, 0.0))

    @functools.cached_property
    def _linear(self):
        return _Continued(CubicSpline(self.log_k, self.log_linear), self.log_k[0], self.log_k[-1])

    @functools.cached_property
    def _nonlinear(self):
        return RectBivariateSpline(REDSHIFTS, self.log_k, self.log_nonlinear)


class _Continued:
    """A spline that goes on as a straight line beyond its ends."""

    def __init__(self, spline, low, high):
        self.spline, self.low, self.high = spline, low, high

    def __call__(self, x):
        inside = np.clip(x, self.low, self.high)
        return self.spline(inside) + self.spline(inside, 1) * (x - inside)


def matter_power(cosmology: Cosmology = PAPER_COSMOLOGY) -> MatterPower:
    """Return the stored table for the paper's cosmology, CAMB's for any other.

    Raises:
      ModuleNotFoundError: another cosmology, and CAMB is not installed.
      ValueError: the cosmology gives no omega_b, sigma8 or n_s, or CAMB cannot compute it.
    """
    same = all(
        getattr(cosmology, name) is not None and abs(getattr(cosmology, name) - value) <= _SAME
        for name, value in vars(PAPER_COSMOLOGY).items()
    )
    return paper_matter_power() if same else camb_matter_power(cosmology)


@functools.cache
def paper_matter_power() -> MatterPower:
    """Read the stored table (experiments/001-sky-tables)."""
    file = importlib.resources.files("cosmogan_jax.sky") / "tables/paper_power.npz"
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as table:
        log_k, linear, nonlinear = (
            table[key].astype(np.float64) for key in ("log_k", "log_linear", "log_nonlinear")
        )
        return MatterPower(PAPER_COSMOLOGY, log_k, linear, nonlinear, source=str(table["source"]))


def camb_parameters(cosmology: Cosmology, amplitude: float) -> Any:
    """Return CAMB's parameters of the cosmology, without massive neutrinos, for a primordial amplitude A_s.

    Of matter alone: with the CMB's spectra, which are CAMB's default, it refuses an amplitude whose lensing of
    the CMB it cannot compute (P(k = 0.05/Mpc) > 2e-8, as of omega_m=0.1 and sigma8=1.2), and takes longer.

    Raises:
      ModuleNotFoundError: CAMB is not installed.
    """
    try:
        import camb
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "a cosmology other than the paper's needs CAMB: pip install 'cosmogan_jax[sky]'"
        ) from error
    if cosmology.omega_b is None:
        raise ValueError("omega_b of the cosmology is not given")
    params = camb.set_params(
        H0=100 * cosmology.h,
        ombh2=cosmology.omega_b * cosmology.h**2,
        omch2=(cosmology.omega_m - cosmology.omega_b) * cosmology.h**2,
        mnu=0.0,
        omk=0.0,
        As=amplitude,
        ns=cosmology.n_s,
        w=cosmology.w0,
        wa=cosmology.wa,
        dark_energy_model="ppf",
        halofit_version="takahashi",
    )
    params.WantCls = params.DoLensing = False
    params.NonLinear = camb.model.NonLinear_pk
    return params


def camb_amplitude(cosmology: Cosmology) -> float:
    """Return the primordial amplitude A_s that gives the cosmology's sigma8.

    Raises:
      ValueError: CAMB cannot compute the cosmology.
    """
    trial = 2e-9
    params = camb_parameters(cosmology, trial)
    params.set_matter_power(redshifts=[0.0], kmax=20.0)
    return trial * float(cosmology.sigma8 / _results(params, cosmology).get_sigma8_0()) ** 2


def _results(params: Any, cosmology: Cosmology) -> Any:
    import camb

    try:
        return camb.get_results(params)
    except camb.CAMBError as error:
        values = ", ".join(f"{name}={value:g}" for name, value in vars(cosmology).items() if value is not None)
        reason = str(error).rpartition("\n")[2]  # the first line names a routine
        raise ValueError(f"CAMB cannot compute the matter power of {values}: {reason}") from error


def camb_matter_power(cosmology: Cosmology) -> MatterPower:
    """Compute both spectra by CAMB, normalised to sigma8; in seconds. CAMB's background includes radiation.

    Raises:
      ModuleNotFoundError: CAMB is not installed.
      ValueError: the cosmology gives no omega_b, sigma8 or n_s, or CAMB cannot compute it.
    """
    for name in ("omega_b", "sigma8", "n_s"):
        if getattr(cosmology, name) is None:
            raise ValueError(f"{name}=None: a matter power spectrum needs it")
    camb_parameters(cosmology, 2e-9)  # says what is missing where CAMB is
    import camb

    params = camb_parameters(cosmology, camb_amplitude(cosmology))
    params.set_matter_power(redshifts=REDSHIFTS[::-1], kmax=MAX_K)
    results = _results(params, cosmology)
    spectrum = {"minkh": MIN_K, "maxkh": MAX_K, "npoints": 256}
    k, _, nonlinear = results.get_matter_power_spectrum(**spectrum)
    linear = results.get_linear_matter_power_spectrum
    k_linear, _, linear = linear(hubble_units=True, k_hunit=True)
    log_k = np.log(k)
    log_linear = CubicSpline(np.log(k_linear), np.log(linear[0]))(log_k)
    return MatterPower(cosmology, log_k, log_linear, np.log(nonlinear), source=f"CAMB {camb.__version__}")
