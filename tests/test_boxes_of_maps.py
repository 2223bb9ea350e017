"""Which box a map looks through: each split's maps are shared out evenly among its own boxes."""

from collections import Counter

from cosmogan_jax.maps.crop_table import SPLITS
from cosmogan_jax.stages.simulate.nbody_sky import box_of_map


def test_every_split_begins_with_its_first_box_and_ends_with_its_last():
    counts = dict(zip(SPLITS, (12, 4, 9, 10)))
    names = {split: [f"{split}_{n}" for n in range(number)] for split, number in zip(SPLITS, (4, 2, 3, 5))}
    first = 0
    for split in SPLITS:
        boxes = [box_of_map(index, split, names, counts) for index in range(first, first + counts[split])]
        assert boxes == sorted(boxes)
        assert set(boxes) == set(names[split])
        shares = Counter(boxes).values()
        assert max(shares) - min(shares) <= 1
        first += counts[split]
