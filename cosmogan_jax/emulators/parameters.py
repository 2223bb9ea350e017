"""Parameters that maps are asked for at: rows of theta from names, and the hull of the training maps'."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from cosmogan_jax.sky.parameter_design import in_hull

_NEAR = 1e-5  # float32 keeps a parameter to 6e-8; what is nearer to the border counts as inside


def theta_of(
    emulator: str, names: Sequence[str], parameters: Mapping[str, ArrayLike], num_maps: int
) -> Float[Array, "maps parameters"]:
    """Return a row of theta a map, of one value for all maps or one for each.

    Raises:
      ValueError: parameters that the emulator does not have, one that is missing, or another number of values
        than maps; beginning with the emulator's name.
    """
    has = f"its parameters: {', '.join(names) or 'none'}"
    for name in parameters:
        if name not in names:
            raise ValueError(f"{emulator}: {name} is no parameter of this emulator; {has}")
    columns = []
    for name in names:
        if name not in parameters:
            raise ValueError(f"{emulator}: {name} is missing; {has}")
        values = jnp.asarray(parameters[name], jnp.float32)
        if values.shape not in ((), (num_maps,)):
            raise ValueError(
                f"{emulator}: {name} has shape {values.shape}, and must be a number or one for each of "
                f"{num_maps} maps"
            )
        columns.append(jnp.broadcast_to(values, num_maps))
    return jnp.stack(columns, -1)


def check_theta(
    emulator: str, names: Sequence[str], theta: ArrayLike | None, num_maps: int
) -> Float[Array, "maps parameters"]:
    """Return theta as an array of a row a map; of no column where maps are conditioned on nothing.

    Raises:
      ValueError: it is missing, or of another shape.
    """
    if theta is None:
        if names:
            raise ValueError(f"{emulator}: theta is missing, a row of {', '.join(names)} a map")
        return jnp.zeros((num_maps, 0), jnp.float32)
    theta = jnp.asarray(theta, jnp.float32)
    if theta.shape != (num_maps, len(names)):
        raise ValueError(
            f"{emulator}: theta.shape={theta.shape} must be (maps, parameters), {(num_maps, len(names))}"
        )
    return theta


def check_inside(
    emulator: str,
    names: Sequence[str],
    design: Sequence[Sequence[float]],
    theta: Float[Array, "maps parameters"],
) -> None:
    """Check that cosmologies lie inside the hull of those that the emulator was trained on.

    What is traced cannot be looked at, and passes.

    Raises:
      ValueError: a value that is not finite, or the first cosmology outside.
    """
    if isinstance(theta, jax.core.Tracer):
        return
    points = np.asarray(design, np.float64).reshape(-1, len(names))
    middle = points.mean(0)
    for row in np.unique(np.asarray(theta, np.float64), axis=0):
        words = ", ".join(f"{name}={value:g}" for name, value in zip(names, row))
        if not np.isfinite(row).all():
            raise ValueError(f"{emulator}: {words} must be finite")
        if not in_hull(points, middle + (row - middle) * (1 - _NEAR)):
            limits = zip(names, points.min(0), points.max(0))
            ranges = ", ".join(f"{name} {low:g} to {high:g}" for name, low, high in limits)
            raise ValueError(
                f"{emulator}: {words} lies outside the hull of the {len(points)} cosmologies of its training "
                f"maps ({ranges}); extrapolate makes maps there nevertheless"
            )
