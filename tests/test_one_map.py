"""What later stages cannot do with few maps: said at prepare, left out of novelty and report with a reason."""

import json

import numpy as np
import pytest

from cosmogan_jax.stages import planning

SMALL = (
    "--side_deg=2", "--crop_size=16", "--crops_per_map=12", "--normalisation=linear",
    "--normalisation_scale=0.1", "--num_filters=4", "--batch_size=4", "--sample_every_steps=0", "--num_steps=2",
    "--num_generated=12", "--observer_smoothing_arcmin=", "--num_permutations=0", "--num_resamples=50",
    "--novelty_maps=8", "--novelty_steps=4", "--novelty_l_bins=4", "--evaluate_l_bins=4", "--checkpoint=last",
)  # fmt: skip


@pytest.fixture
def maps(tmp_path):
    def write(name, count):
        rng = np.random.default_rng(count)
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(count, 64, 64)).astype(np.float32) * 0.02)
        return tmp_path / f"{name}.npy"

    return write


def test_a_run_on_one_map_ends_in_a_report(maps, tmp_path, run_main):
    """Crops of one map for all splits: no other map is there to be near to."""
    run = tmp_path / "run"
    stages = "--stages=prepare,train,generate,evaluate,novelty,report"
    given = [f"--maps={maps('one', 1)}", "--split_by=crops", stages]
    code, out, error = run_main(f"--workdir={run}", *given, *SMALL)
    assert code == 0, error
    for name, what in planning.SEARCHES.items():
        why = planning.left_out_of_novelty([0], [0])[name]
        assert f"prepare: stage novelty will leave out {what}: {why}" in out
        assert f"novelty: leaves out {what}: {why}" in out
        assert f"Not looked for: {why}." in (run / "report/report.html").read_text()
    assert "prepare: no verdict from 1 map in the validation set, without an auxiliary one, of which" in out
    found = json.loads((run / "novelty/novelty.json").read_text())
    assert (found["nearest"], found["birthday"]) == ({}, {})
    # What was not looked for is not known.
    assert found["verdict"] == {"copies": None, "collisions": None, "support_above": None}
    assert found["interpolation"]["num_paths"] == 8


@pytest.mark.slow
def test_one_training_map_beside_others_is_searched_for_copies(maps, tmp_path, run_main):
    given = [f"--maps={maps('one', 1)}"] + [
        f"--{split}_maps={maps(split, count)}"
        for split, count in (("development", 2), ("validation", 6), ("auxiliary", 5))
    ]
    run = tmp_path / "run"
    stages = "--stages=prepare,train,generate,novelty"
    code, out, error = run_main(f"--workdir={run}", *given, *SMALL, stages)
    assert code == 0, error
    assert "prepare: stage novelty will leave out the search for maps that are the same" in out
    assert "copies of training maps" not in out
    assert "no verdict" not in out
    found = json.loads((run / "novelty/novelty.json").read_text())
    assert set(found["left_out"]) == {"pairs"}
    assert set(found["nearest"]) == {"pixels", "spectrum"}
    assert found["verdict"] == {"copies": False, "collisions": None, "support_above": None}


def test_what_is_lacking_is_told_of_parents_not_of_crops(capsys):
    assert planning.left_out_of_novelty([1, 2], [1]) == {}
    assert set(planning.left_out_of_novelty([1, 1], [2])) == {"pairs"}
    assert set(planning.left_out_of_novelty([1, 1], [1])) == {"nearest", "pairs"}
    boxes = [("a", 5), ("b", 5)]
    planning.tell_lacking("prepare", {"validation": boxes * 4}, [1, 2], [3])
    assert capsys.readouterr().out == (
        "prepare: no verdict from 2 boxes in the validation set, without an auxiliary one, of which there must "
        "be 10; the outcome will be incomplete at best\n"
    )
    planning.tell_lacking("prepare", {"validation": [(None, 1)] * 10}, [1, 2], [3])
    assert not capsys.readouterr().out
