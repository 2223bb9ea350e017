"""Settings of the paper's kind of emulator, a DCGAN."""

import dataclasses
from typing import Any, ClassVar, Literal

from cosmogan_jax.settings.declaration import setting
from cosmogan_jax.settings.matching import Matching


@dataclasses.dataclass(frozen=True)
class Dcgan(Matching):
    """What the networks are made of, and the game between them."""

    # What flags are where the command line does not say them, in new trainings. Those of KEPT stay as they were
    # in a training that is gone on with: they change its digits and nothing else.
    DEFAULTS: ClassVar[dict[str, Any]] = {"convolution_form": "auto"}
    KEPT: ClassVar[tuple[str, ...]] = ("convolution_form",)

    num_layers: int = setting(4, "Convolutions in each network; at least 4.")
    num_filters: int = setting(64, "Features of the layer next to the maps; doubled at every layer.")
    latent_size: int = setting(64, "Length of the latent vector z.")
    convolution_form: Literal["auto", "phases", "winograd", "stock"] = setting(
        "phases",
        "How convolutions and their gradients are computed: phases: as is fast on the device, on a CPU by "
        "phases, elsewhere as gradients of strided ones; winograd: so too, but on a CPU large layers of many "
        "features with half the multiplications, which takes up to a minute more to compile; auto: so the "
        "largest layers only, as the paper's, where that pays soon; stock: as autodiff writes them "
        "(several times slower on a CPU). Equal up to rounding. Trainings of dcgan begin with auto, and go on "
        "with what they began with.",
    )
    borders: Literal["zeros", "canvas"] = setting(
        "zeros",
        "zeros: beyond the generator's features lie zeros, which show at the maps' borders (the paper). "
        "canvas: it works on a larger canvas, of which all that has seen zeros is cut away.",
    )
    compute_dtype: Literal["float32", "bfloat16", "bfloat16_gradients"] = setting(
        "float32",
        "Of the convolutions' inputs, products and outputs; bfloat16_gradients: of those of the gradients "
        "only, which then stay ten times nearer to float32's. All else is float32.",
    )
    matmul_precision: Literal["float32", "tensorfloat32", "default"] = setting(
        "float32",
        "How float32 products are computed where there is a choice: tensorfloat32 rounds their factors to 10 "
        "bits (faster on GPUs); default is what the device does unasked. No difference on CPUs.",
    )
    disc_norm: Literal["batch", "none"] = setting(
        "batch",
        "Normalisation in the discriminator; none for a gradient penalty, which takes D's slope at each map "
        "alone.",
    )
    loss: Literal["non_saturating", "hinge", "least_squares", "wasserstein"] = setting(
        "non_saturating",
        "What both networks minimise; non_saturating is the paper's. wasserstein comes with its gradient "
        "penalty and wants --disc_norm=none.",
    )
    r1_penalty: float = setting(
        0.0,
        "Weight gamma of E |dD/dx|^2 / 2 over real maps, added to D's loss of any kind; 0: none.",
        least=0.0,
    )
    gradient_penalty: float = setting(10.0, "Weight lambda of --loss=wasserstein's own penalty.", least=0.0)
    label_flip_probability: float = setting(
        0.01, "Probability that a step flips all its labels; 0 with another loss than the paper's."
    )
    update_order: Literal["joint", "sequential"] = setting(
        "joint",
        "joint: D and G updated from one pass of D over the fakes (the authors' code). sequential: D first, "
        "then G from a fresh pass of the updated D.",
    )
    remat: Literal["none", "generator", "both"] = setting(
        "none",
        "Networks whose activations are computed again for the gradients instead of held: memory for time.",
        neutral=True,
    )
