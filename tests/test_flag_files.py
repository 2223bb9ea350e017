"""Flag files of the experiments, README's first command among them: the command line still takes them."""

import dataclasses
from pathlib import Path

import pytest

from cosmogan_jax.emulators.kinds import build

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
FILES = sorted(str(path.relative_to(EXPERIMENTS)) for path in EXPERIMENTS.rglob("*.flags"))


@pytest.mark.parametrize("name", FILES)
def test_a_flag_file_is_understood(name, parse, monkeypatch):
    """Names and values of all flags, and sizes that a model can have."""
    monkeypatch.chdir(EXPERIMENTS.parent)
    read = parse(f"--flagfile=experiments/{name}", "--workdir=runs/x")
    if "train" in read.by_stage:
        build(read.by_stage["train"])


def test_the_quick_start_is_of_the_emulator_that_trains_in_minutes(parse, monkeypatch):
    monkeypatch.chdir(EXPERIMENTS.parent)
    read = parse("--flagfile=experiments/quickstart/run.flags")
    train = read.by_stage["train"]
    assert train.emulator == "lognormal_gan"
    # Rates have fallen when the training ends: a generator that still moves is not one that is done.
    assert train.of_kind.decay_to_step == train.num_steps
    assert parse("--flagfile=experiments/quickstart/dcgan.flags").by_stage["train"].emulator == "dcgan"


def test_the_quick_start_s_other_emulator_has_the_same_maps_and_its_own_settings(parse, monkeypatch):
    monkeypatch.chdir(EXPERIMENTS.parent)
    ours, theirs, alone = (
        parse(f"--flagfile=experiments/quickstart/{name}.flags").by_stage
        for name in ("run", "dcgan_same_maps", "dcgan")
    )
    assert theirs["simulate"] == ours["simulate"]
    assert dataclasses.replace(theirs["prepare"], normalisation_scale=0.02) == ours["prepare"]
    assert theirs["prepare"].normalisation_scale == alone["prepare"].normalisation_scale
    assert theirs["evaluate"] == ours["evaluate"]
    assert theirs["generate"].num_generated == ours["generate"].num_generated
    assert theirs["train"] == alone["train"]
    assert theirs["select"] == alone["select"]
