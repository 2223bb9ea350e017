"""Maps of several source bins from the lognormal GAN: cross spectra, coherence, and a training that resumes.

The truth is lognormal: Gaussian fields of known spectra and coherence, exponentiated, so that auto and cross
spectra and the skewness of every field follow in closed form.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_kind

from cosmogan_jax.emulators import joint_bands, matching
from cosmogan_jax.emulators.bands import share_of_rings
from cosmogan_jax.emulators.interface import Batch
from cosmogan_jax.emulators.joint_statistics import JOINT_STATISTICS
from cosmogan_jax.emulators.kinds import KINDS, build
from cosmogan_jax.emulators.lognormal_gan import joint_base, joint_base_of_theta, waves
from cosmogan_jax.emulators.lognormal_gan.engine import make_engine, make_model
from cosmogan_jax.emulators.lognormal_gan.fields import COARSE, share_of_noise
from cosmogan_jax.emulators.lognormal_gan.generator import START_OF_NOISE
from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan, model_of
from cosmogan_jax.emulators.lognormal_gan.units import judged, units
from cosmogan_jax.settings import Train
from cosmogan_jax.settings.lognormal_gan import LognormalGan as OwnSettings
from cosmogan_jax.summaries import joint_roughness
from cosmogan_jax.summaries.roughness import NUM_ROUGHNESSES

pytestmark = pytest.mark.usefixtures("quick")

SIZE, SIDE, SKIES = 32, 256, 16
SPREADS, SIGMAS, TILTS = np.array([0.3, 0.4, 0.5]), np.array([0.01, 0.02, 0.03]), (2.0, 1.8, 1.5)
K = waves.wave_numbers((SIDE, SIDE))
NYQUIST = np.linspace(0, waves.LARGEST_WAVE, waves.NUM_WAVES) < np.pi


def power(k, tilt):
    """A sky's, falling, and cut off below the pixel."""
    return np.where(k > 0, (k + 0.1) ** -tilt * np.exp(-(k**2) / 2), 0.0)


def coherence(k):
    """Of the Gaussian fields: neighbours share most of long waves, the outer two less; positive definite."""
    r = 0.9 * np.exp(-((k / 2) ** 2))
    matrix = np.ones((*k.shape, 3, 3))
    matrix[..., [0, 1, 1, 2], [1, 0, 2, 1]] = r[..., None]
    matrix[..., [0, 2], [2, 0]] = (r**2)[..., None]
    return matrix


