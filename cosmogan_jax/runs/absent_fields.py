"""States that have gained fields since a checkpoint was written: what is None needs no place on the disk.

Orbax compares names, None among them. A field that is None, and that a checkpoint does not know, is left out of
what is asked of it, and is None again in what comes back.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath


def without_absent(like: Any, on_disk: Any) -> Any:
    """Return the tree with records as dictionaries where fields that are None are not on the disk.

    on_disk: the checkpoint's tree of names, as Orbax tells it.
    """
    names = _fields(like)
    if names is None or not isinstance(on_disk, Mapping):
        return like
    values = {name: getattr(like, name) for name in names}
    kept = {
        name: without_absent(value, on_disk.get(name))
        for name, value in values.items()
        if value is not None or name in on_disk
    }
    same = kept.keys() == values.keys() and all(kept[name] is value for name, value in values.items())
    return like if same else kept


def with_absent(like: Any, restored: Any) -> Any:
    """Return what was restored in the form of `like`, which `without_absent` took fields from."""
    names = _fields(like)
    if names is None or not isinstance(restored, Mapping):
        return restored
    values = {name: with_absent(getattr(like, name), restored.get(name)) for name in names}
    return type(like)(**values)


def _fields(node: Any) -> tuple[str, ...] | None:
    """Return the names of a record's fields: a named tuple's or a dataclass's; None of anything else."""
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return node._fields
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return tuple(field.name for field in dataclasses.fields(node))
    return None


def standard_restore(like: Any) -> Any:
    """Return what Orbax is asked with for a tree of these shapes and dtypes."""
    return ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, like))


def tables_of(folder: Path) -> Any:
    """Read what a checkpoint's own tables name, with shapes and dtypes; None where they cannot be read."""
    try:
        return ocp.StandardCheckpointHandler().metadata(epath.Path(folder)).tree
    except Exception:  # of any kind, as in reading
        return None
