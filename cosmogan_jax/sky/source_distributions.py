"""Bins of lensed sources: single redshifts, tables of n(z), and slices of a survey's galaxies.

Convergence is linear in the sources (in Born's approximation, and along rays that are traced back from the
observer): a bin's is the mean of that of its redshifts, by their weights.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import gammainc, gammaincinv

from cosmogan_jax.files.csv_files import Line, number_in
from cosmogan_jax.sky.matter_power import REDSHIFTS

# Farther sources are lensed by matter whose power is not known (`matter_power`).
FARTHEST = float(REDSHIFTS[-1])
# Straight lines between the rows of a table are summed in steps of redshift no longer than this.
_LONGEST_STEP = 0.01
_LONGEST_NAME = 60  # of what a FITS header holds
_NODES = 64  # of Gauss' and Legendre's quadrature in a slice of a smooth distribution
_SMAIL_FORM = "z0=0.11,alpha=2,beta=0.68,bins=4"


@dataclasses.dataclass(frozen=True, eq=False)
class SourceBin:
    """Sources whose mean convergence is one map: n(z) as shares at redshifts.

    Attributes:
      name: in files.
      redshifts: rising, the last one the farthest that has any.
      weights: share of the sources at each, in all 1.
    """

    name: str
    redshifts: Float[np.ndarray, " nodes"]
    weights: Float[np.ndarray, " nodes"]

    @property
    def mean_redshift(self) -> float:
        """Return the mean redshift of the sources, their own where they have one."""
        return float(self.redshifts[0] if len(self.redshifts) == 1 else self.weights @ self.redshifts)

    @property
    def farthest(self) -> float:
        """Return the redshift of the farthest sources."""
        return float(self.redshifts[-1])

    def mean_of(self, of_redshift: Callable[[float], Float[np.ndarray, "..."]]) -> Float[np.ndarray, "..."]:
        """Return the sources' mean of a function of their redshift, 0 for those at redshift 0: unlensed."""
        total: Any = 0.0
        for redshift, weight in zip(self.redshifts.tolist(), self.weights):
            if redshift > 0:
                total = total + weight * of_redshift(redshift)
        return total

    def record(self) -> dict[str, Any]:
        """Return the bin as JSON, for `bins_of_record`."""
        return {
            "name": self.name,
            "mean_redshift": self.mean_redshift,
            "redshifts": self.redshifts.tolist(),
            "weights": self.weights.tolist(),
        }


def bins_of_record(records: Sequence[dict[str, Any]]) -> tuple[SourceBin, ...]:
    """Return the bins that `SourceBin.record` told."""
    return tuple(
        SourceBin(bin["name"], np.array(bin["redshifts"], float), np.array(bin["weights"], float))
        for bin in records
    )


def single_redshift(redshift: float) -> SourceBin:
    """Return sources at one redshift."""
    return SourceBin(f"z{redshift:g}", np.array([float(redshift)]), np.ones(1))


def single_redshifts(redshifts: Sequence[float]) -> tuple[SourceBin, ...]:
    """Return a bin for each of several redshifts.

    Raises:
      ValueError: fewer than two, one not in (0, 3], or redshifts that do not rise; begins with
        source_redshifts=.
    """
    flag = f"source_redshifts={','.join(f'{redshift:g}' for redshift in redshifts)}"
    if len(redshifts) < 2:
        raise ValueError(f"{flag} must be two or more; of one, give --source_redshift")
    for redshift in redshifts:
        if not 0 < redshift <= FARTHEST:
            raise ValueError(f"{flag}: {redshift:g} must lie in (0, {FARTHEST:g}]")
    for nearer, farther in itertools.pairwise(redshifts):
        if not farther > nearer:
            raise ValueError(f"{flag} must rise, and {farther:g} follows {nearer:g}")
    return tuple(single_redshift(redshift) for redshift in redshifts)


def tabulated_bins(lines: Sequence[Line], where: str) -> tuple[SourceBin, ...]:
    """Return the bins of a table: a row of names, `z` and those of the bins, then redshifts and n(z) of each.

    Between the rows n(z) is a straight line; it is normalised here.

    where: what errors begin with: the flag and the file.

    Raises:
      ValueError: a table of another form, redshifts that do not rise, n(z) that is negative or no number, that
        does not integrate to a positive number or reaches beyond redshift 3, bins that are not in the order of
        their mean redshifts; with the line or the column.
    """
    names = _column_names(lines, where)
    rows = [_row(line, names, where) for line in lines[1:]]
    for (before, line), (earlier, later) in zip(itertools.pairwise(lines[1:]), itertools.pairwise(rows)):
        if not later[0] > earlier[0]:
            raise ValueError(
                f"{where}, line {line.number}: z must rise, and {later[0]:g} follows {earlier[0]:g} of line "
                f"{before.number}"
            )
    z, *densities = np.array(rows).T
    bins = tuple(
        _integrated(name, z, density, f"{where}, column {name}") for name, density in zip(names, densities)
    )
    _check_order(bins, where)
    return bins


