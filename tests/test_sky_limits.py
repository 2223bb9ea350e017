"""Up to where training maps are a sky: expected power of maps, particle noise, the range, and what is said."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.compare.sky_limits import SkyLimits, rows, words
from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.sky import light_cone
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY
from cosmogan_jax.sky.map_power import band_means, cut_out_power, expected_bands, folded_power, pixel_window
from cosmogan_jax.sky.particle_noise import particle_noise_bands, plane_noise
from cosmogan_jax.sky.resolution import shot_noise_power
from cosmogan_jax.stages.evaluate.sky_limits import error_within, measure
from cosmogan_jax.summaries import power_spectrum


def steep(ell):
    """A spectrum whose slope runs from -1 to -3, as a convergence map's does."""
    return 1e-9 * (ell / 500) ** -1.0 / (1 + (ell / 4000) ** 2)


def test_rays_of_a_pixel_have_the_window_of_their_mean():
    ell, pixel = np.array([0.0, 500.0, 4000.0, 13000.0]), 2.4e-4
    for rays in (1, 2, 5):
        place = (np.arange(rays) + 0.5 - rays / 2) * pixel / rays
        mean = np.abs(np.exp(1j * ell[:, None] * place).mean(1))
        np.testing.assert_allclose(pixel_window(ell, pixel, rays), mean, rtol=1e-12)
    np.testing.assert_allclose(pixel_window(ell, pixel, 500), np.sinc(ell * pixel / (2 * np.pi)), rtol=1e-5)
    assert pixel_window(4 * np.pi / pixel, pixel, 2) == 1  # every ray sees the same phase


def test_expected_power_is_that_of_maps_cut_from_fields_of_rays():
    """Gaussian fields on a torus of four times the side, drawn at the rays, averaged to pixels, and cut."""
    size, rays, geometry = 16, 2, MapGeometry(16, 0.5)
    fine = MapGeometry(4 * size * rays, 4 * geometry.side_deg)
    modes, half = (
        fine.fundamental_ell * np.fft.fftfreq(fine.num_pixels, 1 / fine.num_pixels),
        fine.num_pixels // 2,
    )
    ell = np.hypot(modes[:, None], modes[: half + 1])
    amplitude = np.sqrt(np.where(ell > 0, steep(np.maximum(ell, 1.0)), 0.0)) / fine.pixel_rad
    white = np.random.default_rng(3).normal(size=(600, fine.num_pixels, fine.num_pixels))
    field = np.fft.irfft2(amplitude * np.fft.rfft2(white), s=white.shape[1:])
    pixels = field.reshape(600, 4 * size, rays, 4 * size, rays).mean((2, 4))
    # Sixteen cuts of each of 600 fields know bands of some 10 to 100 modes to 0.1 to 1 %.
    cuts = pixels.reshape(600, 4, size, 4, size).swapaxes(2, 3).reshape(-1, size, size)
    edges = log_l_edges(geometry, 5)
    power = np.asarray(power_spectrum(cuts.astype(np.float32), edges, 0.5, mode_weights="full_plane"))
    of_field = power.reshape(600, 16, -1).mean(1)
    error = of_field.std(0, ddof=1) / np.sqrt(600)
    found = expected_bands(steep, geometry, edges, rays)
    assert (error < 0.01 * found).all()
    # The torus of the theory is twice as wide: waves that the fields lack add 0.3 % to the lowest band.
    assert (np.abs(of_field.mean(0) - found) < 4 * error + 0.004 * found).all(), of_field.mean(0) / found
    # Without any of the three it would not be: mixing, window, folding.
    flat = folded_power(lambda y, x: steep(np.maximum(np.hypot(y, x), 1.0)), geometry, 1, [(0, 0)])
    assert (np.abs(band_means(flat, geometry, edges) / found - 1)[[0, -1]] > 0.03).all()


def test_a_map_cut_from_too_small_a_torus_is_refused():
    with pytest.raises(ValueError, match="a torus of 24 pixels must be twice as wide as the map of 16"):
        cut_out_power(np.ones((24, 13)), MapGeometry(16, 1.0))


