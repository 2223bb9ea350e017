"""JSON files that are either whole or not there."""

import json
from pathlib import Path
from typing import Any

from cosmogan_jax.storage.whole_files import write_text


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole; ValueError where it cannot be written."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read one JSON file; ValueError names a file that is not JSON."""
    try:
        return json.loads(Path(path).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not a JSON file: {error}") from error
