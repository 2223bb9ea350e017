"""Which box a map looks through: each split's maps are shared out evenly among its own boxes."""

from collections import Counter
from types import SimpleNamespace

from cosmogan_jax.stages.simulate.nbody_sky import SPLITS, NbodySky


def test_every_split_begins_with_its_first_box_and_ends_with_its_last():
    counts = dict(zip(SPLITS, (12, 4, 9, 10)))
    names = {split: [f"{split}_{n}" for n in range(number)] for split, number in zip(SPLITS, (4, 2, 3, 5))}
    sky = SimpleNamespace(_counts=counts, _names=names)
    first = 0
    for split in SPLITS:
        found = [NbodySky.box(sky, index, split) for index in range(first, first + counts[split])]
        assert found == sorted(found)
        assert set(found) == set(names[split])
        shares = Counter(found).values()
        assert max(shares) - min(shares) <= 1
        first += counts[split]
