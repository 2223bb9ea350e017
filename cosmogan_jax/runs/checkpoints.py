"""Checkpoints of a training run, by Orbax: numbered by step, written atomically, never unpickled.

<directory>/<step>/state    the arrays
<directory>/<step>/sums     a checksum of every array, made where it lay in memory: the files have none
<directory>/<step>/beside      JSON
<directory>/<step>/files.json  checksums of all of its files (checkpoint_files.py)
<directory>-unreadable/     checkpoints that are damaged, as those show, set aside
"""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from cosmogan_jax import keys
from cosmogan_jax.files.zarr_arrays import short
from cosmogan_jax.runs.absent_fields import standard_restore, tables_of, with_absent, without_absent
from cosmogan_jax.runs.array_sums import shapes_of_sums, sums, sums_one_by_one
from cosmogan_jax.runs.checkpoint_files import Damaged, Unread, examine, is_sealed, seal

_CHECKSUM = "checksum verification failed"  # TensorStore's words, of its tables
_copied = jax.jit(functools.partial(jax.tree.map, jnp.copy))  # one program, not one for every shape


class Checkpoints:
    """The checkpoints under one directory."""

    def __init__(self, directory: Path, *, writes: bool = False):
        """Open a directory; who writes there (one at a time) removes what was cut off in its writing."""
        self.directory = Path(directory).resolve()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None,
            create=True,
            cleanup_tmp_directories=writes,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
        )
        with self._writing("opened"):
            self._manager = ocp.CheckpointManager(self.directory, options=options)

    def steps(self) -> Sequence[int]:
        """Return the steps of all whole checkpoints, ascending."""
        with self._writing():
            self._manager.wait_until_finished()
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, beside: dict[str, Any] | None = None) -> None:
        """Begin to write a state (a pytree of arrays and PRNG keys); the other methods wait for it.

        `beside` is written with it, as JSON. The state may be donated to the next step: what is written is a
        copy of it.

        Raises:
          ValueError: it cannot be written, or the one before could not.
        """
        # On a CPU the writer would otherwise read the very memory that the next step overwrites.
        copied = _copied(_key_data(state))
        with self._writing():
            self._manager.save(step, args=ocp.args.Composite(**_parts(copied, beside or {})))

    def restore(self, step: int, like: Any) -> Any:
        """Read the state of a step, in the structure of `like`; the dtypes are those that were written.

        Raises:
          ValueError: no such checkpoint, or one that cannot be read, or that is not what was written.
        """
        try:
            return self._restore(step, like)
        except Damaged as error:
            raise ValueError(
                f"{error}; remove it, and the same command goes on with those that are left"
            ) from error

    def _restore(self, step: int, like: Any) -> Any:
        like_data = _key_data(like)
        try:
            data = self._read_state(step, like_data)
        except Exception as error:  # of any kind: a damaged file is met deep inside the library
            as_written = self._explain(step, error, like_data)
            try:
                data = self._read_state(step, as_written)
            except Exception as again:
                self._explain(step, again, as_written)
                raise
        return jax.tree.map(lambda leaf, ref: keys.rewrapped(leaf, ref) if _is_key(ref) else leaf, data, like)

    def _read_state(self, step: int, like_data: Any) -> Any:
        data = self._read(step, "state", like_data)
        # The first checkpoints had none; later ones a file for each sum, which took as long as the arrays.
        for folder, make in (("sums", sums), ("marks", sums_one_by_one)):
            if (self.directory / str(step) / folder).exists():
                written, read = self._read(step, folder, shapes_of_sums(make, like_data)), make(data)
                if any((a != b).any() for a, b in zip(jax.tree.leaves(written), jax.tree.leaves(read))):
                    raise _OtherArrays("its arrays are not those that were written")
        return data

    def beside(self, step: int) -> dict[str, Any]:
        """Read what was saved beside the state of a step.

        Raises:
          ValueError: no such checkpoint, or one that cannot be read.
        """
        try:
            return self._read(step, "beside", None)
        except Exception as error:
            self._explain(step, error)
            raise

    def last_good(
        self, like: Any, suffices: Callable[[int], bool] = lambda step: True
    ) -> tuple[int, Any, dict[str, Any]] | None:
        """Read the last checkpoint: step, state and what is beside it; None where there is none.

        Raises:
          ValueError: it cannot be read; nothing is moved. Or it is damaged: where an earlier one is not, and
            suffices, it is set aside, and the next call gives the earlier one.
        """
        steps = list(self.steps())
        for step in reversed(steps):
            if step != steps[-1] and not suffices(step):
                continue
            try:
                checkpoint = step, self._restore(step, like), self.beside(step)
            except Damaged as error:
                if step == steps[-1]:
                    damage = error
                continue
            except Unread as error:
                if step == steps[-1]:
                    raise
                raise ValueError(f"{damage}; and {error}") from error
            if step == steps[-1]:
                return checkpoint
            later = [self.directory / str(other) for other in steps if other > step]
            if jax.process_count() > 1:  # the others may still be reading
                way_out = f"remove {', '.join(map(str, later))}, and"
            else:
                way_out = f"set aside in {', '.join(map(str, map(self._set_aside, later)))},"
            raise ValueError(f"{damage}; {way_out} the same command goes on from step {step}") from damage
        if steps:
            raise ValueError(
                f"{damage}; no earlier one can be gone on from: remove {self.directory.parent} to train anew"
            ) from damage
        return None

    def delete(self, step: int) -> None:
        """Remove the checkpoint of a step."""
        with self._writing():
            self._manager.wait_until_finished()
            self._manager.delete(step)

    def close(self) -> None:
        """Wait until all is on the disk, and free what the manager holds."""
        with self._writing():
            self._manager.wait_until_finished()
            self._manager.close()

    def _read(self, step: int, folder: str, like: Any) -> Any:
        if step not in self.steps():
            raise ValueError(
                f"no checkpoint of step {step} in {self.directory}; there are {list(self.steps())}"
            )
        if like is None:
            return self._ask(step, folder, ocp.args.JsonRestore())
        try:
            return self._ask(step, folder, standard_restore(like))
        except Exception:  # of any kind; tables take as long as a small state: read where it is not as asked
            asked = without_absent(like, tables_of(self.directory / str(step) / folder))
            if asked is like:
                raise
            return with_absent(like, self._ask(step, folder, standard_restore(asked)))

    def _ask(self, step: int, folder: str, item: Any) -> Any:
        return self._manager.restore(step, args=ocp.args.Composite(**{folder: item}))[folder]

    def _explain(self, step: int, error: Exception, like: Any = None) -> Any:
        """Explain why a checkpoint could not be read, or return `like` with the dtypes that were written.

        Raises:
          Damaged: its bytes are not those that were written.
          Unread: it can be read by nothing here, and why.
          ValueError, MemoryError: there is none; there is no room for it.
        """
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or step not in self.steps():
            raise error
        place = self.directory / str(step)
        cannot = f"checkpoint {place} cannot be read"
        try:
            whole = examine(place)
        except (Damaged, Unread) as why:
            raise type(why)(f"{cannot}: {why}") from error
        # Checkpoints of before have no checksums of files, but of arrays and of the library's own tables.
        if not whole and _CHECKSUM in str(error):
            raise Damaged(f"{cannot}: {short(error)}") from error
        written = _written(place) if like is not None else {}
        if written:
            wanted = {name: (leaf.shape, np.dtype(leaf.dtype)) for name, leaf in _by_name(like).items()}
            for name in sorted(written.keys() | wanted.keys()):
                shapes = [arrays.get(name, (None, 0))[0] for arrays in (written, wanted)]
                if shapes[0] != shapes[1]:
                    raise Unread(
                        f"{cannot}: it is of another version or other settings: {name} is "
                        f"{_in_words(shapes[0])} there, and {_in_words(shapes[1])} here"
                    ) from error
            others = {name: written[name][1] for name in written if written[name][1] != wanted[name][1]}
            wide = [name for name, dtype in others.items() if jax.dtypes.canonicalize_dtype(dtype) != dtype]
            if wide:
                raise Unread(
                    f"{cannot}: {wide[0]} was written as {others[wide[0]]}, under JAX_ENABLE_X64=1, and this "
                    "process holds no more than 32 bits"
                ) from error
            if others:
                return jax.tree_util.tree_map_with_path(
                    lambda path, leaf: _with_dtype(leaf, others.get(_name(path), leaf.dtype)), like
                )
        if isinstance(error, _OtherArrays) and not whole:
            raise Damaged(f"{cannot}: {error}") from error
        bytes_are = "its bytes are those that were written" if whole else "nothing shows that it is damaged"
        raise Unread(
            f"{cannot} by orbax-checkpoint {ocp.__version__}: {short(error) or type(error).__name__}; "
            f"{bytes_are}, and it stays where it is; runs.jsonl says with which versions it was written"
        ) from error

    def _seal(self) -> None:
        """Take the checksums of what is whole and about to get its name; in Orbax's thread."""
        if jax.process_index() != 0:
            return
        with contextlib.suppress(OSError, ValueError):  # as on a full disk: a checkpoint without is one too
            for place in self.directory.iterdir():
                if place.is_dir() and not place.name.isdigit() and not is_sealed(place):
                    seal(place)

    def _set_aside(self, directory: Path) -> Path:
        folder = self.directory.with_name(self.directory.name + "-unreadable")
        folder.mkdir(exist_ok=True)
        for number in itertools.count():
            place = folder / (f"{directory.name}-{number}" if number else directory.name)
            if not place.exists():
                return directory.rename(place)
        raise AssertionError

    @contextlib.contextmanager
    def _writing(self, verb: str = "written") -> Iterator[None]:
        """Turn what the library raises into a ValueError that names the directory."""
        try:
            yield
        except (ValueError, OSError) as error:
            raise ValueError(f"checkpoints in {self.directory} cannot be {verb}: {short(error)}") from error


class _OtherArrays(ValueError):
    """Arrays that are read, and are not those that were written."""


def _written(checkpoint: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Read shape and dtype of every array of a checkpoint from its own tables; none where those cannot tell."""
    try:
        leaves = _by_name(tables_of(checkpoint / "state"))
        return {name: (tuple(leaf.shape), np.dtype(leaf.dtype)) for name, leaf in leaves.items()}
    except Exception:  # of any kind, as in reading
        return {}


def _by_name(tree: Any) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _in_words(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else f"of shape {shape}"


def _with_dtype(leaf: Any, dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=getattr(leaf, "sharding", None))


def _parts(state: Any, beside: dict[str, Any]) -> dict[str, Any]:
    return {
        "state": ocp.args.StandardSave(state),
        "sums": ocp.args.StandardSave(sums(state)),
        "beside": ocp.args.JsonSave(beside),
    }


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _key_data(state: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, state)
