"""How far two ensembles of power spectra lie apart: the score by which checkpoints are ranked."""

import numpy as np
from jaxtyping import Float


def spectrum_chi2(
    generated: Float[np.ndarray, "maps bins"],
    reference: Float[np.ndarray, "maps bins"],
    num_histogram_bins: int = 10,
) -> float:
    """Mean over modes of the chi-squared distance between the two histograms of the mode's power.

        chi2_l = 1/2 sum_h (g_h - r_h)^2 / (g_h + r_h)

    g and r are the shares of maps in bins bounded by the reference's quantiles and open at both ends; 0 for
    equal histograms, 1 for disjoint ones. (The paper names a chi-squared distance between histograms of the
    spectra; its formula is unpublished.) Where all of a mode's power falls outside, the distance saturates:
    the mean squared log ratio of the mean spectra, squashed below 1e-2, orders such candidates. Modes whose
    reference power is constant (empty bins) do not count.

    Raises:
      ValueError: different modes, fewer than two maps on a side, or no informative mode.
    """
    if generated.shape[1:] != reference.shape[1:] or min(len(generated), len(reference)) < 2:
        raise ValueError(f"spectra of shapes {generated.shape} and {reference.shape} cannot be compared")
    informative = np.ptp(reference, axis=0) > 0
    if not informative.any():
        raise ValueError("the reference spectra hold no mode that varies")
    generated, reference = generated[:, informative], reference[:, informative]
    edges = np.quantile(reference, np.linspace(0, 1, num_histogram_bins + 1)[1:-1], axis=0)

    def shares(power):
        index = (power[:, None, :] >= edges[None]).sum(1)
        return np.stack([(index == h).mean(0) for h in range(num_histogram_bins)])

    g, r = shares(generated), shares(reference)
    total = g + r
    distance = 0.5 * np.where(total > 0, (g - r) ** 2 / np.where(total > 0, total, 1), 0).sum(0).mean()
    tiny = np.finfo(np.float64).tiny
    log_ratio = np.log(np.maximum(generated.mean(0), tiny) / np.maximum(reference.mean(0), tiny))
    offset = np.mean(log_ratio**2)
    return float(distance + 1e-2 * offset / (1 + offset))
