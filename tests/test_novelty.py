"""Whether maps are new: searches against brute force, planted copies and collapses, great circles."""

import json
from unittest.mock import ANY

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cosmogan_jax.compare.novelty.band_space import band_space, coordinates
from cosmogan_jax.compare.novelty.birthday import judge_birthday, nearest_others, support_limit
from cosmogan_jax.compare.novelty.distances import copy_distance
from cosmogan_jax.compare.novelty.nearest import judge_copies, nearest, nearest_turned
from cosmogan_jax.compare.novelty.nearest_window import nearest_window, window, window_squares
from cosmogan_jax.emulators.dcgan.networks import Architecture, build_networks
from cosmogan_jax.emulators.interpolation import paths, slerp, smoothness
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.stages import novelty
from cosmogan_jax.stages.novelty import search as novelty_search
from cosmogan_jax.stages.novelty import sources
from cosmogan_jax.summaries import power_spectrum
from cosmogan_jax.symmetries import turned, turned_back

SIZE = 16
SIGMA = 0.02


def sky(seed, maps, size=SIZE):
    """Independent maps: white noise smoothed over about two pixels, of sigma 0.02."""
    noise = np.random.default_rng(seed).normal(size=(maps, size, size))
    for axis in (1, 2, 1, 2):
        noise = 0.5 * noise + 0.25 * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    return (SIGMA * noise / noise.std()).astype(np.float32)


def blocks(maps, size=70):
    return (maps[i : i + size] for i in range(0, len(maps), size))


def reader(maps):
    return lambda start, stop: maps[start:stop]


def rms(a, b):
    return cdist(a.reshape(len(a), -1), b.reshape(len(b), -1)) / np.sqrt(a[0].size)


def turn_search(queries, training, **more):
    return nearest_turned(queries, blocks(training), lambda rows: training[rows], symmetries=False, **more)


def test_nearest_is_that_of_brute_force():
    # More queries than a tile, a last block that is not whole; the common offset is 500 times sigma.
    training, queries = sky(0, 333) + 10, sky(1, 600) + 10
    found = turn_search(queries, training)
    every = rms(queries.astype(np.float64), training.astype(np.float64))
    np.testing.assert_array_equal(found.index, every.argmin(1))
    np.testing.assert_allclose(found.distance, every.min(1), rtol=1e-12)
    np.testing.assert_array_equal(found.turn, 0)


def test_nearest_leaves_out_the_own_parent():
    training = sky(0, 60)
    parents = np.repeat(np.arange(30), 2)
    own = turn_search(training, training, query_parents=parents, parents=parents)
    every = np.where(parents[:, None] == parents, np.inf, rms(training, training))
    np.testing.assert_array_equal(own.index, every.argmin(1))
    with pytest.raises(ValueError, match="query 0 finds none of another parent among 60"):
        turn_search(training[:1], training, query_parents=np.array([4]), parents=np.full(60, 4))
    with pytest.raises(ValueError, match="row 3 holds non-finite values"):
        turn_search(np.where(np.arange(60)[:, None, None] == 3, np.nan, training), training)


