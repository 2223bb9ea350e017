"""Which designs let a perfect emulator pass, and convict one that is off by two margins.

python experiments/018-designs/run.py [--trials=20] [--only=<design>] [--out=<json>]

Maps are lognormal, 64x64 pixels of 0.82 arcmin, with the convergence spectrum of the paper's cosmology and the
skewness of N-body maps. Maps of one box
share an amplitude that scatters by 2.5 % from box to box, so that a box leaves 5 % in every band power however
many maps are cut from it, as boxes of 120 Mpc/h do; generated maps have each its own. A pool of statistics is
computed once; every trial draws its boxes and maps from it and judges them with the default margins.
"""

import argparse
import json
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax import keys
from cosmogan_jax.compare.effects.quantities import MapSet, Quantity
from cosmogan_jax.compare.effects.verdict import judge
from cosmogan_jax.compare.scales import scales
from cosmogan_jax.compare.statistics import STATISTICS, measure, num_modes
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.settings.margins import SETS
from cosmogan_jax.side_by_side import SideBySide, jit_on_one_thread
from cosmogan_jax.sky.limber import convergence_power
from cosmogan_jax.sky.lognormal import lognormal_amplitudes, lognormal_maps

SIZE, SIDE_DEG, SOURCE_REDSHIFT = 64, 0.875, 1.0
SHIFT = 0.04  # of the lognormal field: the skewness of N-body maps
BOXES, CROPS, SINGLE = 320, 50, 20_000
BOX_SCATTER = 0.025
MARGINS = SETS["default"]


class Design(NamedTuple):
    """Generated maps, boxes and crops of each in the validation and in the auxiliary set."""

    generated: int
    boxes: int
    crops: int


DESIGNS = {
    "40 boxes x 25": Design(10_000, 40, 25),
    "100 boxes x 50": Design(20_000, 100, 50),
    "130 boxes x 50": Design(20_000, 130, 50),
    "4000 maps": Design(12_000, 4000, 1),
    "40 boxes x 50": Design(20_000, 40, 50),
    "1000 maps": Design(10_000, 1000, 1),
}


def pool(log):
    """Statistics of single maps and of maps by box."""
    geometry, key = MapGeometry(SIZE, SIDE_DEG), keys.key(18, "sky")
    amplitude, variance = lognormal_amplitudes(
        lambda ell: convergence_power(ell, SOURCE_REDSHIFT), geometry, SHIFT
    )
    amplitude = jnp.asarray(amplitude, jnp.float32)
    scatter = np.random.Generator(np.random.Philox(key=[18, 0])).normal(size=BOXES + SINGLE)
    factor = np.exp(BOX_SCATTER * np.concatenate([np.repeat(scatter[:BOXES], CROPS), scatter[BOXES:]]))

    @jax.jit
    def draw(index, factor):
        return lognormal_maps(key, index, amplitude, variance, SHIFT) * factor[:, None, None]

    reference = np.asarray(draw(jnp.arange(10**6, 10**6 + 256), jnp.ones(256)))
    scale = scales(reference, geometry, 12)
    judged = [row for row in STATISTICS.values() if row.judged]
    seen, modes = jit_on_one_thread(lambda kappa: measure(kappa, scale.edges(), geometry)), num_modes(scale)

    def some(start):
        index = np.arange(start, min(start + 64, len(factor)))
        found = seen(draw(jnp.asarray(index), jnp.asarray(factor[index], jnp.float32)))
        return {row.name: np.asarray(found[row.name])[:, : modes[row.name]] for row in judged}

    parts = []
    starts = list(range(0, len(factor), 64))
    by = SideBySide(some)
    for at in range(0, len(starts), 64):
        parts += by(starts[at : at + 64])
        log(f"pool: {min(starts[at] + 4096, len(factor))} of {len(factor)} maps")
    values = {row.name: np.concatenate([part[row.name] for part in parts]) for row in judged}
    skewness = float((((reference - reference.mean()) / reference.std()) ** 3).mean())
    varies = {name: (np.abs(of - np.median(of, 0)) > 0).mean(0) > 0.02 for name, of in values.items()}
    quantities = [
        Quantity(row.name, tuple(np.array(row.labels(scale))[varies[row.name]]), row.mean_unit, row.covariance)
        for row in judged
        if varies[row.name].any()
    ]
    return {name: of[:, varies[name]] for name, of in values.items()}, quantities, skewness


