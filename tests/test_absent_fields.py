"""Checkpoints from before a state had a field: it is None, and all else is read."""

import dataclasses
from typing import Any, NamedTuple

import flax.struct
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.runs.absent_fields import with_absent, without_absent
from cosmogan_jax.runs.checkpoints import Checkpoints


class Earlier(NamedTuple):
    mean: Any
    slope: Any = None


class Later(NamedTuple):
    mean: Any
    slope: Any = None
    trend: Any = None


@flax.struct.dataclass
class EarlierState:
    step: Any
    scale: Earlier
    moments: tuple


@flax.struct.dataclass
class LaterState:
    step: Any
    scale: Later
    moments: tuple
    replayed: Any = None


def states():
    moments = ({"kernel": jnp.arange(3.0)}, Earlier(jnp.ones(2)))
    old = EarlierState(jnp.int32(7), Earlier(jnp.arange(4.0)), moments)
    like = LaterState(jnp.int32(0), Later(jnp.zeros(4)), ({"kernel": jnp.zeros(3)}, Earlier(jnp.zeros(2))))
    return old, like


def test_a_checkpoint_of_before_is_read_and_what_it_lacks_is_none(tmp_path):
    old, like = states()
    checkpoints = Checkpoints(tmp_path, writes=True)
    checkpoints.save(7, old)
    state = checkpoints.restore(7, like)
    checkpoints.close()
    assert isinstance(state, LaterState)
    assert isinstance(state.scale, Later)
    assert (state.replayed, state.scale.trend, state.scale.slope) == (None, None, None)
    np.testing.assert_array_equal(state.scale.mean, old.scale.mean)
    np.testing.assert_array_equal(state.moments[0]["kernel"], old.moments[0]["kernel"])
    np.testing.assert_array_equal(state.moments[1].mean, old.moments[1].mean)


def test_a_field_that_has_a_value_and_is_not_there_is_still_an_error(tmp_path):
    old, like = states()
    checkpoints = Checkpoints(tmp_path, writes=True)
    checkpoints.save(7, old)
    with pytest.raises(ValueError, match="replayed"):
        checkpoints.restore(7, dataclasses.replace(like, replayed=jnp.zeros(2)))
    checkpoints.close()


def test_what_is_all_there_is_asked_for_as_it_is():
    _, like = states()
    names = {"step": 0, "scale": {"mean": 0, "slope": None, "trend": None}, "moments": [], "replayed": None}
    assert without_absent(like, names) is like
    assert without_absent(like, None) is like
    asked = without_absent(like, {"step": 0, "scale": {"mean": 0}, "moments": []})
    assert asked.keys() == {"step", "scale", "moments"}
    assert asked["scale"].keys() == {"mean"}
    assert with_absent(like, asked) == like
