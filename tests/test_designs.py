"""What a design is expected to resolve, and how a dry run tells it."""

import pytest

from cosmogan_jax.compare.effects.designs import KINDS, expected, forecast
from cosmogan_jax.settings.margins import SETS, Margins
from cosmogan_jax.stages import planning

# Limits that equal sets stay below in nine of ten of six simulated verdicts (experiments/018-designs).
MEASURED = {
    (40, 25): (0.089, 0.140, 0.054, 0.205, 0.233, 0.185),
    (100, 50): (0.042, 0.069, 0.025, 0.092, 0.137, 0.101),
    (1000, 1): (0.080, 0.137, 0.053, 0.170, 0.120, 0.145),
    (4000, 1): (0.045, 0.080, 0.029, 0.087, 0.069, 0.069),
}


@pytest.mark.parametrize("design", MEASURED)
def test_expected_limits_are_those_of_simulated_verdicts(design):
    for of, reach in zip(expected(*design, SETS["default"]), MEASURED[design], strict=True):
        # Six trials know a quantile to a tenth; the worst of a kind stands for all.
        assert of.reach == pytest.approx(reach, rel=0.25), of.title


def test_every_kind_names_a_margin_and_more_units_resolve_more():
    assert {kind.margin for kind in KINDS} <= set(Margins._fields)
    few, many = (expected(units, 50, SETS["default"]) for units in (10, 1000))
    assert all(one.reach == pytest.approx(10 * other.reach) for one, other in zip(few, many))
    assert not any(one.resolvable for one in few)
    assert all(one.resolvable for one in many)
    with pytest.raises(ValueError, match="units=0 and crops=3 must be at least 1"):
        expected(0, 3, SETS["default"])


def test_a_design_is_told_in_words():
    lines = forecast(1000, 50, "boxes", SETS["default"], "default")
    assert lines == [
        "a verdict on 1000 boxes of 50 maps in the smallest real set, margins default: expected to resolve all "
        "effects of what a pass needs"
    ]
    lines = forecast(40, 25, "boxes", SETS["default"], "default")
    assert lines[0].endswith("expected to end incomplete")
    # (0.022 + 7.2/25)/40 is 0.088 squared, and 0.05 the margin.
    assert "means of the power: within 0.088 where the margin is 0.05; needs about 124 boxes" in lines[1]


def test_a_dry_run_counts_boxes_where_they_are_known(capsys):
    boxes = [(n // 8, 5) for n in range(40)]
    planning.tell("prepare", {"validation": boxes, "auxiliary": boxes[:32]})
    assert capsys.readouterr().out == (
        "prepare: no verdict from 4 boxes in the smallest real set, of which there must be 5; the outcome will "
        "be incomplete at best\n"
    )
    # Half of the maps against the other half where there are no others; crops count for each map.
    planning.tell("prepare", {"validation": [(None, 5)] * 4000, "auxiliary": []})
    assert "prepare: a verdict on 2000 maps of 5 maps in the smallest" in capsys.readouterr().out
    planning.tell("prepare", {"validation": []})
    assert capsys.readouterr().out == ""
