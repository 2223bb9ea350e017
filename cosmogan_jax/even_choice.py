"""Some of many, chosen evenly: from all over a set, and as many of each group as of any other.

What stands first in a set is seldom like the rest: maps stand box by box, and cosmology by cosmology. NumPy.
"""

import numpy as np
from jaxtyping import Int, Shaped


def evenly_spread(count: int, most: int) -> Int[np.ndarray, " some"]:
    """Return at most so many of the numbers 0 to count - 1, evenly spread over them, from 0 on."""
    some = min(count, most)
    return np.arange(some) * count // max(some, 1)


def turns(
    labels: Shaped[np.ndarray, " items"],
) -> tuple[Int[np.ndarray, " items"], Int[np.ndarray, " items"]]:
    """Return the items group by group, in the order of their labels, and each one's number in its group."""
    order = np.argsort(labels, kind="stable")
    _, counts = np.unique(labels, return_counts=True)
    return order, np.concatenate([np.arange(0), *(np.arange(count) for count in counts)])


def equally_of_each(labels: Shaped[np.ndarray, " items"], most: int | None) -> Int[np.ndarray, " some"]:
    """Return at most so many items, in ascending order: as many of each label as of any other while they last.

    Where some labels have one item more than others, these are spread evenly over all labels that have one.
    None: all items.
    """
    order, turn = turns(labels)
    if most is not None and most < len(order):
        in_turn = np.argsort(turn, kind="stable")
        last = turn[in_turn[most]]
        whole, cut = in_turn[turn[in_turn] < last], in_turn[turn[in_turn] == last]
        order = order[np.concatenate([whole, cut[evenly_spread(len(cut), most - len(whole))]])]
    return np.sort(order)
