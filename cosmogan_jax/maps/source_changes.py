"""Whether the files that a data set was made of are still what they were."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cosmogan_jax.files.checksums import file_sha256, folder_sha256


def file_mark(path: Path) -> dict[str, Any]:
    """Return what tells a file, map store or zarr folder from another or a later one."""
    return {"path": str(path.resolve()), **quick_mark(path), "sha256": _sha256(path)}


def quick_mark(path: Path) -> dict[str, int]:
    """Return size and time of change, without reading it."""
    whole = marked(path)
    files = [file.stat() for file in whole.rglob("*") if file.is_file()] if whole.is_dir() else [whole.stat()]
    return {
        "bytes": sum(status.st_size for status in files),
        "mtime_ns": max((status.st_mtime_ns for status in files), default=0),
    }


def marked(path: Path) -> Path:
    """Return what is looked at: of a map store its manifest, which knows the shards by checksum."""
    manifest = path / "manifest.json"
    return manifest if path.is_dir() and manifest.is_file() else path


def _sha256(path: Path) -> str:
    whole = marked(path)
    return folder_sha256(whole) if whole.is_dir() else file_sha256(whole)


def check_unchanged(recorded: list[dict[str, Any]], now: Iterable[Path], result: Path) -> list[str]:
    """Compare the files in `recorded` with those that the same flags mean now.

    Files that were touched or written again with the same content are the same.

    Args:
      recorded: file_mark of every file, with "sha256".
      result: the directory that was made of them, for the message.

    Returns:
      the recorded files that are gone.

    Raises:
      ValueError: a file that has another content now, or was not there then.
    """
    before = {mark["path"]: mark for mark in recorded}
    paths = {str(path.resolve()): path for path in now}
    added = [name for name in paths if name not in before]
    changed = [name for name, path in paths.items() if name in before and _differs(before[name], path)]
    for names, what in ((added, "has come since"), (changed, "has changed since")):
        if names:
            more = f" ({len(names)} such files)" if len(names) > 1 else ""
            raise ValueError(
                f"maps={names[0]} {what} {result} was made of these maps{more}; choose another --workdir, or "
                "remove that directory, and what was trained on it, to take the maps as they are now"
            )
    return [name for name in before if name not in paths]


def _differs(mark: dict[str, Any], path: Path) -> bool:
    now = quick_mark(path)
    if now["bytes"] != mark["bytes"]:
        return True
    return now["mtime_ns"] != mark.get("mtime_ns") and _sha256(path) != mark["sha256"]
