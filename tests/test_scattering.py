"""Scattering coefficients against wavelets written out in pixels, Kymatio's values and closed forms."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.summaries import scattering_coefficients, scattering_labels

pytestmark = pytest.mark.usefixtures("quick")  # nearly all of the time is compilation

# Kymatio 0.3.0's filter_bank(64, 64, J=3, L=4), and what its wavelets give by NumPy's transforms at full
# resolution (its own network averages over 2^J pixels); it has 3.1415 for pi and complex64: 3e-5 an order.
KYMATIO = [0.2891542, 0.1494394, 0.07262, 0.03619422, 0.02354916, 0.0167699]
KYMATIO_SIX_ANGLES = [0.2379962, 0.1215902, 0.05880668]
KYMATIO_ROUNDING = 1e-4
# Fewer pixels a field, against all of them, on maps like these; with 256 pixels the same.
FEWER_PIXELS = 0.02
FLOAT64 = 1e-10  # sums of many small terms on both sides
FLOAT32 = 1e-5  # transforms of a few thousand numbers, and their mean


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def lognormal(size, seed=0):
    """A skewed map with a falling spectrum, smoothed over a pixel."""
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    k[0, 0] = 1
    modes = np.fft.rfft2(noise(size, size, seed=seed)) * k**-0.75 * np.exp(-((2 * np.pi * k) ** 2) / 2)
    modes[0, 0] = 0
    gauss = np.fft.irfft2(modes)
    return np.exp(gauss / gauss.std()) - 1


def morlet(size, j, angle, num_angles):
    """Kymatio's convention, summed in pixels over five periods."""
    sigma, xi, slant, theta = 0.8 * 2**j, 0.75 * np.pi / 2**j, 4 / num_angles, np.pi * angle / num_angles
    wave, envelope = np.zeros((size, size), complex), np.zeros((size, size))
    for period in itertools.product(range(-2, 3), repeat=2):
        y, x = np.mgrid[:size, :size] + size * np.array(period)[:, None, None]
        along, across = x * np.cos(theta) + y * np.sin(theta), y * np.cos(theta) - x * np.sin(theta)
        gauss = np.exp(-(along**2 + (slant * across) ** 2) / (2 * sigma**2)) * slant / (2 * np.pi * sigma**2)
        envelope += gauss
        wave += gauss * np.exp(1j * xi * along)
    return wave - wave.sum() / envelope.sum() * envelope


def expected(kappa, num_scales, num_angles, first_scale=0):
    scales = range(first_scale, first_scale + num_scales)
    psi = {
        (j, angle): np.fft.fft2(morlet(len(kappa), j, angle, num_angles))
        for j in scales
        for angle in range(num_angles)
    }

    def field(u, wavelet):
        return np.abs(np.fft.ifft2(np.fft.fft2(u) * psi[wavelet]))

    u1 = {wavelet: field(kappa, wavelet) for wavelet in psi}
    first = [np.mean([u1[j, angle] for angle in range(num_angles)]) for j in scales]
    every = list(itertools.product(range(num_angles), repeat=2))
    second = [
        np.mean([field(u1[j1, l1], (j2, l2)) for l1, l2 in every])
        for j1, j2 in itertools.combinations(scales, 2)
    ]
    return np.array(first + second)


full = jax.jit(functools.partial(scattering_coefficients, num_scales=3, full_resolution=True))
cropped = jax.jit(functools.partial(scattering_coefficients, num_scales=3))


@pytest.mark.parametrize(
    ("size", "num_scales", "num_angles", "first_scale"), [(32, 3, 4, 0), (27, 2, 3, 1), (32, 2, 1, 0)]
)
def test_coefficients_equal_wavelets_in_pixels(size, num_scales, num_angles, first_scale):
    with jax.enable_x64(True):
        kappa = noise(size, size)
        found = jax.jit(
            lambda k: scattering_coefficients(
                k, num_scales, num_angles, first_scale=first_scale, full_resolution=True
            )
        )(kappa)
        reference = expected(kappa, num_scales, num_angles, first_scale)
        np.testing.assert_allclose(found, reference, rtol=FLOAT64)


def test_coefficients_equal_kymatio():
    kappa = np.random.default_rng(20261127).normal(size=(2, 64, 64))[0].astype(np.float32)
    np.testing.assert_allclose(full(kappa), KYMATIO, rtol=KYMATIO_ROUNDING)
    six = jax.jit(lambda k: scattering_coefficients(k, 3, 6, full_resolution=True))(kappa)[:3]
    np.testing.assert_allclose(six, KYMATIO_SIX_ANGLES, rtol=KYMATIO_ROUNDING)


