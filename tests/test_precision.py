"""Gradients and losses of products in bfloat16 against float32's, and what stays float32; rematerialisation."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cosmogan_jax.emulators.dcgan.architecture import Architecture
from cosmogan_jax.emulators.dcgan.networks import build_networks
from cosmogan_jax.emulators.dcgan.state import adam, init_state
from cosmogan_jax.emulators.dcgan.step_parts import StepSettings
from cosmogan_jax.emulators.dcgan.train_step import make_train_step

SIZE, BATCH, STEPS = 32, 16, 12
# Norm-relative over a network. Where the forward pass is rounded too, features near a ReLU's corner change
# sides: see experiments/benchmarks/README.md.
LIMITS = {"bfloat16_gradients": 2e-2, "bfloat16": 0.2}


def keeping_gradients(optimizer):
    def update(grads, state, params):
        updates, inner = optimizer.update(grads, state[0], params)
        return updates, (inner, grads)

    return optax.GradientTransformation(lambda params: (optimizer.init(params), params), update)


OPTIMIZER = keeping_gradients(adam(2e-4, 0.5))


def networks(dtype="float32", **kwargs):
    return build_networks(Architecture(SIZE, 4, 8, 16, compute_dtype=dtype, **kwargs))


def make_step(nets):
    return jax.jit(make_train_step(nets, OPTIMIZER, StepSettings(0.0)))


def batch(number):
    maps = np.random.default_rng(number).normal(size=(BATCH, SIZE, SIZE)).cumsum(1).cumsum(2)
    return (0.2 * maps / maps.std()).astype(np.float32)


def train(step, nets):
    """The state before and the state after the last step, and both losses of all."""
    states, losses = [init_state(nets, OPTIMIZER, jax.random.key(0))], []
    for number in range(STEPS + 1):
        state, metrics = step(states[-1], batch(number))
        states.append(state)
        losses.append([metrics["disc_loss"], metrics["gen_loss"]])
    return states, np.array(losses)


def errors(found, exact):
    """Of G's and D's gradients."""
    pairs = [(a.opt_state[1], b.opt_state[1]) for a, b in ((found.gen, exact.gen), (found.disc, exact.disc))]
    return [float(optax.tree.norm(jax.tree.map(jnp.subtract, a, b)) / optax.tree.norm(b)) for a, b in pairs]


def primitives(nets):
    """What a step is made of: the dtypes of the floating-point inputs of every primitive."""
    state = jax.eval_shape(lambda: init_state(nets, OPTIMIZER, jax.random.key(0)))
    found = {}

    def walk(jaxpr):
        for eqn in jaxpr.eqns:
            for inner in jax.extend.core.jaxprs_in_params(eqn.params):
                walk(inner)
            dtypes = {v.aval.dtype for v in eqn.invars if hasattr(v.aval, "dtype")}
            floats = {dtype.name for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)}
            found.setdefault(eqn.primitive.name, set()).update(floats)

    walk(jax.make_jaxpr(make_train_step(nets, OPTIMIZER, StepSettings(0.0)))(state, batch(0)).jaxpr)
    return found


@pytest.fixture(scope="module")
def in_float32():
    nets = networks()
    return train(make_step(nets), nets)


@pytest.mark.parametrize("dtype", [pytest.param(dtype, marks=[pytest.mark.slow]) for dtype in LIMITS])
def test_gradients_and_losses_stay_near_float32s(in_float32, dtype):
    states, losses = in_float32
    nets = networks(dtype)
    step = make_step(nets)
    for number in (0, STEPS):
        found, _ = step(states[number], batch(number))
        assert max(errors(found, states[number + 1])) < LIMITS[dtype]
        assert min(errors(found, states[number + 1])) > 1e-4  # something was rounded
        assert {leaf.dtype for leaf in jax.tree.leaves((found.gen, found.disc)) if leaf.ndim} == {
            np.dtype(np.float32)
        }
    np.testing.assert_allclose(train(step, nets)[1].mean(0), losses.mean(0), rtol=0.1)


@pytest.mark.parametrize("dtype", LIMITS)
def test_products_are_of_the_dtype_and_all_else_is_float32(dtype):
    found = primitives(networks(dtype))
    half = {"bfloat16"} if dtype == "bfloat16" else {"bfloat16", "float32"}
    assert found["conv_general_dilated"] == half
    for primitive in ("tanh", "rsqrt", "sqrt", "reduce_sum", "log1p", "dot_general"):
        assert found[primitive] == {"float32"}, primitive
    assert "bfloat16" not in set().union(*primitives(networks()).values())


@pytest.mark.slow
def test_activations_computed_again_give_the_same_step(in_float32):
    states, _ = in_float32
    for remat in ("none", "generator", "both"):
        names = primitives(networks(remat=remat))
        assert any("remat" in name or "checkpoint" in name for name in names) == (remat != "none")
    after, _ = make_step(networks(remat="both"))(states[0], batch(0))
    assert max(errors(after, states[1])) < 1e-5


def test_bad_arguments():
    with pytest.raises(ValueError, match="compute_dtype='float16'"):
        networks("float16")
    with pytest.raises(ValueError, match="matmul_precision='low'"):
        networks(matmul_precision="low")
    with pytest.raises(ValueError, match="remat='all'"):
        networks(remat="all")
    with pytest.raises(ValueError, match="needs convolution_form=auto, phases or winograd"):
        networks("bfloat16_gradients", convolution_form="stock")
