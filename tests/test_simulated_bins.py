"""Stage simulate with several source bins: channels of one sky, into prepare's crop table and into exports."""

import dataclasses
import json
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits

from cosmogan_jax.geometry import MapGeometry, log_l_edges
from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.formats import ReadOptions, open_map_file
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.sky import planes
from cosmogan_jax.sky.cosmology import PAPER_COSMOLOGY, comoving_distance, redshift_at_distance
from cosmogan_jax.sky.limber import convergence_power_of_bins
from cosmogan_jax.sky.lognormal import lognormal_bin_amplitudes, lognormal_bin_maps, shifts_of_bins
from cosmogan_jax.sky.map_power import expected_bands
from cosmogan_jax.sky.parameter_design import Design
from cosmogan_jax.sky.source_distributions import single_redshifts, smail_bins
from cosmogan_jax.stages.evaluate.sky_limits import measure
from cosmogan_jax.stages.simulate import _check_begun_alike
from cosmogan_jax.stages.simulate.design_sky import make_design_sky
from cosmogan_jax.stages.simulate.nbody_sky import make_nbody_sky
from cosmogan_jax.stages.simulate.skies import Sky
from cosmogan_jax.stages.simulate.sources import source_bins
from cosmogan_jax.summaries import power_spectrum

pytestmark = pytest.mark.usefixtures("quick")

