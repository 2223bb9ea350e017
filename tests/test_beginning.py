"""What is measured before the first step: of crops, and of squares around them."""

import numpy as np
import pytest

from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.crop_table import open_crop_table, write_crop_table
from cosmogan_jax.maps.store_writing import write_map_store
from cosmogan_jax.stages.train.beginning import TrainingCrops

MAPS, SIDE, CROP = 3, 40, 16
NONE = Normalisation("none", 1.0)


def crops_of(folder, kappa, crops, size=CROP, origin=None):
    write_map_store(
        folder / "maps", [kappa], MAPS, MapGeometry(SIDE, 1.0), {"origin": origin or {}}, allow_invalid=True
    )
    manifest = {
        "maps": "maps", "crop_size": size, "side_deg": size / SIDE, "source_redshift": None,
        "parents": [*range(MAPS)], "boxes": [None] * MAPS, "origin": {},
        "normalisation": {"kind": "none", "scale": 1.0},
    }  # fmt: skip
    crops = np.array(crops, np.int32)
    write_crop_table(folder, {"train": crops, "development": crops[:0], "validation": crops[:0]}, manifest)
    return TrainingCrops(open_crop_table(folder), NONE)


@pytest.fixture
def kappa():
    return np.random.default_rng(0).normal(size=(MAPS, SIDE, SIDE)).astype(np.float32)


def test_wider_squares_hold_the_crops_and_each_place_counts_once(tmp_path, kappa):
    # The last two lie within 8 pixels of the far border: one square, which ends there.
    crops = crops_of(tmp_path, kappa, [(0, 3, 5), (2, 20, 8), (2, 23, 8)])
    (inner,), (outer,) = crops(), crops.wider()()
    assert inner.shape == (3, CROP, CROP, 1)
    np.testing.assert_array_equal(outer[..., 0], [kappa[0, 3:35, 5:37], kappa[2, 8:, 8:]])


def test_maps_no_wider_than_twice_the_crops_are_taken_whole(tmp_path, kappa):
    crops = crops_of(tmp_path, kappa, [(0, 3, 5), (0, 9, 1), (1, 16, 16)], size=24)
    (outer,) = crops.wider()()
    np.testing.assert_array_equal(outer[..., 0], kappa[:2])


@pytest.mark.parametrize("why", ["invalid", "masked", "whole"])
def test_crops_stay_as_they_are_where_nothing_wider_can_be_trusted_or_had(tmp_path, kappa, why):
    if why == "invalid":
        kappa[1, 0, 0] = np.nan
    size = SIDE if why == "whole" else CROP
    crops = crops_of(
        tmp_path, kappa, [(0, 0, 0)], size, {"masks": [["mask.npy", 0]]} if why == "masked" else None
    )
    assert crops.wider() is crops
