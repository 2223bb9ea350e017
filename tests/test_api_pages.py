"""API pages are built from the docstrings, and a docstring that Sphinx cannot read is an error."""

import subprocess
import sys
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[1] / "experiments/api"


@pytest.mark.slow
def test_pages_are_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", tmp_path / "doctrees", PAGES]
    done = subprocess.run([*command, tmp_path / "pages"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    summaries = (tmp_path / "pages/summaries.html").read_text()
    assert "power_spectrum" in summaries
    assert "steradian" in summaries  # units
    assert "Raises" in summaries
