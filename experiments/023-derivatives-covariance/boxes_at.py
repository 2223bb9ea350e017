"""Patches of sky at any omega_m and sigma8: of boxes of particles, kept in files, or of an emulator.

A box that is in the folder is not made again; several processes may share a folder, each with boxes of its own.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import jax.numpy as jnp
import numpy as np
from powers import power_at, power_between, write_beside_others
from stand_in import opened

from cosmogan_jax import keys
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.files.json_files import read_json, write_json
from cosmogan_jax.files.numpy_files import read_npy
from cosmogan_jax.files.whole_files import write_whole
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.sky.box_patches import box_patches
from cosmogan_jax.sky.matter_power import MatterPower
from cosmogan_jax.sky.nbody import BoxSettings
from cosmogan_jax.summaries.observer import GalaxyNoise, add_shape_noise, margin_of, smooth_inside

Theta = dict[str, float]


class Simulations(Protocol):
    """What gives patches of sky, as they are seen: (seeds, patches, size, size), those of a seed of one box."""

    def seen(self, theta: Theta, seeds: Sequence[int], num_patches: int) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Look:
    """Galaxies on a square arcminute (0: no noise), scatter of an ellipticity's component, smoothing."""

    galaxies: float
    sigma_e: float
    smoothing_arcmin: float

    @property
    def noise(self) -> GalaxyNoise | None:
        return GalaxyNoise(self.galaxies, self.sigma_e) if self.galaxies else None


@dataclasses.dataclass(frozen=True)
class Boxes:
    """Boxes of particles in a folder; each with num_patches patches, as wide as smoothing them needs.

    omega_m_range: of boxes of so many cosmologies that their power lies between that of a few.
    """

    folder: Path
    settings: BoxSettings
    geometry: MapGeometry
    source_redshift: float
    look: Look
    num_patches: int
    rays_per_pixel: int = 2
    omega_m_range: tuple[float, float] | None = None

    def __post_init__(self):
        identity = {
            **dataclasses.asdict(self.settings), **vars(self.geometry), "source_redshift": self.source_redshift,
            "margin": self._margin, "num_patches": self.num_patches, "rays_per_pixel": self.rays_per_pixel,
        }  # fmt: skip
        path = self.folder / "boxes.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_beside_others(path, write_json, identity)
        for name, value in read_json(path).items():
            if value != identity.get(name):
                raise ValueError(
                    f"{path}: boxes there have {name}={value}, and {name}={identity.get(name)} is asked"
                )

    def make(self, theta: Theta, seed: int) -> np.ndarray:
        """Convergence in the patches of one box, with their margins; from its file, or made."""
        folder = self.folder / "_".join(f"{name}={value:.6f}" for name, value in theta.items())
        path = folder / f"{seed:06d}.npy"
        if path.exists():
            return read_npy(path)
        folder.mkdir(exist_ok=True)
        key = keys.key(seed, "sky")
        wide = self.geometry.num_pixels + 2 * self._margin
        geometry = MapGeometry(wide, self.geometry.pixel_arcmin * wide / 60)
        kappa = box_patches(
            key, self.settings, self._power(theta, folder), geometry, self.source_redshift, self.num_patches,
            self.rays_per_pixel,
        )  # fmt: skip
        with write_whole(path) as file:
            np.save(file, kappa)
        return kappa

    def _power(self, theta: Theta, folder: Path) -> MatterPower:
        if self.omega_m_range is None:
            return power_at(theta, folder)
        return power_between(theta, self.folder, self.omega_m_range)

    def seen(self, theta: Theta, seeds: Sequence[int], num_patches: int) -> np.ndarray:
        """The first patches of each box, with noise (the same at every cosmology) and smoothed."""
        if num_patches > self.num_patches:
            raise ValueError(f"{num_patches} patches of boxes of {self.num_patches}")
        return np.stack([self._seen_of(theta, seed, num_patches) for seed in seeds])

    def _seen_of(self, theta: Theta, seed: int, num_patches: int) -> np.ndarray:
        kappa = jnp.asarray(self.make(theta, seed)[:num_patches])
        if self.look.galaxies:
            wide = MapGeometry(kappa.shape[-1], self.geometry.pixel_arcmin * kappa.shape[-1] / 60)
            kappa = add_shape_noise(
                keys.key(seed, "shape noise"), kappa, jnp.arange(num_patches), wide,
                sigma_e_per_component=self.look.sigma_e, galaxies_per_arcmin2=self.look.galaxies,
            )  # fmt: skip
        return np.asarray(smooth_inside(kappa, self.geometry, self.look.smoothing_arcmin, self._margin))

    @property
    def _margin(self) -> int:
        return margin_of(self.geometry, self.look.smoothing_arcmin)


