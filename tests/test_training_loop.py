"""What surrounds the train step: the schedule of events, several steps a dispatch, the log's intervals."""

import gzip
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step
from cosmogan_jax.machine.compilation import keep_programs
from cosmogan_jax.machine.profiling import Profiler
from cosmogan_jax.stages.train.dispatch import Dispatcher, scan_steps
from cosmogan_jax.stages.train.schedule import Every, Schedule
from cosmogan_jax.stages.train.training_log import NonFinite, TrainingLog, read_log

NETWORKS = build_networks(Architecture(16, 4, 2, 8))
BATCHES = [0.3 * np.random.default_rng(n).normal(size=(4, 16, 16)).astype(np.float32) for n in range(6)]
KEYS = ("disc_loss", "gen_loss", "disc_accuracy_real", "disc_accuracy_fake", "disc_grad_norm")

events = st.lists(
    st.builds(Every, st.sampled_from(["log", "score", "checkpoint"]), st.integers(0, 9), st.integers(1, 30)),
    max_size=4,
)


@given(st.integers(1, 40), events, st.integers(1, 7), st.data())
@settings(max_examples=200)
def test_chunks_take_every_step_once_and_stop_at_every_event(num_steps, events, per_dispatch, data):
    schedule = Schedule(num_steps, tuple(events))
    chunks = list(schedule.chunks(0, per_dispatch))
    steps = [step for before, count in chunks for step in range(before + 1, before + count + 1)]
    assert steps == list(range(1, num_steps + 1))
    assert {count for _, count in chunks} <= {1, per_dispatch}
    stops = {before + count for before, count in chunks}
    for step in steps:
        expected = {e.event for e in events if e.every and step >= e.first and step % e.every == 0}
        if step == num_steps:
            expected |= {e.event for e in events if e.every}
        assert schedule.due(step) == expected
        assert not expected or step in stops
    # Stopped after any dispatch, the rest is as it would have been.
    place = data.draw(st.integers(0, len(chunks)))
    first = chunks[place][0] if place < len(chunks) else num_steps
    assert list(schedule.chunks(first, per_dispatch)) == chunks[place:]


def test_few_dispatches_where_few_events_are():
    schedule = Schedule(100, (Every("log", 50), Every("checkpoint", 33), Every("rank", 1, first=98)))
    counts = [count for _, count in schedule.chunks(0, 16)]
    assert counts == [16, 16, 1, 16, 1, 16, 16, 16, 1, 1]
    assert [before + count for before, count in schedule.chunks(0, 16) if schedule.due(before + count)] == [
        33, 50, 66, 98, 99, 100,
    ]  # fmt: skip


def test_one_program_where_the_intervals_have_one_divisor():
    usual = (Every("log", 50), Every("score", 500), Every("checkpoint", 1000), Every("sample", 0))
    assert Schedule(4500, usual).steps_of_a_dispatch(16) == 10
    assert {count for _, count in Schedule(4500, usual).chunks(0, 10)} == {10}
    assert Schedule(4800, (Every("log", 64), Every("checkpoint", 320))).steps_of_a_dispatch(16) == 16
    # Epochs of 377 steps: a second program is the lesser evil.
    assert Schedule(3770, (*usual, Every("checkpoint", 377))).steps_of_a_dispatch(16) == 16
    assert Schedule(3770, usual).steps_of_a_dispatch(1) == 1


def on_batch(step):
    return lambda state, held, batch: step(state, held + batch)


def test_a_scan_of_steps_is_the_steps_in_turn():
    def step(state, held, batch):
        state = {"x": jnp.sin(state["x"] + held) + batch, "n": state["n"] + 1}
        return state, {"sum": state["x"].sum(), "n": state["n"]}

    start = {"x": np.linspace(0, 1, 5, dtype=np.float32), "n": np.int32(3)}
    batches = [np.full(5, 0.1 * n, np.float32) for n in range(4)]
    for count in (1, 4):
        state, metrics = jax.jit(scan_steps(step))(start, 0.5, tuple(batches[:count]))
        expected, found = start, []
        for batch in batches[:count]:
            expected, of_step = step(expected, 0.5, batch)
            found.append(of_step)
        np.testing.assert_allclose(state["x"], expected["x"], rtol=1e-6)
        np.testing.assert_allclose(metrics["sum"], [m["sum"] for m in found], rtol=1e-6)
        np.testing.assert_array_equal(metrics["n"], [m["n"] for m in found])


def test_the_train_step_can_be_scanned():
    """Its state comes back with the types it went in with: a scan insists on it."""
    optimizer = adam(1e-3, 0.5)
    step = on_batch(make_train_step(NETWORKS, optimizer, StepSettings(0.3)))
    start = init_state(NETWORKS, optimizer, jax.random.key(0))
    state, metrics = jax.eval_shape(scan_steps(step), start, 0.1, tuple(BATCHES))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), start
    )
    assert {value.shape for value in metrics.values()} == {(6,)}


def test_dispatches_of_any_size_give_the_same_bits_on_a_cpu():
    optimizer = adam(1e-3, 0.5)
    step = on_batch(make_train_step(NETWORKS, optimizer, StepSettings(0.3)))
    dispatch, found, seconds = Dispatcher(step, 0, Schedule(6, ())), [], []
    assert dispatch.steps == 1
    for sizes in ([1] * 6, [6], [4, 1, 1]):
        state = init_state(NETWORKS, optimizer, jax.random.key(0))
        batches, metrics = iter(BATCHES), []
        for size in sizes:
            state, stacked, compiling = dispatch(state, 0.1, [next(batches) for _ in range(size)])
            metrics.append(stacked)
            seconds.append(compiling)
        losses = np.concatenate([m["gen_loss"] for m in metrics])
        assert losses.shape == (6,)
        leaves = jax.tree.leaves(state.replace(key=jax.random.key_data(state.key)))
        found.append([losses, *map(np.asarray, leaves)])
    assert seconds[0] > 0
    assert not any(seconds[1:])  # one program
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_array_equal(a, b)


