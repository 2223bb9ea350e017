"""Stage pack: the generator that was evaluated, as a folder for --pretrained: weights and model card."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cosmogan_jax.compare.sky_limits import SkyLimits
from cosmogan_jax.compare.statistics import STATISTICS
from cosmogan_jax.emulators.card import as_markdown
from cosmogan_jax.emulators.packed import load
from cosmogan_jax.emulators.weights import read_weights, write_card, write_weights
from cosmogan_jax.files.json_files import as_json, check_object, read_json
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.maps.crop_table import CropTable, open_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.pretrained import Emulator
from cosmogan_jax.runs.directory import finished_record, stage_directory
from cosmogan_jax.runs.records import StageRecord
from cosmogan_jax.settings import Pack
from cosmogan_jax.stages.emulators import trained
from cosmogan_jax.summaries import power_spectrum

_COMPARED_MAPS = 64
_LISTED_FILES = 32
_PATHS = (
    "maps", "development_maps", "validation_maps", "auxiliary_maps", "lens_planes", "map_parameters",
)  # fmt: skip


def check(settings: Pack) -> None:
    """Raise ValueError for a card that would not say what its maps are."""
    if not settings.pack_data:
        raise ValueError(
            f"pack={settings.pack} needs --pack_data=<what the maps are, their source and its licence>"
        )


def run(settings: Pack, workdir: Path, out: Path) -> dict[str, Any]:
    """Write <out>/<name>; every number of the card comes from the run directory."""
    if settings.pack is None:
        raise ValueError("pack names none")
    record = finished_record(workdir, "generate")
    if finished_record(workdir, "evaluate").inputs.get("generate") != record.result:
        raise ValueError(
            f"stage evaluate in {workdir} saw other maps than those of stage generate; run it again"
        )
    origin = open_map_store(workdir / "generate" / "maps").manifest.origin
    open_emulator = _again if "pretrained" in origin else _of_training
    emulator, provenance = open_emulator(settings, workdir, record, origin)
    folder = out / settings.pack
    exact_in = emulator.model.full_precision
    weights = write_weights(folder, emulator.variables, settings.pack_dtype, exact_in)
    card = {
        "sky": _sky(workdir / "evaluate" / "sky.json"),
        **provenance,
        "name": settings.pack,
        "weights": weights | {"generator_sha256": origin["generator_sha256"]},
        "architecture": emulator.model.describe(),
        "parameters": list(emulator.parameters),
        **_cosmologies(settings, emulator),
        "keys": emulator.key_scheme,
        "fidelity": _fidelity(read_json(workdir / "evaluate" / "statistics.json")),
        **_of_bins(workdir / "evaluate"),
    }
    stored = dataclasses.replace(
        emulator, variables=read_weights(folder, weights["sha256"], emulator.variables)
    )
    card["weights"]["as_stored"] = _change(stored, emulator, settings.pack_dtype)
    write_card(folder, card, as_markdown(card, emulator.model))
    return {"name": settings.pack, "sha256": weights["sha256"]}


def _cosmologies(settings: Pack, emulator: Emulator) -> dict[str, Any]:
    """Say what is known of the cosmologies that maps are conditioned on; nothing where they are of one.

    What the model knows to err by stands there of either.
    """
    if not emulator.parameters:
        left_out = emulator.model.left_out(emulator.variables)
        return {"left_out": left_out} if left_out else {}
    ell = settings.pack_derivatives_to_ell or emulator.card.get("derivatives_to_ell")
    return {
        "design": [list(point) for point in emulator.design],
        "left_out": emulator.model.left_out(emulator.variables),
        "derivatives_to_ell": ell,
    }


def _of_training(
    settings: Pack, workdir: Path, record: StageRecord, origin: dict[str, Any]
) -> tuple[Emulator, dict[str, Any]]:
    """Open a generator of this run; return what the card tells of its maps and its training."""
    table = open_crop_table(stage_directory(workdir, "prepare"))
    fields = {"generator_weights": str, "generator_sha256": str, "generator_step": int}
    check_object(origin, fields, f"{workdir / 'generate/maps/manifest.json'}, origin")
    source = trained(workdir, str(record.summary["step"]), origin["generator_weights"])
    if source.origin["generator_sha256"] != origin["generator_sha256"]:
        raise ValueError(
            f"the generator of step {record.summary['step']} is not the one evaluated in {workdir}"
        )
    return source.emulator, {
        "normalisation": table.manifest.normalisation,
        "geometry": dataclasses.asdict(table.geometry),
        "source_redshift": table.manifest.source_redshift,
        **source.bins,
        "cosmology": _cosmology(table),
        "data": _data(settings, table),
        "training": _training(workdir, origin),
    }


def _again(
    settings: Pack, workdir: Path, record: StageRecord, origin: dict[str, Any]
) -> tuple[Emulator, dict[str, Any]]:
    """Open an emulator packed before; return what its card tells of it. The verdict is that of this run.

    So is what limits its training maps as a sky, where the card did not say it.
    """
    name = record.flags["pretrained"]
    emulator = load(name)
    if emulator.card["weights"]["sha256"] != origin["weights_sha256"]:
        raise ValueError(f"pretrained={name!r} is not the emulator evaluated in {workdir}: other weights")
    kept = ("normalisation", "geometry", "source_redshift", "cosmology", "training")
    provenance = {key: emulator.card[key] for key in kept}
    provenance |= {key: emulator.card[key] for key in ("bin_redshifts", "bin_names") if key in emulator.card}
    if emulator.card.get("sky"):
        provenance["sky"] = emulator.card["sky"]
    return emulator, provenance | {"data": {**emulator.card["data"], "description": settings.pack_data}}


def _cosmology(table: CropTable) -> dict[str, float] | None:
    """Return what the maps' source says of it, or the parameters that all maps share; None for neither."""
    recorded = table.manifest.origin.get("cosmology")
    shared = {
        name: values[0]
        for name, values in table.store.parameters.items()
        if name != "source_redshift" and values[0] is not None and len(set(values)) == 1
    }
    return recorded or shared or None


