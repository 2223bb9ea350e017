"""Whether a checkpoint is damaged: its bytes, against checksums that were taken when it was whole.

    <checkpoint>/files.json   SHA-256 of every file below its folders, and of this list itself

Beside the folders lie words of the library's own about itself, which nothing here reads.

Nothing else proves damage. What cannot be read may be another user's, another version's, or on a disk that is
away.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from cosmogan_jax.files.checksums import file_sha256, json_sha256
from cosmogan_jax.files.json_files import read_object, write_json

_LIST = "files.json"


class Damaged(ValueError):
    """A checkpoint whose bytes are not those that were written."""


class Unread(ValueError):
    """A checkpoint that is there and cannot be read here, with no proof that it is damaged."""


def is_sealed(checkpoint: Path) -> bool:
    """Return whether the checksums of a checkpoint were taken."""
    return (checkpoint / _LIST).exists()


def seal(checkpoint: Path) -> None:
    """Take the checksums of a checkpoint that is whole.

    Raises:
      ValueError: they cannot be written.
      OSError: a file cannot be read.
    """
    files = _checksums(checkpoint)
    write_json(checkpoint / _LIST, {"files": files, "sha256": json_sha256(files)})


def examine(checkpoint: Path) -> bool:
    """Read every file of a checkpoint; return whether its bytes are proved to be those that were written.

    Raises:
      Damaged: a file's are not.
      Unread: a file is missing, or the system does not let it be read.
    """
    try:
        written, read = _read_list(checkpoint), _checksums(checkpoint)
    except OSError as error:
        raise Unread(f"{error.filename or checkpoint}: {error.strerror or error}") from error
    for name, expected in written.items():
        if name not in read:
            raise Unread(
                f"{checkpoint / name} is missing; bring it back, or move the checkpoint away, and the same "
                "command goes on with those that are left"
            )
        if read[name] != expected:
            sums = f"SHA-256 {read[name][:12]}..., written with {expected[:12]}..."
            raise Damaged(f"the bytes of {checkpoint / name} are not those that were written ({sums})")
    return bool(written)


def _read_list(checkpoint: Path) -> dict[str, str]:
    """Read name and checksum of every file; none where they were not taken, or the list itself is damaged."""
    if not is_sealed(checkpoint):
        return {}
    try:
        content = read_object(checkpoint / _LIST, {"files": dict, "sha256": str})
    except ValueError:
        return {}
    return content["files"] if json_sha256(content["files"]) == content["sha256"] else {}


def _checksums(checkpoint: Path) -> dict[str, str]:
    return {str(path.relative_to(checkpoint)): file_sha256(path) for path in _files(checkpoint)}


def _files(checkpoint: Path) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(checkpoint, onerror=failed):
        if Path(folder) != checkpoint:
            yield from (Path(folder) / name for name in sorted(names))
