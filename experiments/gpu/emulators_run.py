"""Kinds beyond the paper's on skies that a CPU does not make: boxes, trainings, verdicts, and what is kept.

    python experiments/gpu/emulators_run.py coarse --seconds=480 --out=/tmp/gpu

Two skies of 120 Mpc/h boxes: coarse (128^3 particles, 0.82 arcmin pixels, maps of 128^2) and fine (256^3, 0.203
arcmin, 256^2), as many boxes as fit into their seconds. On each the lognormal GAN is trained in several ways,
side by side, and one of each is judged. Kept: the weights of all, metrics, verdicts, and of every box some maps
in 16 bits (`unpack_maps.py` makes a map store of them).
"""

import concurrent.futures
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from telling import Size, Teller, arguments

ROOT = Path(__file__).resolve().parents[2]
STEP = 5e-5  # in kappa, of maps in 16 bits: 1 % of the scatter of the faintest band's
_CHUNK = 32  # maps that are compressed together
_FILE_BYTES = 15 * 2**20


class Sky(NamedTuple):
    """A sky and what is made of it."""

    name: str
    pack: str  # name of the emulator that is packed
    particles: int
    pixels: int
    side_deg: float
    crop: int
    plane_pixels: int
    maps: int  # of each box
    kept_maps: int
    seconds: float  # for its boxes
    most_boxes: int  # of each split
    crops: int  # of each map
    generated: int


class Recipe(NamedTuple):
    """A training: its name, its flags beyond the sky's."""

    name: str
    flags: tuple[str, ...]


def _long(steps: int, *flags: str) -> tuple[str, ...]:
    """A training of so many steps: rates fall from the same share of them on as in the default recipe."""
    falls = int(0.15 * steps)
    return f"--num_steps={steps}", f"--decay_from_step={falls}", f"--decay_to_step={steps}", *flags


_LARGE = _long(6000, "--batch_size=96", "--fresh_maps=32", "--replayed_steps=8")
_WIDE = _long(
    6000, "--crop_size=128", "--crops_per_map=1", "--batch_size=48", "--fresh_maps=16", "--replayed_steps=8"
)
_FINE = _long(4000, "--disc_layers=6")
# No coarser than 0.203 arcmin at the lensing peak, 0.08 Mpc/h: planes of 768 pixels left ten times as much
# power along the axes of the maps as along their diagonals near Nyquist.
_FINE_PLANES = 1536
SKIES = {
    "paper": (
        Sky("coarse", "pm-zs1-64", 128, 128, 1.75, 64, 512, 32, 12, 60, 40, 4, 4800),
        Sky("fine", "pm-zs1-256", 256, 256, 0.866, 256, _FINE_PLANES, 32, 5, 100, 16, 1, 600),
    ),
    "tiny": (
        Sky("coarse", "pm-zs1-64", 16, 32, 6.0, 32, 32, 16, 4, 99, 6, 1, 96),
        Sky("fine", "pm-zs1-256", 16, 32, 6.0, 32, 32, 16, 4, 99, 6, 1, 96),
    ),
}
RECIPES = {
    "coarse": (
        Recipe("large_slow", (*_LARGE, "--match_rate=0.0125")), Recipe("default", ()),
        Recipe("large", _LARGE), Recipe("wide", _WIDE),
        Recipe("default_1", ("--train_seed=1",)), Recipe("default_2", ("--train_seed=2",)),
    ),
    "fine": (
        Recipe("octaves", (*_FINE, "--gen_octaves=2", "--gen_layers=6")), Recipe("plain", _FINE),
    ),
}  # fmt: skip
JUDGED = {"coarse": "large_slow", "fine": "octaves"}

_SPLITS = ("train", "validation", "auxiliary")
_TINY = (
    "--batch_size=4", "--fresh_maps=2", "--replayed_steps=2", "--num_steps=4", "--decay_from_step=1",
    "--decay_to_step=4", "--disc_layers=2", "--disc_filters=2", "--gen_channels=3", "--num_generated=96",
    "--num_permutations=49", "--num_resamples=50", "--observer_smoothing_arcmin=", "--classifier_steps=2",
    "--crop_size=32",
)  # fmt: skip


class Work:
    """Where it is done, and until when."""

    def __init__(self, out: Path, seconds: float, size: Size, tell: Teller):
        self.out, self.keep, self.tell = out, out / "keep", tell
        self.keep.mkdir(exist_ok=True)
        self.tiny, self.ends = size.map_pixels < 1024, time.monotonic() + seconds
        # Planes are read and written once: memory is the best place for them where there is enough of it.
        memory = Path("/dev/shm")
        roomy = memory.is_dir() and shutil.disk_usage(memory).free > 36 * 2**30
        self.boxes = (memory if roomy else out) / f"boxes_{os.getpid()}"

    @property
    def left(self) -> float:
        """Seconds."""
        return self.ends - time.monotonic()

    def main(self, what: str, workdir: Path, *flags: str) -> float:
        """Seconds of the package's command line; its output goes to a file that is kept when it fails."""
        return self.python(what, "-m", "cosmogan_jax.main", f"--workdir={workdir}", *flags)

    def python(self, what: str, *given: str) -> float:
        """The same of any program."""
        command = [sys.executable, *given]
        log, began = self.out / f"{what}.log", time.monotonic()
        with open(log, "a") as file:
            # Several share the card; without this each would take most of its memory.
            environment = {
                **os.environ, "PYTHONPATH": str(ROOT), "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            }  # fmt: skip
            done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=ROOT)
        seconds = round(time.monotonic() - began, 1)
        if done.returncode:
            self.tell(f"{what} failed", log=log.read_text()[-600:], seconds=seconds)
            raise SystemExit(f"{what} failed")
        return seconds


