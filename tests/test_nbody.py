"""The particle mesh against linear theory, exact solutions and conservation laws."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cosmogan_jax.sky import initial_conditions, light_cone, nbody, particle_mesh, sharpening
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, Cosmology, growth
from cosmogan_jax.sky.matter_power import paper_matter_power
from cosmogan_jax.sky.particle_mesh import Particles, StepCoefficients
from cosmogan_jax.sky.resolution import shot_noise_power, slab_power
from cosmogan_jax.sky.time_steps import bullfrog_coefficients, step_redshifts

N, MESH, BOX = 32, 64, 240.0


def evolve(particles, start, end, steps, mesh=MESH, cosmology=PAPER_COSMOLOGY):
    redshifts = step_redshifts(cosmology, start, end, steps)
    for row in bullfrog_coefficients(cosmology, redshifts).astype(np.float32):
        particles = particle_mesh.step(particles, StepCoefficients(*row), mesh)
    return particles


def linear_field(seed=0, scale=1.0, n=N):
    amplitudes = initial_conditions.mode_amplitudes(paper_matter_power(), n, BOX)
    return initial_conditions.linear_density(jax.random.key(seed), jnp.asarray(amplitudes * np.float32(scale)))


def shells(n):
    k = np.sqrt(sum(q**2 for q in np.meshgrid(*[np.fft.fftfreq(n, 1 / n)] * 2, np.arange(n // 2 + 1))))
    return [(k >= low) & (k < high) for low, high in ((1, 2), (2, 4), (4, 8))]


def test_growth_in_an_einstein_de_sitter_universe():
    g = growth(Cosmology(1.0, 0.0, 0.7), np.array([0.0, 1.0, 9.0]))
    d = np.array([1.0, 0.5, 0.1])
    np.testing.assert_allclose(g.d, d, rtol=1e-6)
    np.testing.assert_allclose(g.e, -3 / 7 * d**2, rtol=1e-6)
    np.testing.assert_allclose(g.de_dd, -6 / 7 * d, rtol=1e-6)


def test_growth_equals_camb():
    # CAMB 2.0.5, sqrt of the linear power's ratio at k 5 h/Mpc, with T_CMB 1 K so that radiation hardly counts.
    np.testing.assert_allclose(growth(PAPER_COSMOLOGY, [1.0, 9.0]).d, [0.62678821, 0.13269351], rtol=5e-5)


def test_sigma8_of_the_stored_power():
    k = np.geomspace(1e-4, 100, 4000)
    window = 3 * (np.sin(8 * k) - 8 * k * np.cos(8 * k)) / (8 * k) ** 3
    integrand = paper_matter_power().linear(k) * k**3 * window**2 / (2 * np.pi**2)
    # The table has 256 wave numbers: 0.03 % from CAMB's own integral.
    assert np.sqrt(np.trapezoid(integrand, np.log(k))) == pytest.approx(0.798, rel=1e-3)


def test_initial_power_is_the_input():
    ratios = []
    k = (
        2
        * np.pi
        / BOX
        * np.sqrt(sum(q**2 for q in np.meshgrid(*[np.fft.fftfreq(N, 1 / N)] * 2, np.arange(N // 2 + 1))))
    )
    theory = paper_matter_power().linear(np.maximum(k, 1e-3))
    band = (k > 0.1) & (k < 0.35)
    for seed in range(4):
        modes = np.fft.rfftn(np.asarray(linear_field(seed)))
        power = np.abs(modes) ** 2 * BOX**3 / N**6
        ratios.append((power / theory)[band].mean())
    # 4 boxes of some 9,000 independent waves each: 0.5 %.
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.02)


def test_first_order_displacement_has_the_density_as_divergence():
    density = linear_field()
    psi1, _ = initial_conditions.lpt_displacements(density)
    k = particle_mesh.wave_numbers(N)
    divergence = sum(jnp.fft.irfftn(1j * q * jnp.fft.rfftn(p), s=(N,) * 3) for q, p in zip(k, psi1))
    # Waves at the Nyquist frequency are dropped from a gradient.
    modes = np.abs(np.fft.rfftn(np.asarray(divergence + density)))[: N // 2, : N // 2, : N // 2]
    assert modes.max() < 1e-4 * np.abs(np.fft.rfftn(np.asarray(density))).max()


def test_second_order_displacement_of_two_crossed_waves():
    # phi = -(cos x + cos y): phi_xx phi_yy = cos x cos y = lap phi2, so phi2 = -cos x cos y / 2.
    x = 2 * np.pi * np.arange(N) / N
    density = jnp.asarray((np.cos(x)[:, None, None] + np.cos(x)[None, :, None]) * np.ones(N), jnp.float32)
    _, psi2 = initial_conditions.lpt_displacements(density)
    cells = N / (2 * np.pi)
    expected = np.sin(x)[:, None, None] * np.cos(x)[None, :, None] / 2 * np.ones(N) * cells
    np.testing.assert_allclose(psi2[0], expected, atol=2e-5 * cells)
    np.testing.assert_allclose(psi2[2], 0.0, atol=2e-5 * cells)


def test_linear_growth_from_redshift_9_to_0():
    density = linear_field(scale=0.1)
    psi1, _ = initial_conditions.lpt_displacements(density)
    particles = initial_conditions.start(density, growth(PAPER_COSMOLOGY, 9.0), MESH)
    end = evolve(particles, 9.0, 0.0, 20).displacement * (N / MESH)
    found, linear = (np.fft.rfftn(np.asarray(field), axes=(1, 2, 3)) for field in (end, psi1))
    # Longer than 4 cells of the lattice; above, the mesh's own 1.5 % shows (next test).
    for shell in shells(N)[:2]:
        ratio = (found[:, shell] * linear[:, shell].conj()).real.sum() / (np.abs(linear[:, shell]) ** 2).sum()
        assert ratio == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("start", [9.0, 49.0])
def test_force_on_a_hardly_moved_lattice(start):
    # Regression: with particles on the mesh's nodes, or an exact gradient, this force was wrong by 4 to 300 %.
    density = linear_field()
    psi1, _ = initial_conditions.lpt_displacements(density)
    d = float(growth(PAPER_COSMOLOGY, start).d) * 0.01
    moved = psi1 * (d * MESH / N)
    found, linear = (
        np.fft.rfftn(np.asarray(f), axes=(1, 2, 3)) for f in (particle_mesh.acceleration(moved, MESH), moved)
    )
    for shell in shells(N):
        ratio = (found[:, shell] * linear[:, shell].conj()).real.sum() / (np.abs(linear[:, shell]) ** 2).sum()
        assert ratio == pytest.approx(1.0, abs=0.015)


def test_zeldovich_pancake():
    """One plane wave: x = q + D psi(q) is exact until particles cross, at D = 1 here."""
    q = np.arange(N)
    psi = -np.sin(2 * np.pi * q / N) * N / (2 * np.pi)  # crossing where d psi/dq = -1
    mesh = np.zeros((3, N, N, N), np.float32)
    mesh[1] = (psi * MESH / N)[None, :, None]
    first = float(growth(PAPER_COSMOLOGY, 9.0).d)
    end_redshift = 1.0
    last = float(growth(PAPER_COSMOLOGY, end_redshift).d)
    end = evolve(Particles(jnp.asarray(first * mesh), jnp.asarray(mesh)), 9.0, end_redshift, 20)
    # 0.63 of the way to the crossing; 1 % of the largest displacement is a twentieth of a cell.
    error = np.abs(np.asarray(end.displacement - last * mesh))
    assert error.max() < 0.01 * last * psi.max() * MESH / N
    # The same wave by a single step: the exactness is not that of small steps.
    start = Particles(jnp.asarray(first * mesh), jnp.asarray(mesh))
    expected = float(growth(PAPER_COSMOLOGY, 3.0).d) * mesh
    moved = np.asarray(evolve(start, 9.0, 3.0, 1).displacement)
    assert np.abs(moved - expected).max() < 0.01 * psi.max() * MESH / N


def test_one_step_follows_second_order_perturbation_theory():
    density = linear_field(scale=0.2)
    psi1, psi2 = (p * (MESH / N) for p in initial_conditions.lpt_displacements(density))
    begin, end = growth(PAPER_COSMOLOGY, 9.0), growth(PAPER_COSMOLOGY, 4.0)
    moved = evolve(initial_conditions.start(density, begin, MESH), 9.0, 4.0, 1).displacement
    second = np.fft.rfftn(np.asarray(moved - np.float32(end.d) * psi1), axes=(1, 2, 3))
    expected = np.fft.rfftn(np.asarray(psi2), axes=(1, 2, 3))
    shell = shells(N)[0] | shells(N)[1]
    slope = (second[:, shell] * expected[:, shell].conj()).real.sum() / (np.abs(expected[:, shell]) ** 2).sum()
    # Errors of the mesh in the first order, 0.3 %, stand beside a second order of 2 % of it.
    assert slope == pytest.approx(float(end.e), rel=0.25)


def test_mass_and_momentum_are_conserved():
    particles = initial_conditions.start(linear_field(), growth(PAPER_COSMOLOGY, 9.0), MESH)
    end = evolve(particles, 9.0, 0.0, 10)
    painted = particle_mesh.cic_paint(particle_mesh.positions(end.displacement, MESH), MESH)
    assert np.asarray(painted, np.float64).sum() == pytest.approx(N**3, rel=1e-6)
    velocity = np.asarray(end.velocity, np.float64)
    assert np.abs(velocity.mean((1, 2, 3))).max() < 1e-5 * velocity.std()


def test_painting_and_reading_a_plane_wave():
    # Reading what is linear between nodes is exact; painting is its transpose.
    key = jax.random.key(1)
    where = tuple(jax.random.uniform(k, (500,), minval=-20.0, maxval=40.0) for k in jax.random.split(key, 3))
    field = jax.random.normal(key, (16, 16, 16))
    read = particle_mesh.cic_read(field, where)
    painted = particle_mesh.cic_paint(where, 16)
    assert float(jnp.vdot(painted, field)) == pytest.approx(float(read.sum()), rel=1e-4, abs=1e-3)
    layers = particle_mesh.cic_paint(where[:2], 16, jnp.arange(500) % 3, 3)
    alone = particle_mesh.cic_paint(tuple(w[1::3] for w in where[:2]), 16)
    np.testing.assert_allclose(layers[1], alone, atol=1e-5)


def test_projection_counts_every_particle_in_its_slab():
    displacement = jax.random.normal(jax.random.key(2), (3, 8, 8, 8)) * 3
    planes = np.asarray(light_cone.project(displacement, 16, 2, 32))
    where = np.stack([np.asarray(x).ravel() for x in particle_mesh.positions(displacement, 16)]) % 16
    counts, _ = np.histogram(where[1], [0, 8, 16])
    flat = np.asarray(particle_mesh.cic_paint((where[0][where[1] < 8] * 2, where[2][where[1] < 8] * 2), 32))
    expected = flat * (2 * 32**2 / 8**3)
    np.testing.assert_allclose(planes[1, 0], expected - expected.mean(), atol=1e-4)
    assert counts.sum() == 8**3
    assert np.abs(planes.mean((2, 3))).max() < 1e-5


def test_planes_show_the_box_at_their_own_redshift():
    """In the linear regime a plane is D(z) times the projected linear field, whatever the steps."""
    settings = nbody.BoxSettings(BOX, N, MESH, 7, 9.0, 1, 64)
    power = paper_matter_power()
    schedule = light_cone.PlaneSchedule(np.array([100.0, 700.0, 1500.0]), np.array([0.034, 0.26, 0.6]), BOX)
    planes = {}
    for _, found in nbody.evolve(jax.random.key(4), settings, power, schedule):
        planes |= dict(found)
    assert sorted(planes) == [0, 1, 2]
    d = growth(PAPER_COSMOLOGY, schedule.redshift).d
    modes = [np.fft.rfft2(np.asarray(planes[i][0]))[1:4, 0] for i in range(3)]
    for i in (1, 2):
        ratio = np.abs(modes[i]).sum() / np.abs(modes[0]).sum()
        # The longest waves; mode coupling is a few per cent of their growth.
        assert ratio == pytest.approx(d[i] / d[0], rel=0.05)


def test_planes_between_long_steps_grow_as_the_growth_factor():
    """A box even enough to be linear, in three steps; planes lie up to half a step from where particles are."""
    settings = nbody.BoxSettings(BOX, 16, 32, 3, 9.0, 1, 32)
    power = paper_matter_power()
    redshift = np.array([0.034, 0.3, 0.7, 1.5, 3.0, 5.0])
    schedule = light_cone.PlaneSchedule(np.linspace(100, 5000, 6), redshift, BOX)
    amplitudes = np.float32(0.02) * initial_conditions.mode_amplitudes(power, 16, BOX)
    planes = {}
    for _, found in nbody.evolve(jax.random.key(4), settings, power, schedule, amplitudes):
        planes |= dict(found)
    size = np.array([np.abs(np.fft.rfft2(np.asarray(planes[n][0]))[1:4, 0]).sum() for n in range(6)])
    d = growth(PAPER_COSMOLOGY, redshift).d
    # The force on so coarse a lattice is 3 % off.
    np.testing.assert_allclose(size / size[0], d / d[0], rtol=0.05)


def test_placements_reach_every_cut_and_orientation():
    planes = jax.jit(light_cone.placements, static_argnums=(2, 3))
    first, second = (planes(jax.random.key(0), jnp.int32(n), 600, 2) for n in (0, 1))
    for of, count in ((first.cut, 6), (first.turn, 8)):
        # 100 or 75 of each are expected, to 9.
        found = np.bincount(np.asarray(of), minlength=count)
        assert len(found) == count
        assert found.min() > 40
    shift = np.asarray(first.shift)
    np.testing.assert_allclose(np.quantile(shift, [0.01, 0.25, 0.5, 0.75, 0.99], axis=0).mean(1),
                               [0.01, 0.25, 0.5, 0.75, 0.99], atol=0.05)  # fmt: skip
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.15
    assert (np.asarray(first.cut) == np.asarray(second.cut)).mean() < 0.3


def test_schedule_and_weights_integrate_the_lensing_kernel():
    from cosmogan_jax.sky.cosmology import HUBBLE_DISTANCE, comoving_distance, redshift_at_distance

    source = float(comoving_distance(PAPER_COSMOLOGY, 1.0))
    chi = np.linspace(0, source, 20001)
    kernel = 1.5 * 0.26 / HUBBLE_DISTANCE**2 * (1 + redshift_at_distance(PAPER_COSMOLOGY, chi)) * chi
    exact = np.trapezoid(kernel * (1 - chi / source), chi)
    for slabs in (1, 2, 3):
        schedule = light_cone.plane_schedule(PAPER_COSMOLOGY, 1.0, 240.0, slabs)
        strength, weights = light_cone.lensing_weights(PAPER_COSMOLOGY, schedule, 1.0)
        # The midpoint rule over 10 to 30 slabs.
        assert (strength * weights).sum() == pytest.approx(exact, rel=0.01)
        assert schedule.chi[-1] - schedule.thickness / 2 < source <= schedule.chi[-1] + schedule.thickness / 2


def test_the_last_slab_counts_to_the_source_only():
    """Of slabs as thick as 0.6 of the way: the second one's share before the source, at that share's middle."""
    from cosmogan_jax.sky.cosmology import HUBBLE_DISTANCE, comoving_distance, redshift_at_distance

    source = float(comoving_distance(PAPER_COSMOLOGY, 1.0))
    schedule = light_cone.plane_schedule(PAPER_COSMOLOGY, 1.0, 0.6 * source, 1)
    strength, weights = light_cone.lensing_weights(PAPER_COSMOLOGY, schedule, 1.0)
    np.testing.assert_allclose(weights, [1 - 0.3, 1 - 0.8], rtol=1e-9)
    stretched = 1 + redshift_at_distance(PAPER_COSMOLOGY, source * np.array([0.3, 0.9]))
    expected = 1.5 * 0.26 / HUBBLE_DISTANCE**2 * stretched * source**2 * np.array([0.3 * 0.6, 0.8 * 0.4])
    np.testing.assert_allclose(strength, expected, rtol=1e-6)


def test_born_reading_of_a_wave_is_exact():
    """Window corrections undo painting and interpolation: a wave keeps its amplitude through both."""
    size, wave = 32, 5
    x = np.arange(size)
    painted = np.cos(2 * np.pi * wave * x / size) * np.sinc(wave / size) ** 2
    plane = light_cone.correct_windows(jnp.asarray(np.tile(painted, (size, 1)), jnp.float32), jnp.ones(2))
    found = []
    for shift in np.random.default_rng(0).uniform(size=(64, 2)).astype(np.float32):
        kappa = light_cone.add_born(jnp.zeros((16, 16)), plane, jnp.asarray(shift), 0.37, 2.0, 1)
        place = (np.arange(16) + 0.5 - 8) * 0.37 + shift[1] * size
        found.append(np.asarray(kappa) - 2 * np.cos(2 * np.pi * wave * place / size))
    # Interpolation adds waves of other lengths (images), which average to nothing over places.
    assert np.abs(np.mean(found, axis=(0, 1))).max() < 0.15
    assert abs(np.mean([f * 1.0 for f in found])) < 0.02


def test_windows_are_divided_out_exactly():
    """A wave painted by clouds is right after one division, and before being read by clouds after another."""
    size, rows, columns = 32, 5, 9
    y, x = np.mgrid[:size, :size]
    wave = np.cos(2 * np.pi * (rows * y + columns * x) / size).astype(np.float32)
    window = np.float32((np.sinc(rows / size) * np.sinc(columns / size)) ** 2)
    transfer = jnp.asarray(np.linspace(1, 0.5, 33), jnp.float32)
    gain = 1 - 0.5 * np.hypot(rows, columns) / (size / 2)
    np.testing.assert_allclose(light_cone.divide_clouds(window * wave), wave, atol=1e-5)
    found = light_cone.correct_windows(window**2 * wave, transfer)
    np.testing.assert_allclose(found, gain * wave, atol=1e-5)


def test_rays_per_pixel_are_averaged():
    plane = jax.random.normal(jax.random.key(0), (16, 16))
    shift = jnp.array([0.3, 0.8])
    fine = light_cone.add_born(jnp.zeros((8, 8)), plane, shift, 0.5, 1.0, 1)
    coarse = light_cone.add_born(jnp.zeros((4, 4)), plane, shift, 1.0, 1.0, 2)
    np.testing.assert_allclose(fine.reshape(4, 2, 4, 2).mean((1, 3)), coarse, atol=1e-5)


def test_sharpening_gives_the_planes_halofits_power():
    rng = np.random.default_rng(0)
    schedule = light_cone.PlaneSchedule(np.array([60.0]), np.array([0.02]), 120.0)
    white = rng.normal(size=(6, 128, 128))
    window = (np.sinc(np.fft.fftfreq(128))[:, None] * np.sinc(np.fft.rfftfreq(128))) ** 2
    painted = np.fft.irfft2(np.fft.rfft2(white) * window)
    power = paper_matter_power()
    transfer = sharpening.sharpening_transfer([painted], schedule, power, BOX)[0]
    grid = np.linspace(0, np.pi * 128 / BOX, sharpening.TRANSFER_BINS)
    theory = slab_power(lambda k: power.nonlinear(k, 0.02), grid[24:60], 120.0, BOX)
    # White noise of unit variance has two-dimensional power of one pixel's area.
    # Bins above 1.2 h/Mpc hold 900 waves or more of six planes: 2 %, and the gain is interpolated between bins.
    np.testing.assert_allclose(transfer[24:60] ** 2 * (BOX / 128) ** 2, theory, rtol=0.1)
    assert (transfer[grid < 0.3] == 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box_size": 0.0}, "box_size=0.0 must be positive"),
        ({"num_mesh": 48}, "mesh of 48 cells a side must be a multiple of 32"),
        ({"num_particles_side": 646, "num_mesh": 1292}, "exceeds 2147483647"),
        ({"num_time_steps": 0}, "num_time_steps=0 must be positive"),
        ({"start_redshift": 0.5}, "start_redshift=0.5 must lie in"),
        ({"plane_pixels": 60000}, "plane_pixels=60000 is more than int32"),
    ],
)
def test_impossible_boxes_are_refused(change, message):
    good = dict(box_size=BOX, num_particles_side=N, num_mesh=MESH, num_time_steps=5, start_redshift=9.0,
                slabs_per_box=2, plane_pixels=64)  # fmt: skip
    with pytest.raises(ValueError, match=message):
        nbody.BoxSettings(**{**good, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"omega_m": 0.0}, "omega_m=0.0 must be positive"),
        ({"sigma8": -0.8}, "sigma8=-0.8 must be positive"),
        ({"omega_b": 0.3}, "omega_b=0.3 must be below omega_m=0.26"),
        ({"w0": -0.2}, "w0=-0.2 must be below -1/3"),
        ({"w0": -0.5, "wa": 0.6}, "w0 \\+ wa = 0.1 must be below"),
        ({"omega_lambda": 0.9}, "only flat universes"),
    ],
)
def test_unphysical_cosmologies_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Cosmology(**{**vars(PAPER_COSMOLOGY), **change})


def test_noise_of_the_particles_is_that_of_poisson_counts():
    """The power of maps of counts drawn in pixels, plane by plane, of weights and distances that differ."""
    rng, pixels, side_deg = np.random.default_rng(5), 64, 1.0
    schedule = SimpleNamespace(chi=np.array([300.0, 700.0, 1100.0]), thickness=20.0)
    strength, weights = np.array([0.3, 0.9, 0.5]), np.array([1.0, 0.4, 2.0])
    box_size, particles = 100.0, 400
    surface = (particles / box_size) ** 3 * schedule.thickness  # per comoving area
    pixel = np.deg2rad(side_deg) / pixels
    kappa = 0.0
    for chi, s, w in zip(schedule.chi, strength, weights):
        expected = surface * (chi * pixel) ** 2
        kappa = kappa + w * s * (rng.poisson(expected, (60, pixels, pixels)) / expected - 1)
    found = float(np.mean(np.var(kappa, axis=(1, 2)))) * pixel**2  # white noise: C_l = variance x pixel area
    given = shot_noise_power(schedule, strength, weights, box_size, particles)
    # 245,760 pixels know a variance to 0.3 %.
    assert given == pytest.approx(found, rel=0.015)
