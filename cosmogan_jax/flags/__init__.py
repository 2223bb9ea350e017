"""Flags of the command line, one module a stage; only here is absl.flags imported."""

import dataclasses
from pathlib import Path

from absl import flags

from cosmogan_jax.flags import evaluate, export, generate, prepare, report, run, select, simulate, train
from cosmogan_jax.stages.settings import Processes, RunSettings

_MODULES = {
    "simulate": simulate,
    "prepare": prepare,
    "train": train,
    "select": select,
    "generate": generate,
    "evaluate": evaluate,
    "export": export,
    "report": report,
}


def define() -> None:
    """Define all flags of the project; once, before parsing."""
    run.define(tuple(_MODULES))
    for module in _MODULES.values():
        module.define()


def read() -> RunSettings:
    """The parsed flags as settings."""
    values = flags.FLAGS
    by_stage = {}
    for stage, module in _MODULES.items():
        fields = {field.name: values[field.name].value for field in dataclasses.fields(module.SETTINGS)}
        by_stage[stage] = module.SETTINGS(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        )
    return RunSettings(
        Path(values.workdir),
        tuple(values.stages),
        by_stage,
        dry_run=values.dry_run,
        debug=values.debug,
        verbosity_given=values["verbosity"].present > 0,
        processes=Processes(
            **{field.name: values[field.name].value for field in dataclasses.fields(Processes)}
        ),
    )


def as_text() -> str:
    """The project's own flags (not absl's) as the text of a flag file; those left unset are left out."""
    own = flags.FLAGS.flags_by_module_dict()
    lines = [
        flag.serialize()
        for module, found in own.items()
        if module.startswith("cosmogan_jax.flags")
        for flag in found
        if flag.value is not None and flag.name not in run.PASSING
    ]
    return "\n".join(sorted(filter(None, lines))) + "\n"
