"""Settings of stage novelty."""

import dataclasses

from cosmogan_jax.settings.declaration import setting
from cosmogan_jax.settings.map_files import GivenMaps


@dataclasses.dataclass(frozen=True)
class Novelty(GivenMaps):
    """Among how many maps copies are searched, and what counts as one."""

    novelty_maps: int = setting(
        1024,
        "Generated maps searched for pairs that are the same, and as many training crops beside them. No pair "
        "says that there are more than n^2 / 6 distinct maps; the paper's batches are 32768. 0: the stage is "
        "left out.",
        least=0,
        valid=lambda maps: maps != 1,
        words="must be 0, or 2 or more",
    )
    novelty_batches: int = setting(
        1, "Batches of so many generated maps; the paper's 1e9 maps need six.", least=1
    )
    novelty_queries: int = setting(
        256,
        "Generated maps whose nearest training crops are searched, and validation crops beside them.",
        least=2,
    )
    novelty_l_bins: int = setting(
        20, "Bands of ell, evenly spaced in its logarithm, in which spectra are compared.", least=1
    )
    novelty_fraction: float = setting(
        0.5,
        "Maps count as the same below this fraction of the smallest distance that real maps show.",
        valid=lambda fraction: 0 < fraction < 1,
        words="must lie between 0 and 1",
    )
    novelty_symmetries: bool = setting(
        False, "Search the nearest over the square's eight symmetries too; takes eight times as long."
    )
    novelty_shifts: bool = setting(
        False, "Search the nearest over all windows of the training maps too, in the crop table or not."
    )
    novelty_steps: int = setting(
        32,
        "Steps of an interpolation between two z; an even number.",
        least=2,
        valid=lambda steps: steps % 2 == 0,
        words="must be even",
    )
