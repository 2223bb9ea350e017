"""Galaxies of each source bin: their noise in closed form, of emulators' maps and of arrays; and as flags."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax import GalaxyNoise
from cosmogan_jax.emulators.emulator import Emulator
from cosmogan_jax.emulators.normalisation import Normalisation
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.stages import agreement
from cosmogan_jax.summaries.observer import add_shape_noise_of_bins

GEOMETRY = MapGeometry(32, 0.5)
GALAXIES = (4.0, 9.0, 16.0)
MAPS = 60


@dataclasses.dataclass(frozen=True)
class Nothing:
    """Maps of several bins that are 0 everywhere, with what lies around them."""

    num_bins: int = 3
    any_size: bool = True

    def latent(self, key, height, width):
        return jnp.zeros((height, width))

    def sample(self, variables, latent, theta, margin=0):
        maps, height, width = latent.shape
        return jnp.zeros((maps, height + 2 * margin, width + 2 * margin, self.num_bins))

    def widest_margin(self, height, width):
        return 20


def emulator(num_bins=3):
    return Emulator("nothing", Nothing(num_bins), {}, Normalisation("none", 1.0), GEOMETRY, {})


def test_each_bin_of_an_emulator_has_the_noise_of_its_own_galaxies():
    """Variance sigma_e^2 / (n A) a pixel, smoothed sigma_e^2 / (4 pi theta^2 n); no bin's is another's."""
    noise = np.asarray(emulator().sample(0, MAPS, noise=GalaxyNoise(GALAXIES, 0.26)))
    assert noise.shape == (MAPS, 32, 32, 3)
    expected = 0.26**2 / (np.array(GALAXIES) * GEOMETRY.pixel_arcmin**2)
    pixels = MAPS * 32**2
    np.testing.assert_allclose(noise.var((0, 1, 2)), expected, rtol=5 * np.sqrt(2 / pixels))
    correlation = np.corrcoef(noise.reshape(-1, 3).T)[np.triu_indices(3, 1)]
    assert (np.abs(correlation) < 5 / np.sqrt(pixels)).all()
    smoothed = emulator().sample(0, MAPS, noise=GalaxyNoise(GALAXIES, 0.26), smoothing_arcmin=2.0)
    expected = 0.26**2 / (4 * np.pi * 2.0**2 * np.array(GALAXIES))
    # Some 4 pi theta^2 a patch that counts: 18 a map.
    np.testing.assert_allclose(np.var(smoothed, (0, 1, 2)), expected, rtol=5 * np.sqrt(2 / (18 * MAPS)))


def test_one_number_is_of_every_bin():
    every, one, alone = (
        np.asarray(emulator().sample(3, 4, noise=GalaxyNoise(of, 0.3))) for of in ((9.0,) * 3, 9.0, (9.0,))
    )
    np.testing.assert_array_equal(every, one)
    np.testing.assert_array_equal(alone, one)
    assert GalaxyNoise([9]) == GalaxyNoise(9)
    assert hash(GalaxyNoise(np.array([4.0, 9.0]))) == hash(GalaxyNoise((4.0, 9.0)))
    own = np.asarray(emulator().sample(3, 4, noise=GalaxyNoise((4.0, 9.0, 36.0), 0.3)))
    np.testing.assert_allclose(own * np.sqrt([4.0, 9.0, 36.0]), one * 3, rtol=1e-5)


def test_arrays_take_the_galaxies_of_each_bin_in_one_noise():
    kappa, index, key = np.zeros((5, 3, 32, 32), np.float32), np.arange(5), jax.random.key(1)
    one = add_shape_noise_of_bins(key, kappa, index, GEOMETRY, GalaxyNoise(GALAXIES, 0.26))
    each = add_shape_noise_of_bins(key, kappa, index, GEOMETRY, [GalaxyNoise(of, 0.26) for of in GALAXIES])
    np.testing.assert_array_equal(one, each)
    with pytest.raises(ValueError, match=r"kappa.shape=\(5, 32, 32\) must be \(maps, bins, size, size\)"):
        add_shape_noise_of_bins(key, kappa[:, 0], index, GEOMETRY, GalaxyNoise())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: GalaxyNoise((4.0, 0.0)), r"galaxies_per_arcmin2=\(4.0, 0.0\) must be positive"),
        (lambda: GalaxyNoise(()), r"galaxies_per_arcmin2=\(\) must be positive"),
        (
            lambda: emulator().sample(0, 1, noise=GalaxyNoise((4, 9))),
            "galaxies_per_arcmin2=4,9: galaxies of 2 source bins, and maps have 3; give one number for all",
        ),
        (lambda: emulator(1).sample(0, 1, noise=GalaxyNoise((4, 9))), "2 source bins, and maps have 1"),
    ],
)
def test_galaxies_of_other_bins_than_the_maps_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_a_run_that_recorded_one_number_is_finished_with_a_list_of_it(parse, tmp_path):
    """stage.json of before holds a number where a list stands now."""
    given = (f"--workdir={tmp_path}", "--generated=g.npy", "--reference=r.npy")
    settings = parse(*given)
    flags = agreement.chain("evaluate", settings.by_stage)
    assert flags["galaxies_per_arcmin2"] == [30.0]
    record = {"flags": {**flags, "galaxies_per_arcmin2": 30.0}, "inputs": {}, "summary": {}, "result": "x",
              "finished": "x"}  # fmt: skip
    (tmp_path / "evaluate").mkdir()
    (tmp_path / "evaluate/stage.json").write_text(json.dumps(record))
    agreement.check_flags(tmp_path, ["evaluate"], settings.by_stage, settings.defaults)
    other = parse(*given, "--galaxies_per_arcmin2=20").by_stage
    with pytest.raises(ValueError, match=r"galaxies_per_arcmin2=20.0 differs from galaxies_per_arcmin2=30.0"):
        agreement.check_flags(tmp_path, ["evaluate"], other, settings.defaults)
