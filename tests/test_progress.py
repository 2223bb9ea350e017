"""What a stage says of how far it is: lines where no terminal is, at growing intervals; a bar on one."""

import io
import re

import pytest

from cosmogan_jax.machine import progress as module
from cosmogan_jax.machine.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands at `clock.now` until the test sets it on."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    return Clock


def test_lines_come_after_ten_seconds_and_then_at_doubled_intervals(clock, capsys):
    said = []
    with progress(total=2000, initial=100, desc="train", unit="step") as bar:
        for _ in range(1900):
            clock.now += 1.0
            bar.update()
            if line := capsys.readouterr().out:
                said.append((clock.now, line))
    # 10, then 20, 40, 80, ... seconds later; the last interval, 640, would be longer than the longest.
    assert [when for when, _ in said] == [10, 30, 70, 150, 310, 630, 1230, 1830]
    for when, line in said:
        left = f"{(1900 - int(when)) // 60:02d}:{(1900 - int(when)) % 60:02d}"
        assert line == f"train: step {int(when) + 100} of 2000, 1 a second, {left} to go\n"


def test_what_ends_within_ten_seconds_says_nothing(clock, capsys):
    for _ in progress(range(5), desc="select", unit="generator"):
        clock.now += 1.9
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_a_line_names_values_and_does_without_a_total(clock, capsys):
    with progress(iter(()), desc="export", unit="map") as bar:
        clock.now = 11.0
        bar.set_postfix(D="0.5", refresh=False)
        bar.update(3)
    assert re.fullmatch(r"export: map 3, \S+ a second; D=0\.5\n", capsys.readouterr().out)


def test_a_warning_stands_on_a_line_of_its_own(clock, capsys):
    with progress(total=3, desc="train", unit="step") as bar:
        bar.write("train: D wins")
        clock.now = 11.0
        bar.update()
    first, second = capsys.readouterr().out.splitlines()
    assert first == "train: D wins"
    assert second.startswith("train: step 1 of 3")


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    assert list(progress(range(3), desc="generate", unit="batch")) == [0, 1, 2]
    assert "generate: 100%" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_a_process_that_is_not_to_speak_says_nothing(clock, capsys):
    with progress(total=3, desc="train", unit="step", shown=False) as bar:
        clock.now = 100.0
        bar.update(3)
    assert capsys.readouterr() == ("", "")
