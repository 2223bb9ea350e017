"""Three emulators that must not pass, and the trained one that they are made of, judged by stage evaluate.

    python -m cosmogan_jax.main --flagfile=experiments/019-lognormal-gan/run.flags
    python experiments/021-negative-controls/controls.py --run=runs/lognormal-gan --workdir=runs/controls

untrained   a network at its start: one step at a rate that no weight of float32 feels
tenth       a training that ends after a tenth of its steps; the rates' schedule stays
scaled      the trained emulator's maps times sqrt(1.1 P_validation / P) about their mean, P the variance of
            pixels about a map's own mean, which is its power in all modes but the zeroth
trained     the emulator of the run as it is, for comparison

Every control is a run directory of its own, in which the folders that it shares with the run are links; a call
that is repeated goes on with what is there. A control is caught if its outcome is fail, and if it fails in
something that the trained emulator does not fail in, or the classifier tells it better (95 % intervals apart):
else its failure would be that of the trained emulator. Ends with 1 where one is not caught.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.maps.store_writing import write_map_store

ROOT = Path(__file__).resolve().parents[2]
NO_RATE = 1e-30
SHARE_OF_STEPS = 0.1
POWER = 1.10
CLASSIFIER = "a classifier that is trained to tell them apart"


class Judged(NamedTuple):
    """What evaluate says of one emulator: names of what fails, and the classifier's AUC with its interval."""

    outcome: str
    fails: tuple[str, ...]
    auc: float
    auc_interval: tuple[float, float]
    power: tuple[float, ...]


def judge(run: Path, folder: Path, shared: tuple[str, ...], *flags: str) -> Judged:
    """Run a control's stages by the command line, with the run's flags, and read what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{folder.name}: {' '.join(flags)}", flush=True)
    for stage in shared:
        if not (folder / stage).exists():
            (folder / stage).symlink_to((run / stage).resolve(), target_is_directory=True)
    command = [sys.executable, "-m", "cosmogan_jax.main", f"--flagfile={run / 'flags.txt'}"]
    with open(folder / "log.txt", "ab") as log:
        done = subprocess.run([*command, f"--workdir={folder}", *flags], cwd=ROOT, stdout=log, stderr=log)
    if done.returncode:
        raise SystemExit(f"{folder.name} ended with {done.returncode}: see {folder / 'log.txt'}")
    found = json.loads((folder / "evaluate/results.json").read_text())
    said, classifier = found["overall"], found["classifier"]
    if classifier is None or "refused" in classifier:
        raise SystemExit(
            f"{folder.name}: no classifier was trained, and without one controls cannot be compared"
        )
    # Of maps from files it is not known what they were trained on.
    fails = tuple(name.removesuffix(" (trained on)") for name in said["fails"])
    auc = classifier["generated"]["auc"]
    return Judged(said["outcome"], fails, auc["value"], tuple(auc["interval_95"]), power_ratio(folder))


def power_ratio(folder: Path) -> tuple[float, ...]:
    """Mean power of generated maps over validation maps, in evaluate's bands."""
    table = {
        name: np.load(folder / f"evaluate/{name}.npz")["power_bands"] for name in ("generated", "validation")
    }
    return tuple((table["generated"].mean(0) / table["validation"].mean(0)).tolist())


def scale(run: Path, path: Path) -> None:
    """The run's maps about their mean, with 1.1 times the power of its validation maps, as a store."""
    made, table = open_map_store(run / "generate/maps"), open_crop_table(run / "prepare")
    real = table.cut(table.choose("validation", made.num_maps))[..., 0]
    total = {"validation": total_power(real)}
    parts = [(total_power(kappa), len(kappa), kappa.sum(dtype=np.float64)) for kappa in made.batches()]
    total["generated"] = sum(power * count for power, count, _ in parts) / made.num_maps
    mean = sum(pixels for *_, pixels in parts) / np.prod(made.array.shape)
    factor = np.sqrt(POWER * total["validation"] / total["generated"])
    print(
        f"scaled: P / P_validation was {total['generated'] / total['validation']:.4f}, factor {factor:.4f}",
        flush=True,
    )

    def batches() -> Iterator[np.ndarray]:
        for kappa in made.batches():
            yield (mean + factor * (kappa - mean)).astype(np.float32)

    kept = ("source_redshift", "splits", "parents", "origin")
    manifest = {name: made.manifest.content[name] for name in kept}
    write_map_store(path, batches(), made.num_maps, made.geometry, manifest)


def total_power(kappa: np.ndarray) -> float:
    """Variance of the pixels about each map's own mean, averaged over maps."""
    flat = kappa.reshape(len(kappa), -1).astype(np.float64)
    return float(flat.var(axis=1).mean())


def caught(control: Judged, trained: Judged) -> bool:
    """Whether it fails, and not only as the trained emulator does."""
    other = set(control.fails) - set(trained.fails)
    told_better = CLASSIFIER in control.fails and control.auc_interval[0] > trained.auc_interval[1]
    return control.outcome == "fail" and bool(other or told_better)


def table(found: dict[str, Judged]) -> str:
    """What came of each, in Markdown."""
    lines = [
        "| emulator | outcome | power, 12 bands | fails | AUC (95 %) | caught |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        power = f"{min(one.power):.2f} to {max(one.power):.2f}"
        auc = f"{one.auc:.3f} ({one.auc_interval[0]:.3f} to {one.auc_interval[1]:.3f})"
        is_caught = "" if name == "trained" else "yes" if caught(one, found["trained"]) else "NO"
        cells = (name, one.outcome, power, f"{len(one.fails)}: " + "; ".join(one.fails), auc, is_caught)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Judge all four and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a finished run of stages simulate to train")
    parser.add_argument("--workdir", type=Path, required=True)
    asked = parser.parse_args()
    run, workdir, began = asked.run.resolve(), asked.workdir.resolve(), time.monotonic()
    steps = json.loads((run / "train/stage.json").read_text())["summary"]["steps"]
    data, anew = ("simulate", "prepare"), "--stages=train,generate,evaluate"
    maps = workdir / "scaled/maps"
    if not (maps / "manifest.json").exists():
        scale(run, maps)
    been = tuple(stage for stage in ("train", "generate", "evaluate") if (run / stage / "stage.json").exists())
    side = f"--judged_side_deg={open_map_store(maps).geometry.side_deg}"
    found = {
        "untrained": judge(
            run, workdir / "untrained", data, anew, f"--learning_rate={NO_RATE}", "--num_steps=1"
        ),
        "tenth": judge(run, workdir / "tenth", data, anew, f"--num_steps={round(SHARE_OF_STEPS * steps)}"),
        "scaled": judge(run, workdir / "scaled", data, "--stages=evaluate", f"--generated={maps}", side),
        "trained": judge(run, workdir / "trained", (*data, *been), "--stages=evaluate"),
    }
    results: dict[str, Any] = {name: one._asdict() for name, one in found.items()}
    (workdir / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"{table(found)}\n\n{time.monotonic() - began:.0f} s")
    passed = [name for name in found if name != "trained" and not caught(found[name], found["trained"])]
    if passed:
        raise SystemExit(f"not caught: {', '.join(passed)}")


if __name__ == "__main__":
    main()
