"""Kaiser & Squires against plane waves and a Gaussian lens; canvases against a large sky; pure B modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.ndimage import gaussian_filter

from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.lognormal_gan.model import LognormalGan
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.pretrained import load
from cosmogan_jax.summaries import kappa_to_shear, pure_modes, shear_of_canvas, shear_to_kappa

pytestmark = pytest.mark.usefixtures("quick")

# float32 transforms of some 10^4 pixels round to some 1e-6 of the largest.
ROUNDING = 2e-6


@pytest.mark.parametrize("wave", [(0, 3), (4, 0), (2, 5), (-3, 1), (7, 7)])
@pytest.mark.parametrize("shape", [(24, 36), (24, 24), (21, 35)])
def test_a_plane_wave_is_sheared_by_its_direction(wave, shape):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    l2, l1 = 2 * np.pi * wave[0] / shape[0], 2 * np.pi * wave[1] / shape[1]
    kappa = np.cos(l1 * columns + l2 * rows + 0.4) + 0.7
    phi = np.arctan2(l2, l1)
    gamma1, gamma2 = kappa_to_shear(kappa.astype(np.float32))
    np.testing.assert_allclose(gamma1, np.cos(2 * phi) * (kappa - 0.7), atol=ROUNDING)
    np.testing.assert_allclose(gamma2, np.sin(2 * phi) * (kappa - 0.7), atol=ROUNDING)


def test_the_shear_of_a_gaussian_lens():
    """gamma_t = mean kappa within r - kappa(r), in closed form, without a Fourier transform."""
    side, width = 512, 6.0
    rows, columns = np.mgrid[:side, :side] - side // 2
    r2 = (rows**2 + columns**2) / (2 * width**2)
    kappa = np.exp(-r2)
    with np.errstate(invalid="ignore"):
        tangential = np.where(r2 > 0, -np.expm1(-r2) / r2, 1) - kappa
    phi = np.arctan2(rows, columns)
    gamma1, gamma2 = (np.asarray(g) for g in kappa_to_shear(kappa.astype(np.float32)))
    near = r2 < 60**2 / (2 * width**2)
    # The lens' own images, 512 pixels away, and the missing mean: pi (2 w^2)/512^2 = 9e-4.
    np.testing.assert_allclose(gamma1[near], (-tangential * np.cos(2 * phi))[near], atol=1.5e-3)
    np.testing.assert_allclose(gamma2[near], (-tangential * np.sin(2 * phi))[near], atol=1.5e-3)
    assert tangential[near].max() > 0.25


def smooth_noise(seed, *shape):
    noise = np.random.default_rng(seed).normal(size=shape)
    widths = (0,) * (len(shape) - 2) + (1.5, 1.5)
    smoothed = gaussian_filter(noise, widths, mode="wrap")
    return (smoothed / smoothed.std()).astype(np.float32)


@pytest.mark.parametrize("shape", [(21, 35), (2, 3, 33, 25)])
def test_round_trip_and_turn(shape):
    kappa = smooth_noise(0, *shape)
    gamma1, gamma2 = jax.jit(kappa_to_shear)(kappa)
    assert gamma1.shape == gamma2.shape == shape
    e, b = shear_to_kappa(gamma1, gamma2)
    np.testing.assert_allclose(e, kappa - kappa.mean((-2, -1), keepdims=True), atol=3 * ROUNDING)
    np.testing.assert_allclose(b, 0, atol=3 * ROUNDING)
    # Ellipses turned by 45 degrees, gamma -> i gamma: E becomes B.
    turned_e, turned_b = shear_to_kappa(-gamma2, gamma1)
    np.testing.assert_allclose(turned_b, e, atol=3 * ROUNDING)
    np.testing.assert_allclose(turned_e, 0, atol=3 * ROUNDING)


def test_white_noise_loses_at_nyquist_alone_and_makes_no_b():
    kappa = np.random.default_rng(1).normal(size=(16, 24)).astype(np.float32)
    e, b = shear_to_kappa(*kappa_to_shear(kappa))
    lost = np.abs(np.fft.fft2(np.asarray(e) - kappa + kappa.mean()))
    rows, columns = np.nonzero(lost > 1e-4)
    assert rows.size
    assert np.all((rows == 8) | (columns == 12))
    np.testing.assert_allclose(b, 0, atol=3 * ROUNDING)


def test_gradients():
    kappa = smooth_noise(2, 12, 18)
    check_grads(kappa_to_shear, (kappa,), order=1, modes=["fwd", "rev"], atol=2e-2, rtol=2e-2)
    # |D| = 1: the shear's square is the convergence's, and so is its slope.
    slope = jax.grad(lambda k: sum((g**2).sum() for g in kappa_to_shear(k)) / 2)(kappa)
    np.testing.assert_allclose(slope, kappa - kappa.mean(), atol=1e-3)


@pytest.fixture(scope="module")
def sky():
    """A sky of 768 pixels and its shear: its waves are at most 1.6 times as long as a map of 64."""
    k = 2 * np.pi * np.hypot(np.fft.fftfreq(768)[:, None], np.fft.fftfreq(768))
    k[0, 0] = 1e-9
    power = (k + 0.03) ** -1.2 * np.exp(-(k**2) / 2 - (2 * np.pi / 100 / k) ** 2)
    white = np.fft.fft2(np.random.default_rng(3).normal(size=k.shape))
    kappa = np.fft.ifft2(white * np.sqrt(power)).real
    kappa = (kappa / kappa.std()).astype(np.float32)
    return kappa, *map(np.asarray, kappa_to_shear(kappa))


def canvases(of_sky, sides):
    """The same nine maps' canvases."""
    margin = 64 * (sides - 1) // 2
    at = range(128, 513, 192)
    return np.stack(
        [of_sky[y - margin : y + 64 + margin, x - margin : x + 64 + margin] for y in at for x in at]
    )


