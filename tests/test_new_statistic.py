"""A statistic and an effect are added by the steps of BUILD.md's "Where to add", and reach all that follows."""

import numpy as np
import pytest
from conftest import quickly_compiled

from cosmogan_jax.compare import judge_maps
from cosmogan_jax.compare.effects import differences as effects
from cosmogan_jax.compare.effects import verdict
from cosmogan_jax.compare.effects.quantities import MapSet, Quantity
from cosmogan_jax.compare.statistics import STATISTICS, Statistic, trained_on_by
from cosmogan_jax.figures import verdict as page
from cosmogan_jax.settings import margins
from cosmogan_jax.settings.margins import EffectRow

SETTINGS = {
    "classifier_steps": 0, "observer_smoothing_arcmin": [], "num_permutations": 9, "num_resamples": 50,
    "evaluate_l_bins": 4,
}  # fmt: skip


def mean_size(kappa):
    """Return the mean of |kappa| over a map: what would be a module of summaries/."""
    return abs(kappa).mean((-2, -1))


def test_a_statistic_is_its_function_and_its_row(monkeypatch):
    row = Statistic(
        "mean_size", "mean size of the pixels", lambda m: mean_size(m.kappa)[..., None],
        lambda scales: ["|kappa|"], matched_by=("pdf",), required=True,
    )  # fmt: skip
    monkeypatch.setitem(STATISTICS, row.name, row)
    rng = np.random.default_rng(0)
    sets = {name: rng.normal(0.01, 0.02, (14, 16, 16)) for name in ("generated", "validation", "auxiliary")}
    with quickly_compiled():
        judged = judge_maps(**sets, side_deg=0.5, source_redshift=1.0, **SETTINGS)
    results = judged.results
    assert results["statistics"][row.name] == {"title": row.title, "mean_unit": "scatter", "trained_on": False}
    view = results["views"]["as it is"]
    assert view["tests"][row.name]["generated"]["modes"] == 1
    names = [effect["name"] for effect in view["verdicts"]["judged"] if effect["quantity"] == row.name]
    assert names == ["mean", "scatter"]
    told = results["overall"]["agrees"] + [finding["name"] for finding in results["overall"]["open"]]
    assert {f"{row.title}: {name}" for name in names} <= set(told)
    table = page.section(results).tables[0]
    assert [line[1] for line in table.rows if line[0] == row.title] == names
    assert row.name in trained_on_by(["pdf"])


def test_a_row_that_does_not_say_what_trains_on_it_is_refused():
    with pytest.raises(TypeError, match="matched_by"):
        Statistic("new", "new", lambda m: m.kappa.mean((-2, -1))[..., None], lambda scales: ["mean"])


def test_an_effect_is_its_function_and_its_row(monkeypatch):
    """Its margin is that of the classifier here: fields of Margins cannot be added while a program runs."""
    row = EffectRow("auc", "shift", "difference of means", "bands", "number", 0.3, 0.1)
    monkeypatch.setattr(margins, "EFFECTS", (*margins.EFFECTS, row))
    rng = np.random.default_rng(1)
    bands = ("first", "second")
    sets = [MapSet({"new": 1 + 0.1 * rng.normal(size=(60, 2))}, np.arange(60)) for _ in range(3)]

    def judge():
        return verdict.judge(*sets, [Quantity("new", bands)], seed=0, num_resamples=20)

    with pytest.raises(ValueError, match="margin 'auc' has no function in FUNCTIONS"):
        judge()
    monkeypatch.setitem(effects.FUNCTIONS, "auc", effects.mean_shifts)
    judged = judge()
    assert [effect.name for effect in judged] == ["mean", "scatter", "shift"]
    assert judged[-1].margin == margins.SETS["default"].auc
    assert page._number(0.123, margins.effect_named("shift", "mean").unit) == "0.12"


def test_every_effect_has_a_margin_a_function_and_a_name():
    assert margins.Margins._fields == tuple(row.margin for row in margins.EFFECTS)
    assert set(effects.FUNCTIONS) == {row.margin for row in margins.EFFECTS if row.basis != "maps"}
    with pytest.raises(ValueError, match="effect 'median' is not in the table of effects"):
        margins.effect_named("median", "mean")
    with pytest.raises(ValueError, match="mean_unit='variance' must be mean or scatter"):
        list(margins.effects_of("variance", covariance=False))
