"""Which metrics of a training are drawn, and how; no JAX, for the report reads them again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cosmogan_jax.files.json_files import check_object, read_object, write_json


class Curve(NamedTuple):
    """One metric.

    Attributes:
      name: of the metric, as the step gives it.
      label: in the legend.
      averaged: whether a line of metrics holds its mean over all steps since the line before, as `mean_<name>`.
      on_bar: under which letters it stands behind the bar of progress; empty: not there.
    """

    name: str
    label: str
    averaged: bool = False
    on_bar: str = ""


class Panel(NamedTuple):
    """Curves on one pair of axes; scale is "linear" or "log" of the upright one."""

    title: str
    unit: str
    scale: str
    curves: tuple[Curve, ...]

    def drawn(self) -> tuple[str, str, str, dict[str, str]]:
        """Return it as `figures/training.py` draws it, which knows no emulators."""
        return self.title, self.unit, self.scale, {curve.name: curve.label for curve in self.curves}


# What kinds that play a discriminator against a generator draw alike.
LOSSES = (Curve("disc_loss", "J(D)", averaged=True, on_bar="D"), Curve("gen_loss", "J(G)", True, "G"))
LOSSES_IN_NAT = Panel("Losses", "loss [nat]", "linear", LOSSES)
DISCRIMINATOR_RIGHT = Panel(
    "Discriminator right",
    "share of maps",
    "linear",
    (
        Curve("disc_accuracy_real", "on real maps", averaged=True),
        Curve("disc_accuracy_fake", "on generated maps", averaged=True),
    ),
)

MATCHED = Panel(
    "Matched statistics",
    "standard deviations of one map",
    "log",
    (
        Curve("match_rms", "rms of their means' deviations", averaged=True),
        Curve("match_worst", "largest", averaged=True),
    ),
)


def gradient_norms(matched: bool) -> Panel:
    """Return the norms of both networks' gradients; where something is matched, its gradient's share too."""
    share = (Curve("match_share", "matching / adversarial, before the cap"),) if matched else ()
    curves = (Curve("disc_grad_norm", "discriminator"), Curve("gen_grad_norm", "generator"), *share)
    return Panel("Gradient norms", "norm of the gradient", "log", curves)


def write_panels(path: Path, panels: Sequence[Panel], left_out: dict[str, str]) -> None:
    """Write the panels of a kind beside its metrics; left_out says of other panels why they are not drawn."""
    described = [{**p._asdict(), "curves": [c._asdict() for c in p.curves]} for p in panels]
    write_json(path, {"panels": described, "left_out": left_out})


def read_panels(path: Path) -> tuple[tuple[Panel, ...], dict[str, str]]:
    """Read what `write_panels` wrote.

    Raises:
      ValueError: a file that is damaged.
    """
    content = read_object(path, {"panels": list, "left_out": dict})
    panels = []
    for number, entry in enumerate(content["panels"]):
        where = f"{path}, panels[{number}]"
        check_object(entry, {"title": str, "unit": str, "scale": str, "curves": list}, where)
        panels.append(Panel(entry["title"], entry["unit"], entry["scale"], _curves(entry["curves"], where)))
    return tuple(panels), {str(name): str(why) for name, why in content["left_out"].items()}


def _curves(entries: list[Any], where: str) -> tuple[Curve, ...]:
    for entry in entries:
        check_object(entry, {"name": str, "label": str, "averaged": bool, "on_bar": str}, where)
    return tuple(Curve(e["name"], e["label"], e["averaged"], e["on_bar"]) for e in entries)