def error(found, right):
    return np.sqrt(sum(((f - r) ** 2).mean() for f, r in zip(found, right)) / sum((r**2).mean() for r in right))


def test_the_middle_of_a_canvas_has_the_skys_shear(sky):
    kappa, gamma1, gamma2 = sky
    right = canvases(gamma1, 1), canvases(gamma2, 1)
    found = {sides: shear_of_canvas(canvases(kappa, sides), 64, 64) for sides in (2, 4)}
    np.testing.assert_array_equal(found[2].kappa, canvases(kappa, 1))
    np.testing.assert_array_equal(found[4].kappa, canvases(kappa, 1))
    # 3.0 and 0.9 % on 48 maps of three skies (the docstring); nine maps scatter.
    assert error(found[2][1:], right) < 0.045
    assert error(found[4][1:], right) < 0.015
    # The map's own transform is no shear: it takes opposite borders for neighbours.
    assert error(kappa_to_shear(canvases(kappa, 1)), right) > 0.2


def test_height_and_width_are_cut_as_they_are(sky):
    canvas = sky[0][100:300, 50:170]
    whole = shear_of_canvas(canvas, 60, 40)
    assert whole.kappa.shape == whole.gamma1.shape == (60, 40)
    turned = shear_of_canvas(canvas.T, 40, 60)
    # x and y change places: gamma1 changes its sign.
    np.testing.assert_allclose(turned.gamma1, -whole.gamma1.T, atol=1e-4)
    np.testing.assert_allclose(turned.gamma2, whole.gamma2.T, atol=1e-4)


def below_nyquist(size):
    l1, l2 = np.fft.rfftfreq(size), np.fft.fftfreq(size)[:, None]
    return (np.hypot(l1, l2) < 0.35) & ((l1 > 0) | (l2 != 0))


