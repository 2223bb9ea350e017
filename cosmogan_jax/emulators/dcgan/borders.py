"""Features that a generator computes at each resolution, so that zero padding shows in its maps or does not.

A transposed convolution (T of `layers/convolutions.py`) takes output n from inputs floor(n/2) - 1 to
floor((n + 1)/2) along each axis; beyond its input it takes zeros. With borders "zeros", the paper's form, every
resolution holds the map's own side and nothing else, and the outermost pixels of the maps have seen zeros: in
four layers the first 30 rows and columns and the last 15. With borders "canvas" each resolution holds all that
the next needs, and outputs made with zeros are cut away after every layer. For outputs A to B (exclusive):

    floor(A/2) - 1   to   floor(B/2) + 1

which from (0, S) leads to -1 and one more than half of S, and from the second layer down to -2 and one more:
19x19 features instead of 16x16 at the base of the paper's maps. The features of the dense layer are then the
generator's only borders, and none of them is nearer to a zero than another.
"""

from typing import Literal

Borders = Literal["zeros", "canvas"]
BORDERS = ("zeros", "canvas")


def feature_ranges(map_size: int, num_layers: int, borders: Borders) -> list[tuple[int, int]]:
    """Return (first, stop) along each axis of the features before layer 1 to num_layers, and of the map.

    In units of that resolution's pixels, 0 where the map begins.
    """
    if borders == "zeros":
        return [(0, map_size // 2 ** (num_layers - layer)) for layer in range(num_layers + 1)]
    ranges = [(0, map_size)]
    for _ in range(num_layers):
        first, stop = ranges[-1]
        ranges.append((first // 2 - 1, stop // 2 + 1))
    return ranges[::-1]
