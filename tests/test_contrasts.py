"""How far correlations of two sides are apart: between low and high bands, against a construction."""

import numpy as np
import pytest

from cosmogan_jax.stages.evaluate.contrasts import correlation

MAPS, SHARE = 3000, 0.9


def test_low_with_high_are_the_pairs_of_one_band_below_and_one_above_the_middle():
    """Two independent bands, and two that hold both of them; the other side's are all independent."""
    rng = np.random.default_rng(0)
    low = rng.normal(size=(MAPS, 2))
    both = low.sum(1, keepdims=True) / np.sqrt(2)
    high = SHARE * both + np.sqrt(1 - SHARE**2) * rng.normal(size=(MAPS, 2))
    one = {"power_bands": 5 + np.concatenate([low, high], 1)}
    two = {"power_bands": 5 + rng.normal(size=(MAPS, 4))}
    found = correlation(one, two, 100)
    # A correlation is known to 1 / sqrt(3000) = 0.018 on each side, the mean of four pairs better.
    assert found["low_high"]["value"] == pytest.approx(SHARE / np.sqrt(2), abs=0.06)
    pairs = list(zip(*np.triu_indices(4, 1)))
    by_pair = dict(zip(pairs, found["difference"]))
    assert by_pair[(0, 1)] == pytest.approx(0, abs=0.1)
    assert by_pair[(2, 3)] == pytest.approx(SHARE**2, abs=0.1)
    assert tuple(found["pair"]) == (2, 3)
    assert found["largest"] == pytest.approx(SHARE**2, abs=0.1)
