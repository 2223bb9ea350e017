"""The table of planted bugs is true to the code; `experiments/016-planted-bugs` plants them and runs tests."""

import ast
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "experiments/016-planted-bugs"))

import plant  # noqa: E402
from bugs import BUGS, Bug  # noqa: E402


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_every_bug_can_be_planted(bug):
    source = (ROOT / bug.file).read_text()
    changed = plant.planted(source, bug)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
    assert bug.tests
    assert all((ROOT / file).is_file() for file in bug.tests)


def test_names_are_names():
    names = [bug.name for bug in BUGS]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


@pytest.mark.slow
def test_a_planted_bug_is_found_or_not_and_is_gone_afterwards(tmp_path):
    """On a repository of one function and one test."""
    for name, text in {
        "cosmogan_jax/__init__.py": "",
        "cosmogan_jax/sums.py": "def total(a, b):\n    return a + b\n",
        "tests/test_sums.py": "from cosmogan_jax.sums import *\ndef test_it(): assert total(2, 0) == 2\n",
    }.items():
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_text(text)
    copy = plant.copy_of(tmp_path / "here", tmp_path / "there")
    found = {}
    for old, new in (("a + b", "a + b + 1"), ("a + b", "a - b"), ("a", "b"), ("return a + b", "while a: pass")):
        bug = Bug("one", "cosmogan_jax/sums.py", old, new, ("tests/test_sums.py",))
        found[new] = plant.run(bug, copy, tmp_path / "programs", 4 if "while" in new else 100)
        assert (copy / bug.file).read_bytes() == (tmp_path / "here" / bug.file).read_bytes()
    assert [one["outcome"] for one in found.values()] == ["caught", "survived", "does not apply", "timed out"]
    assert found["a + b + 1"]["by"] == "tests/test_sums.py::test_it"
    assert "one: its old text stands 3 times in cosmogan_jax/sums.py, not once" in found["b"]["why"]
    assert "| one | sums.py | caught | test_sums.py::test_it |" in plant.table(list(found.values()))
    json.dumps(list(found.values()))
