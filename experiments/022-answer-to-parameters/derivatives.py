"""How do boxes of particles answer to sigma8 and Omega_m? Matched seeds, against halofit.

    python experiments/022-answer-to-parameters/derivatives.py --out=answers.jsonl --configurations=64-2-16
    python experiments/022-answer-to-parameters/derivatives.py --out=answers.jsonl --table

A configuration is particles-mesh_factor-steps, with more as box=240, start=49. Each box is evolved four times
from the same white noise, with sigma8 and with Omega_m 5 % smaller and larger (flat; h, n_s and Omega_b fixed).
The power of its planes, not of maps cut from them, is put together as a light cone has it:

    C_l = sum over planes of (w s / chi)^2 P_plane(l / chi),    P_plane = <|delta_k|^2> of all cuts of the box

so that nothing but the box's own waves is random, and most of that cancels in d ln C / d ln theta. Beside it
what halofit gives through the same slabs, with all waves (also those that planes do not hold):

    P_plane(k) = int dk_z / 2 pi sinc^2(k_z T / 2) P(sqrt(k^2 + k_z^2))

Rows of --out: one a box; what is there is not made again.
"""

import argparse
import functools
import itertools
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cosmogan_jax.sky import light_cone, nbody, resolution
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY
from cosmogan_jax.sky.response import displaced_power

SOURCE_REDSHIFT = 1.0
STEP = 0.05  # of the parameter, up and down
# 12 logarithmic bands of crops of 64x64 pixels of 0.82 arcmin: from their fundamental to Nyquist.
L_EDGES = np.geomspace(411.4, 13166, 13)
PARAMETERS = ("sigma8", "omega_m")
# k_z of the slab integral, in units of 1 / thickness: the window beyond 60 pi holds 2e-3 of a constant power.
_K_Z = np.linspace(0, 60 * np.pi, 1201)


