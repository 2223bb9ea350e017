"""Checkpoints of a training run, by Orbax: numbered by step, written atomically, never unpickled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
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
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any) -> None:
        """Write a state (a pytree of arrays and PRNG keys) and wait until it is on the disk."""
        self._manager.save(step, args=ocp.args.StandardSave(_key_data(state)))
        self._manager.wait_until_finished()

    def restore(self, step: int, like: Any) -> Any:
        """The state of a step, in the structure of `like`.

        Raises:
          ValueError: no such checkpoint, or one that cannot be read.
        """
        if step not in self.steps():
            raise ValueError(
                f"no checkpoint of step {step} in {self.directory}; there are {list(self.steps())}"
            )
        template = jax.tree.map(ocp.utils.to_shape_dtype_struct, _key_data(like))
        try:
            data = self._manager.restore(step, args=ocp.args.StandardRestore(template))
        except (ValueError, FileNotFoundError, KeyError) as error:
            raise ValueError(f"checkpoint {step} in {self.directory} cannot be read: {error}") from error
        return jax.tree.map(
            lambda leaf, ref: jax.random.wrap_key_data(leaf) if _is_key(ref) else leaf, data, like
        )

    def close(self) -> None:
        """Free what the manager holds."""
        self._manager.close()


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _key_data(state: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, state)
