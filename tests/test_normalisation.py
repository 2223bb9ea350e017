"""What networks see: three transforms of kappa, each with its inverse."""

import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.emulators.normalisation import KINDS, Normalisation

KAPPA = np.linspace(-0.3, 1.2, 31).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_the_inverse_undoes_it(kind):
    normalisation = Normalisation(kind, 0.03)
    x = normalisation.forward(jnp.asarray(KAPPA))
    np.testing.assert_allclose(normalisation.inverse(x), KAPPA, rtol=2e-6, atol=1e-7)
    assert (np.diff(np.asarray(x)) > 0).all()


def test_what_they_are():
    np.testing.assert_array_equal(Normalisation("none", 1.0).forward(jnp.asarray(KAPPA)), KAPPA)
    linear = Normalisation("linear", 0.03).forward(jnp.asarray(KAPPA))
    np.testing.assert_allclose(linear, KAPPA / 0.03, rtol=1e-6)
    bent = Normalisation("arcsinh", 0.03).forward(jnp.asarray(KAPPA))
    np.testing.assert_allclose(bent, np.arcsinh(KAPPA / 0.03) / 3, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_bins_with_scales_of_their_own_are_bins_by_themselves(kind):
    kappa = jnp.asarray(KAPPA[:30].reshape(5, 3, 2))
    both = Normalisation.from_json({"kind": kind, "scale": [0.03, 0.09]})
    for number, scale in enumerate((0.03, 0.09)):
        alone = Normalisation(kind, scale)
        np.testing.assert_allclose(
            both.forward(kappa)[..., number], alone.forward(kappa[..., number]), rtol=1e-6
        )
        np.testing.assert_allclose(
            both.inverse(kappa)[..., number], alone.inverse(kappa[..., number]), rtol=1e-6
        )
    both.check_bins(2)
    with pytest.raises(
        ValueError, match=r"scales 0\.03,0\.09 of the normalisation are not those of 3 source bins"
    ):
        both.check_bins(3)
    Normalisation(kind, 0.03).check_bins(3)
    # Scatter of 1 to 3 becomes alike.
    np.testing.assert_allclose(both.relative().forward(jnp.array([0.5, 1.5])), [0.5, 0.5], rtol=1e-6)
    assert Normalisation(kind, 0.03).relative().forward(kappa) is kappa


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "linear", "scale": []},
        {"kind": "linear", "scale": [0.1, 0.0]},
        {"kind": "linear", "scale": [0.1, "0.2"]},
        {"kind": "linear", "scale": [0.1, None]},
        {"kind": "log", "scale": 1.0},
        {"kind": "linear", "scale": 0.0},
        {"kind": "linear", "scale": float("inf")},
        {"kind": "linear"},
        {"kind": "linear", "scale": 1.0, "shift": 2.0},
    ],
)
def test_what_is_none_is_refused(said):
    with pytest.raises(ValueError, match="normalisation"):
        Normalisation.from_json(said)
