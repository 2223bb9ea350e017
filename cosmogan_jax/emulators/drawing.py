"""The programs that make an emulator's maps, compiled once for each model and size.

`draw` makes all maps of a call at once; `side_by_side` makes them one after the other, on every core of a CPU
by itself: what a map is made from then stays in the cache, and no thread waits for others within a map
(experiments/benchmarks/README.md has the times).
"""

import functools

import jax
from jaxtyping import Array

from cosmogan_jax.emulators.interface import Latent, Model, Variables
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.observed import Look, look_at
from cosmogan_jax.side_by_side import SideBySide, jit_on_one_thread


def _drawn(
    model: Model,
    normalisation: Normalisation,
    shape: tuple[int, int],
    look: Look | None,
    variables: Variables,
    key: Array,
    index: Array,
    theta: Array,
) -> Array:
    latents = _latents(model, shape, key, index)
    if look is None:
        return normalisation.inverse(model.sample(variables, latents, theta))
    kappa = normalisation.inverse(model.sample(variables, latents, theta, look.margin))
    return look_at(kappa, look, key, index)


draw = jax.jit(_drawn, static_argnums=(0, 1, 2, 3))


@functools.lru_cache(maxsize=64)
def side_by_side(
    model: Model, normalisation: Normalisation, shape: tuple[int, int], look: Look | None, _each: int
) -> SideBySide:
    """Draws (variables, key, index, theta), `_each` maps a part; remembered, as is whether it is compiled."""
    some = functools.partial(_drawn, model, normalisation, shape, look)

    def in_turn(variables: Variables, key: Array, index: Array, theta: Array) -> Array:
        one = jax.lax.map(lambda of: some(variables, key, *of), (index[:, None], theta[:, None]))
        return one.reshape(len(index), *one.shape[2:])

    compiled = jit_on_one_thread(in_turn)
    return SideBySide(lambda part: compiled(*part))


def _latents(model: Model, shape: tuple[int, int], key: Array, index: Array) -> Latent:
    return jax.vmap(lambda n: model.latent(jax.random.fold_in(key, n), *shape))(index)


compiled_latents = functools.partial(jax.jit, static_argnums=(0, 1))(_latents)


@functools.partial(jax.jit, static_argnums=(0, 1))
def kappa_of(
    model: Model, normalisation: Normalisation, variables: Variables, latents: Latent, theta: Array
) -> Array:
    """Convergence of latents."""
    return normalisation.inverse(model.sample(variables, latents, theta))
