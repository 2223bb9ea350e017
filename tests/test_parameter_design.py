"""Designs of cosmologies: files, sequences, what is held out."""

import numpy as np
import pytest
from scipy.spatial import Delaunay

from cosmogan_jax.files.csv_files import read_lines
from cosmogan_jax.sky import parameter_design as design

RANGES = {"omega_m": (0.2, 0.4), "sigma8": (0.6, 1.0)}


def test_a_hull_by_linear_programs_is_that_of_a_triangulation():
    rng = np.random.default_rng(0)
    points, asked = rng.uniform(size=(12, 3)), rng.uniform(size=(300, 3))
    inside = [design.in_hull(points, point) for point in asked]
    assert inside == (Delaunay(points).find_simplex(asked) >= 0).tolist()
    assert 20 < sum(inside) < 280


def test_corners_and_borders_are_inside_and_what_lies_beyond_is_not():
    square = np.array([[0, 0], [1, 0], [0, 1e-4], [1, 1e-4]])
    for point, expected in (
        ([0, 0], True), ([0.5, 0], True), ([0.5, 1.001e-4], False), ([1.001, 0], False), ([np.nan, 0], False),
    ):  # fmt: skip
        assert design.in_hull(square, np.array(point)) is expected, point


def test_one_parameter_alone_and_one_that_does_not_vary():
    assert design.in_hull(np.array([[0.6], [1.0]]), np.array([0.8]))
    line = np.array([[0.3, 0.6], [0.3, 1.0]])
    assert design.in_hull(line, np.array([0.3, 0.7]))
    assert not design.in_hull(line, np.array([0.31, 0.7]))


def test_a_sequence_begins_in_the_middle_fills_the_ranges_and_follows_its_seed():
    names, points = design.sobol_points(17, RANGES, seed=3)
    assert names == ("omega_m", "sigma8")
    assert points.shape == (17, 2)
    np.testing.assert_allclose(points[0], [0.3, 0.8])
    # Sixteen points of a scrambled sequence: one in each sixteenth of every parameter (a (0, 4, 2)-net).
    for column, (low, high) in zip(points[1:].T, RANGES.values()):
        cells = np.floor((column - low) / (high - low) * 16)
        assert sorted(cells) == list(range(16))
    np.testing.assert_array_equal(points, design.sobol_points(17, RANGES, seed=3)[1])
    assert not np.array_equal(points, design.sobol_points(17, RANGES, seed=4)[1])
    np.testing.assert_array_equal(points[:9], design.sobol_points(9, RANGES, seed=3)[1])


def test_what_is_held_out_lies_inside_the_others_and_apart():
    _, points = design.sobol_points(25, RANGES, seed=1)
    found = design.design_of(("omega_m", "sigma8"), points, 9, seed=0)
    assert found.held_out.sum() == 9
    assert len(found.points[~found.held_out]) == 16
    for point in points[found.held_out]:
        assert design.in_hull(found.points[~found.held_out], point)
    scaled = (points[found.held_out] - [0.3, 0.8]) / [0.1, 0.2]
    apart = np.linalg.norm(scaled[:, None] - scaled, axis=-1)[~np.eye(9, dtype=bool)]
    by_chance = []
    for seed in range(20):
        drawn = np.random.default_rng(seed).choice(25, 9, replace=False)
        some = (points[drawn] - [0.3, 0.8]) / [0.1, 0.2]
        by_chance.append(np.linalg.norm(some[:, None] - some, axis=-1)[~np.eye(9, dtype=bool)].min())
    assert apart.min() > np.median(by_chance)
    assert design.drawn_inside(points, 9, 0) == np.flatnonzero(found.held_out).tolist()


def read(path):
    return design.points_of(read_lines(path, "design"), f"design={path}")


def test_a_file_is_read_by_its_names(tmp_path):
    path = tmp_path / "design.csv"
    path.write_text("sigma8, omega_m\n0.8,0.3\n0.7,0.25\n\n")
    names, points = read(path)
    assert names == ("sigma8", "omega_m")
    np.testing.assert_array_equal(points, [[0.8, 0.3], [0.7, 0.25]])
    assert design.design_of(names, points, 0, 0).values(1) == {"sigma8": 0.7, "omega_m": 0.25}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no points"),
        ("omega_m\n", "holds no points"),
        ("omega_m,mnu\n0.3,0.1\n", "'mnu' is no parameter here; known: omega_m"),
        ("omega_m,omega_m\n0.3,0.3\n", "omega_m stands twice"),
        ("omega_m,sigma8\n0.3\n", "line 2: 1 values for 2 columns"),
        ("omega_m,sigma8\n0.3,high\n", "line 2: 0.3, high must be finite numbers"),
        ("omega_m,sigma8\n0.3,nan\n", "line 2: 0.3, nan must be finite numbers"),
        ("omega_m,sigma8\n0.3,0.8\n-0.1,0.8\n", "omega_m=-0.1 of point 1 must lie in"),
        ("omega_m,sigma8\n0.3,0.8\n0.2,0.8\n0.3,0.8\n", "points 0 and 2 are the same"),
    ],
)
def test_a_file_that_is_no_design_is_one_line(tmp_path, text, words):
    path = tmp_path / "design.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert "design.csv" in str(error.value)


def test_no_file_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"design=.*missing\.csv: no such file"):
        read_lines(tmp_path / "missing.csv", "design")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no parameter"),
        ("omega_m", "must be name=lowest:highest"),
        ("omega_m=0.2", "must be name=lowest:highest"),
        ("omega_m=0.2:0.3:0.4", "must be name=lowest:highest"),
        ("omega_m=a:b", "must be name=lowest:highest"),
        ("omega_m=0.2:0.4,omega_m=0.2:0.3", "names omega_m twice"),
    ],
)
def test_ranges_of_another_form_are_one_line(text, words):
    with pytest.raises(ValueError, match=words):
        design.parsed_ranges(text)


def test_ranges():
    assert design.parsed_ranges("omega_m=0.2:0.4, sigma8=0.6:1.0") == RANGES
    for ranges, words in (
        ({"omega_m": (0.4, 0.2)}, "omega_m=0.4:0.2 must rise"),
        ({"mnu": (0, 1)}, "'mnu' is no parameter here; known: omega_m"),
        ({"omega_m": (-0.2, 0.2)}, "must lie in"),
    ):
        with pytest.raises(ValueError, match=words):
            design.sobol_points(8, ranges, 0)
    with pytest.raises(ValueError, match="design=sobol:0 must"):
        design.sobol_points(0, RANGES, 0)


def test_what_cannot_be_held_out_is_one_line():
    corners = np.array([[0.2, 0.6], [0.4, 0.6], [0.2, 1.0], [0.4, 1.0], [0.3, 0.8]])
    names = ("omega_m", "sigma8")
    assert design.design_of(names, corners, 1, 0).held_out.tolist() == [False] * 4 + [True]
    for held_out, words in (
        (2, "num_held_out=2: of the design's 5 points 1 can"),
        ([5], "held_out=5 is none of the design's 5 points"),
        ([-1], "held_out=-1 is none"),
        ([0], "held_out=0 lies outside the hull"),
        (range(5), "names all 5 points"),
    ):
        with pytest.raises(ValueError, match=words):
            design.design_of(names, corners, held_out, 0)
