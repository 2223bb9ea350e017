"""Parents of maps: numbers, halves, parts and draws keep them whole."""

import numpy as np
import pytest

from cosmogan_jax.compare.parents import (
    equally_many,
    every_other,
    halves,
    map_weights,
    numbered,
    one_of_each,
    parent_weights,
    parts_by_parent,
)

RNG = np.random.default_rng(0)


def test_numbers_follow_the_labels_order():
    numbers, count = numbered(["b", "a", "c", "b"], 4)
    np.testing.assert_array_equal(numbers, [1, 0, 2, 1])
    assert count == 3
    with pytest.raises(ValueError, match=r"boxes.shape=\(3,\) must be \(4,\), one for each map"):
        numbered([1, 2, 3], 4, name="boxes")
    with pytest.raises(ValueError, match="1 parent is too few: an error needs at least 2"):
        numbered([1, 1], fewest=2, purpose="an error")
    with pytest.raises(ValueError, match="2 parents are too few: an interval needs at least 5"):
        numbered([1, 2], fewest=5, purpose="an interval")


def test_draws_are_of_whole_parents_and_streams_differ():
    parents = RNG.integers(0, 9, 40)
    by_map, by_parent = list(map_weights(parents, 3, 5)), list(parent_weights(9, 3, 5))
    for weights, drawn in zip(by_map, by_parent, strict=True):
        assert drawn.sum() == 9
        np.testing.assert_array_equal(weights, drawn[parents])
    others = list(parent_weights(9, 3, 5, stream=1))
    assert not any(np.array_equal(a, b) for a, b in zip(by_parent, others, strict=True))


def test_maps_of_each_parent():
    parents = np.array([4, 2, 4, 4, 2, 7])
    np.testing.assert_array_equal(every_other(parents), [0, 1, 3, 5])
    chosen = one_of_each(parents, seed=1)
    assert sorted(parents[chosen]) == [2, 4, 7]
    assert list(chosen) == sorted(chosen)


def test_halves_keep_parents_whole():
    parents = RNG.permutation(np.repeat(np.arange(21), 4))
    one, two = halves(parents, seed=4)
    names = [set(parents[part]) for part in (one, two)]
    assert not names[0] & names[1]
    assert [len(n) for n in names] == [10, 11]
    np.testing.assert_array_equal(np.sort(np.concatenate([one, two])), np.arange(84))
    assert set(parents[halves(parents, seed=5)[0]]) != names[0]


def test_halves_share_no_parent():
    parents = RNG.integers(0, 17, 300)
    first, second = parts_by_parent(parents, (1, 1), seed=4)
    assert not set(parents[first]) & set(parents[second])
    assert sorted([*first, *second]) == list(range(300))
    assert abs(len(first) - len(second)) < 40
    assert not np.array_equal(first, parts_by_parent(parents, (1, 1), seed=5)[0])
    chosen = equally_many(34, parents, first)
    assert set(chosen) <= set(first)
    assert np.ptp(np.unique(parents[chosen], return_counts=True)[1]) <= 1
    # Errors want two parents to test on, however few there are.
    assert [len(part) for part in parts_by_parent(np.arange(4), (4, 3, 1), seed=0)] == [2, 1, 1]


@pytest.mark.parametrize("count", [1, 5, 12, 30, 41, 59])
def test_as_many_of_each_parent_from_the_first_to_the_last(count):
    """Parents stand box by box: where the last turn is cut, the first boxes alone had one more."""
    parents = np.repeat(np.arange(30), 2)
    offset = 7 + np.arange(60)  # of a larger set
    chosen = equally_many(count, np.concatenate([np.zeros(7, int), parents]), offset) - 7
    assert len(set(chosen)) == count
    counts = np.bincount(parents[chosen], minlength=30)
    assert np.ptp(counts) <= 1
    # In every third of the parents as many as in any other, to one.
    assert np.ptp(counts.reshape(3, 10).sum(1)) <= 1


def test_parents_that_have_no_more_maps_are_left_to_the_others():
    """One, two and nine maps: of eight each gives what it has, and the largest the rest, its first ones."""
    parents = np.array(["b", "a", "c", "c", "b", *"ccccccc"])
    np.testing.assert_array_equal(equally_many(8, parents, np.arange(12)), [0, 1, 2, 3, 4, 5, 6, 7])
    np.testing.assert_array_equal(equally_many(12, parents, np.arange(12)), np.arange(12))
    assert len(equally_many(0, parents, np.arange(12))) == 0
