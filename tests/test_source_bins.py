"""Maps of several source redshifts or bins at once: read in any form, stored together, one trained on."""

import json

import h5py
import numpy as np
import pytest
import zarr
from astropy.io import fits

from cosmogan_jax.maps.crop_table import open_crop_table
from cosmogan_jax.maps.formats import ReadOptions, open_map_file
from cosmogan_jax.maps.given_maps import open_sources
from cosmogan_jax.maps.store import open_map_store

REDSHIFTS = (0.5, 1.0, 1.5, 2.0, 2.5)
CROPS = ("--stages=prepare", "--crop_size=8", "--crops_per_map=20", "--side_deg=2")


def maps(count=6, size=24, bins=5, seed=0):
    """(map, row, column, bin); each bin has twice the sigma of the one before."""
    scale = 0.002 * 2.0 ** np.arange(bins)
    return (np.random.default_rng(seed).normal(size=(count, size, size, bins)) * scale).astype(np.float32)


def every(found):
    one_by_one = np.concatenate([found.read(n, n + 1) for n in range(found.num_maps)])
    np.testing.assert_array_equal(found.read(0, found.num_maps), one_by_one)
    return one_by_one


@pytest.mark.parametrize("form", ["npy", "npz", "hdf5", "zarr", "fits"])
@pytest.mark.parametrize("layout", ["last", "second", "one_last", "one_first"])
@pytest.mark.parametrize("bins", [("all",), ("4", "0")])
def test_bins_of_any_form_and_place(tmp_path, form, layout, bins):
    kappa = maps()
    stored = {
        "last": kappa, "second": np.moveaxis(kappa, -1, 1), "one_last": kappa[0],
        "one_first": np.moveaxis(kappa[0], -1, 0),
    }[layout]  # fmt: skip
    path = tmp_path / f"k.{form}"
    if form == "npy":
        np.save(path, stored)
    elif form == "npz":
        np.savez_compressed(path, stored)
    elif form == "hdf5":
        with h5py.File(path, "w") as file:
            file["kappa"] = stored
            file["kappa"].attrs["source_redshift"] = REDSHIFTS
    elif form == "zarr":
        zarr.open_group(path, mode="w")["kappa"] = stored
        zarr.open_group(path, mode="a")["kappa"].attrs["redshifts"] = REDSHIFTS
    else:
        fits.PrimaryHDU(stored).writeto(path)
    found = open_map_file(path, ReadOptions(source_bins=bins))
    numbers = list(range(5)) if bins == ("all",) else [4, 0]
    assert found.bin_numbers == tuple(numbers)
    known = form in ("hdf5", "zarr")
    assert found.bins == tuple(REDSHIFTS[n] if known else None for n in numbers)
    expected = kappa[:1] if layout.startswith("one") else kappa
    np.testing.assert_array_equal(every(found), expected[..., numbers])
    small = found.read(0, 1, 2)
    blocks = expected[0].reshape(12, 2, 12, 2, 5).mean((1, 3))[..., numbers]
    np.testing.assert_allclose(small[0], blocks, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("single", [False, True])
def test_datasets_are_bins_as_those_of_kappatng(tmp_path, single):
    """z01/kappa to z40/kappa, of which each tells its redshift."""
    redshifts = tuple(np.linspace(0.05, 2.5, 40).round(3).tolist())
    kappa = maps(3, 6, 40)
    with h5py.File(tmp_path / "k.h5", "w") as file:
        for n, redshift in enumerate(redshifts):
            file[f"z{n + 1:02d}/kappa"] = kappa[0, ..., n] if single else kappa[..., n]
            file[f"z{n + 1:02d}/kappa"].attrs["z_s"] = redshift
            file[f"z{n + 1:02d}/omega"] = kappa[0, ..., n]
    found = open_map_file(tmp_path / "k.h5", ReadOptions(hdf5_dataset="z*/kappa", source_bins=("all",)))
    assert found.bins == redshifts
    np.testing.assert_array_equal(every(found), kappa[:1] if single else kappa)
    found = open_map_file(tmp_path / "k.h5", ReadOptions(hdf5_dataset="z*/kappa", source_bins=("22", "3")))
    assert (found.bins, found.bin_numbers) == ((redshifts[22], redshifts[3]), (22, 3))
    np.testing.assert_array_equal(found.read(0, 1), kappa[:1][..., [22, 3]])


@pytest.mark.parametrize(
    ("bins", "words"),
    [
        (("5",), r"source_bins=5 must lie in 0 to 4"),
        (("0", "0"), "source_bins=0,0 names a bin twice"),
        (("all", "1"), "source_bins=all,1 must be all, or numbers of channels"),
        (("-1",), "source_bins=-1 must be all"),
    ],
)
def test_bins_that_are_not_there(tmp_path, bins, words):
    np.save(tmp_path / "k.npy", maps())
    with pytest.raises(ValueError, match=words):
        open_map_file(tmp_path / "k.npy", ReadOptions(source_bins=bins))


def test_bins_are_stored_together_and_one_is_trained_on(run_main, tmp_path):
    kappa = maps()
    kappa[3, 5, 6, 1] = np.nan
    np.save(tmp_path / "k.npy", kappa)
    flags = [f"--workdir={tmp_path}/run", *CROPS, f"--maps={tmp_path}/k.npy", "--source_bins=all",
             "--bin_redshifts=0.5,1,1.5,2,2.5", "--channel=2", "--invalid_pixels=avoid"]  # fmt: skip
    code, out, error = run_main(*flags)
    assert code == 0, error
    assert "5 source bins are stored: 0 (redshift 0.5, sigma 0.002" in out
    sigma = np.mean([one[np.isfinite(one)].std() for one in kappa[..., 2]])
    assert f"2 (redshift 1.5, sigma {sigma:.4g}, trained on), 3 (redshift 2, sigma 0.01" in out
    store = open_map_store(tmp_path / "run/prepare/maps")
    np.testing.assert_array_equal(store.read(), kappa)
    assert (store.bin_redshifts, store.source_redshift) == (REDSHIFTS, None)
    store.verify()
    table = open_crop_table(tmp_path / "run/prepare")
    rows = np.concatenate(list(table.crops.values()))
    cuts = table.cut(rows)
    assert cuts.shape == (120, 8, 8, 1)
    for (number, row, column), cut in zip(rows, cuts):
        np.testing.assert_array_equal(cut[..., 0], kappa[number, row : row + 8, column : column + 8, 2])
        # Nor does it lie where another bin is invalid.
        assert np.isfinite(kappa[number, row : row + 8, column : column + 8]).all()
    assert (table.manifest.source_redshift, table.store.source_redshift) == (1.5, 1.5)
    np.testing.assert_array_equal(table.store.with_cache(2**20).read(0, 1), kappa[:1, ..., 2:3])
    # The same again is skipped; the flag file holds what was said.
    assert (
        run_main(f"--workdir={tmp_path}/run", f"--flagfile={tmp_path}/run/flags.txt")[2].count("skipped") == 1
    )
    # From the store, another bin, or all again.
    found = open_map_file(tmp_path / "run/prepare/maps", ReadOptions(channel=4))
    np.testing.assert_array_equal(found.read(0, 6), kappa[..., 4])
    assert found.source_redshift == 2.5
    found = open_map_file(tmp_path / "run/prepare/maps", ReadOptions(source_bins=("3", "1")))
    np.testing.assert_array_equal(found.read(0, 6), kappa[..., [3, 1]])
    assert found.bins == (2.0, 1.0)
    with pytest.raises(
        ValueError, match=r"5 source bins: choose one with --channel=0 to 4, or --source_bins=all"
    ):
        open_map_file(tmp_path / "run/prepare/maps")


def test_other_bins_are_other_data(run_main, tmp_path):
    from cosmogan_jax.stages.prepare import result_mark

    np.save(tmp_path / "k.npy", maps())
    marks = []
    for channel in (0, 3):
        code, _, error = run_main(
            f"--workdir={tmp_path}/{channel}", *CROPS, f"--maps={tmp_path}/k.npy", "--source_bins=all",
            f"--channel={channel}",
        )  # fmt: skip
        assert code == 0, error
        marks.append(result_mark(tmp_path / f"{channel}/prepare"))
    assert marks[0] != marks[1]


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_training_sees_the_chosen_bin_alone(run_main, tmp_path, stream):
    """The same training as on a file of that bin: same crops, same losses."""
    kappa = maps(8, 32, 3)
    np.save(tmp_path / "all.npy", kappa)
    np.save(tmp_path / "one.npy", kappa[..., 1])
    logs = []
    for name, flags in (("all", ["--source_bins=all", "--channel=1"]), ("one", [])):
        code, _, error = run_main(
            f"--workdir={tmp_path}/{name}", f"--maps={tmp_path}/{name}.npy", "--side_deg=1", *flags,
            "--stages=prepare,train", "--crop_size=16", "--crops_per_map=4", "--num_filters=2", "--num_steps=2",
            "--batch_size=4", "--sample_every_steps=0", f"--feed={'stream' if stream else 'device'}",
        )  # fmt: skip
        assert code == 0, error
        logs.append((tmp_path / name / "train/metrics.jsonl").read_text())
    losses = [[json.loads(line)["disc_loss"] for line in log.splitlines()] for log in logs]
    assert losses[0] == losses[1]
    assert losses[0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            [],
            "5 channels; choose one with --channel=0 to 4, or say with --source_bins=all that they are source",
        ),
        (["--source_bins=0,1", "--channel=3"], "channel=3 is none of source_bins=0,1"),
        (["--source_bins=all", "--channel=1", "--bin_redshifts=1,2"], "bin_redshifts=1,2 disagrees with"),
        (
            ["--source_bins=all", "--channel=1", "--source_redshift=1"],
            "source_redshift=1 is of maps of one bin",
        ),
        (["--channel=1", "--bin_redshifts=1"], "bin_redshifts=1 goes with --source_bins"),
    ],
)
def test_bins_that_cannot_be_meant_are_one_line(run_main, tmp_path, flags, words):
    np.save(tmp_path / "k.npy", maps())
    code, _, error = run_main(f"--workdir={tmp_path}/run", *CROPS, f"--maps={tmp_path}/k.npy", *flags)
    assert code == 1
    assert words in error


