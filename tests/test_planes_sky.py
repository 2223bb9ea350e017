"""--sky=planes by the command line: every map is a window of the planes, from the region of its split."""

import itertools

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM

from cosmogan_jax.files.json_files import read_json
from cosmogan_jax.maps.lens_planes import LensPlanes, write_lens_planes
from cosmogan_jax.maps.store import open_map_store

HEADER = {"H": 0.7, "OMEGA_M": 0.26, "OMEGA_L": 0.74, "W0": -1.0, "WA": 0.0}
PIXELS, SIZE, SIDE_DEG = 64, 8, 3.2
CHI = 900.0  # Mpc/h
REGIONS = {
    "train": (slice(0, 64), slice(0, 32)),
    "development": (slice(0, 32), slice(32, 64)),
    "validation": (slice(32, 64), slice(32, 64)),
}


@pytest.fixture
def potential(tmp_path):
    """A rough plane before the sources, and one behind them, which must not be seen."""
    rng = np.random.default_rng(4)
    k2 = np.add.outer(np.fft.fftfreq(PIXELS) ** 2, np.fft.rfftfreq(PIXELS) ** 2)
    noise = np.fft.rfft2(rng.normal(size=(2, PIXELS, PIXELS)))
    smooth = np.fft.irfft2(noise / (1e-3 + k2) * np.exp(-k2 / 0.02), s=(PIXELS, PIXELS))
    planes = (3e-9 * smooth).astype(np.float32)
    at = LensPlanes(("a.fits", "b.fits"), planes, np.array([0.32, 3.0]), np.array([CHI, 4500.0]),
                    np.full(2, SIDE_DEG), HEADER)  # fmt: skip
    write_lens_planes(tmp_path / "planes", at)
    return planes[0].astype(np.float64)


def simulated(run_main, tmp_path, name, *more):
    code, _, error = run_main(
        f"--workdir={tmp_path}/{name}", "--stages=simulate", "--sky=planes", f"--lens_planes={tmp_path}/planes",
        f"--map_pixels={SIZE}", "--source_redshift=1", "--num_train_maps=6", "--num_development_maps=3",
        "--num_validation_maps=3", *more,
    )  # fmt: skip
    return code, error, tmp_path / name / "simulate/maps"


def test_maps_are_windows_of_the_planes_in_the_region_of_their_split(run_main, tmp_path, potential):
    code, error, path = simulated(run_main, tmp_path, "born")
    assert code == 0, error
    store = open_map_store(path)
    pixel = np.radians(SIDE_DEG / PIXELS)
    neighbours = sum(np.roll(potential, shift, axis) for shift, axis in itertools.product((1, -1), (0, 1)))
    source = FlatLambdaCDM(100, 0.26, Tcmb0=0).comoving_distance(1.0).value  # Mpc/h
    # kappa = (1 - chi / chi_s) times half the Laplacian, which is that of sources at infinity.
    plane = (1 - CHI / source) * (neighbours - 4 * potential) / pixel**2 / 2
    found = dict.fromkeys(REGIONS, 0)
    for kappa, split in zip(store.read()[..., 0], store.manifest.splits):
        inside = plane[REGIONS[split]]
        windows = np.lib.stride_tricks.sliding_window_view(inside, (SIZE, SIZE)).reshape(-1, SIZE, SIZE)
        turned = [np.rot90(one, turn) for one in (kappa, kappa.T) for turn in range(4)]
        apart = min(np.abs(windows - one).max((1, 2)).min() for one in turned)
        # float32, and the distance to the sources by another integrator.
        assert apart < 2e-6 * np.abs(plane).max() + 1e-5 * kappa.std(), split
        found[split] += 1
    assert found == {"train": 6, "development": 3, "validation": 3}
    assert store.geometry.side_deg == pytest.approx(SIDE_DEG * SIZE / PIXELS)
    origin = store.manifest.origin
    assert origin["planes"] == ["a.fits"]
    assert origin["cosmology"]["omega_m"] == 0.26
    assert store.manifest.boxes[0] == "region train"
    assert read_json(path.parent / "stage.json")["summary"]["train"] == 6


def test_rays_through_one_plane_are_not_bent(run_main, tmp_path, potential):
    """Behind the only plane nothing sees the deflection: maps scatter as Born's of the same plane."""
    sigma = []
    for name, more in {"born": (), "traced": ("--ray_tracing=multi_plane",)}.items():
        code, error, path = simulated(run_main, tmp_path, name, "--num_train_maps=64", *more)
        assert code == 0, error
        sigma.append(open_map_store(path).read()[:64].std())
    # Windows are drawn with a margin, so they are others: 64 of 8^2 pixels from 32x64.
    assert sigma[1] == pytest.approx(sigma[0], rel=0.25)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--map_pixels=33"], "map_pixels=33 is larger than the train region of the planes, 64x32"),
        (
            ["--map_pixels=20", "--ray_tracing=multi_plane"],
            "map_pixels=20, with 8 pixels about it for bent rays, is larger than the train region",
        ),
        (["--num_auxiliary_maps=2"], "num_auxiliary_maps=2: one light cone holds no independent structures"),
        (["--omega_m=0.3"], "omega_m=0.3: the cosmology of sky=planes is the planes'"),
        (["--side_deg=1"], "side_deg=1.0 disagrees with the planes: 8 of their pixels are 0.4 degrees wide"),
        (["--source_redshift=0.2"], "source_redshift=0.2"),
    ],
)
def test_what_planes_cannot_give_is_one_line(run_main, tmp_path, potential, flags, words):
    code, error, _ = simulated(run_main, tmp_path, "bad", *flags)
    assert code == 1
    assert words in error.splitlines()[-1]
