"""Masked maps: what is measured on their valid pixels, what is left out, and what is judged of sets of them."""

import re

import jax
import numpy as np
import pytest
from astropy.io import fits
from conftest import quickly_compiled

from cosmogan_jax.compare.scales import scales
from cosmogan_jax.compare.statistics import STATISTICS, measure, num_modes
from cosmogan_jax.files.json_files import read_json
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.judged_files import open_judged_files
from cosmogan_jax.maps.sets import MapSet
from cosmogan_jax.stages.evaluate import masked_sets
from cosmogan_jax.stages.evaluate.compared_sets import _masked
from cosmogan_jax.summaries import minimum_counts, peak_counts

SIZE, GEOMETRY = 16, MapGeometry(16, 1.0)
TAKES = [row.name for row in STATISTICS.values() if row.takes_masks]


def sky(seed, maps=40, amplitude=1.0):
    """Gaussian maps with more power on large scales."""
    rng = np.random.default_rng(seed)
    k = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(maps, SIZE, SIZE))) / (0.1 + k), s=(SIZE, SIZE))
    return (amplitude * 0.02 * field / field.std()).astype(np.float32)


def observed():
    mask = np.ones((SIZE, SIZE), bool)
    mask[:4, :6] = mask[9, 9] = False
    return mask


@pytest.fixture(scope="module")
def measured():
    """Maps, edges, statistics with NaN where masked, those of the whole maps, and the program of the former."""
    kappa = sky(0, 5)
    masked = np.where(observed(), kappa, np.float32(np.nan))
    edges = scales(masked, GEOMETRY, 3, masked=True)
    with quickly_compiled():
        of_masked = jax.jit(lambda k: unfilled(measure(k, edges.edges(), GEOMETRY, masked=True), edges))
        whole = jax.jit(lambda k: unfilled(measure(k, edges.edges(), GEOMETRY), edges))(kappa)
        return kappa, edges, of_masked(masked), whole, of_masked


def unfilled(found, edges):
    return {name: values[:, : num_modes(edges).get(name)] for name, values in found.items()}


def test_all_that_take_masks_are_measured_and_no_others(measured):
    _, _, of_masked, of_whole, _ = measured
    assert set(of_masked) == {*TAKES, "fine_pixels"}
    assert set(of_whole) - set(of_masked) == set(masked_sets.left_out()) & set(STATISTICS)


def test_one_point_statistics_are_those_of_the_valid_pixels(measured):
    """By NumPy, in float64, of the pixels that are not masked."""
    kappa, edges, found, *_ = measured
    values = kappa[:, observed()].astype(np.float64)
    np.testing.assert_allclose(found["crop_mean"][:, 0], values.mean(1), atol=1e-8)
    fine = edges.fine_pixel_edges()
    at = [-np.inf, *fine[edges.density_cells], np.inf]
    shares = np.stack([np.histogram(one, at)[0] for one in values]) / values.shape[1]
    # Of 231 pixels one may lie at an edge, which float32 rounds.
    np.testing.assert_allclose(found["pdf"], shares, atol=1.01 / values.shape[1])
    assert (np.asarray(found["fine_pixels"]).sum(1) == values.shape[1]).all()


def test_a_mask_that_masks_nothing_changes_nothing(measured):
    kappa, _, _, whole, of_masked = measured
    found = of_masked(kappa)
    for name in TAKES:
        scale = np.abs(np.asarray(whole[name])).max()
        np.testing.assert_allclose(found[name], whole[name], rtol=2e-5, atol=2e-5 * scale, err_msg=name)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(("counts", "sign"), [(peak_counts, 1), (minimum_counts, -1)])
def test_extrema_beside_masked_pixels_do_not_count(counts, sign, normalised):
    """By brute force: a pixel counts where all nine are valid; counts are those of a whole map."""
    kappa, mask = sky(3, 2), observed()
    edges = np.linspace(-2.5, 2.5, 6) * (1 if normalised else 0.02)
    around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    whole = np.all([np.roll(mask, shift, (0, 1)) for shift in around], axis=0)
    expected = []
    for one in kappa:
        others = [np.roll(sign * one, shift, (0, 1)) for shift in around if shift != (0, 0)]
        found = one[whole & (sign * one > np.max(others, axis=0))]
        unit = one[whole].astype(np.float64).std() if normalised else 1.0
        expected.append(np.histogram(found, edges * unit)[0] / whole.mean() / np.diff(edges))
    garbage = np.where(mask, kappa, np.float32(np.nan))
    np.testing.assert_allclose(counts(garbage, edges, normalised=normalised, mask=mask), expected, rtol=1e-5)
    assert np.sum(expected) > 0


