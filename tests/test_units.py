"""What counts as one: boxes where there are enough of them, else the maps that crops were cut from."""

import numpy as np
import pytest

from cosmogan_jax.compare.effects.resamples import MIN_PARENTS
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.sets import MapSet
from cosmogan_jax.stages.evaluate.compared_sets import units_of


def of_boxes(number, maps_each=3):
    """A set of which only its numbers are looked at: crops, two of each parent."""
    boxes = None if number is None else np.repeat(np.arange(number), 2 * maps_each)
    count = 12 if boxes is None else len(boxes)

    def read(start, stop):
        return np.zeros((stop - start, 8, 8), np.float32)

    return MapSet("validation", MapGeometry(8, 1.0), count, read, np.arange(count) // 2, boxes, None, "", {})


@pytest.mark.parametrize("number", [MIN_PARENTS, MIN_PARENTS + 1, 8 * MIN_PARENTS, 20 * MIN_PARENTS])
def test_enough_boxes_are_the_units(number):
    labels, unit = units_of(of_boxes(number), "auto")
    assert unit == "box"
    assert len(np.unique(labels)) == number


@pytest.mark.parametrize("number", [1, MIN_PARENTS - 1, None])
def test_of_fewer_the_parents_are(number):
    maps = of_boxes(number)
    labels, unit = units_of(maps, "auto")
    assert unit == "map"
    np.testing.assert_array_equal(labels, maps.parents)


def test_what_is_asked_for_is_taken():
    assert units_of(of_boxes(2), "box")[1] == "box"
    assert units_of(of_boxes(20), "map")[1] == "map"
    with pytest.raises(ValueError, match="independent_unit=box: the validation maps do not say which box"):
        units_of(of_boxes(None), "box")
