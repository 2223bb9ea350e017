"""Ensemble helpers against numpy, known distributions and known dependence."""

import numpy as np
import pytest

from cosmogan_jax.compare.ensembles import bands, effective_modes

RNG = np.random.default_rng(0)


def mixed(maps, modes, correlation):
    """Gaussian modes with one common part, so that any two correlate equally."""
    return np.sqrt(correlation) * RNG.normal(size=(maps, 1)) + np.sqrt(1 - correlation) * RNG.normal(
        size=(maps, modes)
    )


def test_values_equal_numpy():
    values = mixed(300, 5, 0.4) * 1e-11 + 3e-11
    parents = np.arange(300)
    found = bands(values, parents, seed=0, num_resamples=2)
    np.testing.assert_allclose(found.mean.value, values.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.sigma.value, values.std(0, ddof=1), rtol=1e-12)


def test_standard_errors_of_independent_gaussian_maps():
    # Known: sigma/sqrt(N), sigma/sqrt(2N). 400 resamples know an error to 3.5 %; four sigma
    # also cover the sample's own scatter.
    maps = 2000
    values = mixed(maps, 3, 0.6)
    found = bands(values, np.arange(maps), seed=1, num_resamples=400)
    np.testing.assert_allclose(found.mean.standard_error, 1 / np.sqrt(maps), rtol=0.15)
    np.testing.assert_allclose(found.sigma.standard_error, 1 / np.sqrt(2 * maps), rtol=0.2)


def test_crops_of_one_parent_count_as_one():
    # 100 parents with 20 equal crops each know the mean as well as 100 maps, not as 2000.
    values = np.repeat(RNG.normal(size=(100, 4)), 20, axis=0)
    by_parent = bands(values, np.repeat(np.arange(100), 20), seed=2).mean.standard_error
    by_crop = bands(values, np.arange(2000), seed=2).mean.standard_error
    np.testing.assert_allclose(by_parent, 0.1, rtol=0.3)
    np.testing.assert_allclose(by_parent / by_crop, np.sqrt(20), rtol=0.3)


def test_effective_modes():
    assert effective_modes(np.repeat(RNG.normal(size=(50, 1)), 6, axis=1)) == pytest.approx(1)
    independent = effective_modes(RNG.normal(size=(20000, 8)))
    assert independent == pytest.approx(8, rel=0.01)
    # n modes of equal correlation r: n^2 / (n + n(n-1) r^2).
    assert effective_modes(mixed(50000, 10, 0.5)) == pytest.approx(100 / (10 + 90 * 0.25), rel=0.03)
    with_empty = np.concatenate([RNG.normal(size=(20000, 8)), np.zeros((20000, 2))], axis=1)
    assert effective_modes(with_empty) == pytest.approx(8, rel=0.01)


def test_same_seed_same_errors():
    values = mixed(60, 3, 0.1)
    one, two, three = (bands(values, np.arange(60) // 3, seed=s).mean.standard_error for s in (5, 5, 6))
    np.testing.assert_array_equal(one, two)
    assert (one != three).all()


@pytest.mark.parametrize(
    ("values", "parents", "message"),
    [
        (np.zeros(5), np.arange(5), "values.shape=\\(5,\\)"),
        (np.full((5, 2), np.nan), np.arange(5), "values\\[0, 0\\]=nan"),
        (np.zeros((5, 2)), np.arange(4), "parents.shape=\\(4,\\)"),
        (np.zeros((5, 2)), np.zeros(5), "1 parent is too few"),
    ],
)
def test_bad_input(values, parents, message):
    with pytest.raises(ValueError, match=message):
        bands(values, parents, seed=0)
