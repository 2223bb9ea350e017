"""Two ensembles of maps side by side.

`judge_maps` judges arrays of maps as stage evaluate judges a run's. It is made of what stands above this
package (`cosmogan_jax/judging.py`), and comes when it is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosmogan_jax.judging import MapsVerdict, judge_maps

__all__ = ["MapsVerdict", "judge_maps"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("cosmogan_jax.judging"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
