"""Stage export: maps of a map store as FITS (LensTools, astropy), npy or HDF5, with what is known of them."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.files.fits_files import COSMOLOGY_CARDS, PARAMETER_CARD, Cards
from cosmogan_jax.files.json_files import check_object, read_object, write_json
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.maps.map_files import write_fits_bins, write_fits_map, write_hdf5_maps, write_npy_maps
from cosmogan_jax.maps.source_bins import only_bin
from cosmogan_jax.maps.store import MapStore, open_map_store
from cosmogan_jax.runs.directory import stage_directory, stage_record
from cosmogan_jax.settings import Export


def run(settings: Export, workdir: Path, out: Path) -> dict[str, Any]:
    """Write fits/kappa_NNNNNN.fits, kappa.npy, kappa.h5, and the store's manifest beside them."""
    validated = None
    if settings.export_from:
        store = open_map_store(Path(settings.export_from))
    else:
        store = open_map_store(stage_directory(workdir, "generate") / "maps")
        validated = _validated(workdir) or store.manifest.origin.get("validated")
    cards = _cards(store, validated)
    write_json(out / "manifest.json", {**store.manifest.content, "validated": validated})
    for name in settings.export:
        if name not in _WRITERS:
            raise ValueError(f"export={name} is none of {', '.join(_WRITERS)}")
        _WRITERS[name](store, out, cards)
    return {"num_maps": store.num_maps, "side_deg": store.manifest.side_deg, "from": str(store.path)}


def _write_fits(store: MapStore, out: Path, cards: Cards) -> None:
    (out / "fits").mkdir(exist_ok=True)
    maps = itertools.chain.from_iterable(store.batches())
    for number, kappa in enumerate(progress(maps, total=store.num_maps, desc="export fits", unit="map")):
        path, cards_of_map = out / "fits" / f"kappa_{number:06d}.fits", {**cards, **_map_cards(store, number)}
        if store.num_bins == 1:
            write_fits_map(path, only_bin(kappa), store.geometry, cards_of_map)
        else:
            write_fits_bins(path, kappa, store.geometry, cards_of_map, _cards_of_bins(store))


def _cards_of_bins(store: MapStore) -> dict[str, Cards]:
    """Return by the names of several source bins the cards that say their redshifts."""
    return {
        name: {} if redshift is None else {"ZSOURCE": (redshift, "Source redshift, mean of n(z)")}
        for name, redshift in zip(store.bin_names, store.bin_redshifts)
    }


def _write_npy(store: MapStore, out: Path, cards: Cards) -> None:
    write_npy_maps(out / "kappa.npy", *_all_maps(store))


def _write_hdf5(store: MapStore, out: Path, cards: Cards) -> None:
    attributes: dict[str, Any] = {"side_deg": store.manifest.side_deg, "units": "1"}
    if store.num_bins > 1:
        attributes["bin_names"] = list(store.bin_names)
        if None not in store.bin_redshifts:
            attributes["source_redshifts"] = list(store.bin_redshifts)
    elif store.source_redshift is not None:
        attributes["source_redshift"] = store.source_redshift
    known = {name: cards[key][0] for name, (key, _) in COSMOLOGY_CARDS.items() if key in cards}
    write_hdf5_maps(out / "kappa.h5", *_all_maps(store), {**attributes, **known})


def _all_maps(store: MapStore) -> tuple[Iterable[np.ndarray], tuple[int, ...]]:
    """Return batches of all maps and the shape of all, with the axis of source bins where there are several."""
    batches, shape = store.batches(), tuple(store.array.shape)
    return (map(only_bin, batches), shape[:3]) if store.num_bins == 1 else (batches, shape)


# By the names of --export.
_WRITERS = {"fits": _write_fits, "npy": _write_npy, "hdf5": _write_hdf5}


def _validated(workdir: Path) -> dict[str, Any] | None:
    """Return what evaluate found for the very maps that are exported; None where it saw others, or none."""
    record = stage_record(workdir, "evaluate")
    if record is None:
        return None
    for stage, result in record.inputs.items():
        if (now := stage_record(workdir, stage)) is None or now.result != result:
            return None
    path = workdir / "evaluate" / "statistics.json"
    validated = read_object(path, {"validated": dict})["validated"]
    ranges = dict.fromkeys(("ell", "kappa"), (list, type(None)))
    return check_object(validated, {"factor": float, **ranges}, f"{path}, validated")


def _cards(store: MapStore, validated: dict[str, Any] | None) -> Cards:
    manifest = store.manifest
    origin = manifest.origin
    cosmology = origin.get("cosmology") or origin.get("trained_on", {}).get("cosmology") or {}
    known = {
        "ZSOURCE": (manifest.source_redshift, "Source redshift"),
        "SEED": (manifest.seed, "Seed of the maps"),
        "GENSTEP": (origin.get("generator_step"), "Training step of the generator"),
        "GENSHA": (origin.get("generator_sha256"), ""),  # no room for a comment
        **{key: (cosmology.get(name), comment) for name, (key, comment) in COSMOLOGY_CARDS.items()},
    }
    cards = {key: card for key, card in known.items() if card[0] is not None}
    if "generator_step" in origin:
        cards |= _validity_cards(validated)
    return cards


def _validity_cards(validated: dict[str, Any] | None) -> Cards:
    """Return cards of where mean power and pixel density were within VALFACT of the validation maps'."""
    if validated is None:
        return {"VALID": ("unknown", "no comparison with validation maps at hand")}
    cards: dict[str, Any] = {"VALFACT": (validated["factor"], "Agreement with validation maps, a factor")}
    for key, name, what in (("ELL", "ell", "power agrees"), ("KAP", "kappa", "pixel density agrees")):
        if validated[name] is None:
            cards[f"V{key}"] = ("nowhere", f"where {what}")
        else:
            cards[f"V{key}MIN"] = (validated[name][0], f"{name} from which {what}")
            cards[f"V{key}MAX"] = (validated[name][1], f"{name} to which {what}")
    return cards


def _map_cards(store: MapStore, number: int) -> Cards:
    cards: dict[str, Any] = {"MAPINDEX": (number, "Number of the map in its store")}
    recorded = store.manifest
    for key, labels, comment in (
        ("SPLIT", recorded.splits, "What the map is for"),
        ("PARENT", recorded.parents, "Parent map"),
    ):
        if labels:
            cards[key] = (labels[number], comment)
    known = {"source_redshift": ("ZSOURCE", "Source redshift"), **COSMOLOGY_CARDS}
    for name, values in store.parameters.items():
        key, comment = known.get(name, (f"HIERARCH {PARAMETER_CARD}{name.upper()}", ""))
        if values[number] is not None:
            cards[key] = (values[number], comment)
    return cards
