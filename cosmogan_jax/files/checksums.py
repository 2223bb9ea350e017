"""SHA-256 of files, of JSON values and of a network's variables."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np


def file_sha256(path: Path) -> str:
    """Return the checksum of a file's bytes, in hexadecimal, as sha256sum prints it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(path: Path) -> str:
    """Return the checksum of the names and bytes of all files below a folder."""
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    return json_sha256([[file.relative_to(path).as_posix(), file_sha256(file)] for file in files])


def json_sha256(content: Any) -> str:
    """Return the checksum of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def tree_sha256(tree: Any) -> str:
    """Return the checksum of a pytree of arrays.

    Of path, type, shape and little-endian bytes of every leaf, in the order of paths.
    """
    import jax  # here: what reads a file's checksum does without

    checksum = hashlib.sha256()
    leaves = [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]
    for path, leaf in sorted(leaves, key=lambda item: item[0]):
        array = np.asarray(leaf)
        checksum.update(f"{path} {array.dtype.name} {array.shape}\n".encode())
        checksum.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
    return checksum.hexdigest()
