"""Peak resident memory of every stage, each in a process of its own (ru_maxrss of the child, by wait4).

python experiments/benchmarks/memory.py --case=quickstart --workdir=/tmp/memory
python experiments/benchmarks/memory.py --case=paper --workdir=/tmp/memory_paper

quickstart: experiments/quickstart/dcgan.flags with few steps and permutations, on which the peak does not
depend. paper: maps of 2048^2 pixels averaged to 1024^2 while they are imported, crops of 256^2, 64 filters,
batch 64; two steps, and as many maps as fill the chunks that the later stages work in. The maps are noise.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

_ROOT = Path(__file__).resolve().parents[2]
_SHORT = ("--sample_every_steps=0", "--score_every_steps=0", "--num_permutations=99", "--num_resamples=50",
          "--pack=memory", "--pack_data=a benchmark", "--select_from_step=0")  # fmt: skip
_CASES = {
    "quickstart": (
        f"--flagfile={_ROOT}/experiments/quickstart/dcgan.flags",
        "--num_steps=40", "--checkpoint_every_steps=20",
        *_SHORT,
    ),
    "paper": (
        "--side_deg=3.4641", "--source_redshift=1", "--downsample=2", "--crop_size=256", "--crops_per_map=200",
        "--num_filters=64", "--batch_size=64", "--num_steps=2", "--checkpoint_every_steps=2",
        "--select_maps=64", "--select_l_bins=0",
        "--num_generated=512", "--novelty_maps=512", "--export=npy,fits", *_SHORT,
    ),
}  # fmt: skip
_STAGES = (
    "simulate",
    "prepare",
    "train",
    "select",
    "generate",
    "evaluate",
    "novelty",
    "export",
    "pack",
    "report",
)


def write_maps(path: Path, count: int, size: int) -> None:
    """Noise of sigma 0.02 in one npy file, a map at a time."""
    if path.exists():
        return
    maps = np.lib.format.open_memmap(path, "w+", np.float32, (count, size, size))
    rng = np.random.default_rng(0)
    for number in range(count):
        maps[number] = 0.02 * rng.standard_normal((size, size), np.float32)


def measure(command: list[str], log: Path) -> dict[str, float]:
    """Peak memory in MiB and wall time of a process; RuntimeError where it fails."""
    began = time.monotonic()
    with open(log, "ab") as file:
        process = subprocess.Popen(command, cwd=_ROOT, stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: see {log}")
    return {"peak_mib": round(usage.ru_maxrss / 1024), "seconds": round(time.monotonic() - began, 1)}


def main() -> None:
    """Run the stages of a case one after the other and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=list(_CASES), required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--maps", type=int, default=24, help="maps of 2048^2 pixels (paper)")
    parser.add_argument("--stages", default=",".join(_STAGES))
    asked = parser.parse_args()
    asked.workdir.mkdir(parents=True, exist_ok=True)
    flags, stages = list(_CASES[asked.case]), asked.stages.split(",")
    if asked.case == "paper":
        # In a process of its own: a child's peak begins with that of the process that started it.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(write_maps, (asked.workdir / "maps.npy", asked.maps, 2048))
        flags.append(f"--maps={asked.workdir / 'maps.npy'}")
        stages = [stage for stage in stages if stage != "simulate"]
    program = [sys.executable, "-m", "cosmogan_jax.main", *flags, f"--workdir={asked.workdir / 'run'}"]
    bare = [sys.executable, "-c", "import jax, cosmogan_jax.stages.train; jax.numpy.zeros(1)"]
    found = {"imports and a device": measure(bare, asked.workdir / "log.txt")}
    print(json.dumps(found), flush=True)
    for stage in stages:
        found[stage] = measure([*program, f"--stages={stage}"], asked.workdir / "log.txt")
        print(json.dumps({stage: found[stage]}), flush=True)
    print(f"{asked.case}, {os.cpu_count()} CPU cores, {time.strftime('%Y-%m-%d')}")
    for stage, of in found.items():
        print(f"| {stage} | {of['peak_mib']} MiB | {of['seconds']} s |")


if __name__ == "__main__":
    main()
