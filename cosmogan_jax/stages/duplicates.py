"""Are maps of a set the same map? What evaluate says of generated maps beside real ones.

results.json's `duplicates`:

  maps, real_maps       looked at, spread evenly over their sets; shrunk to some 32 pixels: a copy stays one
  pairs, collisions     of generated maps, and how many of these are nearer than half of what real maps of
                        different units show at least (`compare/birthday.py`)
  real_pairs, real_collisions
  status                none, collisions, as real (no more than real maps show), no yardstick
  support_above         95 % lower limit on the number of distinct maps
Copies that are turned, mirrored or shifted are looked for by stage novelty.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare.birthday import judge_birthday, nearest_others
from cosmogan_jax.compare.distances import copy_distance
from cosmogan_jax.stages.map_sets import MapSet

_MOST, _PIXELS, _AT_ONCE = 4096, 32, 256
_FRACTION = 0.5


def judge(generated: MapSet, real: MapSet, units: np.ndarray) -> dict[str, Any]:
    """The entry; units: what each real map counts with as one, of which no two are compared."""
    ours, _ = _shrunk(generated)
    theirs, index = _shrunk(real)
    said = {"maps": len(ours), "real_maps": len(theirs)}
    if len(np.unique(units[index])) < 2:
        return said | {"status": "no yardstick", "support_above": None}
    of_real = nearest_others(lambda a, b: theirs[a:b], len(theirs), parents=units[index])
    limit = copy_distance(of_real.distance, _FRACTION)
    of_ours = nearest_others(lambda a, b: ours[a:b], len(ours), within=limit)
    found = judge_birthday(of_real, [of_ours], _FRACTION)
    kept = ("pairs", "collisions", "real_pairs", "real_collisions", "status", "support_above")
    return said | {name: getattr(found, name) for name in kept}


def _shrunk(maps: MapSet) -> tuple[Float[np.ndarray, "some small small"], np.ndarray]:
    """Some of the maps, averaged over squares of pixels, and their numbers."""
    count = min(_MOST, maps.num_maps)
    index = np.arange(count) * maps.num_maps // count
    block = max(1, maps.geometry.num_pixels // _PIXELS)
    size = maps.geometry.num_pixels // block
    parts = []
    for start in range(0, maps.num_maps, _AT_ONCE):
        inside = index[(index >= start) & (index < start + _AT_ONCE)]
        if len(inside):
            kappa = maps.read(start, min(start + _AT_ONCE, maps.num_maps))[inside - start]
            kappa = np.asarray(kappa, np.float32)[:, : size * block, : size * block]
            parts.append(kappa.reshape(-1, size, block, size, block).mean((2, 4)))
    return np.concatenate(parts), index
