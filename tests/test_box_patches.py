"""Patches through boxes that differ in their cosmology alone."""

import dataclasses

import jax
import numpy as np
import pytest

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.sky.box_patches import box_patches
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY
from cosmogan_jax.sky.matter_power import paper_matter_power
from cosmogan_jax.sky.nbody import BoxSettings
from cosmogan_jax.sky.response import displaced_power
from cosmogan_jax.sky.source_distributions import single_redshifts

BOX = BoxSettings(60.0, 16, 32, 6, 9.0, 1, 32)
GEOMETRY = MapGeometry(16, 0.6)
KEY = jax.random.key(0)

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def patches():
    return box_patches(KEY, BOX, paper_matter_power(), GEOMETRY, 1.0, 6)


def test_a_patch_depends_on_its_key_and_number_alone(patches):
    assert patches.shape == (6, 16, 16)
    assert len(np.unique(patches.std((1, 2)).round(9))) == 6
    again = box_patches(KEY, BOX, paper_matter_power(), GEOMETRY, 1.0, 2)
    np.testing.assert_allclose(again, patches[:2], atol=1e-6 * patches.std())
    other = box_patches(jax.random.key(1), BOX, paper_matter_power(), GEOMETRY, 1.0, 2)
    assert np.abs(np.corrcoef(other.ravel(), patches[:2].ravel())[0, 1]) < 0.3


@pytest.mark.parametrize("name", ["sigma8", "omega_m"])
def test_a_key_is_the_same_box_at_other_cosmologies(patches, name):
    """Omega_m changes how many planes there are; those that stay look at the same places."""
    changed = box_patches(KEY, BOX, displaced_power(PAPER_COSMOLOGY, name, 0.05), GEOMETRY, 1.0, 6)
    assert np.corrcoef(changed.ravel(), patches.ravel())[0, 1] > 0.95
    slope = np.log(changed.var() / patches.var()) / np.log(1.05)
    # Sixteen particles a side hold little but particle noise beyond linear growth's 2.
    assert 0.8 < slope < 3.5


def test_patches_of_several_bins_are_of_the_same_box(patches):
    found = box_patches(KEY, BOX, paper_matter_power(), GEOMETRY, single_redshifts((0.5, 1.0)), 6)
    assert found.shape == (6, 16, 16, 2)
    np.testing.assert_allclose(found[..., 1], patches, atol=1e-6 * patches.std())
    assert found[..., 0].std() < 0.6 * patches.std()


def test_bad_input_is_named():
    for changes, words in (
        ({"geometry": MapGeometry(16, 3.0)}, "more than box_size=60"),
        ({"num": 0}, "num_patches=0"),
    ):
        with pytest.raises(ValueError, match=words):
            box_patches(
                KEY, BOX, paper_matter_power(), changes.get("geometry", GEOMETRY), 1.0, changes.get("num", 2)
            )
    late = dataclasses.replace(BOX, start_redshift=1.0)
    with pytest.raises(ValueError, match=r"start_redshift=1.0 must be above"):
        box_patches(KEY, late, paper_matter_power(), GEOMETRY, 2.0, 1)
