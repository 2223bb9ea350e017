"""Bins of sources: what a table and a Smail form make, Limber's auto and cross spectra, and planes' factors."""

import itertools
import re

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma

from cosmogan_jax.files.csv_files import read_lines
from cosmogan_jax.sky import light_cone
from cosmogan_jax.sky.cosmology import HUBBLE_DISTANCE, PAPER_COSMOLOGY, comoving_distance
from cosmogan_jax.sky.limber import convergence_power, convergence_power_of_bins
from cosmogan_jax.sky.lognormal import empty_beam, shifts_of_bins
from cosmogan_jax.sky.matter_power import paper_matter_power
from cosmogan_jax.sky.source_distributions import (
    SourceBin,
    bins_of_record,
    parsed_smail,
    single_redshift,
    single_redshifts,
    smail_bins,
    tabulated_bins,
)

TABLE = "z,near,far\n0,0,0\n0.2,2,0\n0.5,4,0\n0.8,0,1\n1.2,0,3\n1.5,0,0\n"


def bins_of(text, tmp_path):
    (tmp_path / "n.csv").write_text(text)
    return tabulated_bins(read_lines(tmp_path / "n.csv", "source_distributions"), "source_distributions=n.csv")


def test_a_table_is_normalised_and_straight_between_its_rows(tmp_path):
    near, far = bins_of(TABLE, tmp_path)
    assert (near.name, far.name) == ("near", "far")
    for bin in (near, far):
        assert bin.weights.sum() == pytest.approx(1, abs=1e-14)
        assert (np.diff(bin.redshifts) > 0).all()
    # By hand: triangles and trapezoids, with their centres.
    areas = np.array([0.2 * 2 / 2, 0.3 * 3, 0.3 * 4 / 2])
    centres = np.array([2 / 3 * 0.2, 0.2 + 0.3 * (2 + 2 * 4) / (3 * 6), 0.5 + 0.1])
    # Sums at steps of 0.01 have errors of the square of the step.
    assert near.mean_redshift == pytest.approx(areas @ centres / areas.sum(), abs=1e-5)
    assert near.farthest < 0.8 < far.redshifts[0] + 0.3
    np.testing.assert_allclose(
        [bin.mean_of(lambda z: z) for bin in (near, far)], [near.mean_redshift, far.mean_redshift]
    )
    again = bins_of(TABLE.replace("4,0", "40,0").replace("2,2,0", "2,20,0"), tmp_path)[0]
    np.testing.assert_allclose(again.weights, near.weights)


def test_bins_outlive_a_record(tmp_path):
    first, second = bins_of(TABLE, tmp_path)[1], bins_of_record([bins_of(TABLE, tmp_path)[1].record()])[0]
    assert (first.name, first.mean_redshift) == (second.name, second.mean_redshift)
    np.testing.assert_array_equal(first.weights, second.weights)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("z,a,b\n0.1,1,1\n", "n.csv must hold a row of names, z and those of the bins, and two rows or more"),
        (
            "redshift,a,b\n0.1,1,1\n1,1,2\n",
            "n.csv: the first column must be called z, and is called 'redshift'",
        ),
        ("z,a\n0.1,1\n1,1\n", "n.csv holds n(z) of 1 bins; at least two must follow z"),
        ("z,a,a\n0.1,1,1\n1,1,2\n", "n.csv: 'a' names 2 columns"),
        ("z,a,b\n0.1,1,1\n1,1\n", "n.csv, line 3: 2 values for 3 columns"),
        ("z,a,b\n0.1,1,1\n1,-1,2\n", "n.csv, line 3, column a: -1 must be a finite number, and not negative"),
        ("z,a,b\n0.1,1,nan\n1,1,2\n", "n.csv, line 2, column b: nan must be a finite number"),
        ("z,a,b\n0.1,1,inf\n1,1,2\n", "n.csv, line 2, column b: inf must be a finite number"),
        ("z,a,b\n-0.1,1,0\n1,1,2\n", "n.csv, line 2, column z: -0.1 must be a finite number"),
        ("z,a,b\n0.5,1,1\n0.4,1,2\n", "n.csv, line 3: z must rise, and 0.4 follows 0.5 of line 2"),
        ("z,a,b\n0.1,1,0\n1,1,0\n", "n.csv, column b: n(z) integrates to 0; it must be a positive, finite"),
        ("z,a,b\n0.1,1e308,1\n3,1e308,1\n", "n.csv, column a: n(z) integrates to inf"),
        ("z,a,b\n0.1,1,0\n4,0,1\n", "n.csv, column a: n(z) reaches redshift 3.9"),
        ("z,a,b\n0.1,0,1\n1,2,1\n", "the order of their mean redshifts, and b (0.55) follows a (0.7"),
    ],
)
def test_what_is_no_table_of_bins_names_file_and_column(tmp_path, text, words):
    with pytest.raises(ValueError, match="^source_distributions=.*" + re.escape(words)):
        bins_of(text, tmp_path)


