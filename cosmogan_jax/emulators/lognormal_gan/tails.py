"""How heavy the tails of a lognormal field must be: moments of its means over blocks of pixels.

With w = exp(s^2) - 1 = 1 / shift^2, E_ij = 1 + w xi_ij, xi the field's correlation function, its variance 1,
and means over all pixels i, j, l, m of a block,

    third  = w^(-3/2) (<E_ij E_il E_jl> - 3 <E> + 2) = (w <xi_ij xi_il xi_jl> + 3 <xi_ij xi_il>) sqrt(w)
    fourth = w^(-2) (<E_ij E_il E_im E_jl E_jm E_lm> - 4 <E_ij E_il E_jl> + 6 <E> - 3)

as of exponentials of Gaussian fields (Coles & Jones 1991). Where the field's amplitude varies slowly, as
exp(beta g - beta^2) with g an independent Gaussian field of variance 1 that hardly varies over a block, the
third moment is exp(3 beta^2 / 2) times and the fourth exp(4 beta^2) times as large, the variance as it was.
"""

import numpy as np
from jaxtyping import Float

PIXEL = np.ones((1, 1))  # the correlations of a block that is a pixel
_WIDEST = 0.6  # of beta: amplitudes that vary by more are no tail, but most of what there is


def shift_of(third: float, blocks: Float[np.ndarray, "pixels pixels"] = PIXEL) -> tuple[float, float]:
    """Find shift and s of a field of variance 1 from the third moment of its blocks; of pixels the skewness.

    blocks: xi between the pixels of a block.
    """
    from scipy.optimize import brentq  # here: what opens an emulator measures no maps

    twos = float((blocks.mean(1) ** 2).mean())
    threes = float(np.einsum("ij,ij->", blocks @ blocks, blocks) / len(blocks) ** 3)
    w = brentq(lambda w: (threes * w + 3 * twos) * np.sqrt(w) - third, 1e-12, 1e6)
    return 1 / np.sqrt(w), float(np.sqrt(np.log1p(w)))


def modulation_of(third: float, fourth: float, blocks: Float[np.ndarray, "pixels pixels"]) -> float:
    """Find beta, by which a field of these moments of blocks varies; 0 where no tail is missing."""
    from scipy.optimize import brentq

    def beyond(beta: float) -> float:
        shift, _ = shift_of(third * np.exp(-1.5 * beta**2), blocks)
        return float(np.exp(4 * beta**2) * fourth_of(shift, blocks) - fourth)

    if beyond(0.0) >= 0:
        return 0.0
    return _WIDEST if beyond(_WIDEST) <= 0 else float(brentq(beyond, 0.0, _WIDEST, xtol=1e-4))


def fourth_of(shift: float, blocks: Float[np.ndarray, "pixels pixels"]) -> float:
    """Return the fourth moment of blocks of a lognormal field of this shift."""
    e = 1 + blocks / shift**2
    count = len(e)
    threes = np.einsum("ij,ij->", e @ e, e) / count**3
    # Over i: sum_jlm x_j x_l x_m e_jl e_jm e_lm with x = e_i.
    fours = sum(float((np.outer(x, x) * e * ((e * x) @ e)).sum()) for x in e) / count**4
    return float(shift**4 * (fours - 4 * threes + 6 * e.mean() - 3))


def correlations_of_block(xi: Float[np.ndarray, "side side"], side: int) -> Float[np.ndarray, "pixels pixels"]:
    """Return a correlation function, by lag, between all pixels of a block so many pixels wide."""
    at = np.arange(side**2)
    row, column = at // side, at % side
    return xi[np.subtract.outer(row, row), np.subtract.outer(column, column)]
