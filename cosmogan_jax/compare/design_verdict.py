"""The verdict on maps of several cosmologies, each judged by itself: its record, its table and its words."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

from cosmogan_jax.compare.cosmologies import in_words
from cosmogan_jax.compare.effects.key_numbers import KeyNumber
from cosmogan_jax.compare.effects.ratios import GOAL, RatioToFiducial


@dataclasses.dataclass(frozen=True)
class AucAtPoint:
    """AUC of generated against validation maps of one cosmology, and of real maps against the same.

    Attributes:
      generated, control: areas, and their standard errors.
      excess, lower, upper, margin: as `compare/discrimination/areas.py` defines them.
      outcome: with a fail at 95 % for all cosmologies together.
    """

    generated: float
    generated_error: float
    control: float
    control_error: float
    excess: float
    lower: float
    upper: float
    margin: float
    outcome: str


@dataclasses.dataclass(frozen=True)
class JudgedCosmology:
    """One cosmology, judged by its own maps alone.

    Attributes:
      number: among those that are judged, in rising order of the parameters.
      parameters: in which the maps differ, by name.
      maps, units: of each set; units count as independent.
      verdicts: as those of a view in results.json (`stages/evaluate/judgement.py`).
      key_numbers: how far the maps are off in a few numbers (`compare/effects/key_numbers.py`).
      ratio: of the power to that at the fiducial cosmology; None of that itself, and of too few seeds.
      auc: None where no classifier was trained.
      overall: outcome, in words, what agrees, fails and is open, as results.json's own.
    """

    number: int
    parameters: dict[str, float]
    maps: dict[str, int]
    units: dict[str, int]
    verdicts: dict[str, Any]
    key_numbers: tuple[KeyNumber, ...]
    ratio: RatioToFiducial | None = None
    auc: AucAtPoint | None = None
    overall: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return the record of what `dataclasses.asdict` gave."""
        ratio, auc = content["ratio"], content["auc"]
        return cls(
            **{
                **content,
                "key_numbers": tuple(map(KeyNumber.from_json, content["key_numbers"])),
                "ratio": None if ratio is None else RatioToFiducial.from_json(ratio),
                "auc": None if auc is None else AucAtPoint(**auc),
            }
        )

    @property
    def title(self) -> str:
        """Return number and parameters, as a reader is told them."""
        return f"cosmology {self.number} ({in_words(self.parameters)})"

    @property
    def outcome(self) -> str:
        """Return pass, incomplete or fail."""
        return self.overall["outcome"]

    @property
    def largest(self) -> tuple[float, str] | None:
        """Return the largest key number in units of its margin, and what it is of; None where none is known.

        The classifier's excess is one of them.
        """
        known = [(n.in_margins, n.title) for n in self.key_numbers if n.in_margins is not None]
        if self.auc is not None:
            known.append((max(self.auc.excess, 0.0) / self.auc.margin, "classifier"))
        return max(known, default=None)


