"""What the readers find in every file of a folder of real maps and lens planes.

python experiments/005-map-files/summarise.py <folder with kappa/ and lens_planes/>
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from cosmogan_jax.maps.formats import find_map_files, open_map_file
from cosmogan_jax.maps.inspection import inspect_map
from cosmogan_jax.maps.lens_planes import read_lens_planes
from cosmogan_jax.runs.directory import versions

HERE = Path(__file__).parent


def main(folder):
    maps = []
    for path in find_map_files([str(folder / "kappa")]):
        file = open_map_file(path)
        facts = inspect_map("maps", path.name, file.read(0, 1)[0], 1)._asdict()
        maps.append(
            {
                "file": path.name,
                "format": file.format,
                "dtype": file.dtype,
                "num_pixels": file.num_pixels,
                "side_deg": file.side_deg,
                "source_redshift": file.source_redshift,
                **{k: float(f"{v:.6g}") for k, v in facts.items() if isinstance(v, float)},
                "invalid_pixels": facts["invalid"],
            }
        )
    planes = read_lens_planes(folder / "lens_planes")
    refused = 0
    for name in planes.names:
        try:
            open_map_file(folder / "lens_planes" / name)
        except ValueError as error:
            refused += "is a lens plane" in str(error)
    content = {
        "command": "python experiments/005-map-files/summarise.py <folder>",
        "date": time.strftime("%Y-%m-%d"),
        **versions(),
        "maps": maps,
        "planes_refused_as_maps": refused,
        "planes": [
            {
                "file": name,
                "num_pixels": psi.shape[0],
                "side_deg": float(side),
                "redshift": float(f"{z:.6g}"),
                "chi_mpc_h": float(f"{chi:.6g}"),
                "potential_sigma": float(f"{np.std(psi, dtype=np.float64):.4g}"),
            }
            for name, psi, z, chi, side in zip(*planes[:5])
        ],
    }
    (HERE / "files.json").write_text(json.dumps(content, indent=1) + "\n")
    for row in maps:
        print(row)
    print(f"{refused} of {len(planes.names)} lens planes refused as maps, read as planes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
