"""Fresh variables of Flax modules."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

Variables = Any


def _init(module: nn.Module, shapes: tuple[tuple[int, ...], ...], how: tuple, key: Array) -> Variables:
    return module.init(key, *(jnp.zeros(shape, jnp.float32) for shape in shapes), **dict(how))


def fresh_variables(
    module: nn.Module, shapes: tuple[tuple[int, ...], ...], how: tuple, key: Array
) -> Variables:
    """Make a module's fresh variables, as one program, of which the forward pass is no part.

    LLVM takes half a minute to optimise a dozen random generators that run once: it is told not to. Only a
    program of its own can be compiled by options of its own.
    """
    if isinstance(key, jax.core.Tracer):
        return _init(module, shapes, how, key)
    return _compiled_init(module, shapes, how, key)


_compiled_init = functools.partial(
    jax.jit, static_argnums=(0, 1, 2), compiler_options={"xla_backend_optimization_level": 0}
)(_init)