def sets_of(trial, design, values):
    """Generated, validation and auxiliary maps of a trial."""
    rng = np.random.Generator(np.random.Philox(key=[trial, 1]))
    single = BOXES * CROPS + rng.permutation(SINGLE)
    chosen = [single[: design.generated]]
    if design.crops == 1:
        rest = single[design.generated :]
        chosen += [rest[: design.boxes], rest[design.boxes : 2 * design.boxes]]
        labels = [np.arange(design.boxes)] * 2
    else:
        boxes = rng.permutation(BOXES)
        for part in (boxes[: design.boxes], boxes[design.boxes : 2 * design.boxes]):
            crops = [rng.permutation(CROPS)[: design.crops] for _ in part]
            chosen.append(np.concatenate([box * CROPS + some for box, some in zip(part, crops)]))
        labels = [np.repeat(np.arange(design.boxes), design.crops)] * 2
    labels = [np.arange(design.generated), *labels]
    return [MapSet({name: of[at] for name, of in values.items()}, by) for at, by in zip(chosen, labels)]


def spoilt(generated, quantity, effect, rng):
    """Generated maps of which one effect of one statistic is off by twice its margin."""
    x = generated.values[quantity.name]
    if effect == "mean":
        unit = MARGINS.mean * x.mean(0) if quantity.mean_unit == "mean" else MARGINS.mean_in_scatter * x.std(0)
        x = x + 2 * unit
    elif effect == "scatter":
        x = x.mean(0) + (x - x.mean(0)) * (1 + 2 * MARGINS.scatter)
    elif effect == "correlation":
        # So much is added to all bands in common that correlations of 0.4 grow by 0.1 on average.
        part = rng.normal(size=(len(x), 1))
        x = x.mean(0) + (np.sqrt(0.83) * (x - x.mean(0)) + np.sqrt(0.17) * part * x.std(0))
    else:
        # Off-diagonal covariances times 0.8: a part of every map's deviation is drawn from other maps.
        off = x - x.mean(0)
        other = np.stack([rng.permutation(off[:, band]) for band in range(off.shape[1])], 1)
        x = x.mean(0) + np.sqrt(0.8) * off + np.sqrt(0.2) * other
    return MapSet({quantity.name: x}, generated.parents)


def main():
    """Run all designs and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--only")
    parser.add_argument("--out", default="runs/designs.json")
    given = parser.parse_args()
    began = time.time()

    def log(text):
        print(f"{time.time() - began:6.0f} s  {text}", flush=True)

    values, quantities, skewness = pool(log)
    required = [q for q in quantities if STATISTICS[q.name].required]
    log(f"skewness {skewness:.2f}; judged {', '.join(q.name for q in quantities)}")
    results = {}
    for name, design in DESIGNS.items():
        if given.only and name != given.only:
            continue
        passed, failed, joint, convicted, needed, reach = {}, {}, [], {}, {}, {}
        for trial in range(given.trials):
            sets = sets_of(trial, design, values)
            found = judge(*sets, quantities, margins=MARGINS, seed=trial, num_resamples=given.resamples)
            for one in found:
                key = f"{one.quantity}: {one.name}"
                passed.setdefault(key, []).append(one.outcome == "pass")
                failed.setdefault(key, []).append(one.outcome == "fail")
                reach.setdefault(key, []).append(one.reach)
                if one.needs is not None:
                    needed[key] = one.needs.in_words()
            names = {q.name for q in required}
            joint.append(all(one.outcome == "pass" for one in found if one.quantity in names))
            if trial < max(4, given.trials // 2):
                rng = np.random.Generator(np.random.Philox(key=[trial, 2]))
                quantity = required[trial % len(required)]
                for effect in ("mean", "scatter", *(("correlation", "covariance slope") * quantity.covariance)):
                    bad = spoilt(sets[0], quantity, effect, rng)
                    said = judge(bad, *sets[1:], [quantity], margins=MARGINS, seed=trial,
                                 num_resamples=given.resamples)  # fmt: skip
                    of = next(one for one in said if one.name == effect)
                    convicted.setdefault(effect, []).append(of.outcome == "fail")
        results[name] = {
            "design": design._asdict(),
            "joint": float(np.mean(joint)),
            "passed": {key: float(np.mean(of)) for key, of in passed.items()},
            "failed_anywhere": float(np.mean(np.any(list(failed.values()), axis=0))),
            "convicted": {effect: float(np.mean(of)) for effect, of in convicted.items()},
            "reach": {key: float(np.median(of)) for key, of in reach.items()},
            "needs": needed,
        }
        log(f"{name}: all that is required passes in {100 * np.mean(joint):.0f} %; anything fails in "
            f"{100 * results[name]['failed_anywhere']:.0f} %; twice the margin convicted: "
            f"{results[name]['convicted']}")  # fmt: skip
        for key, of in results[name]["passed"].items():
            if of < 1:
                log(f"    {key}: passes in {100 * of:.0f} %, needs {needed.get(key)}")
        with open(given.out, "w") as file:
            json.dump({"trials": given.trials, "skewness": skewness, "designs": results}, file, indent=1)


if __name__ == "__main__":
    main()
