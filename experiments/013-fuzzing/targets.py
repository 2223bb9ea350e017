"""What is fuzzed: files as this project writes and reads them, and everything that is made of each."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import zarr
from astropy.io import fits

from cosmogan_jax.files.checksums import file_sha256
from cosmogan_jax.files.numpy_files import read_npy, read_npz
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.boxes import BoxWriter, open_box
from cosmogan_jax.maps.crop_table import open_crop_table, write_crop_table
from cosmogan_jax.maps.formats import ReadOptions, open_map_file, open_mask_file
from cosmogan_jax.maps.given_maps import as_sources
from cosmogan_jax.maps.lens_planes import LensPlanes, read_lens_planes, write_lens_planes
from cosmogan_jax.maps.parameter_tables import read_parameter_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.maps.store_writing import write_map_store
from cosmogan_jax.pretrained import find, load
from cosmogan_jax.runs.best_generators import read_scores
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.runs.directory import stage_record
from cosmogan_jax.stages.train.training_log import read_log

_GEOMETRY = MapGeometry(16, 1.0)


class Target(NamedTuple):
    """make(folder) writes whole files and gives those to damage; read(folder) reads all there is.

    amend(folder) makes the rest agree with the damaged file, so that what comes after a checksum is reached.
    """

    make: Callable[[Path], list[Path]]
    read: Callable[[Path], object]
    amend: Callable[[Path], None] = lambda folder: None


def _maps(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 16, 16)).astype(np.float32)


def _file(name: str, write: Callable[[Path], object], options: ReadOptions | None = None) -> Target:
    def make(folder: Path) -> list[Path]:
        write(folder / name)
        return [folder / name]

    def read(folder: Path) -> object:
        found = open_map_file(folder / name, options)
        return [found.read(n, n + 1) for n in range(min(found.num_maps, 8))] + [found.facts]

    return Target(make, read)


def _fits(path: Path, image: np.ndarray) -> None:
    header = fits.Header({"ANGLE": 1.0, "ZSOURCE": 1.0, "OMEGA_M": 0.26, "CTYPE1": "RA---TAN",
                          "CTYPE2": "DEC--TAN", "CDELT1": 0.0625, "CDELT2": 0.0625})  # fmt: skip
    fits.PrimaryHDU(image, header).writeto(path)


def _scaled(path: Path) -> None:
    hdu = fits.PrimaryHDU(_maps().astype(np.float64), fits.Header({"ANGLE": 1.0}))
    hdu.scale("int16", bscale=1e-3)
    hdu.writeto(path)


def _hdf5(path: Path, **how) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("kappa", data=_maps(), **how)
        file.attrs.update(side_deg=1.0, source_redshift=1.0)


def _kappatng(path: Path) -> None:
    n = np.array([16], "<i4").tobytes()
    path.write_bytes(n + _maps(1).astype("<f8").tobytes() + n)


def _zarr(version: int, part: str) -> Target:
    def make(folder: Path) -> list[Path]:
        group = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=version)
        array = group.create_array("kappa", shape=(3, 16, 16), dtype="f4", chunks=(1, 16, 16))
        array[...] = _maps()
        array.attrs.update(side_deg=1.0, source_redshift=1.0)
        return [next(path for path in sorted((folder / "a.zarr").glob(part)) if path.is_file())]

    def read(folder: Path) -> object:
        found = open_map_file(folder / "a.zarr")
        return [found.read(n, n + 1) for n in range(min(found.num_maps, 8))] + [found.facts]

    return Target(make, read)


def _sky(path: Path) -> None:
    column = fits.Column("KAPPA", "12E", array=np.random.default_rng(0).normal(size=(64, 12)).astype("f4"))
    table = fits.BinTableHDU.from_columns([column])
    table.header.update(PIXTYPE="HEALPIX", NSIDE=8, ORDERING="RING", ZSOURCE=1.0)
    table.writeto(path)


_PATCHES = ReadOptions(cut_patches=(8, 4), patch_side_deg=20.0)


def _store(folder: Path) -> Path:
    more = {"splits": ["train"] * 3, "parents": [0, 1, 2], "boxes": ["a", "b", None], "source_redshift": 1.0,
            "parameters": {"omega_m": [0.26, 0.3, None]},
            "origin": {"sky": "lognormal", "cosmology": {"omega_m": 0.26}}}  # fmt: skip
    write_map_store(folder / "maps", [_maps()], 3, _GEOMETRY, more)
    return folder / "maps"


def _read_store(folder: Path) -> object:
    found = open_map_file(folder / "maps", ReadOptions())
    store = open_map_store(folder / "maps")
    store.verify()
    told = as_sources(folder / "maps").parameters
    return found.read(0, found.num_maps), store.read(), store.geometry, store.manifest.identity(), told


def _parameter_table(folder: Path) -> list[Path]:
    (folder / "a.csv").write_text("file,omega_m,sigma8\nsims/0.fits,0.26,0.8\n'1.fits',0.3,-1e-3\n")
    return [folder / "a.csv"]


def _table(folder: Path) -> list[Path]:
    _store(folder)
    rows = {
        split: np.array([[0, 0, 0], [1, 8, 3], [2, 1, 8]]) for split in ("train", "development", "validation")
    }
    manifest = {
        "maps": "maps", "crop_size": 8, "side_deg": 0.5, "source_redshift": 1.0, "parents": [0, 1, 2],
        "normalisation": {"kind": "linear", "scale": 0.1}, "boxes": [None] * 3, "origin": {},
    }  # fmt: skip
    write_crop_table(folder, rows, manifest)
    return [folder / "manifest.json", folder / "crops_train.npy"]


def _read_table(folder: Path) -> object:
    table = open_crop_table(folder)
    chosen = [table.choose(split, 2, half=0) for split in ("train", "development", "validation")]
    return table.geometry, [(table.cut(rows), table.theta(rows, table.parameters)) for rows in chosen]


def _state() -> dict:
    return {"params": {"w": jnp.arange(24.0).reshape(4, 6), "b": jnp.ones(3)}, "step": jnp.array(7)}


def _checkpoint(folder: Path) -> list[Path]:
    files = Checkpoints(folder / "checkpoints")
    files.save(1, _state(), {"pending": [1.0]})
    files.close()
    return sorted(path for path in (folder / "checkpoints").rglob("*") if path.is_file())


def _read_checkpoint(folder: Path) -> object:
    files = Checkpoints(folder / "checkpoints")
    try:
        found, beside = files.restore(1, _state()), files.beside(1)
    finally:
        files.close()
    if not all(jax.tree.leaves(jax.tree.map(np.array_equal, found, _state()))):
        raise AssertionError("other arrays than were saved, without a word")
    return found, beside


def _packed(*names: str) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        shutil.copytree(find("planes-z0.99-64"), folder / "packed")
        return [folder / "packed" / name for name in names]

    return make


def _amend_card(folder: Path) -> None:
    card = json.loads((folder / "packed/card.json").read_text())
    card["weights"]["sha256"] = file_sha256(folder / "packed/weights.npz")
    (folder / "packed/card.json").write_text(json.dumps(card))


def _json(place: str, content: object) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        lines = content if isinstance(content, list) else [content]
        (folder / place).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return [folder / place]

    return make


def _planes(folder: Path) -> list[Path]:
    header = {"H": 0.72, "OMEGA_M": 0.26, "OMEGA_L": 0.74, "W0": -1.0, "WA": 0.0}
    names, ones = ("a.fits", "b.fits.gz"), np.ones(2)
    write_lens_planes(folder, LensPlanes(names, _maps(2), ones * 0.1, ones * 300, ones, header))
    return [folder / name for name in names]


def _box(folder: Path) -> list[Path]:
    writer = BoxWriter(folder, "a", 2, 3, 16)
    for plane in range(2):
        writer.write(plane, _maps())
    writer.finish({"box_size": 240.0}, {"seconds": {"total": 1.0}})
    return sorted(path for path in (folder / "a").rglob("*") if path.is_file())


_RECORD = {
    "flags": {"seed": 0},
    "inputs": {},
    "summary": {"steps": 2},
    "result": "r",
    "finished": "now",
    "seconds": 1.5,
}
_LINES = [{"step": n, "epoch": 0, "disc_loss": 0.5, "spectrum_chi2": None} for n in range(1, 6)]


def _mask(name: str, write: Callable[[Path, np.ndarray], object]) -> Target:
    def make(folder: Path) -> list[Path]:
        write(folder / name, _maps() > 0)
        return [folder / name]

    def read(folder: Path) -> object:
        found = open_mask_file(folder / name)
        return [found.load(n) for n in range(min(found.num_masks, 8))]

    return Target(make, read)


def _hdf5_mask(path: Path, mask: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["mask"] = mask


TARGETS: dict[str, Target] = {
    "npy": _file("a.npy", lambda path: np.save(path, _maps())),
    "npy, Fortran, float64": _file("a.npy", lambda path: np.save(path, np.asfortranarray(_maps(), np.float64))),
    "raw float32": _file("a.f32", lambda path: _maps().tofile(path), ReadOptions(raw_shape=(16, 16))),
    "npz of maps": _file("a.npz", lambda path: np.savez(path, kappa=_maps(), ell=np.arange(4))),
    "npz of maps, compressed": _file("a.npz", lambda path: np.savez_compressed(path, kappa=_maps())),
    "zarr 3, metadata": _zarr(3, "kappa/zarr.json"),
    "zarr 3, chunk": _zarr(3, "kappa/c/*/*/*"),
    "zarr 2, metadata": _zarr(2, "kappa/.zarray"),
    "zarr 2, chunk": _zarr(2, "kappa/1.0.0"),
    "HEALPix": _file("a.fits", _sky, _PATCHES),
    "HEALPix, npy": _file("a.npy", lambda path: np.save(path, np.arange(768.0)), _PATCHES),
    "kappaTNG": _file("a.dat", _kappatng),
    "FITS": _file("a.fits", lambda path: _fits(path, _maps(1)[0])),
    "FITS cube": _file("a.fits", lambda path: _fits(path, _maps())),
    "FITS, scaled integers": _file("a.fits", _scaled),
    "FITS, gzipped": _file("a.fits.gz", lambda path: _fits(path, _maps(1)[0])),
    "FITS cube, gzipped": _file("a.fits.gz", lambda path: _fits(path, _maps())),
    "FITS, compressed by tiles": _file("a.fits", lambda path: fits.CompImageHDU(_maps(1)[0]).writeto(path)),
    "HDF5": _file("a.h5", _hdf5),
    "HDF5, compressed": _file("a.h5", lambda path: _hdf5(
        path, chunks=(1, 8, 8), compression="gzip", fletcher32=True)),
    "mask, npy": _mask("m.npy", np.save),
    "mask, FITS": _mask("m.fits", lambda path, mask: fits.PrimaryHDU(mask.astype(">i2")).writeto(path)),
    "mask, HDF5": _mask("m.h5", _hdf5_mask),
    "map store, manifest": Target(lambda folder: [_store(folder) / "manifest.json"], _read_store),
    "map store, array": Target(lambda folder: [_store(folder) / "kappa/zarr.json"], _read_store),
    "map store, shard": Target(lambda folder: [_store(folder) / "kappa/c/0/0/0/0"], _read_store),
    "parameter table": Target(_parameter_table, lambda folder: read_parameter_table(folder / "a.csv")),
    "crop table": Target(_table, _read_table),
    "checkpoint": Target(_checkpoint, _read_checkpoint),
    "packed generator, card": Target(_packed("card.json"), lambda folder: load(folder / "packed")),
    "packed generator, weights": Target(
        _packed("weights.npz"), lambda folder: load(folder / "packed"), _amend_card),
    "npy table": Target(lambda folder: (np.save(folder / "a.npy", np.arange(9)), [folder / "a.npy"])[1],
                        lambda folder: read_npy(folder / "a.npy")),
    "npz": Target(lambda folder: (np.savez(folder / "a.npz", a=_maps(), b=np.arange(4)), [folder / "a.npz"])[1],
                  lambda folder: read_npz(folder / "a.npz")),
    "stage.json": Target(_json("train/stage.json", _RECORD), lambda folder: stage_record(folder, "train")),
    "metrics.jsonl": Target(_json("metrics.jsonl", _LINES), lambda folder: read_log(folder / "metrics.jsonl")),
    "scores.jsonl": Target(_json("scores.jsonl", _LINES), read_scores),
    "lens planes": Target(_planes, read_lens_planes),
    "box": Target(_box, lambda folder: open_box(folder, "a", {"box_size": 240.0}).read(1)),
}  # fmt: skip
