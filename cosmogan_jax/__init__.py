"""CosmoGAN in JAX: an emulator of weak-lensing convergence maps (Mustafa et al. 2019).

    import cosmogan_jax

    cosmogan_jax.names()                         # emulators that come trained with the package
    kappa = cosmogan_jax.load("planes-z0.99-64").sample(seed=0, num_maps=4)
    cosmogan_jax.run(workdir="runs/mine", maps="sims/*.fits")      # the command line, as a function

Importing this package imports neither JAX nor matplotlib; `load`, `names` and `run` do when they are asked for.
Beside them import the subpackage you need: `emulators` (networks, training, sampling), `summaries` (per-map
statistics), `compare` (two ensembles), `sky` (convergence maps from theory and simulations), `maps` (map
store, crops, map formats), `runs` (run directories, checkpoints).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosmogan_jax.main import run
    from cosmogan_jax.pretrained import GalaxyNoise, load, names

__version__ = "0.1.0"
__all__ = ["GalaxyNoise", "load", "names", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = "cosmogan_jax.main" if name == "run" else "cosmogan_jax.pretrained"
        return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
