"""CosmoGAN in JAX: an emulator of weak-lensing convergence maps (Mustafa et al. 2019).

Importing this package imports neither JAX nor matplotlib; import the subpackage you need:
`gan` (networks, train step, sampling), `summaries` (per-map statistics), `compare` (two ensembles),
`sky` (convergence maps from theory and simulations), `storage` (map store, map formats, runs).
"""

__version__ = "0.1.0"