def test_slices_hold_as_many_galaxies_each_and_the_means_of_the_distribution():
    z0, alpha, beta = 0.5, 2.0, 1.5
    bins = parsed_smail("z0=0.5, alpha=2, beta=1.5, bins=4")
    whole = SourceBin(
        "all",
        np.concatenate([bin.redshifts for bin in bins]),
        np.concatenate([bin.weights for bin in bins]) / 4,
    )
    # Gamma((alpha+2)/beta) / Gamma((alpha+1)/beta), up to infinity; 6e-6 of the galaxies lie beyond z=3.
    mean = z0 * gamma((alpha + 2) / beta) / gamma((alpha + 1) / beta)
    assert whole.mean_redshift == pytest.approx(mean, rel=4e-5)
    # Where one slice ends the next begins, and each holds a quarter by quadrature.
    ends = [(a.farthest + b.redshifts[0]) / 2 for a, b in itertools.pairwise(bins)]
    share = quad(lambda z: z**alpha * np.exp(-((z / z0) ** beta)), 0, ends[0])[0]
    total = quad(lambda z: z**alpha * np.exp(-((z / z0) ** beta)), 0, 3)[0]
    assert share / total == pytest.approx(0.25, abs=1e-3)
    assert [bin.name for bin in bins] == ["bin1", "bin2", "bin3", "bin4"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("z0=0.11", "smail=z0=0.11 lacks alpha; write z0=0.11,alpha=2,beta=0.68,bins=4"),
        ("z0=0.1,z0=0.2", "smail names z0 twice"),
        ("zed=1", "smail=zed=1 must be name=number"),
        ("z0=x,alpha=2,beta=1,bins=4", "smail=z0=x must be name=number"),
        ("z0=0.1,alpha=2,beta=0.7,bins=2.5", "smail: bins=2.5 must be a whole number"),
        ("z0=0.1,alpha=2,beta=0.7,bins=1", "smail: bins=1 must be two or more"),
        ("z0=0,alpha=2,beta=0.7,bins=3", "smail: z0=0 must be a positive number"),
        ("z0=1e-9,alpha=1e5,beta=9,bins=3", "has no 3 bins up to z=3"),
    ],
)
def test_what_is_no_smail_form_is_told(text, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        parsed_smail(text)


@pytest.mark.parametrize(
    ("redshifts", "words"),
    [
        ((0.5,), "source_redshifts=0.5 must be two or more"),
        ((1.0, 0.5), "source_redshifts=1,0.5 must rise, and 0.5 follows 1"),
        ((0.5, 0.5), "source_redshifts=0.5,0.5 must rise"),
        ((0.5, 3.5), "source_redshifts=0.5,3.5: 3.5 must lie in (0, 3]"),
    ],
)
def test_redshifts_out_of_order_are_told(redshifts, words):
    with pytest.raises(ValueError, match="^" + re.escape(words)):
        single_redshifts(redshifts)


# Sums at 800 redshifts in place of 400; that CAMB's own integral agrees is `test_limber.py`'s.
QUADRATURE = 1e-5


@pytest.mark.parametrize("linear", [False, True])
def test_autos_of_single_redshifts_are_those_of_one(linear):
    ell, redshifts = np.geomspace(30, 2e4, 7), (0.5, 1.0, 1.5)
    power = convergence_power_of_bins(ell, single_redshifts(redshifts), linear=linear)
    assert power.shape == (3, 3, 7)
    for number, redshift in enumerate(redshifts):
        np.testing.assert_allclose(
            power[number, number], convergence_power(ell, redshift, linear=linear), rtol=QUADRATURE
        )
    np.testing.assert_allclose(power, np.swapaxes(power, 0, 1), rtol=1e-13)


def test_a_cross_spectrum_is_limbers_integral():
    """By adaptive quadrature over distance, of both lensing efficiencies as they are written in papers."""
    near, far = (float(comoving_distance(PAPER_COSMOLOGY, z)) for z in (0.5, 1.5))
    z_of = np.linspace(1e-4, 0.5, 4000)
    chi_of, matter, ell = comoving_distance(PAPER_COSMOLOGY, z_of), paper_matter_power(), 700.0

    def integrand(chi):
        z = np.interp(chi, chi_of, z_of)
        lens = (1 + z) ** 2 * (1 - chi / near) * (1 - chi / far)
        return lens * matter.nonlinear(np.array([(ell + 0.5) / chi]), np.array([z]))[0]

    expected = quad(integrand, 5.0, near, epsrel=1e-6, limit=200)[0]
    expected *= 2.25 * PAPER_COSMOLOGY.omega_m**2 / HUBBLE_DISTANCE**4
    found = convergence_power_of_bins(ell, single_redshifts((0.5, 1.5)))[0, 1]
    assert found == pytest.approx(expected, rel=1e-4)


def test_power_of_distributions_is_the_mean_over_pairs_of_redshifts(tmp_path):
    bins = bins_of("z,a,b\n0.3,1,0\n0.4,1,1\n0.5,0,3\n", tmp_path)
    ell = np.array([100.0, 2000.0])
    every = np.unique(np.concatenate([bin.redshifts for bin in bins]))
    of_pairs = convergence_power_of_bins(ell, single_redshifts(every))
    shares = np.array([np.interp(every, bin.redshifts, bin.weights, 0, 0) for bin in bins])
    expected = np.einsum("ai,bj,ijl->abl", shares, shares, of_pairs)
    np.testing.assert_allclose(convergence_power_of_bins(ell, bins), expected, rtol=3e-5)


def test_many_ell_are_interpolated_for_pairs_too():
    ell, bins = np.geomspace(1, 1e5, 2500), single_redshifts((0.5, 1.0))
    found, few = (convergence_power_of_bins(at, bins) for at in (ell, ell[::500]))
    np.testing.assert_allclose(found[:, :, ::500], few, rtol=1e-6)


def test_planes_count_to_the_farthest_source_and_not_behind_it(tmp_path):
    """A bin's factors are the weighted mean of single redshifts', each through planes of its own."""
    far = bins_of(TABLE, tmp_path)[0]
    schedule = light_cone.plane_schedule(PAPER_COSMOLOGY, 1.5, 240.0, 2)
    found = light_cone.bin_factors(PAPER_COSMOLOGY, schedule, [far, single_redshift(0.9)])
    expected = np.zeros(found.shape)
    for row, bin in enumerate([far, single_redshift(0.9)]):
        for redshift, weight in zip(bin.redshifts, bin.weights):
            own = light_cone.plane_schedule(PAPER_COSMOLOGY, redshift, 240.0, 2)
            strength, weights = light_cone.lensing_weights(PAPER_COSMOLOGY, own, redshift)
            expected[row, : len(own.chi)] += weight * strength * weights
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-18)
    assert (found[0, schedule.chi > comoving_distance(PAPER_COSMOLOGY, 0.8) + 120] == 0).all()


def test_an_empty_beam_is_the_convergence_of_planes_without_matter():
    bins = single_redshifts((0.5, 1.0))
    schedule = light_cone.plane_schedule(PAPER_COSMOLOGY, 1.0, 4.0, 2)
    factors = light_cone.bin_factors(PAPER_COSMOLOGY, schedule, bins)
    np.testing.assert_allclose(empty_beam(PAPER_COSMOLOGY, bins), factors.sum(1), rtol=1e-3)
    shifts = shifts_of_bins(0.04, PAPER_COSMOLOGY, bins)
    assert shifts[1] == pytest.approx(0.04)
    assert shifts[0] == pytest.approx(0.04 * factors[0].sum() / factors[1].sum(), rel=1e-3)


def test_smail_beyond_what_is_known_is_cut():
    assert all(bin.farthest < 3 for bin in smail_bins(0.11, 2, 0.68, 4))
