"""What maps look like that are no convergence is said in a look and refused in a run, unless it is meant."""

import h5py
import numpy as np
import pytest
from absl import flags
from astropy.io import fits

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.inspection import inspect_map
from cosmogan_jax.maps.plausibility import apart, unlike_convergence

SIZE, SIDE_DEG = 64, 0.875


def sky(count=4, seed=0):
    """Skewed, correlated maps of sigma 0.02: exp of a smoothed Gaussian field."""
    rng = np.random.default_rng(seed)
    ell = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij"))
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(count, SIZE, SIZE))) / (0.02 + ell))
    field = np.exp(0.7 * field / field.std())
    return (0.02 * (field - field.mean()) / field.std()).astype(np.float32)


def corner(value, kappa=None):
    kappa = sky() if kappa is None else kappa
    kappa[:, :6, :6] = value
    return kappa


def noisy(sigma):
    return sky() + np.random.default_rng(3).normal(size=(4, SIZE, SIZE)).astype(np.float32) * np.float32(sigma)


def found(maps, side_deg=SIDE_DEG, **kwargs):
    facts = [inspect_map("maps", f"map {n}", one, 16) for n, one in enumerate(np.asarray(maps, np.float32))]
    return unlike_convergence(facts, [], MapGeometry(len(maps[0]), side_deg), **kwargs)


