"""Readers of convergence maps in the forms users have them (`table.py`): finding files, and opening them."""

from cosmogan_jax.maps.formats.detect import check_options, open_map_file, open_mask_file
from cosmogan_jax.maps.formats.find import find_map_files
from cosmogan_jax.maps.formats.map_file import MapFile, ReadOptions, as_kappa

__all__ = [
    "MapFile",
    "ReadOptions",
    "as_kappa",
    "check_options",
    "find_map_files",
    "open_map_file",
    "open_mask_file",
]
