"""Per-map summary statistics in jnp, with LensTools' definitions and names; leading batch axes are free."""

from cosmogan_jax.summaries.bispectrum import bispectrum
from cosmogan_jax.summaries.edges import PAPER_L_EDGES, PAPER_THRESHOLDS
from cosmogan_jax.summaries.minkowski import MinkowskiFunctionals, minkowski_functionals
from cosmogan_jax.summaries.moments import moments
from cosmogan_jax.summaries.peaks import peak_counts
from cosmogan_jax.summaries.pixels import pixel_histogram
from cosmogan_jax.summaries.spectrum import power_spectrum

__all__ = [
    "PAPER_L_EDGES",
    "PAPER_THRESHOLDS",
    "MinkowskiFunctionals",
    "bispectrum",
    "minkowski_functionals",
    "moments",
    "peak_counts",
    "pixel_histogram",
    "power_spectrum",
]
