"""A map store of the maps that came back from `emulators_run.py` in 16 bits: for --maps and its like.

python experiments/gpu/unpack_maps.py out/coarse-maps.* --to=runs/coarse-maps
"""

import argparse
import json
import lzma
from pathlib import Path

import numpy as np

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.store_writing import write_map_store


def unpacked(joined: bytes, head: int):
    """The manifest and, part by part, the maps; in order."""
    manifest = json.loads(lzma.decompress(joined[:head]))
    rows, columns = manifest["shape"][1:3]

    def parts():
        at = head
        for size in manifest["bytes"]:
            steps = np.frombuffer(lzma.decompress(joined[at : at + size]), np.uint8).reshape(2, -1).T
            whole = np.cumsum(
                np.ascontiguousarray(steps).view(np.int16).reshape(-1, rows, columns), -1, np.int16
            )
            yield whole.astype(np.float32) * np.float32(manifest["step"])
            at += size

    return manifest, parts()


def main() -> None:
    """Join the files in the order of their numbers, and write the store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    args = parser.parse_args()
    files = sorted(args.files, key=lambda path: int(path.name.split(".")[1]))
    manifest, parts = unpacked(b"".join(f.read_bytes() for f in files), int(files[0].name.split(".")[2]))
    kept = ("source_redshift", "seed", "origin", "splits", "parents", "boxes", "parameters")
    geometry = MapGeometry(manifest["shape"][1], manifest["side_deg"])
    told = {name: manifest[name] for name in kept}
    write_map_store(args.to, parts, len(manifest["chosen"]), geometry, told)


if __name__ == "__main__":
    main()
