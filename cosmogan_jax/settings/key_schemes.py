"""Ways in which a seed becomes a key, by number; `keys.py` makes the keys. No JAX: records are read without."""

from typing import Any

# 1: as before the scheme was recorded. 2: a root for each seed and purpose.
SCHEMES = (1, 2)
SCHEME = 2  # of what is begun today


def recorded_scheme(record: dict[str, Any], where: Any) -> int:
    """Return the scheme that a run's or a card's record tells; the first one where it tells none.

    Raises:
      ValueError: one that this version does not know.
    """
    scheme = record.get("keys", 1)
    if isinstance(scheme, bool) or scheme not in SCHEMES:
        raise ValueError(f"{where}: keys={scheme!r} is a scheme of another version")
    return int(scheme)
