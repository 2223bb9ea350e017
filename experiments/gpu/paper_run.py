"""The long measurements: a box of the paper's size with its maps, and the paper's run in the seconds there are.

    python experiments/gpu/paper_run.py box --out=/tmp/gpu

They run the package by its command line, from experiments/paper/run.flags with fewer boxes and maps.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from telling import Size, Teller, arguments

ROOT = Path(__file__).resolve().parents[2]
RUN_FLAGS = ROOT / "experiments/paper/run.flags"
_SLOW_BOX_S = 45.0  # a box of the paper's size that takes longer makes way for one of an eighth
_HALF_BYTES = 15 * 2**20


def _main(workdir: Path, *flags: str) -> float:
    """Seconds of the package's command line; what it says goes to this process's output."""
    command = [
        sys.executable, "-m", "cosmogan_jax.main", f"--flagfile={RUN_FLAGS}", f"--workdir={workdir}", *flags,
    ]  # fmt: skip
    began = time.monotonic()
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT)
    return time.monotonic() - began


def _sky(size: Size, boxes: Path, particles: int) -> list[str]:
    tiny = size.map_pixels < 1024
    small = ["--box_size=64", "--num_time_steps=6", "--source_redshift=0.1", "--side_deg=6"]
    return [
        f"--boxes_dir={boxes}", f"--num_particles_side={particles}", f"--map_pixels={size.map_pixels}",
        *(small if tiny else []),
    ]  # fmt: skip


def _counts(train: int, maps: int) -> list[str]:
    """Flags: so many boxes to train on and maps of each; one of every other split with a fifth of them."""
    flags = [f"--num_train_boxes={train}", f"--num_train_maps={train * maps}"]
    for split in ("development", "validation", "auxiliary"):
        flags += [f"--num_{split}_boxes=1", f"--num_{split}_maps={max(maps // 5, 4)}"]
    return flags


def box(tell: Teller, args, size: Size) -> None:
    """A box with its planes, then maps through it; goal 60 s for the box."""
    from absl import flags as absl_flags
    from absl import logging  # noqa: F401  whose flags the package reads

    from cosmogan_jax import flags
    from cosmogan_jax.stages.simulate.nbody_sky import make_nbody_sky

    flags.define()
    maps = size.maps_of_a_box
    for particles in (size.particles, size.fallback_particles):
        boxes = args.out / f"boxes_{particles}"
        given = [*_sky(size, boxes, particles), *_counts(1, maps)]
        absl_flags.FLAGS(["box", f"--flagfile={RUN_FLAGS}", f"--workdir={args.out / 'box'}", *given])
        # The first box of the paper's run below, which finds it there.
        counts = {"train": maps, "development": 0, "validation": 0, "auxiliary": 0}
        sky = make_nbody_sky(flags.read().by_stage["simulate"], args.out / "box", counts)
        record = json.loads((boxes / "train_000/box.json").read_text())
        seconds = {what: round(value, 4) for what, value in record["seconds"].items()}
        tell(f"box of {particles}^3 particles", **seconds, device=record["device"])
        (args.out / "particles").write_text(str(particles))
        began = time.monotonic()
        kappa = sky.maps(np.arange(maps), "train")
        seconds = round(time.monotonic() - began, 2)
        tell(f"{maps} maps of {size.map_pixels}^2 through it", seconds=seconds, sigma=float(kappa.std()))
        if record["seconds"]["total"] <= _SLOW_BOX_S:
            break


def _crops(size: Size) -> list[str]:
    each = 200 if size.map_pixels >= 1024 else 4
    return [f"--crop_size={size.map_size}", f"--crops_per_map={each}"]


def _particles(args, size: Size) -> int:
    path = args.out / "particles"
    return int(path.read_text()) if path.is_file() else size.fallback_particles


def paper(tell: Teller, args, size: Size) -> None:
    """Boxes, training for the seconds that are left, selection, evaluation, report; then what is kept of it."""
    began, tiny = time.monotonic(), size.map_pixels < 1024
    particles, workdir = _particles(args, size), args.out / "paper"
    few = [
        "--score_maps=64", "--select_maps=64", "--num_generated=640", "--select_again=5", "--novelty_maps=0",
        "--sample_every_steps=0", "--score_every_steps=0", "--select_from_epoch=0", "--compute_dtype=bfloat16",
        "--checkpoint_every_steps=500", "--log_every_steps=50", "--report_title=The paper's network on a GPU",
        "--num_permutations=499",
    ]  # fmt: skip
    small = [
        "--num_filters=4", "--batch_size=4", "--select_maps=8", "--num_generated=16", "--log_every_steps=2",
        "--compute_dtype=float32", "--checkpoint_every_steps=2", "--select_l_bins=4", "--num_permutations=49",
        "--num_resamples=50", "--observer_smoothing_arcmin=",
    ]  # fmt: skip
    sky = [
        *_sky(size, args.out / f"boxes_{particles}", particles),
        *_counts(1 if tiny else 2, size.maps_of_a_box),
    ]
    flags = [*sky, *_crops(size), *few, *(small if tiny else []), "--select_from_step=0"]
    seconds = _main(workdir, *flags, "--stages=simulate,prepare")
    tell("simulate and prepare", seconds=round(seconds, 1), particles=particles)
    # A fifth of what is left, and a minute, for selection, evaluation and report.
    left = args.seconds - (time.monotonic() - began)
    minutes = 0.02 if tiny else max(0.1, (0.8 * left - 60) / 60)
    seconds = _main(workdir, *flags, "--stages=train", f"--train_minutes={minutes:.3f}")
    trained = json.loads((workdir / "train/stage.json").read_text())["summary"]
    lines = [json.loads(line) for line in (workdir / "train/metrics.jsonl").read_text().splitlines()]
    rates = [line["steps_per_second"] for line in lines[1:] or lines]
    rate = float(np.median(rates))
    tell(
        "train", seconds=round(seconds, 1), steps=trained["steps"], steps_per_second=round(rate, 3),
        compiling_s=trained["seconds_of_compilation"], a_dispatch=trained["steps_per_dispatch"],
        # 1000 maps of 200 crops in batches of 64; the paper scores each step of the last two epochs besides.
        hours_of_47_epochs=round(47 * (200_000 // 64) / rate / 3600, 3),
    )  # fmt: skip
    for stages in ("select,generate", "evaluate", "report"):
        tell(stages, seconds=round(_main(workdir, *flags, f"--stages={stages}"), 1))
        _keep(workdir, args.out / "keep")
    made = json.loads((workdir / "generate/stage.json").read_text())["summary"]
    found = json.loads((workdir / "evaluate/statistics.json").read_text())
    tell(
        "the generator", step=made["step"], seconds_of_1024_maps=made["seconds_of_1024_maps"],
        power_ratio=[None if r is None else round(r, 3) for r in found["power_ratio"]],
    )  # fmt: skip
    seconds = _main(workdir, *flags, "--stages=pack", "--pack=paper", "--pack_dtype=float16",
                    "--pack_data=Our own particle mesh's boxes, experiments/gpu/paper_run.py")  # fmt: skip
    tell("pack", seconds=round(seconds, 1))
    _keep(workdir, args.out / "keep")


def _keep(workdir: Path, keep: Path) -> None:
    """Copies of what is to come back: the page, the results, the metrics, the packed weights in two halves."""
    keep.mkdir(exist_ok=True)
    for name in ("report/report.html", "evaluate/results.json", "train/metrics.jsonl", "pack/paper/card.json"):
        if (workdir / name).is_file():
            (keep / f"paper-{Path(name).name}").write_bytes((workdir / name).read_bytes())
    weights = workdir / "pack/paper/weights.npz"
    if weights.is_file():
        whole = weights.read_bytes()
        half = -(-len(whole) // 2)
        if half > _HALF_BYTES:
            raise SystemExit(f"halves of {half} bytes do not come back")
        for n in (0, 1):
            # Of the file itself: joined again they are it, with the checksum that the card names.
            (keep / f"paper-weights.npz.{n}").write_bytes(whole[n * half : (n + 1) * half])


TASKS = {"box": box, "paper": paper}

if __name__ == "__main__":
    task, args, size = arguments(TASKS)
    task(Teller(args.out, args.task), args, size)
