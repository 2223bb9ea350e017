"""The pixel test against sorted pixels, and its level and power where pixels hang together by parent."""

import numpy as np
import pytest
import scipy.stats

from cosmogan_jax.compare.parents import generator
from cosmogan_jax.compare.two_sample.pixel_tests import permutation_pixel_test

EDGES = np.concatenate([[-np.inf], np.linspace(-4, 4, 81), [np.inf]])


def pixels(rng, parents, maps_each, shift=0.0):
    """(maps, pixels): a parent's mean, a map's mean, and noise."""
    field = 0.3 * rng.normal(size=(parents, 1, 1)) + 0.3 * rng.normal(size=(parents, maps_each, 1))
    return (field + rng.normal(size=(parents, maps_each, 64)) + shift).reshape(-1, 64)


def histograms(maps):
    bins = np.searchsorted(EDGES, maps, side="right") - 1
    return (bins[:, :, None] == np.arange(len(EDGES) - 1)).sum(1)


def test_distance_is_that_of_the_pixels():
    rng = np.random.default_rng(0)
    # Pixels on bin centres: the distance at the edges is the distance.
    one, two = (np.floor(pixels(rng, n, 3) * 10) / 10 + 0.05 for n in (30, 40))
    expected = scipy.stats.ks_2samp(one.ravel(), two.ravel(), method="asymp").statistic
    sides = histograms(one), histograms(two)
    found = permutation_pixel_test(*sides, np.arange(90) // 3, np.arange(120) // 3, seed=0)
    assert found.distance == pytest.approx(expected, rel=1e-5)
    assert found.num_parents == (30, 40)


def test_p_is_that_of_permuted_parents_written_out(monkeypatch):
    # More bins than are taken at once; maps of unequal numbers of pixels.
    monkeypatch.setattr("cosmogan_jax.compare.two_sample.pixel_tests._BINS_AT_ONCE", 13)
    rng = np.random.default_rng(1)
    maps = histograms(pixels(rng, 20, 2))
    maps[::2] *= 3
    group = np.arange(40) // 2
    found = permutation_pixel_test(maps[:20], maps[20:], group[:20], group[20:], seed=7, num_permutations=99)
    reached = 0
    for index in range(100):
        order = generator(7, index).permutation(20) if index else np.arange(20)
        of_one = np.isin(group, order[:10])
        below = [np.cumsum(side.sum(0)) / side.sum() for side in (maps[of_one], maps[~of_one])]
        distance = np.abs(below[0] - below[1]).max()
        first = distance if not index else first
        reached += distance >= first - 1e-12
    assert found.distance == pytest.approx(first, rel=1e-5)
    assert found.p == pytest.approx(reached / 100, abs=1e-9)


@pytest.mark.slow
def test_level_and_power():
    # 100 trials of a true null at 10 %: 3 %, three sigma 9 %. Maps without their parents fail, and pixels
    # taken for independent more so.
    rng = np.random.default_rng(2)
    trials, parents = 100, np.arange(80) // 4
    p, pooled = np.empty((trials, 2)), np.empty(trials)
    for trial in range(trials):
        one, two = pixels(rng, 20, 4), pixels(rng, 20, 4)
        pooled[trial] = scipy.stats.ks_2samp(one.ravel(), two.ravel(), method="asymp").pvalue
        one, two = histograms(one), histograms(two)
        each = np.arange(80)
        p[trial] = (
            permutation_pixel_test(one, two, parents, parents, seed=trial, num_permutations=99).p,
            permutation_pixel_test(one, two, each, each, seed=trial, num_permutations=99).p,
        )
    level = (p <= 0.1).mean(0)
    assert level[0] == pytest.approx(0.1, abs=0.09)
    assert level[1] > 0.2
    assert np.abs(p[:, 0].mean() - 0.5) < 4 / np.sqrt(12 * trials)
    one, two = histograms(pixels(rng, 80, 4)), histograms(pixels(rng, 80, 4, shift=0.4))
    parents = np.arange(320) // 4
    assert permutation_pixel_test(one, two, parents, parents, seed=0).p == 0.001
    assert (pooled <= 0.1).mean() > 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"one": np.ones((30, 4))}, "one of shape \\(30, 4\\) and dtype float64"),
        ({"two": np.ones((30, 5), int)}, "differ in their bins"),
        ({"one": np.full((30, 4), -1)}, "one holds the count -1"),
        ({"two": np.zeros((30, 4), int)}, "two\\[0\\] counts no pixels"),
        (
            {"one": np.eye(1, 4, dtype=int).repeat(30, 0), "two": np.eye(1, 4, dtype=int).repeat(30, 0)},
            "in one bin",
        ),
        ({"parents": np.arange(30) % 3}, "3 and 3 parents"),
    ],
)
def test_bad_input(change, message):
    data = {"one": np.ones((30, 4), int), "two": np.ones((30, 4), int), "parents": np.arange(30)} | change
    with pytest.raises(ValueError, match=message):
        permutation_pixel_test(data["one"], data["two"], data["parents"], data["parents"], seed=0)
