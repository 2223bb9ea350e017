"""Flat squares of a HEALPix sky: where they lie, what they hold, what counts as independent."""

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS
from astropy_healpix import core

from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.formats import ReadOptions, find_map_files, open_map_file
from cosmogan_jax.maps.formats.sky_patches import (
    chosen_centres,
    num_side,
    patch_centres,
    patch_directions,
    patch_indices,
)

NSIDE = 32
PIXELS = 12 * NSIDE**2


def directions(nested=False):
    """Unit vectors of the sky's pixels."""
    order = "nested" if nested else "ring"
    return np.stack(core.healpix_to_xyz(np.arange(PIXELS), NSIDE, order=order), -1).astype(float)


def write(path, columns, rows=1, nested=False, **cards):
    """As healpy.write_map does: rows of several pixels, where rows > 1."""
    kinds = [
        fits.Column(name, "J" if values.dtype.kind == "i" else f"{rows if rows > 1 else ''}E",
                    array=values.reshape(-1, rows) if rows > 1 else values)
        for name, values in columns.items()
    ]  # fmt: skip
    table = fits.BinTableHDU.from_columns(kinds)
    table.header.update(PIXTYPE="HEALPIX", NSIDE=NSIDE, ORDERING="NESTED" if nested else "RING", **cards)
    table.writeto(path, overwrite=True)
    return path


def noise(seed=0):
    return (np.random.default_rng(seed).normal(size=PIXELS) * 0.02).astype(np.float32)


@pytest.mark.parametrize("side_deg", [1.0, 3.5, 10.0, 30.0])
def test_patches_do_not_overlap_and_leave_little_out(side_deg):
    """Points all over the sky lie in one patch at most, by the projection itself, not by its inverse."""
    centres = np.radians(patch_centres(side_deg))
    half = np.radians(side_deg) / 2
    rng = np.random.default_rng(0)
    longitude, sine = rng.uniform(0, 2 * np.pi, 2000), rng.uniform(-1, 1, 2000)
    cosine = np.sqrt(1 - sine**2)
    inside = np.zeros(2000, int)
    for start in range(0, len(centres), 500):
        a, d = centres[start : start + 500].T[:, :, None]
        # Snyder 1987, eq. 22-4, 22-5 and 5-3.
        angle = np.sin(d) * sine + np.cos(d) * cosine * np.cos(longitude - a)
        x = cosine * np.sin(longitude - a) / angle
        y = (np.cos(d) * sine - np.sin(d) * cosine * np.cos(longitude - a)) / angle
        inside += ((angle > 0) & (np.abs(x) < half) & (np.abs(y) < half)).sum(0)
    assert inside.max() == 1
    # Their area: 30 degrees leave gaps between few bands, and planes are wider than the sky.
    assert inside.mean() > {1.0: 0.97, 3.5: 0.93, 10.0: 0.87, 30.0: 0.65}[side_deg]


def test_directions_are_those_of_a_tan_wcs():
    for centre in patch_centres(20.0)[[0, 7, 40, -1]]:
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = centre, [4.5, 4.5], [2.5, 2.5]
        x, y = np.meshgrid(np.arange(8), np.arange(8))
        expected = wcs.all_pix2world(x, y, 0)
        found = patch_directions(centre, 8, 20.0)
        np.testing.assert_allclose(np.degrees(found[1]), expected[1], atol=1e-9)
        np.testing.assert_allclose(np.cos(found[0]), np.cos(np.radians(expected[0])), atol=1e-11)
        np.testing.assert_allclose(np.sin(found[0]), np.sin(np.radians(expected[0])), atol=1e-11)


@pytest.mark.parametrize("nested", [False, True])
def test_patches_hold_the_sky(tmp_path, nested):
    """A dipole, which is known at every direction: patches hold it to within a pixel of the sky."""
    dipole = np.array([0.3, -0.5, 0.8])
    path = write(tmp_path / "sky.fits", {"KAPPA": (directions(nested) @ dipole).astype("f4")}, 1024, nested)
    found = open_map_file(path, ReadOptions(cut_patches=(16,), patch_side_deg=10.0))
    centres = patch_centres(10.0)
    assert (found.num_maps, found.num_pixels, found.side_deg) == (len(centres), 16, 10.0)
    # 1.3 pixels of 1.83 degrees is the farthest corner of one from its centre.
    reach = 1.3 * np.radians(1.83) * np.linalg.norm(dipole)
    for number in (0, 50, len(centres) - 1):
        longitude, latitude = patch_directions(centres[number], 16, 10.0)
        vectors = np.stack(
            [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], -1
        )
        np.testing.assert_allclose(found.read(number, number + 1)[0], vectors @ dipole, atol=reach)


