"""The files that the patterns of a flag mean."""

import functools
import glob
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cosmogan_jax.maps.formats.datasets import natural_key
from cosmogan_jax.maps.formats.table import endings, folder_format, is_map_name
from cosmogan_jax.maps.store import is_map_store

# Commas of one name at most, between which flags are cut.
_MOST_COMMAS = 4
# Where a run of this project keeps its maps.
_STORES = ("prepare/maps", "simulate/maps", "generate/maps")


def find_map_files(
    patterns: Sequence[str], flag: str = "maps", *, any_ending: bool = False, missing_ok: bool = False
) -> list[Path]:
    """Find files and map stores that the patterns mean, in order, each once, however it is spelt.

    A pattern is a file (read whatever its ending), a map store or zarr folder, a folder (all files in it with a
    known ending) or a glob (** goes down folders; of what it meets, map stores, zarr folders and files with a
    known ending). What exists under the very name is meant before a glob is. The files of one folder or glob
    are in natural order: map_2 before map_10. Hidden files are left out; so are empty patterns, as of a comma
    at the end. Patterns that mean nothing alone, but do with a comma between them, are one name that was cut
    there, as lists of flags are.

    Args:
      flag: what to call the patterns in messages.
      any_ending: files of any ending are taken of a glob that meets none of a known one: raw files.
      missing_ok: patterns that mean nothing are passed over.

    Raises:
      ValueError: a pattern that means no file, or nothing but empty patterns.
    """
    files: dict[Path, Path] = {}
    meant = [pattern for pattern in _with_commas(patterns) if pattern.strip()]
    if patterns and not meant:
        raise ValueError(f"{flag}={','.join(patterns)} names no file")
    for pattern in meant:
        path = Path(pattern).expanduser()
        try:
            if path.is_dir() and folder_format(path) is None:
                inside = _in_folder(path, f"{flag}={pattern}")
            elif path.exists():
                inside = [path]
            else:
                inside = _in_glob(path, f"{flag}={pattern}", any_ending)
        except ValueError:
            if missing_ok:
                continue
            raise
        for file in sorted(inside, key=lambda path: natural_key(str(path))):
            files.setdefault(file.resolve(), file)
    return list(files.values())


def _with_commas(patterns: Sequence[str]) -> list[str]:
    """Return patterns as they are, but joined by commas where fewer are left then that mean nothing."""

    @functools.cache
    def means(pattern: str) -> bool:
        path = Path(pattern).expanduser()
        return not pattern.strip() or path.exists() or bool(glob.glob(str(path), recursive=True))

    if all(map(means, patterns)):
        return list(patterns)
    # best[i]: of the patterns from i on, how many mean nothing at least, and then where the first one ends.
    best: list[tuple[int, int, str]] = [(0, 0, "")] * (len(patterns) + 1)
    for first in reversed(range(len(patterns))):
        ways = [(best[first + 1][0] + (not means(patterns[first])), first + 1, patterns[first])]
        for end in range(first + 2, min(len(patterns), first + 1 + _MOST_COMMAS) + 1):
            whole = next(filter(means, _joined(patterns[first:end])), None)
            if whole is not None:
                ways.append((best[end][0], end, whole))
        best[first] = min(ways, key=lambda way: way[0])
    names, first = [], 0
    while first < len(patterns):
        _, first, pattern = best[first]
        names.append(pattern)
    return names


def _joined(pieces: Sequence[str]) -> Iterator[str]:
    """Yield the pieces with commas between them; flags lose a blank that followed one."""
    for blanks in itertools.product(("", " "), repeat=len(pieces) - 1):
        yield pieces[0] + "".join(f",{blank}{piece}" for blank, piece in zip(blanks, pieces[1:]))


def _in_folder(path: Path, pattern: str) -> list[Path]:
    is_stage = (path / "stage.json").is_file()
    names = (*_STORES, *(("maps",) if is_stage else ()))
    stores = [store for name in names if is_map_store(store := path / name)]
    if not stores and is_stage and (path / "crops_train.npy").is_file():  # crops of simulated maps
        stores = [path.parent / "simulate/maps"]
    if stores:
        listed = " or ".join(map(str, stores))
        raise ValueError(f"{pattern} is a folder that a run of this project made; give its map store, {listed}")
    inside = _known(path.iterdir())
    if not inside:
        below = next((p for p in sorted(path.iterdir()) if p.is_dir() and _known(p.iterdir())), None)
        hint = f"; {below} does, name it or {path}/**" if below else ""
        raise ValueError(f"{pattern}: the folder holds no file that ends in {' '.join(endings())}{hint}")
    return inside


def _in_glob(path: Path, pattern: str, any_ending: bool) -> list[Path]:
    met = [Path(p) for p in glob.glob(str(path), recursive=True)]
    inside = _known(met, stores=True)
    if any_ending and not inside:
        inside = [p for p in met if p.is_file() and not p.name.startswith(".")]
    if met and not inside:
        hint = (
            f"to look into folders, write {path}/*"
            if any(p.is_dir() for p in met)
            else ("a file that is named without * is read whatever its ending")
        )
        raise ValueError(
            f"{pattern}: of {len(met)} files and folders that fit, none is a map store, a zarr folder or ends "
            f"in {' '.join(endings())}; {hint}"
        )
    if not inside:
        raise ValueError(f"{pattern}: no such file, folder or glob")
    return inside


def _known(paths: Iterable[Path], *, stores: bool = False) -> list[Path]:
    """Return files with a known ending, zarr folders, and map stores if wanted; nothing inside of those."""
    paths = list(paths)
    folders = {path for path in paths if path.is_dir() and folder_format(path)}
    return [
        path
        for path in paths
        if not path.name.startswith(".")
        and ((path in folders and (stores or not is_map_store(path))) or (path.is_file() and is_map_name(path)))
        and not any(above in folders for above in path.parents)
    ]