def _column_names(lines: Sequence[Line], where: str) -> list[str]:
    if len(lines) < 3:
        raise ValueError(f"{where} must hold a row of names, z and those of the bins, and two rows or more")
    first, *names = lines[0].cells
    if first != "z":
        raise ValueError(f"{where}: the first column must be called z, and is called {first!r}")
    if len(names) < 2:
        raise ValueError(f"{where} holds n(z) of {len(names)} bins; at least two must follow z")
    for name in names:
        if not name or names.count(name) > 1:
            raise ValueError(
                f"{where}: {name!r} names {names.count(name)} columns; each needs a name of its own"
            )
        if not (name.isascii() and name.isprintable() and len(name) <= _LONGEST_NAME):
            raise ValueError(f"{where}: {name!r} must be up to {_LONGEST_NAME} printable ASCII characters")
    return names


def _row(line: Line, names: Sequence[str], where: str) -> list[float]:
    if len(line.cells) != len(names) + 1:
        raise ValueError(f"{where}, line {line.number}: {len(line.cells)} values for {len(names) + 1} columns")
    values = [number_in(cell) for cell in line.cells]
    for name, value, cell in zip(("z", *names), values, line.cells):
        if not value >= 0:  # NaN too
            raise ValueError(
                f"{where}, line {line.number}, column {name}: {cell or 'nothing'} must be a finite number, "
                "and not negative"
            )
    return values


def _integrated(name: str, z: np.ndarray, density: np.ndarray, where: str) -> SourceBin:
    """Return n(z), straight between the redshifts, as shares at steps that are short."""
    with np.errstate(over="ignore"):
        integral = float(np.trapezoid(density, z))
    if not 0 < integral < math.inf:
        raise ValueError(f"{where}: n(z) integrates to {integral:g}; it must be a positive, finite number")
    fine = np.unique(
        np.concatenate(
            [
                np.linspace(low, high, 1 + math.ceil((high - low) / _LONGEST_STEP))
                for low, high in itertools.pairwise(z.tolist())
            ]
        )
    )
    step = np.diff(fine)
    width = (np.append(step, 0.0) + np.append(0.0, step)) / 2
    return _of_shares(name, fine, np.interp(fine, z, density / integral) * width, where)


def _of_shares(name: str, redshifts: np.ndarray, shares: np.ndarray, where: str) -> SourceBin:
    some = shares > 0
    redshifts, shares = redshifts[some], shares[some]
    if redshifts[-1] > FARTHEST:
        raise ValueError(
            f"{where}: n(z) reaches redshift {redshifts[-1]:g}, beyond {FARTHEST:g}, up to which the power of "
            "matter is known"
        )
    return SourceBin(name, redshifts, shares / shares.sum())


def _check_order(bins: Sequence[SourceBin], where: str) -> None:
    for nearer, farther in itertools.pairwise(bins):
        if not farther.mean_redshift > nearer.mean_redshift:
            raise ValueError(
                f"{where}: bins must be in the order of their mean redshifts, and {farther.name} "
                f"({farther.mean_redshift:.4g}) follows {nearer.name} ({nearer.mean_redshift:.4g})"
            )


def smail_bins(z0: float, alpha: float, beta: float, num_bins: int) -> tuple[SourceBin, ...]:
    """Return slices, of as many galaxies each and with sharp edges, of a survey's distribution of redshifts.

        p(z) ~ z^alpha exp(-(z / z0)^beta) up to z = 3 (Smail, Ellis & Fitchett 1994)

    (z / z0)^beta follows a gamma distribution of shape (alpha + 1) / beta, which gives the edges.

    Raises:
      ValueError: a parameter that is not positive, or fewer than two bins.
    """
    for name, value in (("z0", z0), ("alpha", alpha), ("beta", beta)):
        if not 0 < value < math.inf:
            raise ValueError(f"smail: {name}={value:g} must be a positive number")
    if num_bins < 2:
        raise ValueError(f"smail: bins={num_bins} must be two or more")
    shape = (alpha + 1) / beta
    below = gammainc(shape, (FARTHEST / z0) ** beta)
    edges = z0 * gammaincinv(shape, np.linspace(0, 1, num_bins + 1) * below) ** (1 / beta)
    if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
        raise ValueError(f"smail: z0={z0:g}, alpha={alpha:g}, beta={beta:g} has no {num_bins} bins up to z=3")
    nodes, shares = np.polynomial.legendre.leggauss(_NODES)
    bins = []
    for number, (low, high) in enumerate(itertools.pairwise(edges), 1):
        z = (low + high) / 2 + (high - low) / 2 * nodes
        log_density = alpha * np.log(z) - (z / z0) ** beta
        density = np.exp(log_density - log_density.max())
        bins.append(_of_shares(f"bin{number}", z, shares * density, "smail"))
    return tuple(bins)


def parsed_smail(text: str) -> tuple[SourceBin, ...]:
    """Return the bins of `z0=0.11,alpha=2,beta=0.68,bins=4`.

    Raises:
      ValueError: text of another form, a name that is not known, that lacks or stands twice; as `smail_bins`.
    """
    values: dict[str, float] = {}
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, _, number = (piece.strip() for piece in word.partition("="))
        if name not in ("z0", "alpha", "beta", "bins") or math.isnan(value := number_in(number)):
            raise ValueError(f"smail={word} must be name=number, as {_SMAIL_FORM}")
        if name in values:
            raise ValueError(f"smail names {name} twice")
        values[name] = value
    for name in ("z0", "alpha", "beta", "bins"):
        if name not in values:
            raise ValueError(f"smail={text} lacks {name}; write {_SMAIL_FORM}")
    if not values["bins"].is_integer():
        raise ValueError(f"smail: bins={values['bins']:g} must be a whole number")
    return smail_bins(values["z0"], values["alpha"], values["beta"], int(values["bins"]))
