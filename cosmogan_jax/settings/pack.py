"""Settings of stage pack."""

import dataclasses
import re
from typing import Literal

from cosmogan_jax.settings.declaration import setting


@dataclasses.dataclass(frozen=True)
class Pack:
    """Under which name a generator is packed, and what its card says of the maps."""

    pack: str | None = setting(
        None,
        "Name under which the evaluated generator is packed with its model card, for --pretrained. "
        "Unset: the stage is left out.",
        valid=lambda name: name is None or re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", name),
        words="must be of small letters, digits, '-', '_' and '.'",
    )
    pack_data: str | None = setting(None, "What the maps are, for the card: their source and its licence.")
    pack_dtype: Literal["float32", "float16"] = setting(
        "float32", "How parameters are stored; the card says what float16 changes in the maps."
    )
    pack_derivatives_to_ell: float | None = setting(
        None,
        "Up to which ell the maps' derivatives with respect to what they are conditioned on are right, for the "
        "card: beyond it none is offered. Unset: not known.",
        valid=lambda ell: ell is None or ell > 0,
        words="must be positive",
    )
