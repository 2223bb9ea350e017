"""The files that the patterns of a flag mean."""

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from cosmogan_jax.storage.fits_files import ENDINGS as FITS_ENDINGS
from cosmogan_jax.storage.map_store import is_map_store
from cosmogan_jax.storage.readers.npy import is_kappatng

ENDINGS = (".npy", *FITS_ENDINGS, ".fits.fz", ".h5", ".hdf5", ".he5", ".f32")
# Where a run of this project keeps its maps.
_STORES = ("prepare/maps", "simulate/maps", "generate/maps")


def find_map_files(patterns: Sequence[str], flag: str = "maps") -> list[Path]:
    """Files and map stores that the patterns mean, in order, each once, however it is spelt.

    A pattern is a file (read whatever its ending), a map store, a folder (all files in it with a known
    ending) or a glob (** goes down folders; of what it meets, map stores and files with a known ending). What
    exists under the very name is meant before a glob is. The files of one folder or glob are in natural
    order: map_2 before map_10. Hidden files are left out; so are empty patterns, as of a comma at the end.

    Args:
      flag: what to call the patterns in messages.

    Raises:
      ValueError: a pattern that means no file, or nothing but empty patterns.
    """
    found: dict[Path, Path] = {}
    meant = [pattern for pattern in patterns if pattern.strip()]
    if patterns and not meant:
        raise ValueError(f"{flag}={','.join(patterns)} names no file")
    for pattern in meant:
        path = Path(pattern).expanduser()
        if path.is_dir() and not is_map_store(path):
            inside = _in_folder(path, f"{flag}={pattern}")
        elif path.exists():
            inside = [path]
        else:
            inside = _in_glob(path, f"{flag}={pattern}")
        for file in sorted(inside, key=_natural):
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _in_folder(path: Path, said: str) -> list[Path]:
    is_stage = (path / "stage.json").is_file()
    names = (*_STORES, *(("maps",) if is_stage else ()))
    stores = [store for name in names if is_map_store(store := path / name)]
    if not stores and is_stage and (path / "crops_train.npy").is_file():  # crops of simulated maps
        stores = [path.parent / "simulate/maps"]
    if stores:
        listed = " or ".join(map(str, stores))
        raise ValueError(f"{said} is a folder that a run of this project made; give its map store, {listed}")
    inside = _known(path.iterdir())
    if not inside:
        below = next((p for p in sorted(path.iterdir()) if p.is_dir() and _known(p.iterdir())), None)
        hint = f"; {below} does, name it or {path}/**" if below else ""
        raise ValueError(f"{said}: the folder holds no file that ends in {' '.join(ENDINGS)}{hint}")
    return inside


def _in_glob(path: Path, said: str) -> list[Path]:
    met = [Path(p) for p in glob.glob(str(path), recursive=True)]
    inside = _known(p for p in met if p.is_file()) + [p for p in met if is_map_store(p)]
    if met and not inside:
        hint = (
            f"to look into folders, write {path}/*"
            if any(p.is_dir() for p in met)
            else ("a file that is named without * is read whatever its ending")
        )
        raise ValueError(
            f"{said}: of {len(met)} files and folders that fit, none is a map store or ends in "
            f"{' '.join(ENDINGS)}; {hint}"
        )
    if not inside:
        raise ValueError(f"{said}: no such file, folder or glob")
    return inside


def _known(paths: Iterable[Path]) -> list[Path]:
    return [
        path
        for path in paths
        if not path.name.startswith(".")
        and path.is_file()
        and (path.name.lower().endswith(ENDINGS) or (path.suffix == ".dat" and is_kappatng(path)))
    ]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(1, int(part), part) if part.isdigit() else (0, 0, part) for part in parts]
