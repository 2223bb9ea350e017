"""What files say of their maps: angle, source redshift, cosmology, which image; and what they cannot say."""

import h5py
import numpy as np
import pytest
from astropy.io import fits

from cosmogan_jax.maps.formats import ReadOptions, open_map_file
from cosmogan_jax.maps.store import open_map_store

KAPPA = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)


def image(path, **cards):
    hdu = fits.PrimaryHDU(KAPPA)
    for key, card in cards.items():
        hdu.header[key] = card
    hdu.writeto(path, overwrite=True)
    return path


def several(path, primary=None, **kinds):
    """A file of images by name: a number times KAPPA, or integers where it is 0."""
    hdus = [fits.PrimaryHDU(None, fits.Header(primary or {}))]
    for name, factor in kinds.items():
        pixels = KAPPA * np.float32(factor) if factor else np.ones((8, 8), np.int16)
        hdus.append(fits.ImageHDU(pixels, name=name))
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def dataset(path, of_file=None, pixels=KAPPA, **attributes):
    with h5py.File(path, "w") as file:
        file["kappa"] = pixels
        file["kappa"].attrs.update(attributes)
        file.attrs.update(of_file or {})
    return path


def test_several_images_must_be_told_apart(tmp_path):
    path = several(tmp_path / "a.fits", KAPPA=1, GAMMA1=2, MASK=0)
    with pytest.raises(
        ValueError,
        match=r"a\.fits holds several images; .*--fits_extension: 1 KAPPA \(8, 8\), 2 GAMMA1 \(8, 8\)",
    ):
        open_map_file(path)
    for extension, factor in (("kappa", 1), ("KAPPA", 1), ("1", 1), ("gamma1", 2), ("2", 2)):
        found = open_map_file(path, ReadOptions(fits_extension=extension))
        assert found.format == f"FITS:{extension}"
        np.testing.assert_array_equal(found.read(0, 1)[0], factor * KAPPA)
    for extension in ("0", "7", "SHEAR"):
        with pytest.raises(
            ValueError, match=rf"no image fits_extension={extension}; its images: 1 KAPPA .*MASK"
        ):
            open_map_file(path, ReadOptions(fits_extension=extension))
    with pytest.raises(ValueError, match="holds int16"):
        open_map_file(path, ReadOptions(fits_extension="mask"))
    # A mask of integers beside one map leaves no doubt.
    found = open_map_file(several(tmp_path / "b.fits", MASK=0, KAPPA=1))
    np.testing.assert_array_equal(found.read(0, 1)[0], KAPPA)


def test_cards_of_the_first_header_hold_for_its_images(tmp_path):
    primary = {"ANGLE": 3.5, "ZSOURCE": 1.5, "OMEGA_M": 0.3, "H": 0.7}
    path = several(tmp_path / "a.fits", primary, KAPPA=1)
    found = open_map_file(path)
    assert (found.side_deg, found.source_redshift) == (3.5, 1.5)
    assert found.facts["cosmology"] == {"h": 0.7, "omega_m": 0.3}
    with fits.open(path, "update") as opened:
        opened[1].header["ANGLE"], opened[1].header["Z_S"], opened[1].header["H"] = 2.0, 0.5, 0.6
    found = open_map_file(path)
    assert (found.side_deg, found.source_redshift) == (2.0, 0.5)
    assert found.facts["cosmology"] == {"h": 0.6, "omega_m": 0.3}


def test_z_alone_is_a_source_redshift_only_where_it_says_so(tmp_path):
    assert open_map_file(image(tmp_path / "a.fits", Z=0.7)).source_redshift is None
    assert open_map_file(image(tmp_path / "a.fits", Z=(0.7, "Redshift of the lens"))).source_redshift is None
    # LensTools' ConvergenceMap.save
    lenstools = {"Z": (0.7, "Redshift of the background sources"), "ITYPE": "ConvergenceMap"}
    assert open_map_file(image(tmp_path / "a.fits", **lenstools)).source_redshift == 0.7
    assert open_map_file(dataset(tmp_path / "a.h5", z=0.7)).source_redshift is None


