"""The library in five steps: draw maps, differentiate through them, read one's own map, judge a mock.

    python experiments/tutorial/tutorial.py [folder]     # writes to runs/tutorial unless told otherwise

Needs no data and no GPU: pip install ".[fits,report]". README.md beside this file says what to expect.
"""

import functools
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

from cosmogan_jax.compare.effects import verdict
from cosmogan_jax.compare.two_sample.mode_tests import TwoSampleTests, permutation_tests
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.maps.formats import open_map_file
from cosmogan_jax.maps.map_files import write_fits_map
from cosmogan_jax.pretrained import Emulator, load
from cosmogan_jax.sky.lognormal import lognormal_amplitudes, lognormal_maps
from cosmogan_jax.summaries import MinkowskiFunctionals, minkowski_functionals, power_spectrum

SHIFT = 0.025  # lowest convergence of the mock sky is -SHIFT: about that of sources at redshift 1
THRESHOLDS = np.arange(-2.0, 3.01, 0.5)  # in units of a map's standard deviation
NUM_MAPS = 512  # of each set that is judged
AT_ONCE = 128
UPHILL = 0.2  # a step in z, whose length is about 8


def draw(emulator: Emulator, seed: int, num_maps: int) -> Float[Array, "maps size size"]:
    """Maps of a seed, a batch at a time: map n is the same map whatever the batch."""
    parts = [emulator.sample(seed, AT_ONCE, first) for first in range(0, num_maps, AT_ONCE)]
    return jnp.concatenate(parts)[:num_maps]


class Sensitivity(NamedTuple):
    """What z does to the power: the Jacobian, one derivative both ways, and one step uphill."""

    jacobian: Float[Array, "bands latent"]
    by_autodiff: float
    by_difference: float
    power_gain: float


def power_against_z(emulator: Emulator, l_edges: Float[np.ndarray, " edges"], seed: int) -> Sensitivity:
    """d ln P_b / d z of one map, all bands at once; checked by a central difference in a random direction."""

    def log_power(z: Float[Array, " latent"]) -> Float[Array, " bands"]:
        kappa = emulator.kappa(z[None])[0]
        return jnp.log(power_spectrum(kappa, l_edges, emulator.geometry.side_deg))

    z_key, direction_key = jax.random.split(jax.random.key(seed))
    z = emulator.model.latent(z_key, emulator.geometry.num_pixels)
    direction = jax.random.normal(direction_key, z.shape)
    direction /= jnp.linalg.norm(direction)
    # Fewer bands than components of z: reverse mode takes one pass a band.
    jacobian = jax.jit(jax.jacrev(log_power))(z)
    step, band = 0.003, len(l_edges) // 2
    compiled = jax.jit(log_power)
    difference = (compiled(z + step * direction) - compiled(z - step * direction)) / (2 * step)
    uphill = jacobian[band] / jnp.linalg.norm(jacobian[band])
    gain = compiled(z + UPHILL * uphill)[band] - compiled(z)[band]
    return Sensitivity(
        jacobian, float(jacobian[band] @ direction), float(difference[band]), float(jnp.exp(gain) - 1)
    )


def mock_sky(
    l_edges: Float[np.ndarray, " edges"],
    power: Float[np.ndarray, " bands"],
    geometry: MapGeometry,
    seed: int,
    num_maps: int,
) -> Float[Array, "maps size size"]:
    """Lognormal maps; ln P (P in steradian) runs straight in ln ell between the bands."""
    middle = np.log(l_edges[1:] * l_edges[:-1]) / 2
    amplitudes, variance = lognormal_amplitudes(
        lambda ell: np.exp(np.interp(np.log(ell), middle, np.log(power))), geometry, SHIFT
    )
    return lognormal_maps(jax.random.key(seed), jnp.arange(num_maps), amplitudes, variance, SHIFT)


def minkowski_of_file(path: Path) -> tuple[MinkowskiFunctionals, float]:
    """V0, V1, V2 of the first map of a file in any form that --maps reads, and the width in degrees it says."""
    file = open_map_file(path)
    kappa = jnp.asarray(file.read(0, 1)[0])
    if file.side_deg is None:
        raise ValueError(f"{path} does not say how wide its map is")
    return minkowski_functionals(kappa, THRESHOLDS), file.side_deg