def _sky_flags(work: Work, sky: Sky, boxes: int, maps: int) -> list[str]:
    return [
        "--sky=nbody", "--source_redshift=1", f"--map_pixels={sky.pixels}", f"--side_deg={sky.side_deg}",
        f"--num_particles_side={sky.particles}", f"--plane_pixels={sky.plane_pixels}",
        f"--boxes_dir={work.boxes / sky.name}", "--num_development_boxes=1", "--num_development_maps=16",
        *(f"--num_{split}_boxes={boxes}" for split in _SPLITS),
        *(f"--num_{split}_maps={boxes * maps}" for split in _SPLITS),
        *(["--box_size=64", "--num_time_steps=6", "--source_redshift=0.1"] if work.tiny
          else ["--box_size=120", "--num_time_steps=16"]),
        "--emulator=lognormal_gan", f"--crop_size={sky.crop}", f"--crops_per_map={sky.crops}",
        "--checkpoint=last", "--sample_every_steps=0", "--score_every_steps=0", "--log_every_steps=100",
        "--checkpoint_every_steps=4000", f"--num_generated={sky.generated}",
    ]  # fmt: skip


def _seconds_of_boxes(work: Work, sky: Sky) -> list[dict[str, float]]:
    paths = (work.boxes / sky.name).glob("*/box.json")
    return [json.loads(path.read_text())["seconds"] for path in paths]


def make_sky(work: Work, sky: Sky) -> tuple[Path, list[str]]:
    """A run directory with boxes, maps and crops; the flags of what follows."""
    first = _sky_flags(work, sky, 1, sky.maps)
    work.main(f"{sky.name}-probe", work.out / f"{sky.name}-probe", *first, "--stages=simulate")
    least = min(seconds["total"] for seconds in _seconds_of_boxes(work, sky))
    boxes = int(min(max(sky.seconds / (3 * least), 2), sky.most_boxes))
    flags, workdir = _sky_flags(work, sky, boxes, sky.maps), work.out / sky.name
    seconds = work.main(f"{sky.name}-simulate", workdir, *flags, "--stages=simulate")
    seconds_each = _seconds_of_boxes(work, sky)
    each = {what: round(float(np.median([s[what] for s in seconds_each])), 4) for what in seconds_each[0]}
    work.tell(f"{sky.name} sky", particles=sky.particles, boxes=3 * boxes, seconds=seconds, a_box=each,
              in_memory=str(work.boxes).startswith("/dev/shm"))  # fmt: skip
    shutil.rmtree(work.boxes / sky.name)
    return workdir, flags