@pytest.fixture(scope="module")
def sky():
    """Maps in network units, cut from skies eight times as wide."""
    rng, root, skies = np.random.default_rng(3), np.linalg.cholesky(coherence(K)), []
    amplitudes = [np.sqrt(power(K, tilt) / power(K, tilt).mean()) for tilt in TILTS]
    for _ in range(SKIES):
        white = np.einsum("hwij,jhw->ihw", root, np.fft.fft2(rng.normal(size=(3, SIDE, SIDE))))
        g = np.fft.ifft2(white * amplitudes).real.transpose(1, 2, 0)
        y = (np.exp(SPREADS * g - SPREADS**2 / 2) - 1) * SIGMAS / np.sqrt(np.expm1(SPREADS**2))
        skies.append(
            y.reshape(SIDE // SIZE, SIZE, SIDE // SIZE, SIZE, 3).swapaxes(1, 2).reshape(-1, SIZE, SIZE, 3)
        )
    return np.concatenate(skies)


def as_they_are(*maps):
    """The base of bins that are not taken apart."""
    room = functools.partial(share_of_noise, amplitude=START_OF_NOISE, scales=COARSE)
    return joint_base.measured(maps, maps[0].shape[-1], False, room)


@pytest.fixture(scope="module")
def of_sky(sky):
    return as_they_are(sky[:500], sky[500:])


def shared(root):
    return np.asarray(root, np.float64) @ np.swapaxes(np.asarray(root, np.float64), 1, 2)


def test_the_coherence_behind_the_maps_is_found(of_sky):
    # Of waves that maps hold, and of which there is power in both.
    at = (waves.WAVES > 0.15) & (waves.WAVES < 2.5)
    found, expected = shared(of_sky.field_root)[at], coherence(waves.WAVES[at])
    # Rings of 16 skies at k = 0.15 hold some 300 modes: r is known to (1 - r^2) / 17.
    np.testing.assert_allclose(found, expected, atol=0.05)
    for root in (of_sky.field_root, of_sky.noise_root):
        np.testing.assert_allclose(np.diagonal(shared(root), axis1=1, axis2=2), 1, atol=1e-5)
    assert of_sky.lowest.min() > joint_base.FLOOR
    np.testing.assert_allclose(of_sky.each.sigma, SIGMAS, rtol=0.03)
    np.testing.assert_allclose(of_sky.each.spread, SPREADS, rtol=0.08)


def test_bins_in_another_order_are_the_same_in_that_order(sky, of_sky):
    order = [2, 0, 1]
    turned = as_they_are(sky[..., order])
    for name in ("field_root", "noise_root"):
        expected = np.asarray(getattr(of_sky, name))[:, order][:, :, order]
        np.testing.assert_allclose(getattr(turned, name), expected, atol=1e-5)
    np.testing.assert_array_equal(turned.mixing, np.eye(3))
    for own, before in zip(jax.tree.leaves(turned.each), jax.tree.leaves(of_sky.each), strict=True):
        np.testing.assert_allclose(own, np.asarray(before)[order], rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def drawn(of_sky):
    """Maps of the untrained network, in units of sigma, and the lognormal fields under them."""
    model = LognormalGan(1, 2, num_bins=3)
    params = jax.jit(model.generator.init)(jax.random.key(0))

    @jax.jit
    def some(index):
        latents = jax.vmap(lambda n: model.latent(jax.random.fold_in(jax.random.key(1), n), SIZE))(index)
        fields = model.inputs(of_sky, latents)
        return model.generator.apply(params, fields), fields.base, fields.noise

    parts = [some(jnp.arange(start, start + 100)) for start in range(0, 400, 100)]
    return [np.concatenate(arrays) for arrays in zip(*parts)]


def spectra(x):
    """Return mean auto and cross power of rings."""
    x = jnp.asarray(x, jnp.float32)
    autos, cross = joint_bands._powers(x)
    return [np.asarray(v @ share_of_rings(x.shape[1]), np.float64).mean(0) for v in (autos, cross)]


def test_an_untrained_network_has_the_maps_auto_and_cross_spectra(sky, drawn):
    x, _, _ = drawn
    real = spectra(sky / SIGMAS)
    made = spectra(x)
    below = slice(3, -1)  # rings of 12 modes and more, to Nyquist
    # 400 maps: the power of a ring of 12 modes is known to 4 % where these are its own, of lognormal fields to
    # half as much again; the sky's 1024 maps of 16 skies to about as much.
    for ours, theirs in zip(made, real):
        np.testing.assert_allclose(ours[:, below] / theirs[:, below], 1, atol=0.1)
    first, second = joint_bands.pairs(3)
    r = [cross / np.sqrt(autos[first] * autos[second]) for autos, cross in (made, real)]
    # What both have in common varies with neither's power: (1 - r^2) / sqrt(400 x 12) and the model's own 0.02.
    np.testing.assert_allclose(r[0][:, below], r[1][:, below], atol=0.03)


def test_bins_share_their_skewness_too(drawn):
    """Closed form of lognormal fields: <y_i^2 y_j> / shift^3 with w_ij = exp(s_i s_j xi_ij) - 1 at lag 0."""
    _, base, noise = drawn
    y = np.asarray(base, np.float64)
    unit = y / y.std((0, 1, 2))
    found = np.einsum("bxyi,bxyj->ij", unit**2, unit) / unit[..., 0].size
    c = np.corrcoef(unit.reshape(-1, 3).T)
    shift = 1 / np.sqrt(np.expm1(SPREADS**2))
    # <d_i d_i d_j> = (1 + w_ii)(1 + w_ij)^2 - w_ii - 2 w_ij - 1 with d = y / shift.
    w = c / (shift[:, None] * shift)
    own = np.diag(w)[:, None]
    expected = ((1 + own) * (1 + w) ** 2 - own - 2 * w - 1) * shift[:, None] ** 2 * shift
    # The window takes from the base what the noise is to hold, short waves, and with them some of the skewness.
    np.testing.assert_allclose(found / expected, 0.9, atol=0.2)
    # The noise is shared, wave by wave, as the maps are: modulated alike in all bins.
    n = np.asarray(noise, np.float64)[..., 0]
    assert np.corrcoef(n.reshape(-1, 3).T)[0, 1] > 0.2


def test_a_matrix_that_is_no_coherence_is_made_one():
    fine = coherence(np.array([0.2]))[0]
    odd = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    made, lowest = joint_base.positive_definite(np.stack([fine, odd]))
    np.testing.assert_array_equal(made[0], fine)
    assert lowest == pytest.approx(np.linalg.eigvalsh(odd).min())
    assert np.linalg.eigvalsh(made[1]).min() > 0
    np.testing.assert_allclose(np.diag(made[1]), 1)
    np.testing.assert_allclose(shared(joint_base.root_of(made)), made, atol=1e-12)


def test_a_bin_without_variance_is_named(sky):
    flat = sky[:20].copy()
    flat[..., 1] = 0
    with pytest.raises(ValueError, match="source bin 1 of 0 to 2: variance=0 of the training maps"):
        as_they_are(flat)
    model = LognormalGan(1, 2, num_bins=3)
    with pytest.raises(ValueError, match="source bin 1 of 0 to 2 is constant in all training maps"):
        model.measured(lambda: [flat])
    flat[..., 1] = 0.5 * flat[..., 0]
    with pytest.raises(ValueError, match="source bin 1 of 0 to 2 holds nothing beyond a sum of the bins bef"):
        model.measured(lambda: [flat])


def test_latents_and_descriptions_of_one_bin_are_as_before():
    one, three = LognormalGan(2, 4), LognormalGan(2, 4, num_bins=3)
    assert "num_bins" not in one.describe()
    assert model_of(one.describe(), False) == one
    assert model_of(three.describe(), False) == three
    alone, together = one.latent(jax.random.key(0), 16), three.latent(jax.random.key(0), 16)
    assert together.field.shape == (3, *alone.field.shape)
    assert together.noise.shape == (3, *alone.noise.shape)
    assert [a.shape for a in together.amplitude] == [a.shape for a in alone.amplitude]
    with pytest.raises(ValueError, match="num_bins=0 of a lognormal_gan"):
        LognormalGan(2, 4, num_bins=0)


def test_z_and_cross_power_of_maps_that_share_a_known_part():
    white = jax.random.normal(jax.random.key(0), (400, 16, 16, 2))
    x = jnp.stack([white[..., 0], 0.6 * white[..., 0] + 0.8 * white[..., 1]], -1)
    cross = np.asarray(joint_bands.cross_power(x)).mean(0)
    np.testing.assert_allclose(cross[0], 0.6, atol=0.1)  # the longest ring has 2 modes in each of 400 maps
    z = np.asarray(joint_bands.shared(x)).mean(0)[0]
    np.testing.assert_allclose(z[4:], np.arctanh(0.6), atol=0.05)
    numbers = joint_bands.spectral_numbers(x)
    assert numbers.shape == (400, joint_bands.num_spectral_numbers(16, 2))
    np.testing.assert_allclose(numbers[:, -len(z) :], joint_bands.shared(x)[:, 0], atol=1e-5)


OWN = OwnSettings(
    gen_layers=2, gen_channels=4, disc_layers=2, disc_filters=3, fresh_maps=2, replayed_steps=3,
    warm_up_steps=2, decay_from_step=3, decay_to_step=9, match=("power", "mean"),
)  # fmt: skip
SETTINGS = Train(
    seed=0, crop_size=16, of_kind=OWN, emulator="lognormal_gan", batch_size=6, learning_rate=1e-3,
    ema_decay=0.9, augment="symmetries",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(sky):
    """Engine, jitted step, the state before the first step, and the batches of four steps; of two bins."""
    engine = make_engine(make_model(SETTINGS, 2), SETTINGS, None)
    crops = sky[:, :16, :16, :2].astype(np.float32)
    state = engine.begin(engine.init(jax.random.key(4)), *2 * [lambda: iter([crops[:500], crops[500:900]])])
    batches = [Batch(jnp.asarray(crops[6 * n : 6 * n + 6]), jnp.zeros((6, 0))) for n in range(4)]
    return engine, jax.jit(engine.step), state, batches


def test_a_training_of_two_bins_depends_on_state_and_batch_alone(trained):
    engine, step, state, batches = trained
    like = engine.init(jax.random.key(9))
    assert jax.tree.map(jnp.shape, dataclasses.replace(like, key=None)) == jax.tree.map(
        jnp.shape, dataclasses.replace(state, key=None)
    )
    after = state
    for batch in batches[:2]:
        after, metrics = step(after, batch)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(dataclasses.replace(after, key=None))]
    # As from a checkpoint: the arrays alone, in a new state of the same form.
    copied = jax.tree.unflatten(
        jax.tree.structure(dataclasses.replace(like, key=None)), map(jnp.asarray, arrays)
    )
    again = dataclasses.replace(copied, key=after.key)
    for batch in batches[2:]:
        after, _ = step(after, batch)
        again, _ = step(again, batch)
    for one, other in zip(
        *(jax.tree.leaves(dataclasses.replace(s, key=None)) for s in (after, again)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_what_is_matched_of_two_bins(trained):
    """Statistics bin by bin, the second as it is too, then those of both; each block whitened by itself."""
    _, _, state, batches = trained
    matcher = matching.matcher(OWN, 2, 1)
    assert matcher.names == ("power", "mean", *JOINT_STATISTICS)
    counts = matcher.numbers(16, state.scale)
    assert counts[0] == counts[1] == counts[2]
    assert counts[3:6] == (2, 2, 2)
    x = units(batches[0].kappa, state.base)
    seen = judged(x, state.base)
    rows = np.asarray(matcher.statistics(seen, state.scale))
    assert rows.shape == (6, sum(counts))
    by_itself = matching.matcher(OWN).statistics
    second = by_itself(x[..., 1], jax.tree.map(lambda leaf: leaf[1], state.scale.each))
    as_it_is = by_itself(seen[..., 2], jax.tree.map(lambda leaf: leaf[2], state.scale.each))
    for number, own in ((1, second), (2, as_it_is)):
        place = slice(number * counts[0], (number + 1) * counts[0])
        np.testing.assert_allclose(rows[:, place], own[:, : counts[0]], rtol=1e-4)
    # Power of what is as it is in units of what is typical of it: about 1, over some hundred crops' error.
    assert 0.5 < np.median(np.asarray(as_it_is)[:, : counts[0]]) < 2
    moments = rows[:, -counts[-2] - counts[-1]]
    u = 6 * np.tanh(np.asarray(x) / 6)
    np.testing.assert_allclose(moments, (u[..., 0] ** 2 * u[..., 1]).mean((1, 2)), rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="match='cross_power' is matched whenever"):
        matching.check_names(["power", "cross_power"])


def test_where_one_bin_is_rough_another_is_high():
    """Against loops over the pixels; and 0 where bins have nothing to do with each other."""
    x = np.random.default_rng(8).normal(size=(3, 8, 8, 2))
    x[..., 1] = 0.5 * x[..., 0] ** 2
    rows = np.asarray(JOINT_STATISTICS["joint_roughness"](jnp.asarray(x, jnp.float32), None))
    # Of 1 and 2 pixels: gradients and curvatures of all bins with all, and squares of curvatures of all pairs;
    # then roughness of each bin by height of the other.
    assert rows.shape == (3, 2 * (4 + 4 + 3) + 2 * NUM_ROUGHNESSES)
    elsewhere = np.asarray(joint_roughness(np.moveaxis(x, -1, 1).astype(np.float32), np.zeros(2), np.ones(2)))[
        :, 0
    ]
    ours, theirs = np.split(elsewhere, 2, -1)
    np.testing.assert_allclose(rows[:, 22:], np.concatenate([theirs, ours], -1), rtol=1e-4)

    def limited(value):
        return 6 * np.tanh(value / 6)

    for number, one_map in enumerate(x):
        rough, curved, squared = np.zeros((7, 7, 2, 2)), np.zeros((6, 6, 2, 2)), np.zeros((6, 6, 3))
        for i, j in np.ndindex(7, 7):
            here, below, right = one_map[i, j], one_map[i + 1, j], one_map[i, j + 1]
            square = 6 * limited(((below - here) ** 2 + (right - here) ** 2) / 6)
            rough[i, j] = np.outer(square, limited((here + below + right) / 3))
        for i, j in np.ndindex(6, 6):
            near = one_map[i, j + 1] + one_map[i + 2, j + 1] + one_map[i + 1, j] + one_map[i + 1, j + 2]
            curve = limited(4 * one_map[i + 1, j + 1] - near)
            curved[i, j] = np.outer(curve**2, curve)
            squared[i, j] = np.outer(curve**2, curve**2)[np.triu_indices(2)]
        np.testing.assert_allclose(rows[number, :4], rough.mean((0, 1)).ravel(), rtol=1e-4)
        np.testing.assert_allclose(rows[number, 4:8], curved.mean((0, 1)).ravel(), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(rows[number, 8:11], squared.mean((0, 1)), rtol=1e-3)
    apart = np.random.default_rng(9).normal(size=(200, 16, 16, 2)).astype(np.float32)
    means = np.asarray(JOINT_STATISTICS["joint_roughness"](jnp.asarray(apart), None))
    thirds = means[:, :22].reshape(200, 2, 11)[..., :8]
    np.testing.assert_allclose(thirds.mean(0), 0, atol=6 * thirds.std(0).max() / np.sqrt(200))


def test_maps_of_the_trained_generator_have_all_bins(trained):
    engine, _, state, _ = trained
    model = make_model(SETTINGS, 2)
    latents = jax.vmap(lambda key: model.latent(key, 16))(jax.random.split(jax.random.key(5), 3))
    variables, theta = engine.variables(state, "last"), jnp.zeros((3, 0))
    x = jax.jit(model.sample)(variables, latents, theta)
    assert x.shape == (3, 16, 16, 2)
    whole = jax.jit(model.sample, static_argnums=3)(
        engine.variables(state, "last"), latents, jnp.zeros((3, 0)), 2
    )
    np.testing.assert_allclose(whole[:, 2:-2, 2:-2], x, atol=1e-5)


def test_a_kind_of_one_bin_refuses_several(monkeypatch):
    monkeypatch.setitem(KINDS, "toy", toy_kind.TOY)
    settings = dataclasses.replace(SETTINGS, emulator="toy", of_kind=toy_kind.ToySettings())
    words = (
        "emulator=toy makes maps of one source bin and these have 4: .* train --emulator=dcgan or lognormal_gan"
    )
    with pytest.raises(ValueError, match=words):
        build(settings, num_bins=4)


def test_the_base_of_several_bins_follows_the_cosmology(sky):
    """Two bins, coherence and sigma interpolated between cosmologies; rows stay roots of a coherence."""
    phi = np.array([[1.0, -1.2], [1.0, 0.0], [1.0, 1.2]])
    bases = []
    for mixed in (0.0, 0.3, 0.6):
        first, second = sky[:300, ..., 0] / SIGMAS[0], sky[300:600, ..., 2] / SIGMAS[2]
        bases.append(as_they_are(np.stack([first, mixed * first + (1 - mixed) * second], -1)))
    fitted = joint_base_of_theta.regressed(bases, phi, np.ones(3))
    middle = jax.jit(joint_base_of_theta.at)(fitted, jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(np.diagonal(shared(middle.field_root), axis1=1, axis2=2), 1, atol=1e-5)
    at = NYQUIST & (waves.WAVES > 0.3)
    np.testing.assert_allclose(shared(middle.noise_root)[at], shared(bases[1].noise_root)[at], atol=0.12)
    assert shared(middle.noise_root)[at][:, 0, 1].mean() > 0.1
    slope = jax.jit(jax.jacfwd(lambda phi: joint_base_of_theta.at(fitted, phi).noise_root))(
        jnp.array([1.0, 0.0])
    )
    assert np.isfinite(np.asarray(slope)).all()
    errors = joint_base_of_theta.errors_left_out(bases, phi, np.ones(3))
    assert 0 < float(errors.power) < 1


@pytest.mark.slow
def test_several_bins_at_several_cosmologies_train_and_sample(sky):
    """All that is measured has the shapes of a fresh state; a step and maps at other cosmologies are finite."""
    own = dataclasses.replace(OWN, match=("power", "covariance", "roughness"), base_power="fourfold")
    settings = dataclasses.replace(SETTINGS, of_kind=own, condition_on=("omega_m",))
    model = make_model(settings, 2)
    engine, crops = make_engine(model, settings, None), sky[:400, :16, :16, :2].astype(np.float32)

    class Maps:
        theta = np.linspace(0.2, 0.4, 8).repeat(50)[:, None].astype(np.float32)

        def __call__(self):
            return iter([crops[:200], crops[200:]])

    fresh = engine.init(jax.random.key(4))
    state = engine.begin(fresh, Maps(), Maps())
    shapes = [jax.tree.map(jnp.shape, dataclasses.replace(each, key=None)) for each in (fresh, state)]
    assert shapes[0] == shapes[1]
    some = np.arange(6) * 60
    state, metrics = jax.jit(engine.step)(state, Batch(jnp.asarray(crops[some]), jnp.asarray(Maps.theta[some])))
    assert np.isfinite([float(value) for value in metrics.values()]).all()
    latents = jax.vmap(lambda key: model.latent(key, 16))(jax.random.split(jax.random.key(5), 2))
    x = jax.jit(model.sample)(engine.variables(state, "last"), latents, jnp.array([[0.25], [0.35]]))
    assert x.shape == (2, 16, 16, 2)
    assert np.isfinite(np.asarray(x)).all()