def statistics(
    kappa: Float[Array, "maps size size"], l_edges: Float[np.ndarray, " edges"], side_deg: float
) -> dict[str, Float[np.ndarray, "maps bands"]]:
    """The statistics by which sets of maps are compared."""

    edges, starts = tuple(l_edges), range(0, len(kappa), AT_ONCE)
    parts = [_of_maps(kappa[start : start + AT_ONCE], edges, side_deg) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@functools.partial(jax.jit, static_argnums=(1, 2))
def _of_maps(kappa: Array, l_edges: tuple[float, ...], side_deg: float) -> dict[str, Array]:
    functionals = minkowski_functionals(kappa, THRESHOLDS)
    return {"power": power_spectrum(kappa, l_edges, side_deg), **functionals._asdict()}


class Judgement(NamedTuple):
    """The verdict on each statistic, and the tests of the power spectrum."""

    outcomes: dict[str, verdict.Outcome]
    effects: list[verdict.Judged]
    power_tests: TwoSampleTests


def judge_mock(
    mock: dict[str, np.ndarray],
    validation: dict[str, np.ndarray],
    auxiliary: dict[str, np.ndarray],
    l_edges: Float[np.ndarray, " edges"],
) -> Judgement:
    """Mock against validation maps, with auxiliary against validation maps as the yardstick.

    Every map here is a draw of its own, so that each is its own parent; crops of one map would share theirs.
    """
    sets = [verdict.MapSet(of, np.arange(len(of["power"]))) for of in (mock, validation, auxiliary)]
    edges = [f"ell {low:.0f} to {high:.0f}" for low, high in pairwise(l_edges)]
    levels = tuple(f"{(low + high) / 2:+.2f} sigma" for low, high in pairwise(THRESHOLDS))
    quantities = [
        verdict.Quantity("power", tuple(edges), covariance=True),
        *(verdict.Quantity(name, levels, mean_unit="scatter") for name in ("V0", "V1", "V2")),
    ]
    effects = verdict.judge(*sets, quantities, seed=0, num_resamples=200)
    tests = permutation_tests(
        mock["power"], validation["power"], sets[0].parents, sets[1].parents, seed=0, num_permutations=199
    )
    return Judgement(verdict.overall(effects), effects, tests)


class Findings(NamedTuple):
    """What the tutorial computes; tests/test_tutorial.py says what it should be."""

    kappa: Float[Array, "maps size size"]
    sensitivity: Sensitivity
    functionals: MinkowskiFunctionals
    own_map: Float[Array, "size size"]
    file_side_deg: float
    mean_power: Float[np.ndarray, " bands"]
    mock_power: Float[np.ndarray, " bands"]
    judgement: Judgement


def run(folder: Path) -> Findings:
    """All five steps; pictures and the FITS map go to the folder."""
    folder.mkdir(parents=True, exist_ok=True)

    # 1. A generator that is trained already, and its maps: (maps, 64, 64), convergence.
    emulator = load("planes-z0.99-64")
    geometry, side_deg = emulator.geometry, emulator.geometry.side_deg
    kappa = draw(emulator, seed=0, num_maps=2 * NUM_MAPS)

    # 2. Gradients go through generator and statistic alike.
    l_edges = log_l_edges(geometry, 8)[:-1]  # the last band is of two and three pixels
    sensitivity = power_against_z(emulator, l_edges, seed=1)

    # 3. A map of one's own, here a mock sky four times as wide with the generator's mean power, as a FITS file.
    found = statistics(kappa, l_edges, side_deg)
    mean_power = found["power"].mean(0)
    wide = MapGeometry(4 * geometry.num_pixels, 4 * side_deg)
    own_map = mock_sky(l_edges, mean_power, wide, seed=2, num_maps=1)[0]
    write_fits_map(folder / "mine.fits", np.asarray(own_map), wide, {"ZSOURCE": (0.99, "source redshift")})
    functionals, file_side_deg = minkowski_of_file(folder / "mine.fits")

    # 4. Can lognormal maps of the same mean power stand in for the generator's? Two trials show by how much
    #    maps miss the power that was asked for. Half of the generator's maps are the yardstick for the other
    #    half: what two sets of the same kind differ by.
    asked = mean_power
    for seed in (3, 4):
        trial = statistics(mock_sky(l_edges, asked, geometry, seed, NUM_MAPS), l_edges, side_deg)
        asked = asked * mean_power / trial["power"].mean(0)
    mock = statistics(mock_sky(l_edges, asked, geometry, 5, NUM_MAPS), l_edges, side_deg)
    validation = {name: values[:NUM_MAPS] for name, values in found.items()}
    auxiliary = {name: values[NUM_MAPS:] for name, values in found.items()}
    judgement = judge_mock(mock, validation, auxiliary, l_edges)

    # 5. Pictures.
    findings = Findings(
        kappa, sensitivity, functionals, own_map, file_side_deg, mean_power, mock["power"].mean(0), judgement
    )
    picture(findings, np.sqrt(l_edges[1:] * l_edges[:-1]), side_deg).savefig(folder / "tutorial.png", dpi=110)
    return findings


def picture(found: Findings, centre: Float[np.ndarray, " bands"], side_deg: float) -> Figure:
    """A map, what z does to its power, the Minkowski functionals of the file, and the mock against the maps."""
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    image = first.imshow(
        found.kappa[0], origin="lower", extent=(0, side_deg, 0, side_deg), cmap="cividis", vmin=-0.02, vmax=0.06
    )
    first.set(title="map 0 of the generator", xlabel="degrees", ylabel="degrees")
    figure.colorbar(image, ax=first, label="convergence κ", extend="both")
    image = second.imshow(
        found.sensitivity.jacobian, aspect="auto", cmap="PuOr", vmin=-0.15, vmax=0.15, interpolation="nearest"
    )
    second.set(title="d ln P / d z of one map", xlabel="component of z", ylabel="middle of the band of ℓ")
    second.set_yticks(range(len(centre)), [f"{ell:.0f}" for ell in centre])
    figure.colorbar(image, ax=second, extend="both")
    level = (THRESHOLDS[1:] + THRESHOLDS[:-1]) / 2
    for name, values, mark in zip(("V0", "V1", "V2"), found.functionals, "os^"):
        third.plot(level, values / np.abs(values).max(), f"{mark}-", label=f"{name} / its largest")
    third.set(title="mine.fits, Minkowski functionals", xlabel="threshold / σ")
    third.legend()
    mean = [one for one in found.judgement.effects if one.name == "mean"]
    for one, mark in zip(mean, "osD^"):
        if one.quantity == "power":
            continue
        fourth.plot(level, one.effect, f"{mark}-", label=f"{one.quantity}: {one.outcome}")
    fourth.axhspan(-mean[-1].margin, mean[-1].margin, color="0.88", label="margin")
    fourth.set(title="lognormal mock − generator, means", xlabel="threshold / σ", ylabel="in scatters of a map")
    fourth.legend()
    return figure


def main(folder: Path) -> None:
    found = run(folder)
    slopes, judgement = found.sensitivity, found.judgement
    print(f"{len(found.kappa)} maps, sigma {float(found.kappa.std()):.5f}")
    print(f"d ln P / dz: by autodiff {slopes.by_autodiff:+.4f}, by difference {slopes.by_difference:+.4f}")
    print(f"a step of {UPHILL} in z uphill: power {slopes.power_gain:+.1%}")
    area = np.round(np.asarray(found.functionals.V0, float), 3)
    print(f"mine.fits: {found.file_side_deg:.4g} degrees wide, V0 {area}")
    print(f"power of the mock over the generator's: {np.round(found.mock_power / found.mean_power, 2)}")
    for name, outcome in judgement.outcomes.items():
        effects = ", ".join(f"{one.name} {one.outcome}" for one in judgement.effects if one.quantity == name)
        print(f"mock against generator, {name}: {outcome} ({effects})")
    print(f"power, KS: smallest p corrected for its bands {np.nanmin(judgement.power_tests.ks.family_p):.3f}")
    print(f"pictures: {folder / 'tutorial.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/tutorial"))
