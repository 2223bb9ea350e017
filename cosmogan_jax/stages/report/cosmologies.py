"""Sections of the report on maps of several cosmologies: all at one look, ratios, and each by itself."""

from collections.abc import Iterator, Sequence
from typing import Any

from cosmogan_jax.compare import design_verdict
from cosmogan_jax.compare.design_verdict import JudgedCosmology, JudgedDesign
from cosmogan_jax.compare.effects.ratios import GOAL, RatioToFiducial
from cosmogan_jax.figures import design as figures
from cosmogan_jax.figures import verdict
from cosmogan_jax.figures.page import Section, Table


def overview(design: JudgedDesign, tables: dict[str, Any]) -> Iterator[Section]:
    """Give the plane of the parameters with the key table, and the ratios to the fiducial."""
    points = [
        figures.Point(
            one.number,
            tuple(one.parameters[name] for name in design.names),
            one.outcome,
            None if one.largest is None else one.largest[0],
        )
        for one in design.cosmologies
    ]
    head, rows = design_verdict.table(design)
    marks = verdict.marks([{"outcome": one.outcome} for one in design.cosmologies])
    links = tuple(f"#{_anchor(one)}" for one in design.cosmologies)
    yield Section(
        "Every cosmology by itself",
        tuple(design_verdict.words(design)),
        figures.draw_plane(design.names, design.training, points, design.fiducial),
        (Table(head, rows, marks, links),),
    )
    ratios = [_bands(one.number, one.ratio) for one in design.cosmologies if one.ratio is not None]
    if ratios:
        head, rows = design_verdict.ratio_table(design)
        text = (
            design_verdict.ratio_words(design),
            "Left: lines are the simulations', dots the emulator's. Right, and below in per cent: how far they "
            f"are apart, ± standard errors over seeds, and the goal of {100 * GOAL:.0f} %.",
        )
        figure = figures.draw_ratios(tables["l_edges"], ratios, GOAL)
        yield Section("Ratios of power to the fiducial cosmology", text, figure, (Table(head, rows),))


def each(design: JudgedDesign, tables: dict[str, Any], titles: dict[str, Any]) -> Iterator[Section]:
    """Give a section of each cosmology: its figures, and its verdict on every effect, folded."""
    for one, entry in zip(design.cosmologies, tables["cosmologies"], strict=True):
        ratio = None if one.ratio is None else _bands(one.number, one.ratio)
        judged = verdict.as_seen("", {"verdicts": one.verdicts}, titles)
        folded = tuple(table._replace(summary="every effect") for table in judged.tables)
        yield Section(
            one.title[0].upper() + one.title[1:],
            tuple(_words(one)) + judged.text,
            figures.draw_cosmology(tables, entry, ratio),
            folded,
            anchor=_anchor(one),
        )


def _words(one: JudgedCosmology) -> Sequence[str]:
    sets = ", ".join(f"{maps} {name} maps of {one.units[name]} units" for name, maps in one.maps.items())
    return (f"Outcome: {one.overall['said']}.", f"{sets[0].upper()}{sets[1:]}.")


def _anchor(one: JudgedCosmology) -> str:
    return f"cosmology-{one.number}"


def _bands(number: int, ratio: RatioToFiducial) -> figures.RatioBands:
    return figures.RatioBands(
        number, ratio.generated, ratio.simulated, ratio.difference, ratio.difference_error
    )
