"""What is watched while a training runs: warnings, stopping, best generators; resumed equals undisturbed."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.compare.scores.generator_score import SCORES
from cosmogan_jax.emulators import early_warnings
from cosmogan_jax.emulators.dcgan.curves import CURVES, WARNINGS
from cosmogan_jax.emulators.early_warnings import LASTING, WARM_UP, observe
from cosmogan_jax.emulators.kinds import build
from cosmogan_jax.emulators.trained import Generators, open_trained
from cosmogan_jax.figures.training import draw_training
from cosmogan_jax.files.json_files import read_json
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.runs.best_generators import BestGenerators, best_steps, read_scores
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.stages.train.monitoring import check_scores
from cosmogan_jax.stages.train.stopping import STOP_AFTER, Bound, in_bounds, parse_bounds
from cosmogan_jax.stages.train.training_log import read_log

pytestmark = pytest.mark.usefixtures("quick")

HEALTHY = {
    # The worst that healthy runs gave after 500 steps (64^2, 16 filters).
    "mean_disc_accuracy_real": 0.96,
    "mean_disc_accuracy_fake": 0.96,
    "variance_ratio": 0.24,
    "nearest_ratio": 0.36,
    "checkerboard_ratio": 260.0,
    "checkerboard_excess": 0.08,
    "saturated": 0.0,
}
FAILURES = {
    "the discriminator wins": {"mean_disc_accuracy_real": 0.999, "mean_disc_accuracy_fake": 1.0},
    "collapse: generated maps vary by 0.05": {"variance_ratio": 0.05},
    "collapse: the most alike": {"nearest_ratio": 0.1},
    "checkerboard: 40 times": {"checkerboard_ratio": 40.0, "checkerboard_excess": 0.3},
    "tanh is saturated in 5.0%": {"saturated": 0.05},
}


def warned(lines, every=50):
    """Warnings by step of a history with a line of metrics every so many steps."""
    episodes, said = {}, {}
    for number, line in enumerate(lines, start=1):
        before = dict(episodes)
        after, found = observe(episodes, {"step": number * every, **line}, WARNINGS)
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
    assert observe({}, {"step": 5000}, WARNINGS) == ({}, [])
    assert observe({}, {"step": 5000, "variance_ratio": None}, WARNINGS) == ({}, [])


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


DENSE = {step: {"chi2": value} for step, value in enumerate([5, 3, 4, None, 3, 1, 9, 2, 0.5, 7], start=11)}


def keep(path, first, until, *, checkpoint_every=3):
    """Offer steps first + 1 to until; a checkpoint every few steps."""
    found = BestGenerators(path, first, keep=3, by="chi2")
    last = first
    for step in range(first + 1, until + 1):
        found.offer(step, DENSE[step], generator(step))
        if step % checkpoint_every == 0 or step == 20:
            found.write(step, last)
            last = step
    found.close()


def stored(path):
    files = Checkpoints(path / "generators")
    found = {step: np.asarray(files.restore(step, generator(0))["params"]["w"]) for step in files.steps()}
    files.close()
    return found


@pytest.mark.slow
def test_best_are_kept_and_cut_off_runs_equal_undisturbed(tmp_path):
    keep(tmp_path / "whole", 10, 20)
    order = best_steps(read_scores(tmp_path / "whole"), "chi2")
    # By hand, from DENSE: 0.5 (step 19), 1 (16), 2 (18), 3 (12 before 15), 4 (13), ..., None (14).
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


def test_what_is_kept_is_a_copy(tmp_path):
    """The next step may take the memory of the generator that was offered."""
    offered = {"params": {"w": np.full(3, 7, np.float32)}, "batch_stats": {"m": np.zeros(2, np.float32)}}
    found = BestGenerators(tmp_path, 0, keep=3, by="chi2")
    found.offer(1, {"chi2": 1.0}, offered)
    offered["params"]["w"][:] = -1
    found.write(1, 0)
    found.close()
    np.testing.assert_array_equal(stored(tmp_path)[1], [7, 7, 7])


def test_what_the_last_whole_checkpoint_needs_is_not_deleted(tmp_path):
    # Step 15's checkpoint is not whole when 18 is written: a training goes on from 12, and needs 12's best.
    found = BestGenerators(tmp_path, 10, keep=2, by="chi2")
    for step in range(11, 19):
        found.offer(step, DENSE[step], generator(step))
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


def lines_of(workdir):
    return read_log(workdir / "train/metrics.jsonl", timed=False)


@pytest.mark.slow
def test_a_dense_phase_cut_off_and_gone_on_with_equals_undisturbed(run_main, tiny, tmp_path):
    """Twice: ended and grown; and killed with its last checkpoint lost."""
    dense = ["--select_from_epoch=1", "--keep_best=2", "--score_every_steps=3", "--checkpoint_every_steps=3"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"

    def train(workdir, steps, *more):
        code, said, error = run_main(f"--workdir={workdir}", *tiny, *dense, f"--num_steps={steps}", *more)
        assert code == 0, error
        return said + error

    train(whole, 9)
    for flags in ((6,), (9,)):
        train(cut, *flags)
    scores = read_scores(whole / "train/best")
    # Three steps an epoch: 12 training crops in batches of 4. The dense phase begins with step 4.
    assert list(scores) == [4, 5, 6, 7, 8, 9]
    order = sorted(scores, key=lambda step: (scores[step]["spectrum_chi2"], step))
    kept = stored_arrays(whole)
    assert set(order[:2]) <= set(kept)

    def assert_same(one, two):
        assert lines_of(one) == lines_of(two)
        assert read_scores(one / "train/best") == read_scores(two / "train/best")
        found = stored_arrays(two)
        for step in order[:2]:
            for a, b in zip(kept[step], found[step]):
                np.testing.assert_array_equal(a, b)

    assert_same(whole, cut)
    logged = {line["step"]: line for line in lines_of(whole)}
    assert set(SCORES) <= set(logged[3])
    assert logged[6]["spectrum_chi2"] == pytest.approx(scores[6]["spectrum_chi2"], rel=1e-4)
    # The weights of a kept step that has a checkpoint are the checkpoint's.
    _, like, checkpoints = open_trained(whole)
    for step in set(kept) & set(checkpoints.steps()):
        for a, b in zip(kept[step], jax.tree.leaves(generator_of(checkpoints.restore(step, like).gen))):
            np.testing.assert_array_equal(a, b)
    checkpoints.close()
    # Killed: what a cut-off run leaves behind, without its last two checkpoints.
    shutil.copytree(whole, tmp_path / "killed")
    for step in (9,):
        shutil.rmtree(tmp_path / f"killed/train/checkpoints/{step}")
    (tmp_path / "killed/train/stage.json").unlink()
    (tmp_path / "killed/train").rename(tmp_path / "killed/train.partial")
    assert "goes on from step 6" in train(tmp_path / "killed", 9)
    assert_same(whole, tmp_path / "killed")
    # Stage select takes them for candidates beside the checkpoints, and generate the one selected.
    more = ["--stages=select,generate", "--select_maps=8", "--select_l_bins=3", "--num_generated=2"]
    code, _, error = run_main(f"--workdir={whole}", *tiny, *dense, *more, "--num_steps=9")
    assert code == 0, error
    selection = read_json(whole / "select/selection.json")
    candidates = {line["step"]: line for line in selection["candidates"]}
    assert list(candidates) == [3, 4, 5, 6, 7, 8, 9]
    for step, of_step in scores.items():
        assert candidates[step]["first"] == of_step
    again = {step for step, line in candidates.items() if line["second"]}
    # And what the checkpoint before the last still needs.
    assert again == {3, 6, 9} | set(kept) >= set(order[:2])
    assert selection["first"]["from_training"]
    manifest = open_map_store(whole / "generate/maps").manifest
    assert manifest.origin["generator_step"] == selection["selected"]
    generators = Generators(whole, "last")
    for step in generators.best():
        for a, b in zip(kept[step], jax.tree.leaves(generators.restore(step))):
            np.testing.assert_array_equal(a, b)
    generators.close()
    code, _, error = run_main(f"--workdir={cut}", *tiny, *dense, "--num_steps=10", "--keep_best=3")
    assert code == 1
    assert "'keep_best': 3, 'weights': 'last'} differs from" in error
    assert error.count("\n") == 3  # prepare is skipped, train begins, and the line


def generator_of(gen):
    return {"params": gen.params, "batch_stats": gen.batch_stats}


def stored_arrays(workdir):
    _, like, checkpoints = open_trained(workdir)
    checkpoints.close()
    files = Checkpoints(workdir / "train/best/generators")
    found = {step: jax.tree.leaves(files.restore(step, generator_of(like.gen))) for step in files.steps()}
    files.close()
    return {step: [np.asarray(leaf) for leaf in leaves] for step, leaves in found.items()}


@pytest.mark.slow
def test_stop_when_ends_a_training_that_other_bounds_let_go_on(run_main, tiny, tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    # So small a generator ignores z for its first steps: a collapse, here without the patience of real runs.
    monkeypatch.setattr(early_warnings, "WARM_UP", 1)
    monkeypatch.setattr(early_warnings, "LASTING", 2)

    def train(*more):
        return run_main(f"--workdir={workdir}", *tiny, "--score_every_steps=2", "--num_steps=9", *more)

    stop = "--stop_when=pixel_ks<1.1,worst_power_factor>0"  # always
    code, said, error = train(stop)
    assert code == 0, error
    assert "train: ended after step 6 of 9 by stop_when=pixel_ks<1.1,worst_power_factor>0" in said
    assert said.count("warning: step 4: collapse: generated maps vary by") == 1
    assert said.count("collapse:") <= 2  # and perhaps near-duplicates, or a discriminator that wins
    assert said.count("warning:") <= said.count("collapse:") + 2
    summary = read_json(workdir / "train/stage.json")["summary"]
    assert summary["steps"] == 2 * STOP_AFTER
    assert summary["stopped_by"] == "pixel_ks<1.1,worst_power_factor>0"
    assert summary["stopped_before"] == 9
    assert lines_of(workdir)[-1]["stopped_by"] == summary["stopped_by"]
    _, _, checkpoints = open_trained(workdir)
    assert checkpoints.steps()[-1] == 6
    checkpoints.close()
    code, said, error = train(stop)
    assert code == 0
    assert error.count("skipped") == 2
    # Cut off after its last checkpoint, before its record: over without a step.
    (workdir / "train/stage.json").unlink()
    (workdir / "train").rename(workdir / "train.partial")
    code, said, error = train(stop)
    assert code == 0, error
    assert "ended after step 6" in said
    assert read_json(workdir / "train/stage.json")["summary"]["steps"] == 6
    code, said, error = train("--stop_when=pixel_ks<0")
    assert code == 0, error
    assert "ended" not in said
    assert "collapse: generated maps vary" not in said  # an episode that was told before
    assert [line["step"] for line in lines_of(workdir)] == [2, 3, 4, 6, 8, 9]
    assert "stopped_by" not in read_json(workdir / "train/stage.json")["summary"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--stop_when=pixelks<1"], "unknown score 'pixelks'"),
        (["--stop_when=pixel_ks<1", "--score_every_steps=0"], "needs scores: score_every_steps=0"),
        (["--score_maps=100"], "score_maps=100 must be at most 64 or a multiple of it"),
        (["--score_maps=1"], "score_maps=1 must be at least 2"),
        (["--weights=ema"], "weights=ema needs an average: ema_decay=0"),
        (["--keep_best=0"], "keep_best=0 must be at least 1"),
        (["--select_from_epoch=-1"], "select_from_epoch=-1 must not be negative"),
    ],
)
def test_bad_input(parse, tmp_path, flags, words):
    settings = parse(f"--workdir={tmp_path}/run", *flags).by_stage["train"]
    model, _ = build(settings)
    with pytest.raises(ValueError, match=words):
        check_scores(settings, model)


def test_training_curves_show_what_a_log_holds():
    rng = np.random.default_rng(0)
    lines = []
    for step in range(10, 210, 10):
        line = {"step": step, "disc_loss": 1.0, "gen_loss": 2.0, "mean_disc_loss": 0.5, "mean_gen_loss": 0.7}
        line |= {"disc_grad_norm": 1 + rng.random(), "gen_grad_norm": 2.0, "steps_per_second": 20.0}
        if step % 50 == 0:
            line |= {"pixel_ks": 0.1, "spectrum_chi2": None if step == 50 else 0.2, "row_column": -0.1}
        lines.append(line)
    figure = draw_training(lines, [panel.drawn() for panel in CURVES])
    panels = {ax.get_title(): ax for ax in figure.axes if ax.get_title()}
    assert list(panels) == [
        "Losses",
        "Gradient norms",
        "Distances to development maps",
        "Stationarity",
        "Speed",
    ]
    for ax in panels.values():
        assert ax.get_xlabel() == "step"
        assert ax.get_ylabel()
    losses = {line.get_label(): line for line in panels["Losses"].lines}
    np.testing.assert_array_equal(losses["J(D)"].get_ydata(), 0.5)  # the interval's mean
    distances = {line.get_label(): line for line in panels["Distances to development maps"].lines}
    np.testing.assert_array_equal(distances["pixels, Kolmogorov-Smirnov"].get_xdata(), [50, 100, 150, 200])
    np.testing.assert_array_equal(distances["power spectrum, χ²"].get_xdata(), [100, 150, 200])
    # Told apart without colour.
    for ax in panels.values():
        styles = [line.get_linestyle() for line in ax.lines]
        assert len(set(styles)) == len(styles)
    with pytest.raises(ValueError, match="holds nothing to draw"):
        draw_training([{"step": 1}])
