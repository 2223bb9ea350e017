"""Folders as MassiveNuS, kappaTNG and maps cut from CosmoGrid lie in, with small maps in them.

MassiveNuS (Liu et al. 2018): a folder a cosmology, in it one a redshift, `WLconv_z1.00_0001r.fits`, with the
angle in the header. kappaTNG (Osato, Liu & Haiman 2021): `LP001/run001/kappa23.dat`, a lens-plane realisation
and a run of random turns in it. CosmoGrid (Kacprzak et al. 2023): `cosmo_000001/perm_0000`, whose parameters
stand in a table beside them.
"""

import numpy as np
import pytest
from astropy.io import fits

from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store

FLAGS = ("--crop_size=8", "--crops_per_map=2", "--stages=prepare")


def sky(seed, size=16):
    return (0.01 * (np.exp(np.random.default_rng(seed).normal(size=(size, size))) - 1.6)).astype(np.float32)


def massive_nus(folder, cosmologies, realisations=6):
    seed = 0
    for mnu, omega_m, a_s in cosmologies:
        maps = folder / f"convergence_6redshifts_mnv{mnu:.5f}_om{omega_m:.5f}_As{a_s:.4f}" / "Maps10"
        maps.mkdir(parents=True)
        for number in range(1, realisations + 1):
            header = fits.Header({"ANGLE": 3.5})
            fits.PrimaryHDU(sky(seed := seed + 1), header).writeto(maps / f"WLconv_z1.00_{number:04d}r.fits")


COSMOLOGIES = [(0.0, 0.3, 2.1), (0.1, 0.3, 2.1), (0.06271, 0.4159, 1.5)]
NUS = ("--parameters_from_name=mnv{mnu}_om{omega_m}_As{a_s}", "--vary=mnu,omega_m,a_s", "--source_redshift=1")


def test_massive_nus(run_main, tmp_path):
    massive_nus(tmp_path / "nus", COSMOLOGIES)
    maps = f"--maps={tmp_path}/nus/convergence_6redshifts_*/Maps10/*.fits"
    boxes = "--box_from_name=_{box}r.fits"
    code, said, error = run_main(f"--workdir={tmp_path}/run", maps, *NUS, boxes, *FLAGS)
    assert code == 0, error
    assert "maps of 6 boxes, 6 of them with maps of several parameters; each box belongs to one split" in said
    store = open_map_store(tmp_path / "run/prepare/maps")
    values = store.parameters
    assert sorted(set(zip(values["mnu"], values["omega_m"], values["a_s"]))) == sorted(COSMOLOGIES)
    # A realisation of all cosmologies is of one split; the last are what is held back.
    split_of = dict(zip(store.manifest.boxes, store.manifest.splits))
    assert all(split_of[box] == split for box, split in zip(store.manifest.boxes, store.manifest.splits))
    assert split_of == {f"box {n}": "train" for n in (1, 2, 3, 4)} | {
        "box 5": "development",
        "box 6": "validation",
    }
    table = open_crop_table(tmp_path / "run/prepare")
    assert len(table.crops["train"]) == 2 * 3 * 4
    theta = table.theta(table.crops["validation"], ("mnu", "omega_m"))
    assert len(np.unique(theta, axis=0)) == len(COSMOLOGIES)


def test_kappa_tng(run_main, tmp_path):
    for number in range(1, 5):
        for turn in (1, 2):
            folder = tmp_path / f"kappaTNG-Hydro/LP{number:03d}/run{turn:03d}"
            folder.mkdir(parents=True)
            size = np.int32(16).tobytes()
            kappa = sky(10 * number + turn).astype("<f8").tobytes()
            (folder / "kappa23.dat").write_bytes(size + kappa + size)
    code, said, error = run_main(
        f"--workdir={tmp_path}/run", f"--maps={tmp_path}/kappaTNG-Hydro/*/*/kappa23.dat", "--side_deg=5",
        "--source_redshift=1.034", "--box_from_name=LP{box}", *FLAGS,
    )  # fmt: skip
    assert code == 0, error
    assert "maps of 4 boxes; each box" in said
    store = open_map_store(tmp_path / "run/prepare/maps")
    assert store.manifest.boxes == [f"box {n}" for n in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert store.manifest.splits == ["train"] * 4 + ["development"] * 2 + ["validation"] * 2


def test_maps_cut_from_cosmogrid(run_main, tmp_path):
    rows = ["file,omega_m,sigma8,w0"]
    for number, values in enumerate(((0.26, 0.84, -1.0), (0.3, 0.75, -0.9))):
        for permutation in range(3):
            folder = tmp_path / f"grid/cosmo_{number:06d}/perm_{permutation:04d}"
            folder.mkdir(parents=True)
            np.save(folder / "kappa.npy", np.stack([sky(20 * number + 5 * permutation + n) for n in range(2)]))
            rows.append(f"cosmo_{number:06d}/perm_{permutation:04d}/kappa.npy,{','.join(map(str, values))}")
    (tmp_path / "grid.csv").write_text("\n".join(rows))
    run = (
        f"--workdir={tmp_path}/run", f"--maps={tmp_path}/grid/*/*/kappa.npy", "--side_deg=5",
        f"--map_parameters={tmp_path}/grid.csv", "--vary=omega_m,sigma8,w0", *FLAGS,
    )  # fmt: skip
    code, _, error = run_main(*run, "--box_from_name=perm_{box}")
    assert code == 0, error
    store = open_map_store(tmp_path / "run/prepare/maps")
    assert (
        store.manifest.splits
        == ["train", "train", "development", "development", "validation", "validation"] * 2
    )
    assert store.parameters["w0"] == [-1.0] * 6 + [-0.9] * 6


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--box_from_name=_{number}r.fits",), "must hold {box}, as LP{box}, and no other name"),
        (("--box_from_name=LP{box}",), "box_from_name=LP{box} does not fit"),
        (("--box_from_name=Maps{box}",), "1 boxes are too few to be split"),
        (
            ("--parameters_from_name=om{omega_m}_As{a_s}", "--vary=omega_m,a_s,mnu"),
            "vary=mnu: no map says its mnu",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(run_main, tmp_path, flags, words):
    massive_nus(tmp_path / "nus", COSMOLOGIES[:1], 3)
    given = (f"--workdir={tmp_path}/run", f"--maps={tmp_path}/nus/*/Maps10/*.fits", "--source_redshift=1")
    code, _, error = run_main(*given, *flags, *FLAGS)
    assert code == 1
    assert words in error, error


def test_a_box_in_two_splits_is_refused(run_main, tmp_path):
    massive_nus(tmp_path / "nus", COSMOLOGIES[:2], 4)
    first, second = sorted((tmp_path / "nus").iterdir())
    code, _, error = run_main(
        f"--workdir={tmp_path}/run", f"--maps={first}/Maps10/*.fits",
        f"--validation_maps={second}/Maps10/*.fits", *NUS, "--box_from_name=_{box}r.fits", *FLAGS,
    )  # fmt: skip
    assert code == 1
    assert "box 1 has train and validation maps; a box belongs to one split" in error