def settings_of(configuration: str) -> nbody.BoxSettings:
    """BoxSettings of particles-mesh_factor-steps[-box=Mpc/h][-start=redshift]."""
    numbers, more = [], {"box": 120.0, "start": 9.0}
    for word in configuration.split("-"):
        name, is_option, value = word.partition("=")
        if is_option:
            more[name] = float(value)
        else:
            numbers.append(int(word))
    particles, mesh_factor, steps = numbers
    mesh, slabs = mesh_factor * particles, int(more["box"] // 60)
    return nbody.BoxSettings(more["box"], particles, mesh, steps, more["start"], slabs, 4 * particles)


@jax.jit
def cut_power(planes):
    """Mean over cuts of |delta_k|^2 on the half plane; their clouds divided out, 0 beyond Nyquist."""
    size = planes.shape[-1]
    modes = jnp.fft.rfft2(light_cone.divide_clouds(planes))
    return (jnp.abs(modes) ** 2).mean(0) / float(size) ** 4


def light_cone_power(key, box: nbody.BoxSettings, power) -> tuple[np.ndarray, float]:
    """C_l in L_EDGES of one box at one cosmology, in steradian, and the seconds that it took."""
    cosmology = power.cosmology
    schedule = light_cone.plane_schedule(cosmology, SOURCE_REDSHIFT, box.box_size, box.slabs_per_box)
    strength, weights = light_cone.lensing_weights(cosmology, schedule, SOURCE_REDSHIFT)
    size = box.plane_pixels
    wave = 2 * np.pi / box.box_size * np.fft.fftfreq(size, 1 / size)
    k = np.hypot(wave[:, None], np.abs(wave[None, : size // 2 + 1]))
    twice = np.where((np.arange(size // 2 + 1) % (size // 2)) == 0, 1.0, 2.0) * np.ones((size, 1))
    total, began = np.zeros(len(L_EDGES) - 1), time.monotonic()
    for _, planes in nbody.evolve(key, box, power, schedule):
        for number, cuts in planes:
            plane = np.asarray(cut_power(cuts)) * box.box_size**2
            chi = schedule.chi[number]
            band = np.digitize(k * chi, L_EDGES) - 1
            used = (band >= 0) & (band < len(total)) & (k > 0)
            counts = np.bincount(band[used], twice[used], len(total))
            sums = np.bincount(band[used], (twice * plane)[used], len(total))
            mean = np.where(counts > 0, sums / np.maximum(counts, 1), 0.0)
            total += (weights[number] * strength[number] / chi) ** 2 * mean
    return total, time.monotonic() - began


@functools.cache
def theory(thickness: float, name: str, sign: int) -> np.ndarray:
    """What halofit gives at a displaced parameter through slabs of this thickness, in L_EDGES."""
    power = displaced(name, sign)
    cosmology = power.cosmology
    schedule = light_cone.plane_schedule(cosmology, SOURCE_REDSHIFT, thickness, 1)
    strength, weights = light_cone.lensing_weights(cosmology, schedule, SOURCE_REDSHIFT)
    k_z = _K_Z / schedule.thickness
    window = np.sinc(_K_Z / (2 * np.pi)) ** 2 / np.pi
    ell = np.concatenate([np.linspace(low, high, 12) for low, high in itertools.pairwise(L_EDGES)])
    total = np.zeros(len(ell))
    for chi, z, s, w in zip(schedule.chi, schedule.redshift, strength, weights):
        k = np.hypot((ell / chi)[:, None], k_z)
        total += (w * s / chi) ** 2 * np.trapezoid(window * power.nonlinear(k, z), k_z, axis=1)
    values, at = total.reshape(-1, 12), ell.reshape(-1, 12)
    return (values * at).sum(1) / at.sum(1)  # modes of a ring are as many as ell


def noise(box: nbody.BoxSettings) -> float:
    """Poisson's power of the box's number of particles at the paper's cosmology, in steradian."""
    schedule = light_cone.plane_schedule(PAPER_COSMOLOGY, SOURCE_REDSHIFT, box.box_size, box.slabs_per_box)
    strength, weights = light_cone.lensing_weights(PAPER_COSMOLOGY, schedule, SOURCE_REDSHIFT)
    return resolution.shot_noise_power(schedule, strength, weights, box.box_size, box.num_particles_side)


def displaced(name: str, sign: int):
    """Matter power with one parameter 5 % smaller or larger."""
    return displaced_power(PAPER_COSMOLOGY, name, sign * STEP)


def derivative(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """d ln C / d ln theta of the two."""
    return np.log(np.asarray(upper) / np.asarray(lower)) / np.log((1 + STEP) / (1 - STEP))


def make(configuration: str, seed: int) -> dict:
    """One box at four cosmologies."""
    box, row = settings_of(configuration), {"configuration": configuration, "seed": seed, "seconds": []}
    for name in PARAMETERS:
        for sign in (-1, 1):
            c_ell, seconds = light_cone_power(jax.random.key(seed), box, displaced(name, sign))
            row[f"{name}{sign:+d}"] = c_ell.tolist()
            row["seconds"].append(round(seconds, 1))
    return row


def table(rows: list[dict]) -> None:
    """Print derivatives over halofit's, and the power over halofit's, by configuration."""
    centre = np.sqrt(L_EDGES[1:] * L_EDGES[:-1])
    head = " | ".join(f"{ell:.0f}" for ell in centre)
    for configuration in dict.fromkeys(row["configuration"] for row in rows):
        chosen, box = [r for r in rows if r["configuration"] == configuration], settings_of(configuration)
        seconds = np.median([s for row in chosen for s in row["seconds"][1:]])
        print(
            f"\n{configuration}: {len(chosen)} boxes, {seconds:.1f} s a box\n| | {head} |\n|---{'|---' * 12}|"
        )
        thickness = box.box_size / box.slabs_per_box
        halofit = {name: [theory(thickness, name, sign) for sign in (-1, 1)] for name in PARAMETERS}
        middle = np.sqrt(np.prod(halofit["sigma8"], axis=0))
        own = np.array([np.sqrt(np.multiply(row["sigma8-1"], row["sigma8+1"])) for row in chosen])
        lines = {
            "power over halofit": own.mean(0) / middle,
            "Poisson noise over power": noise(box) / own.mean(0),
        }
        for name in PARAMETERS:
            expected = derivative(*halofit[name])
            found = np.array([derivative(row[f"{name}-1"], row[f"{name}+1"]) for row in chosen])
            lines[f"d ln C/d ln {name}"] = found.mean(0)
            if len(chosen) > 1:
                lines["its error"] = found.std(0, ddof=1) / np.sqrt(len(chosen))
            lines[f"halofit's, {name}"] = expected
            lines[f"over halofit's, {name}"] = found.mean(0) / expected
        for name, values in lines.items():
            print(f"| {name} | {' | '.join(f'{v:.3f}' for v in values)} |")


def main() -> None:
    """Make the boxes that are missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="rows, one a box, are added to it")
    parser.add_argument("--configurations", default="64-2-16")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    lines = args.out.read_text().splitlines() if args.out.exists() else []
    rows = [json.loads(line) for line in lines]
    if args.table:
        table(rows)
        return
    there = {(row["configuration"], row["seed"]) for row in rows}
    for configuration in args.configurations.split(","):
        settings_of(configuration)
    for configuration in args.configurations.split(","):
        for seed in range(args.seeds):
            if (configuration, seed) not in there:
                with args.out.open("a") as out:
                    out.write(json.dumps(make(configuration, seed)) + "\n")


if __name__ == "__main__":
    main()
