"""What the classifier finds by steps and maps, of power times 1.10, of lognormal maps, and of nothing.

python experiments/017-classifier-budget/run.py --prepare=<stage directory of a run> [--unit=box]
"""

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np

from cosmogan_jax.compare.discrimination.areas import Share, excess_auc
from cosmogan_jax.compare.discrimination.classifier_features import l_edges_of_classifier
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.settings.margins import SETS
from cosmogan_jax.sky.lognormal import lognormal_amplitudes, lognormal_maps
from cosmogan_jax.stages.evaluate.classification import ClassificationSettings, KeptMaps, split, tell_apart
from cosmogan_jax.summaries import power_spectrum

STEPS, MAPS = (100, 300, 1000, 2000), (1500, 3000)
RULES = ("auc", "auc_of_pixels", "auc_of_spectrum", "auc_of_heights")


def crops(prepare, unit, count):
    """Three sets of real maps: to compare with, of other boxes, and of others again, which are changed.

    unit "box": validation, auxiliary and training crops, each with its box. "map": thirds of the training
    crops, each a parent, where all come from one light cone.
    """
    table = open_crop_table(Path(prepare))
    if unit == "map":
        chosen = table.choose("train", 3 * count)
        chosen = chosen[np.random.default_rng(0).permutation(len(chosen))]
        parts = np.array_split(chosen, 3)
    else:
        parts = [table.choose(name, count) for name in ("validation", "auxiliary", "train")]
    boxes = np.array([str(box) for box in table.manifest.boxes])
    labels = [np.arange(len(part)) if unit == "map" else boxes[part[:, 0]] for part in parts]
    return table.geometry, [KeptMaps(table.cut(p)[..., 0], of) for p, of in zip(parts, labels)]


def mean_power(kappa, geometry):
    edges = l_edges_of_classifier(geometry)
    power = power_spectrum(kappa, edges, geometry.side_deg, mode_weights="full_plane")
    return edges, np.asarray(power, np.float64).mean(0)


def lognormal(real, geometry):
    """As many lognormal maps with the mean power of real ones, and the skewness of their pixels.

    Crops of real maps leak power from band to band, and a band's mean is not its middle: the spectrum is
    corrected by what the first thousand maps have, three times.
    """
    pixels = real.kappa.astype(np.float64)
    sigma, skewness = pixels.std(), ((pixels - pixels.mean()) ** 3).mean() / pixels.std() ** 3
    edges, power = mean_power(real.kappa, geometry)
    known = power > 0
    middle = np.log(np.sqrt(edges[1:] * edges[:-1])[known])
    # r = sigma / shift has r^3 + 3 r = skewness.
    root = np.cbrt(np.hypot(skewness / 2, 1) + skewness / 2)
    shift = sigma / (root - 1 / root)

    make = jax.jit(
        lambda index, amplitudes, variance: lognormal_maps(
            jax.random.key(3), index, amplitudes, variance, shift
        )
    )
    wanted, count = power[known], len(real.kappa)
    for correction in range(4):
        told = np.log(wanted)
        field = lognormal_amplitudes(
            lambda ell, told=told: np.exp(np.interp(np.log(ell), middle, told)), geometry, shift
        )
        most = 1000 if correction < 3 else count
        parts = [np.asarray(make(np.arange(i, min(i + 500, most)), *field)) for i in range(0, most, 500)]
        made = np.concatenate(parts)
        wanted = wanted * power[known] / mean_power(made, geometry)[1][known]
    ratio = mean_power(made, geometry)[1][known] / power[known]
    third = ((made - made.mean()) ** 3).mean() / made.std() ** 3
    print(
        f"lognormal: shift {shift:.4f}, mean power over real {ratio.min():.3f} to {ratio.max():.3f}, "
        f"skewness {third:.2f} ({skewness:.2f})"
    )
    return KeptMaps(made, np.arange(count))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prepare", required=True)
    parser.add_argument("--unit", choices=("box", "map"), default="box")
    parser.add_argument("--count", type=int, default=6144, help="maps of each set")
    parser.add_argument("--steps", type=_numbers, default=STEPS)
    parser.add_argument("--maps", type=_numbers, default=MAPS)
    parser.add_argument("--steps_of_maps", type=int, default=1000, help="steps at the smaller numbers of maps")
    parser.add_argument("--planted", default="power x 1.10,lognormal", help="beside nothing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="results.jsonl")
    flags = parser.parse_args()
    geometry, (validation, other, base) = crops(flags.prepare, flags.unit, flags.count)
    print(f"{[len(s.kappa) for s in (validation, other, base)]} maps of {geometry.num_pixels}^2, "
          f"{[len(np.unique(s.parents)) for s in (validation, other, base)]} parents")  # fmt: skip
    makers = {
        "power x 1.10": lambda: KeptMaps(base.kappa * np.float32(np.sqrt(1.1)), base.parents),
        "lognormal": lambda: lognormal(validation, geometry),
    }
    planted = {"nothing": other} | {name: makers[name]() for name in flags.planted.split(",")}
    budgets = [(flags.count, steps) for steps in flags.steps]
    budgets += [(maps, flags.steps_of_maps) for maps in flags.maps]
    for count, steps in budgets:
        few = [_some(s, count) for s in (validation, *planted.values())]
        real, *parts = split(few, flags.seed)
        found = {}
        for name, part in zip(planted, parts):
            start, spent = time.perf_counter(), time.process_time()
            said = tell_apart(part, real, geometry.side_deg, ClassificationSettings(steps, None, flags.seed))
            found[name] = Share(
                said["auc"]["value"], said["auc"]["standard_error"], said["auc"]["degrees_of_freedom"]
            )
            excess = excess_auc(found[name], found["nothing"], SETS["default"].auc)
            line = {
                "prepare": flags.prepare, "unit": flags.unit, "seed": flags.seed, "planted": name, **said,
                "excess": excess._asdict(),
                "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - spent,
            }  # fmt: skip
            with open(flags.out, "a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{count:5d} maps {steps:5d} steps  {name:13s}{_words(line)}", flush=True)


def _numbers(text):
    return tuple(map(int, text.split(","))) if text else ()


def _words(line):
    areas = "  ".join(f"{line[r]['value']:.3f} +- {line[r]['standard_error']:.3f}" for r in RULES)
    excess = "{value:.3f} ({lower:.3f} to {upper:.3f}) {outcome}".format(**line["excess"])
    train, spent = line["accuracy_on_training_maps"], line["cpu_seconds"]
    return f"{areas}  train {train:.3f}  excess {excess}  {line['seconds']:.0f} s, {spent:.0f} of processors"


def _some(maps, count):
    return maps.at(np.unique(np.arange(count) * len(maps.parents) // count))


if __name__ == "__main__":
    main()