def metrics_of(first, stop):
    """Metrics that tell their step."""
    return {name: jnp.arange(first, stop, dtype=jnp.float32) * 10.0**k for k, name in enumerate(KEYS)}


def test_a_line_holds_the_steps_values_and_the_intervals_means(tmp_path):
    log = TrainingLog(tmp_path / "m.jsonl", 0, {}, KEYS[:4])
    log.add(metrics_of(1, 4))
    log.add(metrics_of(4, 5))
    line = log.write(4, 0, {"score": 7.5})
    log.add(metrics_of(5, 7))
    log.write(6, 1, {})
    lines = read_log(tmp_path / "m.jsonl")
    assert lines[0] == line
    assert (line["disc_loss"], line["gen_loss"], line["mean_disc_loss"]) == (4, 40, 2.5)
    assert line["mean_disc_accuracy_real"] == 250
    assert line["score"] == 7.5
    assert line["steps_per_second"] > 0
    assert "mean_disc_grad_norm" not in line
    assert lines[1]["mean_gen_loss"] == 55
    assert "steps_per_second" not in read_log(tmp_path / "m.jsonl", timed=False)[0]


def test_an_interval_goes_on_after_a_pause_anywhere_in_it(tmp_path):
    whole = TrainingLog(tmp_path / "whole.jsonl", 0, {}, KEYS[:4])
    for step in range(1, 7):
        whole.add(metrics_of(step, step + 1))
        if step % 3 == 0:
            whole.write(step, 0, {})
    for stop in range(1, 6):
        path, kept = tmp_path / f"{stop}.jsonl", {}
        # The first run gets further than what it saved at `stop`.
        for first, last in ((0, 6), (stop, 6)):
            log = TrainingLog(path, first, kept, KEYS[:4])
            for step in range(first + 1, last + 1):
                log.add(metrics_of(step, step + 1))
                if step % 3 == 0:
                    log.write(step, 0, {})
                if step == stop:
                    kept = {name: list(values) for name, values in log.pending().items()}
        assert read_log(path, timed=False) == read_log(tmp_path / "whole.jsonl", timed=False)


def test_a_process_that_does_not_write_gets_its_lines_all_the_same(tmp_path, monkeypatch):
    """And touches no file: /dev/null in place of a path would be written whole, and so replaced."""
    monkeypatch.chdir(tmp_path)
    logs = [TrainingLog(path, 0, {}, KEYS[:4]) for path in (tmp_path / "m.jsonl", None)]
    lines = []
    for log in logs:
        log.add(metrics_of(1, 4))
        lines.append({name: value for name, value in log.write(3, 0, {}).items() if name.startswith("mean")})
    assert lines[0] == lines[1] != {}
    assert logs[1].lines() == []
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]


def test_the_first_step_that_is_not_finite_is_named(tmp_path):
    log = TrainingLog(tmp_path / "m.jsonl", 10, {})
    metrics = metrics_of(11, 17)
    metrics["gen_loss"] = metrics["gen_loss"].at[3:].set(jnp.nan)
    log.add(metrics)
    with pytest.raises(NonFinite, match=r"step 14: non-finite metrics .*'gen_loss': nan"):
        log.write(16, 0, {})
    assert not (tmp_path / "m.jsonl").exists()


def test_a_few_steps_are_traced_once_all_is_compiled(tmp_path):
    step = jax.jit(lambda x: x + 1)
    profiler, x, ended = Profiler(tmp_path / "profile", 3), jnp.zeros(()), []
    for number, (count, compiling) in enumerate(
        [(2, 0.5), (2, 0), (1, 0.1), (2, 0), (2, 0), (2, 0), (2, 0), (2, 0)]
    ):
        profiler.before_dispatch(x)
        x = step(x)
        if profiler.after_dispatch(x, count, compiling):
            ended.append(number)
    profiler.close(x)
    # Three dispatches without compilation go before; two of two steps hold three.
    assert ended == [6]
    (trace,) = tmp_path.glob("profile/plugins/profile/*/perfetto_trace.json.gz")
    with gzip.open(trace) as file:
        names = {event.get("name", "") for event in json.load(file)["traceEvents"]}
    assert any("PjitFunction" in name for name in names)
    assert list(tmp_path.glob("profile/plugins/profile/*/*.xplane.pb"))


def test_programs_are_kept_where_nothing_else_is_set(tmp_path, capsys):
    before = jax.config.jax_compilation_cache_dir
    try:
        assert keep_programs(str(tmp_path / "other")) == Path(before)  # as conftest set it
        jax.config.update("jax_compilation_cache_dir", None)
        assert keep_programs("") is None
        (tmp_path / "file").write_text("")
        assert keep_programs(str(tmp_path / "file")) is None
        assert "compiled programs are not kept" in capsys.readouterr().err
        assert jax.config.jax_compilation_cache_dir is None
        place = keep_programs(str(tmp_path / "programs"))
        assert place.is_dir()
        assert place.parent == tmp_path / "programs"
        assert jax.config.jax_compilation_cache_dir == str(place)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
