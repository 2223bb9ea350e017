"""Matter power at any omega_m and sigma8: CAMB's, kept in a file; or linear power between that of a few."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import BarycentricInterpolator

from cosmogan_jax.files.numpy_files import read_npz
from cosmogan_jax.files.whole_files import write_arrays
from cosmogan_jax.sky.cosmology import paper_with
from cosmogan_jax.sky.matter_power import REDSHIFTS, MatterPower, matter_power

_NODES, _SIGMA8 = 10, 0.8


def write_beside_others(path: Path, write: Callable[[Path, Any], None], content: Any) -> None:
    """Write a file that several processes may write at once, all the same: the last one's stays."""
    own = path.with_name(f"{os.getpid()}_{path.name}")
    write(own, content)
    os.replace(own, path)


def power_at(theta: dict[str, float], folder: Path) -> MatterPower:
    """Matter power at a cosmology, by CAMB once: boxes can then be made where there is none."""
    path, cosmology = folder / "power.npz", paper_with(**theta)
    if not path.exists():
        power = matter_power(cosmology)
        tables = {name: getattr(power, name) for name in ("log_k", "log_linear", "log_nonlinear")}
        write_beside_others(path, write_arrays, tables)
    return MatterPower(cosmology, **read_npz(path), source=str(path))


def power_between(theta: dict[str, float], folder: Path, omega_m_range: tuple[float, float]) -> MatterPower:
    """Linear power of boxes: ln P between that of ten omega_m (Chebyshev's), sigma8^2 times as much.

    Seven seconds a truth less than CAMB, whose ln P it meets within 2e-4 between 0.2 and 0.4. There is no
    non-linear power, which is nan.

    Raises:
      ValueError: omega_m outside the range.
    """
    low, high = omega_m_range
    if not low <= theta["omega_m"] <= high:
        raise ValueError(f"omega_m={theta['omega_m']:g} must lie in {low:g} to {high:g}")
    path = folder / f"powers_{low:.6f}_{high:.6f}.npz"
    at = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
    if not path.exists():
        powers = [matter_power(paper_with(**{**theta, "omega_m": value, "sigma8": _SIGMA8})) for value in at]
        tables = {"log_k": powers[0].log_k, "log_linear": np.stack([power.log_linear for power in powers])}
        write_beside_others(path, write_arrays, tables)
    tables = read_npz(path)
    log_linear = BarycentricInterpolator(at, tables["log_linear"])(theta["omega_m"])
    log_linear += 2 * np.log(theta["sigma8"] / _SIGMA8)
    unknown = np.full((len(REDSHIFTS), len(log_linear)), np.nan)
    return MatterPower(paper_with(**theta), tables["log_k"], log_linear, unknown, source=str(path))
