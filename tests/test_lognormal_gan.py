"""The lognormal GAN's parts: the base field, its canvases, the networks, and a step that resumes to the bit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cosmogan_jax.emulators import bands
from cosmogan_jax.emulators.interface import Batch
from cosmogan_jax.emulators.lognormal_gan import base, fields, tails, waves
from cosmogan_jax.emulators.lognormal_gan.discriminator import Discriminator, Standard
from cosmogan_jax.emulators.lognormal_gan.engine import make_engine, make_model
from cosmogan_jax.emulators.lognormal_gan.generator import Generator, reach
from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan, model_of
from cosmogan_jax.emulators.lognormal_gan.schedule import learning_rate, matching_rate
from cosmogan_jax.emulators.moving_average import moved
from cosmogan_jax.settings import Train
from cosmogan_jax.settings.lognormal_gan import LognormalGan as OwnSettings
from cosmogan_jax.summaries.pixels import block_means

pytestmark = pytest.mark.usefixtures("quick")

SIZE, SPREAD, MEAN, SIGMA = 32, 0.4, 0.1, 0.02
SCALES = fields.COARSE


def power(k):
    """A sky's: falling, and cut off below the pixel."""
    return np.where(k > 0, (k + 0.1) ** -1.8 * np.exp(-(k**2) / 2), 0.0)