def test_the_name_and_the_header_agree(tmp_path):
    for name, said, expected in (
        ("WLconv_z1.00_0001r.fits", 1.0, 1.0),
        ("WLconv_z1.03_0001r.fits", 1.034093, 1.034093),
        ("WLconv_z1100.00_0001r.fits", 1100.0, 1100.0),
        ("k_z0.50.fits", None, 0.5),
        ("WL-conv_m-512b240_Om0.260_w-1.000_si0.798_4096xy_0001r_0029p_0100z_og.gre.fit", None, 1.0),
        ("WL-conv_m-512b240_Om0.260_w-1.000_si0.798_4096xy_0001r_0029p_0150z_og.gre.fit", 1.5, 1.5),
    ):
        cards = {} if said is None else {"ZSOURCE": said}
        assert open_map_file(image(tmp_path / name, **cards)).source_redshift == expected
    for name, said in (("k_z0.50.fits", 1.0), ("k_z1.00.fits", 1.006), ("x_0001r_0029p_0100z_og.fit", 1.5)):
        with pytest.raises(ValueError, match=rf"{name} says source redshift {said:g}, but its name says"):
            open_map_file(image(tmp_path / name, ZSOURCE=said))


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"ZSOURCE": 0.0}, r"a\.fits says source_redshift=0, which must be positive"),
        ({"REDSHIFT": -1.0}, r"a\.fits says source_redshift=-1, which must be positive"),
        ({"ZSOURCE": "nan"}, r"a\.fits says source_redshift=nan, which must be positive"),
        ({"ZSOURCE": "far"}, r"a\.fits: ZSOURCE='far' is not a number"),
        ({"ANGLE": 400.0}, r"a\.fits says side_deg=400\.0 must be at most 180"),
        ({"ANGLE": -3.5}, r"a\.fits: ANGLE=-3\.5 in its header is not a number of degrees"),
        ({"ANGLE": "nan"}, r"a\.fits: ANGLE='nan' in its header is not a number of degrees"),
        ({"ITYPE": "ShearMap"}, r"a\.fits is not a convergence map \(ITYPE=ShearMap\)"),
    ],
)
def test_what_no_map_can_have(tmp_path, cards, words):
    with pytest.raises(ValueError, match=words):
        open_map_file(image(tmp_path / "a.fits", **cards))


def test_shear_beside_convergence_is_not_taken_for_it(tmp_path):
    with pytest.raises(
        ValueError, match=r"WLshear_z1\.00_0001r\.fits is not a convergence map \(by its name\)"
    ):
        open_map_file(image(tmp_path / "WLshear_z1.00_0001r.fits", ANGLE=3.5))


def test_a_healpix_map_is_named_as_such(tmp_path):
    column = fits.Column("KAPPA", "E", array=np.zeros(12))
    table = fits.BinTableHDU.from_columns([column], fits.Header({"PIXTYPE": "HEALPIX", "NSIDE": 1}))
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
    with pytest.raises(ValueError, match=r"a\.fits holds a HEALPix map: --cut_patches=<pixels on a side>"):
        open_map_file(tmp_path / "a.fits")


SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}


@pytest.mark.parametrize(
    ("cards", "side"),
    [
        ({"CD1_2": 0.1, "CD2_1": 0.1}, 0.8),
        ({"PC1_1": 0.0, "PC1_2": 0.01, "PC2_1": 0.01, "PC2_2": 0.0}, 0.08),
        ({"PC1_1": 0.6, "PC1_2": 0.8, "PC2_1": -0.8, "PC2_2": 0.6, "CDELT1": 0.1, "CDELT2": 0.1}, 0.8),
        # Only turned: a scale of a degree a pixel is the standard's default, not something said.
        ({"PC1_1": 0.6, "PC1_2": 0.8, "PC2_1": -0.8, "PC2_2": 0.6}, None),
        ({"CD1_1": 0.0, "CD2_2": 0.0}, None),
        ({"CDELT1": 0.1, "CDELT2": 0.1, "CROTA2": 30.0}, 0.8),
        ({"CDELT1": 0.1, "CDELT2": 0.1, "CTYPE1": "X", "CTYPE2": "Y"}, None),
        ({"CDELT1": 0.1, "CDELT2": 0.1, "CTYPE2": "DEC--SIN"}, None),
        ({"CDELT1": 0.1, "CDELT2": 0.1, "RADECSYS": "FK5", "DATE-OBS": "31/12/99"}, 0.8),
    ],
)
def test_angles_of_wcs(tmp_path, recwarn, cards, side):
    path = image(tmp_path / "a.fits", **{**SKY, **cards})
    found = open_map_file(path).side_deg
    assert found == side if side is None else found == pytest.approx(side, rel=1e-12)
    assert len(recwarn) == 0
    # A WCS that says nothing does not stand in ANGLE's way.
    if side is None:
        assert open_map_file(image(path, **{**SKY, **cards, "ANGLE": 3.5})).side_deg == 3.5


def test_cards_that_mean_nothing_for_the_pixels_do_no_harm(tmp_path):
    hdu = fits.PrimaryHDU(KAPPA)
    hdu.header["BLANK"] = -1  # of integers only
    hdu.header["ANGLE"], hdu.header["ZSOURCE"] = None, None  # cards without a value
    hdu.writeto(tmp_path / "a.fits", output_verify="ignore")
    found = open_map_file(tmp_path / "a.fits")
    assert (found.side_deg, found.source_redshift) == (None, None)
    np.testing.assert_array_equal(found.read(0, 1)[0], KAPPA)


def test_images_compressed_by_tiles(tmp_path):
    hdu = fits.CompImageHDU(np.stack([KAPPA, -KAPPA]), compression_type="GZIP_1", quantize_level=0)
    hdu.header["ANGLE"] = 3.5
    hdu.writeto(tmp_path / "a.fits.fz")
    found = open_map_file(tmp_path / "a.fits.fz")
    assert (found.num_maps, found.side_deg) == (2, 3.5)
    np.testing.assert_array_equal(found.read(1, 2)[0], -KAPPA)


