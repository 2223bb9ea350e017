"""The three 5x5 stride-2 maps of `convolutions.py` with fewer multiplications: Winograd's F(2x2, 3x3).

Two neighbouring results of a filter of three taps, y[m] = sum_t d[m + t] g[t] for m = 0, 1, take six products;
Winograd's form takes four (Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", Sect. 4.1):

    y = A' [(G g) * (B' d)]     B' = 1  0 -1  0     G = 1   0   0     A' = 1  1  1  0
                                     0  1  1  0         1/2 1/2 1/2        0  1 -1 -1
                                     0 -1  1  0         1/2-1/2 1/2
                                     0  1  0 -1         0   0   1

with * the product element by element, at four "points"; along rows and columns alike, 16 points for four
results instead of 36 products. A stride of 2 reads every other pixel, so the taps of one parity p are such a
filter, on the large map's pixels of one parity:

    S:  y[m] = sum_p sum_t x[2(m + t) - p] w[1 - p + 2t]
    T:  y[2m + p] = sum_t x[m - 1 + t] w[1 - p + 2t]

of three taps for p = 1 and two for p = 0. A filter of two taps is one of three whose first (S) or last (T) is
0, which leaves its point 0 or 3 without effect: (4 + 3)^2 = 49 products stand for the 100 of four results. Each
point is a matrix product over channels; S joins the parities' channels in it, T their features.

K, the gradient with respect to the kernel, has the transposed matrices, and multiplies the same transform of
the large map as S does: `large_tiles` is computed once for both. Derivatives of any order are made of the same
three (`convolutions.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Grid = list[list[Any]]  # of rows; an entry is an array, or None, which is 0
Tiles = list[list[Float[Array, "tiles parities_channels"]]]  # a matrix for each of 4x4 points

_PARITIES = ((0, 0), (0, 1), (1, 0), (1, 1))
# The point that a filter of two taps leaves without effect: where its first tap is 0, where its last is.
_FIRST, _LAST = 0, 3


def large_tiles(x: Float[Array, "batch 4*rows 4*columns channels"]) -> Tiles:
    """Compute B' d of a large map, at each point the channels of all parities concerned: for S and K.

    49/16 of the map in memory. A tile is of 2x2 results of S; height and width must be divisible by 4.
    """
    batch, height, width, channels = x.shape
    rows, columns = height // 4, width // 4
    # Barriers keep the compiler from computing the map before, or the transform, once for each of its 49 uses.
    x = jax.lax.optimization_barrier(x)
    padded = jnp.pad(x, ((0, 0), (1, 3), (1, 3), (0, 0))).reshape(batch, rows + 1, 4, columns + 1, 4, channels)

    def every_fourth(row, column):
        return padded[:, row // 4 : row // 4 + rows, row % 4, column // 4 : column // 4 + columns, column % 4]

    def places(parity):
        """Return the places of d[0] to d[3] in the padded map, x[2k - 1] of odd and x[2k - 2] of even taps."""
        return [2 * k if parity else (2 * k - 1 if k else None) for k in range(4)]

    def of_parities(p, q):
        grid = [
            [None if None in (row, column) else every_fourth(row, column) for column in places(q)]
            for row in places(p)
        ]
        return _along_both(_transform_data, grid)

    each = {pq: of_parities(*pq) for pq in _PARITIES}

    def at(a, b):
        joined = jnp.concatenate([each[pq][a][b] for pq in _used(a, b, _FIRST)], -1)
        return jax.lax.optimization_barrier(joined.reshape(batch * rows * columns, -1))

    return [[at(a, b) for b in range(4)] for a in range(4)]


def strided(
    tiles: Tiles, kernel: Float[Array, "5 5 channels features"], batch: int, height: int, width: int
) -> Float[Array, "batch height width features"]:
    """Compute S of the large map that the tiles are of; height and width of the result, even."""
    filters, features = _transformed_taps(kernel, _FIRST), kernel.shape[-1]

    def at(a, b):
        return tiles[a][b] @ jnp.concatenate([filters[pq][a][b] for pq in _used(a, b, _FIRST)])

    results = _along_both(_transform_products, [[at(a, b) for b in range(4)] for a in range(4)])
    shape = (batch, height // 2, width // 2, features)
    rows = [jnp.stack([block.reshape(shape) for block in row], 3) for row in results]
    return jax.lax.optimization_barrier(jnp.stack(rows, 2).reshape(batch, height, width, features))


def transposed(
    x: Float[Array, "batch height width channels"], kernel: Float[Array, "5 5 channels features"]
) -> Float[Array, "batch 2*height 2*width features"]:
    """Compute T of a small map; height and width must be even."""
    batch, height, width, channels = x.shape
    rows, columns, features = height // 2, width // 2, kernel.shape[-1]
    x = jax.lax.optimization_barrier(x)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(batch, rows + 1, 2, columns + 1, 2, channels)

    def every_second(row, column):
        return padded[:, row // 2 : row // 2 + rows, row % 2, column // 2 : column // 2 + columns, column % 2]

    data = _along_both(_transform_data, [[every_second(r, c) for c in range(4)] for r in range(4)])
    filters = _transformed_taps(kernel, _LAST)
    products: dict[tuple[int, int], Grid] = {pq: _nothing() for pq in _PARITIES}
    for a in range(4):
        for b in range(4):
            used = _used(a, b, _LAST)
            right = jnp.concatenate([filters[pq][a][b] for pq in used], -1)
            blocks = jnp.split(data[a][b].reshape(-1, channels) @ right, len(used), -1)
            for pq, block in zip(used, blocks):
                products[pq][a][b] = block
    of_parities = {pq: _along_both(_transform_products, grid) for pq, grid in products.items()}

    def row_of(u, p):
        """Join row 2u + p of every tile's four, by their columns 2v + q."""
        parts = [of_parities[p, q][u][v] for v in (0, 1) for q in (0, 1)]
        return jnp.stack([block.reshape(batch, rows, columns, features) for block in parts], 3)

    whole = jnp.stack([row_of(u, p) for u in (0, 1) for p in (0, 1)], 2)
    return jax.lax.optimization_barrier(whole.reshape(batch, 2 * height, 2 * width, features))


