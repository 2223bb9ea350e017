"""Readers of convergence maps in the forms users have them; `open_map_file` and `find_map_files` choose."""

from cosmogan_jax.storage.readers.detect import find_map_files, open_map_file
from cosmogan_jax.storage.readers.map_file import MapFile, ReadOptions, as_kappa

__all__ = ["MapFile", "ReadOptions", "as_kappa", "find_map_files", "open_map_file"]
