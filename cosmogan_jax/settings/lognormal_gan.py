"""Settings of the lognormal GAN: a translation-equivariant network on a lognormal base field."""

import dataclasses
from typing import Any, ClassVar, Literal, get_args

from cosmogan_jax.settings.declaration import setting
from cosmogan_jax.settings.matching import Matching

BasePower = Literal["isotropic", "fourfold"]
BASE_POWERS = get_args(BasePower)
_MATCHED = ("power", "mean", "heights", "roughness", "covariance", "wavelets")


@dataclasses.dataclass(frozen=True)
class LognormalGan(Matching):
    """What its networks are made of, and how they are trained."""

    # What flags of every kind are where the command line does not say them: this kind's recipe.
    DEFAULTS: ClassVar[dict[str, Any]] = {
        "batch_size": 24,
        "learning_rate": 6e-4,
        "augment": "symmetries",
        "ema_decay": 0.995,
        "weights": "ema",
        "num_steps": 2000,
        "normalisation": "linear",
        "normalisation_scale": 0.02,
        "match": _MATCHED,
        "match_weight": 1.0,
        "match_rate": 0.05,
        "base_power": "fourfold",
        "base_rate": 0.005,
    }

    base_power: BasePower = setting(
        "isotropic",
        "Of lognormal_gan: whether its base has the same power in all directions, or as much along the axes "
        "and along the diagonals as the training maps have: those read off a grid differ there near Nyquist.",
    )
    base_blocks: int = setting(
        1,
        "Of lognormal_gan: side, in pixels, of the blocks whose means are as skewed in its base as in the "
        "training maps. 1: pixels. The network mends the pixels' skewness, and not that of waves longer than "
        "it sees: of sources so near that one structure fills a map the base has more of it with 8.",
        least=1,
    )
    base_modulated: bool = setting(
        False,
        "Of lognormal_gan: whether its base's amplitude varies slowly across the sky, so far that blocks (see "
        "--base_blocks) have the training maps' fourth moment too; of several source bins in the first. Tails "
        "of near sources are heavier than a lognormal field's.",
    )
    base_rate: float = setting(
        0.0,
        "Of lognormal_gan: rate at which its base's fields follow, wave by wave, the power that generated maps "
        "lack, where --match names it; it falls as the learning rates do. 0: they stay as measured.",
        least=0.0,
    )
    gen_layers: int = setting(
        5, "Of lognormal_gan: its generator's 3x3 convolutions; it sees as many pixels around each.", least=1
    )
    gen_channels: int = setting(12, "Of lognormal_gan: features of its generator's convolutions.", least=1)
    gen_octaves: int = setting(
        0,
        "Of lognormal_gan: factors of two by which pixels are finer than the 0.8 arcmin that its lengths are "
        "made for: 2 for 0.2 arcmin. From the third convolution on it sees so many times further, and noise of "
        "longer waves comes to that of the shortest.",
        least=0,
    )
    disc_layers: int = setting(4, "Of lognormal_gan: its discriminator's 5x5 stride-2 convolutions.", least=1)
    disc_filters: int = setting(
        12, "Of lognormal_gan: features of its discriminator's first layer; doubled at every layer.", least=1
    )
    fresh_maps: int = setting(
        8,
        "Of lognormal_gan: maps generated in a step; the rest of the discriminator's batch of fakes is drawn "
        "from those of earlier steps.",
        least=1,
    )
    replayed_steps: int = setting(
        24, "Of lognormal_gan: steps whose generated maps are kept for the discriminator.", least=1
    )
    disc_learning_rate: float = setting(
        1e-3, "Of lognormal_gan: Adam's learning rate of its discriminator; --learning_rate is the generator's."
    )
    adam_beta2: float = setting(
        0.99, "Of lognormal_gan: Adam's beta2.", valid=lambda beta: 0 <= beta < 1, words="must lie in [0, 1)"
    )
    warm_up_steps: int = setting(
        50, "Of lognormal_gan: steps over which the learning rates rise from 0.", least=0
    )
    decay_from_step: int = setting(300, "Of lognormal_gan: step from which the learning rates fall.", least=0)
    decay_to_step: int = setting(
        2000,
        "Of lognormal_gan: step at which the learning rates have fallen to 0.5 % by a cosine; they stay there.",
        least=1,
    )
    pixel_penalty: float = setting(
        0.1, "Of lognormal_gan: weight of R1 on pixels, gamma E |dD/dx|^2 / 2 over real maps.", least=0.0
    )
    band_penalty: float = setting(0.01, "Of lognormal_gan: weight of R1 on whitened band powers.", least=0.0)
    match: tuple[str, ...] = setting(_MATCHED, "See `Matching`.")
