"""What a bias of the maps means for Omega_m and sigma8: a planted one is found, and refusals say why."""

import re

import numpy as np
import pytest

from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.maps.sets import MapSet, MapSets
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY
from cosmogan_jax.sky.response import band_response
from cosmogan_jax.stages.evaluate import inference

GEOMETRY = MapGeometry(64, 3.5)
L_EDGES = log_l_edges(GEOMETRY, 6)
MAPS = 400
SHIFT = np.array([0.02, -0.03])  # of Omega_m and sigma8


def map_set(name, source_redshift=1.0, num_maps=MAPS, **cosmology):
    numbers = np.arange(num_maps)
    return MapSet(name, GEOMETRY, num_maps, None, numbers, None, source_redshift, "made", cosmology)


@pytest.fixture
def settings(parse):
    return parse("--workdir=w", "--num_resamples=200").by_stage["evaluate"]


def powers(seed, shift, num_maps=MAPS):
    """Bands that scatter by 3 % about the theory of a cosmology shifted to first order."""
    response = band_response(L_EDGES, GEOMETRY, PAPER_COSMOLOGY, 1.0).logarithmic
    mean = 1e-9 * (1 + response @ shift)
    noise = np.random.default_rng(seed).normal(size=(num_maps, len(mean)))
    return (mean * (1 + 0.03 * noise)).astype(np.float32)


def judged(settings, shift, validation=None, num_maps=MAPS):
    sets = MapSets(map_set("generated", num_maps=num_maps), validation or map_set("validation"), None)
    each = {
        "generated": {"power_bands": powers(1, shift, num_maps)},
        "validation": {"power_bands": powers(2, np.zeros(2))},
    }
    units = {one.name: one.parents for one in sets.present()}
    return inference.judge(sets, each, units, L_EDGES, settings)


def test_a_planted_shift_of_the_parameters_is_found(settings, parse):
    found = judged(settings, SHIFT)
    assert found["refused"] is None
    assert found["parameters"] == ["omega_m", "sigma8"]
    bias, error = (np.array(found["bias"][key]) for key in ("value", "standard_error"))
    # First order was planted; errors are of 400 maps on each side.
    assert (np.abs(bias - SHIFT) < 4 * error).all(), (bias, error)
    assert (error < 0.5 * np.abs(SHIFT)).all(), error
    assert set(found["assumed"]) == {"omega_m", "h", "w0", "wa", "omega_b", "sigma8", "n_s"}
    assert found["bands"] == 6
    # In standard deviations it grows as the square root of the area, 3.5 degrees squared for a map.
    smaller = parse("--workdir=w", "--num_resamples=50", "--survey_area_deg2=49").by_stage["evaluate"]
    for of, area in ((found, found["survey_area_deg2"]), (judged(smaller, SHIFT), 49.0)):
        ratio = np.divide(of["bias_of_survey"]["value"], of["bias_of_one_map"]["value"])
        np.testing.assert_allclose(ratio, np.sqrt(area) / 3.5, rtol=1e-9)


def test_nothing_planted_is_no_bias(settings):
    found = judged(settings, np.zeros(2), map_set("validation", omega_m=0.26, sigma8=None))
    bias, error = (np.array(found["bias"][key]) for key in ("value", "standard_error"))
    assert (np.abs(bias) < 4 * error).all(), (bias, error)
    assert "omega_m" not in found["assumed"]
    assert "sigma8" in found["assumed"]
    assert found["cosmology"]["omega_m"] == 0.26


@pytest.mark.parametrize(
    ("validation", "num_maps", "words"),
    [
        (map_set("validation", source_redshift=None), MAPS, "the source redshift of the maps is not known"),
        (map_set("validation", omega_m=-0.1), MAPS, "omega_m=-0.1"),
        (None, 5, "generated: .* independent maps are too few for 6 bands"),
    ],
)
def test_what_cannot_be_inferred_says_why(settings, validation, num_maps, words):
    found = judged(settings, np.zeros(2), validation, num_maps)
    assert list(found) == ["refused"]
    assert re.search(words, found["refused"]), found
