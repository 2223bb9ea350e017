"""The sets of a verdict with the draws of their parents, which all of its quantities share."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from cosmogan_jax.compare.effects.quantities import Compared, MapSet, Quantity, ensemble_of, values_of
from cosmogan_jax.compare.effects.resamples import Resampling, resample, together
from cosmogan_jax.compare.parents import halves

Baseline = Literal["auxiliary", "halves of validation"]


class Resampled(NamedTuple):
    """Sets and their draws; the baseline is of `first` against `second`.

    order: maps of validation, part by part: its halves where there is no auxiliary set.
    """

    sets: dict[str, MapSet]
    order: list[Int[np.ndarray, " part"]]
    generated: Resampling
    validation: Resampling
    first: Resampling
    second: Resampling

    @property
    def num_parents(self) -> int:
        """Return the parents of the smallest set."""
        return min(sample.num_parents for sample in (self.generated, self.first, self.second))

    @property
    def baseline(self) -> Baseline:
        """Return what the yardstick is."""
        return "auxiliary" if "auxiliary" in self.sets else "halves of validation"

    def of(self, quantity: Quantity) -> Compared:
        """Return one quantity of all sets.

        Raises:
          ValueError: sets that lack the quantity or differ in its bands, constant bands, values that are not
            finite.
        """
        parts = [values_of("validation", self.sets["validation"], quantity)[maps] for maps in self.order]
        whole = ensemble_of("validation", np.concatenate(parts), self.validation, quantity)
        if "auxiliary" in self.sets:
            values = values_of("auxiliary", self.sets["auxiliary"], quantity)
            pair = [ensemble_of("auxiliary", values, self.first, quantity), whole]
        else:
            pair = [
                ensemble_of("half of validation", part, resampling, quantity)
                for part, resampling in zip(parts, (self.first, self.second), strict=True)
            ]
        values = values_of("generated", self.sets["generated"], quantity)
        return Compared(ensemble_of("generated", values, self.generated, quantity), whole, *pair)


def resampled(
    generated: MapSet, validation: MapSet, auxiliary: MapSet | None, *, seed: int, num_resamples: int
) -> Resampled:
    """Draw the parents of every set, each from a stream of its own.

    auxiliary: maps that are independent of validation (other boxes). Without them the baseline is one random
      half of the validation parents against the other.

    Raises:
      ValueError: fewer than five parents in a set (ten in validation without an auxiliary set).
    """
    numbers = {"seed": seed, "num_resamples": num_resamples}
    sets = {"generated": generated, "validation": validation}
    of_generated = _draws("generated", generated.parents, stream=0, **numbers)
    if auxiliary is None:
        order = list(halves(validation.parents, seed=seed))
        first, second = (
            _draws("half of validation", np.asarray(validation.parents)[maps], stream=1 + at, **numbers)
            for at, maps in enumerate(order)
        )
        return Resampled(sets, order, of_generated, together(first, second), first, second)
    order = [np.arange(len(validation.parents))]
    second = _draws("validation", validation.parents, stream=1, **numbers)
    first = _draws("auxiliary", auxiliary.parents, stream=2, **numbers)
    return Resampled({**sets, "auxiliary": auxiliary}, order, of_generated, second, first, second)


def _draws(name: str, parents: np.ndarray, **numbers) -> Resampling:
    try:
        return resample(parents, **numbers)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
