"""Per-map summary statistics in jnp, with LensTools' definitions and names; leading batch axes are free."""

from cosmogan_jax.summaries.bispectrum import bispectrum
from cosmogan_jax.summaries.edges import PAPER_L_EDGES, PAPER_THRESHOLDS
from cosmogan_jax.summaries.minkowski import MinkowskiFunctionals, minkowski_functionals
from cosmogan_jax.summaries.moments import moments
from cosmogan_jax.summaries.peaks import minimum_counts, peak_counts
from cosmogan_jax.summaries.pixels import pixel_histogram
from cosmogan_jax.summaries.roughness import roughness, roughness_labels
from cosmogan_jax.summaries.scattering import scattering_coefficients, scattering_labels
from cosmogan_jax.summaries.shear import (
    Shear,
    kappa_to_shear,
    pure_modes,
    shear_of_canvas,
    shear_to_kappa,
)
from cosmogan_jax.summaries.source_bins import coherence, joint_moments, joint_roughness, joint_roughness_labels
from cosmogan_jax.summaries.spectrum import cross_power_spectra, pair_power_spectra, power_spectrum
from cosmogan_jax.summaries.starlet import (
    StarletStatistics,
    starlet_l1_norm,
    starlet_peak_counts,
    starlet_statistics,
    starlet_transform,
)
from cosmogan_jax.summaries.structural_similarity import ms_ssim, pair_similarity

__all__ = [
    "PAPER_L_EDGES",
    "PAPER_THRESHOLDS",
    "MinkowskiFunctionals",
    "Shear",
    "StarletStatistics",
    "bispectrum",
    "coherence",
    "cross_power_spectra",
    "joint_moments",
    "joint_roughness",
    "joint_roughness_labels",
    "kappa_to_shear",
    "minimum_counts",
    "minkowski_functionals",
    "moments",
    "ms_ssim",
    "pair_power_spectra",
    "pair_similarity",
    "peak_counts",
    "pixel_histogram",
    "power_spectrum",
    "pure_modes",
    "roughness",
    "roughness_labels",
    "scattering_coefficients",
    "scattering_labels",
    "shear_of_canvas",
    "shear_to_kappa",
    "starlet_l1_norm",
    "starlet_peak_counts",
    "starlet_statistics",
    "starlet_transform",
]