@pytest.fixture(scope="module")
def sky():
    """Lognormal maps of a known spread, cut from large ones: no wrap is seen in them."""
    side, rng, found = 512, np.random.default_rng(3), []
    shape = power(waves.wave_numbers((side, side)))
    for _ in range(12):
        white = np.fft.fft2(rng.normal(size=(side, side)))
        g = np.fft.ifft2(white * np.sqrt(shape / shape.mean())).real
        y = np.exp(SPREAD * g - SPREAD**2 / 2) - 1
        blocks = y.reshape(side // SIZE, SIZE, side // SIZE, SIZE).swapaxes(1, 2).reshape(-1, SIZE, SIZE)
        found.append(blocks * SIGMA / np.sqrt(np.expm1(SPREAD**2)) + MEAN)
    return np.concatenate(found).astype(np.float32)


@pytest.fixture(scope="module")
def of_sky(sky):
    return base.measured([sky[:1000], sky[1000:]])


def test_the_lognormal_field_behind_the_maps_is_found(sky, of_sky):
    # 12 skies of some 500 independent patches each know sigma to 1 %, the skewness (1.32) to 4 %.
    assert float(of_sky.mean) == pytest.approx(MEAN, abs=0.02 * SIGMA)
    assert float(of_sky.sigma) == pytest.approx(SIGMA, rel=0.03)
    assert float(of_sky.spread) == pytest.approx(SPREAD, rel=0.06)
    assert float(of_sky.shift) == pytest.approx(1 / np.sqrt(np.expm1(SPREAD**2)), rel=0.07)
    skewness = (((sky - sky.mean(dtype=np.float64)) / sky.std(dtype=np.float64)) ** 3).mean()
    shift, spread = tails.shift_of(skewness)
    assert (np.exp(spread**2) + 2) * np.sqrt(np.expm1(spread**2)) == pytest.approx(skewness, rel=1e-6)
    assert float(of_sky.shift) == pytest.approx(shift, rel=1e-4)


def skewness_of_blocks(maps, pixels):
    means = block_means(np.asarray(maps, np.float64), pixels)
    off = means - means.mean()
    return (off**3).mean() / (off**2).mean() ** 1.5


def test_of_a_lognormal_sky_blocks_tell_what_pixels_do(sky, of_sky):
    """The closed form of a lognormal field: its blocks' third moment is that of the same shift."""
    of_blocks = base.measured([sky], blocks=4)
    # The blocks' skewness is known less well than the pixels', of which there are 16 times as many.
    assert float(of_blocks.spread) == pytest.approx(float(of_sky.spread), rel=0.08)
    np.testing.assert_array_equal(of_blocks.amplitude, of_sky.amplitude)
    with pytest.raises(ValueError, match=r"averaged over blocks of base_blocks=4 pixels in network units must"):
        base.measured([-sky], blocks=4)


def test_parts_and_an_offset_change_nothing(sky, of_sky):
    again = base.measured([sky[:7], sky[7:8], sky[8:]])
    for one, other in zip(jax.tree.leaves(of_sky), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-7)
    moved_up = base.measured([(sky * 3 + 5).astype(np.float64)])
    assert float(moved_up.mean) == pytest.approx(3 * float(of_sky.mean) + 5, rel=1e-6)
    assert float(moved_up.sigma) == pytest.approx(3 * float(of_sky.sigma), rel=1e-4)
    np.testing.assert_allclose(moved_up.amplitude, of_sky.amplitude, rtol=2e-3, atol=1e-4)


def drawn(of_sky, count, size, seed=0):
    def one(n):
        return fields.draw(jax.random.fold_in(jax.random.key(seed), n), size, size)

    @jax.jit
    def some(index):
        return fields.inputs(of_sky, jax.vmap(one)(index))

    parts = [some(jnp.arange(start, start + 50)) for start in range(0, count, 50)]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def test_blocks_of_the_base_are_as_skewed_as_asked():
    """A sum of two lognormal skies, the smoother one with the longer tail: no one field has both skewnesses."""
    rng, side = np.random.default_rng(6), 512
    k = waves.wave_numbers((side, side))
    maps = []
    for _ in range(24):
        parts = []
        for width, spread in ((3.0, 0.5), (0.8, 0.1)):
            colour = np.exp(-((k * width) ** 2) / 2)
            white = np.fft.fft2(rng.normal(size=(side, side)))
            g = np.fft.ifft2(white * colour / np.sqrt((colour**2).mean())).real
            parts.append(np.expm1(spread * g - spread**2 / 2) / np.sqrt(np.expm1(spread**2)))
        y = (parts[0] + parts[1]) / np.sqrt(2)
        maps.append(y.reshape(side // 64, 64, side // 64, 64).swapaxes(1, 2).reshape(-1, 64, 64))
    maps = np.concatenate(maps)
    found = {blocks: base.measured([maps], blocks=blocks) for blocks in (1, 8)}
    skewness = {blocks: skewness_of_blocks(drawn(own, 300, 96).base, 8) for blocks, own in found.items()}
    expected = skewness_of_blocks(maps, 8)
    # 300 maps of some 100 independent patches know it to a few per cent, the sky as well.
    assert skewness[8] == pytest.approx(expected, rel=0.15)
    assert skewness[1] < 0.7 * expected


@pytest.fixture(scope="module")
def of_base(of_sky):
    return drawn(of_sky, 600, SIZE)


def test_base_maps_have_the_training_maps_power_and_skewness(sky, of_base):
    y = of_base.base
    # 600 maps of some 10 independent patches each.
    assert y.mean() == pytest.approx(0, abs=0.06)
    assert y.std() == pytest.approx(1, rel=0.04)
    assert (y**3).mean() == pytest.approx((np.exp(SPREAD**2) + 2) * np.sqrt(np.expm1(SPREAD**2)), rel=0.15)
    x = (sky - MEAN) / SIGMA
    mean_power = [
        np.exp(np.asarray(bands.log_band_power(jnp.asarray(maps)), np.float64)).mean(0) for maps in (y, x)
    ]
    ratio = mean_power[0] / mean_power[1]
    # Every band to Nyquist; the corners, of 1e-4 of the largest band, hold what an exponential adds.
    np.testing.assert_allclose(ratio[:-1], 1, atol=0.12)
    assert 0.5 < ratio[-1] < 2


def test_the_base_is_of_the_wider_maps_whose_long_waves_no_crop_holds(sky):
    """Power of waves that fit into 32 pixels and not into 16, over the sky's own."""
    halves = sky.reshape(-1, 2, 16, 2, 16).swapaxes(2, 3).reshape(-1, 16, 16)
    k = waves.wave_numbers((512, 512))
    engine = make_engine(make_model(SETTINGS), SETTINGS, None)
    state = engine.begin(
        engine.init(jax.random.key(4)), lambda: iter([halves[:2000, ..., None]]), lambda: iter([sky[..., None]])
    )
    at = waves.WAVES
    long = (at > 2 * np.pi / 32) & (at < 2 * np.pi / 20)
    # The lognormal field's own power is what its Gaussian's correlation makes of it.
    of_g = np.fft.ifft2(power(k) / power(k).mean()).real
    of_y = np.fft.fft2(np.expm1(SPREAD**2 * of_g)).real / np.expm1(SPREAD**2)
    true = np.interp(at[long], k[0, :200], of_y[0, :200])
    found, of_crops = (
        np.mean(np.asarray(of.amplitude)[long] ** 2 / true) for of in (state.base, base.measured([halves]))
    )
    assert found == pytest.approx(1, abs=0.1)
    assert of_crops < found - 0.05, (found, of_crops)


def test_a_fresh_network_begins_with_the_training_maps_power_in_every_direction():
    """Beside the noise it begins with, on maps whose axes hold up to 20 times their diagonals' power."""
    side, fourfold, found = 256, 1.5, []
    rng, k = np.random.default_rng(5), waves.wave_numbers((side, side))
    anisotropic = power(k) * np.exp(fourfold * (k / np.pi).clip(0, 1) * waves.cos_4_phi((side, side)))
    for _ in range(12):
        white = np.fft.fft2(rng.normal(size=(side, side)))
        y = np.fft.ifft2(white * np.sqrt(anisotropic)).real
        found.append(y.reshape(side // SIZE, SIZE, side // SIZE, SIZE).swapaxes(1, 2).reshape(-1, SIZE, SIZE))
    x = np.concatenate(found)
    x = x / x.std() + 0.1 * (x / x.std()) ** 2  # a skewness
    model = LognormalGan(2, 2, base_power="fourfold")
    of_maps = model.measured(lambda: [x])
    # Half the slope of the logarithm of the power; the taper of 32 pixels blurs it, the square adds to it.
    between = slice(int(0.35 * waves.NUM_WAVES), int(0.6 * waves.NUM_WAVES))
    expected = fourfold / 2 * np.linspace(0, np.sqrt(2), waves.NUM_WAVES)[between]
    np.testing.assert_allclose(of_maps.fourfold[between], expected, rtol=0.2)

    def off(model):
        variables = {"base": model.measured(lambda: [x]), "params": model.init(jax.random.key(0))["params"]}
        latents = jax.vmap(lambda n: model.latent(jax.random.fold_in(jax.random.key(1), n), SIZE))(
            jnp.arange(400)
        )
        maps = jax.jit(model.sample)(variables, latents, jnp.zeros((400, 0)))[..., 0]
        both = [np.asarray(bands.log_band_power(jnp.asarray(v, jnp.float32))).mean(0) for v in (maps, x)]
        return np.abs(both[0] - both[1])[np.exp(both[1]) > 1e-3]

    # 400 maps know the mean logarithm of a band of four modes to 0.03.
    assert off(model).max() < 0.25
    assert off(LognormalGan(2, 2)).max() > 0.5


def test_fields_have_variance_one_and_do_not_see_the_canvas_wrap(of_base):
    around, kinds = SCALES.surroundings, SCALES.noises
    names = ["g", "arcsinh y", *around, *("noise" for _ in kinds), *kinds]
    assert of_base.features.shape[-1] == SCALES.num_inputs == len(names)
    for place in (0, *range(2, 2 + len(around)), *range(-len(kinds), 0)):
        field = of_base.features[..., place]
        independent = len(field) * max(1.0, (SIZE / 60) ** 2)
        assert field.std() == pytest.approx(1, abs=4 / np.sqrt(independent)), names[place]
        # Opposite borders: a torus would make them neighbours.
        first, last = field[:, :, 0].ravel(), field[:, :, -1].ravel()
        beside = np.corrcoef(first, field[:, :, 1].ravel())[0, 1]
        across = np.corrcoef(first, last)[0, 1]
        far = np.corrcoef(field[:, :, 0].ravel(), field[:, :, SIZE // 2].ravel())[0, 1]
        assert beside > 0.3, names[place]
        assert across < max(far, 0) + 0.05, names[place]


def test_modulated_noise_keeps_the_variance_of_plain_noise(of_sky, of_base):
    canvas = waves.wave_numbers((256, 256))
    k = np.linspace(0, waves.LARGEST_WAVE, waves.NUM_WAVES)
    plain = (np.interp(canvas, k, of_sky.amplitude) * (1 - np.exp(-0.5 * (3 * canvas) ** 2))) ** 2
    np.testing.assert_allclose((of_base.noise**2).mean((0, 1, 2)), plain.mean(), rtol=0.1)


@pytest.mark.slow
def test_noise_of_finer_pixels_is_shared_out_among_octaves(of_sky):
    """Together the two lengths hold what stretched noise alone would, but for the waves where both do."""
    finer = fields.Scales(2)
    assert finer.surroundings == (1.5, 3.0, 6.0, 12.0, 24.0, 48.0)
    assert [kind.modulation for kind in finer.noises] == [3, 8, 24, 12, 32, 96]
    keys = jax.random.split(jax.random.key(8), 150)
    latents = jax.vmap(lambda key: fields.draw(key, 30, 30, finer))(keys)
    assert fields.seen(latents, finer) == (30, 30)
    given = jax.jit(lambda latents: fields.inputs(of_sky, latents, scales=finer))(latents)
    canvas = waves.wave_numbers((512, 512))
    amplitude = np.interp(canvas, np.linspace(0, waves.LARGEST_WAVE, waves.NUM_WAVES), of_sky.amplitude)
    short, long = (1 - np.exp(-0.5 * (scale * canvas) ** 2) for scale in (3, 12))
    expected = [(amplitude * share) ** 2 for share in (short, long * (1 - short))]
    found = np.asarray((given.noise**2).mean((0, 1, 2)))
    # 150 maps of some (30 / 8)^2 patches: 5 % where the modulation is as wide as the map.
    np.testing.assert_allclose(found[:2], expected[0].mean(), rtol=0.15)
    np.testing.assert_allclose(found[3:5], expected[1].mean(), rtol=0.25)


def test_maps_without_a_lognormal_field_are_refused(sky):
    for maps, words in (
        ([], "no training map"),
        ([np.full((2, 16, 16), 0.5)], "variance=0"),
        ([-sky], "skewness=-"),
    ):
        with pytest.raises(ValueError, match=words):
            base.measured(maps)


def test_the_generator_sees_further_where_pixels_are_finer():
    """What a pixel of the map depends on reaches just as far as the network says, on every side."""
    assert [reach(layer, 2) for layer in range(1, 7)] == [1, 1, 2, 4, 4, 4]
    network = Generator(4, 3, 2)
    assert network.edge == 8

    @jax.jit
    def weights():
        params = network.init(jax.random.key(1))
        return jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(jax.random.key(2), leaf.shape), params)

    params, scales = weights(), fields.Scales(2)
    white = jax.random.normal(jax.random.key(3), (1, 19, 19, scales.num_inputs))
    y, noise = jnp.zeros((1, 19, 19)), jnp.ones((1, 19, 19, 6))

    def middle(features):
        return network.apply(params, fields.Inputs(y, noise, features))[0, 1, 1]

    seen = np.abs(np.asarray(jax.jit(jax.grad(middle))(white))[0]).max(-1) > 0
    assert seen.any(0).nonzero()[0].tolist() == seen.any(1).nonzero()[0].tolist() == list(range(1, 18))


def test_the_generator_knows_no_place(of_sky):
    """A valid convolution of moved inputs is the moved map: the law of a map cannot depend on the position."""
    network = Generator(3, 6)

    @jax.jit
    def weights():
        return jax.tree.map(
            lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(leaf.size), leaf.shape),
            network.init(jax.random.key(1)),
        )

    params, given = weights(), drawn(of_sky, 50, 30)
    apply = jax.jit(network.apply)
    whole = apply(params, jax.tree.map(jnp.asarray, given))
    assert whole.shape == (50, 24, 24)
    part = apply(params, jax.tree.map(lambda leaf: jnp.asarray(leaf[:, 5:22, 9:]), given))
    np.testing.assert_allclose(part, whole[:, 5:16, 9:], atol=1e-5)


def test_an_untrained_generator_gives_base_and_noise(of_sky):
    model = LognormalGan(2, 4)
    variables = {"base": of_sky, "params": jax.jit(model.generator.init)(jax.random.key(0))}
    latents = jax.vmap(lambda key: model.latent(key, 16))(jax.random.split(jax.random.key(5), 3))
    assert model.latent(jax.random.key(0), 16).field.shape == (40, 40)
    x = jax.jit(model.sample)(variables, latents, jnp.zeros((3, 0)))
    assert x.shape == (3, 16, 16, 1)
    given = jax.jit(fields.inputs)(of_sky, latents)
    inside = slice(2, -2)
    expected = given.base[:, inside, inside] + 0.35 * given.noise[:, inside, inside].sum(-1)
    np.testing.assert_allclose(x[..., 0], of_sky.mean + of_sky.sigma * expected, atol=1e-6)
    # Differentiable in the latent: every number of the base's canvas moves the map.
    slope = jax.jit(jax.grad(lambda latent: model.sample(variables, latent, jnp.zeros((3, 0)))[0, 8, 8, 0]))(
        latents
    )
    assert np.abs(slope.field[0]).min() > 0
    assert np.abs(slope.field[1:]).max() == 0


def test_models_are_described_and_made_again():
    model = LognormalGan(5, 12)
    assert model_of(model.describe(), False) == model
    directed = LognormalGan(5, 12, base_power="fourfold")
    assert model_of(directed.describe(), False) == directed
    earlier = {name: value for name, value in model.describe().items() if name != "base_power"}
    assert model_of(earlier, False) == model
    count = sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(model.generator.init, jax.random.key(0))))
    # 12 inputs and 12 channels of 3x3 with biases, five times; 12 x 5 outputs with biases.
    assert count == 5 * (9 * 12 * 12 + 12) + 12 * 5 + 5
    for said, words in (
        ({"num_layers": 5}, "must be num_layers, num_channels, octaves"),
        ({"num_layers": 0, "num_channels": 3, "octaves": 0}, "num_layers=0"),
        ({"num_layers": True, "num_channels": 3, "octaves": 0}, "num_layers=True"),
        ({"num_layers": 2, "num_channels": 10**9, "octaves": 0}, "num_channels=1000000000"),
        ({"num_layers": 2, "num_channels": 3, "octaves": -1}, "octaves=-1"),
        ({"num_layers": 2, "num_channels": 3, "octaves": 0, "base_power": "round"}, "base_power='round'"),
    ):
        with pytest.raises(ValueError, match=words):
            model_of({"kind": "lognormal_gan", **said}, False)


def test_the_discriminator_pools_over_the_map():
    disc = Discriminator(16, 2, 3, 5)
    params = disc.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (4, 16, 16))
    pooled = np.asarray(disc.pooled(params, x))
    assert pooled.shape == (4, disc.num_features) == (4, 3 + 3 + 3 + 6 + 6)
    # The head in NumPy, on features in units of their own scatter.
    standard = Standard(pooled.mean(0), pooled.var(0))
    features = (pooled - pooled.mean(0)) / np.sqrt(pooled.var(0) + 1e-5)
    dense, logit = (params["pixels"][name] for name in ("dense", "logit"))
    hidden = features @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])
    expected = np.where(hidden > 0, hidden, 0.2 * hidden) @ np.asarray(logit["kernel"]) + np.asarray(
        logit["bias"]
    )
    np.testing.assert_allclose(disc.of_pixels(params, x, standard), expected[:, 0], atol=1e-5)
    b = jax.random.normal(jax.random.key(2), (4, 5))
    far = b.at[:, 0].set(1e6)
    # The square of a band counts up to five standard deviations only.
    slope = jax.grad(lambda v: disc.of_bands(params, v).sum())(far)
    assert np.isfinite(np.asarray(slope)).all()
    with pytest.raises(ValueError, match="size=18 of the discriminator's maps must be divisible by 4"):
        Discriminator(18, 2, 3, 5)


