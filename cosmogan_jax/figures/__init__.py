"""Figures by matplotlib and the report page; no JAX.

Files are drawn by canvases that `files.py` names, and no window is opened: MPLBACKEND has no say. It is a
notebook's own in all that a notebook starts, and matplotlib would end over one that it cannot find.
"""

import contextlib
import os

_said = os.environ.pop("MPLBACKEND", None)
try:
    with contextlib.suppress(ModuleNotFoundError):  # sheets.py says how it is installed
        import matplotlib  # noqa: F401
finally:
    if _said is not None:
        os.environ["MPLBACKEND"] = _said
