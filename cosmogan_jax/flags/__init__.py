"""Flags of the command line, one module a stage; only here is absl.flags imported.

`given` reads the same flags from arguments of a call.
"""

import csv
import dataclasses
import io
import math
import numbers
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from cosmogan_jax.flags import defining as flags
from cosmogan_jax.flags import (
    evaluate,
    export,
    generate,
    novelty,
    pack,
    prepare,
    report,
    run,
    select,
    simulate,
    train,
)
from cosmogan_jax.settings import Processes, RunSettings
from cosmogan_jax.settings.kinds import check_kind

_MODULES = {
    "simulate": simulate,
    "prepare": prepare,
    "train": train,
    "select": select,
    "generate": generate,
    "evaluate": evaluate,
    "novelty": novelty,
    "export": export,
    "pack": pack,
    "report": report,
}
_GIVEN_MAPS = (
    "maps", "development_maps", "validation_maps", "auxiliary_maps", "generated", "reference", "auxiliary",
    "mask",
)  # fmt: skip
_GIVEN_NAMES = (
    "workdir",
    "lens_planes",
    "boxes_dir",
    "hdf5_dataset",
    "fits_extension",
    "map_parameters",
    "parameters_from_name",
    "pretrained",
    "export_from",
)


def define() -> None:
    """Define all flags of the project; once, before parsing."""
    run.define(tuple(_MODULES))
    for module in _MODULES.values():
        module.define()
    for flag in _own():
        flags.values().register_key_flag_for_module(sys.argv[0], flag)  # so that --help lists them


def read() -> RunSettings:
    """The parsed flags as settings.

    Raises:
      ValueError: maps or a name that are given and yet none, as by an empty variable of a shell; a number
        that is not finite, or larger than any count can be.
    """
    values = flags.values()
    for flag in _own():
        _check_number(flag.name, flag.value)
    for name in _GIVEN_NAMES:
        if values[name].present and not str(values[name].value).strip():
            raise ValueError(f"{name}= names nothing; leave the flag away, or name something")
    for name in _GIVEN_MAPS:
        if values[name].present and not values[name].value:
            raise ValueError(f"{name}= names nothing; leave the flag away, or name files, folders or globs")
    own = check_kind(values.emulator)
    _take_defaults(own, values)
    by_stage = {}
    for stage, module in _MODULES.items():
        more = {}
        if stage == "train":
            more["of_kind"] = _settings(own, {})
        by_stage[stage] = _settings(module.SETTINGS, more)
    processes: dict[str, Any] = {
        field.name: values[field.name].value for field in dataclasses.fields(Processes)
    }
    return RunSettings(
        Path(values.workdir).expanduser(),
        tuple(values.stages),
        values["stages"].present > 0,
        by_stage,
        dry_run=values.dry_run,
        verbosity_given="verbosity" in values and values["verbosity"].present > 0,
        require=values.require,
        compilation_cache_dir=values.compilation_cache_dir,
        processes=Processes(**processes),
        defaults={flag.name: _as_json(flag.default) for flag in _own()},
    )


def _take_defaults(own: Any, values: Any) -> None:
    """Give flags that are not said what their kind of emulator takes, or what the training began with."""
    begun, kept = None, getattr(own, "KEPT", ())
    if kept and str(values.workdir).strip():
        from cosmogan_jax.runs import directory as run_directory  # here: --help reads no directory

        begun = run_directory.begun_with(Path(values.workdir).expanduser(), "train")
    for name, value in getattr(own, "DEFAULTS", {}).items():
        if values[name].present:
            continue
        # A training that does not know the flag was made as its default says.
        values[name].value = (
            value if begun is None or name not in kept else begun.get(name, values[name].default)
        )


def given(flagfile: str | Path | None, settings: dict[str, Any]) -> tuple[RunSettings, list[str], str]:
    """What a flag file and settings by the names of flags say: as settings, as a command line, as a flag file.

    The same parsing and checks as the command line's. Other flags of the process are not looked at.

    Raises:
      ValueError: as `read`; a flag that is not known, a value that it does not take.
    """
    with flags.apart() as values:
        define()
        command = [] if flagfile is None else [f"--flagfile={Path(flagfile).expanduser()}"]
        try:
            for name, value in settings.items():
                if value is None:
                    # A command line cannot say this: the flag keeps its default, which must be to be unset.
                    if name not in values or values[name].default is not None:
                        raise ValueError(f"{name}=None: leave it away, or give a value")
                else:
                    command.append(f"--{name}={_as_word(name, value)}")
            left = values(["cosmogan_jax.run", *command])[1:]
        except flags.Error as error:
            raise ValueError(str(error).removeprefix("ERROR:: ")) from error
        if left:
            raise ValueError(f"unexpected argument {left[0]!r} in {flagfile}")
        return read(), command, as_text()


def _as_word(name: str, value: Any) -> str:
    """A value as it stands behind the = of a flag."""
    if isinstance(value, (list, tuple)):
        row = io.StringIO()
        # As absl reads lists: what holds a comma stands in quotes.
        csv.writer(row, lineterminator="").writerow([_as_word(name, one) for one in value])
        return row.getvalue()
    if isinstance(value, (str, os.PathLike, numbers.Real, np.bool_)):
        return str(value)
    raise ValueError(f"{name}={value!r:.60} must be a number, a word, a path, or a list of such")


def _settings(kind: type, more: dict[str, Any]) -> Any:
    """Settings of a class from the flags of its fields' names."""
    names = [field.name for field in dataclasses.fields(kind) if field.name not in more]
    fields = {name: flags.values()[name].value for name in names}
    return kind(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}, **more
    )


def _as_json(value: Any) -> Any:
    """A value as JSON would give it back."""
    return list(value) if isinstance(value, tuple) else value


def debug() -> bool:
    """Whether errors are to be shown with their traceback."""
    return flags.values().debug


def as_text() -> str:
    """The project's own flags (not absl's) as the text of a flag file; those left unset are left out.

    An empty list is left out too, but where it takes the place of a kind of emulator's own default.
    """
    emptied = getattr(check_kind(flags.values().emulator), "DEFAULTS", {})
    lines = [
        flag.serialize()
        for flag in _own()
        if flag.value is not None
        and flag.name not in run.PASSING
        and (flag.value != [] or flag.name in emptied)
    ]
    return "\n".join(sorted(filter(None, lines))) + "\n"


def _check_number(name: str, value: Any) -> None:
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f"{name}={number} must be a finite number")
        if isinstance(number, int) and abs(number) >= 2**63:
            raise ValueError(f"{name}={number} must be smaller than 2**63")


def _own() -> list[flags.Flag]:
    by_module = flags.values().flags_by_module_dict()
    return [
        flag for module, found in by_module.items() if module.startswith("cosmogan_jax.flags") for flag in found
    ]