@pytest.mark.parametrize("value", [3.5, np.float32(3.5), np.array([3.5]), b"3.5", "3.5", np.bytes_(b"3.5")])
def test_hdf5_attributes_of_any_type(tmp_path, value):
    found = open_map_file(dataset(tmp_path / "a.h5", ANGLE=value, of_file={"source_redshift": value, "H": 0.7}))
    assert (found.side_deg, found.source_redshift, found.facts["cosmology"]) == (3.5, 3.5, {"h": 0.7})


def test_hdf5_attributes_of_the_dataset_come_first_and_tables_are_passed_over(tmp_path):
    of_file = {"side_deg": 9.0, "redshift": 0.5, "omega_m": 0.3, "zs": np.array([0.5, 1.0])}
    found = open_map_file(dataset(tmp_path / "a.h5", of_file, ANGLE=3.5, omega_m=0.2, z_s=np.array([1.0, 2.0])))
    assert (found.side_deg, found.source_redshift) == (3.5, 0.5)
    assert found.facts["cosmology"] == {"omega_m": 0.2}


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"side_deg": "wide"}, r"a\.h5: side_deg='wide' is not a number"),
        ({"side_deg": np.nan}, r"a\.h5 says side_deg=nan must be positive and finite"),
        ({"side_deg": 0.0}, r"a\.h5 says side_deg=0\.0 must be positive"),
        ({"side_deg": 360.0}, r"a\.h5 says side_deg=360\.0 must be at most 180"),
        ({"source_redshift": np.nan}, r"a\.h5 says source_redshift=nan, which must be positive"),
        ({"redshift": b"high"}, r"a\.h5: redshift=.*high.* is not a number"),
    ],
)
def test_bad_hdf5_attributes(tmp_path, attributes, words):
    with pytest.raises(ValueError, match=words):
        open_map_file(dataset(tmp_path / "a.h5", **attributes))


def test_packed_hdf5_as_netcdf_means_it(tmp_path):
    stored = np.array([[0, 1], [2, -32768]], np.int16)
    path = dataset(
        tmp_path / "a.h5", pixels=stored, scale_factor=0.5, add_offset=0.25, _FillValue=np.int16(-32768)
    )
    found = open_map_file(path)
    assert found.dtype == "<i2"
    np.testing.assert_array_equal(found.read(0, 1), [[[0.25, 0.75], [1.25, np.nan]]])
    path = dataset(tmp_path / "b.h5", pixels=np.array([[1.0, 2.0], [3.0, 1e20]], ">f8"), scale_factor=0.1,
                   missing_value=1e20)  # fmt: skip
    found = open_map_file(path)
    assert found.dtype == ">f8"
    np.testing.assert_array_equal(
        found.read(0, 1), np.array([[[1.0 * 0.1, 2.0 * 0.1], [3.0 * 0.1, np.nan]]], np.float32)
    )


def test_datasets_are_listed_in_a_line_that_can_be_read(tmp_path):
    with h5py.File(tmp_path / "LP001_run001_maps.hdf5", "w") as file:  # kappaTNG's form
        for n in range(1, 41):
            for field in ("alpha", "gamma1", "kappa", "omega"):
                file[f"z{n:02d}/{field}"] = KAPPA
        file["mask"] = np.ones((8, 8), bool)
    with pytest.raises(
        ValueError, match=r"choose its dataset .*: z01/kappa \(8, 8\), .* and 148 more$"
    ) as caught:
        open_map_file(tmp_path / "LP001_run001_maps.hdf5")
    assert len(str(caught.value)) < 500
    found = open_map_file(tmp_path / "LP001_run001_maps.hdf5", ReadOptions(hdf5_dataset="z23/kappa"))
    np.testing.assert_array_equal(found.read(0, 1)[0], KAPPA)


@pytest.mark.parametrize(
    "flags", [["--maps=a.npy", "--stages=prepare"], ["--sky=lognormal", "--stages=simulate"]]
)
def test_a_side_that_no_flat_map_has(run_main, tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", KAPPA)
    code, _, error = run_main("--workdir=run", "--side_deg=400", "--map_pixels=8", "--crop_size=8", *flags)
    assert code == 1
    assert "error: side_deg=400.0 must be at most 180: maps are flat, in degrees\n" in error


def test_the_image_to_read_is_a_flag(run_main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    several(tmp_path / "a.fits", {"ANGLE": 3.5}, KAPPA=1, GAMMA1=2)
    flags = ("--workdir=run", "--maps=a.fits", "--split_by=crops", "--crop_size=4", "--crops_per_map=4",
             "--stages=prepare")  # fmt: skip
    code, _, error = run_main(*flags)
    assert (code, "choose one with --fits_extension: 1 KAPPA" in error) == (1, True)
    code, _, error = run_main(*flags, "--fits_extension=GAMMA1", "--accept_values=units")  # of sigma 2
    assert code == 0, error
    np.testing.assert_array_equal(open_map_store("run/prepare/maps").read()[0, ..., 0], 2 * KAPPA)