def test_each_pixel_is_that_of_the_sky_it_lies_in(tmp_path):
    sky = noise()
    np.save(tmp_path / "sky.npy", sky)
    found = open_map_file(tmp_path / "sky.npy", ReadOptions(cut_patches=(8, 5), patch_side_deg=12.0))
    assert found.num_maps == 5
    for number, centre in enumerate(chosen_centres(12.0, 5)):
        longitude, latitude = patch_directions(centre, 8, 12.0)
        index = core.lonlat_to_healpix(longitude * units.rad, latitude * units.rad, NSIDE, order="ring")
        np.testing.assert_array_equal(found.read(number, number + 1)[0], sky[index])
        np.testing.assert_array_equal(index, patch_indices(centre, 8, 12.0, NSIDE, nested=False))


def test_every_form_of_a_sky_gives_the_same_patches(tmp_path):
    import h5py
    import zarr

    sky = noise()
    write(tmp_path / "a.fits", {"TEMPERATURE": sky})
    write(tmp_path / "rows.fits", {"I_STOKES": sky}, 1024)
    write(tmp_path / "gamma.fits", {"gamma1": sky[::-1], "kappa": sky})
    ring_of = core.nested_to_ring(np.arange(PIXELS), NSIDE)
    write(tmp_path / "nested.fits", {"KAPPA": sky[ring_of]}, nested=True)
    shuffled = np.random.default_rng(1).permutation(PIXELS).astype(np.int32)
    write(tmp_path / "part.fits", {"PIXEL": shuffled, "KAPPA": sky[shuffled]}, INDXSCHM="EXPLICIT")
    np.save(tmp_path / "a.npy", sky)
    np.savez_compressed(tmp_path / "a.npz", kappa=sky)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kappa"], file["ell"] = sky, np.arange(7.0)
    zarr.open_group(tmp_path / "a.zarr", mode="w")["kappa"] = sky
    options = ReadOptions(cut_patches=(12,), patch_side_deg=10.0)
    expected = None
    for path in find_map_files([str(tmp_path)]):
        found = open_map_file(path, options)
        assert "nside=32" in found.format
        assert set(found.parents) == {0}
        kappa = np.concatenate([found.read(start, start + 100) for start in range(0, 300, 100)])
        expected = kappa if expected is None else expected
        np.testing.assert_array_equal(kappa, expected, err_msg=str(path))
    assert len(find_map_files([str(tmp_path)])) == 9


def test_a_part_of_the_sky_has_invalid_pixels_elsewhere(tmp_path):
    sky, north = noise(), np.flatnonzero(directions()[:, 2] > 0).astype(np.int32)
    write(tmp_path / "part.fits", {"PIXEL": north, "KAPPA": sky[north]}, INDXSCHM="EXPLICIT")
    unseen = np.where(directions()[:, 2] > 0, sky, np.float32(-1.6375e30))
    np.save(tmp_path / "unseen.npy", unseen)
    options = ReadOptions(cut_patches=(8,), patch_side_deg=10.0)
    one, other = (open_map_file(tmp_path / name, options).read(0, 372) for name in ("part.fits", "unseen.npy"))
    np.testing.assert_array_equal(one, other)
    assert np.isnan(one[0]).all()
    assert np.isfinite(one[-1]).all()


@pytest.mark.parametrize(
    ("columns", "cards", "options", "words"),
    [
        ({"KAPPA": noise()}, {}, {}, r"a HEALPix map: --cut_patches=<pixels on a side> cuts it to flat"),
        ({"KAPPA": noise()}, {}, {"cut_patches": (8,)}, "how wide are the patches"),
        ({"A": noise(), "B": noise()}, {}, {"cut_patches": (8,), "patch_side_deg": 5.0}, "columns A, B;"),
        ({"KAPPA": noise()}, {"NSIDE": 64}, {"cut_patches": (8,), "patch_side_deg": 5.0}, "NSIDE=64 has 49152"),
        ({"KAPPA": noise()}, {"ORDERING": "UP"}, {"cut_patches": (8,), "patch_side_deg": 5.0}, "ORDERING='UP'"),
        ({"KAPPA": noise()}, {}, {"cut_patches": (8,), "patch_side_deg": 50.0}, "at most 30"),
        ({"KAPPA": noise()}, {}, {"cut_patches": (4,), "patch_side_deg": 20.0}, r"pixels of 300 arcmin of .*, "
         r"whose own are 110: it would take one of 7; cut 16 and average by prepare.s --downsample=4"),
        ({"PIXEL": np.array([PIXELS], np.int32), "K": noise()[:1]}, {}, {"cut_patches": (8,),
         "patch_side_deg": 5.0}, "names pixels that a sky of NSIDE=32 has not"),
    ],
)  # fmt: skip
def test_skies_that_cannot_be_cut_are_one_line(tmp_path, columns, cards, options, words):
    path = write(tmp_path / "sky.fits", columns)
    with fits.open(path, "update") as opened:
        opened[1].header.update(cards)
    with pytest.raises(ValueError, match=words) as caught:
        open_map_file(path, ReadOptions(**options)).read(0, 1)
    assert "\n" not in str(caught.value)


