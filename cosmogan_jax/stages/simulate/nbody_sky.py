"""The N-body sky: boxes of particles, their lens planes tiled at random to the source, maps through them."""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax import keys
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.machine.memory import free_memory
from cosmogan_jax.maps.boxes import Box
from cosmogan_jax.maps.crop_table import SPLITS
from cosmogan_jax.maps.lens_planes import LensPlanes, write_lens_planes
from cosmogan_jax.runs.directory import key_scheme
from cosmogan_jax.settings import Simulate
from cosmogan_jax.side_by_side import SideBySide, jit_on_one_thread
from cosmogan_jax.sky import light_cone, ray_tracing, resolution, sharpening
from cosmogan_jax.sky.cosmology import comoving_distance
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.matter_power import matter_power
from cosmogan_jax.sky.nbody import BoxSettings
from cosmogan_jax.stages.simulate.boxes import BoxPlan, get_boxes
from cosmogan_jax.stages.simulate.skies import (
    PAPER_SIDE_DEG,
    chosen_cosmology,
    source_redshift,
    told_parameters,
)
from cosmogan_jax.symmetries import orient

_BATCH_BYTES = 512 * 2**20
_MAX_BATCH = 128
# Of the free memory that the planes of one box may take, so that maps in batches need not read them again.
_HELD_SHARE = 0.25
_RESOLUTION_ELL = (200, 500, 1000, 2000, 5000, 10000, 20000, 50000)


