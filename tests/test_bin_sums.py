"""Sums over bins against NumPy's, by every way there is; and that a GPU's programs add nothing by atomics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmogan_jax.compare.stationarity import axis_power
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.summaries import (
    PAPER_L_EDGES,
    PAPER_THRESHOLDS,
    bin_sums,
    bispectrum,
    minimum_counts,
    minkowski_functionals,
    peak_counts,
    power_spectrum,
    starlet_statistics,
)

# float32 sums of up to 5000 numbers of one sign, in another order: a rounding each, growing as its root.
REORDERED_SUM = 1e-5


@settings(max_examples=20)  # each compiles programs of its own
@given(st.integers(1, 300), st.integers(1, 12), st.integers(0, 2**31 - 1))
def test_rows_are_the_sums_of_known_bins(size, num_bins, seed):
    rng = np.random.default_rng(seed)
    # Some bins empty, some values in none.
    bins, values = rng.integers(0, num_bins + 1, size), rng.integers(-50, 50, size)
    expected = [values[bins == number].sum() for number in range(num_bins)]
    np.testing.assert_array_equal(bin_sums.by_rows(jnp.asarray(values, jnp.float32), bins, num_bins), expected)


def test_long_bins_go_through_several_rounds():
    bins = np.repeat([3, 0, 1], [5000, 70, 1])
    values = np.random.default_rng(0).uniform(1, 2, (2, bins.size)).astype(np.float32)
    expected = [[of[bins == number].sum(dtype=np.float64) for number in range(4)] for of in values]
    for way in (bin_sums.by_rows, bin_sums.of_known_bins):
        np.testing.assert_allclose(way(jnp.asarray(values), bins, 4), expected, rtol=REORDERED_SUM)


def test_what_is_in_no_bin_counts_nowhere():
    values = jnp.arange(1.0, 6.0)
    for bins in ([-1, 0, 2, 7, 2], [3, 0, 2, 3, 2]):
        np.testing.assert_array_equal(bin_sums.of_known_bins(values, np.array(bins), 3), [2, 0, 8])


def test_selection_is_the_sum_over_pixels():
    rng = np.random.default_rng(1)
    index, values = rng.integers(0, 40, 4096), rng.uniform(1, 2, (3, 4096)).astype(np.float32)
    expected = [np.bincount(index, kind, 40) for kind in values]
    for way in (bin_sums.by_selection, bin_sums.of_pixels):
        np.testing.assert_allclose(
            way(jnp.asarray(values), jnp.asarray(index), 40), expected, rtol=REORDERED_SUM
        )


def test_gradients_are_those_of_a_sum():
    bins = np.array([0, 2, 1, 2, 3])
    weights = jnp.array([1.0, 10.0, 100.0])

    def of(way):
        return jax.grad(lambda values: way(values) @ weights)(jnp.ones(5))

    np.testing.assert_array_equal(of(lambda v: bin_sums.by_rows(v, bins, 3)), [1, 100, 10, 100, 0])
    np.testing.assert_array_equal(of(lambda v: bin_sums.of_known_bins(v, bins, 3)), [1, 100, 10, 100, 0])
    index = jnp.asarray(bins)
    np.testing.assert_array_equal(
        of(lambda v: bin_sums.by_selection(v[None], index, 3)[0]), [1, 100, 10, 100, 0]
    )


GEOMETRY = MapGeometry(32, 1.0)
STATISTICS = {
    "power_spectrum": lambda k: power_spectrum(k, PAPER_L_EDGES, 1.0),
    "bispectrum": lambda k: bispectrum(k, log_l_edges(GEOMETRY, 4), 1.0),
    "minkowski_functionals": lambda k: minkowski_functionals(k, PAPER_THRESHOLDS),
    "peak_counts": lambda k: peak_counts(k, np.arange(-1.0, 1.0, 0.5)),
    "minimum_counts": lambda k: minimum_counts(k, np.arange(-1.0, 1.0, 0.5)),
    "starlet": lambda k: starlet_statistics(k, [[0.0, 1.0, 2.0]] * 3, [[0.0, 1.0]] * 3),
    "axis_power": lambda k: axis_power(k, log_l_edges(GEOMETRY, 4), 1.0),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_no_scatter_in_the_programs_of_a_gpu(name):
    kappa = jax.ShapeDtypeStruct((3, 32, 32), jnp.float32)
    programs = {
        platform: jax.jit(STATISTICS[name]).trace(kappa).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cuda", "cpu")
    }
    assert "stablehlo.scatter" not in programs["cuda"]
    assert "stablehlo.scatter" in programs["cpu"]  # what is looked for would be found
