"""What a second, independent score says of candidates that a first one had picked.

The smallest of many noisy scores is small by luck too. Scored again with fresh noise it falls back towards the
mean, by as much as the first pass was luck; the second scores of those picked carry no such bias, and only the
choice among them does.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats


class Fallback(NamedTuple):
    """Regression to the mean, from the first to the second scores of the candidates that have both.

    rank_correlation: Spearman's, None for fewer than three candidates or where a pass orders none of them.
    """

    first_best: int
    first_best_scores: tuple[float, float]
    first_best_second_rank: int
    chosen_scores: tuple[float, float]
    chosen_first_rank: int
    mean_scores: tuple[float, float]
    rank_correlation: float | None


def fallback(first: Mapping[int, float], second: Mapping[int, float]) -> Fallback:
    """Compare finite scores by step; the smallest is best, ties go to the earlier step, ranks begin with 1.

    Raises:
      ValueError: no step has both scores.
    """
    steps = sorted(first.keys() & second.keys())
    if not steps:
        raise ValueError(f"no step of {sorted(first)} was scored a second time")
    by_first, by_second = (sorted(steps, key=lambda step: (scores[step], step)) for scores in (first, second))
    lucky, chosen = by_first[0], by_second[0]
    pairs = np.array([(first[step], second[step]) for step in steps])
    ordered = len(steps) > 2 and (np.ptp(pairs, axis=0) > 0).all()
    return Fallback(
        lucky,
        (first[lucky], second[lucky]),
        by_second.index(lucky) + 1,
        (first[chosen], second[chosen]),
        by_first.index(chosen) + 1,
        (float(pairs[:, 0].mean()), float(pairs[:, 1].mean())),
        float(stats.spearmanr(*pairs.T).statistic) if ordered else None,
    )
