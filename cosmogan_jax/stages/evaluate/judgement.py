"""What evaluate concludes from the statistics of all maps: a view's entry in `results.json`.

tests        by statistic; in each `generated` (generated against validation maps) and `baseline` (auxiliary
             against validation maps, or one half of the validation units against the other)
  maps, units      of the two sides: one map of every unit, and so as many
  modes, informative, effective_modes    all, those that vary, and how many of these say something of their own
  ks, anderson_darling
    p              of each mode, null where it does not vary: by permutation of whole units
    below_0.05     informative modes with p < 0.05
    family_wise_p  the smallest p over modes, corrected for their number (Westfall and Young)
    false_discovery_below_0.05   modes flagged at that rate (Benjamini and Hochberg); null with fewer than
                   --num_permutations=9999, which could flag no single mode
pixels       KS distance of the pooled pixels, and its p by permutation of whole units, never of pixels
heights      of the maps as they are, the paper-like protocol, tests of histogram heights: how many modes have
             p > 0.99 and > 0.95. It has next to no power: `after_shift` are the same counts with one side
             shifted by half a sigma
verdicts     effects with their limits, margins and outcomes, as `compare/effects/verdict.py` defines them
  judged     one entry for each effect of each statistic; excess distances and their limits are squares;
             within, real_within: the roots of the worst band's upper limit of the distance itself and of what
             real maps in their place would be expected to reach, and within_band, which band that is;
             required: no emulator passes without it; needs: in words, what would resolve it
  refused    why there are none
correlation, distances    `contrasts.py` says what is what; of the same two comparisons as tests
"""

from typing import Any

import numpy as np

from cosmogan_jax.compare.effects.key_numbers import KeyNumber, key_numbers
from cosmogan_jax.compare.effects.quantities import MapSet, Quantity
from cosmogan_jax.compare.effects.resamples import MIN_PARENTS
from cosmogan_jax.compare.effects.verdict import Judged, judge
from cosmogan_jax.compare.ensembles import effective_modes, lower_median
from cosmogan_jax.compare.parents import halves, numbered, one_of_each
from cosmogan_jax.compare.scales import Scales
from cosmogan_jax.compare.statistics import STATISTICS
from cosmogan_jax.compare.two_sample.family_wise import benjamini_hochberg, permutations_for_fdr
from cosmogan_jax.compare.two_sample.histogram_heights import height_tests
from cosmogan_jax.compare.two_sample.mode_tests import permutation_tests
from cosmogan_jax.compare.two_sample.pixel_tests import permutation_pixel_test
from cosmogan_jax.files.json_files import as_json
from cosmogan_jax.machine.progress import progress
from cosmogan_jax.settings import Evaluate
from cosmogan_jax.settings.margins import parse
from cosmogan_jax.stages.evaluate import contrasts
from cosmogan_jax.stages.evaluate.summarising import Summaries

SCHEMA = 3
# A band that is the same in all but a few units (tall peaks, empty thresholds) is constant in some resample.
_FEWEST_VARYING = 24
# Correlations and distances, whose limits are not Student's, are told of so many units.
_FEWEST_RESAMPLED = 10
# Fewer units can be shared out in fewer ways than there are permutations by default: 7 and 7 in 3432.
FEWEST_UNITS = 7
_HEIGHT_RESAMPLES = 100
_SEED = 0