@dataclasses.dataclass(frozen=True)
class JudgedDesign:
    """All cosmologies that were judged.

    Attributes:
      names: of the parameters.
      fiducial: number of the cosmology that ratios are to: the judged one nearest to the middle of the ranges.
      bands: of the ratios.
      training: cosmologies of the generator's training maps, a row of parameters each; empty if not known.
      matched: by set, whether its maps of all cosmologies are of the same seeds.
      cosmologies: in rising order of the parameters.
    """

    names: tuple[str, ...]
    fiducial: int
    bands: tuple[str, ...]
    training: tuple[tuple[float, ...], ...]
    matched: dict[str, bool]
    cosmologies: tuple[JudgedCosmology, ...]

    @classmethod
    def from_json(cls, content: dict[str, Any], where: str = "cosmologies") -> Self:
        """Return the record; ValueError names where it stands and what is wrong."""
        try:
            return cls(
                tuple(content["names"]),
                content["fiducial"],
                tuple(content["bands"]),
                tuple(tuple(point) for point in content["training"]),
                content["matched"],
                tuple(map(JudgedCosmology.from_json, content["cosmologies"])),
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{where}: {error}; damaged, or written by another version") from error

    @property
    def outcomes(self) -> dict[str, int]:
        """Return how many cosmologies have each outcome."""
        every = [one.outcome for one in self.cosmologies]
        return {outcome: every.count(outcome) for outcome in ("pass", "incomplete", "fail")}


def table(design: JudgedDesign) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and a row for each cosmology: parameters, key numbers with upper limits, AUC, ratio, outcome.

    Numbers are in the units of the head, relative ones in per cent.
    """
    titles = list(dict.fromkeys(n.title for one in design.cosmologies for n in one.key_numbers))
    units = {n.title: n.shown_unit for one in design.cosmologies for n in one.key_numbers}
    head = (
        "no.", *design.names, *(f"{title} [{units[title]}]" for title in titles), "AUC (real)",
        "ratio, worst [%]", "largest / margin", "outcome",
    )  # fmt: skip
    rows = []
    for one in design.cosmologies:
        numbers = {n.title: n for n in one.key_numbers}
        fiducial = "fiducial" if one.number == design.fiducial else ""
        rows.append((
            str(one.number),
            *(f"{one.parameters[name]:.4g}" for name in design.names),
            *(numbers[title].told() if title in numbers else "" for title in titles),
            "" if one.auc is None else f"{one.auc.generated:.2f} ({one.auc.control:.2f})",
            fiducial if one.ratio is None else _difference(one.ratio, one.ratio.worst),
            _largest(one),
            one.outcome,
        ))  # fmt: skip
    return head, rows


def short_table(design: JudgedDesign) -> list[str]:
    """Return a few columns of the table in lines, for a terminal."""
    head, rows = table(design)
    kept = [0, *range(1, 1 + len(design.names))]
    kept += [n for n, name in enumerate(head) if name.startswith(("mean power", "sd of", "AUC"))]
    kept += range(len(head) - 3, len(head))
    lines = [[line[column] for column in kept] for line in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]


def words(design: JudgedDesign) -> list[str]:
    """Say what was judged and how to read the table, a paragraph each."""
    count, outcomes = len(design.cosmologies), design.outcomes
    told = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items() if number)
    lines = [
        f"{count} cosmologies, each judged by its own maps as all maps are: {told}. A fail is shown at 95 % "
        "for all of them, and all maps together, as one; a pass needs every one to pass. "
        + (
            "Validation maps are of the same seeds at every cosmology: all together, the seed counts as one."
            if design.matched["validation"]
            else "Validation maps of different cosmologies share no seeds."
        ),
        "Numbers are root mean squares over a statistic's bands of the difference from validation maps, beyond "
        "what real maps show among themselves and free of noise in the mean, in brackets their 95 % upper "
        "limits; blank where too few maps tell; σ: scatter of one map. Largest / margin: the largest of them, "
        "and of the AUC's excess, in units of its margin.",
    ]
    return lines


def ratio_words(design: JudgedDesign) -> str:
    """Say what ratios are to, whose seeds are matched, and how many are within the goal."""
    known = [one.ratio for one in design.cosmologies if one.ratio is not None]
    within = sum(one.within_goal for one in known)
    fiducial = design.cosmologies[design.fiducial].title
    seeds = {
        (True, True): "generated and real maps each of the same seeds",
        (False, True): "real maps of the same seeds, generated ones not",
        (True, False): "generated maps of the same seeds, real ones not",
        (False, False): "neither of the same seeds",
    }[design.matched["generated"], design.matched["validation"]]
    return (
        f"Mean power over that at {fiducial}, of the emulator against the simulations', {seeds}; "
        f"{within} of {len(known)} are within {100 * GOAL:.0f} % in every band by their estimates. What is "
        "wrong at the fiducial is in all of them. They are told, and not part of the outcome."
    )


def ratio_table(design: JudgedDesign) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and a row for each cosmology of emulator's over simulations' ratio less 1, by band, in %."""
    rows = [
        (
            str(one.number),
            *(_difference(one.ratio, band) for band in range(len(design.bands))),
        )
        for one in design.cosmologies
        if one.ratio is not None
    ]
    return ("no.", *design.bands), rows


def _largest(one: JudgedCosmology) -> str:
    if one.largest is None:
        return ""
    value, title = one.largest
    return f"{value:.1f}" + (f", {title}" if value >= 0.05 else "")


def _difference(ratio: RatioToFiducial, band: int) -> str:
    value, error = ratio.difference[band], ratio.difference_error[band]
    return "" if value is None or error is None else f"{100 * value:+.1f} ± {100 * error:.1f}"


def outcome_names(cosmologies: Sequence[JudgedCosmology], outcome: str, most: int = 3) -> str:
    """Return the cosmologies of one outcome as a finding's name: how many, and the first of them."""
    theirs = [one for one in cosmologies if one.outcome == outcome]
    listed = "; ".join(in_words(one.parameters) for one in theirs[:most])
    more = " and more" if len(theirs) > most else ""
    return f"{len(theirs)} of {len(cosmologies)} cosmologies by themselves ({listed}{more})"
