"""Survey masks: of every form, one for all maps or one for each, kept out of crops."""

import h5py
import numpy as np
import pytest
from astropy.io import fits

from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.formats import open_mask_file
from cosmogan_jax.maps.store import open_map_store

SIZE = 24


def maps(count, seed=0):
    return (np.random.default_rng(seed).normal(size=(count, SIZE, SIZE)) * 0.02).astype(np.float32)


def observed():
    """All but a corner and a star."""
    mask = np.ones((SIZE, SIZE), bool)
    mask[:5, :7] = mask[15:17, 18] = False
    return mask


@pytest.fixture
def prepare(run_main, tmp_path):
    def run(*flags, code=0):
        found, said, error = run_main(
            f"--workdir={tmp_path}/run", "--stages=prepare", "--crop_size=8", "--crops_per_map=12",
            "--side_deg=1", *flags,
        )  # fmt: skip
        assert found == code, error
        return error if code else (open_crop_table(tmp_path / "run/prepare"), said)

    return run


def write(path, mask):
    if path.suffix == ".npy":
        np.save(path, mask)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["survey/mask"], file["weights"] = mask, np.ones(mask.shape[-2:])
    else:
        fits.PrimaryHDU(mask.astype(">i2" if mask.dtype == bool else mask.dtype)).writeto(path)
    return path


@pytest.mark.parametrize("name", ["m.npy", "m.h5", "m.fits", "m.fits.gz"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32, ">f8"], ids=str)
def test_every_form_is_read(tmp_path, name, dtype):
    one, many = observed(), np.stack([observed(), observed().T, observed()[::-1]])
    found = open_mask_file(write(tmp_path / name, one.astype(dtype)))
    assert (found.num_masks, found.shape) == (1, (SIZE, SIZE))
    np.testing.assert_array_equal(found.load(0), one)
    found = open_mask_file(write(tmp_path / f"many_{name}", many.astype(dtype)))
    assert found.num_masks == 3
    for n, mask in enumerate(many):
        np.testing.assert_array_equal(found.load(n), mask)


def test_masked_pixels_are_in_no_crop(prepare, tmp_path):
    """What stands below the mask, a fill value here, is neither stored nor looked at."""
    kappa, mask = maps(12), observed()
    kappa[:, ~mask] = -99
    np.save(tmp_path / "k.npy", kappa)
    table, said = prepare(f"--maps={tmp_path}/k.npy", f"--mask={write(tmp_path / 'm.fits', mask)}")
    assert "masked: 6.42 % of the pixels, by 1 mask" in said
    stored = table.store.read()[..., 0]
    np.testing.assert_array_equal(np.isnan(stored), np.broadcast_to(~mask, stored.shape))
    np.testing.assert_array_equal(stored[:, mask], kappa[:, mask])
    for crops in table.crops.values():
        assert len(crops)
        assert all(mask[r : r + 8, c : c + 8].all() for _, r, c in crops)
    assert table.store.manifest.origin["masks"][0]["path"].endswith("m.fits")


def test_one_mask_for_each_map(prepare, tmp_path):
    """In the order of the maps; without --invalid_pixels=drop a map that is masked whole is refused."""
    masks = np.stack([np.roll(observed(), n, axis=1) for n in range(12)])
    np.save(tmp_path / "k.npy", maps(12))
    given = [f"--maps={tmp_path}/k.npy", f"--mask={write(tmp_path / 'm.npy', masks)}"]
    table, _ = prepare(*given)
    for crops in table.crops.values():
        assert all(masks[n, r : r + 8, c : c + 8].all() for n, r, c in crops)
    masks[3] = False
    write(tmp_path / "m.npy", masks)
    assert "m.npy has changed since" in prepare(*given, code=1)
    error = prepare(*given, f"--workdir={tmp_path}/other", code=1)
    assert "k.npy[3] holds no valid pixel: all 576 are NaN, infinite, fill values or masked (576)" in error


def test_crops_with_a_share_of_masked_pixels_keep_their_values(prepare, tmp_path):
    """Left out are only those with a larger share; kept numbers of maps are those of the masks."""
    kappa, masks = maps(12), np.stack([np.roll(observed(), n, axis=0) for n in range(12)])
    kappa[2] = np.nan  # left out: the store's maps and the masks are numbered differently
    np.save(tmp_path / "k.npy", kappa)
    table, _ = prepare(
        f"--maps={tmp_path}/k.npy", f"--mask={write(tmp_path / 'm.npy', masks)}", "--mask_max_fraction=0.125",
        "--crops_per_map=150", "--invalid_pixels=drop",
    )  # fmt: skip
    kept = np.delete(np.arange(12), 2)
    np.testing.assert_array_equal(table.store.read()[..., 0], kappa[kept])
    masked = np.concatenate(
        [[(~masks[kept[n], r : r + 8, c : c + 8]).sum() for n, r, c in of] for of in table.crops.values()]
    )
    assert masked.max() == 8  # of 64
    assert (masked == 0).any()