def test_generated_maps_of_a_run_are_seen_under_the_mask_of_the_others(tmp_path):
    kappa = sky(4, 6)
    np.save(tmp_path / "m.npy", observed())
    whole = MapSet("generated", GEOMETRY, 6, lambda a, b: kappa[a:b], np.arange(6), None, 1.0, "here", {})
    assert _masked(whole, ()) is whole
    seen = _masked(whole, (f"{tmp_path}/m.npy",))
    assert seen.masked
    np.testing.assert_array_equal(seen.read(2, 5), np.where(observed(), kappa[2:5], np.float32(np.nan)))
    np.testing.assert_array_equal(seen.read_finite(2, 5), seen.read(2, 5))


def test_masks_of_their_own_belong_to_the_maps_of_all_sets_in_their_order(tmp_path, parse):
    masks = np.ones((5, SIZE, SIZE), bool)
    for number, mask in enumerate(masks):
        mask[number, 2:9] = False
    np.save(tmp_path / "m.npy", masks)
    sets = {"generated": sky(5, 3), "reference": sky(6, 2)}
    for name, kappa in sets.items():
        np.save(tmp_path / f"{name}.npy", kappa)
    settings = parse("--side_deg=1").by_stage["evaluate"]
    given = {name: [f"{tmp_path}/{name}.npy"] for name in sets}
    found = open_judged_files(given, settings, [f"{tmp_path}/m.npy"], say=print, watch=lambda maps, **_: maps)
    for name, start in (("generated", 0), ("reference", 3)):
        kappa = sets[name]
        expected = np.where(masks[start : start + len(kappa)], kappa, np.float32(np.nan))
        np.testing.assert_array_equal(found[name].read(0, len(kappa)), expected)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A generator of too large an amplitude, judged by masked maps that hold -99 below the mask."""
    from absl import flags as absl_flags
    from absl.testing import flagsaver

    from cosmogan_jax import flags, main

    folder, values = tmp_path_factory.mktemp("masked"), absl_flags.FLAGS
    if "workdir" not in values:
        flags.define()
    real = sky(2)
    real[:, ~observed()] = -99
    for name, maps in {"bad": sky(1, amplitude=1.6), "real": real, "more": sky(3)}.items():
        np.save(folder / f"{name}.npy", maps)
    fits.PrimaryHDU(observed().astype(">i2")).writeto(folder / "m.fits")
    saved = flagsaver.save_flag_values(values)
    values.unparse_flags()
    values([
        "cosmogan_jax", f"--workdir={folder}/run", "--side_deg=1", f"--generated={folder}/bad.npy",
        f"--reference={folder}/real.npy", f"--auxiliary={folder}/more.npy", f"--mask={folder}/m.fits",
        "--num_permutations=99", "--num_resamples=50", "--evaluate_l_bins=4",
    ])  # fmt: skip
    with quickly_compiled():
        assert main.main(["cosmogan_jax"]) in (None, 0)
    flagsaver.restore_flag_values(saved, values)
    return read_json(folder / "run/evaluate/results.json"), folder / "run"


def test_masked_sets_are_judged_by_what_takes_masks(judged):
    results, _ = judged
    view = results["views"]["as it is"]
    assert list(results["views"]) == ["as it is"]  # smoothing would carry the mask into its surroundings
    assert {of["quantity"] for of in view["verdicts"]["judged"]} <= set(TAKES)
    assert set(view["tests"]) <= set(TAKES)
    assert results["overall"]["outcome"] == "fail"
    assert any("density of the pixels" in name for name in results["overall"]["fails"])
    share = 1 - observed().mean()
    assert results["masked"] == pytest.approx({"generated": share, "validation": share, "auxiliary": share})
    assert results["apart"] == []


def test_what_is_left_out_is_open_with_its_reason(judged):
    results, run = judged
    reasons = {one["name"]: one["why"] for one in results["overall"]["open"]}
    assert "maps are masked" in reasons["power spectrum, log bands: mean"]
    assert "maps are masked" in reasons["no more duplicates than among real maps"]
    assert set(results["left_out"]) >= {"power_bands", "bispectrum", "classifier", "as observed"}
    page = (run / "report/report.html").read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert any("Left out" in title for title in titles)
    assert not any("Power spectrum" in title for title in titles)
    assert any("Minkowski functionals" in title for title in titles)


def test_sets_that_are_masked_differently_are_said_so():
    assert masked_sets.unlike({"generated": 0.1, "validation": 0.12}) == []
    (line,) = masked_sets.unlike({"generated": 0.0, "validation": 0.3})
    assert "0 % of the generated maps' pixels, 30 % of the validation maps' pixels: means compare" in line
