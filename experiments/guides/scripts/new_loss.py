"""Trains an emulator on by a loss of one's own: any function of maps that JAX differentiates.

    python experiments/guides/scripts/new_loss.py [steps]      # 30

Shows: a statistic in a few lines, its gradient through the emulator to its network's weights, and optax. The
statistic, shares of pixels above heights, is drawn to what maps of another simulation have. Half a minute of
one core. Stage train does the like with `--match`, beside its game, which keeps all else in place.
"""

import sys

import jax
import jax.numpy as jnp
import optax

import cosmogan_jax

HEIGHTS = jnp.array([-0.01, 0.0, 0.01, 0.02, 0.04])


def mine(kappa):
    """Shares of 2x2-pixel means above heights: (maps, heights); smooth over 0.003, so with a gradient."""
    means = kappa.reshape(len(kappa), kappa.shape[1] // 2, 2, -1, 2).mean((2, 4))
    return jax.nn.sigmoid((means[..., None] - HEIGHTS) / 0.003).mean((1, 2))


def main(steps: str = "30") -> None:
    real = mine(cosmogan_jax.load("planes-z0.99-64").sample(seed=0, num_maps=128))
    emulator, num_steps = cosmogan_jax.load("pm-zs1-64"), int(steps)
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, num_steps))

    def shares(params, z):
        return mine(emulator.kappa(z, {**emulator.variables, "params": params})).mean(0)

    def loss(params, z):
        return (((shares(params, z) - real.mean(0)) / real.std(0)) ** 2).mean()

    @jax.jit
    def step(params, state, z):
        value, slope = jax.value_and_grad(loss)(params, z)
        updates, state = optimizer.update(slope, state)
        return optax.apply_updates(params, updates), state, value

    params = emulator.variables["params"]
    state = optimizer.init(params)
    for n in range(num_steps):  # map n of a seed is the same map in whatever batch
        z = emulator.latents(emulator.key(1), jnp.arange(16 * n, 16 * n + 16))
        params, state, value = step(params, state, z)
        print(f"step {n}: mean square deviation, in scatters of a map: {float(value):.3f}")
    z = emulator.latents(emulator.key(2), jnp.arange(128))
    before, after = shares(emulator.variables["params"], z), shares(params, z)
    print(f"shares above {HEIGHTS}:\nbefore {before}\nafter  {after}\nasked  {real.mean(0)}")
    # The new emulator: dataclasses.replace(emulator, variables={**emulator.variables, "params": params}).


if __name__ == "__main__":
    main(*sys.argv[1:])