def test_files_whose_bins_disagree(run_main, tmp_path):
    for name, redshifts in (("a", REDSHIFTS), ("b", (0.5, 1.0, 1.5, 2.0, 3.0))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["kappa"] = maps(seed=ord(name))
            file["kappa"].attrs["zs"] = redshifts
    code, _, error = run_main(
        f"--workdir={tmp_path}/run", *CROPS, f"--maps={tmp_path}/*.h5", "--source_bins=all", "--channel=0"
    )
    assert code == 1
    assert "maps disagree in their source bins: 0 at 0.5, 1 at 1, 2 at 1.5, 3 at 2, 4 at 2.5 in" in error


def in_files(folder, kappa, name="kappa{:02d}.npy", first=1):
    """Every map's folder, with a file for each bin."""
    for number, of_map in enumerate(kappa):
        (folder / f"run{number:03d}").mkdir(parents=True)
        for channel in range(kappa.shape[-1]):
            np.save(folder / f"run{number:03d}" / name.format(channel + first), of_map[..., channel])
    return f"--maps={folder}/run*/*.npy"


def test_bins_in_files_of_their_own_are_joined_by_their_names(run_main, tmp_path):
    kappa = maps()
    given = in_files(tmp_path / "k", kappa)
    flags = ["--source_bins=kappa{bin}.npy", "--bin_redshifts=0.5,1,1.5,2,2.5", "--channel=3"]
    code, out, error = run_main(f"--workdir={tmp_path}/run", *CROPS, given, *flags)
    assert code == 0, error
    assert "5 source bins are stored: 0 (redshift 0.5" in out
    store = open_map_store(tmp_path / "run/prepare/maps")
    np.testing.assert_array_equal(store.read(), kappa)
    assert (store.bin_redshifts, store.manifest.parents) == (REDSHIFTS, list(range(6)))
    # All files are recorded: one that changes is seen.
    assert len(store.manifest.origin["files"]) == 30
    np.save(tmp_path / "k/run002/kappa04.npy", -kappa[2, ..., 3])
    code, _, error = run_main(f"--workdir={tmp_path}/run", *CROPS, given, *flags)
    assert code == 1
    assert "kappa04.npy" in error


def test_some_of_the_bins_in_files_in_an_order_of_ones_own(tmp_path, parse):
    kappa = maps()
    given = in_files(tmp_path / "k", kappa, first=0)
    settings = parse(given, "--side_deg=1", "--source_bins=kappa{bin},4,1", "--channel=1").by_stage["prepare"]
    sources = open_sources(settings, print)
    assert sources.files["maps"][0].bin_numbers == (4, 1)
    assert sources.trained_bin == 1
    np.testing.assert_array_equal([of for *_, of in sources.maps()], kappa[..., [4, 1]])


def test_redshifts_in_the_names_number_the_bins_and_are_those_of_the_bins(tmp_path, parse):
    kappa = maps()[..., :2]
    for number, of_map in enumerate(kappa):
        for channel, name in enumerate(("zs0.5", "zs1.25")):
            np.save(tmp_path / f"kappa_{name}_{number}.npy", of_map[..., channel])
    flags = (f"--maps={tmp_path}/*.npy", "--side_deg=1", "--source_bins=_zs{bin}_", "--channel=1")
    sources = open_sources(parse(*flags).by_stage["prepare"], print)
    assert (sources.bins, sources.source_redshift, sources.num_maps) == ((0.5, 1.25), 1.25, 6)
    np.testing.assert_array_equal([of for *_, of in sources.maps()], kappa)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("k{bin}.npy,7", "source_bins=k{bin}.npy,7 is none of the bins of .*: 1, 2, 3, 4, 5"),
        ("kappa{}.npy", "must hold {bin} once|names no parameter"),
        ("kappa{bin}.npy,run{bin}", "names two patterns"),
        ("kappa{bin}.npy,x", "must be a pattern, and whole numbers"),
        ("kappa{bin}.npy,2,2", "names a bin twice"),
        ("kappa{bin}.fits", "kappa01.npy: source_bins=kappa{bin}.fits does not fit it"),
        ("{bin}", "fits it in [0-9]+ places; write more of the name"),
    ],
)
def test_patterns_that_do_not_fit_are_refused(tmp_path, parse, pattern, words):
    given = in_files(tmp_path / "k", maps(), "k{:02d}.npy" if pattern.startswith("k{") else "kappa{:02d}.npy")
    with pytest.raises(ValueError, match=words.replace("{", r"\{").replace("}", r"\}")):
        open_sources(
            parse(given, "--side_deg=1", f"--source_bins={pattern}", "--channel=1").by_stage["prepare"], print
        )


def test_a_bin_that_is_not_there_for_every_map_is_named(tmp_path, parse):
    given = in_files(tmp_path / "k", maps())
    (tmp_path / "k/run004/kappa02.npy").unlink()
    settings = parse(given, "--side_deg=1", "--source_bins=kappa{bin}", "--channel=1").by_stage["prepare"]
    with pytest.raises(
        ValueError, match=r"other maps have bin 2, and there is none beside .*run004/kappa01.npy"
    ):
        open_sources(settings, print)
    np.save(tmp_path / "k/run004/kappa02.npy", np.zeros((8, 8)))
    with pytest.raises(ValueError, match=r"source bins must be alike.*run004/kappa02.npy"):
        open_sources(settings, print)
