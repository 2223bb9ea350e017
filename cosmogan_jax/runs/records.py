"""The record that a whole stage leaves of itself, stage.json."""

import dataclasses
from typing import Any, Self

from cosmogan_jax.files.json_files import check_object

_REQUIRED = {"flags": dict, "inputs": dict, "summary": dict, "result": str, "finished": str}


@dataclasses.dataclass(frozen=True)
class StageRecord:
    """What was done, of what, and by what.

    Attributes:
      flags: those that change the result, of the stage and of all that it builds on.
      inputs: marks of the results that it read, by stage or by the flag that named files.
      summary: what the stage tells of its result.
      result: the mark of its own result.
      finished: date and time of its end.
      seconds: how long its last run took.
      versions, commit, machine: what computed it; empty or None where that was not recorded.
    """

    flags: dict[str, Any]
    inputs: dict[str, Any]
    summary: dict[str, Any]
    result: str
    finished: str
    seconds: float = 0.0
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    commit: str | None = None
    machine: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, content: Any, where: Any) -> Self:
        """Check what stage.json holds; ValueError names a field that is missing or of another type."""
        check_object(content, _REQUIRED, where)
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in names})
