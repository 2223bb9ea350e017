"""What is watched while a training runs: warnings, stopping, best generators; resumed equals undisturbed."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.stages import early_warnings
from cosmogan_jax.stages.early_warnings import LASTING, WARM_UP, observe
from cosmogan_jax.stages.stopping import STOP_AFTER, Bound, in_bounds, parse_bounds
from cosmogan_jax.storage.best_generators import BestGenerators, best_steps, read_scores

HEALTHY = {
    "mean_disc_accuracy_real": 0.85,
    "mean_disc_accuracy_fake": 0.9,
    "variance_ratio": 0.9,
    "nearest_ratio": 0.9,
    "checkerboard_ratio": 1.5,
    "checkerboard_excess": 0.002,
    "saturated": 0.0,
}
FAILURES = {
    "the discriminator wins": {"mean_disc_accuracy_real": 0.999, "mean_disc_accuracy_fake": 1.0},
    "collapse: generated maps vary by 0.05": {"variance_ratio": 0.05},
    "collapse: the most alike": {"nearest_ratio": 0.1},
    "checkerboard: 40 times": {"checkerboard_ratio": 40.0, "checkerboard_excess": 0.05},
    "tanh is saturated in 5.0%": {"saturated": 0.05},
}


def warned(lines, every=50):
    """Warnings by step of a history with a line of metrics every so many steps."""
    episodes, said = {}, {}
    for number, line in enumerate(lines, start=1):
        before = dict(episodes)
        after, found = observe(episodes, {"step": number * every, **line})
        assert episodes == before  # state in, state out
        episodes = after
        if found:
            said[number * every] = found
    return said


def test_a_healthy_history_gives_no_warning():
    assert not warned([HEALTHY] * 100)
    # Failures that do not last, one line in two.
    assert not warned([HEALTHY, HEALTHY | FAILURES["the discriminator wins"]] * 50)


@pytest.mark.parametrize("words", FAILURES)
def test_a_planted_failure_gives_one_line_an_episode(words):
    failing = HEALTHY | FAILURES[words]
    said = warned([failing] * 60)
    assert list(said) == [WARM_UP + LASTING]
    (line,) = said[WARM_UP + LASTING]
    assert line.startswith(f"warning: step {WARM_UP + LASTING}: {words}")
    assert line.endswith(f"for {LASTING} steps")
    # It goes away for a while, and comes back: a second episode.
    again = warned([failing] * 30 + [HEALTHY] * 10 + [failing] * 20)
    assert list(again) == [WARM_UP + LASTING, 41 * 50 + LASTING]
    # A single line in bounds does not begin a new one.
    assert len(warned([failing] * 30 + [HEALTHY] + [failing] * 30)) == 1


def test_lines_without_a_measure_leave_its_episode_alone():
    # Scores come every fourth line only.
    failing = FAILURES["checkerboard: 40 times"]
    said = warned([failing if n % 4 == 3 else {} for n in range(60)])
    assert len(said) == 1
    assert early_warnings.observe({}, {"step": 5000}) == ({}, [])
    assert early_warnings.observe({}, {"step": 5000, "variance_ratio": None}) == ({}, [])


def test_bounds_are_parsed_or_refused_in_one_line():
    names = ("pixel_ks", "spectrum_chi2")
    assert parse_bounds("", names) == ()
    assert parse_bounds(" pixel_ks<0.02, spectrum_chi2 < 1.5", names) == (
        Bound("pixel_ks", "<", 0.02),
        Bound("spectrum_chi2", "<", 1.5),
    )
    assert parse_bounds("pixel_ks>1e-3", names)[0] == Bound("pixel_ks", ">", 1e-3)
    for bad, words in (
        ("pixel_ks=3", "'pixel_ks=3' is not of the form name<value"),
        ("pixel_ks<0.02,", "'' is not of the form"),
        ("ks<1", "unknown score 'ks'; there are pixel_ks, spectrum_chi2"),
        ("pixel_ks<small", "'small' is not a number"),
        ("pixel_ks<nan", "'nan' is not a number"),
    ):
        with pytest.raises(ValueError, match="stop_when=") as error:
            parse_bounds(bad, names)
        assert words in str(error.value)


def test_all_bounds_must_hold_at_scores_in_a_row():
    bounds = parse_bounds("a<1,b>2", ("a", "b"))
    good, bad = {"a": 0.5, "b": 3}, {"a": 0.5, "b": 2}
    row = 0
    for line, expected in (
        (good, 1),
        ({"loss": 1}, 1),
        (good, 2),
        (bad, 0),
        (good, 1),
        ({"a": None, "b": 3}, 0),
    ):
        row = in_bounds(bounds, row, line)
        assert row == expected
    assert in_bounds(bounds, STOP_AFTER - 1, good) == STOP_AFTER
    assert in_bounds(bounds, STOP_AFTER - 1, good | {"stopped_by": "a<1"}) == 0
    assert in_bounds((), 5, good) == 0


def generator(step):
    return {
        "params": {"w": jnp.full(3, step, jnp.float32)},
        "batch_stats": {"m": jnp.full(2, -step, jnp.float32)},
    }


SCORES = {step: {"chi2": value} for step, value in enumerate([5, 3, 4, None, 3, 1, 9, 2, 0.5, 7], start=11)}


def keep(path, first, until, *, checkpoint_every=3):
    """Offer steps first + 1 to until; a checkpoint every few steps."""
    found = BestGenerators(path, first, keep=3, by="chi2")
    last = first
    for step in range(first + 1, until + 1):
        found.offer(step, SCORES[step], generator(step))
        if step % checkpoint_every == 0 or step == 20:
            found.write(step, last)
            last = step
    found.close()


def stored(path):
    from cosmogan_jax.storage.checkpoints import Checkpoints

    files = Checkpoints(path / "generators")
    found = {step: np.asarray(files.restore(step, generator(0))["params"]["w"]) for step in files.steps()}
    files.close()
    return found


def test_best_are_kept_and_cut_off_runs_equal_undisturbed(tmp_path):
    keep(tmp_path / "whole", 10, 20)
    order = best_steps({line.pop("step"): line for line in read_scores(tmp_path / "whole")}, "chi2")
    # By hand, from SCORES: 0.5 (step 19), 1 (16), 2 (18), 3 (12 before 15), 4 (13), ..., None (14).
    assert order == [19, 16, 18, 12, 15, 13, 11, 20, 17, 14]
    assert {19, 16, 18} <= set(stored(tmp_path / "whole"))
    for step, weights in stored(tmp_path / "whole").items():
        np.testing.assert_array_equal(weights, np.full(3, step))
    # Cut off after every step; on from the last checkpoint, a multiple of 3 (or the beginning).
    for cut in range(11, 20):
        path = tmp_path / f"cut{cut}"
        keep(path, 10, cut)
        keep(path, max(cut - cut % 3, 10), 20)
        assert (path / "scores.jsonl").read_text() == (tmp_path / "whole/scores.jsonl").read_text()
        assert set(stored(path)) == set(stored(tmp_path / "whole"))
        for step, weights in stored(path).items():
            np.testing.assert_array_equal(weights, np.full(3, step))


def test_what_the_last_whole_checkpoint_needs_is_not_deleted(tmp_path):
    # Step 15's checkpoint is not whole when 18 is written: a training goes on from 12, and needs 12's best.
    found = BestGenerators(tmp_path, 10, keep=2, by="chi2")
    for step in range(11, 19):
        found.offer(step, SCORES[step], generator(step))
        if step in (12, 15, 18):
            found.write(step, last_whole=12 if step > 12 else 10)
    found.close()
    assert set(stored(tmp_path)) == {11, 12, 16, 18}
    again = BestGenerators(tmp_path, 12, keep=2, by="chi2")
    assert again.best(12) == [12, 11]
    again.close()
    assert set(stored(tmp_path)) == {11, 12}
    assert [json.loads(line)["step"] for line in (tmp_path / "scores.jsonl").read_text().splitlines()] == [
        11,
        12,
    ]


@pytest.fixture
def tiny(tmp_path):
    rng = np.random.default_rng(2)
    for name, count in (("train", 8), ("development", 4)):
        np.save(tmp_path / f"{name}.npy", (rng.normal(size=(count, 32, 32)) * 0.02).astype(np.float32))
    return [
        f"--maps={tmp_path}/train.npy", f"--development_maps={tmp_path}/development.npy", "--side_deg=1",
        "--stages=prepare,train", "--crop_size=16", "--crops_per_map=2", "--normalisation=linear",
        "--normalisation_scale=0.1", "--num_filters=2", "--batch_size=4", "--log_every_steps=3",
        "--sample_every_steps=0", "--score_maps=8", "--score_l_bins=3",
    ]  # fmt: skip