def kernel_gradient(
    tiles: Tiles, small: Float[Array, "batch height width features"]
) -> Float[Array, "5 5 channels features"]:
    """Compute K of the large map that the tiles are of, and a small one."""
    batch, height, width, features = small.shape
    small = jax.lax.optimization_barrier(small).reshape(batch, height // 2, 2, width // 2, 2, features)
    results = [[small[:, :, u, :, v].reshape(-1, features) for v in (0, 1)] for u in (0, 1)]
    right = _along_both(_transform_results, results)
    products: dict[tuple[int, int], Grid] = {pq: _nothing() for pq in _PARITIES}
    for a in range(4):
        for b in range(4):
            used = _used(a, b, _FIRST)
            product = jax.lax.dot_general(tiles[a][b], right[a][b], (((0,), (0,)), ((), ())))
            for pq, block in zip(used, jnp.split(product, len(used))):
                products[pq][a][b] = block
    taps = {pq: _along_both(_transform_back_to_taps, grid) for pq, grid in products.items()}

    def tap(i, j):
        """Return w[i, j]: i is 1 - p + 2t, and of the even parity t counts from the tap that is 0."""
        return taps[int(i % 2 == 0), int(j % 2 == 0)][(i + 1) // 2][(j + 1) // 2]

    return jnp.stack([jnp.stack([tap(i, j) for j in range(5)]) for i in range(5)])


# S, T and K by tiles of the large map, which S and K of one map share. They are made of the map and no variable
# of their own: what differentiates sees the map alone.


def strided_convolution(
    x: Float[Array, "batch 4*rows 4*columns channels"], kernel: Float[Array, "5 5 channels features"]
) -> Float[Array, "batch 2*rows 2*columns features"]:
    """Compute S, to be differentiated in reverse, in any order."""
    return _strided_of_tiles(x, _tiles(x), kernel)


def turned(kernel: Float[Array, "5 5 channels features"]) -> Float[Array, "5 5 features channels"]:
    """Return w': by 180 degrees, with channels and features exchanged."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _tiles(x: Array) -> Tiles:
    return large_tiles(jax.lax.stop_gradient(x))


@jax.custom_vjp
def _strided_of_tiles(x: Array, tiles: Tiles, kernel: Array) -> Array:
    return strided(tiles, kernel, x.shape[0], x.shape[1] // 2, x.shape[2] // 2)


def _strided_of_tiles_gradients(saved: tuple[Array, Tiles, Array], dy: Array):
    x, tiles, kernel = saved
    return transposed_convolution(dy, turned(kernel)), None, _kernel_gradient_of_tiles(x, tiles, dy)


@jax.custom_vjp
def transposed_convolution(
    x: Float[Array, "batch height width channels"], kernel: Float[Array, "5 5 channels features"]
) -> Float[Array, "batch 2*height 2*width features"]:
    """Compute T, to be differentiated in reverse, in any order; height and width must be even."""
    return transposed(x, kernel)


def _transposed_gradients(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    tiles = _tiles(dy)
    dx = _strided_of_tiles(dy, tiles, turned(kernel))
    return dx, turned(_kernel_gradient_of_tiles(dy, tiles, x))


@jax.custom_vjp
def _kernel_gradient_of_tiles(large: Array, tiles: Tiles, small: Array) -> Array:
    del large  # the tiles are made of it
    return kernel_gradient(tiles, small)


def _kernel_gradient_of_tiles_gradients(saved: tuple[Array, Tiles, Array], dw: Array):
    large, tiles, small = saved
    return transposed_convolution(small, turned(dw)), None, _strided_of_tiles(large, tiles, dw)


_strided_of_tiles.defvjp(lambda *args: (_strided_of_tiles(*args), args), _strided_of_tiles_gradients)
transposed_convolution.defvjp(lambda *args: (transposed_convolution(*args), args), _transposed_gradients)
_kernel_gradient_of_tiles.defvjp(
    lambda *args: (_kernel_gradient_of_tiles(*args), args), _kernel_gradient_of_tiles_gradients
)


def _transformed_taps(kernel: Array, lost: int) -> dict[tuple[int, int], Grid]:
    """Compute G g of the taps of every parity."""
    first = 1 if lost == _FIRST else 0  # where the two taps of an even parity begin

    def tap(p, q, i, j):
        i, j = (i if p else i - first), (j if q else j - first)
        exists = 0 <= i < 2 + p and 0 <= j < 2 + q
        return kernel[1 - p + 2 * i, 1 - q + 2 * j] if exists else jnp.zeros_like(kernel[0, 0])

    def grid(p, q):
        return [[tap(p, q, i, j) for j in range(3)] for i in range(3)]

    return {pq: _along_both(_transform_taps, grid(*pq)) for pq in _PARITIES}


def _used(a: int, b: int, lost: int) -> list[tuple[int, int]]:
    """List parities (p, q) of rows and columns that point (a, b) concerns."""
    return [(p, q) for p, q in _PARITIES if (p or a != lost) and (q or b != lost)]


def _nothing() -> Grid:
    return [[None] * 4 for _ in range(4)]


def _along_both(transform: Callable[[Sequence[Any]], list[Any]], grid: Grid) -> Grid:
    """Transform every column, then every row."""
    columns = [transform([row[j] for row in grid]) for j in range(len(grid[0]))]
    return [transform([column[a] for column in columns]) for a in range(len(columns[0]))]


def _transform_data(d: Sequence[Any]) -> list[Any]:  # B'
    return [_sum(d[0], _less(d[2])), _sum(d[1], d[2]), _sum(d[2], _less(d[1])), _sum(d[1], _less(d[3]))]


def _transform_taps(g: Sequence[Any]) -> list[Any]:  # G
    even, odd = (g[0] + g[2]) * 0.5, g[1] * 0.5
    return [g[0], even + odd, even - odd, g[2]]


def _transform_products(m: Sequence[Any]) -> list[Any]:  # A'
    return [_sum(m[0], m[1], m[2]), _sum(m[1], _less(m[2]), _less(m[3]))]


def _transform_results(y: Sequence[Any]) -> list[Any]:  # A
    return [y[0], y[0] + y[1], y[0] - y[1], -y[1]]


def _transform_back_to_taps(u: Sequence[Any]) -> list[Any]:  # G'
    even, odd = _half(_sum(u[1], u[2])), _half(_sum(u[1], _less(u[2])))
    return [_sum(u[0], even), odd, _sum(u[3], even)]


def _sum(*terms: Array | None) -> Array | None:
    kept = [term for term in terms if term is not None]
    return sum(kept[1:], kept[0]) if kept else None


def _less(x: Array | None) -> Array | None:
    return None if x is None else -x


def _half(x: Array | None) -> Array | None:
    return None if x is None else 0.5 * x
