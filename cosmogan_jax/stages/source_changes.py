"""Whether the files that a data set was made of are still what they were."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cosmogan_jax.storage.checksums import file_sha256


def file_mark(path: Path) -> dict[str, Any]:
    """What tells a file (of a map store its manifest) from another or a later one."""
    whole = path / "manifest.json" if path.is_dir() else path
    status = whole.stat()
    return {
        "path": str(path.resolve()),
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "sha256": file_sha256(whole),
    }


def check_unchanged(recorded: list[dict[str, Any]], now: Iterable[Path], made: Path) -> list[str]:
    """The files in `recorded` against those that the same flags mean now.

    Files that were touched or written again with the same content are the same.

    Args:
      recorded: file_mark of every file, with "sha256".
      made: the directory that was made of them, for the message.

    Returns:
      the recorded files that are gone.

    Raises:
      ValueError: a file that has another content now, or was not there then.
    """
    before = {mark["path"]: mark for mark in recorded}
    found = {str(path.resolve()): path for path in now}
    added = [name for name in found if name not in before]
    changed = [name for name, path in found.items() if name in before and _differs(before[name], path)]
    for names, what in ((added, "has come since"), (changed, "has changed since")):
        if names:
            more = f" ({len(names)} such files)" if len(names) > 1 else ""
            raise ValueError(
                f"maps={names[0]} {what} {made} was made of these maps{more}; choose another --workdir, or "
                "remove that directory, and what was trained on it, to take the maps as they are now"
            )
    return [name for name in before if name not in found]


def _differs(mark: dict[str, Any], path: Path) -> bool:
    whole = path / "manifest.json" if path.is_dir() else path
    if not whole.is_file() or whole.stat().st_size != mark["bytes"]:
        return True
    return whole.stat().st_mtime_ns != mark.get("mtime_ns") and file_sha256(whole) != mark["sha256"]