def _data(settings: Pack, table: CropTable) -> dict[str, Any]:
    """Say where the maps come from, without the paths of the machine they were on."""
    origin = dict(table.manifest.origin)
    if "map_parameters" in origin:
        origin["map_parameters"] = {
            **origin["map_parameters"],
            "path": Path(origin["map_parameters"]["path"]).name,
        }
    files = [{**f, "path": Path(f["path"]).name} for f in origin.pop("files", [])]
    if len(files) > _LISTED_FILES:
        joined = "".join(file["sha256"] for file in files)
        origin["files"] = {
            "number": len(files),
            "sha256_of_sha256": hashlib.sha256(joined.encode()).hexdigest(),
        }
    elif files:
        origin["files"] = files
    return {
        "description": settings.pack_data,
        "crops": {split: len(crops) for split, crops in table.crops.items()},
        "map_pixels": min(table.store.image_shape),
        "share_of_crops_outside_network_range": table.manifest.share_of_crops_outside_network_range,
        "origin": origin,
    }


def _training(workdir: Path, origin: dict[str, Any]) -> dict[str, Any]:
    record = finished_record(workdir, "train")
    flags = {name: value for name, value in record.flags.items() if name not in _PATHS and value is not None}
    return {
        "step": origin["generator_step"],
        "weights": origin["generator_weights"],
        "selected": finished_record(workdir, "generate").flags["checkpoint"] == "selected",
        "steps": record.summary["steps"],
        "steps_per_epoch": record.summary["steps_per_epoch"],
        "finished": record.finished,
        "seconds": record.seconds,
        "flags": flags,
        "versions": record.versions,
        "commit": record.commit,
    }


