"""Signals: a run that is told to end says so in one line; a training saves first."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
GOES_ON = "the same command goes on from what is whole"


class Paused(Exception):
    """A stage stopped early and left all that it needs to go on; the message says how. Not an error."""

    def __init__(self, words: str, reason: str):
        super().__init__(words)
        # Ctrl-C ends a script of several commands too; a scheduler's SIGTERM was answered as it should be.
        self.exit_code = 128 + signal.SIGINT if reason == "SIGINT" else 0


def end_on_signals() -> None:
    """Have SIGTERM and SIGINT (Ctrl-C) end the process at once: one line, exit code 143 or 130.

    Not by an exception: raised wherever the program happens to be, it can be lost in a callback, or leave
    threads that never end. Whatever a run has on the disk may be cut off anywhere. A signal that whoever
    started the process has it ignore (nohup, a shell's background) stays ignored.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def raise_on_interrupt() -> None:
    """Have Ctrl-C raise KeyboardInterrupt, as Python does by itself: its traceback tells where a run was."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, _) -> None:
    with contextlib.suppress(Exception):  # what was being printed may be half out
        sys.stdout.flush()
    begin = "\n" if sys.stderr.isatty() else ""  # a progress bar's line, or that of the ^C
    os.write(2, f"{begin}interrupted by {signal.Signals(number).name}; {GOES_ON}\n".encode())
    os._exit(128 + number)


@contextlib.contextmanager
def watch(max_minutes: float | None) -> Iterator[Callable[[], str | None]]:
    """Give a function that returns the reason to stop, None as long as there is none.

    SIGTERM and SIGINT are only noted while the block runs (in the main thread; elsewhere they are left alone),
    so that the stage can finish its step and save. A second Ctrl-C does not wait for that. A signal that came
    too late to be asked for is answered at the end of the block.
    """
    began, received = time.monotonic(), list[int]()

    def reason() -> str | None:
        if received:
            return signal.Signals(received[0]).name
        if max_minutes is not None and time.monotonic() - began > 60 * max_minutes:
            return f"max_minutes={max_minutes:g}"
        return None

    if threading.current_thread() is not threading.main_thread():
        yield reason
        return
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}

    def note(number: int, _) -> None:
        received.append(number)
        if number == signal.SIGINT:
            signal.signal(number, handlers[number])

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    try:
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, note)
        yield reason
    except BaseException:
        restore()
        raise
    restore()
    if received:
        signal.raise_signal(received[0])
