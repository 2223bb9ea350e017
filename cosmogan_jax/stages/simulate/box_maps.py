"""Maps through the planes of a box: Born's approximation, or rays that are bent from plane to plane."""

import functools
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax.machine.memory import free_memory
from cosmogan_jax.maps.boxes import Box
from cosmogan_jax.settings import Simulate
from cosmogan_jax.side_by_side import SideBySide, jit_on_one_thread
from cosmogan_jax.sky import light_cone, ray_tracing
from cosmogan_jax.sky.cosmology import comoving_distance
from cosmogan_jax.sky.light_cone import Placement
from cosmogan_jax.stages.simulate.cone import LightCone
from cosmogan_jax.stages.simulate.sources import bins_last
from cosmogan_jax.symmetries import orient

_BATCH_BYTES = 512 * 2**20
_MAX_BATCH = 128
# Rays of the maps that one program of a CPU makes: it works for milliseconds, and starts in a tenth of one.
_RAYS_TOGETHER = 2**18
# Of the free memory that the planes of one box may take, so that maps in batches need not read them again.
_HELD_SHARE = 0.25


def batch_size(map_pixels: int, num_bins: int = 1) -> int:
    """Return how many maps are made at a time."""
    return max(1, min(_MAX_BATCH, _BATCH_BYTES // (4 * num_bins * map_pixels**2)))


class BoxMaps:
    """Makes maps of a light cone; planes are read once for each box, where memory holds those of one."""

    def __init__(
        self, cone: LightCone, placed: Placement, transfer: Float[Array, "planes bins"], settings: Simulate
    ):
        """Take how each map (first axis) sees each plane, and the planes' factors of amplitude."""
        self._cone, self._placed, self._settings = cone, placed, settings
        # Functions that know nothing of this object: it goes, and with it what it holds, when nobody has it.
        self._correct = SideBySide(
            lambda plane: _correct(jnp.asarray(plane[0].read(plane[1])), transfer[plane[1]])
        )
        self._add = SideBySide(lambda part: _add_born(*part))
        self._trace = SideBySide(lambda part: _trace(*part))
        self._trace_bins = SideBySide(lambda part: _trace_bins(*part))
        self._held: tuple[Path | None, list[Array]] = (None, [])

    def through(self, box: Box, index: Int[np.ndarray, " maps"]) -> Float[np.ndarray, "maps size size *bins"]:
        """Return the maps of these numbers, through the planes of this box."""
        traced = self._settings.ray_tracing == "multi_plane"
        return bins_last(np.asarray(self._traced(box, index) if traced else self._born(box, index)))

    def _planes(self, box: Box) -> Iterator[tuple[int, np.float32, Array]]:
        """Yield number, distance and corrected cuts of every plane; the cuts are held where memory allows."""
        numbers = range(len(self._cone.schedule.chi))
        if self._held[0] != box.path:
            self._held = None, []  # another box's planes go before these come
            size = 4 * len(numbers) * 3 * self._cone.box.slabs_per_box * self._cone.box.plane_pixels**2
            if size <= _HELD_SHARE * free_memory(jax.local_devices()[0]):
                self._held = box.path, self._correct([(box, number) for number in numbers])
        planes = self._held[1] or (self._correct([(box, number)])[0] for number in numbers)
        for number, chi, cuts in zip(numbers, self._cone.schedule.chi, planes):
            yield number, np.float32(chi), cuts

    def _placement(self, index: np.ndarray | int, number: int) -> Placement:
        return Placement(*(leaf[index, number] for leaf in self._placed))

    def _born(self, box: Box, index: np.ndarray) -> np.ndarray:
        cone, parts = self._cone, self._parts(index)
        size, plane_pixels = cone.geometry.num_pixels, cone.box.plane_pixels
        kappa = [jnp.zeros((len(part), *cone.factors.shape[:-1], size, size)) for part in parts]
        for number, chi, planes in self._planes(box):
            pixel = np.float32(chi * cone.geometry.pixel_rad / cone.box.box_size * plane_pixels)
            weight = cone.factors[..., number].astype(np.float32)
            at_plane = pixel, weight, self._settings.rays_per_pixel
            kappa = self._add([
                (so_far, planes, self._placement(part, number), *at_plane)
                for so_far, part in zip(kappa, parts)
            ])  # fmt: skip
        return np.concatenate(kappa)[: len(index)]

    def _parts(self, index: np.ndarray) -> np.ndarray:
        """Return the numbers in rows, a row for each program; the last number fills the last row up.

        Accelerators take all maps in one. A row has two numbers at least: of a single map the compiler takes
        the loop over maps away, and rounds otherwise.
        """
        rays = (self._cone.geometry.num_pixels * self._settings.rays_per_pixel) ** 2
        each = max(2, _RAYS_TOGETHER // rays if jax.default_backend() == "cpu" else len(index))
        filled = np.arange(-(-len(index) // each) * each)
        return index[np.minimum(filled, len(index) - 1)].reshape(-1, each)

    def _traced(self, box: Box, index: np.ndarray) -> Array:
        cone = self._cone
        rays_side = cone.geometry.num_pixels * self._settings.rays_per_pixel
        theta = ray_tracing.ray_grid(rays_side, np.float32(cone.geometry.side_rad))
        several = cone.factors.ndim > 1
        source = np.float32(float(comoving_distance(cone.cosmology, cone.source_redshift)))
        # Five fields of sums for every ray, and the bins' maps: as many maps at once as the batch of finished
        # maps may take.
        together = max(1, _BATCH_BYTES // (4 * (14 + len(cone.bins) - 1) * rays_side**2))
        kappa = []
        for begin in range(0, len(index), together):
            numbers = index[begin : begin + together]
            rays = [ray_tracing.begin(theta) for _ in numbers]
            of_bins = [jnp.zeros((len(cone.bins), rays_side, rays_side)) for _ in numbers if several]
            for number, chi, planes in self._planes(box):
                at_plane = chi, np.float32(cone.box.box_size / chi), np.float32(cone.strength[number])
                parts = [
                    (passing, planes, self._placement(map_number, number), *at_plane)
                    for passing, map_number in zip(rays, numbers)
                ]
                if several:
                    share = (cone.factors[:, number] / cone.strength[number]).astype(np.float32)
                    traced = self._trace_bins([
                        (so_far, share, *part) for so_far, part in zip(of_bins, parts)
                    ])  # fmt: skip
                    of_bins, rays = [list(fields) for fields in zip(*traced)]
                else:
                    rays = self._trace(parts)
            if several:
                kappa += [_means(summed, self._settings.rays_per_pixel) for summed in of_bins]
            else:
                kappa += [_kappa(passed, source, self._settings.rays_per_pixel) for passed in rays]
        return jnp.stack(kappa)


_correct = jit_on_one_thread(light_cone.correct_windows)


_add_born = functools.partial(jax.jit, static_argnums=5, donate_argnums=0)(light_cone.add_born_maps)


def _passed(rays, planes, placed, chi, side, strength):
    size = planes.shape[-1]
    kappa = strength * orient(planes[placed.cut], placed.turn)
    field = ray_tracing.field_of_convergence(kappa, side)
    return ray_tracing.pass_plane(rays, field, chi, side / size, placed.shift * size)


_trace = jit_on_one_thread(_passed)


@jit_on_one_thread
def _trace_bins(kappa, share, rays, *through):
    """Trace rays through a plane and add to each bin's map its share of the convergence at infinity.

    The share of a plane that holds a bin's sources is that of what lies before them, as in Born's
    approximation.
    """
    passed = _passed(rays, *through)
    return kappa + share[:, None, None] * ray_tracing.added_convergence(rays, passed), passed


_means = jax.jit(ray_tracing.pixel_means, static_argnums=1)


@functools.partial(jax.jit, static_argnums=2)
def _kappa(rays, source, rays_per_pixel):
    kappa = ray_tracing.lensed_maps(rays, source).kappa
    return ray_tracing.pixel_means(kappa, rays_per_pixel)
