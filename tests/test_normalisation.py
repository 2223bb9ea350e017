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


@pytest.mark.parametrize(
    "said",
    [
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
