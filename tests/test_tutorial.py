"""The tutorial runs, and its numbers are what closed forms and differences say."""

from pathlib import Path

import numpy as np
import pytest
from conftest import load_script
from scipy.special import erfc

TUTORIAL = Path(__file__).parents[1] / "experiments/tutorial/tutorial.py"


@pytest.fixture(scope="module")
def tutorial():
    return load_script(TUTORIAL)


@pytest.mark.slow
def test_tutorial(tutorial, tmp_path):
    found = tutorial.run(tmp_path)
    assert found.kappa.shape == (1024, 64, 64)
    assert np.isfinite(found.kappa).all()

    # Kinks of the rectifiers and float32's rounding over a step of 0.003: 1 % of the derivative.
    slopes = found.sensitivity
    assert slopes.jacobian.shape == (7, 64)
    np.testing.assert_allclose(slopes.by_autodiff, slopes.by_difference, rtol=0.03)
    assert slopes.power_gain > 0.02

    # Area of a lognormal field above t sigma: the Gaussian tail beyond ln(1 + t sigma/shift). One map of 3.5
    # degrees scatters about it by some 0.02.
    assert found.file_side_deg == 3.5
    level = (tutorial.THRESHOLDS[1:] + tutorial.THRESHOLDS[:-1]) / 2
    sigma = float(found.own_map.std())
    variance = np.log1p((sigma / tutorial.SHIFT) ** 2)
    tail = np.log1p(level * sigma / tutorial.SHIFT) + variance / 2
    np.testing.assert_allclose(found.functionals.V0, erfc(tail / np.sqrt(2 * variance)) / 2, atol=0.06)

    # The mock has the power in the mean, to the scatter of 512 maps (2 % in the widest band), and little else.
    np.testing.assert_allclose(found.mock_power, found.mean_power, rtol=0.1)
    outcomes = {(one.quantity, one.name): one.outcome for one in found.judgement.effects}
    assert outcomes["V0", "mean"] == outcomes["V1", "mean"] == outcomes["V2", "mean"] == "fail"
    assert (tmp_path / "tutorial.png").stat().st_size > 10_000
