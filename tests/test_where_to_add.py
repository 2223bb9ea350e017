"""What BUILD.md says under "Where to add" is all that it takes: done to a copy of the package, and seen."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cosmogan_jax.settings import Run
from cosmogan_jax.settings.declaration import shared
from cosmogan_jax.stages.stage import STAGES, Stage, in_order

PACKAGE = Path(__file__).resolve().parents[1] / "cosmogan_jax"


class Copy:
    """A copy of the package, to be added to."""

    def __init__(self, folder):
        def copy(source, target):
            (shutil.copy if source.endswith(".py") else os.symlink)(source, target)

        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE, folder / "cosmogan_jax", copy_function=copy, ignore=without)
        self.folder = folder

    def append(self, file, text):
        with open(self.folder / "cosmogan_jax" / file, "a") as opened:
            opened.write(text)

    def python(self, *arguments):
        """(exit code, all that was said) of a Python that sees the copy."""
        environ = {**os.environ, "PYTHONPATH": str(self.folder), "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=environ, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def package(tmp_path):
    return Copy(tmp_path)


READS = """
from cosmogan_jax import flags
from cosmogan_jax.settings import results_only
settings, _, text = flags.parse_call(None, {"workdir": "x", "select_grace": 2})
assert "--select_grace=2.0" in text.splitlines()
assert flags.parse_call(None, {"workdir": "x"})[0].by_stage["select"].select_grace == 0.5
print(results_only(settings.by_stage["select"])["select_grace"], settings.defaults["select_grace"])
"""


def test_a_setting(package):
    """One line in the settings of its stage."""
    package.append(
        "settings/select.py",
        '    select_grace: float = setting(0.5, "Grace of a generator, in chi2.", least=0.0)\n',
    )
    _, output = package.python("-m", "cosmogan_jax.main", "--help")
    words = "Grace of a generator, in chi2.\n    (default: '0.5')\n    (a non-negative number)\n"
    assert f"  --select_grace: {words}" in output
    code, output = package.python("-m", "cosmogan_jax.main", "--select_grace=-1")
    assert code == 1
    assert "flag --select_grace=-1: -1.0 is not a non-negative number" in output
    code, output = package.python("-m", "cosmogan_jax.main", "--select_grace=nan")
    assert (code, output) == (1, "error: select_grace=nan must be a finite number\n")
    assert package.python("-c", READS) == (0, "2.0 0.5\n")


def test_a_setting_that_is_not_declared(package):
    package.append("settings/select.py", "    select_grace: float = 0.5\n")
    code, output = package.python("-c", READS.replace(', "select_grace": 2', ""))
    assert code == 1
    assert "ValueError: Select.select_grace has no flag: no settings declare 'select_grace'" in output
    with pytest.raises(ValueError, match="Run declares no setting 'sed'"):
        shared(Run, "sed")


def test_a_stage_that_reads_what_is_no_stage():
    with pytest.raises(ValueError, match="stage 'train' reads 'prepar', no earlier stage: prepare"):
        in_order(Stage("prepare", object), Stage("train", object, reads=("prepar",)))


def test_stages_have_what_their_table_says():
    for name, stage in STAGES.items():
        module, folder = PACKAGE / f"stages/{name}.py", PACKAGE / f"stages/{name}/__init__.py"
        body = ast.parse((module if module.is_file() else folder).read_text()).body
        names = {node.name for node in body if isinstance(node, ast.FunctionDef)}
        names |= {alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert "run" in names, name
        assert ("check" in names) == stage.has_check, name
