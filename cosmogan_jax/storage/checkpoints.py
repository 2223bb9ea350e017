"""Checkpoints of a training run, by Orbax: numbered by step, written atomically, never unpickled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp


class Checkpoints:
    """The checkpoints under one directory."""

    def __init__(self, directory: Path):
        self.directory = Path(directory).resolve()
        self._manager = ocp.CheckpointManager(
            self.directory, options=ocp.CheckpointManagerOptions(max_to_keep=None, create=True)
        )

    def steps(self) -> Sequence[int]:
        """Steps of all whole checkpoints, ascending."""
        self._manager.wait_until_finished()
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, beside: dict[str, Any] | None = None) -> None:
        """Begin to write a state (a pytree of arrays and PRNG keys); the other methods wait for it.

        `beside` is written with it, as JSON. The state may be donated to the next step: what is written is a
        copy of it.
        """
        # On a CPU the writer would otherwise read the very memory that the next step overwrites.
        copied = jax.tree.map(jnp.copy, _key_data(state))
        parts = {"state": ocp.args.StandardSave(copied), "beside": ocp.args.JsonSave(beside or {})}
        self._manager.save(step, args=ocp.args.Composite(**parts))

    def restore(self, step: int, like: Any) -> Any:
        """The state of a step, in the structure of `like`.

        Raises:
          ValueError: no such checkpoint, or one that cannot be read.
        """
        template = jax.tree.map(ocp.utils.to_shape_dtype_struct, _key_data(like))
        data = self._read(step, "state", ocp.args.StandardRestore(template))
        return jax.tree.map(
            lambda leaf, ref: jax.random.wrap_key_data(leaf) if _is_key(ref) else leaf, data, like
        )

    def beside(self, step: int) -> dict[str, Any]:
        """What was saved beside the state of a step.

        Raises:
          ValueError: no such checkpoint, or one that cannot be read.
        """
        return self._read(step, "beside", ocp.args.JsonRestore())

    def _read(self, step: int, part: str, how: Any) -> Any:
        if step not in self.steps():
            raise ValueError(
                f"no checkpoint of step {step} in {self.directory}; there are {list(self.steps())}"
            )
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**{part: how}))[part]
        except (ValueError, FileNotFoundError, KeyError) as error:
            raise ValueError(f"checkpoint {step} in {self.directory} cannot be read: {error}") from error

    def delete(self, step: int) -> None:
        """Remove the checkpoint of a step."""
        self._manager.wait_until_finished()
        self._manager.delete(step)

    def close(self) -> None:
        """Wait until all is on the disk, and free what the manager holds."""
        self._manager.wait_until_finished()
        self._manager.close()


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _key_data(state: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, state)
