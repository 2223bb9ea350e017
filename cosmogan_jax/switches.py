"""JAX's switches that a shell or a notebook may have set, and those under which results are made here.

Runs are made under JAX's own defaults, in all threads of a process: 64 bits would change the types of a
training's state, a debugging switch would end at what is meant, a precision of products would change their
digits. Public functions of the library are called within somebody else's program, whose switches stay: they
compute in the types that they are given, and ask for themselves for the usual promotions and transfers, with
which they are written. What a seed means depends on no switch at all (`keys.py`).
"""

import concurrent.futures
import contextlib
import enum
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax

_GUARDS = ("", "_host_to_device", "_device_to_device", "_device_to_host")
# As JAX has them where nobody says anything; a version may lack one.
_OF_RUNS: dict[str, Any] = {
    "jax_enable_x64": False,
    "jax_explicit_x64_dtypes": "warn",
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_default_matmul_precision": None,
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_debug_key_reuse": False,
    "jax_disable_jit": False,
    "jax_legacy_prng_key": "allow",
    **{f"jax_transfer_guard{which}": "allow" for which in _GUARDS},
}
Function = TypeVar("Function", bound=Callable[..., Any])


@contextlib.contextmanager
def of_runs() -> Iterator[list[str]]:
    """Have all threads compute under JAX's defaults; gives what was otherwise, as in JAX_ENABLE_X64=True.

    Afterwards everything is as it was: a run may be one of several things that a program does.
    """
    here, before = _values(), _values_of_new_threads()
    try:
        for name in before:
            jax.config.update(name, _OF_RUNS[name])
        with contextlib.ExitStack() as contexts:
            if _values() != (now := _values_of_new_threads()):  # this thread is in a context of somebody else's
                for context in (jax.enable_x64(False), jax.debug_nans(False), jax.debug_infs(False), usual()):
                    contexts.enter_context(context)
            # No guard at all is what JAX begins with.
            otherwise = [name for name, value in here.items() if (value or now[name]) != now[name]]
            # A guard of all transfers is one of each kind too.
            whole = [name for name in otherwise if not name.startswith("jax_transfer_guard_")]
            shown = whole if "jax_transfer_guard" in whole else otherwise
            yield [f"{name.upper()}={_in_words(here[name])}" for name in shown]
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def _values() -> dict[str, Any]:
    values = jax.config.values
    return {name: values[name] for name in _OF_RUNS if name in values}


def _values_of_new_threads() -> dict[str, Any]:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(_values).result()


def _in_words(value: Any) -> str:
    return value.name.lower() if isinstance(value, enum.Enum) else str(value)


@contextlib.contextmanager
def usual() -> Iterator[None]:
    """Have this thread compute with JAX's usual promotion of ranks and types, and its usual transfers."""
    with (
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.transfer_guard("allow"),
    ):
        yield


def with_usual(function: Function) -> Function:
    """Have a public function computed as in `usual`, whatever its caller's program is set to."""

    @functools.wraps(function)
    def usually(*arguments: Any, **named: Any) -> Any:
        if _is_usual():
            return function(*arguments, **named)
        with usual():
            return function(*arguments, **named)

    return usually  # type: ignore[return-value]


def _is_usual() -> bool:
    config: Any = jax.config  # one name each: all values take ten times as long
    return (
        config.jax_numpy_rank_promotion == "allow"
        and config.jax_numpy_dtype_promotion == "standard"
        and config.jax_transfer_guard in (None, "allow")
        and config.jax_transfer_guard_host_to_device in (None, "allow")
        and config.jax_transfer_guard_device_to_device in (None, "allow")
        and config.jax_transfer_guard_device_to_host in (None, "allow")
    )
