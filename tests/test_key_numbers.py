"""Key numbers of bins and of pairs: values against what the sets are made with, and their tables on a page."""

import dataclasses

import numpy as np
import pytest

from cosmogan_jax.compare.effects.key_numbers import PAIR_ROWS, KeyNumber, key_numbers
from cosmogan_jax.compare.effects.quantities import MapSet, Quantity
from cosmogan_jax.settings.margins import parse
from cosmogan_jax.stages.report import key_numbers as page

_BANDS = tuple(f"band {n}" for n in range(6))
_OFF = KeyNumber("power", "mean power", 0.0123, 0.0, 0.0456, 0.03, "ell 500 to 600", 0.05, True, "")
_FLAT = KeyNumber("peaks", "peaks", 0.123, 0.0, None, 0.0, "ell 500 to 600", 0.2, False)
_R = KeyNumber("coherence", "r(ℓ)", 0.0012, 0.0, 0.0034, 0.004, "ell 9 to 10", 0.02, False, "")


def pair(seed, factor, r, num_maps=1200):
    """Powers of two bins, whose coherence is r and whose cross power is so many times r."""
    rng = np.random.default_rng(seed)
    scatter = np.exp(0.2 * rng.standard_normal((num_maps, len(_BANDS))) - 0.02)
    cross = factor * r * scatter
    return MapSet(
        {
            "cross_power": cross,
            "coherence": np.concatenate([cross, factor * scatter, factor * scatter], 1),
        },
        np.arange(num_maps) // 2,
    )


@pytest.fixture(scope="module")
def numbers():
    sets = {
        "generated": pair(0, 1.1, 0.83), "validation": pair(1, 1.0, 0.80), "auxiliary": pair(2, 1.0, 0.80)
    }  # fmt: skip
    labels = (*_BANDS, *(f"P of bin {which}, {band}" for which in "ij" for band in _BANDS))
    quantities = [
        Quantity("cross_power", _BANDS, "mean"),
        Quantity("coherence", labels, "coherence"),
    ]
    found = key_numbers(sets, quantities, parse("default"), seed=0, num_resamples=200, rows=PAIR_ROWS)
    return {number.name: number for number in found}


def test_numbers_of_a_pair_are_what_its_powers_were_made_with(numbers):
    """Cross power 1.1 * 0.83 / 0.80 times as large; r 0.03 larger; its logarithm scatters alike."""
    assert list(numbers) == [
        name for name in PAIR_ROWS if name != "joint_roughness"
    ]  # which is not measured here
    # The means of 1200 maps with a scatter of 0.2 are known to 0.6 % on either side.
    assert numbers["cross_power"].value == pytest.approx(1.1 * 0.83 / 0.80 - 1, abs=0.02)
    assert numbers["log_cross_power_scatter"].value < 0.03  # 1/sqrt(2 1200) = 2 % in a band
    # One factor is in all three powers of a map: their ratio has no noise at all.
    assert numbers["coherence"].value == pytest.approx(0.03, abs=1e-3)
    assert (numbers["coherence"].relative, numbers["coherence"].unit) == (False, "")
    assert numbers["coherence"].worst_band in _BANDS


def test_pairs_whose_mean_is_near_zero_have_no_relative_number():
    sets = {name: pair(seed, 1.0, 0.8) for seed, name in enumerate(("generated", "validation"))}
    quantities = [Quantity("cross_power", _BANDS, "scatter")]
    found = key_numbers(sets, quantities, parse("default"), seed=0, num_resamples=50, rows=PAIR_ROWS)
    assert [number.name for number in found] == ["log_cross_power_scatter"]


def test_numbers_are_told_with_limit_and_unit():
    assert _OFF.told() == "1.2 (4.6)"
    assert _OFF.told(unit=True) == "1.2 (4.6) %"
    assert _FLAT.told(unit=True) == "0.12 σ"
    assert _R.told(unit=True) == "0.0012 (0.0034)"
    assert dataclasses.replace(_OFF, value=None).told(unit=True) == ""


def test_the_page_shows_them_of_one_run_of_bins_and_of_pairs():
    entries = [dataclasses.asdict(number) for number in (_OFF, _FLAT)]
    (table,) = page.section(entries).tables
    assert table.rows == [
        ("mean power", "1.2 (4.6) %", "5 %", "ell 500 to 600"),
        ("peaks", "0.12 σ", "0.2 σ", ""),
    ]
    assert page.section([]) is None
    bins = [{"number": 3}, {"number": 7}]
    of_bins, of_pairs = page.of_bins(bins, [entries, entries[:1]], {"3 and 7": [dataclasses.asdict(_R)]}).tables
    assert tuple(of_bins.head) == ("source bin", "mean power [%]", "peaks [σ]")
    assert of_bins.rows == [("3", "1.2 (4.6)", "0.12"), ("7", "1.2 (4.6)", "")]
    assert tuple(of_pairs.head) == ("pair of bins", "r(ℓ)")
    assert of_pairs.rows == [("3 and 7", "0.0012 (0.0034)")]
    assert page.of_bins(bins, [[], []], {}) is None


def test_records_of_before_are_read():
    """Earlier versions wrote no unit: σ, where the number is not relative."""
    content = {key: value for key, value in dataclasses.asdict(_FLAT).items() if key != "unit"}
    assert KeyNumber.from_json(content) == _FLAT
