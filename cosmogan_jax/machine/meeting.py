"""Processes of one run meet, and hear who is missing, before JAX's own service starts at the same address.

That service ends a process whose others do not come (SIGABRT), with C++ frames and without a word of who. Here
process 0 listens, each other one says its number, and all are told at the end of the time who did not. Then the
port is free again.
"""

import contextlib
import json
import os
import re
import socket
import time

_HELLO = "cosmogan_jax process {} of {}\n"
_WORDS_S = 5.0  # for a line of somebody who has connected
_AGAIN_S = 0.2


def meet(address: str, count: int, index: int, wait_s: float) -> None:
    """Wait until all processes are there.

    Args:
      address: host:port of process 0, that port being free there.
      count, index: how many processes there are, and the number of this one.
      wait_s: how long to wait for the others.

    Raises:
      ValueError: some did not come, process 0 does not answer, its port is taken, or two have one number.
    """
    if index == 0:
        missing = _gather(int(address.rpartition(":")[2]), count, wait_s)
    else:
        missing = _report(address, count, index, wait_s)
    if missing:
        numbers = ", ".join(map(str, missing))
        subject = f"process {numbers} is" if len(missing) == 1 else f"processes {numbers} are"
        raise ValueError(f"process {index} of {count} waited {wait_s:g} s at {address}: {subject} missing")


def _gather(port: int, count: int, wait_s: float) -> list[int]:
    """Listen as process 0; return the numbers of those that did not come, and tell those that did."""
    until, came = time.monotonic() + wait_s, dict[int, socket.socket]()
    dual_stack = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual_stack else socket.AF_INET
    with contextlib.ExitStack() as opened:
        try:
            listening = opened.enter_context(
                socket.create_server(("", port), family=family, backlog=count, dualstack_ipv6=dual_stack)
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ValueError(f"process 0 of {count} cannot listen at port {port}: {reason}") from error
        while len(came) < count - 1 and (left := until - time.monotonic()) > 0:
            listening.settimeout(left)
            try:
                other = opened.enter_context(listening.accept()[0])
            except TimeoutError:
                break
            other.settimeout(_WORDS_S)
            with contextlib.suppress(OSError, UnicodeDecodeError):  # whoever it was, it is none of ours
                if (number := _number(other.makefile().readline(100), count)) is None:
                    other.close()
                elif number in came:
                    _tell(other, {"taken": number})
                else:
                    came[number] = other
        missing = sorted(set(range(1, count)) - came.keys())
        for other in came.values():
            with contextlib.suppress(OSError):
                _tell(other, {"missing": missing})
    return missing


def _number(line: str, count: int) -> int | None:
    """Return the number that a process says it has, where it is one of this group."""
    hello = re.fullmatch(_HELLO.format(r"(\d+)", count), line)
    return int(hello[1]) if hello and 0 < int(hello[1]) < count else None


def _tell(other: socket.socket, words: dict) -> None:
    other.sendall((json.dumps(words) + "\n").encode())


def _report(address: str, count: int, index: int, wait_s: float) -> list[int]:
    """Report to process 0, as any other process; return whom it misses."""
    host, _, port = address.rpartition(":")
    until, why = time.monotonic() + wait_s, "no answer"
    while (left := until - time.monotonic()) > 0:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=min(left, _WORDS_S)) as other:
                other.sendall(_HELLO.format(index, count).encode())
                other.settimeout(wait_s + _WORDS_S)  # process 0 may have begun to wait only now
                if line := other.makefile().readline(100_000):
                    answer = json.loads(line)
                    break
        except (OSError, ValueError) as error:  # not there yet, or somebody else's port
            why = getattr(error, "strerror", None) or str(error)
        time.sleep(_AGAIN_S)
    else:
        raise ValueError(
            f"process {index} of {count} waited {wait_s:g} s: process 0 is missing at {address} ({why})"
        )
    if "taken" in answer:
        raise ValueError(f"process_id={index} is the number of another process of this run too")
    return answer["missing"]
