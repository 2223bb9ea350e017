"""Settings of what a kind's training matches beside its game; the losses stand in `emulators/matching.py`."""

import dataclasses

from cosmogan_jax.settings.declaration import setting


@dataclasses.dataclass(frozen=True)
class Matching:
    """Summary statistics as losses, for kinds of emulator that offer them."""

    match: tuple[str, ...] = setting(
        (),
        "Statistics whose means over generated maps are drawn to the training maps', of power, mean, pdf, "
        "heights, large_heights, roughness, covariance, wavelets, minkowski, peaks, minima, starlet_l1, "
        "starlet_peaks, scattering, bispectrum, moments; of maps as the networks see them (after "
        "--normalisation). heights: pixels above heights that training maps have, pdf: above even ones, "
        "large_heights: means over 8x8 and 16x16 pixels above theirs; roughness: squared gradients by "
        "height, and how they vary from map to map. Empty: none, as in the paper; lognormal_gan: "
        "power,mean,heights,roughness,covariance,wavelets. The verdict marks them as trained on. Of several "
        "source bins they are matched in each, and cross power, coherence, joint moments and joint roughness "
        "of every two beside them.",
    )
    match_weight: float = setting(0.3, "Weight of what is matched; 0: none; lognormal_gan: 1.", least=0.0)
    match_cap: float = setting(
        0.5,
        "The largest norm of that gradient with respect to maps, as a share of the adversarial one's.",
        least=0.0,
    )
    match_rate: float = setting(
        0.02,
        "Rate of the running means of generated maps' statistics; lognormal_gan: 0.05, falling to a fifth.",
        valid=lambda rate: 0 < rate <= 1,
        words="must lie in (0, 1]",
    )
    theta_order: int = setting(
        2,
        "Order of the polynomials in the parameters of --condition_on that means of what is matched follow, "
        "and the base of lognormal_gan; a quadratic one in two parameters has six terms, and wants twice as "
        "many cosmologies.",
        valid=lambda order: order in (1, 2),
        words="must be 1 or 2",
    )
