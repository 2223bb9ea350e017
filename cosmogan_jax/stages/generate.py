"""Stage generate: any number of maps from a checkpoint and a seed, to the map store."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cosmogan_jax import keys
from cosmogan_jax.compare.cosmologies import shares_units
from cosmogan_jax.compare.parents import numbered
from cosmogan_jax.emulators.interface import num_bins
from cosmogan_jax.emulators.kinds import kind
from cosmogan_jax.emulators.parameters import theta_of
from cosmogan_jax.emulators.weights import read_card
from cosmogan_jax.files.csv_files import read_lines
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store_writing import write_map_store
from cosmogan_jax.pretrained import Emulator, GalaxyNoise, find
from cosmogan_jax.runs.directory import stage_directory
from cosmogan_jax.settings import Generate, Train
from cosmogan_jax.sky.parameter_design import named_values, points_of
from cosmogan_jax.stages.emulators import Source, pretrained, trained


def run(settings: Generate, workdir: Path, out: Path) -> dict[str, Any]:
    """Write maps to the store; map n depends on the seed and n alone, whatever the batch or their number."""
    check(settings)
    if settings.pretrained:
        source = pretrained(settings.pretrained)
    else:
        source = trained(workdir, settings.checkpoint, settings.weights)
    emulator = source.emulator
    height, width = _size(settings, emulator)
    cosmologies, matched = _cosmologies(settings, emulator, workdir)
    draw = _drawing(settings, emulator, (height, width), cosmologies, matched)
    batch = _batch(settings, emulator, height * width)
    seconds: list[float] = []

    def batches():
        for start in progress(range(0, settings.num_generated, batch), desc="generate", unit="batch"):
            began = time.monotonic()
            index = np.arange(start, start + batch, dtype=np.int32)  # always whole: one compilation
            kappa = np.asarray(draw(index))
            seconds.append(time.monotonic() - began)
            yield kappa[: settings.num_generated - start]

    own = emulator.geometry
    geometry = MapGeometry(height, own.side_deg * height / own.num_pixels)
    manifest = _manifest(settings, source, is_own_size=(height, width) == (own.num_pixels, own.num_pixels))
    if emulator.parameters:
        rows = cosmologies[np.arange(settings.num_generated) % len(cosmologies)]
        manifest["parameters"] = dict(zip(emulator.parameters, rows.T.tolist(), strict=True))
    if matched:
        manifest["parents"] = [number // len(cosmologies) for number in range(settings.num_generated)]
    write_map_store(
        out / "maps",
        batches(),
        settings.num_generated,
        geometry,
        manifest,
        num_bins=num_bins(emulator.model),
        num_columns=width,
    )
    return {
        "step": source.origin["generator_step"],
        "num_maps": settings.num_generated,
        "side_deg": geometry.side_deg,
        "unit": "dimensionless",
        "weights": emulator.card.get("weights", {}).get("sha256"),
        "device": jax.devices()[0].device_kind,
        "seconds_of_1024_maps": _seconds_of_1024(seconds, batch),
    }


def _drawing(
    settings: Generate,
    emulator: Emulator,
    size: tuple[int, int],
    cosmologies: Float[np.ndarray, "cosmologies parameters"],
    matched: bool,
) -> Callable[[Int[np.ndarray, " maps"]], Float[Array, "maps height width bins"]]:
    """Return a function that draws the maps of these numbers; matched: each seed at all cosmologies in turn."""
    key = emulator.key(settings.generate_seed)
    draw = emulator.draw_side_by_side if emulator.model.any_size else emulator.draw
    noise, smoothing = _noise(settings), settings.generate_smoothing_arcmin

    def draw_maps(index):
        theta = jnp.asarray(cosmologies, jnp.float32)[index % len(cosmologies)]
        number = index // len(cosmologies) if matched else index
        return draw(key, number, theta, size=size, noise=noise, smoothing_arcmin=smoothing)

    # With the weights as constants, of which the compiler prepares what it can once for all batches.
    return draw_maps if emulator.model.any_size else jax.jit(draw_maps)


def _cosmologies(
    settings: Generate, emulator: Emulator, workdir: Path
) -> tuple[Float[np.ndarray, "cosmologies parameters"], bool]:
    """Return the cosmologies at which maps are drawn in turn, and whether a seed is drawn at all of them.

    One of no parameters where there are none. Unless they are given, they are those of the run's validation
    maps, so that these can judge the generated ones; and where these are of the same seeds at every cosmology,
    so are the generated ones: what changes from one to another is then seen without the noise of the maps.

    Raises:
      ValueError: a parameter that is missing or unknown, or a cosmology outside the hull of the training maps'.
    """
    names = emulator.parameters
    rows = _asked_cosmologies(settings, names)
    if not rows and not names:
        return np.zeros((1, 0)), False
    if not rows and settings.pretrained:
        raise ValueError(
            f"pretrained={settings.pretrained} makes maps at {', '.join(names)}: give "
            f"--generate_parameters={','.join(f'{name}=<value>' for name in names)} or --generate_design"
        )
    matched = False
    if not rows:
        table = open_crop_table(stage_directory(workdir, "prepare"))
        crops = table.crops["validation"]
        points, numbers = np.unique(table.theta(crops, names), axis=0, return_inverse=True)
        rows, boxes = dict(zip(names, points.T)), table.boxes(crops)
        matched = boxes is not None and shares_units(numbered(boxes)[0], numbers.reshape(-1))
    number = len(next(iter(rows.values())))
    theta = emulator.theta(number, extrapolate=settings.extrapolate, **rows)
    return np.asarray(theta, np.float64), matched


def _asked_cosmologies(settings: Generate, names: tuple[str, ...]) -> dict[str, Any]:
    """Return values by name as flags give them, of one cosmology or of several; else nothing."""
    if settings.generate_design and settings.generate_parameters:
        raise ValueError("generate_design and generate_parameters cannot both be given")
    if settings.generate_design:
        lines = read_lines(Path(settings.generate_design), "generate_design")
        columns, points = points_of(lines, f"generate_design={settings.generate_design}", names)
        return dict(zip(columns, points.T))
    if settings.generate_parameters:
        return {name: np.array([value]) for name, value in named_values(settings.generate_parameters).items()}
    return {}


def _manifest(settings: Generate, source: Source, *, is_own_size: bool) -> dict[str, Any]:
    origin, observed = dict(source.origin), _observed(settings)
    if observed or not is_own_size:
        origin.pop("validated", None)  # of maps of another size, or seen otherwise
    return {
        "source_redshift": source.source_redshift,
        **source.bins,
        "seed": settings.generate_seed,
        "keys": source.emulator.key_scheme,
        "origin": origin,
        "splits": ["generated"] * settings.num_generated,
        "parents": list(range(settings.num_generated)),
        **({"observed": observed} if observed else {}),
    }


def _size(settings: Generate, emulator: Emulator) -> tuple[int, int]:
    """Return height and width in pixels.

    Raises:
      ValueError: a size that the emulator does not make, or that is not tested and not allowed.
    """
    if not settings.generate_pixels:
        return emulator.geometry.num_pixels, emulator.geometry.num_pixels
    height, width = settings.generate_pixels[0], settings.generate_pixels[-1]
    try:
        return emulator.check_size((height, width), allow_untested_size=settings.allow_untested_size)
    except ValueError as error:
        raise _wrong_size(settings, error) from error


def _wrong_size(settings: Generate, error: ValueError) -> ValueError:
    return ValueError(f"generate_pixels={','.join(map(str, settings.generate_pixels))}: {error}")


def _noise(settings: Generate) -> GalaxyNoise | None:
    given = settings.generate_noise
    return GalaxyNoise(given[:-1], given[-1]) if given else None


def _observed(settings: Generate) -> dict[str, Any]:
    """Return how the maps are seen, for the manifest; nothing where they are as they are made."""
    noise = _noise(settings)
    observed: dict[str, Any] = {} if noise is None else dataclasses.asdict(noise)
    if settings.generate_smoothing_arcmin:
        observed["smoothing_arcmin"] = settings.generate_smoothing_arcmin
    return observed


def _batch(settings: Generate, emulator: Emulator, pixels: int) -> int:
    """Return how many maps to make at once: memory holds no more of larger ones than of the emulator's own."""
    return max(1, settings.generate_batch * emulator.geometry.num_pixels**2 // pixels)


def _seconds_of_1024(seconds: list[float], batch: int) -> float | None:
    """Time maps made and brought to the host, not stored; the first batch, of the compilation, left out."""
    warm = seconds[1:]
    return round(1024 * float(np.mean(warm)) / batch, 4) if warm else None


def check(settings: Generate) -> None:
    """Raise ValueError, before an earlier stage works for hours, where there is no such emulator or map."""
    for name in ("num_generated", "generate_batch"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)} must be positive")
    _noise(settings)
    if settings.pretrained:
        find(settings.pretrained)
        for name, only in (("checkpoint", "selected"), ("weights", "last")):
            if getattr(settings, name) != only:
                raise ValueError(
                    f"{name}={getattr(settings, name)} is of a training; pretrained={settings.pretrained} "
                    "has one generator only"
                )


def check_with_training(settings: Generate, train: Train) -> None:
    """Raise ValueError, before a training works for hours, for sizes or parameters that it lacks."""
    if rows := _asked_cosmologies(settings, train.condition_on):
        theta_of(f"emulator={train.emulator}", train.condition_on, rows, len(next(iter(rows.values()))))
    if settings.generate_pixels:
        model = kind(train.emulator).model(train)
        height, width = settings.generate_pixels[0], settings.generate_pixels[-1]
        try:
            jax.eval_shape(lambda: model.latent(keys.key(0, "latents"), height, width))
        except ValueError as error:
            raise _wrong_size(settings, error) from error


def has_grown(settings: Generate, summary: dict[str, Any], workdir: Path) -> bool:
    """Say whether a folder of weights holds others than those the maps were made with."""
    now = read_card(find(settings.pretrained)).sha256 if settings.pretrained else None
    return now != summary.get("weights")
