"""The programs that make an emulator's maps, compiled once for each model and size.

`draw` makes all maps of a call at once; `side_by_side` makes them one after the other, on every core of a CPU
by itself: what a map is made from then stays in the cache, and no thread waits for others within a map
(experiments/benchmarks/README.md has the times).
"""

import functools
import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array

from cosmogan_jax.emulators.interface import Latent, Model, Variables
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.emulators.observed import Look, look_at
from cosmogan_jax.side_by_side import SideBySide, jit_on_one_thread

Size = int | tuple[int, int]  # pixels of a square map's side, or (height, width)


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
    latents = latents_of(model, shape, key, index)
    if look is None:
        return normalisation.inverse(model.sample(variables, latents, theta))
    kappa = normalisation.inverse(model.sample(variables, latents, theta, look.margin))
    return look_at(kappa, look, key, index)


draw = jax.jit(_drawn, static_argnums=(0, 1, 2, 3))


@functools.lru_cache(maxsize=64)
def side_by_side(
    model: Model, normalisation: Normalisation, shape: tuple[int, int], look: Look | None, _each: int
) -> SideBySide:
    """Return a program of (variables, key, index, theta), `_each` maps a part; it knows if it is compiled."""
    draw_few = functools.partial(_drawn, model, normalisation, shape, look)

    def in_turn(variables: Variables, key: Array, index: Array, theta: Array) -> Array:
        numbers = index[:, None], theta[:, None]
        drawn = jax.lax.map(lambda numbers: draw_few(variables, key, *numbers), numbers)
        return drawn.reshape(len(index), *drawn.shape[2:])

    compiled = jit_on_one_thread(in_turn)
    return SideBySide(lambda arguments: compiled(*arguments))


def latents_of(model: Model, shape: tuple[int, ...], key: Array, index: Array) -> Latent:
    """Draw latents of maps of this (height, width), stacked: that of map n comes from fold_in(key, n) alone."""
    return jax.vmap(lambda n: model.latent(jax.random.fold_in(key, n), *shape))(index)


compiled_latents = functools.partial(jax.jit, static_argnums=(0, 1))(latents_of)


@functools.partial(jax.jit, static_argnums=(0, 1))
def kappa_of(
    model: Model, normalisation: Normalisation, variables: Variables, latents: Latent, theta: Array
) -> Array:
    """Compute convergence of latents."""
    return normalisation.inverse(model.sample(variables, latents, theta))


def height_and_width(size: Size) -> tuple[int, int]:
    """Return both sides in pixels; ValueError where they are no whole numbers."""
    try:
        pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        height, width = map(operator.index, pair)
    except (TypeError, ValueError):
        raise ValueError(f"size={size!r} must be a whole number of pixels, or (height, width)") from None
    return height, width


def count_latents(name: str, model: Model, side: int, latents: Latent) -> int:
    """Count the maps that these are latents of; side: of the maps that the emulator makes, in pixels.

    Where the model makes maps of any size, axes that grow with it may have any length.

    Raises:
      ValueError: latents of another form than the model's, or of other shapes; both are named.
    """
    ours = _latent_shapes(model, side)
    if str(jax.tree.structure(latents)) != str(jax.tree.structure(ours)):
        shapes = str(jax.tree.map(jnp.shape, latents))[:200]
        wanted = jax.tree.map(lambda latent: ("maps", *latent.shape), ours)
        raise ValueError(f"{name}: latents of shape {shapes} must be arrays of shape {wanted}")
    larger = jax.tree.leaves(_latent_shapes(model, 2 * side) if model.any_size else ours)
    leaves = jax.tree_util.tree_leaves_with_path(latents)
    first = f"latents{jax.tree_util.keystr(leaves[0][0])}.shape={jnp.shape(leaves[0][1])}"
    for (path, leaf), own, larger_leaf in zip(leaves, jax.tree.leaves(ours), larger, strict=True):
        shape, free = jnp.shape(leaf), [a != b for a, b in zip(own.shape, larger_leaf.shape, strict=True)]
        latent_shape = f"{name}: latents{jax.tree_util.keystr(path)}.shape={shape}"
        fits = len(shape) == 1 + len(free) and all(
            any_length or length == wanted
            for any_length, length, wanted in zip(free, shape[1:], own.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join(("maps", *map(str, own.shape)))
            raise ValueError(f"{latent_shape} must be ({wanted}){f' for maps of {side}x{side}' * any(free)}")
        if shape[0] != jnp.shape(leaves[0][1])[0]:
            raise ValueError(f"{latent_shape} must be of as many maps as {first}")
    return jnp.shape(leaves[0][1])[0]


@functools.lru_cache(maxsize=64)
def _latent_shapes(model: Model, side: int) -> Latent:
    """Return what one square map is made from, as `jax.ShapeDtypeStruct`s."""
    return jax.eval_shape(lambda key: model.latent(key, side), jax.random.key(0, impl="threefry2x32"))
