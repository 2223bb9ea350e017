"""Stage generate: any number of maps from a checkpoint and a seed, to the map store."""

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.pretrained import find
from cosmogan_jax.settings import Generate
from cosmogan_jax.stages.emulators import pretrained, trained
from cosmogan_jax.stages.progress import progress
from cosmogan_jax.storage.map_store import write_map_store
from cosmogan_jax.storage.weights import read_card


def run(settings: Generate, workdir: Path, out: Path) -> dict[str, Any]:
    """Map n depends on the seed and n alone, whatever the batch or the number of maps."""
    check(settings)
    if settings.pretrained:
        source = pretrained(settings.pretrained)
    else:
        source = trained(workdir, settings.checkpoint, settings.weights)
    emulator = source.emulator
    if emulator.parameters:
        raise ValueError(
            f"{emulator.name} is conditioned on {', '.join(emulator.parameters)}: its maps are drawn by the "
            "library, Emulator.draw with theta, and not yet by this stage"
        )
    key = emulator.key(settings.generate_seed)

    @jax.jit  # with the weights as constants, of which the compiler prepares what it can once for all batches
    def draw(index):
        return emulator.draw(key, index)

    seconds: list[float] = []

    def batches():
        for start in progress(
            range(0, settings.num_generated, settings.generate_batch), desc="generate", unit="batch"
        ):
            began = time.monotonic()
            index = jnp.arange(start, start + settings.generate_batch)  # always whole: one compilation
            kappa = np.asarray(draw(index))
            seconds.append(time.monotonic() - began)
            yield kappa[: settings.num_generated - start]

    manifest = {
        "source_redshift": source.source_redshift,
        "seed": settings.generate_seed,
        "keys": emulator.key_scheme,
        "origin": source.origin,
        "splits": ["generated"] * settings.num_generated,
        "parents": list(range(settings.num_generated)),
    }
    write_map_store(out / "maps", batches(), settings.num_generated, emulator.geometry, manifest)
    return {
        "step": source.origin["generator_step"],
        "num_maps": settings.num_generated,
        "side_deg": emulator.geometry.side_deg,
        "unit": "dimensionless",
        "weights": emulator.card.get("weights", {}).get("sha256"),
        "device": jax.devices()[0].device_kind,
        "seconds_of_1024_maps": _seconds_of_1024(seconds, settings.generate_batch),
    }


def _seconds_of_1024(seconds: list[float], batch: int) -> float | None:
    """Maps made and brought to the host, not stored; without the first batch, which holds the compilation."""
    warm = seconds[1:]
    return round(1024 * float(np.mean(warm)) / batch, 4) if warm else None


def check(settings: Generate) -> None:
    """ValueError, before an earlier stage works for hours, where there is no such emulator or map."""
    for name in ("num_generated", "generate_batch"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)} must be positive")
    if settings.pretrained:
        find(settings.pretrained)
        for name, only in (("checkpoint", "selected"), ("weights", "last")):
            if getattr(settings, name) != only:
                raise ValueError(
                    f"{name}={getattr(settings, name)} is of a training; pretrained={settings.pretrained} "
                    "has one generator only"
                )


def has_grown(settings: Generate, summary: dict[str, Any], workdir: Path) -> bool:
    """Whether a folder of weights holds others than those the maps were made with."""
    now = read_card(find(settings.pretrained))["weights"]["sha256"] if settings.pretrained else None
    return now != summary.get("weights")
