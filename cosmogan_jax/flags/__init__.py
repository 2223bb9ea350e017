"""The command line: flags of all declared settings, and the settings that their values make.

`parse_call` reads the same flags from arguments of a call.
"""

import csv
import dataclasses
import io
import math
import numbers
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosmogan_jax.flags import absl_flags
from cosmogan_jax.flags.absl_flags import define_declared, values
from cosmogan_jax.settings import Processes
from cosmogan_jax.settings.declaration import Declared, as_json, declaration
from cosmogan_jax.settings.kinds import OF_KIND, check_kind
from cosmogan_jax.stages.stage import STAGES, RunSettings


def _all_settings() -> Iterator[type]:
    yield from (RunSettings, Processes)
    yield from (stage.settings for stage in STAGES.values())
    yield from OF_KIND.values()


def define() -> None:
    """Define all flags of the project; once, before parsing."""
    for settings in _all_settings():
        define_declared(settings)
    for flag, _ in _own():
        values().register_key_flag_for_module(sys.argv[0], flag)  # so that --help lists them


def _own() -> list[tuple[absl_flags.Flag, Declared]]:
    """Return the project's own flags (not absl's), each with its declaration."""
    declared: dict[str, Declared] = {}
    for settings in _all_settings():
        for field in dataclasses.fields(settings):
            if (facts := declaration(field)) is not None:
                declared.setdefault(field.name, facts)
    return [(values()[name], facts) for name, facts in declared.items()]


def read() -> RunSettings:
    """Return the parsed flags as settings.

    Raises:
      ValueError: maps or a name that are given and yet none, as by an empty variable of a shell; a number
        that is not finite, or larger than any count can be.
    """
    for flag, _ in _own():
        _check_number(flag.name, flag.value)
    for flag, declared in _own():
        if declared.names and flag.present and not _names_something(flag.value):
            raise ValueError(f"{flag.name}= names nothing; leave the flag away, or name {declared.names}")
    kind = check_kind(values().emulator)
    _take_defaults(kind)
    of_kind = _settings(kind)
    return _settings(
        RunSettings,
        stages_given=values()["stages"].present > 0,
        verbosity_given="verbosity" in values() and values()["verbosity"].present > 0,
        processes=_settings(Processes),
        by_stage={
            stage.name: _settings(stage.settings, **({"of_kind": of_kind} if stage.name == "train" else {}))
            for stage in STAGES.values()
        },
        defaults={flag.name: as_json(flag.default) for flag, _ in _own()},
    )


def _names_something(value: Any) -> bool:
    return bool(value.strip() if isinstance(value, str) else value)


def _check_number(name: str, value: Any) -> None:
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f"{name}={number} must be a finite number")
        if isinstance(number, int) and abs(number) >= 2**63:
            raise ValueError(f"{name}={number} must be smaller than 2**63")


def _take_defaults(kind: Any) -> None:
    """Give flags that are not said what their kind of emulator takes, or what the training began with."""
    begun, kept = None, getattr(kind, "KEPT", ())
    if kept and values().workdir.strip():
        from cosmogan_jax.runs import directory as run_directory  # here: --help reads no directory

        begun = run_directory.begun_with(Path(values().workdir).expanduser(), "train")
    for name, value in getattr(kind, "DEFAULTS", {}).items():
        if values()[name].present:
            continue
        # A training that does not know the flag was made as its default says.
        values()[name].value = (
            value if begun is None or name not in kept else begun.get(name, values()[name].default)
        )


def _settings(kind: type, **more: Any) -> Any:
    """Return settings of a class, from the flags of its fields' names and what else is given.

    Raises:
      ValueError: a field has no flag: nothing declares it.
    """
    for field in dataclasses.fields(kind):
        if field.name in more:
            continue
        if field.name not in values():
            raise ValueError(f"{kind.__name__}.{field.name} has no flag: no settings declare {field.name!r}")
        value: Any = values()[field.name].value
        if field.type is Path:
            value = Path(value).expanduser()
        more[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**more)


def parse_call(flagfile: str | Path | None, settings: dict[str, Any]) -> tuple[RunSettings, list[str], str]:
    """Return what a flag file and settings by the names of flags say: settings, a command line, a flag file.

    The same parsing and checks as the command line's. Other flags of the process are not looked at.

    Raises:
      ValueError: as `read`; a flag that is not known, a value that it does not take.
    """
    with absl_flags.apart() as own:
        define()
        command = [] if flagfile is None else [f"--flagfile={Path(flagfile).expanduser()}"]
        try:
            for name, value in settings.items():
                if value is None:
                    # A command line cannot say this: the flag keeps its default, which must be to be unset.
                    if name not in own or own[name].default is not None:
                        raise ValueError(f"{name}=None: leave it away, or give a value")
                else:
                    command.append(f"--{name}={_as_word(name, value)}")
            left = own(["cosmogan_jax.run", *command])[1:]
        except absl_flags.Error as error:
            raise ValueError(str(error).removeprefix("ERROR:: ")) from error
        if left:
            raise ValueError(f"unexpected argument {left[0]!r} in {flagfile}")
        return read(), command, as_text()


def _as_word(name: str, value: Any) -> str:
    """Return a value as it stands behind the = of a flag."""
    if isinstance(value, (list, tuple)):
        row = io.StringIO()
        # As absl reads lists: what holds a comma stands in quotes.
        csv.writer(row, lineterminator="").writerow([_as_word(name, item) for item in value])
        return row.getvalue()
    # NumPy's truth values have a number's shape and are none; its import is a quarter of --help's time.
    if isinstance(value, (str, os.PathLike, numbers.Real)) or getattr(value, "shape", None) == ():
        return str(value)
    raise ValueError(f"{name}={value!r:.60} must be a number, a word, a path, or a list of such")


def debug() -> bool:
    """Return whether errors are to be shown with their traceback."""
    return values().debug


def as_text() -> str:
    """Return the project's own flags as the text of a flag file, without those that are unset or passing.

    An empty list is left out too, but where it takes the place of a kind of emulator's own default.
    """
    emptied = getattr(check_kind(values().emulator), "DEFAULTS", {})
    lines = [
        flag.serialize()
        for flag, declared in _own()
        if flag.value is not None and not declared.passing and (flag.value != [] or flag.name in emptied)
    ]
    return "\n".join(sorted(filter(None, lines))) + "\n"