def test_num_side():
    assert [num_side(n) for n in (12, 48, 12 * 1000**2, 13, 0, -12, 24)] == [1, 2, 1000, None, None, None, None]


def test_patches_of_one_sky_are_one_unit_unless_told(run_main, tmp_path):
    for n in range(5):
        write(tmp_path / f"sky_{n}.fits", {"KAPPA": noise(n)}, ZSOURCE=1.0)
    code, out, error = run_main(
        f"--workdir={tmp_path}/run", f"--maps={tmp_path}", "--cut_patches=16,24", "--side_deg=10",
        "--stages=prepare", "--crop_size=16", "--crops_per_map=1",
    )  # fmt: skip
    assert code == 0, error
    assert "120 maps of 16x16 pixels, 10 degrees wide" in out
    table = open_crop_table(tmp_path / "run/prepare")
    assert table.store.manifest.parents == [n for n in range(5) for _ in range(24)]
    # 96 to train on would be four skies, and 12 of the fifth to develop by: no sky is split.
    assert table.store.manifest.splits == ["train"] * 72 + ["development"] * 24 + ["validation"] * 24
    assert table.store.manifest.source_redshift == 1.0
    assert table.store.manifest.origin["files"][0]["format"] == "HEALPix:FITS:KAPPA, nside=32, RING"
    assert "cut_patches=16,24" in (tmp_path / "run/flags.txt").read_text()

    from cosmogan_jax.stages.evaluate.compared_sets import _from_table, units_of

    code, out, _ = run_main(
        f"--workdir={tmp_path}/dry", f"--maps={tmp_path}", "--cut_patches=16,24", "--side_deg=10", "--dry_run",
        "--stages=prepare", "--crop_size=16", "--crops_per_map=1",
    )  # fmt: skip
    assert (
        "no verdict from 1 sky in the validation set, without an auxiliary one, of which there must be" in out
    )
    one = _from_table("train", table, 1000)
    for unit, expected in (("auto", 3), ("map", 3), ("patch", 72)):
        assert len(np.unique(units_of(one, unit)[0])) == expected
    # Other maps have nothing to cut.
    np.save(tmp_path / "flat.npy", np.random.default_rng(0).normal(size=(9, 16, 16)).astype("f4") * 0.02)
    code, _, error = run_main(
        f"--workdir={tmp_path}/other", f"--maps={tmp_path}/flat.npy", "--cut_patches=16", "--side_deg=10",
        "--stages=prepare", "--crop_size=16", "--crops_per_map=1",
    )  # fmt: skip
    assert code == 1
    assert "cut_patches=16 is for HEALPix maps, and none is given" in error


@pytest.mark.parametrize(
    ("sizes", "begins", "expected"),
    [
        ((1,) * 10, [8, 9], [8, 9]),
        ((4, 4, 4), [10, 11], [4, 8]),
        ((3, 3, 3, 3), [9, 11], [6, 9]),
        ((5, 1, 1, 5), [10, 11], [6, 7]),
        ((2, 6, 2), [8], [8]),
        ((4, 4), [6, 7], [6, 7]),
    ],
)
def test_splits_begin_where_another_sky_does(capsys, sizes, begins, expected):
    from cosmogan_jax.stages.prepare.map_import import _at_borders

    parents = [n for n, size in enumerate(sizes) for _ in range(size)]
    assert _at_borders(begins, parents) == expected
    said = "the maps are parts of 2 larger ones, too few for splits without one in common"
    assert (said in capsys.readouterr().out) == (len(sizes) == 2)
