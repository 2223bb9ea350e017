"""Data vectors of an emulator's maps at any cosmology, and how their means answer to its parameters.

Every map of an emulator is a unit of its own (`compare/parameter_response.py`): its latents stay when the
parameters change. For statistics that are smooth in the pixels a map's slope is the derivative itself, by
forward mode through the emulator and the statistic; for counts, whose derivatives are 0, a difference of the
same latents.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from cosmogan_jax.compare.parameter_response import ParameterResponse, matched_differences
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.summaries.observer import GalaxyNoise

Measure = Callable[[Float[Array, "maps size size"]], Float[Array, "maps modes"]]


class Look(TypedDict):
    """How maps are looked at, as `Emulator.sample` takes it."""

    noise: GalaxyNoise | None
    smoothing_arcmin: float


class EmulatorResponse(NamedTuple):
    """Data vectors of single maps at a cosmology, and their slopes, of the same maps.

    Attributes:
      values: at the cosmology itself.
      response: a unit a map.
    """

    values: Float[np.ndarray, "maps modes"]
    response: ParameterResponse


class Displaced(NamedTuple):
    """Data vectors of the same latents where one parameter is smaller and larger, and the distance."""

    lower: Float[np.ndarray, "maps parameters modes"]
    upper: Float[np.ndarray, "maps parameters modes"]
    distance: Float[np.ndarray, " parameters"]


@dataclasses.dataclass(frozen=True, eq=False)
class EmulatorVectors:
    """Data vectors of the maps of one seed, whose latents are the same at every cosmology.

    Attributes:
      emulator: of maps of one bin of sources.
      measure: maps to data vectors; pure, as `DataVector.measure`.
      seed: of the maps; num_maps of them are measured, the first ones.
      noise, smoothing_arcmin: how maps are looked at, as `Emulator.sample` takes it.
      batch_size: maps at a time.
      extrapolate: make maps of cosmologies outside the hull of the training maps', too.

    Raises:
      ValueError: num_maps or batch_size not positive; the methods' as of `Emulator.sample`.
    """

    emulator: Emulator
    measure: Measure
    seed: int
    num_maps: int
    noise: GalaxyNoise | None = None
    smoothing_arcmin: float = 0.0
    batch_size: int = 64
    extrapolate: bool = False

    def __post_init__(self):
        if self.num_maps < 1 or self.batch_size < 1:
            raise ValueError(f"num_maps={self.num_maps} and batch_size={self.batch_size} must be positive")

    def at(self, **parameters: float) -> Float[np.ndarray, "maps modes"]:
        """Measure the maps at one cosmology."""
        row, key, values = self._row(parameters), self.emulator.key(self.seed), []
        for index, kept in self._batches():
            theta = jnp.broadcast_to(row, (len(index), len(row)))
            kappa = self.emulator.draw_side_by_side(key, index, theta, **self._look)
            values.append(np.asarray(self._measured(kappa[..., 0])[:kept], np.float64))
        return np.concatenate(values)

    def differentiated(self, **parameters: float) -> EmulatorResponse:
        """Return data vectors at a cosmology and their derivatives by every parameter, by forward mode.

        Exact for what is smooth in the pixels; of counts in bins it gives 0 or a wrong slope
        (`DataVector.differentiable`), of their smooth forms (`matched_statistics.py`) the right one. A dcgan
        must have been loaded with forward_mode=True.
        """
        row, values, slopes = self._row(parameters), [], []
        for index, kept in self._batches():
            value, slope = self._with_slopes(index, row)
            values.append(np.asarray(value[:kept], np.float64))
            slopes.append(np.asarray(slope[:kept], np.float64))
        response = ParameterResponse(self.emulator.parameters, np.concatenate(slopes))
        return EmulatorResponse(np.concatenate(values), response)

    def differenced(self, relative_step: float, **parameters: float) -> EmulatorResponse:
        """Return data vectors at a cosmology and their slopes by every parameter, by `displaced`.

        A curvature of the statistic between both sides is in them, as it is in those of simulations.

        Raises:
          ValueError: as `displaced`.
        """
        displaced = self.displaced(relative_step, **parameters)
        return EmulatorResponse(
            self.at(**parameters), matched_differences(self.emulator.parameters, *displaced)
        )

    def displaced(self, relative_step: float, **parameters: float) -> Displaced:
        """Measure the maps where each parameter is (1 - relative_step) and (1 + relative_step) times as large.

        Raises:
          ValueError: relative_step not in (0, 1), a parameter of 0, a cosmology outside the training
            maps' hull.
        """
        if not 0 < relative_step < 1:
            raise ValueError(f"relative_step={relative_step} must lie in (0, 1)")
        middle = {name: float(parameters[name]) for name in self.emulator.parameters if name in parameters}
        self._row(parameters)
        for name, value in middle.items():
            if value == 0:
                raise ValueError(f"{name}=0: a relative step from it leads nowhere")
        sides = [
            [{**middle, name: value * (1 + sign * relative_step)} for name, value in middle.items()]
            for sign in (-1, 1)
        ]
        for point in (*sides[0], *sides[1]):
            self._row(point)  # one outside is told before any map is made
        lower, upper = (np.stack([self.at(**point) for point in side], 1) for side in sides)
        return Displaced(lower, upper, 2 * relative_step * np.array(list(middle.values())))

    def _row(self, parameters: dict[str, float]) -> Float[Array, " parameters"]:
        values: dict[str, ArrayLike] = dict(parameters)
        return self.emulator.theta(1, None, extrapolate=self.extrapolate, **values)[0]

    @property
    def _look(self) -> Look:
        return {"noise": self.noise, "smoothing_arcmin": self.smoothing_arcmin}

    def _batches(self) -> Iterator[tuple[Int[Array, " maps"], int]]:
        """Yield numbers of maps, as many in each batch, and how many of them count."""
        size = min(self.batch_size, self.num_maps)
        for start in range(0, self.num_maps, size):
            kept = min(size, self.num_maps - start)
            yield start + jnp.minimum(jnp.arange(size), kept - 1), kept

    @functools.cached_property
    def _measured(self) -> Callable:
        return jax.jit(self.measure)

    @functools.cached_property
    def _with_slopes(self) -> Callable:
        key = self.emulator.key(self.seed)

        @jax.jit
        def program(index, row):
            def of_theta(theta):
                rows = jnp.broadcast_to(theta, (len(index), len(theta)))
                return self.measure(self.emulator.draw(key, index, rows, **self._look)[..., 0])

            of_each = [jax.jvp(of_theta, (row,), (axis,)) for axis in jnp.eye(len(row), dtype=row.dtype)]
            return of_each[0][0], jnp.stack([slope for _, slope in of_each], 1)

        return program