OWN = OwnSettings(
    gen_layers=2, gen_channels=4, disc_layers=2, disc_filters=3, fresh_maps=2, replayed_steps=3,
    warm_up_steps=2, decay_from_step=3, decay_to_step=9,
)  # fmt: skip
SETTINGS = Train(
    seed=0, crop_size=16, of_kind=OWN, emulator="lognormal_gan", batch_size=6, learning_rate=1e-3,
    ema_decay=0.9, augment="symmetries",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(sky):
    """Engine, jitted step, the state before the first step, and the batches of eight steps."""
    engine = make_engine(make_model(SETTINGS), SETTINGS, None)
    crops = sky[:, :16, :16, None]
    state = engine.begin(engine.init(jax.random.key(4)), *2 * [lambda: iter([crops[:300], crops[300:900]])])
    batches = [Batch(jnp.asarray(crops[6 * n : 6 * n + 6]), jnp.zeros((6, 0))) for n in range(8)]
    return engine, jax.jit(engine.step), state, batches


def leaves(state):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(dataclasses.replace(state, key=None))]


def test_a_step_depends_on_state_and_batch_alone(trained):
    engine, step, state, batches = trained
    after = state
    for batch in batches[:3]:
        after, metrics = step(after, batch)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    halfway = after
    for batch in batches[3:6]:
        after, _ = step(after, batch)
    # As from a checkpoint: the arrays alone, in a new state of the same form.
    like = engine.init(jax.random.key(99))
    copied = jax.tree.unflatten(
        jax.tree.structure(dataclasses.replace(like, key=None)), [jnp.asarray(leaf) for leaf in leaves(halfway)]
    )
    again = dataclasses.replace(copied, key=halfway.key)
    for batch in batches[3:6]:
        again, _ = step(again, batch)
    for one, other in zip(leaves(after), leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_a_step_changes_and_what_not(trained):
    engine, step, state, batches = trained
    after, metrics = step(state, batches[0])
    for fixed in ("base", "scale", "targets"):
        for one, other in zip(jax.tree.leaves(getattr(state, fixed)), jax.tree.leaves(getattr(after, fixed))):
            np.testing.assert_array_equal(one, other)
    # The first of three slots holds this step's maps, the others what was there.
    assert np.abs(after.replayed[:2] - state.replayed[:2]).max() > 0.1
    np.testing.assert_array_equal(after.replayed[2:], state.replayed[2:])
    fourth = state
    for batch in batches[:4]:
        fourth, _ = step(fourth, batch)
    assert (
        np.abs(fourth.replayed[:2] - after.replayed[:2]).max() > 0.1
    )  # the fourth step's are in the first again
    # After one step the average is the weights themselves, and "last" and "ema" are what is asked for.
    for one, other in zip(jax.tree.leaves(after.ema), jax.tree.leaves(after.gen.params)):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert engine.variables(after, "last")["params"] is after.gen.params
    assert engine.variables(after, "ema")["params"] is after.ema
    # D's features are standardised by real maps alone.
    assert metrics["r1"] > 0
    assert metrics["match_rms"] > 0


def test_without_replay_matching_or_average(trained, sky):
    own = dataclasses.replace(OWN, fresh_maps=6, match=(), replayed_steps=1)
    settings = dataclasses.replace(SETTINGS, of_kind=own, ema_decay=0.0)
    engine = make_engine(make_model(settings), settings, None)
    crops = sky[:, :16, :16, None]
    state = engine.begin(engine.init(jax.random.key(4)), *2 * [lambda: iter([crops[:300]])])
    after, metrics = jax.jit(engine.step)(state, trained[3][0])
    assert "match_rms" not in metrics
    assert after.ema is None
    assert all(leaf.size for leaf in leaves(after)), "checkpoints hold no empty arrays"
    with pytest.raises(ValueError, match="weights=ema, but the training kept no average"):
        engine.variables(after, "ema")


def test_the_penalty_is_the_slope_over_real_maps(trained):
    """R1 of the metrics against finite differences of D's logits at the state before the step."""
    _, step, state, batches = trained
    state, _ = step(state, batches[0])
    _, metrics = step(state, batches[1])
    disc = Discriminator(16, OWN.disc_layers, OWN.disc_filters, bands.num_bands(16))
    real = (batches[1].kappa[..., 0] - state.base.mean) / state.base.sigma
    pooled = disc.pooled(state.disc.params, real)
    rate = 0.5  # the second step's: 1 / 2
    mean = state.standard.mean + rate * (pooled.mean(0) - state.standard.mean)
    standard = Standard(
        mean, state.standard.variance + rate * (((pooled - mean) ** 2).mean(0) - state.standard.variance)
    )
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (state.disc.params, standard, real))
        params, at, x = wide

        def squared(function, x):
            h, flat = 1e-5, x.reshape(len(x), -1)
            total = 0.0
            for place in range(flat.shape[1]):
                step_ = jnp.zeros_like(flat).at[:, place].set(h).reshape(x.shape)
                total += (((function(x + step_) - function(x - step_)) / (2 * h)) ** 2).sum()
            return float(total) / len(x)

        of_pixels = squared(jax.jit(lambda v: disc.of_pixels(params, v, at)), x)
        whitened = jnp.asarray(state.scale.whitened(bands.log_band_power(real)), jnp.float64)
        of_bands = squared(jax.jit(lambda v: disc.of_bands(params, v)), whitened)
    expected = 0.5 * (OWN.pixel_penalty * of_pixels + OWN.band_penalty * of_bands)
    # Leaky ReLUs have corners that a difference may cross; float32 in the step.
    assert float(metrics["r1"]) == pytest.approx(expected, rel=2e-3)


