"""Stage simulate at several cosmologies: what is of which, what is matched, and what is refused."""

import json

import numpy as np
import pytest

from cosmogan_jax.geometry import log_l_edges
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.stages.evaluate.sky_limits import measure

pytestmark = pytest.mark.usefixtures("quick")

# The source redshift alone: no cosmology but the paper's, which needs no CAMB.
DESIGN = ("--design=sobol:5", "--design_ranges=source_redshift=0.5:1.5", "--held_out=0")
LOGNORMAL = (
    "--sky=lognormal", "--map_pixels=32", "--side_deg=1", "--num_train_maps=4", "--num_development_maps=2",
    "--num_validation_maps=3", "--num_auxiliary_maps=2", "--crop_size=16", "--crops_per_map=2",
)  # fmt: skip
NBODY = (
    "--sky=nbody", "--num_particles_side=16", "--box_size=120", "--num_time_steps=3", "--plane_pixels=64",
    "--map_pixels=16", "--side_deg=0.5", "--num_train_maps=2", "--num_development_maps=1",
    "--num_train_boxes=1", "--num_validation_maps=4", "--num_validation_boxes=2", "--num_auxiliary_maps=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("design")


@pytest.fixture
def lognormal(folder, run_main):
    """A run of lognormal maps, made once."""
    if not (folder / "run").exists():
        code, _, error = run_main(f"--workdir={folder}/run", *DESIGN, *LOGNORMAL, "--stages=simulate,prepare")
        assert code == 0, error
    return folder / "run"


def test_every_map_says_its_split_and_its_parameters(lognormal):
    store = open_map_store(lognormal / "simulate/maps")
    manifest = json.loads((lognormal / "simulate/maps/manifest.json").read_text())
    points = np.ravel(manifest["origin"]["design"]["points"])
    assert manifest["origin"]["design"]["held_out"] == [0]
    assert points[0] == 1.0
    assert manifest["splits"] == ["train"] * 16 + ["development"] * 8 + ["validation"] * 3 + ["auxiliary"] * 2
    redshifts = np.array(store.parameters["source_redshift"])
    np.testing.assert_array_equal(redshifts[:16], np.repeat(points[1:], 4))
    np.testing.assert_array_equal(redshifts[16:24], np.repeat(points[1:], 2))
    np.testing.assert_array_equal(redshifts[24:], 1.0)
    assert len(set(manifest["boxes"])) == 29


def test_sources_farther_away_are_lensed_more(lognormal):
    store = open_map_store(lognormal / "simulate/maps")
    redshifts, sigma = np.array(store.parameters["source_redshift"])[:16], store.read(0, 16).std((1, 2, 3))
    means = [sigma[redshifts == z].mean() for z in sorted(set(redshifts))]
    assert means == sorted(means)


def test_crops_know_their_parameters(lognormal):
    table = open_crop_table(lognormal / "prepare")
    assert set(table.theta(table.crops["validation"], ("source_redshift",)).ravel()) == {1.0}
    assert 1.0 not in table.theta(table.crops["train"], ("source_redshift",))


def test_of_which_ell_they_are_a_sky_is_not_asked_of_all_cosmologies_together(lognormal):
    table = open_crop_table(lognormal / "prepare")
    limits = measure(table, log_l_edges(table.geometry, 3))
    assert limits.to_halofit() is None
    assert limits.unknown.startswith("they are of several cosmologies")


def test_held_out_cosmologies_are_seen_with_the_same_seeds_and_training_ones_are_not(run_main, tmp_path):
    (tmp_path / "design.csv").write_text("source_redshift\n0.5\n0.95\n1.05\n1.5\n")
    run = (f"--workdir={tmp_path}/run", f"--design={tmp_path}/design.csv", "--held_out=1,2", *NBODY)
    code, output, error = run_main(*run, "--stages=simulate")
    assert code == 0, error
    assert "cosmology 3 (source_redshift=1.5), of 4" in output
    store = open_map_store(tmp_path / "run/simulate/maps")
    manifest = json.loads((tmp_path / "run/simulate/maps/manifest.json").read_text())
    maps, boxes = store.read()[..., 0], manifest["boxes"]
    assert boxes[:4] == ["cosmology_000/train_000"] * 2 + ["cosmology_003/train_000"] * 2
    assert boxes[6:] == ["validation_000", "validation_000", "validation_001", "validation_001"] * 2
    for number in range(4):
        # Sources 5 % of the redshift nearer or farther: the same structures, a few per cent more.
        assert np.corrcoef(maps[6 + number].ravel(), maps[10 + number].ravel())[0, 1] > 0.98
        assert maps[6 + number].std() < maps[10 + number].std()
    for number in range(2):
        assert abs(np.corrcoef(maps[number].ravel(), maps[2 + number].ravel())[0, 1]) < 0.8
    made = sorted(
        str(p.parent.relative_to(tmp_path / "run/boxes")) for p in (tmp_path / "run/boxes").rglob("box.json")
    )
    assert [name.split("/")[0] for name in made].count("cosmology_001") == 2

    # Made again, it takes the boxes that are there, and makes the same maps.
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "run/boxes").rglob("box.json")}
    run = (f"--workdir={tmp_path}/again", f"--boxes_dir={tmp_path}/run/boxes", *run[1:])
    code, _, error = run_main(*run, "--stages=simulate")
    assert code == 0, error
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run/boxes").rglob("box.json")} == times
    np.testing.assert_array_equal(open_map_store(tmp_path / "again/simulate/maps").read()[..., 0], maps)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--design=sobol:x",), "design=sobol:x must be sobol:<number of points>"),
        (("--design=sobol:4",), "needs --design_ranges"),
        (("--design_ranges=h=0.6:0.8",), "design_ranges=h=0.6:0.8 goes with --design, which is not given"),
        (("--num_held_out=2",), "num_held_out=2 goes with --design"),
        ((*DESIGN[:2], "--sky=planes"), "the cosmology of sky=planes is the planes'"),
        (
            (*DESIGN[:2], "--source_redshift=1"),
            "source_redshift=1 is given, and is one of the design's parameters",
        ),
        ((*DESIGN, "--num_held_out=1"), "only one can be given"),
        ((*DESIGN[:2], "--held_out=7"), "held_out=7 is none of the design's 5 points"),
        ((*DESIGN[:2], "--num_held_out=4"), "num_held_out=4: of the design's 5 points 3 can be held out"),
        (("--design=none.csv",), "design=none.csv: "),
        (("--design=sobol:4", "--design_ranges=mnu=0:1"), "'mnu' is no parameter here"),
    ],
)
def test_what_is_no_design_is_one_line_before_anything_is_made(run_main, tmp_path, flags, words):
    code, _, error = run_main(f"--workdir={tmp_path}/run", "--stages=simulate", *flags)
    assert code == 1
    assert words in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "run/simulate.partial").exists()


def test_a_dry_run_says_what_would_be_made(run_main, tmp_path):
    code, output, error = run_main(
        f"--workdir={tmp_path}/run", *DESIGN, *NBODY, "--stages=simulate", "--dry_run"
    )
    assert code == 0, error
    assert "4 cosmologies with 2 train maps each from 1 boxes" in output
    assert "cosmology 0 (source_redshift=1), held out" in output
    assert not (tmp_path / "run/boxes").exists()
