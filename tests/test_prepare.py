"""Stage prepare on maps as users have them: splits, crops, what is found, and what is refused."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.stages.prepare import map_import

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("--stages=prepare", "--crop_size=8", "--crops_per_map=12")


def maps(count, size=24, seed=0, sigma=0.02):
    return (np.random.default_rng(seed).normal(size=(count, size, size)) * sigma).astype(np.float32)


def manifest_of(tmp_path):
    return json.loads((tmp_path / "run/prepare/manifest.json").read_text())


@pytest.fixture
def prepare(run_main, tmp_path):
    """Runs the stage; gives its table, or the one line of its error."""

    def run(*flags, code=0):
        found, _, error = run_main(f"--workdir={tmp_path}/run", *SMALL, *flags)
        assert found == code, error
        if not code:
            return open_crop_table(tmp_path / "run/prepare")
        lines = [line for line in error.splitlines() if not line.startswith("prepare: begins")]
        assert len(lines) == 1, error
        assert not (tmp_path / "run/prepare").exists()
        return lines[0]

    return run


def save(path, kappa, **cards):
    if path.suffix == ".npy":
        np.save(path, kappa)
    else:
        fits.PrimaryHDU(kappa, fits.Header(cards)).writeto(path)
    return path


def test_a_folder_of_fits_becomes_a_store_and_crops(prepare, tmp_path):
    kappa = maps(10)
    (tmp_path / "sims").mkdir()
    for n, one in enumerate(kappa, 1):
        save(tmp_path / f"sims/WLconv_z1.50_{n:04d}r.fits", one, ANGLE=3.5)
    table = prepare(f"--maps={tmp_path}/sims")
    manifest = table.store.manifest
    np.testing.assert_array_equal(table.store.read()[..., 0], kappa)
    assert (manifest.side_deg, manifest.source_redshift) == (3.5, 1.5)
    assert table.geometry.side_deg == pytest.approx(3.5 / 3)
    assert manifest.splits == ["train"] * 8 + ["development", "validation"]
    assert manifest.content["maps"][3] == f"{tmp_path}/sims/WLconv_z1.50_0004r.fits"
    record = manifest.origin["files"][3]
    sha = subprocess.run(["sha256sum", record["path"]], capture_output=True, text=True, check=True).stdout
    assert record["sha256"] == sha.split()[0]
    # Each map's crops belong to its split, lie inside it, and are all different.
    for split, crops in table.crops.items():
        assert set(crops[:, 0]) == {n for n, s in enumerate(manifest.splits) if s == split}
        assert crops[:, 1:].min() >= 0
        assert crops[:, 1:].max() <= 16
        assert len(np.unique(crops, axis=0)) == len(crops) == 12 * len(set(crops[:, 0]))
    n, row, column = table.crops["validation"][5]
    np.testing.assert_array_equal(
        table.cut(table.crops["validation"][5:6])[0, ..., 0], kappa[n, row : row + 8, column : column + 8]
    )
    found = json.loads((tmp_path / "run/prepare/found.json").read_text())
    assert len(found["files"]) == 11
    assert found["files"][-1]["sigma"] == pytest.approx(kappa.std((1, 2)).mean(), rel=1e-5)
    centred = kappa.astype(np.float64) - kappa.mean((1, 2), dtype=np.float64, keepdims=True)
    skewness = (centred**3).mean((1, 2)) / (centred**2).mean((1, 2)) ** 1.5
    assert found["files"][-1]["skewness"] == pytest.approx(skewness.mean(), rel=1e-9)
    assert (tmp_path / "run/prepare/found.png").stat().st_size > 5000


def test_cosmology_of_headers_is_kept_and_must_be_one(prepare, tmp_path):
    kappa = maps(5)
    (tmp_path / "sims").mkdir()
    for n, one in enumerate(kappa):
        save(tmp_path / f"sims/{n}.fits", one, ANGLE=3.5, OMEGA_M=0.26, H=0.72, W0=-1.0)
    save(tmp_path / "sims/other.fits", maps(1, seed=9)[0], ANGLE=3.5, OMEGA_M=0.3)
    said = prepare(f"--maps={tmp_path}/sims", code=1)
    assert f"one cosmology: omega_m 0.26 in {tmp_path}/sims/0.fits and 4 more, 0.3 in" in said
    table = prepare(f"--maps={tmp_path}/sims/?.fits")
    assert table.store.manifest.origin["cosmology"] == {"omega_m": 0.26, "h": 0.72, "w0": -1.0}
    assert table.manifest.origin["independence"].startswith("not known")


def test_the_papers_downsampling(prepare, tmp_path):
    kappa = maps(4, 48).astype(np.float64)
    table = prepare(f"--maps={save(tmp_path / 'k.npy', kappa)}", "--side_deg=3.4641", "--downsample=2")
    expected = (kappa[:, ::2, ::2] + kappa[:, 1::2, ::2] + kappa[:, ::2, 1::2] + kappa[:, 1::2, 1::2]) / 4
    np.testing.assert_allclose(table.store.read()[..., 0], expected, rtol=2**-23, atol=1e-12)
    assert table.store.geometry.num_pixels == 24
    assert table.store.manifest.content["transform"]["downsample"] == 2
    assert table.store.manifest.origin["files"][0]["dtype"] == "<f8"


def test_every_map_is_cut_at_places_of_its_own(prepare, tmp_path):
    path = save(tmp_path / "k.npy", maps(8, size=40))
    places = {}
    for seed in (0, 1):
        found = prepare(f"--maps={path}", "--side_deg=1", f"--seed={seed}").crops
        every = np.concatenate(list(found.values()))
        assert len(np.unique(every, axis=0)) == len(every) == 8 * 12
        for number in range(8):
            places[seed, number] = {tuple(place) for place in every[every[:, 0] == number, 1:].tolist()}
        shutil.rmtree(tmp_path / "run")
    # 12 of 33 x 33 places: two maps have 0.13 in common on average, not most of them.
    for one, other in itertools.combinations(places.values(), 2):
        assert len(one & other) < 4


def test_crops_from_all_maps(prepare, tmp_path):
    path = save(tmp_path / "k.npy", maps(3))
    table = prepare(f"--maps={path}", "--side_deg=3.5", "--split_by=crops", "--validation_share=0.2",
                    "--development_share=0.1")  # fmt: skip
    counts = {split: len(crops) for split, crops in table.crops.items()}
    # 12 to train are 70 %: 10 % are 1.7, 20 % are 3.4 of every map.
    assert counts == {"train": 36, "development": 6, "validation": 9}
    for crops in table.crops.values():
        assert set(crops[:, 0]) == {0, 1, 2}
    everything = np.concatenate(list(table.crops.values()))
    assert len(np.unique(everything, axis=0)) == len(everything)
    assert "may share pixels" in manifest_of(tmp_path)["overlap"]


def test_sets_of_their_own(prepare, tmp_path):
    for n, name in enumerate(("train", "dev", "test", "other")):
        save(tmp_path / f"{name}.npy", maps(3, seed=n))
    flags = [f"--maps={tmp_path}/train.npy", f"--development_maps={tmp_path}/dev.npy", "--side_deg=3.5",
             f"--validation_maps={tmp_path}/test.npy", f"--auxiliary_maps={tmp_path}/other.npy"]  # fmt: skip
    table = prepare(*flags)
    expected = ["train"] * 3 + ["development"] * 3 + ["validation"] * 3 + ["auxiliary"] * 3
    assert table.store.manifest.splits == expected
    assert {split: len(c) for split, c in table.crops.items()} == dict.fromkeys(dict.fromkeys(expected), 36)


def test_a_map_store_keeps_its_splits_and_boxes(prepare, run_main, tmp_path):
    code, _, error = run_main(
        f"--workdir={tmp_path}/sky", "--stages=simulate", "--map_pixels=24", "--side_deg=1",
        "--source_redshift=0.8",
        "--num_train_maps=4", "--num_development_maps=2", "--num_validation_maps=3", "--num_auxiliary_maps=2",
    )  # fmt: skip
    assert code == 0, error
    table = prepare(f"--maps={tmp_path}/sky/simulate/maps")
    before = open_map_store(tmp_path / "sky/simulate/maps")
    after = table.store
    for key in ("splits", "boxes", "side_deg", "source_redshift", "parents"):
        assert getattr(after.manifest, key) == getattr(before.manifest, key)
    assert after.manifest.origin["cosmology"]["omega_m"] == 0.26
    assert after.read().tobytes() == before.read().tobytes()


def test_share_of_crops_outside(prepare, tmp_path, capsys):
    kappa = maps(5)
    kappa[0, 3, 4], kappa[2, 18, 10] = 1.5, -1.01
    kappa[1, 12, 12] = 0.5
    path = save(tmp_path / "k.npy", kappa)
    meant = "--accept_values=fill"  # nothing else goes below -1
    table = prepare(
        f"--maps={path}", "--side_deg=1", "--normalisation=linear", "--normalisation_scale=0.4", meant
    )
    cuts = np.abs(table.cut(table.crops["train"])).max((1, 2, 3))
    for key, bound in (("share_of_crops_outside_unit_range", 1), ("share_of_crops_outside_network_range", 0.4)):
        assert manifest_of(tmp_path)[key] == pytest.approx((cuts > bound).mean())
    assert 0 < (cuts > 1).mean() < (cuts > 0.4).mean()


def test_invalid_pixels_refused_dropped_or_avoided(prepare, tmp_path):
    kappa = maps(6)
    kappa[1, 10, 11] = np.nan
    kappa[4, :3] = -1.6375e30
    path = save(tmp_path / "k.npy", kappa)
    said = prepare(f"--maps={path}", "--side_deg=1", code=1)
    assert f"{path}[1] holds 1 invalid pixel of 576" in said
    assert "(2 of 6 maps cannot be used as they are)" in said
    assert "--invalid_pixels=avoid keeps crops off the invalid pixels of 2 maps" in said
    table = prepare(f"--maps={path}", "--side_deg=1", "--invalid_pixels=avoid")
    assert table.store.manifest.invalid_pixels == 1 + 3 * 24
    cuts = np.concatenate([table.cut(crops) for crops in table.crops.values()])
    assert len(cuts) == 72
    assert np.isfinite(cuts).all()
    # Of 17 by 17 positions, 8 by 8 hold the pixel: with all others asked for, these are left out.
    shutil.rmtree(tmp_path / "run")
    said = prepare(f"--maps={path}", "--side_deg=1", "--invalid_pixels=avoid", "--crops_per_map=226", code=1)
    assert "asks for 226 crops of a map, more than the 225 positions free of invalid pixels" in said
    assert f"in {path}[1], of 24" in said
    assert not (tmp_path / "run/prepare.partial/maps").exists()  # found before the maps are stored
    crops = prepare(f"--maps={path}", "--side_deg=1", "--invalid_pixels=avoid", "--crops_per_map=225").crops[
        "train"
    ]
    holds = (np.abs(crops[:, 1] - 6.5) < 4) & (np.abs(crops[:, 2] - 7.5) < 4) & (crops[:, 0] == 1)
    assert not holds.any()
    shutil.rmtree(tmp_path / "run")
    table = prepare(f"--maps={path}", "--side_deg=1", "--invalid_pixels=drop")
    np.testing.assert_array_equal(table.store.read()[..., 0], kappa[[0, 2, 3, 5]])
    assert table.store.manifest.content["dropped"] == [f"{path}[1]", f"{path}[4]"]


def test_avoiding_invalid_pixels_leaves_out_maps_without_any_other(prepare, tmp_path, capsys):
    kappa = maps(7)
    kappa[1, 10, 11], kappa[3], kappa[5] = np.nan, np.nan, 0.25
    table = prepare(f"--maps={save(tmp_path / 'k.npy', kappa)}", "--side_deg=1", "--invalid_pixels=avoid")
    np.testing.assert_array_equal(table.store.read()[..., 0], kappa[[0, 1, 2, 4, 6]])
    assert table.store.manifest.content["dropped"] == [f"{tmp_path}/k.npy[3]", f"{tmp_path}/k.npy[5]"]


def test_a_store_with_splits_gives_each_role_its_own_maps(prepare, tmp_path):
    kappa = maps(10)
    prepare(f"--maps={save(tmp_path / 'a.npy', kappa)}", "--side_deg=1")
    (tmp_path / "run").rename(tmp_path / "first")
    store = tmp_path / "first/prepare/maps"
    table = prepare(
        f"--maps={save(tmp_path / 'b.npy', maps(6, seed=1))}",
        "--side_deg=1",
        f"--validation_maps={store}",
    )
    assert table.store.manifest.splits == ["train"] * 5 + ["development", "validation"]
    np.testing.assert_array_equal(table.store.read(6)[..., 0], kappa[9:])
    assert table.store.manifest.content["maps"][6] == f"{store}[9]"
    # Where every map is "train" (crops of each for every split), another run may split them by map.
    shutil.rmtree(tmp_path / "run")
    pooled = prepare(f"--maps={tmp_path}/a.npy", "--side_deg=1", "--split_by=crops").store
    assert set(pooled.manifest.splits) == {"train"}
    (tmp_path / "run").rename(tmp_path / "second")
    again = prepare(f"--maps={tmp_path}/second/prepare/maps")
    assert again.store.manifest.splits == ["train"] * 8 + ["development", "validation"]


def test_maps_given_twice_are_said(run_main, tmp_path):
    path = save(tmp_path / "k.npy", maps(8)[[0, 1, 2, 1, 4, 5, 6, 7]])
    code, out, error = run_main(f"--workdir={tmp_path}/run", *SMALL, f"--maps={path}", "--side_deg=1")
    assert code == 0, error
    assert f"prepare: 1 map given twice, as {path}[3], the same as {path}[1]\n" in out


def test_files_that_changed_since_are_noticed(run_main, tmp_path):
    sims, run = tmp_path / "sims", tmp_path / "run"
    sims.mkdir()
    for n, one in enumerate(maps(6)):
        save(sims / f"{n}.fits", one, ANGLE=3.5)
    flags = [f"--workdir={run}", *SMALL, f"--maps={sims}"]
    assert run_main(*flags)[0] == 0
    before = (run / "flags.txt").read_text()
    os.utime(sims / "2.fits")  # touched, not changed
    code, _, error = run_main(*flags)
    assert (code, error.count("skipped")) == (0, 1)
    save(sims / "new.fits", maps(1, seed=9)[0], ANGLE=3.5)
    code, _, error = run_main(*flags)
    assert code == 1
    assert f"maps={sims}/new.fits has come since {run}/prepare was made of these maps" in error
    (sims / "new.fits").unlink()
    content = bytearray((sims / "2.fits").read_bytes())
    content[2900] ^= 1
    (sims / "2.fits").write_bytes(content)
    code, _, error = run_main(*flags)
    assert code == 1
    assert f"maps={sims}/2.fits has changed since" in error
    assert (run / "flags.txt").read_text() == before
    # Files that are gone are not missed: the stored maps serve.
    (sims / "2.fits").unlink()
    code, out, error = run_main(*flags)
    assert (code, error.count("skipped")) == (0, 1)
    assert f"1 file of its maps are gone, as {sims}/2.fits" in out
    shutil.rmtree(sims)
    assert run_main(*flags)[0] == 0


@pytest.mark.slow
def test_training_goes_on_with_its_own_data_only(run_main, tmp_path):
    path, run = save(tmp_path / "k.npy", maps(8, 32)), tmp_path / "run"
    flags = [
        f"--workdir={run}", f"--maps={path}", "--side_deg=1", "--stages=prepare,train", "--crop_size=16",
        "--crops_per_map=4", "--num_filters=2", "--batch_size=4", "--sample_every_steps=0",
    ]  # fmt: skip
    assert run_main(*flags, "--num_steps=2")[0] == 0
    # The same maps prepared again are the same data: trained on as if nothing had happened.
    shutil.rmtree(run / "prepare")
    code, _, error = run_main(*flags, "--num_steps=3")
    assert code == 0, error
    assert "train: done" in error
    # Others under the same name are not.
    shutil.rmtree(run / "prepare")
    np.save(path, maps(8, 32, seed=5))
    for steps in (3, 4):
        code, _, error = run_main(*flags, f"--num_steps={steps}")
        assert code == 1
        assert f"{run}/train was trained on other data than {run}/prepare now holds" in error
    # Nor where the training was cut off.
    (run / "train").rename(run / "train.partial")
    (run / "train.partial/stage.json").unlink()
    before = sorted((run / "train.partial").rglob("*"))
    code, _, error = run_main(*flags, "--num_steps=4")
    assert code == 1
    assert f"{run}/train.partial was trained on other data" in error
    assert sorted((run / "train.partial").rglob("*")) == before


def test_a_later_stage_with_other_flags_than_an_earlier_one(run_main, tmp_path):
    path, run = save(tmp_path / "k.npy", maps(8, 32)), tmp_path / "run"
    assert run_main(f"--workdir={run}", *SMALL, f"--maps={path}", "--side_deg=1")[0] == 0
    before = (run / "flags.txt").read_text()
    code, _, error = run_main(
        f"--workdir={run}", "--stages=train", f"--maps={path}", "--side_deg=1", "--crops_per_map=12"
    )
    assert code == 1
    assert "crop_size=256 differs from crop_size=8, with which stage 'prepare' was run" in error
    assert f"--flagfile={run}/flags.txt" in error
    assert (run / "flags.txt").read_text() == before
    # The flag that was touched is named, not one that follows from it.
    code, _, error = run_main(f"--workdir={run}", *SMALL, "--map_pixels=64")
    assert code == 1
    assert f"maps= differs from maps={path}" in error


def test_a_map_that_changes_under_the_import(prepare, tmp_path, monkeypatch):
    path = save(tmp_path / "k.npy", maps(5))
    room = map_import.check_room

    def meanwhile(*given):
        np.save(path, maps(5, seed=3))
        return room(*given)

    monkeypatch.setattr("cosmogan_jax.stages.prepare.check_room", meanwhile)
    assert f"{path}[0] has changed since it was looked at" in prepare(f"--maps={path}", "--side_deg=1", code=1)


def test_flags_that_leave_nothing_or_little(run_main, tmp_path):
    path = save(tmp_path / "k.npy", maps(5))
    code, _, error = run_main("--maps=", f"--workdir={tmp_path}/run")
    assert (code, error) == (1, "error: maps= names nothing; leave the flag away, or name files, folders or "
                                "globs\n")  # fmt: skip
    assert not (tmp_path / "run").exists()
    code, _, error = run_main(
        f"--workdir={tmp_path}/run", "--stages=simulate,prepare", "--crop_size=24", "--crops_per_map=1",
        f"--maps={path}", "--side_deg=1",
    )  # fmt: skip
    assert code == 0
    assert "simulate: left out, --maps gives the maps" in error
    # Export of a store from elsewhere is all that is asked then.
    code, _, error = run_main(
        f"--workdir={tmp_path}/out", "--export=npy", f"--export_from={tmp_path}/run/prepare/maps"
    )
    assert code == 0, error
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir()) == ["export"]
    np.testing.assert_array_equal(np.load(tmp_path / "out/export/kappa.npy"), maps(5))
    code, _, error = run_main(f"--workdir={tmp_path}/more", *SMALL, "--crop_size=24", f"--maps={path}",
                              "--side_deg=1")  # fmt: skip
    assert code == 1
    assert "maps that are crops already go with --crops_per_map=1" in error


def test_a_dry_run_shows_and_writes_a_picture_only(run_main, tmp_path):
    path = save(tmp_path / "k.npy", maps(10).astype(">f8"))
    code, out, error = run_main(
        f"--workdir={tmp_path}/run", *SMALL, f"--maps={path}", "--side_deg=2", "--dry_run",
        "--stages=simulate,prepare,train", "--crop_size=16",
    )  # fmt: skip
    assert (code, error) == (0, "simulate: left out, --maps gives the maps\n")
    assert "10 maps of 24x24 pixels, 2 degrees wide (5 arcmin a pixel, ell 180 to 2160)" in out
    assert "source redshift not known" in out
    assert "npy >f8" in out
    assert "prepare: would take 8 train, 1 development, 1 validation maps" in out
    assert "96 train, 12 development, 12 validation crops of 16 pixels" in out
    assert "train: would run" in out
    assert "simulate:" not in out
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["prepare.dry_run.png"]
    # Before one knows how large the maps are: crops of 256 pixels are the default.
    code, out, error = run_main(
        f"--workdir={tmp_path}/look", f"--maps={path}", "--side_deg=2", "--dry_run", "--stages=prepare"
    )
    assert code == 1
    assert "10 maps of 24x24 pixels" in out
    assert error == "error: crop_size=256 is larger than the maps of 24 pixels\n"


@pytest.mark.parametrize(
    ("files", "flags", "words"),
    [
        ({"a.npy": maps(4)}, [], "a.npy does not say how wide its maps are: give --side_deg, in degrees"),
        ({"a.npy": maps(4)}, ["--side_deg=-1"], "side_deg=-1.0 must be positive"),
        ({"a.fits": (maps(4), 3.5)}, ["--side_deg=5"], "side_deg=5 disagrees with"),
        ({"a.fits": (maps(4), 3.5), "b.fits": (maps(4, 32), 3.5)}, [], "one size: pixels a side 24 in"),
        ({"a.fits": (maps(4), 3.5), "b.fits": (maps(4, seed=1), 5.0)}, [], "one angle: degrees wide 3.5 in"),
        ({"a_z0.5.npy": maps(4), "a_z1.0.npy": maps(4, seed=1)}, ["--side_deg=1"], "source redshift 0.5 in"),
        ({"a_z0.5.npy": maps(4)}, ["--side_deg=1", "--source_redshift=1"], "source_redshift=1 disagrees"),
        ({}, [], "the folder holds no file that ends in .npy .fits"),
        ({"a.npy": maps(4) * np.nan}, ["--side_deg=1"], "a.npy[0] holds no valid pixel"),
        ({"a.npy": maps(4) * np.nan}, ["--side_deg=1", "--invalid_pixels=drop"], "none of the 4 maps"),
        ({"a.npy": maps(4) * 0 + 0.5}, ["--side_deg=1"], "a.npy[0] is constant: every valid pixel is 0.5"),
        ({"a.npy": maps(2)}, ["--side_deg=1"], "2 maps are too few to be split"),
        ({"a.npy": maps(4)}, ["--side_deg=1", "--crop_size=25"], "crop_size=25 is larger than the maps of 24"),
        ({"a.npy": maps(4)}, ["--side_deg=1", "--crops_per_map=290"], "more than the 289 positions"),
        ({"a.npy": maps(4)}, ["--side_deg=1", "--crops_per_map=280", "--split_by=crops"], "for 350 crops"),
        ({"a.npy": maps(4)}, ["--side_deg=1", "--downsample=5"], "downsample=5 must divide the 24 pixels"),
        ({"a.npy": maps(4)}, ["--side_deg=1", "--validation_share=0.95"], "leave some maps to train on"),
        ({"a.npy": maps(4)[[0, 1, 2, 1]]}, ["--side_deg=1"], "what is tested must not be trained on"),
        ({"a.npy": maps(4)}, ["--side_deg=1", "--source_redshift=-1"], "source_redshift=-1 must be positive"),
        ({"a.npy": maps(4)}, ["--side_deg=1", "--hdf5_dataset=kappa"], "hdf5_dataset=kappa"),
        ({"a.npy": maps(4).astype(complex)}, ["--side_deg=1"], "a.npy holds complex128"),
    ],
)  # fmt: skip
def test_bad_maps_are_one_line(prepare, tmp_path, files, flags, words):
    (tmp_path / "sims").mkdir()
    for name, content in files.items():
        if isinstance(content, tuple):
            save(tmp_path / "sims" / name, content[0], ANGLE=content[1])
        else:
            save(tmp_path / "sims" / name, content)
    assert words in prepare(f"--maps={tmp_path}/sims", *flags, code=1)


def test_flags_that_need_maps(prepare):
    said = prepare(
        "--stages=simulate,prepare", "--map_pixels=24", "--num_train_maps=1", "--num_development_maps=1",
        "--num_validation_maps=1", "--downsample=2", code=1,
    )  # fmt: skip
    assert "downsample=2 goes with --maps" in said  # and the simulation has not begun
    said = prepare("--stages=simulate,prepare", "--map_pixels=24", "--raw_shape=24,24", code=1)
    assert "raw_shape=24,24 goes with --maps" in said


def test_no_room_and_no_place(prepare, run_main, tmp_path, monkeypatch):
    path = save(tmp_path / "k.npy", maps(5))
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(map_import.shutil, "disk_usage", lambda _: usage(10**6, 10**6, 9000))
    said = prepare(f"--maps={path}", "--side_deg=1", code=1)
    assert "free, the map store of 5 maps of 24x24 needs" in said
    monkeypatch.undo()
    code, _, error = run_main(f"--workdir={path}/run", *SMALL, f"--maps={path}", "--side_deg=1")
    assert code == 1
    assert error == f"error: workdir={path}/run cannot be written: Not a directory\n"


def test_a_disk_that_takes_no_more(tmp_path):
    """The write itself fails (a limit on file sizes stands in for a full disk); nothing is taken for whole."""
    path = save(tmp_path / "k.npy", maps(5, 256))
    flags = [f"--workdir={tmp_path}/run", *SMALL, f"--maps={path}", "--side_deg=1"]

    def run(limit):
        return subprocess.run(
            ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "-", sys.executable, "-m", "cosmogan_jax.main",
             *flags],
            capture_output=True, text=True, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip

    done = run(limit=500)  # blocks of 1024 bytes; the shard has 1.3 MB
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "maps cannot be written" in errors[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run/prepare").exists()
    with pytest.raises(ValueError, match="its writing was cut off"):
        open_map_store(tmp_path / "run/prepare.partial/maps")
    assert run(limit="unlimited").returncode == 0
    np.testing.assert_array_equal(open_map_store(tmp_path / "run/prepare/maps").read()[..., 0], maps(5, 256))
