"""The one table of stages, in the order that they run in, and what a command line says to all of them.

A stage's module, `cosmogan_jax.stages.<name>`, has `run(settings, workdir, out)`, which fills the directory
`out` and returns what stage.json says of the result. It may have

    check(settings)                           refuse settings before any stage begins (`has_check`)
    dry_run(settings, workdir)                show what can be seen without working
    has_grown(settings, summary, workdir)     tell whether a whole stage is to go on
    result_mark(out)                          return a checksum of the result, the same for the same result

No JAX is imported here: --help lists the stages.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from cosmogan_jax import settings as declared
from cosmogan_jax.settings.declaration import setting

AllSettings = dict[str, Any]  # the settings of every stage, by its name


class Stage(NamedTuple):
    """What is known of a stage without importing its module.

    Attributes:
      name: of the stage, of its module, and of its directory in a run.
      settings: the dataclass of its settings.
      reads: earlier stages whose directories it reads where they are there.
      must_read: those of them that must be whole before it can run, as the settings say; None: all.
      idle: why the settings leave it nothing to do; "" where they leave something.
      needs_jax: whether it computes by JAX.
      resumable: whether it goes on from what an interrupted run left. A training is never thrown away for other
        flags; parts of a simulation, an evaluation or a search are: they hold for the very settings and maps
        they were made of.
      has_check: whether its module has a `check`.
    """

    name: str
    settings: type
    reads: tuple[str, ...] = ()
    must_read: Callable[[AllSettings], tuple[str, ...]] | None = None
    idle: Callable[[AllSettings], str] = lambda settings: ""
    needs_jax: bool = True
    resumable: bool = False
    has_check: bool = False

    def needed(self, settings: AllSettings) -> tuple[str, ...]:
        """Return the stages that must be whole before this one can run."""
        return self.reads if self.must_read is None else self.must_read(settings)


def _for_generate(settings: AllSettings) -> tuple[str, ...]:
    if settings["generate"].pretrained:
        return ()
    # A checkpoint given by number, or the last one, needs no selection.
    selected = settings["generate"].checkpoint == "selected"
    return ("prepare", "train", "select") if selected else ("prepare", "train")


def _for_evaluate(settings: AllSettings) -> tuple[str, ...]:
    real = () if settings["evaluate"].reference else ("prepare",)
    return real if settings["evaluate"].generated else (*real, "generate")


def _for_novelty(settings: AllSettings) -> tuple[str, ...]:
    if settings["novelty"].generated:
        return ("prepare",)
    if settings["generate"].pretrained:  # comes without its discriminator
        return ("prepare", "generate")
    return ("prepare", "train", "generate")


def _for_pack(settings: AllSettings) -> tuple[str, ...]:
    if settings["generate"].pretrained:  # again, with another verdict
        return ("generate", "evaluate")
    return ("prepare", "train", "generate", "evaluate")


def in_order(*stages: Stage) -> dict[str, Stage]:
    """Return the table of stages by name.

    Raises:
      ValueError: a stage reads what is no earlier stage.
    """
    table: dict[str, Stage] = {}
    for stage in stages:
        for name in stage.reads:
            if name not in table:
                raise ValueError(f"stage {stage.name!r} reads {name!r}, no earlier stage: {', '.join(table)}")
        table[stage.name] = stage
    return table


STAGES = in_order(
    Stage(
        "simulate",
        declared.Simulate,
        idle=lambda settings: "--maps gives the maps" if settings["prepare"].maps else "",
        resumable=True,
        has_check=True,
    ),
    Stage(
        "prepare",
        declared.Prepare,
        reads=("simulate",),
        must_read=lambda settings: () if settings["prepare"].maps else ("simulate",),
        needs_jax=False,
        has_check=True,
    ),
    Stage("train", declared.Train, reads=("prepare",), resumable=True, has_check=True),
    Stage("select", declared.Select, reads=("prepare", "train"), has_check=True),
    Stage(
        "generate",
        declared.Generate,
        reads=("prepare", "train", "select"),
        must_read=_for_generate,
        has_check=True,
    ),
    Stage(
        "evaluate",
        declared.Evaluate,
        reads=("prepare", "generate"),
        must_read=_for_evaluate,
        resumable=True,
    ),
    Stage(
        "novelty",
        declared.Novelty,
        reads=("prepare", "train", "generate"),
        must_read=_for_novelty,
        idle=lambda settings: "" if settings["novelty"].novelty_maps else "--novelty_maps=0",
        resumable=True,
    ),
    Stage(
        "export",
        declared.Export,
        # evaluate says in which range the maps were validated, where that is known.
        reads=("generate", "evaluate"),
        must_read=lambda settings: () if settings["export"].export_from else ("generate",),
        idle=lambda settings: "" if settings["export"].export else "--export names no format",
        needs_jax=False,
    ),
    Stage(
        "pack",
        declared.Pack,
        reads=("prepare", "train", "generate", "evaluate"),
        must_read=_for_pack,
        idle=lambda settings: "" if settings["pack"].pack else "--pack names none",
        has_check=True,
    ),
    Stage(
        "report",
        declared.Report,
        reads=("train", "select", "evaluate", "novelty"),
        must_read=lambda settings: ("evaluate",),  # training and selection are shown where there are any
        needs_jax=False,
    ),
)


def _are_stages(names: list[str]) -> bool:
    for name in names:
        if name not in STAGES:
            raise ValueError(f"unknown stage {name!r}; there are {','.join(STAGES)}")
    if not names:
        raise ValueError("names no stage")
    return True


@dataclasses.dataclass(frozen=True)
class RunSettings(declared.Run):
    """Everything that a command line says.

    Attributes:
      by_stage: the settings of every stage.
      defaults: by name what a setting is where nothing is said: what a run meant that was recorded before
        there was the setting.
    """

    stages: tuple[str, ...] = setting(
        tuple(STAGES),
        f"Stages to run, any of {','.join(STAGES)}; always in this order.",
        valid=_are_stages,
    )
    stages_given: bool = False
    verbosity_given: bool = False
    processes: declared.Processes = dataclasses.field(default_factory=declared.Processes)
    by_stage: AllSettings = dataclasses.field(default_factory=dict)
    defaults: dict[str, Any] = dataclasses.field(default_factory=dict)
