"""Memory and time of stage evaluate: many white-noise maps of 256^2 on both sides.

python experiments/002-summaries/scale.py --maps 32768 --workdir runs/scale
"""

import argparse
import json
import resource
import shutil
import time
from pathlib import Path

import numpy as np

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.crop_table import write_crop_table
from cosmogan_jax.maps.store_writing import write_map_store
from cosmogan_jax.runs import directory as run_directory
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.stages import evaluate

SIDE_DEG = np.sqrt(12.0)
CROPS = 200


def noise(count, size, seed):
    rng = np.random.default_rng(seed)
    for start in range(0, count, 64):
        yield 0.02 * rng.standard_normal((min(64, count - start), size, size), np.float32)


def peak_gib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=32768)
    parser.add_argument("--workdir", type=Path, required=True)
    args = parser.parse_args()
    shutil.rmtree(args.workdir, ignore_errors=True)
    args.workdir.mkdir(parents=True)
    parents = -(-args.maps // CROPS)
    out = {}
    for stage in ("simulate", "prepare", "generate"):
        out[stage] = run_directory.begin_stage(args.workdir, stage, {}, resumable=False)
    large, small = MapGeometry(1024, SIDE_DEG), MapGeometry(256, SIDE_DEG / 4)
    write_map_store(out["simulate"] / "maps", noise(parents, 1024, 0), parents, large, {})
    write_map_store(out["generate"] / "maps", noise(args.maps, 256, 1), args.maps, small, {})
    rng = np.random.default_rng(2)
    crops = np.stack(
        [np.repeat(np.arange(parents), CROPS), *rng.integers(0, 769, (2, parents * CROPS))], axis=1
    )
    manifest = {
        "maps": "../simulate/maps",
        "crop_size": 256,
        "side_deg": small.side_deg,
        "source_redshift": 1.0,
        "parents": list(range(parents)),
        "boxes": list(range(parents)),
    }
    write_crop_table(out["prepare"], {"validation": crops.astype(np.int32)}, manifest)
    for stage in out:
        run_directory.finish_stage(args.workdir, stage, {})
    work = run_directory.begin_stage(args.workdir, "evaluate", {}, resumable=True)
    before, began = peak_gib(), time.perf_counter()
    evaluate.run(Evaluate(evaluate_l_bins=0), args.workdir, work)
    seconds = time.perf_counter() - began
    report = {"maps": args.maps, "seconds": round(seconds, 1), "peak_gib": round(peak_gib(), 2)}
    print(json.dumps({**report, "peak_gib_before_evaluate": round(before, 2)}))
    shutil.rmtree(args.workdir)


if __name__ == "__main__":
    main()