@pytest.mark.parametrize("make", [noise, lambda *shape: lognormal(shape[0])])
def test_fewer_pixels_give_nearly_the_same(make):
    kappa = make(64, 64).astype(np.float32)
    np.testing.assert_allclose(cropped(kappa), full(kappa), rtol=FEWER_PIXELS)
    # The finest scale is on all pixels both times.
    np.testing.assert_allclose(cropped(kappa)[0], full(kappa)[0], rtol=FLOAT32)


def test_a_plane_wave_gives_the_wavelets_own_heights():
    # cos(kx) is (e^ikx + e^-ikx)/2, and each wave comes out times the wavelet's transform at its k.
    size, sigma, xi = 64, 1.6, 0.375 * np.pi  # j = 1, L = 4: round Gaussians, whose aliases are below 1e-20
    x = np.arange(size)
    k = 2 * np.pi * 12 / size  # the wavelet's own, along the rows
    means = []
    for angle in np.pi * np.arange(4) / 4:
        wave = 0.0
        for sign in (1, -1):
            square = (sign * k - xi * np.cos(angle)) ** 2 + (xi * np.sin(angle)) ** 2
            height = np.exp(-(sigma**2) * square / 2) - np.exp(-(sigma**2) * (xi**2 + k**2) / 2)
            wave = wave + height * np.exp(sign * 1j * k * x) / 2
        means.append(np.abs(wave).mean())
    kappa = np.broadcast_to(np.cos(k * x), (size, size)).astype(np.float32)
    found = scattering_coefficients(kappa, 1, first_scale=1, full_resolution=True)
    np.testing.assert_allclose(found, [np.mean(means)], rtol=FLOAT32)
    assert max(means) == pytest.approx(0.5, rel=0.05)


def test_shifts_turns_mirrors_factors_and_batches():
    kappa = noise(2, 32, 32).astype(np.float32)
    for function, tolerance in ((full, FLOAT32), (cropped, FEWER_PIXELS)):
        found = np.asarray(function(kappa))
        for other in (
            np.roll(kappa, (5, -9), (1, 2)),
            np.rot90(kappa, axes=(1, 2)),
            kappa[:, ::-1],
            np.swapaxes(kappa, 1, 2),
            -kappa,
            kappa + np.float32(0.5),
        ):
            np.testing.assert_allclose(function(other), found, rtol=tolerance)
        np.testing.assert_allclose(function(3 * kappa), 3 * found, rtol=FLOAT32)
    np.testing.assert_allclose(np.stack([cropped(k) for k in kappa]), cropped(kappa), rtol=FLOAT32)


def test_labels_and_reduced_coefficients():
    assert scattering_labels(3, first_scale=1) == [
        *("S1 j=1", "S1 j=2", "S1 j=3", "S2 j=1,2", "S2 j=1,3", "S2 j=2,3")
    ]
    assert scattering_labels(2, reduced=True) == ["S1 j=0", "S1 j=1", "s21 j=0,1"]
    kappa = noise(32, 32).astype(np.float32)
    plain = np.asarray(cropped(kappa))
    reduced = np.asarray(jax.jit(lambda k: scattering_coefficients(k, 3, reduced=True))(kappa))
    np.testing.assert_allclose(reduced, [*plain[:3], *plain[3:] / plain[[0, 0, 1]]], rtol=FLOAT32)
    np.testing.assert_allclose(reduced[3:] * 0 + 1, 1)
    assert len(plain) == len(scattering_labels(3))


def test_gradients():
    with jax.enable_x64(True):
        kappa, direction = (jnp.asarray(noise(32, 32, seed=seed)) for seed in (1, 2))
        weights = np.array([1.0, 2.0, 3.0])
        both = jax.jit(jax.value_and_grad(lambda k: (scattering_coefficients(k, 2) * weights).sum()))
        step = (both(kappa + 1e-5 * direction)[0] - both(kappa - 1e-5 * direction)[0]) / 2e-5
        assert float((both(kappa)[1] * direction).sum()) == pytest.approx(float(step), rel=1e-6)
        assert np.isfinite(both(jnp.zeros((32, 32)))[1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_scales": 0}, "num_scales=0 must be at least 1"),
        ({"num_scales": 4}, "num_scales=4 .* the map's 8 pixels"),
        ({"num_scales": 2, "first_scale": 2}, "first_scale=2 .* the map's 8 pixels"),
        ({"num_scales": 2, "first_scale": -1}, "first_scale=-1"),
        ({"num_scales": 2, "num_angles": 0}, "num_angles=0 must be at least 1"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        scattering_coefficients(jnp.zeros((8, 8)), **arguments)
    with pytest.raises(ValueError, match="dtype=bool"):
        scattering_coefficients(np.zeros((8, 8), bool), 2)
    assert np.isnan(cropped(jnp.zeros((32, 32)).at[3, 4].set(jnp.nan))).all()
