"""Settings of stage report."""

import dataclasses

from cosmogan_jax.settings.declaration import setting


@dataclasses.dataclass(frozen=True)
class Report:
    """What the page says beside the results."""

    report_title: str = setting("Convergence map emulator", "Title of the page.")