def keep_maps(work: Work, sky: Sky, workdir: Path) -> None:
    """Of every box its first maps, in 16 bits, compressed, in files that may come back; the manifest first."""
    from cosmogan_jax.maps.store import open_map_store

    store = open_map_store(workdir / "simulate/maps")
    boxes, chosen, seen = store.manifest.boxes, [], {}
    for number, (box, split) in enumerate(zip(boxes, store.manifest.splits)):
        seen[box] = seen.get(box, 0) + 1
        if seen[box] <= sky.kept_maps and split in _SPLITS:
            chosen.append(number)

    def packed(numbers: list[int]) -> bytes:
        kappa = np.stack([store.read(n, n + 1)[0, ..., 0] for n in numbers])
        whole = np.clip(np.rint(kappa / STEP), -(2**15), 2**15 - 1).astype(np.int16)
        steps = np.diff(whole, axis=-1, prepend=np.int16(0))  # neighbours are alike
        return lzma.compress(steps.view(np.uint8).reshape(-1, 2).T.tobytes(), preset=1)

    parts = [chosen[n : n + _CHUNK] for n in range(0, len(chosen), _CHUNK)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        data = list(pool.map(packed, parts))
    manifest = {
        **store.manifest.content,
        "step": STEP,
        "chosen": chosen,
        "bytes": [len(d) for d in data],
    }
    for name in ("splits", "boxes", "parents"):
        manifest[name] = [getattr(store.manifest, name)[n] for n in chosen]
    manifest["parameters"] = {n: [v[i] for i in chosen] for n, v in store.manifest.parameters.items()}
    joined = b"".join([lzma.compress(json.dumps(manifest).encode()), *data])
    head = len(joined) - sum(map(len, data))
    for number in range(0, -(-len(joined) // _FILE_BYTES)):
        part = joined[number * _FILE_BYTES : (number + 1) * _FILE_BYTES]
        (work.keep / f"{sky.name}-maps.{number}.{head}").write_bytes(part)
    work.tell(f"{sky.name} maps kept", maps=len(chosen), bytes=len(joined))


def train(work: Work, sky: Sky, recipe: Recipe, made: Path, flags: list[str]) -> Path:
    """One training on a sky that is made, in a run directory of its own; its weights are kept."""
    workdir = work.out / f"{sky.name}-{recipe.name}"
    workdir.mkdir()
    shutil.copytree(made / "simulate", workdir / "simulate", copy_function=os.link)
    own = [*flags, *recipe.flags, *(_TINY if work.tiny else ())]
    seconds = work.main(workdir.name, workdir, *own, "--stages=prepare,train")
    told = json.loads((workdir / "train/stage.json").read_text())["summary"]
    lines = [json.loads(line) for line in (workdir / "train/metrics.jsonl").read_text().splitlines()]
    rate = float(np.median([line["steps_per_second"] for line in lines[1:] or lines]))
    work.tell(
        f"{workdir.name} trained", seconds=seconds, steps=told["steps"], steps_per_second=round(rate, 2),
        compiling_s=told["seconds_of_compilation"], match_rms=lines[-1].get("match_rms"),
    )  # fmt: skip
    work.python(
        f"{workdir.name}-weights", str(Path(__file__).with_name("keep_weights.py")), str(workdir),
        str(workdir / "weights"),
    )  # fmt: skip
    return workdir


def judge(work: Work, workdir: Path, sky: Sky, recipe: Recipe, flags: list[str]) -> None:
    """Maps, the verdict, and the packed emulator with what was measured in its card."""
    own = [*flags, *recipe.flags, *(_TINY if work.tiny else ())]
    seconds = work.main(
        f"{workdir.name}-judge", workdir, *own, "--stages=generate,evaluate,report,pack", f"--pack={sky.pack}",
        f"--pack_data=Boxes of 120 Mpc/h and {sky.particles}^3 particles of this package's own particle mesh, "
        "Born approximation (experiments/gpu/emulators_run.py); under the package's licence.",
    )  # fmt: skip
    results = json.loads((workdir / "evaluate/results.json").read_text())
    work.tell(f"{workdir.name} judged", seconds=seconds, overall=str(results.get("overall"))[:400])


def keep_runs(work: Work, sky: Sky) -> None:
    """One archive of what the runs say and of the weights; of checkpoints, which would not fit, nothing."""
    wanted = (
        "weights/*", "pack/*/*", "report/*.html", "evaluate/*.json", "train/*.json*", "prepare/*.json",
        "generate/*.json",
    )  # fmt: skip
    archived = work.keep / f"{sky.name}-runs.tar.xz"
    with tarfile.open(archived, "w:xz", preset=3) as archive:
        for run in sorted(work.out.glob(f"{sky.name}-*/")):
            for path in sorted(found for part in wanted for found in run.glob(part)):
                archive.add(path, str(path.relative_to(work.out)))
        for log in work.out.glob(f"{sky.name}-*.log"):
            archive.add(log, log.name)
    work.tell("runs kept", bytes=archived.stat().st_size)


def of_sky(tell: Teller, args, size: Size) -> None:
    """One sky, all its trainings, one verdict; what is not done in time is left."""
    work = Work(args.out, args.seconds - 30, size, tell)
    sky = next(s for s in SKIES["tiny" if work.tiny else "paper"] if s.name == args.task)

    def all_of_it() -> None:
        workdir, flags = make_sky(work, sky)
        recipes = RECIPES[sky.name][: 1 if work.tiny else None]
        with concurrent.futures.ThreadPoolExecutor(len(recipes) + 1) as pool:
            kept = pool.submit(keep_maps, work, sky, workdir)
            runs = {r.name: pool.submit(train, work, sky, r, workdir, flags) for r in recipes}
            first = next(r for r in recipes if r.name == JUDGED[sky.name])
            judge(work, runs[first.name].result(), sky, first, flags)
            kept.result()
            for run in runs.values():
                run.result()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(all_of_it)
        _, late = concurrent.futures.wait([running], timeout=work.left)
        if late:
            tell("out of time")
            # What runs is ended; threads that wait for it then end with it.
            subprocess.run(["pkill", "-KILL", "-P", str(os.getpid())], check=False)
        failed = running.exception(timeout=20)
    if failed is not None:
        tell("failed", of=repr(failed)[:300])
    keep_runs(work, sky)
    shutil.rmtree(work.boxes, ignore_errors=True)
    if failed is not None:
        raise SystemExit(1)


TASKS = {"coarse": of_sky, "fine": of_sky}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(1))
    task, args, size = arguments(TASKS)
    task(Teller(args.out, args.task), args, size)
