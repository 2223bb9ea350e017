"""Seeds mean what they mean: roots by purpose, in one form, whatever the environment says to JAX."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import draws
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import quickly_compiled
from scipy import stats

from cosmogan_jax import keys
from cosmogan_jax.runs.directory import begin_stage, finish_stage, key_scheme

TESTS = Path(__file__).parent
ENVIRONMENTS = {
    "nothing": {},
    "64 bits": {"JAX_ENABLE_X64": "1"},
    "another generator": {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
    "the form of before": {"JAX_THREEFRY_PARTITIONABLE": "0"},
    "an offset": {"JAX_RANDOM_SEED_OFFSET": "3"},
    "all": {
        "JAX_ENABLE_X64": "1",
        "JAX_DEFAULT_PRNG_IMPL": "unsafe_rbg",
        "JAX_THREEFRY_PARTITIONABLE": "0",
        "JAX_RANDOM_SEED_OFFSET": "3",
    },
}
DRAWS = {
    "normal": lambda key: jax.random.normal(key, (3, 5), jnp.float32),
    "truncated normal": lambda key: jax.random.truncated_normal(key, -2, 2, (7,), jnp.float32),
    "integers": lambda key: jax.random.randint(key, (9,), 0, 8, jnp.int32),
    "uniform": lambda key: jax.random.uniform(key, (2, 3), jnp.float32),
    "flips": lambda key: jax.random.bernoulli(key, jnp.float32(0.3), (9,)),
    "order": lambda key: jax.random.permutation(key, jnp.arange(1000)),
    "bytes": lambda key: jax.random.bits(key, (5,), jnp.uint8),
    "split": lambda key: jax.random.key_data(jax.random.split(key, (3, 2))),
    "many": lambda key: jax.vmap(lambda n: jax.random.normal(jax.random.fold_in(key, n), (4,), jnp.float32))(
        jnp.arange(5)
    ),
    "of many": lambda key: jax.vmap(lambda one: jax.random.normal(jax.random.fold_in(one, 7), (4,)))(
        jax.random.split(key, 3)
    ),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_form_is_that_of_jax_where_its_settings_are_its_defaults(name):
    """So runs and cards of before this module mean what they meant; eager and compiled."""
    draw = DRAWS[name]
    for seed in (0, 5, 2**32 - 1):
        theirs, ours = jax.random.key(seed, impl="threefry2x32"), keys.key(seed, "order", 1)
        np.testing.assert_array_equal(draw(ours), draw(theirs))
        np.testing.assert_array_equal(jax.jit(draw)(ours), jax.jit(draw)(theirs))


def test_the_first_scheme_adds_what_it_added():
    for purpose, added in (("weights", 0), ("samples", 1), ("second scores", 2), ("first scores", 3)):
        found = keys.key(7, purpose, 1)
        expected = jax.random.key(7 + added, impl="threefry2x32")
        np.testing.assert_array_equal(jax.random.key_data(found), jax.random.key_data(expected))
    turns = jax.random.fold_in(jax.random.key(7, impl="threefry2x32"), 2**31 - 1)
    np.testing.assert_array_equal(jax.random.key_data(keys.key(7, "turns", 1)), jax.random.key_data(turns))


def test_no_two_purposes_or_seeds_share_a_root_or_what_is_split_from_it():
    """In the first scheme the key of a training's steps was that of epoch 2's order."""
    roots = [
        keys.key(seed, purpose) for seed in (*range(9), 2**31, 2**32, 2**40, -1) for purpose in keys.PURPOSES
    ]
    words = {tuple(jax.random.key_data(root).tolist()) for root in roots}
    for root in roots:
        words |= {tuple(words) for words in jax.random.key_data(jax.random.split(root, 8)).tolist()}
    assert len(words) == 9 * len(roots)
    old = keys.key(0, "weights", 1), keys.key(0, "order", 1)
    np.testing.assert_array_equal(
        jax.random.key_data(jax.random.split(old[0], 3)[2]), jax.random.key_data(jax.random.fold_in(old[1], 2))
    )


def test_roots_are_the_written_ones():
    """What a seed means is a promise: these words stand in no code but here."""
    import hashlib

    for seed, purpose in ((0, "latents"), (123456789012, "sky")):
        digest = hashlib.sha256(f"cosmogan_jax {purpose} {seed}".encode()).digest()
        expected = [int.from_bytes(digest[i : i + 4], "big") for i in (0, 4)]
        assert jax.random.key_data(keys.key(seed, purpose)).tolist() == expected
    assert jax.random.key_data(keys.key(0, "latents")).tolist() == LATENTS_OF_0


LATENTS_OF_0 = [4062308073, 969501135]


def test_numbers_are_random():
    x = np.asarray(jax.random.normal(keys.key(1, "latents"), (200_000,), jnp.float32), np.float64)
    assert stats.kstest(x, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4 / len(x) ** 0.5
    folded = jax.vmap(
        lambda n: jax.random.normal(jax.random.fold_in(keys.key(1, "latents"), n), (), jnp.float32)
    )
    y = np.asarray(folded(jnp.arange(200_000)), np.float64)
    assert stats.kstest(y, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / len(x) ** 0.5


def test_bad_purposes_and_schemes():
    with pytest.raises(ValueError, match="purpose='latent' must be one of weights, order"):
        keys.key(0, "latent")
    with pytest.raises(ValueError, match="key: keys=3 is a scheme of another version"):
        keys.key(0, "latents", 3)


# Each alone is run by hand, all at once always.
ALONE = [pytest.param(name, marks=pytest.mark.slow) for name in ENVIRONMENTS if name not in ("nothing", "all")]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """What a process of each environment prints and saves; this one, where the environment adds nothing."""
    folder = tmp_path_factory.mktemp("draws")

    @functools.cache
    def run(name):
        path = folder / f"{name}.npz"
        environment = {**os.environ, **ENVIRONMENTS[name], "PYTHONPATH": str(TESTS.parent)}
        if ENVIRONMENTS[name]:
            done = subprocess.run(
                [sys.executable, TESTS / "draws.py", path], env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            numbers = json.loads(done.stdout)
        else:
            with quickly_compiled():
                draws.maps(path)
                numbers = draws.numbers()
        with np.load(path, allow_pickle=False) as file:
            return numbers, dict(file)

    return run


@pytest.mark.parametrize("name", [*ALONE, "all"])
def test_no_environment_variable_changes_what_a_seed_means(drawn, name):
    (numbers, maps), (expected, usual) = drawn(name), drawn("nothing")
    assert numbers == expected
    for what, kappa in maps.items():
        # Made of the same numbers; where 64 bits are on, parts are computed in them.
        np.testing.assert_allclose(kappa, usual[what], rtol=0, atol=1e-5 * usual[what].std(), err_msg=what)
        assert usual[what].std() > 0


def test_a_directory_has_one_scheme(tmp_path):
    assert key_scheme(tmp_path) == keys.SCHEME
    begin_stage(tmp_path, "simulate", {"seed": 1}, resumable=True)
    assert json.loads((tmp_path / "simulate.partial/settings.json").read_text())["keys"] == keys.SCHEME
    finish_stage(tmp_path, "simulate", {"flags": {}, "inputs": {}, "summary": {}})
    assert json.loads((tmp_path / "simulate/stage.json").read_text())["keys"] == keys.SCHEME
    # A stage of before: whatever is made beside it follows it.
    old = tmp_path / "old"
    (old / "train.partial").mkdir(parents=True)
    (old / "train.partial/settings.json").write_text('{"seed": 1}')
    assert key_scheme(old) == 1
    begin_stage(old, "train", {"seed": 1}, resumable=True)
    assert json.loads((old / "train.partial/settings.json").read_text()) == {"seed": 1, "keys": 1}
    begin_stage(old, "generate", {"seed": 1}, resumable=False)
    assert json.loads((old / "generate.partial/settings.json").read_text())["keys"] == 1
    (old / "train.partial/settings.json").write_text('{"keys": "new"}')
    with pytest.raises(ValueError, match="keys='new' is a scheme of another version"):
        key_scheme(old)
