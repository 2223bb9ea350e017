"""The settings of every kind of emulator, by its name; its networks stand in `emulators/kinds.py`."""

from typing import Any

from cosmogan_jax.settings.dcgan import Dcgan
from cosmogan_jax.settings.declaration import from_record
from cosmogan_jax.settings.lognormal_gan import LognormalGan
from cosmogan_jax.settings.train import Train

OF_KIND: dict[str, type] = {"dcgan": Dcgan, "lognormal_gan": LognormalGan}


def check_kind(name: str) -> type:
    """Return the class of a kind's settings.

    Raises:
      ValueError: there is no such kind.
    """
    if name not in OF_KIND:
        raise ValueError(f"emulator={name!r} is none of the kinds there are: {', '.join(OF_KIND)}")
    return OF_KIND[name]


def train_from_record(recorded: dict[str, Any]) -> Train:
    """Return train's settings as a run recorded them; what it did not record is the default (the kind: dcgan).

    Raises:
      ValueError: a kind that is not known, or a record without what every run records.
    """
    of_kind: Any = from_record(check_kind(recorded.get("emulator", "dcgan")), recorded)
    return from_record(Train, recorded, of_kind=of_kind)
