"""Print README.md's table from results.json: means over steps 500, 750 and 1000 (in brackets 1000
alone), and over seeds; of the Nyquist ratio the geometric mean.

python experiments/007-instability/table.py
"""

import json
from pathlib import Path

import numpy as np

COLUMNS = (
    ("mean_abs_log_power", "validation"),
    ("pixel_ks", "train"),
    ("minkowski_chi", "train"),
    ("nyquist_ratio", "validation"),
    ("border_log_sigma", "validation"),
)


def main():
    results = json.loads((Path(__file__).parent / "results.json").read_text())
    rows = {}
    for run in results["runs"]:
        for name in ("last", "ema", "ema refreshed"):
            if name in run["scores"]["1000"]:
                rows.setdefault((run["factor"], name), []).append(run)
    names = [f"{name} ({split})" for name, split in COLUMNS]
    print(f"| factor | generator | seeds | {' | '.join(names)} | D accuracy |")
    print("|---" * (len(COLUMNS) + 4) + "|")
    for (factor, name), runs in rows.items():
        cells = []
        for column, split in COLUMNS:
            # Checkpoints scatter as much as seeds do.
            values = np.array(
                [[run["scores"][s][name][split][column] for s in ("500", "750", "1000")] for run in runs]
            )
            mean = np.exp(np.log(values).mean()) if column == "nyquist_ratio" else values.mean()
            cells.append(f"{mean:.2f} ({values[:, -1].mean():.2f})")
        accuracy = np.mean([list(run["scores"]["1000"]["disc_accuracy"].values()) for run in runs])
        print(f"| {factor} | {name} | {len(runs)} | {' | '.join(cells)} | {accuracy:.2f} |")
    floor = results["training_maps"]
    print(
        "| training maps | | |",
        " | ".join(f"{floor[c]:.2f}" if s == "validation" else "0" for c, s in COLUMNS),
        "| |",
    )


if __name__ == "__main__":
    main()