def _fidelity(tables: dict[str, Any]) -> dict[str, Any]:
    """Return what evaluate measured, in the few numbers that a card has room for."""
    copied = (
        "num_pixels",
        "num_generated",
        "num_validation",
        "validation_parent_maps",
        "validation_boxes",
        "validated",
    )
    power = tables["statistics"].get("power_bands")
    if power is None:
        raise ValueError(
            "stage evaluate judged masked maps, of which no power spectrum is known; a card has to say it: "
            "evaluate on whole maps"
        )
    real = power.get("auxiliary")
    return {
        **{key: tables[key] for key in copied},
        "auxiliary": None if real is None else tables["auxiliary"],
        "auxiliary_power_ratio": None if real is None else _ratio(real["mean"], power["validation"]["mean"]),
        "l_edges": tables["l_edges"],
        "power_ratio": tables["power_ratio"],
        "power_sigma_ratio": _ratio(power["generated"]["sigma"], power["validation"]["sigma"]),
        "largest_difference_of_means_in_sigma": {
            key: _largest_difference(sets)
            for key, sets in tables["statistics"].items()
            if key in STATISTICS and STATISTICS[key].mean_unit == "scatter"
        },
    }


def _of_bins(evaluated: Path) -> dict[str, Any]:
    """Return the fidelity of every source bin, where maps are of several: "fidelity" is the first one's."""
    path = evaluated / "source_bins.json"
    if not path.is_file():
        return {}
    folders = [each["folder"] for each in read_json(path)["bins"]]
    tables = [read_json(evaluated / folder / "statistics.json") for folder in folders]
    return {"fidelity_of_bins": [_fidelity(table) for table in tables]}


def _sky(path: Path) -> dict[str, Any] | None:
    """Return up to where the training maps are a sky; None where evaluate did not measure that yet."""
    return SkyLimits.from_json(read_json(path), str(path)).to_json() if path.is_file() else None


def _ratio(numbers: list[float | None], others: list[float | None]) -> list[float | None]:
    with np.errstate(divide="ignore", invalid="ignore"):  # bands without modes
        ratio = np.array(numbers, float) / np.array(others, float)
    return as_json(ratio)


def _largest_difference(sets: dict[str, Any]) -> float:
    """Return the largest over the modes of a statistic, in units of the scatter of one validation map."""
    mean = [np.array(sets[name]["mean"], float) for name in ("generated", "validation")]
    sigma = np.array(sets["validation"]["sigma"], float)
    varies = sigma > 0
    return float(np.max(np.abs(mean[0] - mean[1])[varies] / sigma[varies], initial=0))


def _compared_theta(emulator: Emulator) -> Float[Array, "maps parameters"] | None:
    """Return cosmologies of the maps that are compared, the training maps' in turn; None without parameters."""
    if not emulator.parameters:
        return None
    return jnp.array(emulator.design, jnp.float32)[np.arange(_COMPARED_MAPS) % len(emulator.design)]


def _change(stored: Emulator, exact: Emulator, dtype: str) -> dict[str, Any]:
    """Compare maps of the packed weights, read back, with those of the checkpoint; the worst of the bins."""
    edges = log_l_edges(exact.geometry, 12)
    power = jax.jit(
        lambda kappa: power_spectrum(kappa, edges, exact.geometry.side_deg, mode_weights="full_plane")
    )
    theta = _compared_theta(exact)
    sets = [np.asarray(emulator.sample(0, _COMPARED_MAPS, theta=theta)) for emulator in (stored, exact)]
    changes, factors = [], []
    for number, maps in enumerate(zip(*map(_by_bin, sets))):
        for kappa, words in zip(reversed(maps), ("", f" in {dtype}")):
            if np.ptp(kappa) == 0:
                of_bin = f" of source bin {number}" if sets[0].ndim > 3 else ""
                raise ValueError(
                    f"the generator{words} makes kappa of {kappa.flat[0]:g} at every pixel of every map{of_bin}"
                    ": it is dead, and is not packed"
                )
        stored_power, expected = (np.asarray(power(kappa), np.float64).mean(0) for kappa in maps)
        ratio = stored_power[expected > 0] / expected[expected > 0]
        changes.append(float((maps[0] - maps[1]).std() / maps[1].std()))
        factors.append(float(np.exp(np.abs(np.log(ratio)).max(initial=0))))
    return {
        "maps": _COMPARED_MAPS,
        "rms_change_in_sigma": max(changes),
        "largest_power_factor": max(factors),
    }


def _by_bin(kappa: Float[np.ndarray, "maps size size *bins"]) -> Float[np.ndarray, "bins maps size size"]:
    return np.moveaxis(kappa, -1, 0) if kappa.ndim > 3 else kappa[None]
