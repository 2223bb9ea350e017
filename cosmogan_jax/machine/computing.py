"""What stages compute on, and under which of JAX's switches: settled before the first of them, and said."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def settled(*, says: bool = True) -> Iterator[None]:
    """Compute under the switches of results (`switches.py`); a line names those that were set otherwise."""
    from cosmogan_jax import switches  # here: what computes nothing loads no JAX

    with switches.of_runs() as otherwise:
        if otherwise and says:
            print(f"{', '.join(otherwise)}: not for runs, which keep JAX's defaults", file=sys.stderr)
        yield


def device_in_words(number: int | None = None) -> str:
    """Name the devices that a stage computes on, as "cpu" or "4 x NVIDIA H100 80GB HBM3"; None: all there are.

    Raises:
      ValueError: a platform that JAX does not know, or that is not here.
    """
    import jax

    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:  # nothing but an assertion where a plugin is not installed
        platforms, reason = jax.config.values["jax_platforms"], " ".join(str(error).split())
        setting = f"JAX_PLATFORMS={platforms}" if platforms else "JAX_PLATFORMS is not set, and no platform"
        raise ValueError(
            f"{setting} cannot be computed on here; cpu always can, cuda with a GPU and pip install "
            f"'cosmogan_jax[cuda]', and without JAX_PLATFORMS JAX takes what there is"
            + (f" (JAX says: {reason})" if reason else "")
        ) from error
    count = len(devices) if number is None else min(number, len(devices))
    return devices[0].device_kind if count == 1 else f"{count} x {devices[0].device_kind}"
