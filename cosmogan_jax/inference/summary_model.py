"""Mean and covariance of a data vector as smooth functions of parameters, fitted at some cosmologies.

With t(theta) the logarithm of each parameter (the parameter itself where one is not positive), scaled to
[-1, 1] over the nodes, and phi(t) all monomials up to an order:

    mean:        mu_i(theta) = exp(phi(t) . a_i) where all means are positive, phi(t) . a_i otherwise
    covariance:  C(theta) = L exp(sum_n phi_n(t) B_n) L^T,    L L^T the mean covariance of all nodes

The matrix exponential keeps C positive definite everywhere (log-Euclidean means: Arsigny et al. 2006, Magnetic
Resonance in Medicine 56, 411). Maps whose random numbers are the same at every node leave noise that all nodes
share: fits then show how smooth the numbers are, and the noise is that of the maps of one node. NumPy, float64.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_STEPS = 12  # of the fit of a logarithmic mean; the third changes no digit that matters


@dataclasses.dataclass(frozen=True, eq=False)
class SummaryModel:
    """What is expected of a data vector at any cosmology, of one map.

    Attributes:
      names: of the parameters.
      logarithmic: which of them by their logarithm.
      centre, half_width: of what t is scaled from.
      mean_coefficients: of phi; log_mean: of ln mu.
      root: L. log_covariance: B, a symmetric matrix for each term; None where only the mean was fitted.
      maps: independent ones of a node, that the covariance is known by.
      left_out: for each node and mode, mean less what all other nodes predict, in units of one map's
        standard deviation.
    """

    names: tuple[str, ...]
    logarithmic: tuple[bool, ...]
    centre: Float[np.ndarray, " parameters"]
    half_width: Float[np.ndarray, " parameters"]
    log_mean: bool
    mean_coefficients: Float[np.ndarray, "terms modes"]
    root: Float[np.ndarray, "modes modes"] | None
    log_covariance: Float[np.ndarray, "covariance_terms modes modes"] | None
    maps: float
    left_out: Float[np.ndarray, "nodes modes"]

    def mean(self, theta: Float[np.ndarray, "points parameters"]) -> Float[np.ndarray, "points modes"]:
        """Return the mean data vector at every point."""
        linear = self._terms(theta, len(self.mean_coefficients)) @ self.mean_coefficients
        return np.exp(linear) if self.log_mean else linear

    def covariance(
        self, theta: Float[np.ndarray, "points parameters"]
    ) -> Float[np.ndarray, "points modes modes"]:
        """Return the covariance of one map's data vector at every point.

        Raises:
          ValueError: only the mean was fitted.
        """
        if self.root is None or self.log_covariance is None:
            raise ValueError("this model was fitted to means only, and knows no covariance")
        terms = self._terms(theta, len(self.log_covariance))
        values, axes = np.linalg.eigh(np.einsum("gn,nij->gij", terms, self.log_covariance))
        half = self.root @ (axes * np.exp(values / 2)[:, None, :])
        return half @ half.transpose(0, 2, 1)

    def _terms(self, theta: np.ndarray, count: int) -> np.ndarray:
        theta = np.atleast_2d(np.asarray(theta, np.float64))
        if theta.shape[1] != len(self.names):
            raise ValueError(f"theta.shape={theta.shape} must be (points, {len(self.names)}): {self.names}")
        t = (_transformed(theta, self.logarithmic) - self.centre) / self.half_width
        return _monomials(t, _order_of(count, len(self.names)))


def fit_summary_model(
    names: Sequence[str],
    theta: Float[np.ndarray, "nodes parameters"],
    values: Sequence[Float[np.ndarray, "maps modes"]],
    *,
    order: int = 3,
    covariance_order: int | None = 2,
) -> SummaryModel:
    """Fit the model to data vectors of single maps at every node; a node counts by its number of maps.

    Args:
      values: of each node. With the same random numbers at all of them the fit is as smooth as the numbers are.
      order, covariance_order: of the polynomials; None: no covariance, as of nodes with few maps.

    Raises:
      ValueError: values that are not finite or of other modes, fewer nodes than terms or nodes that do not tell
        the terms apart, too few maps for the covariance of a node, a mode that does not vary.
    """
    theta, each = np.asarray(theta, np.float64), [np.asarray(node, np.float64) for node in values]
    _check_nodes(names, theta, each)
    logarithmic = tuple(bool(column.min() > 0) for column in theta.T)
    transformed = _transformed(theta, logarithmic)
    low, high = transformed.min(0), transformed.max(0)
    centre, half_width = (low + high) / 2, (high - low) / 2
    if not (half_width > 0).all():
        raise ValueError(f"{names[int(np.argmin(half_width))]} is the same at all {len(theta)} nodes")
    t, num_maps = (transformed - centre) / half_width, np.array([len(node) for node in each], float)
    means = np.stack([node.mean(0) for node in each])
    scatter = _pooled_scatter(each)
    phi = _checked_terms(t, order, "order")
    log_mean = bool((means > 0).all())
    coefficients = _fitted_mean(phi, means, num_maps, log_mean)
    predicted = np.exp(phi @ coefficients) if log_mean else phi @ coefficients
    # A linear fit with a node left out differs by the residual over what the node does not itself decide.
    weighted = np.sqrt(num_maps)[:, None] * phi
    leverage = (weighted * np.linalg.pinv(weighted).T).sum(1)
    left_out = (means - predicted) / scatter / np.maximum(1 - leverage, 1e-9)[:, None]
    root, log_covariance = None, None
    if covariance_order is not None:
        root, log_covariance = _fitted_covariance(_checked_terms(t, covariance_order, "covariance_order"), each)
    return SummaryModel(
        tuple(names), logarithmic, centre, half_width, log_mean, coefficients, root, log_covariance,
        float(num_maps.min()), left_out,
    )  # fmt: skip


def _check_nodes(names: Sequence[str], theta: np.ndarray, values: list[np.ndarray]) -> None:
    if theta.ndim != 2 or theta.shape[1] != len(names) or len(values) != len(theta):
        raise ValueError(
            f"theta.shape={theta.shape} must be ({len(values)} nodes, {len(names)} parameters), a node for "
            "each of the values"
        )
    modes = values[0].shape[-1]
    for number, node in enumerate(values):
        if node.ndim != 2 or node.shape[1] != modes or len(node) < 1 or not np.isfinite(node).all():
            raise ValueError(
                f"values of node {number}, of shape {node.shape}, must be finite and (maps, {modes})"
            )


def _pooled_scatter(values: list[np.ndarray]) -> Float[np.ndarray, " modes"]:
    squares = sum(((node - node.mean(0)) ** 2).sum(0) for node in values)
    scatter = np.sqrt(squares / max(1, sum(len(node) - 1 for node in values)))
    if not (scatter > 0).all():
        raise ValueError(f"mode {int(np.argmin(scatter))} does not vary over the maps of a node")
    return scatter


def _checked_terms(t: np.ndarray, order: int, name: str) -> Float[np.ndarray, "nodes terms"]:
    if order < 0:
        raise ValueError(f"{name}={order} must not be negative")
    phi = _monomials(t, order)
    if len(phi) < phi.shape[1] or np.linalg.matrix_rank(phi) < phi.shape[1]:
        raise ValueError(f"{name}={order}: {len(phi)} nodes do not tell its {phi.shape[1]} terms apart")
    return phi


def _fitted_mean(phi: np.ndarray, means: np.ndarray, num_maps: np.ndarray, log_mean: bool) -> np.ndarray:
    """Fit all modes by least squares weighted by maps; of a logarithm without the bias of a noisy mean's.

    For that sum_n N_n phi_n (m_n / mu_n - 1) = 0 is solved, which holds in the mean whatever the noise (the
    quasi-likelihood of a constant relative scatter), from the fit of ln m on.
    """
    solve = np.linalg.pinv(np.sqrt(num_maps)[:, None] * phi) * np.sqrt(num_maps)
    if not log_mean:
        return solve @ means
    coefficients = solve @ np.log(means)
    for _ in range(_STEPS):
        coefficients = coefficients + solve @ (means / np.exp(phi @ coefficients) - 1)
    return coefficients


def _fitted_covariance(phi: np.ndarray, values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    modes, fewest = values[0].shape[1], min(len(node) for node in values)
    if fewest < modes + 2:
        raise ValueError(f"a node of {fewest} maps is too small for the covariance of {modes} modes")
    covariances = np.stack([np.cov(node.T).reshape(modes, modes) for node in values])
    try:
        root = np.linalg.cholesky(covariances.mean(0))
        inverse = np.linalg.inv(root)
        scales, axes = np.linalg.eigh(inverse @ covariances @ inverse.T)
    except np.linalg.LinAlgError:
        raise ValueError("the covariance of a node has no inverse: a mode follows from the others") from None
    if not (scales > 0).all():
        raise ValueError("the covariance of a node has no inverse: a mode follows from the others")
    logarithms = np.einsum("nij,nj,nkj->nik", axes, np.log(scales), axes)
    num_maps = np.array([len(node) for node in values], float)
    solve = np.linalg.pinv(np.sqrt(num_maps)[:, None] * phi) * np.sqrt(num_maps)
    return root, np.einsum("tn,nij->tij", solve, logarithms)


def _transformed(theta: np.ndarray, logarithmic: Sequence[bool]) -> np.ndarray:
    mask = np.asarray(logarithmic, bool)
    return np.where(mask, np.log(np.where(mask, np.maximum(theta, 1e-300), 1.0)), theta)


def _monomials(t: np.ndarray, order: int) -> Float[np.ndarray, "points terms"]:
    columns = [np.ones(len(t))]
    for degree in range(1, order + 1):
        for chosen in itertools.combinations_with_replacement(range(t.shape[1]), degree):
            columns.append(t[:, chosen].prod(1))
    return np.stack(columns, 1)


def _order_of(count: int, parameters: int) -> int:
    """Return the order whose monomials are so many."""
    order = 0
    while _monomials(np.zeros((1, parameters)), order).shape[1] < count:
        order += 1
    return order