class NbodySky:
    """Every map looks through the planes of one box; splits use different boxes."""

    def __init__(self, settings: Simulate, workdir: Path, counts: dict[str, int]):
        side_deg = PAPER_SIDE_DEG if settings.side_deg is None else settings.side_deg
        self.geometry = MapGeometry(settings.map_pixels, side_deg)
        if settings.rays_per_pixel < 1:
            raise ValueError(f"rays_per_pixel={settings.rays_per_pixel} must be positive")
        for name, least in (("num_particles_side", 2), ("mesh_factor", 1), ("plane_pixels", 1)):
            if (value := getattr(settings, name)) is not None and value < least:
                raise ValueError(f"{name}={value} must be at least {least}")
        pixels = settings.plane_pixels or 4 * settings.num_particles_side
        box = BoxSettings(
            settings.box_size,
            settings.num_particles_side,
            settings.mesh_factor * settings.num_particles_side,
            settings.num_time_steps,
            settings.start_redshift,
            settings.slabs_per_box,
            pixels,
        )
        cosmology = chosen_cosmology(settings)
        self._schedule = schedule = light_cone.plane_schedule(
            cosmology, source_redshift(settings), box.box_size, box.slabs_per_box
        )
        width = self.geometry.side_rad * schedule.chi[-1]
        if width > box.box_size:
            raise ValueError(
                f"side_deg={side_deg:g} is {width:.0f} Mpc/h wide at the farthest plane, more than "
                f"box_size={box.box_size:g}: maps would hold the same structures twice"
            )
        self._strength, self._weights = light_cone.lensing_weights(
            cosmology, schedule, source_redshift(settings)
        )
        self._settings, self._box, self._counts = settings, box, counts
        self._source = float(comoving_distance(cosmology, source_redshift(settings)))
        names = self._box_names()
        scheme = key_scheme(workdir)
        sky, own = keys.key(settings.seed, "sky", scheme), {}
        for number, split in enumerate(SPLITS):
            for n, name in enumerate(names[split]):
                own[name] = jax.random.fold_in(jax.random.fold_in(sky, number), n)
        power = matter_power(cosmology)
        limits = self._resolution(power)
        plan = BoxPlan(box, power, schedule, source_redshift(settings), settings.seed, scheme)
        folder = Path(settings.boxes_dir) if settings.boxes_dir else workdir / "boxes"
        self._boxes = get_boxes(folder, own, plan)
        self._names = names
        first = next(iter(self._boxes.values()))
        transfer = np.ones((len(schedule.chi), sharpening.TRANSFER_BINS))
        if settings.sharpen_to == "halofit":
            planes = (first.read(plane) for plane in range(len(schedule.chi)))
            transfer = sharpening.sharpening_transfer(planes, schedule, power, box.box_size)
        self._transfer = jnp.asarray(transfer, jnp.float32)
        if settings.write_lens_planes:
            for name, whole in self._boxes.items():
                self._write_planes(folder / name / "lens_planes", whole, cosmology)
        root = jax.random.fold_in(sky, len(SPLITS))
        place = jax.jit(jax.vmap(light_cone.placements, (None, 0, None, None)), static_argnums=(2, 3))
        total = sum(counts.values())
        self._placements = jax.tree.map(
            np.asarray, place(root, jnp.arange(total), len(schedule.chi), box.slabs_per_box)
        )
        seconds = {name: whole.record["seconds"] for name, whole in self._boxes.items()}
        self.cost = {
            what: round(float(np.median([of[part] for of in seconds.values()])), 5)
            for what, part in (("box", "total"), ("step", "step"), ("plane", "plane"))
        }
        self.origin = {
            "sky": "nbody",
            "ray_tracing": settings.ray_tracing,
            "box": plan.identity(),
            "matter_power": power.source,
            "rays_per_pixel": settings.rays_per_pixel,
            "sharpen_to": settings.sharpen_to,
            "sharpening": "transfer.json" if settings.sharpen_to != "none" else None,
            "placements": "placements.json",
            "resolution": limits,
            "independence": "maps of one box share its structures and are not independent samples; the "
            "splits use different boxes",
        }
        self.parameters = told_parameters(cosmology, settings)
        self.records = {
            "placements": {
                "about": "per map and plane: cut = axis * slabs_per_box + slab, shift of the map's middle as a "
                "share of the box, turn = orientation 0 to 7 (bit 0 transposes, 1 and 2 flip rows and columns)",
                "cut": self._placements.cut.tolist(),
                "shift": np.round(self._placements.shift.astype(float), 7).tolist(),
                "turn": self._placements.turn.tolist(),
            }
        }
        if settings.sharpen_to != "none":
            self.records["transfer"] = {
                "about": "amplitude gain per plane, at even steps of k from 0 to the planes' Nyquist frequency",
                "k_nyquist": np.pi * pixels / box.box_size,
                "calibrated_on": next(iter(self._boxes)),
                "gain": np.round(transfer, 5).tolist(),
            }
        self._held: tuple[Path | None, list[Array]] = (None, [])
        self.batch_size = max(1, min(_MAX_BATCH, _BATCH_BYTES // (4 * settings.map_pixels**2)))

    def box(self, index: int, split: str) -> str:
        """The box whose planes the map looks through: a split's maps are shared out evenly among its boxes."""
        first = sum(self._counts[other] for other in SPLITS[: SPLITS.index(split)])
        names = self._names[split]
        return names[(index - first) * len(names) // self._counts[split]]

    def maps(self, index: Int[Array, " maps"], split: str) -> Float[np.ndarray, "maps size size"]:
        """The maps of these indices; planes are read once for each box, where memory holds those of one."""
        numbers = np.asarray(index)
        boxes = np.array([self.box(int(i), split) for i in numbers])
        kappa = np.empty((len(numbers),) + (self.geometry.num_pixels,) * 2, np.float32)
        make = self._traced if self._settings.ray_tracing == "multi_plane" else self._born
        for name in dict.fromkeys(boxes):
            chosen = np.flatnonzero(boxes == name)
            kappa[chosen] = make(self._boxes[name], numbers[chosen])
        return kappa

    def _planes(self, box: Box) -> Iterator[tuple[int, np.float32, Array]]:
        """Number, distance and cuts of every plane, with windows corrected; held on the device if it may."""
        numbers = range(len(self._schedule.chi))
        if self._held[0] != box.path:
            self._held = None, []  # another box's planes go before these come
            size = 4 * len(numbers) * 3 * self._box.slabs_per_box * self._box.plane_pixels**2
            if size <= _HELD_SHARE * free_memory(jax.local_devices()[0]):
                self._held = box.path, [self._corrected(box, number) for number in numbers]
        planes = self._held[1] or (self._corrected(box, number) for number in numbers)
        for number, chi, cuts in zip(numbers, self._schedule.chi, planes):
            yield number, np.float32(chi), cuts

    def _corrected(self, box: Box, number: int) -> Array:
        return _correct(jnp.asarray(box.read(number)), self._transfer[number])

    def _placed(self, index: np.ndarray, number: int):
        return jax.tree.map(lambda leaf: jnp.asarray(leaf[index, number]), self._placements)

    def _born(self, box: Box, index: np.ndarray):
        size, plane_pixels = self.geometry.num_pixels, self._box.plane_pixels
        kappa = jnp.zeros((len(index), size, size))
        for number, chi, planes in self._planes(box):
            pixel = np.float32(chi * self.geometry.pixel_rad / self._box.box_size * plane_pixels)
            weight = np.float32(self._strength[number] * self._weights[number])
            kappa = _add_born(
                kappa, planes, self._placed(index, number), pixel, weight, self._settings.rays_per_pixel
            )
        return kappa

    def _traced(self, box: Box, index: np.ndarray):
        rays_side = self.geometry.num_pixels * self._settings.rays_per_pixel
        theta = ray_tracing.ray_grid(rays_side, np.float32(self.geometry.side_rad))
        # Five fields of sums for every ray: as many maps at once as the batch of finished maps may take.
        together = max(1, _BATCH_BYTES // (4 * 14 * rays_side**2))
        done, trace = [], SideBySide(lambda given: _trace(*given))
        for begin in range(0, len(index), together):
            part = index[begin : begin + together]
            rays = [ray_tracing.begin(theta) for _ in part]
            for number, chi, planes in self._planes(box):
                placed = self._placed(part, number)
                side = np.float32(self._box.box_size / chi)
                strength = np.float32(self._strength[number])
                each = [(r, jax.tree.map(lambda leaf, n=n: leaf[n], placed)) for n, r in enumerate(rays)]
                rays = trace([(r, planes, one, chi, side, strength) for r, one in each])
            done += [_kappa(r, np.float32(self._source), self._settings.rays_per_pixel) for r in rays]
        return jnp.stack(done)

    def _box_names(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for split in SPLITS:
            count, maps = getattr(self._settings, f"num_{split}_boxes"), self._counts[split]
            if maps == 0:
                names[split] = []
                continue
            if count < 1:
                raise ValueError(f"num_{split}_boxes={count} must be positive: num_{split}_maps={maps}")
            if count > maps:
                raise ValueError(f"num_{split}_boxes={count} is more than num_{split}_maps={maps}")
            names[split] = [f"{split}_{n:03d}" for n in range(count)]
        return names

    def _resolution(self, power) -> dict[str, Any]:
        """What the boxes resolve; a warning where maps are finer than that."""
        box, schedule = self._box, self._schedule
        peak = float(schedule.chi[np.argmax(self._strength * self._weights)])
        particles = resolution.nyquist_ell(box.num_particles_side, box.box_size, schedule.chi)
        mesh = resolution.nyquist_ell(box.num_mesh, box.box_size, schedule.chi)
        shot = resolution.shot_noise_power(
            schedule, self._strength, self._weights, box.box_size, box.num_particles_side
        )
        theory = convergence_power(np.array(_RESOLUTION_ELL), source_redshift(self._settings), power)
        limit = float(resolution.nyquist_ell(box.num_particles_side, box.box_size, peak))
        if limit < self.geometry.nyquist_ell:
            print(
                f"simulate: warning: the boxes resolve ell up to {limit:.0f} (particle Nyquist at the lensing "
                f"peak, {peak:.0f} Mpc/h); pixels reach {self.geometry.nyquist_ell:.0f}",
                file=sys.stderr,
            )
        return {
            "particle_nyquist_k": round(np.pi * box.num_particles_side / box.box_size, 4),
            "mesh_nyquist_k": round(np.pi * box.num_mesh / box.box_size, 4),
            "lensing_peak_chi": round(peak, 1),
            "particle_nyquist_ell_at_lensing_peak": round(limit),
            "particle_nyquist_ell": [round(float(x)) for x in particles],
            "mesh_nyquist_ell": [round(float(x)) for x in mesh],
            "shot_noise_power": shot,
            "ell": list(_RESOLUTION_ELL),
            "shot_noise_to_halofit": [float(f"{shot / t:.3g}") for t in theory],
        }

    def _write_planes(self, folder: Path, box: Box, cosmology) -> None:
        """The box's planes as LensTools' potential planes; a folder that is there is whole."""
        if folder.exists():
            return
        partial = folder.with_name(folder.name + ".partial")
        slabs = self._box.slabs_per_box
        header = {"H": cosmology.h, "OMEGA_M": cosmology.omega_m, "OMEGA_L": cosmology.omega_lambda,
                  "W0": cosmology.w0, "WA": cosmology.wa}  # fmt: skip
        for number, (chi, redshift) in enumerate(zip(self._schedule.chi, self._schedule.redshift)):
            side = self._box.box_size / chi
            potential = _potential(
                jnp.asarray(box.read(number)), np.float32(self._strength[number]), np.float32(side)
            )
            # LensTools counts snapshots from the farthest on; a plane is named by snapshot, slab and axis.
            snapshot = len(self._schedule.chi) - 1 - number
            names = tuple(
                f"snap{snapshot}_potentialPlane{cut % slabs}_normal{cut // slabs}.fits"
                for cut in range(3 * slabs)
            )
            same = np.ones(3 * slabs)
            planes = LensPlanes(
                names, np.asarray(potential), redshift * same, chi * same, np.degrees(side) * same, header
            )
            if partial.exists():
                for name in names:
                    (partial / name).unlink(missing_ok=True)
            write_lens_planes(partial, planes)
        partial.rename(folder)


_correct = jit_on_one_thread(light_cone.correct_windows)


@functools.partial(jax.jit, static_argnums=5, donate_argnums=0)
def _add_born(kappa, planes, placed, pixel, weight, rays_per_pixel):
    def one(of_map):
        so_far, cut, shift, turn = of_map
        return light_cone.add_born(so_far, orient(planes[cut], turn), shift, pixel, weight, rays_per_pixel)

    return jax.lax.map(one, (kappa, placed.cut, placed.shift, placed.turn))


@jit_on_one_thread
def _trace(rays, planes, placed, chi, side, strength):
    size = planes.shape[-1]
    kappa = strength * orient(planes[placed.cut], placed.turn)
    field = ray_tracing.field_of_convergence(kappa, side)
    return ray_tracing.pass_plane(rays, field, chi, side / size, placed.shift * size)


@functools.partial(jax.jit, static_argnums=2)
def _kappa(rays, source, rays_per_pixel):
    kappa = ray_tracing.lensed_maps(rays, source).kappa
    return ray_tracing.pixel_means(kappa, rays_per_pixel)


@jit_on_one_thread
def _potential(contrast, strength, side):
    return jax.vmap(lambda plane: ray_tracing.potential_of_convergence(strength * plane, side))(
        light_cone.divide_clouds(contrast)
    )
