"""Where crops lie: random positions in every map, each split its own."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from cosmogan_jax.maps.crop_table import SPLITS
from cosmogan_jax.maps.store import MapStore
from cosmogan_jax.settings import Prepare


def counts_by_split(splits: list[str], settings: Prepare) -> dict[str, dict[str, int]]:
    """Return how many crops a map gives to each split, by the map's own split.

    split_by=map: crops_per_map, all to the map's split. split_by=crops (the paper's other variant): a map
    that is not auxiliary gives crops_per_map to train, and in proportion to the shares more to development
    and validation; a split that has maps given for it alone (they come labelled so from files) keeps those.
    """
    whole = settings.crops_per_map
    counts = {split: {split: whole} for split in dict.fromkeys(splits)}
    if settings.split_by == "crops":
        apart = {split for split in ("development", "validation") if getattr(settings, f"{split}_maps")}
        shares = {
            split: getattr(settings, f"{split}_share")
            for split in ("development", "validation")
            if split not in apart
        }
        train = 1.0 - sum(shares.values())
        pooled = {"train": whole} | {
            split: max(1, round(whole * share / train)) for split, share in shares.items()
        }
        counts |= {split: pooled for split in counts if split != "auxiliary" and split not in apart}
    return counts


def num_positions(image: tuple[int, int], crop_size: int) -> int:
    """Count where a crop can lie in a map of these rows and columns without invalid pixels."""
    return (image[0] - crop_size + 1) * (image[1] - crop_size + 1)


def check_positions(
    names: list[str], positions: list[int], image: tuple[int, int], splits: list[str], settings: Prepare
) -> None:
    """Check that each map, by name and split, has positions enough for the crops that are asked of it.

    Raises:
      ValueError: a map with fewer positions than crops asked for.
    """
    side = image[0] if image[0] == image[1] else f"{image[0]}x{image[1]}"
    wanted, whole = counts_by_split(splits, settings), num_positions(image, settings.crop_size)
    for name, free, split in zip(names, positions, splits, strict=True):
        total = sum(wanted[split].values())
        if total > free:
            by = " (training, development and validation crops)" if len(wanted[split]) > 1 else ""
            masked = f" and more masked ones than --mask_max_fraction={settings.mask_max_fraction:g}"
            without = f" free of invalid pixels{masked if settings.mask else ''}"
            raise ValueError(
                f"crops_per_map={settings.crops_per_map} asks for {total} crops of a map{by}, more than the "
                f"{free} positions{'' if free == whole else without} of a crop of "
                f"{settings.crop_size} pixels in {name}, of {side}"
            )


def draw_crops(
    store: MapStore,
    settings: Prepare,
    limit: float | Float[np.ndarray, " bins"],
    trained_bin: int | None = 0,
    observed: Callable[[int], Bool[np.ndarray, "height width"] | None] = lambda index: None,
) -> tuple[dict[str, Int[np.ndarray, "crops 3"]], dict[str, float]]:
    """Draw crop positions (map, row, column) by split; count the training crops that hold extreme pixels.

    Positions of one map are drawn without replacement, from (seed, number of the map) alone, among those
    whose crop holds valid pixels only, in all bins of sources, and no more masked ones than --mask_max_fraction
    allows.

    Args:
      trained_bin: the bin that is trained on; None: all of them.
      observed: where a map of the store is not masked; None where nothing is known to be.

    Returns:
      the table; and the shares of training crops with a pixel outside [-1, 1] (paper: below 0.9 %) and outside
      [-limit, limit], in the bin that is trained on, or in any by its own limit.

    Maps with fewer positions than crops are found before (check_positions).
    """
    size = settings.crop_size
    room = store.image_shape[1] - size + 1
    whole = num_positions(store.image_shape, size)
    wanted = counts_by_split(store.manifest.splits, settings)
    tables: dict[str, list] = {split: [] for split in SPLITS}
    outside = np.zeros(2, np.int64)
    gaps = store.manifest.invalid_pixels > 0
    for index, split in enumerate(store.manifest.splits):
        counts = wanted[split]
        total = sum(counts.values())
        mask = observed(index)
        avoids = gaps or mask is not None
        every = store.read(index, index + 1)[0] if avoids or "train" in counts else None
        # No crop holds a pixel that is invalid in a bin, trained on or not.
        valid = (
            valid_positions(every.sum(-1), size, mask, settings.mask_max_fraction)
            if avoids and every is not None
            else None
        )
        positions = whole if valid is None else len(valid)
        rng = np.random.Generator(np.random.Philox(key=[settings.seed, index]))
        place = rng.choice(positions, total, replace=False)
        place = place if valid is None else valid[place]
        crops = np.stack([np.full_like(place, index), place // room, place % room], axis=1).astype(np.int32)
        first = 0
        for target, count in counts.items():
            tables[target].append(crops[first : first + count])
            first += count
        if "train" in counts and every is not None:
            kappa = np.abs(every if trained_bin is None else every[..., trained_bin, None])
            beyond = [(kappa > bound).any(-1) for bound in (1.0, limit)]
            outside += [_crops_holding(pixels, crops[: counts["train"]], size) for pixels in beyond]
    joined = {split: np.concatenate(table) for split, table in tables.items() if table}
    shares = outside / len(joined["train"])
    return joined, {"outside_unit_range": float(shares[0]), "outside_network_range": float(shares[1])}


def _window_sums(flags: np.ndarray) -> Int[np.ndarray, "height width"]:
    """Return cumulative sums with a border of zeros, four of which give the count in any rectangle."""
    return np.pad(flags.astype(np.int32).cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _in_windows(sums: np.ndarray, row: np.ndarray, column: np.ndarray, size: int) -> np.ndarray:
    return (
        sums[row + size, column + size]
        - sums[row, column + size]
        - sums[row + size, column]
        + sums[row, column]
    )


def valid_positions(
    kappa: Float[np.ndarray, "height width"],
    size: int,
    observed: Bool[np.ndarray, "height width"] | None = None,
    most_masked: float = 0.0,
) -> Int[np.ndarray, " positions"]:
    """Return row-major numbers of positions whose crop is finite, with at most so many pixels masked."""
    row, column = np.ogrid[: kappa.shape[0] - size + 1, : kappa.shape[1] - size + 1]
    valid = _in_windows(_window_sums(~np.isfinite(kappa)), row, column, size) == 0
    if observed is not None:
        # A share of 0.1 means 10 of 100 pixels, which 0.1 * 100 rounds to.
        valid &= _in_windows(_window_sums(~observed), row, column, size) <= round(most_masked * size**2, 6)
    return np.flatnonzero(valid.ravel())


def _crops_holding(pixels: Bool[np.ndarray, "height width"], crops: np.ndarray, size: int) -> int:
    """Count the crops that hold one of these pixels."""
    sums = _window_sums(pixels)
    return int((_in_windows(sums, crops[:, 1], crops[:, 2], size) > 0).sum())