@dataclasses.dataclass(frozen=True)
class EmulatorAsBoxes:
    """Independent maps of an emulator where boxes would be: of its own maps its likelihood must be right."""

    emulator: Emulator
    look: Look

    def seen(self, theta: Theta, seeds: Sequence[int], num_patches: int) -> np.ndarray:
        """Maps of the first seed, in turn; of the emulator that is compared with these other seeds."""
        count = len(seeds) * num_patches
        kappa = self.emulator.sample(
            seeds[0], count, noise=self.look.noise, smoothing_arcmin=self.look.smoothing_arcmin, **theta
        )
        return np.asarray(kappa).reshape(len(seeds), num_patches, *kappa.shape[1:])


# Flags that make a box, and how a card records them; what is not there has the default of stage simulate.
_OF_BOXES = {
    "particles": "num_particles_side",
    "mesh_factor": "mesh_factor",
    "time_steps": "num_time_steps",
    "box_size": "box_size",
    "source_redshift": "source_redshift",
}


def add_flags(parser: argparse.ArgumentParser, noise: float, smoothing: float) -> None:
    """Flags of the boxes, and of how maps are seen."""
    for name in _OF_BOXES:
        kind = float if name in ("box_size", "source_redshift") else int
        parser.add_argument(
            f"--{name}", type=kind, help="of the boxes; unset: as the emulator's training boxes"
        )
    for name, default, words in (
        ("galaxies", noise, "on a square arcminute, whose shape noise is added; 0: none"),
        ("sigma_e", 0.26, "scatter of one component of their ellipticities"),
        ("smoothing_arcmin", smoothing, "standard deviation of a Gaussian"),
    ):
        parser.add_argument(f"--{name}", type=float, default=default, help=f"{words} ({default})")


def look_of(args: argparse.Namespace) -> Look:
    return Look(args.galaxies, args.sigma_e, args.smoothing_arcmin)


def source_redshift_of(args: argparse.Namespace, emulator: Emulator) -> float:
    """As asked for, or as the card says; a stand-in's is 1."""
    return args.source_redshift or emulator.card.get("source_redshift") or 1.0


def boxes_of(
    args: argparse.Namespace,
    folder: Path,
    emulator: Emulator,
    num_patches: int,
    omega_m_range: tuple[float, float] | None = None,
) -> Boxes:
    """The boxes that the flags ask for, else such as the emulator was trained on.

    Raises:
      ValueError: a setting that neither the flags nor the card have.
    """
    trained = emulator.card.get("training", {}).get("flags", {})
    values = {name: getattr(args, name) or trained.get(recorded) for name, recorded in _OF_BOXES.items()}
    for name in ("particles", "mesh_factor", "time_steps", "box_size"):
        if values[name] is None:
            raise ValueError(f"{name} of the training boxes is not in the emulator's card; give --{name}")
    settings = BoxSettings(
        float(values["box_size"]), values["particles"], values["mesh_factor"] * values["particles"],
        values["time_steps"], trained.get("start_redshift", 9.0), trained.get("slabs_per_box", 2),
        trained.get("plane_pixels") or 4 * values["particles"],
    )  # fmt: skip
    redshift, rays = source_redshift_of(args, emulator), trained.get("rays_per_pixel", 2)
    return Boxes(folder, settings, emulator.geometry, redshift, look_of(args), num_patches, rays, omega_m_range)


def simulations_of(
    args: argparse.Namespace,
    given: str,
    emulator: Emulator,
    omega_m_range: tuple[float, float] | None = None,
) -> Simulations:
    """Boxes below --work, or, where it is not "boxes" that are given, an emulator in their place."""
    if given == "boxes":
        return boxes_of(args, args.work / "boxes", emulator, args.patches_per_box, omega_m_range)
    return EmulatorAsBoxes(opened(given, args.num_pixels), look_of(args))