def test_turns_and_their_inverses():
    maps = sky(0, 1)
    seen = {turned(maps, turn).tobytes() for turn in range(8)}
    assert len(seen) == 8
    for turn in range(8):
        np.testing.assert_array_equal(turned_back(turned(maps, turn), turn), maps)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_memoriser_is_flagged(noise):
    training, validation = sky(0, 400), sky(1, 100)
    rng = np.random.default_rng(2)
    picked = rng.integers(0, 400, 100)
    copies = training[picked] + noise * sky(3, 100)
    yardstick = turn_search(validation, training)
    found = turn_search(copies, training)
    np.testing.assert_array_equal(found.index, picked)
    np.testing.assert_allclose(found.distance, noise * SIGMA, rtol=0.5)
    verdict = judge_copies(found.distance, yardstick.distance, 0.5)
    assert verdict.copies == 100
    assert verdict.ratio < 0.5
    # Mirrored copies are found over the symmetries, and only there.
    mirrored = np.concatenate([turned(copies[i : i + 1], i % 8) for i in range(100)])
    over = nearest_turned(mirrored, blocks(training), lambda rows: training[rows], symmetries=True)
    np.testing.assert_array_equal(over.index, picked)
    for i in range(16):
        back = turned_back(training[over.index[i : i + 1]], over.turn[i])
        assert rms(back, mirrored[i : i + 1])[0, 0] == pytest.approx(over.distance[i], rel=1e-6, abs=1e-9)
    assert judge_copies(over.distance, yardstick.distance, 0.5).copies == 100
    assert judge_copies(turn_search(mirrored, training).distance, yardstick.distance, 0.5).copies < 20


def test_fresh_maps_are_not_flagged():
    training, validation, fresh = sky(0, 400), sky(1, 100), sky(4, 100)
    verdict = judge_copies(*(turn_search(maps, training).distance for maps in (fresh, validation)), 0.5)
    assert verdict.copies == 0
    assert verdict.ratio == pytest.approx(1, abs=0.03)  # scatter of one distance 0.05, medians of a hundred
    assert verdict.below_smallest < 0.1


def test_spectra_tell_copies_that_pixels_do_not():
    # A copy shifted cyclically is another map in pixels and the same in its spectrum.
    geometry = MapGeometry(SIZE, 1.0)
    l_edges = log_l_edges(geometry, 8)
    training, validation = sky(0, 300), sky(1, 80)
    copies = np.roll(training[:80], (3, 5), (1, 2))
    spectra = jax.jit(lambda kappa: power_spectrum(kappa, l_edges, 1.0, mode_weights="full_plane"))
    power = np.split(np.asarray(spectra(np.concatenate([training, validation, copies]))), [300, 380])
    space = band_space(power[0])
    x = [np.asarray(coordinates(space, p)) for p in power]
    logs = np.log(power[0].astype(np.float64))
    np.testing.assert_allclose(x[0], (logs - logs.mean(0)) / logs.std(0), atol=1e-4)  # float32 of logs of 20
    find = lambda q: nearest(q, blocks(x[0]), lambda rows: x[0][rows])  # noqa: E731
    verdict = judge_copies(find(x[2]).distance, find(x[1]).distance, 0.5)
    assert verdict.copies == 80
    np.testing.assert_array_equal(find(x[2]).index, np.arange(80))
    pixels = judge_copies(
        turn_search(copies, training).distance, turn_search(validation, training).distance, 0.5
    )
    assert pixels.copies == 0
    # A map without structure is finite and far away.
    assert np.isfinite(coordinates(space, jnp.zeros((1, len(l_edges) - 1)))).all()
    with pytest.raises(ValueError, match="no band of the power spectra of 2 real maps varies"):
        band_space(np.ones((2, 5)))


def test_windows_of_whole_maps():
    maps = sky(0, 5, size=48)
    maps[3, 40, 7] = np.nan
    rng = np.random.default_rng(1)
    places = [(int(rng.integers(5)), *rng.integers(0, 33, 2).tolist(), turn) for turn in range(8)]
    queries = np.concatenate(
        [turned_back(window(maps[m], r, c, SIZE)[None], t) for m, r, c, t in places]
    ) + 0.1 * sky(2, 8)
    valid = np.isfinite(queries).all((1, 2))
    queries, places = queries[valid], np.array(places)[valid]
    found = nearest_window(queries, maps, symmetries=True)
    np.testing.assert_array_equal(np.stack(found[:4], axis=1), places)
    np.testing.assert_allclose(found.distance, 0.1 * SIGMA, rtol=0.5)
    # Without the symmetries, against every window one by one; parents leave out the best.
    parents = np.arange(5)
    plain = nearest_window(queries, maps, symmetries=False, query_parents=places[:, 0], parents=parents)
    for i, query in enumerate(queries):
        windows = np.lib.stride_tricks.sliding_window_view(maps, (SIZE, SIZE), (1, 2))
        every = np.sqrt(((windows - query.astype(np.float64)) ** 2).mean((-2, -1)))
        every[places[i, 0]] = np.nan
        assert np.unravel_index(np.nanargmin(every), every.shape) == (
            plain.map[i],
            plain.row[i],
            plain.column[i],
        )
        assert plain.distance[i] == pytest.approx(np.nanmin(every), rel=1e-9)
    squares = window_squares(maps[3], SIZE)
    assert np.isinf(squares).sum() == 8 * 8  # those that begin in rows 25 to 32 and columns 0 to 7