NBODY = (
    "--stages=simulate", "--sky=nbody", "--box_size=64", "--num_particles_side=16", "--num_time_steps=2",
    "--side_deg=5", "--map_pixels=16", "--num_train_boxes=1",
)  # fmt: skip
COUNTS = {"train": 3, "development": 0, "validation": 0, "auxiliary": 0}
# The last row has sources, so that planes reach to redshift 0.15 and no farther; rows lie as near as sums do.
TABLE = "z,near,far\n0.05,1,0\n0.06,3,0\n0.07,0,0\n0.13,0,0\n0.14,0,1\n0.15,0,2\n"
# Of float32 sums over six planes, relative to the maps' standard deviation.
ROUNDING = 2e-6
LOGNORMAL = (
    "--sky=lognormal", "--map_pixels=32", "--side_deg=1.75", "--num_train_maps=24", "--num_development_maps=2",
    "--num_validation_maps=2", "--num_auxiliary_maps=0", "--crop_size=16", "--crops_per_map=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("bins")
    (place / "n.csv").write_text(TABLE)
    return place


@pytest.fixture
def nbody(folder, parse):
    """Maps through the one box of redshift 0.15, by sources and ray tracing; each made once."""

    def maps(sources, tracing="born", boxes="boxes"):
        settings = parse(
            *NBODY, f"--workdir={folder}", sources, f"--ray_tracing={tracing}", f"--boxes_dir={folder}/{boxes}"
        ).by_stage["simulate"]
        kept = folder / f"{sources.replace('/', '_')[-60:]}{tracing}{boxes}.npy"
        if not kept.exists():
            np.save(kept, make_nbody_sky(settings, folder, COUNTS).maps(np.arange(3), "train"))
        return np.load(kept), source_bins(settings)

    return maps


@pytest.mark.parametrize("tracing", ["born", "multi_plane"])
def test_a_bin_is_the_weighted_sum_of_its_single_redshifts(nbody, folder, tracing):
    of_bins, bins = nbody(f"--source_distributions={folder}/n.csv", tracing)
    every = np.unique(np.concatenate([bin.redshifts for bin in bins]))
    singles, _ = nbody(f"--source_redshifts={','.join(map(repr, every.tolist()))}", tracing)
    assert of_bins.shape == (3, 16, 16, 2)
    assert singles.shape == (3, 16, 16, len(every))
    for number, bin in enumerate(bins):
        assert len(bin.redshifts) >= 2
        expected = singles[..., np.searchsorted(every, bin.redshifts)].astype(np.float64) @ bin.weights
        np.testing.assert_allclose(of_bins[..., number], expected, atol=ROUNDING * expected.std())
    assert 0.2 < np.corrcoef(of_bins[..., 0].ravel(), of_bins[..., 1].ravel())[0, 1] < 0.95


def test_channels_are_the_maps_of_runs_of_one_redshift(nbody, folder):
    """The farthest source's through the same box; a nearer one's through its own, made with fewer planes."""
    several, _ = nbody("--source_redshifts=0.1,0.15")
    np.testing.assert_array_equal(several[..., 1], nbody("--source_redshift=0.15")[0])
    np.testing.assert_array_equal(several[..., 0], nbody("--source_redshift=0.1", boxes="nearer")[0])


def test_traced_channels_are_the_maps_of_runs_of_one_redshift(nbody):
    """Of sources where a plane ends; others' last plane counts by the middle of its share before them."""
    farthest = float(redshift_at_distance(PAPER_COSMOLOGY, 8 * 32 * (1 - 1e-6)))
    several, _ = nbody(f"--source_redshifts=0.05,{farthest!r}", "multi_plane", "ends")
    alone, born = (nbody(f"--source_redshift={farthest!r}", how, "ends")[0] for how in ("multi_plane", "born"))
    np.testing.assert_allclose(several[..., 1], alone, atol=1e-4 * alone.std())
    assert np.abs(born - alone).max() > 2e-3 * alone.std()


def test_factors_of_planes_give_bins_of_given_planes_as_one_by_one():
    """Windows of given planes, seen by two bins, are those that each sees alone; and so are bent rays."""
    rng = np.random.default_rng(1)
    k2 = np.add.outer(np.fft.fftfreq(48) ** 2, np.fft.rfftfreq(48) ** 2)
    rough = np.fft.rfft2(rng.normal(size=(3, 48, 48))) / (1e-3 + k2) * np.exp(-k2 / 0.02)
    potential = jnp.asarray(3e-9 * np.fft.irfft2(rough, s=(48, 48)), jnp.float32)
    chi, bins = np.array([400.0, 900.0, 1700.0]), single_redshifts((0.4, 1.0))
    weights = planes.bin_weights(chi, PAPER_COSMOLOGY, bins)
    assert (weights[0, 1:] > 0).tolist() == [True, False]
    arguments, pixel = (jax.random.key(3), jnp.arange(2)), jnp.float32(1e-3)
    born_maps, *traced_maps = (
        jax.jit(draw, static_argnames=("region", "num_pixels"))
        for draw in (planes.born_maps, planes.traced_bin_maps, planes.traced_maps)
    )
    how = {"region": planes.Region(0, 0, 48, 48), "num_pixels": 8}
    of_bins, distances = jnp.asarray(weights, jnp.float32), jnp.asarray(chi, jnp.float32)
    born = born_maps(*arguments, potential, of_bins, **how)
    for number, bin in enumerate(bins):
        alone = jnp.asarray(planes.born_weights(chi, PAPER_COSMOLOGY, bin.farthest), jnp.float32)
        expected = born_maps(*arguments, potential, alone, **how)
        np.testing.assert_allclose(born[:, number], expected, rtol=1e-5, atol=1e-12)
    source = jnp.float32(float(comoving_distance(PAPER_COSMOLOGY, 1.0)))
    traced, expected = (
        draw(*arguments, potential, distances, sources, pixel, **how)
        for draw, sources in zip(traced_maps, (of_bins, source))
    )
    np.testing.assert_allclose(traced[:, 1], expected, atol=1e-5 * float(expected.std()))
    with pytest.raises(ValueError, match=r"all sources of z0\.05, up to redshift 0\.05, lie before"):
        planes.bin_weights(chi, PAPER_COSMOLOGY, single_redshifts((0.05, 1.0)))


def test_lognormal_autos_and_cross_are_limbers():
    """Mean power of 512 maps, within 4.5 errors of it in each of 5 bands of 3 pairs; and a mean of 0."""
    geometry, bins = MapGeometry(32, 3.5), smail_bins(0.5, 2, 1.5, 3)[::2]
    shifts = shifts_of_bins(0.04, PAPER_COSMOLOGY, bins)
    fields = lognormal_bin_amplitudes(
        lambda ell: convergence_power_of_bins(ell, bins), geometry, ("near", "far"), shifts
    )
    assert fields.cut < 1e-3
    arrays = [jnp.asarray(array, jnp.float32) for array in fields[:3]]
    maps = jax.jit(lognormal_bin_maps)(jax.random.key(2), jnp.arange(512), *arrays)
    assert (np.asarray(maps).min((0, 2, 3)) > -shifts).all()
    means = np.asarray(maps).mean((2, 3))
    assert (np.abs(means.mean(0)) < 4.5 * means.std(0) / np.sqrt(len(means))).all()
    edges = log_l_edges(geometry, 5)

    def power_of(kappa):
        return np.asarray(power_spectrum(kappa, edges, 3.5, mode_weights="full_plane"), np.float64)

    near, far = maps[:, 0], maps[:, 1]
    found = {
        (0, 0): power_of(near),
        (1, 1): power_of(far),
        (0, 1): (power_of(far + near) - power_of(far - near)) / 4,
    }
    for (a, b), power in found.items():
        theory = expected_bands(
            lambda ell, a=a, b=b: convergence_power_of_bins(ell, bins)[a, b], geometry, edges
        )
        error = power.std(0) / np.sqrt(len(power))
        assert (error / theory).max() < 0.04
        # The canvas is twice as wide as the map: 0.7 % from an endless sky (`test_lognormal.py`).
        assert (np.abs(power.mean(0) - theory) < 4.5 * error + 0.007 * theory).all(), (a, b)


def test_negative_eigenvalues_are_cut_and_told():
    """A cross spectrum above what both autos allow, by 10 %: the fields are as alike as can be, no more."""
    geometry = MapGeometry(16, 3.5)

    def too_alike(ell):
        power = convergence_power_of_bins(ell, single_redshifts((0.5, 1.0)))
        power[0, 1] = power[1, 0] = 1.1 * np.sqrt(power[0, 0] * power[1, 1])
        return power

    fields = lognormal_bin_amplitudes(too_alike, geometry, ("a", "b"), np.array([0.5, 0.5]))
    assert fields.cut > 0.01
    matrix = np.einsum("acyx,bcyx->abyx", fields.amplitudes, fields.amplitudes)[:, :, 1:, 1:]
    np.testing.assert_allclose(matrix[0, 1] ** 2, matrix[0, 0] * matrix[1, 1], rtol=1e-6)
    with pytest.raises(
        ValueError, match=r"lognormal_shift gives a and a shifts of 0\.0001 and 0\.0001, too small"
    ):
        lognormal_bin_amplitudes(too_alike, geometry, ("a", "b"), np.array([1e-4, 1e-4]))


@pytest.fixture
def whole(folder, run_main):
    """A run of lognormal maps of three bins up to its crop table, and its exports; made once."""
    if not (folder / "run").exists():
        code, output, error = run_main(
            f"--workdir={folder}/run", *LOGNORMAL, "--smail=z0=0.5,alpha=2,beta=1.5,bins=3", "--channel=1",
            "--stages=simulate,prepare,export", f"--export_from={folder}/run/simulate/maps",
            "--export=fits,npy,hdf5",
        )  # fmt: skip
        assert code == 0, error
        (folder / "output").write_text(output)
    return folder / "run"


def test_manifest_and_crop_table_keep_all_bins(whole):
    store = open_map_store(whole / "simulate/maps")
    assert store.array.shape == (28, 32, 32, 3)
    assert store.bin_names == ("bin1", "bin2", "bin3")
    means = [bin.mean_redshift for bin in smail_bins(0.5, 2, 1.5, 3)]
    np.testing.assert_allclose(store.bin_redshifts, means)
    assert store.source_redshift is None
    assert "source_redshift" not in store.parameters
    told = store.manifest.origin["source_bins"]
    assert [bin["name"] for bin in told] == list(store.bin_names)
    assert [round(shift, 4) for shift in store.manifest.origin["lognormal_shifts"]] == sorted(
        round(shift, 4) for shift in shifts_of_bins(0.04, PAPER_COSMOLOGY, smail_bins(0.5, 2, 1.5, 3))
    )
    sigmas = store.read().std((0, 1, 2))
    assert (np.diff(sigmas) > 0).all()
    table = open_crop_table(whole / "prepare")
    assert (table.manifest.bin, table.store.num_bins) == (1, 1)
    assert table.manifest.source_redshift == pytest.approx(means[1])
    crops = table.choose("train", 4)
    map_number, row, column = crops[0]
    np.testing.assert_array_equal(
        table.cut(crops)[0, ..., 0], store.read()[map_number, row : row + 16, column : column + 16, 1]
    )
    assert "3 source bins are stored" in (whole.parent / "output").read_text()


def test_the_theory_of_a_bins_sky_is_of_its_own_sources(whole):
    table = open_crop_table(whole / "prepare")
    edges = log_l_edges(table.geometry, 3)
    bin = smail_bins(0.5, 2, 1.5, 3)[1]
    expected = expected_bands(lambda ell: convergence_power_of_bins(ell, [bin])[0, 0], table.geometry, edges)
    np.testing.assert_allclose(measure(table, edges).theory, expected)


def test_maps_of_a_store_that_are_given_keep_names(whole, run_main, tmp_path):
    code, _, error = run_main(
        f"--workdir={tmp_path}/run", "--stages=prepare", f"--maps={whole}/simulate/maps", "--source_bins=2,0",
        "--channel=2", "--crop_size=16", "--crops_per_map=2",
    )  # fmt: skip
    assert code == 0, error
    store = open_map_store(tmp_path / "run/prepare/maps")
    assert store.bin_names == ("bin3", "bin1")
    np.testing.assert_array_equal(store.read(), open_map_store(whole / "simulate/maps").read()[..., [2, 0]])


def test_exports_name_the_bins(whole):
    store, out = open_map_store(whole / "simulate/maps"), whole / "export"
    kappa = store.read()
    with fits.open(out / "fits/kappa_000003.fits") as opened:
        assert [hdu.name for hdu in opened] == ["PRIMARY", "BIN1", "BIN2", "BIN3"]
        assert (opened[0].header["MAPINDEX"], opened[0].header["OMEGA_M"]) == (3, 0.26)
        for number, hdu in enumerate(opened[1:]):
            assert hdu.data.astype("<f4").tobytes() == kappa[3, ..., number].tobytes()
            assert hdu.header["ZSOURCE"] == pytest.approx(store.bin_redshifts[number])
            assert hdu.header["ANGLE"] == 1.75
    one = open_map_file(out / "fits/kappa_000003.fits", ReadOptions(fits_extension="bin2"))
    assert (one.side_deg, one.source_redshift) == (1.75, pytest.approx(store.bin_redshifts[1]))
    np.testing.assert_array_equal(np.load(out / "kappa.npy"), kappa)
    assert json.loads((out / "manifest.json").read_text())["bin_names"] == ["bin1", "bin2", "bin3"]
    with h5py.File(out / "kappa.h5") as file:
        assert list(file["kappa"].attrs["bin_names"]) == ["bin1", "bin2", "bin3"]
        assert [axis.label for axis in file["kappa"].dims] == ["map", "row", "column", "bin"]
    back = open_map_file(out / "kappa.h5", ReadOptions(source_bins=("all",)))
    assert (back.side_deg, back.facts["cosmology"]["omega_m"]) == (1.75, 0.26)
    np.testing.assert_allclose(back.bins, store.bin_redshifts)
    np.testing.assert_array_equal(back.read(0, 28), kappa)


def test_every_cosmology_of_a_design_has_all_bins(parse, tmp_path):
    settings = parse(*LOGNORMAL, "--source_redshifts=0.5,1").by_stage["simulate"]
    settings = dataclasses.replace(settings, map_pixels=4)
    design = Design(("sigma8",), np.array([[0.7], [0.9]]), np.zeros(2, bool))

    def make(of_point, workdir, counts):
        assert of_point.source_redshifts == (0.5, 1.0)
        kappa = np.full((1, 4, 4, 2), of_point.sigma8, np.float32) * [1, 2]
        return Sky(
            MapGeometry(4, 1.0), {"independence": ""}, lambda *_: {}, lambda index, _: str(index),
            lambda index, _: np.repeat(kappa, len(index), 0),
        )  # fmt: skip

    sky = make_design_sky(design, make, settings, Path(tmp_path), {**COUNTS, "train": 2})
    kappa = sky.maps(np.arange(4), "train")
    np.testing.assert_allclose(kappa[:, 0, 0], np.outer([0.7, 0.7, 0.9, 0.9], [1, 2]), rtol=1e-6)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--source_redshifts=1,0.5"], "source_redshifts=1,0.5 must rise, and 0.5 follows 1"),
        (
            ["--source_redshift=1", "--smail=z0=1"],
            "source_redshift=1 is that of one bin, and --smail gives several",
        ),
        (
            ["--source_redshifts=1,2", "--source_distributions=n.csv"],
            "--source_redshifts and --source_distributions both say what the source bins are",
        ),
        (["--source_distributions=none.csv"], "source_distributions=none.csv: no such file"),
        (["--smail=z0=0.11,alpha=2"], "smail=z0=0.11,alpha=2 lacks beta"),
        (
            ["--source_redshifts=1,2", "--design=sobol:4", "--design_ranges=source_redshift=0.5:1"],
            "source_redshift is one of the design's parameters, and 2 source bins have their own",
        ),
        (
            ["--source_redshifts=1,2", "--stages=simulate,prepare", "--channel=2"],
            "maps have 2 source bins, z1 at 1, z2 at 2: channel=2 must lie in 0 to 1",
        ),
        (["--stages=simulate,prepare", "--channel=0"], "channel=0 goes with --maps, or several source bins"),
    ],
)
def test_what_makes_no_bins_is_one_line_before_anything_is_made(run_main, tmp_path, flags, words):
    code, _, error = run_main(f"--workdir={tmp_path}/run", *LOGNORMAL, "--stages=simulate", *flags)
    assert code == 1
    assert words in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("simulate*"))


def test_a_table_that_changed_is_told_to_maps_that_were_begun(tmp_path):
    bins = single_redshifts((0.5, 1.0))
    for started in (False, True, False):
        _check_begun_alike(tmp_path / "source_bins.json", bins, started=started)
    with pytest.raises(ValueError, match="holds maps of other source bins"):
        _check_begun_alike(tmp_path / "source_bins.json", single_redshifts((0.5, 1.1)), started=True)


def test_a_dry_run_names_the_bins(run_main, tmp_path):
    code, output, error = run_main(
        f"--workdir={tmp_path}/run",
        "--stages=simulate",
        "--dry_run",
        "--smail=z0=0.11,alpha=2,beta=0.68,bins=4",
    )
    assert code == 0, error
    assert "every map has 4 source bins, bin1 at 0.3309 (0.000178 to 0.5121), bin2 at 0.6777" in output
