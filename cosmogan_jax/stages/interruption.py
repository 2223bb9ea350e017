"""Stopping a long stage before its end: on SIGTERM, as schedulers send it, or when its time is up."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator


class Paused(Exception):
    """A stage stopped early and left all that it needs to go on; the message says how. Not an error."""


@contextlib.contextmanager
def watch(max_minutes: float | None) -> Iterator[Callable[[], str | None]]:
    """A function that gives the reason to stop, None as long as there is none.

    SIGTERM is only noted while the block runs (in the main thread; elsewhere it is left alone), so that the
    stage can finish its step and save.
    """
    began, received = time.monotonic(), threading.Event()

    def reason() -> str | None:
        if received.is_set():
            return "SIGTERM"
        if max_minutes is not None and time.monotonic() - began > 60 * max_minutes:
            return f"max_minutes={max_minutes:g}"
        return None

    if threading.current_thread() is not threading.main_thread():
        yield reason
        return
    before = signal.signal(signal.SIGTERM, lambda *_: received.set())
    try:
        yield reason
    finally:
        signal.signal(signal.SIGTERM, before)
