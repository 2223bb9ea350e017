"""The paper's preparation at its size: 1000 maps of 2048^2 averaged to 1024^2, 200 crops of 256^2 each.

Writes a raw float32 file of that size (16.8 GB; smooth Gaussian noise, every map different), runs stage prepare
on it, and says how long that took, how much memory, and how much it stored.

    python experiments/005-map-files/paper_size.py [number of maps]
"""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.runs.directory import versions

HERE, WORK, PIXELS = Path(__file__).parent, Path("runs/paper-size"), 2048


def main(count):
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    rng = np.random.default_rng(0)
    base = np.fft.rfft2(rng.normal(size=(PIXELS, PIXELS)))
    index = np.arange(PIXELS)
    ell = np.hypot(np.minimum(index, PIXELS - index)[:, None], index[: PIXELS // 2 + 1])
    base = np.fft.irfft2(base / np.maximum(ell, 1)).astype(np.float32)
    base *= 0.02 / base.std()
    with open(WORK / "maps.f32", "wb") as file:
        for _ in range(count):
            np.roll(base, tuple(rng.integers(0, PIXELS, 2)), (0, 1)).astype("<f4").tofile(file)
    began = time.monotonic()
    subprocess.run(
        [
            sys.executable, "-m", "cosmogan_jax.main", f"--workdir={WORK}/run", "--stages=prepare",
            f"--maps={WORK}/maps.f32", f"--raw_shape={PIXELS},{PIXELS}", "--side_deg=3.4641016",
            "--downsample=2",
        ],
        check=True,
    )  # fmt: skip
    seconds = time.monotonic() - began
    table = open_crop_table(WORK / "run/prepare")
    whole = np.memmap(WORK / "maps.f32", "<f4", "r", shape=(count, PIXELS, PIXELS))
    expected = whole[count // 2].astype(np.float64).reshape(1024, 2, 1024, 2).mean((1, 3)).astype(np.float32)
    stored = sum(p.stat().st_size for p in (WORK / "run/prepare").rglob("*") if p.is_file())
    equal = table.store.read(count // 2, count // 2 + 1)[0, ..., 0] == expected
    content = {
        "command": f"python experiments/005-map-files/paper_size.py {count}",
        "date": time.strftime("%Y-%m-%d"),
        "hardware": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        **versions(),
        "maps": count,
        "file_gb": 4e-9 * count * PIXELS**2,
        "seconds": round(seconds, 1),
        "most_memory_gib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
        "stored_gb": round(stored / 1e9, 3),
        "crops": {split: len(rows) for split, rows in table.crops.items()},
        "a_map_equals_the_mean_of_its_pixels": bool(equal.all()),
    }  # fmt: skip
    (HERE / "paper_size.json").write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))
    shutil.rmtree(WORK)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
