"""Pairs of source bins as observers see them: noise of each bin's own galaxies, in closed form."""

import dataclasses
import itertools

import numpy as np
import pytest

from cosmogan_jax.compare.coherence import coherence_of_set
from cosmogan_jax.geometry import MapGeometry, half_plane_indices, log_l_edges
from cosmogan_jax.maps.sets import MapSet, MapSets
from cosmogan_jax.stages.evaluate import judged_bins, pairs_of_bins
from cosmogan_jax.stages.evaluate.observing import view_of_bins, views

pytestmark = pytest.mark.usefixtures("quick")

GEOMETRY = MapGeometry(16, 2.0)
MAPS, SIGMAS, SHARED = 300, np.array([0.01, 0.02]), 0.81
THETA = 6.0
# As much noise in a pixel as there is signal, in each bin: n = (sigma_e / (sigma pixel))^2.
GALAXIES = (0.26 / (SIGMAS * GEOMETRY.pixel_arcmin)) ** 2
LABEL = "shape noise, 6 arcmin"


def white(seed):
    """White maps of two bins, (map, bin, row, column); they share 0.9 of the amplitude."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(MAPS, 1, 16, 16)), rng.normal(size=(MAPS, 2, 16, 16))
    kappa = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own
    return (kappa * SIGMAS[:, None, None]).astype(np.float32)


def maps_of(name, kappa):
    parents = np.arange(len(kappa))
    return MapSet(name, GEOMETRY, MAPS, lambda start, stop: kappa[start:stop], parents, None, None, "", {})


@pytest.fixture(scope="module")
def kappa():
    return {name: white(seed) for seed, name in enumerate(("generated", "validation"))}


def evaluate_settings(parse, *flags):
    galaxies = ",".join(f"{of:.17g}" for of in GALAXIES)
    given = ("--workdir=w", "--observer_smoothing_arcmin=6", f"--galaxies_per_arcmin2={galaxies}")
    return parse(*given, "--evaluate_l_bins=4", "--num_resamples=50", *flags).by_stage["evaluate"]


def smoothing():
    """What smoothing leaves of the power of every mode, and of the variance of white maps."""
    row, column = half_plane_indices(16)
    ell = np.hypot(row[:, None], column[None]) * GEOMETRY.fundamental_ell
    left = np.exp(-((ell * np.radians(THETA / 60)) ** 2))
    full = np.concatenate([left, left[:, 1:-1]], 1)  # the other half has the same multipoles, its rows turned
    return full.mean()


def test_noise_lowers_the_coherence_and_leaves_the_cross_power(parse, kappa):
    """r = C / sqrt((P + N)(P + N)) = 0.81 / 2 at any ell, smoothed or not, and twice the variance."""
    sets = [MapSets(*(maps_of(name, of[:, b]) for name, of in kappa.items()), None) for b in range(2)]
    units = {name: np.arange(MAPS) for name in kappa}
    bins = pairs_of_bins.Bins(sets, ["0", "1"], units, 3, None)
    settings = evaluate_settings(parse)
    as_it_is, observed = pairs_of_bins.measured(bins, settings)
    seen = observed[LABEL]
    assert observed.keys() == {LABEL}
    np.testing.assert_allclose(as_it_is.scales.sigma, SIGMAS, rtol=0.02)
    # 256 maps with some 30 patches of 4 pi theta^2 each: sigma is known to 0.8 %.
    np.testing.assert_allclose(seen.scales.sigma, SIGMAS * np.sqrt(2 * smoothing()), rtol=0.04)
    white_power = SHARED * SIGMAS.prod() * np.radians(GEOMETRY.pixel_arcmin / 60) ** 2
    ell = np.sqrt(as_it_is.scales.l_edges[1:] * as_it_is.scales.l_edges[:-1])
    left = np.exp(-((ell * np.radians(THETA / 60)) ** 2))
    for name in kappa:
        before, after = (coherence_of_set(of.values[name]["power"]) for of in (as_it_is, seen))
        for r, expected in ((before, SHARED), (after, SHARED / 2)):
            assert (np.abs(r.value[0] - expected) < 4.5 * r.standard_error[0]).all()
            assert (r.standard_error < 0.05).all()
        cross = seen.values[name]["cross_power"][:, 0]
        error = cross.std(0) / np.sqrt(MAPS)
        # A band's mean of exp(-ell^2 theta^2) is not that in its middle: to 30 % in the last ones.
        assert (np.abs(cross.mean(0) - white_power * left) < 4.5 * error + 0.3 * white_power * left).all()
        np.testing.assert_allclose(as_it_is.values[name]["cross_power"].mean((0, 1)), white_power, rtol=0.15)
        moment = seen.values[name]["joint_moments"][:, 0, 0]
        assert moment.mean() == pytest.approx(SHARED / 2, abs=4.5 * moment.std() / np.sqrt(MAPS))
    # Two sets of one law: nothing fails, as it is and as it is seen.
    for of in (as_it_is, seen):
        told = pairs_of_bins.judge(bins, of, settings)
        assert told["refused"] is None
        assert {effect["outcome"] for effect in told["judged"]} <= {"pass", "undecided", "not resolvable"}
        assert {effect["statistic"] for effect in told["judged"]} == {
            "cross_power",
            "coherence",
            "joint_moments",
            "joint_roughness",
        }


def test_every_set_and_bin_has_noise_of_its_own(parse):
    """The noise that a bin has among its pairs is that by which it is judged alone."""
    settings = evaluate_settings(parse)
    blank, index = np.zeros((40, 2, 16, 16), np.float32), np.arange(7, 47)
    see = view_of_bins(settings, GEOMETRY, 0.0)
    names = ("generated", "validation", "auxiliary")
    noise = {name: np.asarray(see(blank, index, name)) for name in names}
    rows = np.concatenate([np.moveaxis(noise[name], 1, 0).reshape(2, -1) for name in names])
    np.testing.assert_allclose(rows.std(1), np.tile(SIGMAS, 3), rtol=5 / np.sqrt(2 * 40 * 256))
    assert (np.abs(np.corrcoef(rows) - np.eye(6)) < 5 / np.sqrt(40 * 256)).all()
    smoothed = np.asarray(view_of_bins(settings, GEOMETRY, THETA)(blank, index, "auxiliary"))
    for b, galaxies in enumerate(GALAXIES):
        own = evaluate_settings(parse, f"--galaxies_per_arcmin2={galaxies:.17g}")
        alone = views(own, GEOMETRY, b)[LABEL](blank[:, b], index, "auxiliary")
        np.testing.assert_allclose(smoothed[:, b], alone, atol=1e-6 * SIGMAS[b])


def test_a_bin_by_itself_is_seen_with_its_own_galaxies(parse):
    settings = evaluate_settings(parse)
    for b in range(2):
        own = judged_bins.settings_of(settings, judged_bins.SourceBin(7 + b, None, b))
        assert own.galaxies_per_arcmin2 == (GALAXIES[b],)
    one = dataclasses.replace(settings, galaxies_per_arcmin2=(5.0,))
    assert judged_bins.settings_of(one, judged_bins.SourceBin(1, None, 1)) == one
    for given, count in ((settings, 2), (one, 2), (one, 0)):
        judged_bins.check_galaxies(given, [judged_bins.SourceBin(b, None, b) for b in range(count)])
    with pytest.raises(ValueError, match="galaxies of 2 source bins, and maps have 1"):
        judged_bins.check_galaxies(settings, ())


def test_bands_that_smoothing_wipes_out_are_left_out():
    """By exp(-ell^2 theta^2) of a band's first multipole: of 2 arcmin's last band here 5e-15 are left."""
    edges = log_l_edges(MapGeometry(64, 0.875), 12)
    for theta, bands in ((0.0, 12), (1.0, 12), (2.0, 11), (52.0, 1)):
        seen = pairs_of_bins._seen_edges(edges, theta)
        np.testing.assert_array_equal(seen, edges[: bands + 1])
    left = [np.exp(-((ell * np.radians(2 / 60)) ** 2)) for ell, _ in itertools.pairwise(edges)]
    assert left[10] > 1e-10 > left[11]
