"""Does it matter whether validation crops come from maps apart, or from the maps that were trained on?

Trains the same networks both ways (100 maps; 80/10/10 by map, or crops of all maps), with three seeds each, and
measures every generator twice: against its own validation crops, and against crops of 100 maps that no
training has seen. Needs nothing but the repository; goes on where it was cut off.

    python experiments/006-split/compare.py
"""

import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np

from cosmogan_jax.compare.scores.spectrum_distance import spectrum_chi2
from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.map_files import write_npy_maps
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.runs.directory import versions
from cosmogan_jax.summaries import PAPER_THRESHOLDS, minkowski_functionals, power_spectrum

HERE, WORK = Path(__file__).parent, Path("runs/split")
SEEDS, SPLITS, MAPS = (1, 2, 3), ("map", "crops"), 100


def main():
    cosmogan(
        f"--workdir={WORK}/sky", "--stages=simulate", "--sky=lognormal", "--map_pixels=256", "--side_deg=3.5",
        f"--num_train_maps={MAPS}", "--num_development_maps=1", "--num_validation_maps=1",
        f"--num_auxiliary_maps={MAPS}",
    )  # fmt: skip
    kappa = open_map_store(WORK / "sky/simulate/maps").read()[..., 0]
    for name, maps in (("main", kappa[:MAPS]), ("unseen", kappa[-MAPS:])):
        write_npy_maps(WORK / f"{name}.npy", [maps], maps.shape)
    rows = []
    for seed in SEEDS:
        for split_by in SPLITS:
            workdir = WORK / f"{split_by}-{seed}"
            cosmogan(
                f"--flagfile={HERE}/run.flags", f"--workdir={workdir}", f"--maps={WORK}/main.npy",
                f"--auxiliary_maps={WORK}/unseen.npy", f"--seed={seed}", f"--split_by={split_by}",
            )  # fmt: skip
            rows.append({"split_by": split_by, "seed": seed, **measure(workdir)})
    write(rows)


def cosmogan(*flags):
    subprocess.run([sys.executable, "-m", "cosmogan_jax.main", *flags], check=True)


def measure(workdir):
    """Distances of the generated maps from validation crops of its own and from unseen ones."""
    table = open_crop_table(workdir / "prepare")
    geometry, edges = table.geometry, log_l_edges(table.geometry, 20)

    @jax.jit
    def statistics(maps):
        return (
            power_spectrum(maps, edges, geometry.side_deg, mode_weights="full_plane"),
            minkowski_functionals(maps, PAPER_THRESHOLDS),
        )

    def of(maps):
        power, v = statistics(maps)
        return np.asarray(power, np.float64), {key: np.asarray(value) for key, value in v._asdict().items()}

    generated = of(open_map_store(workdir / "generate/maps").read()[..., 0])
    step = json.loads((workdir / "select/selection.json").read_text())["selected"]
    row = {"step": step}
    middle = np.sqrt(edges[1:] * edges[:-1])
    inner = (middle > 700) & (middle < 7000)
    for name in ("validation", "auxiliary"):
        power, v = of(table.cut(table.choose(name, 1000))[..., 0])
        ratio = generated[0].mean(0) / power.mean(0)
        row[name] = {
            "spectrum_chi2": spectrum_chi2(generated[0], power),
            "mean_abs_log_power_ratio": float(np.abs(np.log(ratio[inner])).mean()),
            "minkowski": float(
                np.mean([np.abs(generated[1][k].mean(0) - v[k].mean(0)).max() / v[k].mean(0).max() for k in v])
            ),
        }
    return row


def write(rows):
    """The table, and what can be said of the difference: its size beside the scatter of seeds."""
    summary = {}
    for name in ("validation", "auxiliary"):
        for key in rows[0][name]:
            by = {s: np.array([row[name][key] for row in rows if row["split_by"] == s]) for s in SPLITS}
            difference = by["crops"] - by["map"]  # seed by seed
            summary[f"{name}.{key}"] = {
                **{s: {"mean": float(x.mean()), "sigma": float(x.std(ddof=1))} for s, x in by.items()},
                "crops_minus_map": float(difference.mean()),
                "its_error": float(difference.std(ddof=1) / np.sqrt(len(difference))),
            }
    content = {
        "command": "python experiments/006-split/compare.py",
        "date": time.strftime("%Y-%m-%d"),
        "hardware": f"{platform.processor() or platform.machine()}, {jax.devices()[0].device_kind}",
        **versions(),
        "runs": rows,
        "summary": summary,
    }
    (HERE / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    for key, value in summary.items():
        print(f"{key:40} map {value['map']['mean']:.4f} ± {value['map']['sigma']:.4f}   crops "
              f"{value['crops']['mean']:.4f} ± {value['crops']['sigma']:.4f}   difference "
              f"{value['crops_minus_map']:+.4f} ± {value['its_error']:.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
