"""What a wheel holds: every file of the package, and no file that is not there."""

import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def package_data():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return {
        package: [pattern.strip() for pattern in patterns.split(",")]
        for package, patterns in setup["options.package_data"].items()
    }


def test_every_file_beside_the_code_is_package_data(package_data):
    listed = {
        path
        for package, patterns in package_data.items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    there = {
        path
        for path in (ROOT / "cosmogan_jax").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert there
    assert there == listed


def test_every_folder_with_code_is_a_package():
    folders = {path.parent for path in (ROOT / "cosmogan_jax").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