def test_shifts_of_maps_that_are_crops_already():
    maps = sky(0, 20)
    queries = np.stack([np.roll(maps[i], (-i, -2 * i), (0, 1)) for i in range(6)])
    found = nearest_window(queries, maps, symmetries=False)
    np.testing.assert_array_equal(found.map, np.arange(6))
    np.testing.assert_array_equal(found.row, np.arange(6))
    np.testing.assert_array_equal(found.column, 2 * np.arange(6))
    np.testing.assert_array_equal(found.distance, 0)
    with pytest.raises(ValueError, match="map 0 of 16 pixels is smaller than the queries' 48"):
        nearest_window(sky(0, 1, size=48), maps, symmetries=False)


@pytest.mark.parametrize("hold_bytes", [0, 2.5e5, 2**30])
def test_neighbours_are_those_of_brute_force(hold_bytes):
    # 130 maps in tiles of 32: a last tile of two; held none, seven tiles, all.
    maps = sky(0, 130) + 3
    parents = np.repeat(np.arange(65), 2) * 7  # any numbers
    every = np.where(parents[:, None] == parents, np.inf, rms(maps, maps))
    within = np.quantile(every[np.isfinite(every)], 0.01)
    found = nearest_others(
        reader(maps), 130, parents=parents, within=within, num_closest=5, tile_size=32, hold_bytes=hold_bytes
    )
    np.testing.assert_array_equal(found.other, every.argmin(1))
    np.testing.assert_allclose(found.distance, every.min(1), rtol=1e-4)
    assert found.pairs == np.isfinite(every).sum() // 2
    upper = np.triu(np.where(np.isfinite(every), every, np.inf), 1)
    upper[upper == 0] = np.inf
    assert abs(found.within - (upper < within).sum()) <= 1  # one pair may lie on the limit in float32
    best = np.argsort(upper, axis=None)[:3]
    # A closest pair is always some map's nearest; the first ones are the closest of all.
    np.testing.assert_array_equal(found.closest[:1], np.stack(np.unravel_index(best[:1], upper.shape), axis=1))
    np.testing.assert_allclose(found.closest_distance[0], upper.min(), rtol=1e-9)


def test_equal_maps_are_at_distance_zero():
    maps = sky(0, 50) + 3
    maps[41] = maps[7]
    found = nearest_others(reader(maps), 50, tile_size=16)
    np.testing.assert_array_equal(found.closest[0], [7, 41])
    assert found.closest_distance[0] == 0
    assert found.distance[7] < 1e-3 * SIGMA  # products of float32: 1e-3 of sigma
    with pytest.raises(ValueError, match="60 maps of 1 parents hold no pair"):
        nearest_others(reader(maps), 60, parents=np.zeros(60, int))
    maps[20, 0, 0] = np.inf
    with pytest.raises(ValueError, match="maps from 16: row 4 holds non-finite values"):
        nearest_others(reader(maps), 50, tile_size=16)


def birthday(generated, real, parents=None, batches=1):
    yardstick = nearest_others(reader(real), len(real), parents=parents)
    threshold = copy_distance(yardstick.distance, 0.5)
    found = [nearest_others(reader(part), len(part), within=threshold) for part in np.split(generated, batches)]
    return judge_birthday(yardstick, found, 0.5)


