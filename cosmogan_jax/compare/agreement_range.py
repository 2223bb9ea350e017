"""The range of a statistic in which generated maps agree with validation maps."""

import numpy as np
from jaxtyping import Float

AGREEMENT_FACTOR = 1.25


def agreeing_range(
    edges: Float[np.ndarray, " edges"],
    generated: Float[np.ndarray, " bins"],
    reference: Float[np.ndarray, " bins"],
    factor: float = AGREEMENT_FACTOR,
) -> tuple[float, float] | None:
    """Return the longest run of neighbouring bins with 1/factor <= generated / reference <= factor.

    Bins where neither side has a value (0, or NaN: no mode) neither agree nor break a run, but no run begins
    or ends with one.

    Returns:
      the run's outer edges, the longest in bins (the first of equals); None where no bin agrees.

    Raises:
      ValueError: shapes that do not fit, or a factor not above 1.
    """
    if not factor > 1:
        raise ValueError(f"factor={factor} must be above 1")
    edges, generated, reference = map(np.asarray, (edges, generated, reference))
    if generated.shape != reference.shape or len(edges) != len(generated) + 1:
        raise ValueError(f"{len(edges)} edges do not fit values of {generated.shape} and {reference.shape}")
    silent = ~((generated > 0) | (reference > 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        agrees = np.abs(np.log(generated / reference)) <= np.log(factor)
    best, start, last, count = (0, 0, 0), None, None, 0
    for bin_ in range(len(generated)):
        if agrees[bin_]:
            start, last, count = (bin_ if start is None else start), bin_, count + 1
            best = max(best, (count, -start, last))
        elif not silent[bin_]:
            start, count = None, 0
    if not best[0]:
        return None
    return float(edges[-best[1]]), float(edges[best[2] + 1])