def test_noise_of_a_plane_is_that_of_counts_painted_and_divided():
    """White noise painted by clouds, from its definition: the sum over all waves that the pixels fold."""
    k = np.linspace(-np.pi, np.pi, 41)[1:-1]
    folds = 2 * np.pi * np.arange(-400, 401)
    painted = (np.sinc((k[:, None] + folds) / (2 * np.pi)) ** 4).sum(1)
    expected = (
        painted / np.sinc(k / (2 * np.pi)) ** 4
    )  # once for the clouds; what reading takes was divided out
    found = plane_noise(k[:, None], np.zeros((1, 1)), np.ones(2))[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    corner, beyond = plane_noise(np.array([[3.0]]), np.array([[3.0, 2 * np.pi]]), np.ones(2))[0]
    assert corner == 0
    assert beyond < 1e-6
    sharp = plane_noise(np.array([[np.pi / 2]]), np.zeros((1, 1)), np.array([1.0, 3.0]))
    assert sharp == pytest.approx(4 * plane_noise(np.array([[np.pi / 2]]), np.zeros((1, 1)), np.ones(2)))


def test_noise_of_fine_planes_is_the_limber_integral_of_poissons():
    """Planes much finer than the map show white noise of the known power."""
    schedule = light_cone.plane_schedule(PAPER_COSMOLOGY, 0.5, 100.0, 2)
    strength, weights = light_cone.lensing_weights(PAPER_COSMOLOGY, schedule, 0.5)
    geometry = MapGeometry(16, 1.0)
    edges = log_l_edges(geometry, 3)
    ones = np.ones((len(schedule.chi), 2))
    far = schedule._replace(chi=schedule.chi + 1e4)  # where a map's waves are long on all planes
    pixels = 8 * int(100.0 / (geometry.pixel_rad * 1e4))  # some eight across a pixel of the map

    def noise(rays):
        return particle_noise_bands(far, strength, weights, 100.0, 64, ones, pixels, geometry, edges, rays)

    flat = shot_noise_power(far, strength, weights, 100.0, 64)
    # One ray a pixel folds all of the planes' waves into the map's: many times the noise.
    assert (noise(1) > 30 * flat).all()
    # Means of many rays leave the pixel's sinc and what it folds, all but the planes' end: white again.
    np.testing.assert_allclose(noise(64), flat, rtol=0.05)


NOISE = [
    "--sky=nbody", "--box_size=64", "--num_particles_side=16", "--num_time_steps=6", "--source_redshift=0.1",
    "--side_deg=6", "--map_pixels=48", "--plane_pixels=64", "--num_train_boxes=16", "--num_train_maps=64",
    "--num_development_maps=1", "--num_validation_maps=1", "--stages=simulate,prepare", "--crop_size=32",
    "--crops_per_map=4",
]  # fmt: skip


@pytest.fixture
def strewn(monkeypatch):
    """Boxes of particles that no force has moved anywhere: at random, anew on every plane."""
    from cosmogan_jax.sky import nbody
    from cosmogan_jax.stages.simulate import boxes

    def evolve(key, settings, power, schedule, amplitudes=None):
        n = settings.num_particles_side
        for plane in range(len(schedule.chi)):
            moved = jax.random.uniform(jax.random.fold_in(key, plane), (3, n, n, n), maxval=settings.num_mesh)
            particles = nbody.Particles(moved, jnp.zeros_like(moved))
            shape = (settings.num_mesh, settings.slabs_per_box, settings.plane_pixels)
            yield particles, [(plane, nbody._project(particles, jnp.float32(0), *shape))]

    monkeypatch.setattr(boxes, "evolve", evolve)


@pytest.mark.parametrize(
    "how",
    [
        ("--ray_tracing=born",),
        pytest.param(("--ray_tracing=multi_plane", "--rays_per_pixel=1"), marks=pytest.mark.slow),
    ],
)
def test_maps_of_strewn_particles_have_the_noise_foretold(how, strewn, run_main, tmp_path):
    """Through the planes, rays, pixels and crops of a simulation, as stage evaluate measures it."""
    code, _, error = run_main(f"--workdir={tmp_path}", *NOISE, *how)
    assert code == 0, error
    table = open_crop_table(tmp_path / "prepare")
    found = measure(table, log_l_edges(table.geometry, 6))
    assert (found.units, found.unit, found.box_size, found.slab_size) == (16, "box", 64.0, 32.0)
    power, noise, error = (np.array(of) for of in (found.power, found.particle_noise, found.power_error))
    # The noise falls 300-fold over the bands: planes of 64 pixels are coarser than these maps.
    assert noise[0] > 100 * noise[-1]
    # Four standard errors of 16 boxes, which are 1 to 6 %.
    assert (error < 0.08 * noise).all()
    assert (np.abs(power - noise) < 4 * error).all(), power / noise


def limits(ratio, error=0.01, noise=None, **given):
    """A record of bands of equal width whose power over halofit's is given, with equal relative errors."""
    ratio = np.array(ratio, float)
    made = {
        "sky": "nbody", "l_edges": tuple(500.0 * np.arange(1, len(ratio) + 2)), "num_maps": 40, "units": 10,
        "unit": "box", "power": tuple(2e-10 * ratio), "power_error": tuple(2e-10 * ratio * error),
        "theory": (2e-10,) * len(ratio), "box_size": 120.0, "slab_size": 60.0, "box_ell": 60.0,
        "particles_side": 64, "ray_tracing": "born", "rays_per_pixel": 2,
    }  # fmt: skip
    if noise is not None:
        made["particle_noise"] = tuple(2e-10 * np.array(noise))
    return SkyLimits(**{**made, **given})


def test_range_ends_at_the_first_band_that_deviates_by_more_than_its_error_allows():
    assert limits([0.97, 0.96, 0.945, 0.93, 1.0]).valid_to(0.05) == 2000  # 5.5 % is within 5 % and an error
    assert limits([0.97, 0.96, 0.945, 0.93, 1.0], error=0.001).valid_to(0.05) == 1500
    assert limits([0.97, 0.96, 0.945, 0.93, 1.0]).valid_to(0.1) == 3000
    assert limits([0.8, 1.0, 1.0]).valid_to(0.1) is None
    assert limits([1.0, 1.2, 1.0]).valid_to(0.1) == 1000  # too much is as wrong as too little
    # Noise makes up for structure that is missing: the power is right, the sky is not.
    assert limits([1.0, 1.0, 1.0], noise=[0.01, 0.03, 0.2]).valid_to(0.1) == 1500
    assert limits([1.0, 1.0, 1.0]).valid_to(0.1) == 2000
    # Power that is right but for noise is not, either.
    assert limits([1.0, 1.2], noise=[0.0, 0.2]).valid_to(0.1) == 1000
    assert limits([1.0, np.nan, 1.0]).valid_to(0.1) == 2000  # a band without modes says nothing
    assert limits([1.0, 1.0], power_error=None).valid_to(0.1) is None


def test_record_comes_back_from_json_and_damage_is_named():
    found = limits([1.0, 0.9, np.nan], noise=[0.1, 0.2, 0.3])
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert SkyLimits.from_json(content) == found
    assert content["valid_to_ell"] == {"0.05": None, "0.1": 1000.0}
    assert content["to_halofit"] == pytest.approx([1.0, 0.9, None])
    for change, said in (
        ({"power": [1e-10]}, "power of 1 values must have 3"),
        ({"power": ["x", 1, 2]}, "real number"),
        ({"sky": "other"}, "sky='other' must be one of"),
        ({"theory": None}, "unknown=None must say why"),
        ({"box_size": None}, "box_size=None must be known"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            SkyLimits.from_json({**content, **change}, "sky.json")
        assert str(caught.value).startswith("sky.json: ")


def test_words_and_rows_say_what_is_known_and_what_is_not():
    said = " ".join(words(limits([0.93, 0.8], noise=[0.01, 0.3], error=0.02)))
    for part in (
        "10 own N-body boxes of 120 Mpc/h with 64³ particles, Born approximation",
        "no waves longer than a box (ell 60", "a slab of 60 Mpc/h: no super-sample covariance",
        "mean of 2x2 rays", "no baryons", "at 5 % in no band", "at 10 % to ell 1000", "an upper bound",
        "an error of 2 % to 2 %", "√10",
    ):  # fmt: skip
        assert part in said, part
    assert "may hide more" in " ".join(words(limits([1.0], error=0.2)))
    assert "cannot be told: one box" in " ".join(words(limits([1.0], power_error=None, units=1)))
    assert "says nothing of other statistics" in " ".join(words(limits([1.0], sharpened=True)))
    first, second = rows(limits([0.93, 0.8], noise=[0.0093, 0.3], error=0.02, pixel_window=(0.99, 0.5)))
    assert first == ("500 to 1000", "0.930", "0.921", "1 %", "0.990", "2 %")
    assert second[2] == "0.500"


def test_lognormal_maps_have_halofits_power_by_their_own_account(run_main, tmp_path):
    code, _, error = run_main(
        f"--workdir={tmp_path}", "--stages=simulate,prepare", "--map_pixels=32", "--side_deg=2",
        "--num_train_maps=400", "--num_development_maps=1", "--num_validation_maps=1", "--crop_size=16",
        "--crops_per_map=4",
    )  # fmt: skip
    assert code == 0, error
    table = open_crop_table(tmp_path / "prepare")
    found = measure(table, log_l_edges(table.geometry, 5))
    assert (found.sky, found.unit, found.units, found.particle_noise) == ("lognormal", "map", 400, None)
    ratio, floor = np.array(found.to_halofit()), np.array(found.error_floor())
    # 400 maps know a band to 1 to 4 %; lognormal maps of pixels so large lack up to 1 % where the Gaussian
    # field would need negative power.
    assert (floor < 0.05).all()
    assert (np.abs(ratio - 1) < 4 * floor + 0.01).all(), ratio
    assert found.valid_to(0.1) == found.l_edges[-1]
    assert "halofit's by construction" in " ".join(words(found))


def test_of_given_maps_it_is_said_what_is_not_known(run_main, tiny_run, tmp_path):
    code, _, error = run_main(f"--workdir={tmp_path}/run", *tiny_run, "--crops_per_map=2", "--stages=prepare")
    assert code == 0, error
    table = open_crop_table(tmp_path / "run/prepare")
    found = measure(table, log_l_edges(table.geometry, 4))
    assert (found.sky, found.unit, found.units, found.theory) == ("given", "map", 6, None)
    # Noise of one sigma: 0.02^2 times the pixel's area in every band.
    white = 0.02**2 * table.geometry.pixel_rad**2
    np.testing.assert_allclose(found.power, white, rtol=0.25)
    said = words(found)
    assert said[0].startswith("Up to which ell they are a sky is not known: the maps come as files")
    assert "The files name no boxes" in said[1]


def test_the_error_of_boxes_of_several_cosmologies_is_that_within_them():
    """80 boxes whose power scatters by 10 %, that of their cosmologies fourfold: 1.1 % of the mean."""
    rng = np.random.default_rng(0)
    of_cosmology = np.geomspace(0.5, 2, 16)[:, None] * np.array([3.0, 1.0])
    of_unit = np.repeat(of_cosmology, 5, axis=0) * (1 + 0.1 * rng.normal(size=(80, 2)))
    cosmology = np.repeat(np.arange(16), 5)
    error = error_within(of_unit, cosmology)
    np.testing.assert_allclose(error / of_unit.mean(0), 0.1 / np.sqrt(80), rtol=0.3)  # 64 degrees of freedom
    assert (error < of_unit.std(0) / np.sqrt(80) / 3).all()
    assert error_within(of_unit[::5], cosmology[::5]) is None
