"""Covariances side by side: equal ones, a direction that scatters more, and errors against repeated trials."""

import numpy as np
import pytest

from cosmogan_jax.compare.covariance import compare_covariances, independent_columns

MODES, MAPS = 5, 400
ROOT = np.tril(np.random.default_rng(0).normal(size=(MODES, MODES))) + 3 * np.eye(MODES)
SIZES = np.geomspace(1e-12, 1e-3, MODES)


def maps_of(rng, count=MAPS, root=ROOT):
    return SIZES * (rng.normal(size=(count, MODES)) @ root.T)


def compared(generated, validation, **options):
    parents = np.arange(len(generated)), np.arange(len(validation))
    return compare_covariances(generated, validation, *parents, seed=0, **options)


def test_errors_are_those_of_repeated_trials_and_equal_covariances_lie_in_the_range():
    rng = np.random.default_rng(1)
    results = [compared(maps_of(rng), maps_of(rng), num_resamples=40) for _ in range(40)]
    wishart = compared(maps_of(rng, 4000), maps_of(rng, 4000), errors="wishart")
    # The law of Gaussian data, of a tenth of the maps; a diagonal element of both sets scatters by sqrt(4 /
    # 399).
    law = np.sqrt(10.0) * wishart.difference.standard_error
    np.testing.assert_allclose(np.diag(law), np.sqrt(4 / (MAPS - 1)), rtol=0.08)
    scatter = np.std([r.difference.value for r in results], axis=0)
    errors = np.mean([r.difference.standard_error for r in results], axis=0)
    # 40 trials know the scatter of an element to 11 %, that of 15 of them together to some 4 %.
    np.testing.assert_allclose((scatter / law).mean(), 1, atol=0.12)
    np.testing.assert_allclose(errors / law, 1, atol=0.15)
    assert wishart.errors == "wishart"
    inside = [
        (r.eigenvalues.value >= r.equal_range[0]) & (r.eigenvalues.value <= r.equal_range[1]) for r in results
    ]
    assert np.mean(inside) > 0.88
    # Both sets are drawn anew by themselves, be they the same maps.
    values = maps_of(rng)
    same = compared(values, values).difference
    np.testing.assert_array_equal(same.value, 0)
    np.testing.assert_allclose(same.standard_error / law, 1, atol=0.35)
    # The spread of the eigenvalues of equal covariances is no difference of theirs.
    assert results[0].equal_range[1, -1] > 1.05
    assert results[0].maps_validation == pytest.approx(MAPS, rel=0.15)


def test_a_direction_that_scatters_more_is_one_eigenvalue():
    rng = np.random.default_rng(2)
    direction = rng.normal(size=MODES)
    direction /= np.linalg.norm(direction)
    # Of white modes one combination scatters 1.5 times as much: variance 2.25.
    wider = ROOT @ (np.eye(MODES) + 0.5 * np.outer(direction, direction))
    result = compared(maps_of(rng, 4000, wider), maps_of(rng, 4000))
    np.testing.assert_allclose(result.eigenvalues.value[-1], 2.25, rtol=0.1)
    np.testing.assert_allclose(result.eigenvalues.value[:-1], 1, atol=0.12)
    assert result.eigenvalues.value[-1] > result.equal_range[1, -1] + 5 * result.eigenvalues.standard_error[-1]
    true, equal = wider @ wider.T, ROOT @ ROOT.T
    expected = (true - equal) / np.sqrt(np.outer(np.diag(equal), np.diag(equal)))
    assert (np.abs(result.difference.value - expected) < 4.5 * result.difference.standard_error).all()


def test_copies_of_maps_widen_the_errors():
    rng = np.random.default_rng(3)
    few = maps_of(rng, 100)
    copied, parents = np.repeat(few, 4, axis=0), np.repeat(np.arange(100), 4)
    result = compare_covariances(maps_of(rng), copied, np.arange(MAPS), parents, seed=0)
    assert result.maps_validation == pytest.approx(100, rel=0.1)
    alone = compared(maps_of(rng), few)
    np.testing.assert_allclose(result.difference.standard_error, alone.difference.standard_error, rtol=0.35)


def test_modes_that_follow_from_others_are_left_out():
    rng = np.random.default_rng(4)
    values = maps_of(rng)
    columns = [values, np.zeros((MAPS, 1)), values @ (1 / SIZES)[:, None], maps_of(rng)[:, :2]]
    every = np.concatenate(columns, 1)
    np.testing.assert_array_equal(independent_columns(every), [0, 1, 2, 3, 4, 7, 8])
    np.testing.assert_array_equal(independent_columns(every, every * (np.arange(9) != 3)), [0, 1, 2, 4, 7, 8])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"errors": "jackknife"}, "errors='jackknife' must be"),
        ({"num_resamples": 1}, "num_resamples=1"),
        ({"generated": np.ones((9, 4))}, "generated maps have 4 modes, validation maps 5"),
        ({"validation": np.ones((9, MODES))}, "mode 0 does not vary"),
        ({"generated": maps_of(np.random.default_rng(5), 6)}, "independent maps are too few"),
    ],
)
def test_bad_input_is_named(changes, words):
    rng = np.random.default_rng(6)
    options = {"generated": maps_of(rng), "validation": maps_of(rng), **changes}
    with pytest.raises(ValueError, match=words):
        compared(options.pop("generated"), options.pop("validation"), **options)