def test_a_collapse_is_flagged_and_counted():
    real = sky(0, 600)
    few = sky(1, 40)[np.random.default_rng(2).integers(0, 40, 600)]
    verdict = birthday(few + 0.05 * sky(3, 600), real)
    assert verdict.status == "collisions"
    assert verdict.pairs == 600 * 599 // 2
    # Pairs over collisions estimates how many maps there are.
    assert verdict.pairs / verdict.collisions == pytest.approx(40, rel=0.1)
    assert 30 < verdict.support_above < 40
    assert verdict.nearest_ratio < 0.2
    # A memoriser of 400 training maps too: 600^2 / 800 = 450 pairs are expected, give or take 21.
    memorised = real[np.random.default_rng(4).integers(0, 400, 600)] + 0.1 * sky(5, 600)
    assert 350 < birthday(memorised, real).collisions < 550


def test_distinct_maps_are_not():
    verdict = birthday(sky(1, 600), sky(0, 300), batches=2)
    assert (verdict.status, verdict.collisions, verdict.real_collisions) == ("none", 0, 0)
    assert verdict.nearest_ratio == pytest.approx(1, abs=0.03)
    assert verdict.support_above == pytest.approx(300 * 299 / np.log(20))
    assert birthday(sky(1, 200), sky(0, 300)).nearest_ratio is None  # nearest distances fall with the number


def test_a_yardstick_that_fails_is_told():
    # Real crops that are twice in the data under two parents' names leave nothing to compare with.
    twice = np.repeat(sky(0, 100), 2, axis=0)
    verdict = birthday(sky(1, 200), twice)
    assert (verdict.status, verdict.support_above) == ("no yardstick", None)
    # One such pair among many does not: the quantile passes it by. It shows as a real collision.
    once = sky(0, 3000)
    once[1] = once[0]
    found = birthday(sky(1, 300), once)
    assert (found.real_collisions, found.status) == (1, "none")
    # As many pairs among as many generated maps say nothing then; many do.
    pair = sky(1, 3000)
    pair[5] = pair[17]
    assert birthday(pair, once).status == "as real"
    pair[:20] = pair[17]
    assert birthday(pair, once).status == "collisions"
    # Crops that overlap are no pair where their parent is known.
    wide = sky(0, 100, size=SIZE + 1)
    overlapping = np.concatenate([wide[:, :SIZE, :SIZE], wide[:, :SIZE, :SIZE]])
    assert birthday(sky(1, 200), overlapping, parents=np.tile(np.arange(100), 2)).status == "none"
    with pytest.raises(ValueError, match="fraction=1 must lie between 0 and 1"):
        copy_distance(np.ones(3), 1)