GOOD = {
    "a sky": (sky(), SIDE_DEG),
    "noise of 0.2 at pixels of 0.8 arcmin": (noisy(0.2), SIDE_DEG),
    "noise of 0.4": (noisy(0.4), SIDE_DEG),
    "noise of 0.8 at pixels of 0.1 arcmin": (noisy(0.8), 0.1),
    "the core of a cluster": (corner(2.5), SIDE_DEG),
    "the first kappaTNG plane": (sky() * 0.01, 5.0),
    "the cosmic microwave background's": (sky() * 4, SIDE_DEG),
    "float16": (sky().astype(np.float16), SIDE_DEG),
    "packed in 12 bits": (np.rint(sky() / sky().max() * 2047) / 2047 * sky().max(), SIDE_DEG),
}
BAD = {
    "1000 kappa": (sky() * 1000, "units", "has sigma"),
    "per cent": (sky() * 100, "units", "other units"),
    "sigma 20": (sky() * 1000 + 0, "units", "1000 kappa"),
    "magnification": (1 + 2 * sky(), "units", "values around"),
    "tiny": (sky() * 1e-5, "units", "has sigma"),
    "UNSEEN, interpolated": (corner(-5e29), "fill", "goes down to -5e+29"),
    "-99": (corner(-99), "fill", "goes down to -99"),
    "-9999": (corner(-9999), "fill", "goes down to -9999"),
    "1e20": (corner(1e20), "fill", "goes up to 1e+20"),
    "99 in noise": (corner(99, noisy(0.4)), "fill", "goes up to 99"),
    "-99 in noise": (corner(-99, noisy(0.4)), "fill", "goes down to -99"),
    "0 in a corner": (corner(0), "fill", "is exactly 0 in 0.88 % of its pixels"),
    "mostly 0": (np.where(sky() > 0.03, sky(), 0), "fill", "the same value, 0"),
    "a mask": (sky() > 0, "mask", "two values only, 0 and 1"),
    "counts": (np.random.default_rng(0).poisson(4, (4, SIZE, SIZE)), "counts", "whole numbers only, 0 to"),
    "five bins": (sky(5) * np.array([0.2, 0.4, 0.6, 0.9, 1.2])[:, None, None], "bins", "a factor"),
    "many maps of five bins": (
        sky(40) * np.tile([0.2, 0.4, 0.6, 0.9, 1.2], 8)[:, None, None], "bins", "several source bins"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_convergence_is_not_caught(name):
    maps, side_deg = GOOD[name]
    assert found(maps, side_deg) == []


@pytest.mark.parametrize("name", BAD)
def test_what_it_looks_like_is_named(name):
    maps, kind, words = BAD[name]
    (finding,) = found(maps)
    assert finding.kind == kind
    assert words in finding.words


def test_maps_that_are_meant_to_differ_may_have_different_sigmas():
    maps, *_ = BAD["five bins"]
    assert found(maps, one_set=False) == []


def test_sets_whose_sigmas_are_a_factor_apart():
    assert apart({"generated maps": 0.02, "validation maps": 0.055}) == []
    (line,) = apart({"generated maps": 0.02, "validation maps": 0.062, "auxiliary maps": 0.05})
    assert "sigma of generated maps is 0.02, of validation maps 0.062, a factor 3.1" in line
    (line,) = apart({"generated maps": 0.062, "validation maps": 0.02})
    assert "sigma of generated maps is 0.062, of validation maps 0.02, a factor 3.1" in line


@pytest.fixture
def prepare(run_main, tmp_path):
    def run(*flags):
        return run_main(
            f"--workdir={tmp_path}/run", "--stages=prepare", "--crop_size=16", "--crops_per_map=2",
            "--side_deg=0.875", *flags,
        )  # fmt: skip

    return run


def test_a_look_warns_a_run_refuses_and_the_flag_goes_on(prepare, tmp_path):
    path = tmp_path / "k.npy"
    np.save(path, corner(-99, sky(12)))
    code, said, _ = prepare(f"--maps={path}", "--dry_run")
    assert code == 0
    assert f"{path}[0] goes down to -99" in said
    code, _, error = prepare(f"--maps={path}")
    assert code == 1
    assert "(12 of 12 maps are like this): this looks like a fill value" in error
    assert "say so with --accept_values=fill" in error
    assert not (tmp_path / "run/prepare").exists()
    code, _, error = prepare(f"--maps={path}", "--accept_values=units")
    assert code == 1
    assert "--accept_values=units,fill" in error
    assert prepare(f"--maps={path}", "--accept_values=fill")[0] == 0
    # It changes no result: the finished stage is the same with the flag and without.
    assert prepare(f"--maps={path}")[0] == 0


def test_a_kind_that_is_not_known(prepare, tmp_path):
    with pytest.raises(flags.IllegalFlagValueError, match="must be of units, fill, mask, counts, bins"):
        prepare(f"--maps={tmp_path}/k.npy", "--accept_values=fil")


@pytest.mark.parametrize("unit", ["Kelvin", "1e-3", "Msun/pc2"])
def test_a_unit_in_a_fits_header(prepare, tmp_path, unit):
    path = tmp_path / "k.fits"
    fits.PrimaryHDU(sky(12), fits.Header({"BUNIT": unit})).writeto(path)
    code, _, error = prepare(f"--maps={path}")
    assert code == 1
    assert f"k.fits says its unit is '{unit}'; convergence has none" in error
    assert prepare(f"--maps={path}", "--accept_values=units")[0] == 0


@pytest.mark.parametrize("unit", ["", "1", "dimensionless"])
def test_headers_that_say_that_there_is_none(prepare, tmp_path, unit):
    path = tmp_path / "k.fits"
    fits.PrimaryHDU(sky(12), fits.Header({"BUNIT": unit})).writeto(path)
    assert prepare(f"--maps={path}")[0] == 0


def test_a_unit_in_the_first_header_is_that_of_an_image_without_one(prepare, tmp_path):
    images = [fits.PrimaryHDU(header=fits.Header({"BUNIT": "Kelvin"})), fits.ImageHDU(sky(12))]
    fits.HDUList(images).writeto(tmp_path / "k.fits")
    assert "k.fits says its unit is 'Kelvin'" in prepare(f"--maps={tmp_path}/k.fits")[2]


def test_units_of_an_hdf5_dataset(prepare, tmp_path):
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file["kappa"] = sky(12)
        file["kappa"].attrs["units"] = "percent"
    code, _, error = prepare(f"--maps={tmp_path}/k.h5")
    assert code == 1
    assert "k.h5 says its unit is 'percent'" in error


def test_validation_maps_of_another_scale(prepare, tmp_path):
    np.save(tmp_path / "k.npy", sky(12))
    np.save(tmp_path / "v.npy", sky(4, seed=1) * 5)
    code, _, error = prepare(f"--maps={tmp_path}/k.npy", f"--validation_maps={tmp_path}/v.npy")
    assert code == 1
    assert "sigma of maps is 0.0" in error
    assert ", of validation maps 0." in error
    assert "other units, noise, smoothing or source redshift on one side?" in error
    assert "--accept_values=bins" in error
