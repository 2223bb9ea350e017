"""A network after its optimizer's step, for any kind of emulator."""

import dataclasses
from typing import Any, TypeVar

import optax

Net = TypeVar("Net")


def updated(optimizer: optax.GradientTransformation, net: Net, grads: Any, **others: Any) -> Net:
    """Take the optimizer's step down these gradients; others: fields of the network to be replaced too.

    The network is a dataclass that holds `params` and the optimizer's `opt_state`.
    """
    before: Any = net
    updates, opt_state = optimizer.update(grads, before.opt_state, before.params)
    params = optax.apply_updates(before.params, updates)
    return dataclasses.replace(before, params=params, opt_state=opt_state, **others)
