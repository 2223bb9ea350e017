"""How far a stage is: a bar on a terminal, whole lines at growing intervals in a log file."""

import sys
import time
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

# Where no terminal is: a first line after so long, then after twice that again, up to the longest.
_FIRST_SECONDS = 10.0
_LONGEST_SECONDS = 600.0


class _Lines(tqdm):
    """Lines on standard output, where those of the stages go; nothing of what is over within the first wait."""

    monitor_interval = 0  # no thread of tqdm's: every update looks at the clock

    def __init__(self, *args, **kwargs):
        self._wait = _FIRST_SECONDS
        self._due = time.monotonic() + self._wait
        super().__init__(*args, file=_Nowhere(), mininterval=0, miniters=1, leave=False, **kwargs)
        self._line_at, self._line_n = time.monotonic(), self.n

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        now = time.monotonic()
        if now < self._due or msg == "":  # tqdm's last call, to wipe the bar
            return False
        self._wait = min(2 * self._wait, _LONGEST_SECONDS)
        self._due = now + self._wait
        # Since the last line: a training's first step compiles for as long as a thousand others take.
        print(self._line((self.n - self._line_n) / (now - self._line_at)), flush=True)
        self._line_at, self._line_n = now, self.n
        return True

    def _line(self, per_second: float) -> str:
        state = self.format_dict
        done = f"{self.unit} {state['n']}" + (f" of {state['total']}" if state["total"] else "")
        line = f"{self.desc}: {done}, {per_second:.3g} a second"
        if state["total"] and per_second:
            left = tqdm.format_interval((state["total"] - state["n"]) / per_second)
            line += f", {left} to go"
        return f"{line}; {state['postfix']}" if state["postfix"] else line


class _Nowhere:
    """A file that takes everything and keeps nothing: tqdm writes line ends of its own."""

    encoding = "utf-8"

    def write(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass


def progress(over: Iterable | None = None, *, desc: str, unit: str, shown: bool = True, **kwargs: Any) -> tqdm:
    """Return tqdm's object for `over`, or for `total` units from `initial` on; shown=False prints nothing.

    On a terminal (standard error) a bar; elsewhere a line on standard output after ten seconds, and then at
    intervals that double up to ten minutes.
    """
    if not shown:
        return tqdm(over, desc=desc, unit=unit, disable=True, **kwargs)
    if sys.stderr.isatty():
        return tqdm(over, desc=desc, unit=unit, **kwargs)
    return _Lines(over, desc=desc, unit=unit, **kwargs)