class Judge:
    """Judges views of the same maps: the same units, and the same one map of each, in all of them."""

    def __init__(
        self,
        units: dict[str, np.ndarray],
        settings: Evaluate,
        scales: Scales,
        no_verdict: str | None = None,
        selected: bool = True,
        together: int = 1,
    ):
        """Keep what all views share.

        Args:
          no_verdict: why effects are given with their limits, but none is called passed or failed.
          selected: whether the generator was chosen among others by its scores.
          together: how many verdicts are given as one, as `compare/effects/verdict.py` has it.
        """
        self._selected, self._together = selected, together
        self._no_verdict = no_verdict
        self._units, self._count, self._scales = units, settings.num_permutations, scales
        self._margins = parse(settings.margins)
        self._num_resamples = settings.num_resamples
        self._one = {name: one_of_each(labels, _SEED) for name, labels in units.items()}

    def judge(self, each: dict[str, Summaries], *, heights: bool) -> dict[str, Any]:
        """Return a view's entry, from the statistics of every map by set; heights: the paper's protocol too."""
        pairs = self._sides(each)
        verdicts = self.verdicts(each)
        apart = {
            "correlation": self._apart(contrasts.correlation, pairs),
            "distances": self._apart(contrasts.distances, pairs),
        }
        if not self._count:
            return {"verdicts": verdicts, **apart, "tests": None, "pixels": None, "heights": None}
        tested = [row for row in STATISTICS.values() if row.tested and row.name in each["validation"]]
        return {
            "verdicts": verdicts,
            **apart,
            "tests": {
                row.name: {
                    "used_by_selection": row.selected_by and self._selected,
                    **{name: self._test(row.name, *sides) for name, sides in pairs.items()},
                }
                for row in progress(tested, desc="evaluate tests", unit="statistic")
            },
            "pixels": {name: self._pixels(*sides) for name, sides in pairs.items()},
            "heights": {
                row.name: {n: self._heights(row.name, *sides) for n, sides in pairs.items()}
                for row in tested
                if row.heights
            }
            if heights
            else None,
        }

    def verdicts(self, each: dict[str, Summaries]) -> dict[str, Any]:
        """Return the verdict's part of a view's entry."""
        if refused := self._too_few(each):
            return {"refused": refused, "judged": []}
        quantities, sets = self._quantities(each)
        try:
            judged = judge(
                sets["generated"],
                sets["validation"],
                sets.get("auxiliary"),
                quantities,
                margins=self._margins,
                seed=_SEED,
                num_resamples=self._num_resamples,
                together=self._together,
            )
        except ValueError as error:  # of so few maps that a statistic hardly varies, or a mean is not known
            return {"refused": str(error), "judged": []}
        entries = [effect_entry(effect, required=STATISTICS[effect.quantity].required) for effect in judged]
        if self._no_verdict:
            none = {"outcome": "no verdict", "outcomes": None, "margin": None, "needs": None}
            entries = [{**entry, **none} for entry in entries]
        return {"refused": self._no_verdict, "judged": entries}

    def key_numbers(self, each: dict[str, Summaries]) -> list[KeyNumber]:
        """Return `compare/effects/key_numbers.py`'s; none of too few units or maps."""
        if self._too_few(each):
            return []
        quantities, sets = self._quantities(each)
        resamples = self._num_resamples
        try:
            return key_numbers(sets, quantities, self._margins, seed=_SEED, num_resamples=resamples)
        except ValueError:  # `verdicts` says which
            return []

    def _too_few(self, each: dict[str, Summaries]) -> str | None:
        """Say which set has too few units; None where all have enough."""
        for name in each:
            count, enough = len(self._one[name]), MIN_PARENTS * _parts(name, each)
            if count < enough:
                return f"{count} independent units in the {name} set; effects need {enough}"
        return None

    def _quantities(self, each: dict[str, Summaries]) -> tuple[list[Quantity], dict[str, MapSet]]:
        """Return what is judged, in the bands that vary, and its values in every set."""
        quantities, kept = [], {}
        for key, row in STATISTICS.items():
            if not row.judged or key not in each["validation"]:
                continue
            varying = np.all(
                [_varying(values[key], self._units[name], _parts(name, each)) for name, values in each.items()],
                axis=0,
            )
            if not varying.any():
                continue
            kept[key] = varying
            labels = tuple(np.array(row.labels(self._scales))[varying].tolist())
            covariance, by_choice = row.covariance and len(labels) > 1, row.selected_by and self._selected
            quantities.append(Quantity(key, labels, row.mean_unit, covariance, by_choice))
        return quantities, {
            name: MapSet({key: values[key][:, modes] for key, modes in kept.items()}, self._units[name])
            for name, values in each.items()
        }

    def _apart(self, contrast, pairs: dict[str, tuple[Summaries, Summaries]]) -> dict[str, Any]:
        return {
            name: contrast(*sides, self._num_resamples)
            if min(len(side["V0"]) for side in sides) >= _FEWEST_RESAMPLED
            else None
            for name, sides in pairs.items()
        }

    def _sides(self, each: dict[str, Summaries]) -> dict[str, tuple[Summaries, Summaries]]:
        """Return the two sides of each comparison, one map of every unit."""
        one = {
            name: {key: value[self._one[name]] for key, value in values.items()}
            for name, values in each.items()
        }
        validation = one["validation"]
        if "auxiliary" in one:
            baseline = (one["auxiliary"], validation)
        else:
            parts = halves(self._one["validation"], seed=_SEED, draw=1)
            one_half, other = ({key: value[half] for key, value in validation.items()} for half in parts)
            baseline = (one_half, other)
        return {"generated": (one["generated"], validation), "baseline": baseline}

    def _test(self, key: str, one: Summaries, two: Summaries) -> dict[str, Any]:
        a, b = one[key].astype(np.float64), two[key].astype(np.float64)
        varies = np.ptp(np.concatenate([a, b]), axis=0) > 0
        entry: dict[str, Any] = {"maps": [len(a), len(b)], "modes": a.shape[1]}
        entry["informative"] = int(varies.sum())
        if min(len(a), len(b)) < FEWEST_UNITS:
            return entry | {"too_few": f"{min(len(a), len(b))} units on a side; tests need {FEWEST_UNITS}"}
        if not varies.any():
            return entry | {"too_few": "no mode varies"}
        tests = permutation_tests(
            a, b, np.arange(len(a)), np.arange(len(b)), seed=_SEED, num_permutations=self._count
        )
        entry["effective_modes"] = round(effective_modes(b), 2) if (np.ptp(b, axis=0) > 0).any() else None
        for name in ("ks", "anderson_darling"):
            test = getattr(tests, name)
            entry[name] = {
                "statistic": as_json(test.statistic),
                "p": as_json(test.p),
                "below_0.05": int((test.p[varies] < 0.05).sum()),
                "family_wise_p": float(np.nanmin(test.family_p)),
                "false_discovery_below_0.05": int((benjamini_hochberg(test.p, self._count) <= 0.05).sum())
                if self._count >= permutations_for_fdr(int(np.isfinite(test.p).sum()))
                else None,
            }
        return entry

    def _pixels(self, one: Summaries, two: Summaries) -> dict[str, Any] | None:
        a, b = one["fine_pixels"], two["fine_pixels"]
        if min(len(a), len(b)) < FEWEST_UNITS:
            return None
        test = permutation_pixel_test(
            a, b, np.arange(len(a)), np.arange(len(b)), seed=_SEED, num_permutations=self._count
        )
        return {"maps": [len(a), len(b)], "distance": float(test.distance), "p": float(test.p)}

    def _heights(self, key: str, one: Summaries, two: Summaries) -> dict[str, Any] | None:
        a, b = one[key].astype(np.float64), two[key].astype(np.float64)
        if min(len(a), len(b)) < FEWEST_UNITS:
            return None
        entry: dict[str, Any] = {"modes": a.shape[1]}
        for label, shift in (("", 0.0), ("after_shift", 0.5)):
            tests = height_tests(a, b + shift * b.std(0), seed=_SEED, num_resamples=_HEIGHT_RESAMPLES)
            counts = {
                name: {f"above_{level}": int((p > level).sum()) for level in (0.99, 0.95)}
                for name, p in (("ks", tests.ks_p), ("anderson_darling", tests.anderson_darling_p))
            }
            entry |= {label: counts} if label else counts
        entry["informative"] = int((~np.isnan(tests.ks_p)).sum())
        return entry


