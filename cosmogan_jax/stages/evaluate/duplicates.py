"""Duplicates: are maps of a set the same map, or more like each other than real ones are?

results.json's `duplicates`:

  maps, real_maps       looked at, spread evenly over their sets; shrunk to some 32 pixels: a copy stays one
  pairs, collisions     of generated maps, and how many of these are nearer than half of what real maps of
                        different units show at least (`compare/novelty/birthday.py`)
  real_pairs, real_collisions
  status                none, collisions, as real (no more than real maps show), no yardstick
  outcome               pass, fail, or the status where there is no yardstick
  support_above         95 % lower limit on the number of distinct maps
Copies that are turned, mirrored or shifted are looked for by stage novelty.

results.json's `similarity`, by set: mean and standard_error of the multi-scale structural similarity of random
pairs of its maps, and their number. Above that of real maps: a generator that makes too few different maps, as
conditional GANs quote it. None of maps that are smaller than its window.
"""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from cosmogan_jax.compare.novelty.birthday import judge_birthday, nearest_others
from cosmogan_jax.compare.novelty.distances import copy_distance
from cosmogan_jax.compare.parents import generator, one_of_each
from cosmogan_jax.maps.sets import MapSet, spread_over
from cosmogan_jax.side_by_side import jit_on_one_thread
from cosmogan_jax.summaries.structural_similarity import WINDOW_PIXELS, ms_ssim

_MOST, _PIXELS = 4096, 32
_FRACTION = 0.5
_OUTCOMES = {"none": "pass", "as real": "pass", "collisions": "fail"}
_PAIRS, _ALIKE_AT_ONCE, _SEED = 256, 16, 0


def judge(
    generated: MapSet, real: MapSet, units: np.ndarray, seeds: np.ndarray | None = None
) -> dict[str, Any]:
    """Return the entry; units: what each real map counts with as one, of which no two are compared.

    seeds: of generated maps of several cosmologies, which of them are of one seed, and near copies by right.
    """
    ours, numbers = _shrunk(generated)
    theirs, index = _shrunk(real)
    entry = {"maps": len(ours), "real_maps": len(theirs)}
    if len(np.unique(units[index])) < 2:
        return entry | {"status": "no yardstick", "outcome": "no yardstick", "support_above": None}
    of_real = nearest_others(lambda a, b: theirs[a:b], len(theirs), parents=units[index])
    limit = copy_distance(of_real.distance, _FRACTION)
    same = None if seeds is None else seeds[numbers]
    of_ours = nearest_others(lambda a, b: ours[a:b], len(ours), parents=same, within=limit)
    verdict = judge_birthday(of_real, [of_ours], _FRACTION)
    kept = ("pairs", "collisions", "real_pairs", "real_collisions", "status", "support_above")
    entry |= {name: getattr(verdict, name) for name in kept}
    return entry | {"outcome": _OUTCOMES.get(verdict.status, verdict.status)}


def similarity(sets: list[MapSet], units: dict[str, np.ndarray], data_range: float) -> dict[str, Any] | None:
    """Return the entry; pairs are of different units, and no map is in two of them. data_range: of kappa."""
    if sets[0].geometry.num_pixels < WINDOW_PIXELS:
        return None
    alike = jit_on_one_thread(functools.partial(ms_ssim, data_range=data_range))
    entry: dict[str, Any] = {}
    for maps in sets:
        index = one_of_each(units[maps.name], _SEED)
        pairs = generator(_SEED, 2).permutation(index)
        pairs = pairs[: min(len(pairs) // 2, _PAIRS) * 2].reshape(-1, 2)
        if len(pairs) < 2:
            entry[maps.name] = None
            continue
        kappa = [np.concatenate([maps.read(int(n), int(n) + 1) for n in side]) for side in pairs.T]
        parts = [
            np.asarray(
                alike(*(jnp.asarray(side[start : start + _ALIKE_AT_ONCE], jnp.float32) for side in kappa))
            )
            for start in range(0, len(pairs), _ALIKE_AT_ONCE)
        ]
        values = np.concatenate(parts).astype(np.float64)
        entry[maps.name] = {
            "mean": float(values.mean()),
            "standard_error": float(values.std(ddof=1) / np.sqrt(len(values))),
            "pairs": len(values),
        }
    return entry


def _shrunk(maps: MapSet) -> tuple[Float[np.ndarray, "some small small"], np.ndarray]:
    """Return some of the maps, averaged over squares of pixels, and their numbers."""
    block = max(1, maps.geometry.num_pixels // _PIXELS)
    size = maps.geometry.num_pixels // block
    parts, numbers = [], []
    for kappa, index in spread_over(maps.read, maps.num_maps, _MOST):
        whole = kappa[:, : size * block, : size * block].reshape(-1, size, block, size, block)
        parts.append(whole.mean((2, 4)))
        numbers.append(index)
    return np.concatenate(parts), np.concatenate(numbers)