def test_pure_modes_are_those_of_the_potentials_laplacian(sky):
    """E(l) = -l^-2 sum kappa laplace(W exp(-i l x)): of kappa alone, with the window's derivatives by hand."""
    cut = shear_of_canvas(canvases(sky[0], 2)[0].astype(np.float32), 64, 64)
    angle = np.pi * (np.arange(64) + 0.5) / 64
    w, w1 = np.sin(angle) ** 4, np.pi / 64 * 4 * np.sin(angle) ** 3 * np.cos(angle)
    w2 = np.gradient(w1)  # by differences: good to a per cent of W's curvature
    l1, l2 = 2 * np.pi * np.fft.rfftfreq(64), 2 * np.pi * np.fft.fftfreq(64)[:, None]
    kappa = np.asarray(cut.kappa, float)
    modes = [np.fft.rfft2(kappa * np.outer(*pair)) for pair in ((w2, w), (w, w2), (w1, w), (w, w1), (w, w))]
    laplacian = modes[0] + modes[1] - 2j * (l2 * modes[2] + l1 * modes[3]) - (l1**2 + l2**2) * modes[4]
    e, b = (np.asarray(v) for v in pure_modes(cut.gamma1, cut.gamma2))
    inside = below_nyquist(64)
    expected = -laplacian[inside] / (l1**2 + l2**2)[inside]
    assert np.abs(e[inside] - expected).max() < 0.01 * np.abs(expected).max()
    assert (np.abs(b[inside]) ** 2).sum() < 1e-9 * (np.abs(e[inside]) ** 2).sum()
    turned_e, turned_b = pure_modes(-cut.gamma2, cut.gamma1)
    np.testing.assert_allclose(turned_b, e, atol=1e-3)
    np.testing.assert_allclose(turned_e[inside], 0, atol=1e-3)


def of_sky(size):
    """An emulator on a base of the sky's power, untrained: its maps are skewed and not periodic."""
    model = LognormalGan(2, 4)
    variables = model.init(jax.random.key(0))
    wave = np.linspace(0, np.sqrt(2) * np.pi, 512)
    colour = np.sqrt((wave + 0.1) ** -1.5 * np.exp(-(wave**2) / 2)).astype(np.float32)
    base = variables["base"]._replace(log_amplitude=colour, amplitude=colour, spread=jnp.float32(0.5))
    variables = jax.tree.map(jnp.asarray, variables | {"base": base})
    geometry = MapGeometry(size, 0.875)
    return Emulator("of sky", model, variables, Normalisation("linear", 0.02), geometry, {})


def test_an_emulators_shear_has_no_b_modes():
    """B below 1e-3 of E in power, in every band of the cut maps, by the estimator that does not leak."""
    size = 32
    emulator = of_sky(size)
    kappa, gamma1, gamma2 = emulator.sample_shear(5, 6)
    assert kappa.shape == gamma1.shape == gamma2.shape == (6, size, size)
    e, b = (np.mean(np.abs(v) ** 2, 0) for v in pure_modes(gamma1, gamma2))
    wave = size * np.hypot(np.fft.rfftfreq(size), np.fft.fftfreq(size)[:, None])
    for low, high in ((0.5, 2), (2, 4), (4, 8), (8, 12)):
        band = (wave >= low) & (wave < high)
        assert b[band].sum() < 1e-3 * e[band].sum(), (low, high)
    # It would see B: transformed as if the cut map were periodic, and then a component one pixel off.
    shifted = [np.mean(np.abs(v) ** 2, 0) for v in pure_modes(gamma1, jnp.roll(gamma2, 1, 1))]
    assert shifted[1][wave < 12].sum() > 1e-2 * shifted[0][wave < 12].sum()


def test_an_emulators_shear_is_that_of_its_canvas_and_map_n_is_map_n():
    emulator = of_sky(16)
    whole = emulator.sample_shear(7, 3, canvas=3)
    again = emulator.sample_shear(7, 3, first=2, canvas=3)
    for one, other in zip(whole, again):
        np.testing.assert_allclose(one[2], other[0], atol=1e-6)
    canvas = emulator.of_size(48, allow_untested_size=True).sample(7, 3)
    np.testing.assert_allclose(whole.kappa, canvas[:, 16:32, 16:32], atol=1e-6)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: kappa_to_shear(jnp.zeros((4, 4), bool)), "kappa.dtype=bool must be"),
        (lambda: shear_to_kappa(jnp.zeros((4, 4)), jnp.zeros((4, 6))), r"gamma2.shape=\(4, 6\) must be one"),
        (lambda: pure_modes(jnp.zeros(4), jnp.zeros(4)), r"kappa.shape=\(4,\) must be"),
        (lambda: shear_of_canvas(jnp.zeros((64, 64)), 32, 33), "width=33 must be 1 to 32"),
        (lambda: of_sky(8).sample_shear(0, 1, canvas=1), "canvas=1 must be a whole number"),
        (lambda: of_sky(8).sample_shear(0, 0), "num_maps=0 must be positive"),
        (lambda: load("planes-z0.99-64").sample_shear(0, 1), "size=128x128: this generator makes"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
