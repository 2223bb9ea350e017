"""Settings of stage export."""

import dataclasses

from cosmogan_jax.settings.declaration import setting


@dataclasses.dataclass(frozen=True)
class Export:
    """Which maps are written for other tools, and in which formats."""

    export: tuple[str, ...] = setting(
        (),
        "Formats in which maps are written for other tools: fits (one file a map, with an image for each of "
        "several source bins), npy and hdf5 (one for all, source bins on the last axis). None: the stage is "
        "left out.",
        valid=lambda formats: set(formats) <= {"fits", "npy", "hdf5"},
        words="knows fits, npy and hdf5 only",
    )
    export_from: str | None = setting(
        None, "Map store to export. Unset: the run's generated maps.", names="something"
    )
