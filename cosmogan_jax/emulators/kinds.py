"""All kinds of emulators, by name; the settings of each stand under the same name in `settings/kinds.py`."""

from collections.abc import Mapping
from typing import Any

from cosmogan_jax.emulators.dcgan.engine import DCGAN
from cosmogan_jax.emulators.interface import Engine, Kind, Model
from cosmogan_jax.emulators.lognormal_gan.engine import LOGNORMAL_GAN
from cosmogan_jax.settings import Train

KINDS: dict[str, Kind] = {"dcgan": DCGAN, "lognormal_gan": LOGNORMAL_GAN}


def kind(name: str) -> Kind:
    """Find a kind by its name.

    Raises:
      ValueError: there is none of this name.
    """
    if name not in KINDS:
        raise ValueError(f"emulator={name!r} is none of the kinds there are: {', '.join(KINDS)}")
    return KINDS[name]


def model_of(description: Mapping[str, Any], *, forward_mode: bool = False) -> Model:
    """Make the model that `Model.describe` described; a DCGAN without a "kind", as the first cards were.

    Raises:
      ValueError: a kind that is not known, or what the kind cannot read.
    """
    name = description.get("kind", "dcgan")
    if not isinstance(name, str) or name not in KINDS:
        raise ValueError(f"architecture: kind={name!r} is none of the kinds there are: {', '.join(KINDS)}")
    return KINDS[name].model_of(description, forward_mode)


def build(settings: Train, batch_sharding: Any = None, num_bins: int = 1) -> tuple[Model, Engine]:
    """Build model and engine of the settings of stage train, for maps of so many source bins.

    Raises:
      ValueError: settings that no model or training can have; several bins, of which the kind makes one.
    """
    settings_kind = kind(settings.emulator)
    if num_bins == 1:
        model = settings_kind.model(settings)
    elif settings_kind.joint is None:
        several = " or ".join(name for name, each in KINDS.items() if each.joint)
        raise ValueError(
            f"emulator={settings.emulator} makes maps of one source bin and these have {num_bins}: choose one "
            f"with --channel, or train --emulator={several} on all"
        )
    else:
        model = settings_kind.joint(settings, num_bins)
    return model, settings_kind.engine(model, settings, batch_sharding)
