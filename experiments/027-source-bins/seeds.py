"""What trainings reach in several source bins: every number of their verdicts side by side, and their mean.

    seeds.py <working directory of a run> [<another> ...]

Numbers are those of `compare/effects/key_numbers.py`, beyond what real boxes differ by, and areas under the
classifiers' curves (the control's: of real maps), read of what stage evaluate wrote. Printed as Markdown.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

SHOWN = {
    "power": 1, "log_power_scatter": 1, "V0": 2, "V1": 2, "V2": 2, "peaks": 2, "minima": 2, "starlet_l1": 2,
    "cross_power": 1, "log_cross_power_scatter": 1, "coherence": 4, "joint_roughness": 2,
}  # fmt: skip


def read(file: Path) -> Any:
    if not file.exists():
        raise SystemExit(f"{file}: no such file; run stage evaluate first")
    return json.loads(file.read_text())


def numbers_of(content: list[dict[str, Any]]) -> dict[str, float]:
    """Return values by name, relative ones in percent."""
    return {
        number["name"]: (100 if number["relative"] else 1) * number["value"]
        for number in content
        if number["value"] is not None
    }


def area_of(classifier: dict[str, Any]) -> dict[str, float]:
    """Return the area of all rules, of single ones, and of the control; nothing where none was trained."""
    if classifier.get("refused") or "generated" not in classifier:
        return {}
    generated, control = classifier["generated"], classifier["control"]
    areas = {"AUC": generated["auc"], "AUC of real maps": control["auc"]}
    areas |= {name: share for name, share in generated.items() if name.startswith("auc_of_")}
    return {name.replace("auc_of_", "of "): share["value"] for name, share in areas.items()}


def run(workdir: Path) -> dict[str, dict[str, float]]:
    """Return numbers by what they are of: a bin, a pair, all."""
    folder = workdir / "evaluate"
    of_all = read(folder / "source_bins.json")
    rows = {}
    for entry in of_all["bins"]:
        results = read(folder / entry["folder"] / "results.json")
        name = f"bin {entry['number']}"
        rows[name] = numbers_of(results.get("key_numbers", [])) | area_of(results["classifier"])
        print(f"{workdir}: {name}: {entry['outcome']}")
    for pair, content in of_all.get("key_numbers", {}).items():
        rows[pair] = numbers_of(content)
    rows["all bins"] = area_of(of_all["classifier"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("workdirs", nargs="+", type=Path)
    runs = [run(workdir) for workdir in parser.parse_args().workdirs]
    print()
    for kind in ("bin ", "and", "all"):
        names = [name for name in runs[0] if kind in name]
        columns = list(dict.fromkeys(column for name in names for column in runs[0][name]))
        if not columns:
            continue
        print("| | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
        for name in names:
            print(f"| {name} | " + " | ".join(cell(runs, name, column) for column in columns) + " |")
        print()


def cell(runs: list[dict[str, dict[str, float]]], name: str, column: str) -> str:
    """Return the mean, and in brackets those of all runs."""
    values = [of[name][column] for of in runs if column in of.get(name, {})]
    if not values:
        return ""
    digits = SHOWN.get(column, 3)
    each = "" if len(values) == 1 else " (" + ", ".join(f"{value:.{digits}f}" for value in values) + ")"
    return f"{np.mean(values):.{digits}f}{each}"


if __name__ == "__main__":
    main()
