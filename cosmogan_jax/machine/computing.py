"""What stages compute on, and under which of JAX's switches: settled before the first of them, and said."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def settled(*, says: bool = True) -> Iterator[None]:
    """The switches under which results are made (`switches.py`); a line names those that were otherwise."""
    from cosmogan_jax import switches  # here: what computes nothing loads no JAX

    with switches.of_runs() as otherwise:
        if otherwise and says:
            print(f"{', '.join(otherwise)}: not for runs, which keep JAX's defaults", file=sys.stderr)
        yield


def device_in_words(number: int | None = None) -> str:
    """The devices that a stage computes on, as in "cpu" or "4 x NVIDIA H100 80GB HBM3"; None: all there are.

    Raises:
      ValueError: a platform that JAX does not know, or that is not here.
    """
    import jax

    try:
        there = jax.devices()
    except (RuntimeError, AssertionError) as error:  # nothing but an assertion where a plugin is not installed
        asked, said = jax.config.values["jax_platforms"], " ".join(str(error).split())
        named = f"JAX_PLATFORMS={asked}" if asked else "JAX_PLATFORMS is not set, and no platform"
        raise ValueError(
            f"{named} cannot be computed on here; cpu always can, cuda with a GPU and pip install "
            f"'cosmogan_jax[cuda]', and without JAX_PLATFORMS JAX takes what there is"
            + (f" (JAX says: {said})" if said else "")
        ) from error
    count = len(there) if number is None else min(number, len(there))
    return there[0].device_kind if count == 1 else f"{count} x {there[0].device_kind}"