def test_a_mask_of_the_files_pixels_is_averaged_with_the_maps(prepare, tmp_path):
    mask = observed()
    np.save(tmp_path / "k.npy", maps(12))
    flags = f"--maps={tmp_path}/k.npy", f"--mask={write(tmp_path / 'm.npy', mask)}", "--downsample=2"
    table, _ = prepare(*flags, "--crop_size=4")
    blocks = mask.reshape(12, 2, 12, 2).all((1, 3))
    np.testing.assert_array_equal(np.isnan(table.store.read()[0, ..., 0]), ~blocks)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.ones((8, 8)), "m.npy has 8x8 pixels, the maps in their files 24x24"),
        (np.ones((3, SIZE, SIZE)), "names 3 masks for 12 maps; give one for all"),
        (np.full((SIZE, SIZE), 0.5), "m.npy holds 0.5; a mask is 1 where a pixel is observed"),
        (np.full((SIZE, SIZE), np.nan), "m.npy holds nan"),
        (np.ones((SIZE, SIZE), complex), "holds complex128, not 0 and 1"),
        (np.ones(SIZE), "has shape (24,); expected (row, column)"),
        (np.zeros((SIZE, SIZE)), "none of the 12 maps can be used"),
    ],
    ids=str,
)
def test_what_is_no_mask_is_one_line(prepare, tmp_path, mask, words):
    np.save(tmp_path / "k.npy", maps(12))
    np.save(tmp_path / "m.npy", mask)
    assert words in prepare(f"--maps={tmp_path}/k.npy", f"--mask={tmp_path}/m.npy", code=1)


def test_a_mask_that_leaves_no_room_names_the_flag(prepare, tmp_path):
    np.save(tmp_path / "k.npy", maps(12))
    said = prepare(
        f"--maps={tmp_path}/k.npy",
        f"--mask={write(tmp_path / 'm.npy', observed())}",
        "--crop_size=22",
        "--crops_per_map=1",
        code=1,
    )
    assert (
        "more than the 0 positions free of invalid pixels and more masked ones than --mask_max_fraction=0"
        in said
    )


def test_flags_that_go_together(prepare, tmp_path):
    np.save(tmp_path / "k.npy", maps(12))
    assert "mask_max_fraction=0.1 goes with --mask" in prepare(
        f"--maps={tmp_path}/k.npy", "--mask_max_fraction=0.1", code=1
    )
    (tmp_path / "m.txt").write_text("1 1 1")
    said = prepare(f"--maps={tmp_path}/k.npy", f"--mask={tmp_path}/m.txt", code=1)
    assert "m.txt is none of npy, FITS and HDF5" in said
    assert "mask=m.npy goes with --maps" in prepare("--mask=m.npy", code=1)


def test_a_mask_of_maps_that_are_not_square_has_their_shape(prepare, tmp_path):
    kappa = (np.random.default_rng(2).normal(size=(6, SIZE, 40)) * 0.02).astype(np.float32)
    mask = np.ones((SIZE, 40), bool)
    mask[3:20, 30:] = mask[:, 5] = False
    np.save(tmp_path / "k.npy", kappa)
    np.save(tmp_path / "m.npy", mask)
    table, said = prepare(f"--maps={tmp_path}/k.npy", f"--mask={tmp_path}/m.npy")
    assert f"masked: {100 * (1 - mask.mean()):.3g} % of the pixels, by 1 mask" in said
    for rows in table.crops.values():
        assert len(rows)
        for _, row, column in rows:
            assert mask[row : row + 8, column : column + 8].all()
    np.save(tmp_path / "m.npy", mask.T)
    error = prepare(
        f"--workdir={tmp_path}/other", f"--maps={tmp_path}/k.npy", f"--mask={tmp_path}/m.npy", code=1
    )
    assert f"{SIZE}x40" in error
    assert f"40x{SIZE}" in error


@pytest.mark.parametrize("share", [0, 0.1])
def test_a_mask_is_one_of_all_bins_of_a_map(prepare, tmp_path, share):
    kappa = np.stack([maps(6, 3), 2 * maps(6, 4)], axis=-1)
    masks = np.stack([observed() if n % 2 else observed()[::-1] for n in range(6)])
    np.save(tmp_path / "k.npy", kappa)
    np.save(tmp_path / "m.npy", masks)
    table, _ = prepare(
        f"--maps={tmp_path}/k.npy", f"--mask={tmp_path}/m.npy", "--source_bins=all", "--channel=1",
        f"--mask_max_fraction={share}",
    )  # fmt: skip
    # Where a share of a crop may be masked, pixels keep their values; else they are invalid, in both bins.
    stored = open_map_store(table.store.path).read()
    expected = kappa if share else np.where(masks[..., None], kappa, np.nan)
    np.testing.assert_array_equal(stored, expected)
    for rows in table.crops.values():
        for (number, row, column), cut in zip(rows, table.cut(rows)):
            place = np.s_[row : row + 8, column : column + 8]
            np.testing.assert_array_equal(cut[..., 0], kappa[number][place][..., 1])
            assert (~masks[number][place]).mean() <= share