def _parts(name: str, each: dict[str, Summaries]) -> int:
    """Return of how many sets that are compared a set is made: of validation alone its halves."""
    return 2 if name == "validation" and "auxiliary" not in each else 1


def _varying(values: np.ndarray, units: np.ndarray, parts: int) -> np.ndarray:
    """Return which bands differ from their median in enough units of each of so many parts."""
    group, count = numbered(units)
    differs = np.zeros((count, values.shape[1]), bool)
    np.logical_or.at(differs, group, values != lower_median(values))
    return differs.sum(0) >= min(parts * _FEWEST_VARYING, count - 1)


def effect_entry(effect: Judged, *, required: bool) -> dict[str, Any]:
    """Return a verdict for JSON: arrays as lists, NaN as null."""
    entry = as_json(effect._asdict())
    upper = np.where(np.isfinite(effect.distance_upper), effect.distance_upper, np.inf)
    worst = int(np.argmax(upper))
    within, real = (
        float(np.sqrt(max(square[worst], 0.0))) if np.isfinite(square[worst]) else None
        for square in (effect.distance_upper, effect.distance_expected)
    )
    return entry | {
        "within": within,
        "real_within": real,
        "within_band": effect.bands[worst],
        "required": required,
        "needs": None if effect.needs is None else effect.needs.in_words(),
    }
