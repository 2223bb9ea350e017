"""Imports run one way: main, flags, stages, emulators, libraries, machine, geometry; none in a circle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cosmogan_jax
from cosmogan_jax.stages.stage import STAGES

PACKAGE = Path(__file__).resolve().parents[1] / "cosmogan_jax"
LIBRARIES = {"emulators", "layers", "compare", "sky", "figures", "maps", "runs", "files"}
BOTTOM = {
    "summaries", "geometry", "symmetries", "even_choice", "settings", "layers", "keys", "side_by_side",
    "switches",
}  # fmt: skip
MAY_IMPORT = {
    "main": {"flags", "stages", "runs", "machine"},
    "judging": {"compare", "flags", "stages", "settings", "maps", "files", "figures", "geometry"},
    "flags": {"flags", "stages", "settings", "runs"},
    "stages": LIBRARIES | {"stages", "pretrained", "machine"} | BOTTOM,
    "pretrained": {"emulators", "summaries"},
    "emulators": {"emulators", "compare", "sky", "maps", "runs", "files"} | BOTTOM,
    **{library: {library} | BOTTOM for library in ("compare", "figures")},
    "sky": {"sky", "files"} | BOTTOM,
    "inference": {"inference", "compare"} | BOTTOM,
    "maps": {"maps", "files", "settings", "geometry", "even_choice"},
    "runs": {"runs", "files", "keys", "settings"},
    "files": {"files"},
    "layers": {"layers"},
    "settings": {"settings"},
    "summaries": {"summaries", "geometry", "switches"},
    "geometry": set(),
    "symmetries": set(),
    "even_choice": set(),
    "keys": {"settings"},
    "side_by_side": {"switches"},
    "switches": set(),
    "machine": {"machine", "settings", "keys", "switches"},
    "__init__": {"pretrained", "main"},  # when asked for
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def test_imports_run_one_way():
    seen = 0
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for module, names in imported(path):
            if module.split(".")[0] != "cosmogan_jax":
                continue
            if path == PACKAGE / "compare/__init__.py" and module == "cosmogan_jax.judging":
                continue  # when asked for
            parts = module.split(".")[1:2] or names
            for other in parts:
                assert other in MAY_IMPORT[part], f"{path} imports {other}"
                seen += 1
    assert seen > 30


def test_no_imports_go_in_a_circle():
    files = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")
    }
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    below = {}
    for name, path in files.items():
        below[name] = set()
        if path == PACKAGE / "__init__.py":
            continue  # when asked for
        for module, names in imported(path):
            whole = {f"{module}.{each}" for each in names} & set(files)
            below[name] |= whole if whole or module not in files else {module}
    below["cosmogan_jax.compare"] = set()  # when asked for
    while bottom := {name for name, others in below.items() if not others & set(below)}:
        below = {name: others for name, others in below.items() if name not in bottom}
    assert not below, sorted(below)


def test_no_stage_imports_another():
    stages, seen = set(STAGES), set()
    for path in (PACKAGE / "stages").rglob("*.py"):
        own = path.relative_to(PACKAGE / "stages").parts[0].removesuffix(".py")
        seen.add(own)
        for module, names in imported(path):
            whole = [module] if module != "cosmogan_jax.stages" else [f"{module}.{name}" for name in names]
            for other in (each.split(".")[2] for each in whole if each.startswith("cosmogan_jax.stages.")):
                assert other == own or other not in stages, f"{path} imports {other}"
    assert stages <= seen


def test_flags_are_known_to_flags_only_and_report_needs_no_jax():
    for path in PACKAGE.rglob("*.py"):
        for module, names in imported(path):
            if module.startswith("absl") and path.name != "absl_flags.py":
                assert path.name == "main.py", path
                assert "flags" not in names, path
            if path.name == "report.py" or path.parent.name in ("report", "figures"):
                assert module.split(".")[0] not in ("jax", "flax"), path


def test_what_needs_no_jax_loads_none():
    """Flags, --help and the report."""
    modules = ("flags", "main", "stages.report", "settings.kinds", "runs.directory", "figures.training")
    for module in modules:
        code = f"import sys, cosmogan_jax.{module}; sys.exit('jax' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, module


def test_the_top_of_the_package_brings_emulators_when_asked():
    code = (
        "import sys, cosmogan_jax as c; early = 'jax' in sys.modules; assert 'load' in dir(c); "
        "from cosmogan_jax import load, pretrained; sys.exit(early or c.names is not pretrained.names)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="module 'cosmogan_jax' has no attribute 'lode'"):
        cosmogan_jax.lode  # noqa: B018


def test_shapes_are_of_classes():
    """NumPy 2.5's ArrayLike is no union any more: jaxtyping cannot take it apart, and the import failed."""
    for path in PACKAGE.rglob("*.py"):
        assert "[ArrayLike," not in path.read_text(), path