def test_rates_rise_hold_and_fall_to_half_a_per_cent():
    rate = learning_rate(1.0, SETTINGS)
    np.testing.assert_allclose([rate(n) for n in range(4)], [0.5, 1, 1, 1], rtol=1e-6)
    assert float(rate(6)) == pytest.approx(0.005 + 0.995 / 2, rel=1e-6)
    np.testing.assert_allclose([rate(9), rate(1000)], 0.005, rtol=1e-5)
    matching = [float(matching_rate(jnp.asarray(n), SETTINGS)) / OWN.match_rate for n in (0, 6, 9, 99)]
    np.testing.assert_allclose(matching, [1, 0.6, 0.2, 0.2], rtol=1e-5)
    optimizer = optax.adam(rate)
    state = optimizer.init(jnp.zeros(()))
    update, _ = optimizer.update(jnp.ones(()), state)
    assert float(update) == pytest.approx(-0.5, rel=1e-4)  # the first step takes half the rate


def test_the_average_is_the_weighted_mean_of_all_weights_so_far():
    rng, decay = np.random.default_rng(0), 0.8
    weights = rng.normal(size=(7, 3))
    average = {"w": jnp.full(3, 99.0)}
    for n, w in enumerate(weights, 1):
        average = moved(average, {"w": jnp.asarray(w, jnp.float32)}, jnp.int32(n), decay)
        by = decay ** np.arange(n)[::-1]
        np.testing.assert_allclose(average["w"], by @ weights[:n] / by.sum(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fresh_maps": 7}, "fresh_maps=7 must be at most batch_size=6"),
        ({"match": ("power", "voids")}, "match='voids' is none of the statistics there are: power, mean"),
        ({"match": ("power", "power")}, "match=power,power names a statistic twice"),
        ({"disc_layers": 5}, r"crop_size=16 must be divisible by 2\*\*disc_layers=32"),
        ({"base_blocks": 17}, r"base_blocks=17 must be at most crop_size=16, the side of a map"),
        ({"decay_to_step": 3}, "decay_to_step=3 must be more than decay_from_step=3"),
        ({"disc_learning_rate": 0.0}, "disc_learning_rate=0.0 must be positive"),
        ({"gen_channels": 2000}, "num_channels=2000"),
    ],
)
def test_settings_that_no_training_can_have(changes, words):
    with pytest.raises(ValueError, match=words):
        make_model(dataclasses.replace(SETTINGS, of_kind=dataclasses.replace(OWN, **changes)))