def test_support_limits():
    assert support_limit(32768 * 32767 // 2, 0) == pytest.approx(1.79e8, rel=2e-3)
    assert support_limit(6 * 32768 * 32767 // 2, 0) > 1e9
    # One pair: the Poisson upper limit on its mean is 4.744 at 95 %.
    assert support_limit(1000, 1) == pytest.approx(1000 / 4.744, rel=1e-3)
    # Its meaning: with N = n^2 / 6 equally likely maps, 5 % of batches hold no pair.
    n, trials = 60, 4000
    total = round(support_limit(n * (n - 1) // 2, 0))
    drawn = np.sort(np.random.default_rng(0).integers(0, total, (trials, n)), axis=1)
    without = (np.diff(drawn, axis=1) > 0).all(1).mean()
    assert without == pytest.approx(0.05, abs=0.015)  # binomial scatter 0.0034, and n/N is not small


def test_great_circles():
    rng = np.random.default_rng(0)
    a, b = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 64)))
    omega = np.arccos(a @ b)
    along, walked = jax.jit(slerp), jax.jit(paths, static_argnums=2)
    for t in (0.0, 0.3, 1.0):
        shoemake = (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / np.sin(omega)
        np.testing.assert_allclose(along(a, b, t), shoemake, atol=1e-6)
    # Lengths change linearly; equal and opposite ends are defined, and so are nearly such ones.
    np.testing.assert_allclose(np.linalg.norm(along(3 * a, 5 * b, 0.25)), 3.5, rtol=1e-6)
    np.testing.assert_allclose(along(a, 2 * a, 0.5), 1.5 * a, atol=1e-6)
    opposite = np.asarray(walked(a[None], -a[None], 4)[0])
    np.testing.assert_allclose(np.linalg.norm(opposite, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(opposite @ a, np.cos(np.linspace(0, np.pi, 5)), atol=1e-6)
    for near in (1e-7, 1e-5, 1e-3):
        for sign in (1, -1):
            end = sign * a + near * b
            walk = np.asarray(walked(a[None], end[None], 4)[0])
            np.testing.assert_allclose(walk[[0, -1]], [a, end], atol=3e-5)
            steps = np.linalg.norm(np.diff(walk, axis=0), axis=1)
            np.testing.assert_allclose(steps, steps.mean(), atol=1e-5, rtol=1e-3)
    with pytest.raises(ValueError, match="num_steps=0 must be positive"):
        paths(a[None], b[None], 0)


def test_smoothness_tells_a_walk_from_a_jump():
    # Maps at right angles, each of rms sigma: sqrt(2) sigma from each other.
    independent = SIGMA * SIZE * np.linalg.qr(sky(0, 20).reshape(20, -1).T)[0].T.reshape(20, SIZE, SIZE)
    ends, t = independent[:2], np.linspace(0, np.pi / 2, 33)[:, None, None]
    walk = np.cos(t) * ends[0] + np.sin(t) * ends[1]
    jump = np.where(t < 0.7, ends[0], ends[1]) + 0.01 * walk
    found = smoothness(np.stack([walk, jump]), independent)
    step = 2 * np.sin(np.pi / 4 / 32) / np.sqrt(2)  # chord of a quarter circle's 32nd part
    np.testing.assert_allclose(found.largest_over_independent, [step, 1], rtol=0.02)
    np.testing.assert_allclose(found.length[0], 32 * step, rtol=1e-5)
    np.testing.assert_allclose(found.largest_over_mean[0], 1, rtol=1e-5)
    assert found.largest_over_mean[1] > 20  # 32 where nothing moves but in one step
    np.testing.assert_allclose(found.halving, [0.5, 1], atol=0.01)
    with pytest.raises(ValueError, match="4 points and 20 independent maps"):
        smoothness(np.zeros((1, 4, 2, 2)), np.zeros((20, 2, 2)))


def test_last_convolution_is_what_the_dense_layer_sees():
    disc = build_networks(Architecture(SIZE, 4, 2, 8, "stock")).disc
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(disc.init, jax.random.key(0))
    params, stats = jax.tree.map(lambda leaf: rng.uniform(0.1, 1, leaf.shape).astype(np.float32), shapes)
    assert set(params) == {*(f"conv{i}" for i in range(1, 5)), *(f"bn{i}" for i in range(2, 5)), "dense"}
    x = jnp.asarray(sky(0, 3)) / SIGMA
    hidden, y = jax.jit(
        lambda x: (disc.last_convolution(params, stats, x), disc.apply(params, stats, x, train=False)[0])
    )(x)
    assert hidden.shape == (3, 16)
    logits = hidden @ params["dense"]["kernel"][:, 0] + params["dense"]["bias"]
    np.testing.assert_allclose(y, logits, rtol=1e-5)


def test_the_stage(run_main, tiny_run, tmp_path, monkeypatch):
    flags = [
        *tiny_run, f"--workdir={tmp_path}/run", "--crops_per_map=10", "--num_steps=1", "--num_generated=12",
        "--checkpoint=last", "--stages=prepare,train,generate,novelty", "--novelty_l_bins=6",
        "--novelty_maps=24", "--novelty_queries=10", "--novelty_steps=4", "--novelty_batches=2",
        "--novelty_shifts", "--novelty_symmetries",
    ]  # fmt: skip
    run = tmp_path / "run"

    def broken(*_):
        raise ValueError("it broke off")

    # Interrupted when all searches are done: their parts are whole, and the next run does not search again.
    with monkeypatch.context() as patch:
        patch.setattr(novelty, "_interpolate", broken)
        assert run_main(*flags)[0::2] == (1, ANY)
    assert len(list((run / "novelty.partial").glob("part_*.npz"))) == 3 + 3 * (1 + 2)
    for name in ("nearest", "nearest_turned", "nearest_window", "nearest_others"):
        monkeypatch.setattr(novelty_search, name, broken)
    code, said, err = run_main(*flags)
    assert code == 0, err
    assert not list((run / "novelty").glob("part_*"))
    found = json.loads((run / "novelty/novelty.json").read_text())
    with np.load(run / "novelty/novelty.npz", allow_pickle=False) as file:
        arrays = dict(file)
    # A generator of one step makes one map whatever z: a collapse, told on the terminal and in the file.
    assert "pixels: WARNING: 552 pairs the same, as of about 1 distinct maps" in said
    assert found["verdict"]["collisions"]
    assert set(found["nearest"]) == {"pixels", "spectrum", "windows"}
    assert set(found["birthday"]) == {"pixels", "spectrum", "discriminator"}
    assert found["num_training_crops"] == 60
    assert (found["features"]["name"], found["features"]["step"]) == ("discriminator", 1)
    assert found["left_out"] == {}
    # Windows of the maps hold all crops: the nearest is nearer.
    assert (arrays["nearest_windows_generated"] <= arrays["nearest_pixels_generated"] + 1e-9).all()
    assert arrays["birthday_pixels_generated"].shape == (48,)
    for i in range(len(arrays["shown"])):
        for name in ("pixels", "windows"):
            apart = rms(arrays["shown_generated"][i : i + 1], arrays[f"shown_{name}"][i : i + 1])[0, 0]
            assert apart == pytest.approx(arrays[f"nearest_{name}_generated"][arrays["shown"][i]], rel=1e-6)


def test_given_maps_of_a_memoriser(run_main, tiny_run, tmp_path):
    """Files with fewer maps than asked for: copies are found, and nothing is interpolated."""
    flags = [
        *tiny_run, f"--workdir={tmp_path}/run", "--crops_per_map=10", "--novelty_l_bins=6",
        "--stages=prepare,novelty", "--judged_side_deg=0.5",
    ]  # fmt: skip
    fresh = (SIGMA * np.random.default_rng(3).normal(size=(9, SIZE, SIZE))).astype(np.float32)
    np.save(tmp_path / "maps.npy", fresh)
    code, said, error = run_main(*flags, f"--generated={tmp_path}/maps.npy")
    assert code == 0, error
    table = open_crop_table(tmp_path / "run/prepare")
    found = json.loads((tmp_path / "run/novelty/novelty.json").read_text())
    assert (found["num_maps"], found["num_queries"], found["num_training_crops"]) == (9, 9, 60)
    assert (found["verdict"]["copies"], found["interpolation"], found["step"]) == (False, None, None)
    assert set(found["birthday"]) == {"pixels", "spectrum"}
    assert found["left_out"] == {
        "features": "the maps come without the training that made their generator",
        "interpolation": "the maps come without their generator",
    }

    np.save(tmp_path / "maps.npy", table.cut(table.crops["train"][:9])[..., 0])
    code, said, error = run_main(*flags, f"--generated={tmp_path}/maps.npy")
    assert code == 0, error
    assert "WARNING: 9 of 9 maps copy training maps (pixels)" in said
    assert json.loads((tmp_path / "run/novelty/novelty.json").read_text())["verdict"]["copies"]

    for maps, told in (
        (fresh[:1], "generated: 1 map from"),
        (fresh[:, :8, :8], "generated maps have 8 pixels over 0.5 deg, training crops 16 over 0.5"),
        (np.full_like(fresh, np.nan), "maps.npy[0] holds no valid pixel"),
    ):
        np.save(tmp_path / "maps.npy", maps)
        code, _, error = run_main(*flags, f"--generated={tmp_path}/maps.npy")
        assert code == 1
        assert told in error, error


class Turns:
    """A store and an emulator in one: maps are (seed's number, cosmology), at three cosmologies in turn."""

    num_maps, path = 60, "store"

    def __init__(self, matched):
        self.matched, self.manifest, self.drawn = matched, self, 0
        self.parameters = {"sigma8": [0.7, 0.8, 0.9] * 20}
        self.parents = [n // 3 if matched else n for n in range(60)]
        self.seed = 4

    def read(self, start, stop):
        number = np.arange(start, stop)
        seed = number // 3 if self.matched else number
        return self.maps(seed, np.array(self.parameters["sigma8"])[number])

    def key(self, seed):
        return jax.random.key(seed)

    def draw(self, key, index, theta):
        self.drawn += 1
        return self.maps(index, theta[:, 0])

    @staticmethod
    def maps(seed, sigma8):
        return jnp.stack([jnp.asarray(seed, jnp.float32), jnp.asarray(sigma8, jnp.float32)], -1)[
            :, None, :, None
        ]


@pytest.mark.parametrize("matched", [False, True])
def test_maps_of_several_cosmologies_are_of_every_seed_one_whether_they_are_stored_or_made_anew(matched):
    """Near copies by right, of one seed at two cosmologies, are not among them."""
    store, emulator = Turns(matched), Turns(matched)
    emulator.parameters = ("sigma8",)
    np.testing.assert_allclose(sources.cosmologies_in_turn(store, ("sigma8",)), [[0.7], [0.8], [0.9]])
    assert sources.cosmologies_in_turn(store, ()).shape == (1, 0)
    few, many = (sources.read_generated(store, emulator, wanted) for wanted in (20, 64))
    expected = np.stack([np.arange(20), np.tile([0.7, 0.8, 0.9], 7)[:20]], -1)
    for read in (few, many):
        maps = np.concatenate([np.asarray(read(0, 5)), np.asarray(read(5, 20))])
        np.testing.assert_allclose(maps[:, 0], expected, rtol=1e-6)
    assert emulator.drawn  # 64 are not in the store


class TwoBins:
    """A store and an emulator in one: map n holds n in its first bin, and 100 + n in its second."""

    num_maps, path, parents, parameters, seed = 6, "store", [*range(6)], {}, 4

    def __init__(self, which=slice(None)):
        self.which, self.manifest = which, self

    def only(self, number):
        return TwoBins(slice(number, number + 1))

    def read(self, start, stop):
        return np.asarray(self.draw(None, np.arange(start, stop), None))[..., self.which]

    def key(self, seed):
        return jax.random.key(seed)

    def draw(self, key, index, theta):
        index = jnp.asarray(index, jnp.float32)
        return jnp.stack([index, 100 + index], -1)[:, None, None, :]


def test_of_several_bins_one_is_read_whether_it_is_stored_or_made_anew():
    emulator = TwoBins()
    emulator.parameters = ()
    for wanted in (6, 9):  # nine are not in the store
        read = sources.read_generated(TwoBins(), emulator, wanted, 1)
        np.testing.assert_array_equal(np.asarray(read(2, 6))[:, 0, 0], [102, 103, 104, 105])
    with pytest.raises(ValueError, match="maps of 2 source bins"):
        sources.read_generated(TwoBins(), emulator, 6)(0, 2)
