"""Parameters of maps: stored, read from headers, tables and names, asked to vary, and fed beside the crops."""

import json
import re
import shutil
import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.machine.devices import choose_devices
from cosmogan_jax.maps.crop_stream import stream_crops
from cosmogan_jax.maps.crop_table import open_crop_table, write_crop_table
from cosmogan_jax.maps.formats import open_map_file
from cosmogan_jax.maps.given_maps import as_sources
from cosmogan_jax.maps.map_files import write_npy_maps
from cosmogan_jax.maps.name_patterns import numbers_in_name
from cosmogan_jax.maps.source_bins import only_bin
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.maps.store_writing import maps_written, write_map_store
from cosmogan_jax.maps.table_crops import Crops
from cosmogan_jax.stages.train.feeding import Order, open_feed

GOLDEN = Path(__file__).parent / "golden"
GEOMETRY = MapGeometry(16, 1.5)
SMALL = ("--crop_size=8", "--crops_per_map=4", "--stages=prepare")


def maps(count, size=16, bins=None, seed=0):
    shape = (count, size, size) if bins is None else (count, size, size, bins)
    return (0.02 * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


# Stored.


def test_bins_and_parameters_come_back(tmp_path):
    kappa = maps(7, bins=3)
    said = {"omega_m": [0.1 * n for n in range(7)], "sigma8": [0.8, None, *[0.9] * 5]}
    manifest = {"source_redshift": None, "parameters": said}
    write_map_store(tmp_path / "s", iter([kappa[:3], kappa[3:]]), 7, GEOMETRY, manifest, num_bins=3)
    store = open_map_store(tmp_path / "s")
    np.testing.assert_array_equal(store.read(), kappa)
    np.testing.assert_array_equal(np.concatenate(list(store.batches())), kappa)
    assert (store.manifest.content["version"], store.manifest.shape) == (3, (7, 16, 16, 3))
    assert dict(store.parameters) == said
    assert store.geometry == GEOMETRY
    store.verify()
    # The parameters are part of what the data set is; of a store without any nothing is said.
    other = write_map_store(tmp_path / "t", [kappa], 7, GEOMETRY, {"source_redshift": None}, num_bins=3)
    assert store.manifest.identity() == other.manifest.identity() | {"parameters": said}
    with pytest.raises(ValueError, match="maps of 3 source bins: only those of one bin"):
        only_bin(store.read())
    with pytest.raises(ValueError, match=r"holds maps of 3 source bins: choose one with --channel=0 to 2"):
        open_map_file(tmp_path / "s")
    with pytest.raises(ValueError, match=r"maps of shape \(16, 16, 3\) do not fit a store of \(16, 16\)"):
        write_map_store(tmp_path / "u", [kappa], 7, GEOMETRY, {})
    with pytest.raises(ValueError, match=r"maps of shape \(16, 16\) do not fit a store of \(16, 16, 3\)"):
        write_map_store(tmp_path / "v", [kappa[..., 0]], 7, GEOMETRY, {}, num_bins=3)
    # Several bins are cut and streamed whole.
    rows = np.array([[5, 2, 3], [0, 8, 8], [5, 0, 0]])
    cut = np.stack([kappa[n, r : r + 8, c : c + 8] for n, r, c in rows])
    np.testing.assert_array_equal(next(stream_crops(store, [rows], 8, 1)), cut)
    # As an array for others they keep their axis.
    write_npy_maps(tmp_path / "k.npy", store.batches(), kappa.shape)
    np.testing.assert_array_equal(np.load(tmp_path / "k.npy"), kappa)


def old_store(path, kappa, **more):
    """A store of version 2: an array of three axes, as the versions before wrote it."""
    from cosmogan_jax.files.zarr_arrays import create_array, file_sizes, shard_checksums

    size = kappa.shape[1]
    array = create_array(path / "kappa", kappa.shape, kappa.shape, ["map", "row", "column"])
    array[:].write(kappa).result()
    manifest = {
        "format": "cosmogan_jax map store", "version": 2, "shape": list(kappa.shape), "side_deg": 1.0,
        "invalid_pixels": 0, "shards": file_sizes(path / "kappa"), "sha256": shard_checksums(path / "kappa"),
        "source_redshift": 1.0, "splits": ["train"] * len(kappa), "parents": [*range(len(kappa))], **more,
    }  # fmt: skip
    assert size == kappa.shape[2]
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def test_a_store_of_three_axes_reads_alike(tmp_path):
    kappa = maps(5)
    store = open_map_store(old_store(tmp_path / "s", kappa))
    np.testing.assert_array_equal(store.read(1, 3), kappa[1:3, :, :, None])
    np.testing.assert_array_equal(np.concatenate(list(store.batches())), kappa[..., None])
    assert (store.num_bins, store.num_maps, store.geometry, dict(store.parameters)) == (
        1, 5, MapGeometry(16, 1.0), {},
    )  # fmt: skip
    assert set(store.manifest.identity()) == {
        "shape", "side_deg", "source_redshift", "splits", "parents", "boxes", "sha256",
    }  # fmt: skip
    assert store.manifest.identity()["shape"] == [5, 16, 16]
    rows = np.array([[4, 1, 2], [0, 8, 8]])
    cut = np.stack([kappa[n, r : r + 8, c : c + 8, None] for n, r, c in rows])
    np.testing.assert_array_equal(next(stream_crops(store, [rows], 8, 1)), cut)
    np.testing.assert_array_equal(open_map_file(tmp_path / "s").read(0, 5), kappa)
    for version, shape in ((2, [5, 16, 16, 1]), (3, [5, 16, 16]), (3, [5, 16, 16, 0])):
        manifest = json.loads((tmp_path / "s/manifest.json").read_text())
        changed = {**manifest, "version": version, "shape": shape}
        (tmp_path / "s/manifest.json").write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=re.escape(f"shape={shape} is not that of maps")):
            open_map_store(tmp_path / "s")
        (tmp_path / "s/manifest.json").write_text(json.dumps(manifest))


def test_a_store_of_three_axes_that_was_cut_off_is_begun_anew(tmp_path):
    kappa = maps(5)
    old_store(tmp_path / "s", kappa)
    (tmp_path / "s/manifest.json").unlink()
    (tmp_path / "s/written.json").write_text('{"maps": 3}')
    assert maps_written(tmp_path / "s") == 0
    store = write_map_store(tmp_path / "s", [kappa], 5, GEOMETRY, {}, start=maps_written(tmp_path / "s"))
    np.testing.assert_array_equal(store.read(), kappa[..., None])
    assert list(open_map_store(tmp_path / "s").manifest.shards) == ["c/0/0/0/0"]


def test_a_run_of_before_opens_and_goes_on(run_main, tmp_path, monkeypatch):
    with tarfile.open(GOLDEN / "old_run.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    table = open_crop_table(tmp_path / "old_run/prepare")
    assert table.parameters == ()
    rows = table.crops["train"][:5]
    kappa = table.store.read()
    assert kappa.shape == (20, 32, 32, 1)
    n, row, column = rows[3]
    np.testing.assert_array_equal(table.cut(rows)[3], kappa[n, row : row + 16, column : column + 16])
    assert table.theta(rows, ()).shape == (5, 0)
    with pytest.raises(ValueError, match="does not say omega_m of its maps; parameters known of all: none"):
        table.theta(rows, ("omega_m",))
    # Its stages are whole for today's flags, which they had not: nothing is made anew.
    flags = (f"--flagfile={GOLDEN}/old_run.flags", f"--workdir={tmp_path}/old_run", "--stages=simulate,prepare")
    before = {path: path.read_bytes() for path in (tmp_path / "old_run").glob("*/stage.json")}
    code, _, error = run_main(*flags)
    assert code == 0, error
    assert {path: path.read_bytes() for path in (tmp_path / "old_run").glob("*/stage.json")} == before
    code, _, error = run_main(*flags, "--condition_on=omega_m", "--stages=train")
    assert (code, "condition_on=omega_m differs from condition_on=, with which" in error) == (1, True)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ([], "parameters must be an object of lists"),
        ({"Omega": [1, 1, 1]}, "'Omega' is no name of a parameter"),
        ({"a" * 33: [1, 1, 1]}, "is no name of a parameter"),
        ({"omega_m": [0.3]}, "parameter omega_m must have one value for each of 3 maps"),
        ({"omega_m": 0.3}, "parameter omega_m must have one value for each of 3 maps"),
        ({"omega_m": [0.3, "0.3", 0.3]}, "omega_m=0.3 of map 1 is not a finite number"),
        ({"omega_m": [0.3, 0.3, True]}, "omega_m=True of map 2 is not a finite number"),
        ({"omega_m": [float("inf"), 0.3, 0.3]}, "omega_m=inf of map 0 is not a finite number"),
        ({"omega_m": [0.3, 10**400, 0.3]}, "of map 1 is not a finite number"),
    ],
)
def test_parameters_that_are_none(tmp_path, parameters, words):
    if parameters:
        with pytest.raises(ValueError, match=words):
            write_map_store(tmp_path / "t", [maps(3)], 3, GEOMETRY, {"parameters": parameters})
    if "inf" in words:
        return  # JSON holds none
    write_map_store(tmp_path / "s", [maps(3)], 3, GEOMETRY, {})
    manifest = json.loads((tmp_path / "s/manifest.json").read_text())
    (tmp_path / "s/manifest.json").write_text(json.dumps({**manifest, "parameters": parameters}))
    with pytest.raises(ValueError, match=words):
        open_map_store(tmp_path / "s")


# Fed.


@pytest.fixture
def table(tmp_path):
    """Shuffled crops of maps 1, 3 and 4; what maps 0 and 2 say of sigma8 is not asked for."""
    kappa = maps(6, 40)
    rng = np.random.default_rng(1)
    crops = np.stack([rng.choice([1, 3, 4], 53), *rng.integers(0, 25, (2, 53))], axis=1).astype(np.int32)
    said = {
        "omega_m": [0.20, 0.21, 0.22, 0.23, 0.24, 0.25],
        "sigma8": [None, 0.81, None, 0.83, 0.84, 0.85],
        "w0": [-1.0, -1.0, -1.0, None, -1.0, -1.0],
    }
    write_map_store(tmp_path / "maps", [kappa], 6, MapGeometry(40, 1.0), {"parameters": said})
    manifest = {
        "maps": "maps", "crop_size": 16, "side_deg": 0.4, "source_redshift": None, "parents": [*range(6)],
        "boxes": [None] * 6, "normalisation": {"kind": "none", "scale": 1.0}, "origin": {},
    }  # fmt: skip
    write_crop_table(tmp_path, {"train": crops, "development": crops[:0], "validation": crops[:0]}, manifest)
    return open_crop_table(tmp_path)


def test_theta_reaches_the_batch_from_both_feeds(table, parse):
    flags, crops = ("--batch_size=8", "--seed=5", "--condition_on=sigma8,omega_m"), table.crops["train"]
    assert table.parameters == ("omega_m",)
    for name in ("device", "stream"):
        settings = parse(*flags, f"--feed={name}").by_stage["train"]
        feed = open_feed(Crops(table, crops), settings, choose_devices(1, 8))
        taken = jax.jit(feed.crops)
        given = [taken(feed.held, batch) for batch in feed.batches(0, 14)]
        assert len(given) == 14
        for batch, rows in zip(given, Order(5, 8).rows(crops, 0, 14)):
            expected = np.stack([0.8 + 0.01 * rows[:, 0], 0.2 + 0.01 * rows[:, 0]], axis=1)
            assert batch.theta.dtype == np.float32
            np.testing.assert_allclose(batch.theta, expected, rtol=1e-6)
            np.testing.assert_array_equal(batch.theta, table.theta(rows, ("sigma8", "omega_m")))
            np.testing.assert_array_equal(batch.kappa, table.cut(rows))


@pytest.mark.parametrize(
    ("name", "words"), [("w0", "does not say w0 of map 3"), ("h", "does not say h of its maps")]
)
def test_what_a_map_does_not_say_cannot_be_conditioned_on(table, parse, name, words):
    for feed in ("device", "stream"):
        settings = parse("--batch_size=8", f"--condition_on={name}", f"--feed={feed}").by_stage["train"]
        with pytest.raises(ValueError, match=words):
            open_feed(Crops(table, table.crops["train"]), settings, choose_devices(1, 8))


def test_a_training_says_what_it_lacks(run_main, tiny_run, tmp_path):
    flags = (f"--workdir={tmp_path}/run", *tiny_run, "--crops_per_map=4", "--num_steps=2")
    assert run_main(*flags, "--stages=prepare")[0] == 0
    code, _, error = run_main(*flags, "--stages=train", "--condition_on=omega_m")
    assert code == 1
    assert error.splitlines()[-1].endswith("does not say omega_m of its maps; parameters known of all: none")


# Asked for.


@pytest.fixture
def prepare(run_main, tmp_path):
    """Runs the stage; gives its store and what it said, or the one line of its error."""

    def run(*flags, code=0):
        found, said, error = run_main(f"--workdir={tmp_path}/run", *SMALL, *flags)
        assert found == code, error
        if not code:
            return open_crop_table(tmp_path / "run/prepare").store, said
        lines = [line for line in error.splitlines() if not line.startswith("prepare: begins")]
        assert len(lines) == 1, error
        assert not (tmp_path / "run/prepare").exists()
        return lines[0].removeprefix("error: ")

    return run


def save_fits(path, kappa, **cards):
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(kappa, fits.Header({"ANGLE": 3.5, **cards})).writeto(path)


@pytest.fixture
def files(tmp_path):
    """Six npy files of two cosmologies in folders that name them, two maps a file."""
    kappa = maps(12)
    for n in range(6):
        folder = tmp_path / f"sims/Om{0.25 + 0.05 * (n % 2):.3f}_Ol{0.75 - 0.05 * (n % 2):.3f}_w-1.00_si0.8"
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"run{n}.npy", kappa[2 * n : 2 * n + 2])
    return f"--maps={tmp_path}/sims/**", "--side_deg=3.5"


PATTERN = "--parameters_from_name=Om{omega_m}_Ol{omega_lambda}_w{w0}_si{}"


def test_names_tell_and_vary_allows(prepare, files, tmp_path):
    said = prepare(*files, PATTERN, code=1)
    first, second = (
        f"{tmp_path}/sims/Om{m}_Ol{v}_w-1.00_si0.8/run" for m, v in (("0.250", "0.750"), ("0.300", "0.700"))
    )
    assert said.startswith(f"maps disagree, a data set has one cosmology: omega_lambda 0.75 in {first}0.npy[0]")
    assert f", 0.7 in {second}1.npy[0] and" in said
    assert said.endswith("; --vary=omega_lambda where that is meant")
    assert "omega_m 0.25 in" in prepare(*files, PATTERN, "--vary=omega_lambda", code=1)
    store, told = prepare(*files, PATTERN, "--vary=omega_lambda,omega_m")
    assert "parameters: omega_lambda 0.7 to 0.75, omega_m 0.25 to 0.3, w0 -1\n" in told
    np.testing.assert_allclose(store.parameters["omega_m"], [0.25] * 6 + [0.3] * 6)
    np.testing.assert_allclose(store.parameters["omega_lambda"], [0.75] * 6 + [0.7] * 6)
    assert set(store.parameters) == {"omega_m", "omega_lambda", "w0"}
    assert store.manifest.origin["cosmology"] == {"w0": -1.0}
    found = json.loads((tmp_path / "run/prepare/found.json").read_text())["parameters"]
    assert found["omega_m"] == {"min": 0.25, "max": 0.3, "known": 12, "maps": 12}


def test_a_dry_run_tells_them_and_writes_nothing(run_main, files, tmp_path):
    code, said, error = run_main(
        f"--workdir={tmp_path}/run", *SMALL, *files, PATTERN, "--vary=omega_lambda,omega_m", "--dry_run"
    )
    assert code == 0, error
    assert "parameters: omega_lambda 0.7 to 0.75, omega_m 0.25 to 0.3, w0 -1\n" in said
    assert not (tmp_path / "run/prepare").exists()


def table_of(path, text):
    path.write_text(text)
    return f"--map_parameters={path}"


def test_a_table_by_file_and_by_number(prepare, files, run_main, tmp_path):
    by_file = "file, sigma8 ,source_redshift\n" + "".join(
        f"{'si0.8/' * (n % 2)}run{n}.npy,{0.7 + 0.01 * n},{1 + n}\n\n" for n in (4, 3, 2, 5, 1, 0)
    )
    given = table_of(tmp_path / "t.csv", by_file.replace("si0.8/", "Om0.300_Ol0.700_w-1.00_si0.8/"))
    store, told = prepare(*files, given, "--vary=sigma8,source_redshift")
    order = [int(re.search(r"run(\d)", name)[1]) for name in store.manifest.content["maps"]]
    assert order == [0, 0, 2, 2, 4, 4, 1, 1, 3, 3, 5, 5]
    np.testing.assert_allclose(store.parameters["sigma8"], 0.7 + 0.01 * np.array(order))
    np.testing.assert_allclose(store.parameters["source_redshift"], 1 + np.array(order))
    assert store.manifest.source_redshift is None
    assert "source redshift see below" in told
    assert "source_redshift 1 to 6" in told
    # A finished stage notices that the table has changed since.
    table_of(tmp_path / "t.csv", by_file + "#")
    code, _, error = run_main(
        f"--workdir={tmp_path}/run", *SMALL, *files, given, "--vary=sigma8,source_redshift", "--stages=prepare"
    )
    assert (code, f"{tmp_path}/t.csv has changed since" in error) == (1, True)
    shutil.rmtree(tmp_path / "run")
    numbers = "index,sigma8\n" + "".join(f"{n},{0.7 + 0.01 * n}\n" for n in range(11, -1, -1))
    store, _ = prepare(*files, table_of(tmp_path / "n.csv", numbers), "--vary=sigma8", "--source_redshift=1")
    np.testing.assert_allclose(store.parameters["sigma8"], 0.7 + 0.01 * np.arange(12))
    assert store.parameters["source_redshift"] == [1.0] * 12
    assert store.manifest.source_redshift == 1.0


ROWS = "".join(f"run{n}.npy,0.8\n" for n in range(6))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ": no such file"),
        ("", ": its first column is nothing, not 'file' or 'index'"),
        ("name,sigma8\n", ": its first column is 'name', not 'file' or 'index'"),
        ("file\nrun0.npy\n", ": no column but 'file'; name the parameters"),
        ("file,sigma8\n", " has no rows below its header"),
        ("file,Sigma8\n" + ROWS, ": 'Sigma8' is no name of a parameter"),
        ("file,h,h\n", ": column 'h' comes twice"),
        ("file,index\n", ": column 'index' comes twice, or names maps once more"),
        ("file,sigma8\nrun0.npy\n", ", line 2: 1 cells, expected 2"),
        ("file,sigma8\nrun0.npy,0.8\nrun1.npy,high\n", ", line 3: sigma8='high' is not a finite number"),
        ("file,sigma8\nrun0.npy,\n", ", line 2: sigma8='' is not a finite number"),
        ("file,sigma8\nrun0.npy,nan\n", ", line 2: sigma8='nan' is not a finite number"),
        ("file,sigma8\n" + ROWS + "run3.npy,0.8\n", ": lines 5 and 8 both mean {}run3.npy[0]"),
        ("file,sigma8\n" + ROWS[:-13], " has no row of {}run5.npy[0]"),
        ("file,sigma8\nrun9.npy,0.8\n", ", line 2: file=run9.npy is none of the files"),
        ("file,sigma8\n,0.8\n", ", line 2: file= is none of the files"),
        ("file,sigma8\n" + ROWS.replace("run1", "other/run1"), ", line 3: file=other/run1.npy is none of the"),
        ("index,sigma8\n12,0.8\n", ", line 2: index=12 is no number of a map, 0 to 11"),
        ("index,sigma8\n-1,0.8\n", ", line 2: index=-1 is no number of a map, 0 to 11"),
        ("index,sigma8\n" + 2 * "3,0.8\n", ": lines 2 and 3 both mean {}run1.npy[1]"),
        (b"\xff\xfefile", " is not a CSV file: "),
        ("file,source_redshift\n" + ROWS.replace("0.8", "-1"), "source_redshift=-1 must be positive"),
    ],
)
def test_tables_that_do_not_fit(prepare, tmp_path, text, words):
    """Six files in one folder."""
    kappa = maps(12)
    (tmp_path / "sims").mkdir()
    for n in range(6):
        np.save(tmp_path / f"sims/run{n}.npy", kappa[2 * n : 2 * n + 2])
    path = tmp_path / "t.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = prepare(f"--maps={tmp_path}/sims", "--side_deg=1", f"--map_parameters={path}", code=1)
    if not words.startswith("source"):
        words = f"map_parameters={path}{words}"
    assert words.replace("{}", f"{tmp_path}/sims/") in said


def test_two_files_of_one_name(prepare, files, tmp_path):
    shutil.copytree(tmp_path / "sims", tmp_path / "more")
    for path in (tmp_path / "more").rglob("*.npy"):
        np.save(path, -np.load(path))
    given = table_of(tmp_path / "t.csv", "file,sigma8\nrun0.npy,0.8\n")
    said = prepare(f"{files[0]},{tmp_path}/more/**", files[1], given, code=1)
    names = [f"{tmp_path}/{folder}/Om0.250_Ol0.750_w-1.00_si0.8/run0.npy" for folder in ("sims", "more")]
    assert said == f"map_parameters={tmp_path}/t.csv, line 2: file=run0.npy fits {names[0]} and {names[1]}"


def test_headers_tell_and_are_not_contradicted(prepare, tmp_path):
    kappa = maps(5)
    for n, one in enumerate(kappa):
        save_fits(tmp_path / f"sims/si{0.7 + 0.1 * n:.1f}_{n}.fits", one, OMEGA_M=0.26, SIGMA8=0.7 + 0.1 * n)
    where = f"--maps={tmp_path}/sims"
    first, second = (f"{tmp_path}/sims/si{s}_{n}.fits" for n, s in enumerate((0.7, 0.8)))
    said = prepare(where, code=1)
    assert f"one cosmology: sigma8 0.7 in {first}, 0.8 in {second}, 0.9 in" in said
    assert said.endswith("; --vary=sigma8 where that is meant")
    rows = "index,sigma8,omega_m\n" + "".join(f"{n},{0.70001 + 0.1 * n},0.3\n" for n in range(5))
    given = table_of(tmp_path / "t.csv", rows)
    said = prepare(where, given, "--vary=sigma8", code=1)
    assert said == (
        f"{first}: omega_m=0.3 by map_parameters={tmp_path}/t.csv (line 2), but 0.26 by the file itself"
    )
    given = table_of(tmp_path / "t.csv", rows.replace(",0.3\n", ",0.26\n").replace("0.90001", "0.95"))
    pattern = "--parameters_from_name=si{sigma8}_"
    said = prepare(where, given, pattern, "--vary=sigma8", code=1)
    assert said.endswith("(line 4), but 0.9 by parameters_from_name=si{sigma8}_")
    table_of(tmp_path / "t.csv", rows.replace(",0.3\n", ",0.26\n"))
    store, _ = prepare(where, given, pattern, "--vary=sigma8")
    # The table comes first, where all agree.
    np.testing.assert_allclose(store.parameters["sigma8"], 0.70001 + 0.1 * np.arange(5), rtol=1e-12)
    assert store.parameters["omega_m"] == [0.26] * 5
    assert store.manifest.origin["cosmology"] == {"omega_m": 0.26}
    assert store.manifest.origin["map_parameters"]["path"] == f"{tmp_path}/t.csv"


def test_redshifts_may_vary_where_it_is_meant(prepare, tmp_path):
    for n, one in enumerate(maps(5)):
        save_fits(tmp_path / f"sims/{n}.fits", one, ZSOURCE=1.0 + n % 2)
    where = f"--maps={tmp_path}/sims"
    said = prepare(where, code=1)
    assert "a data set has one source redshift: source redshift 1 in" in said
    assert said.endswith("; --vary=source_redshift where that is meant")
    said = prepare(where, "--vary=source_redshift", "--source_redshift=1", code=1)
    assert said == "source_redshift=1 is of all maps, and vary=source_redshift names it"
    store, _ = prepare(where, "--vary=source_redshift")
    assert store.manifest.source_redshift is None
    assert store.parameters == {"source_redshift": [1.0, 2.0, 1.0, 2.0, 1.0]}


def test_a_parameter_that_some_maps_say(prepare, tmp_path):
    for n, one in enumerate(maps(5)):
        save_fits(tmp_path / f"sims/{n}.fits", one, **({"OMEGA_M": 0.3} if n else {}))
    store, told = prepare(f"--maps={tmp_path}/sims")
    assert "parameters: omega_m 0.3 (of 4 of 5 maps)" in told
    assert store.parameters == {"omega_m": [None, 0.3, 0.3, 0.3, 0.3]}
    assert store.manifest.origin["cosmology"] == {"omega_m": 0.3}
    assert open_crop_table(tmp_path / "run/prepare").parameters == ()


def test_a_store_brings_its_parameters_and_maps_left_out_take_theirs(prepare, tmp_path):
    kappa = maps(8)
    kappa[2, 3, 3] = np.nan
    said = {"omega_m": [0.2 + 0.01 * n for n in range(8)], "seed_of_box": [float(n // 2) for n in range(8)]}
    manifest = {"parameters": said, "source_redshift": 1.0, "splits": [None] * 8}
    write_map_store(tmp_path / "s", [kappa], 8, GEOMETRY, manifest, allow_invalid=True)
    where = (f"--maps={tmp_path}/s", "--invalid_pixels=drop")
    assert f"omega_m 0.2 in {tmp_path}/s[0], 0.21 in {tmp_path}/s[1], 0.22" in prepare(*where, code=1)
    assert "one seed of box: seed of box 0 in" in prepare(*where, "--vary=omega_m", code=1)
    store, _ = prepare(*where, "--vary=omega_m,seed_of_box")
    kept = [0, 1, 3, 4, 5, 6, 7]
    assert store.parameters["omega_m"] == [said["omega_m"][n] for n in kept]
    assert store.parameters["seed_of_box"] == [said["seed_of_box"][n] for n in kept]
    assert store.parameters["source_redshift"] == [1.0] * 7
    assert "cosmology" not in store.manifest.origin


def test_a_split_of_a_store_takes_its_own(prepare, tmp_path):
    said = {"omega_m": [0.2 + 0.01 * n for n in range(8)]}
    splits = ["train"] * 5 + ["development"] + ["validation"] * 2
    write_map_store(tmp_path / "s", [maps(8)], 8, GEOMETRY, {"parameters": said, "splits": splits})
    np.save(tmp_path / "k.npy", maps(4, seed=5))
    store, _ = prepare(
        f"--maps={tmp_path}/k.npy", f"--validation_maps={tmp_path}/s", "--side_deg=1.5", "--vary=omega_m"
    )
    assert store.parameters == {"omega_m": [None] * 4 + said["omega_m"][6:]}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--vary=Omega_m",), "vary=Omega_m: 'Omega_m' is no name of a parameter"),
        (("--vary=omega_m",), "vary=omega_m: no map says its omega_m; known are none"),
        ((PATTERN, "--vary=h"), "vary=h: no map says its h; known are omega_lambda, omega_m, w0"),
        (("--parameters_from_name=Om{}",), "parameters_from_name=Om{} names no parameter, as in"),
        (
            ("--parameters_from_name=Om{omega_m",),
            "parameters_from_name=Om{omega_m: a brace without its partner",
        ),
        (("--parameters_from_name=Om{Om}",), "parameters_from_name=Om{Om}: 'Om' is no name of a parameter"),
        (("--parameters_from_name=Om{h}_{h}",), "parameters_from_name=Om{h}_{h}: {h} comes twice"),
        (("--parameters_from_name=Om{h}{}",), "two numbers with nothing between them cannot be told apart"),
        (("--parameters_from_name=h{h}",), "parameters_from_name=h{h} does not fit {}/sims/Om0.250_"),
        (("--parameters_from_name=_{}l{h}",), "parameters_from_name=_{}l{h} does not fit"),
        (("--parameters_from_name=",), "parameters_from_name= names nothing"),
        (("--map_parameters=",), "map_parameters= names nothing"),
    ],
)
def test_names_and_patterns_that_are_none(prepare, files, tmp_path, flags, words):
    assert words.replace("{}/", f"{tmp_path}/") in prepare(*files, *flags, code=1)


# Names.


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("Om{omega_m}_Ol{l}_w{w0}_si{s}", "a/Om0.300_Ol0.700_w-1.000_si0.800/x.fit", (0.3, 0.7, -1.0, 0.8)),
        ("w{w0}.fits", "w-1.fits", (-1.0,)),
        ("w{w0}", "w-1.5.fits", (-1.5,)),
        ("{seed}_z{}", "/a/b12_z1.5.npy", (12.0,)),
        ("a-{x}", "a-0.3", (0.3,)),
        ("a{x}", "a-0.3", (-0.3,)),
        ("x{x}", "x+2.5e-3_", (0.0025,)),
        ("x{x}-{y}", "x1-2", (1.0, 2.0)),
        ("(.*{x}", "(.*.5", (0.5,)),
        ("z{z}_", "z1.0_/z1.00_", (1.0,)),
    ],
)
def test_numbers_in_names(pattern, path, found):
    assert tuple(numbers_in_name(pattern, Path(path)).values()) == found


@pytest.mark.parametrize(
    ("pattern", "path", "words"),
    [
        ("z{z}_", "z1.0_/z2.0_", r"fits z1\.0_/z2\.0_ in two places: z=1 and z=2"),
        ("Om{x}0", "Om0.300", r"does not fit Om0\.300"),  # never 0.30 and a 0
        ("x{x}", "x1e99", r"says x=1e\+99, which is not a finite number"),
        ("x{x}", "xy", "does not fit xy"),
    ],
)
def test_numbers_that_names_do_not_tell(pattern, path, words):
    with pytest.raises(ValueError, match=words):
        numbers_in_name(pattern, Path(path))


@given(
    st.text("Oma{}_.-0", max_size=12),
    st.text("Oma_.-012e/", min_size=1, max_size=30),
)
def test_any_pattern_is_understood_or_refused(pattern, path):
    said, found = f"parameters_from_name={pattern}", {}
    try:
        found = numbers_in_name(pattern, Path(path))
    except ValueError as error:
        said = str(error)
    assert said.startswith(f"parameters_from_name={pattern}")
    assert len(said.splitlines()) == 1
    assert all(np.isfinite(value) for value in found.values())


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_numbers_are_read_as_python_writes_them(one, other):
    found = numbers_in_name("Om{a}_z{b}.npy", Path(f"sims/Om{one!r}_z{other!r}.npy"))
    assert found == {"a": one, "b": other}


# From the simulation, and out again.


def test_a_simulation_says_its_cosmology_and_an_export_says_it_again(run_main, tmp_path):
    flags = (
        f"--workdir={tmp_path}/run", "--map_pixels=16", "--side_deg=1", "--num_train_maps=3",
        "--num_development_maps=1", "--num_validation_maps=1", "--crop_size=8", "--crops_per_map=4",
        "--source_redshift=0.7",
    )  # fmt: skip
    code, said, error = run_main(*flags, "--stages=simulate,prepare")
    assert code == 0, error
    store = open_map_store(tmp_path / "run/simulate/maps")
    said_of_all = {name: values[0] for name, values in store.parameters.items()}
    assert said_of_all == {
        "omega_m": 0.26, "omega_lambda": 0.74, "h": 0.72, "w0": -1.0, "wa": 0.0, "omega_b": 0.046,
        "sigma8": 0.798, "n_s": 0.96, "source_redshift": 0.7,
    }  # fmt: skip
    assert {len(values) for values in store.parameters.values()} == {5 + 1}
    assert "sigma8 0.798, source_redshift 0.7, w0 -1, wa 0\n" in said
    assert set(open_crop_table(tmp_path / "run/prepare").parameters) == set(said_of_all)

    kappa = maps(4)
    varied = {
        "omega_m": [0.2, 0.25, 1 / 3, 0.1 + 0.2], "source_redshift": [0.5, None, 1.5, 2.0],
        "a_name_of_thirty_two_characters_": [1e-10 / 3, -2.0, None, 1e25], "m_nu": [0.06] * 4,
    }  # fmt: skip
    manifest = {"parameters": varied, "source_redshift": None}
    write_map_store(tmp_path / "s", [kappa], 4, GEOMETRY, manifest)
    assert as_sources(tmp_path / "s").parameters == {k: tuple(v) for k, v in sorted(varied.items())}
    code, _, error = run_main(
        f"--workdir={tmp_path}/out", "--stages=export", f"--export_from={tmp_path}/s", "--export=fits,npy"
    )
    assert code == 0, error
    np.testing.assert_array_equal(np.load(tmp_path / "out/export/kappa.npy"), kappa)
    vary = "--vary=omega_m,source_redshift,a_name_of_thirty_two_characters_"
    code, _, error = run_main(
        f"--workdir={tmp_path}/back", f"--maps={tmp_path}/out/export/fits", vary, *SMALL, "--split_by=crops"
    )
    assert code == 0, error
    back = open_map_store(tmp_path / "back/prepare/maps")
    assert back.parameters.keys() == varied.keys()
    for name, values in varied.items():
        assert [v if v is None else pytest.approx(v, rel=1e-15) for v in values] == back.parameters[name]
    np.testing.assert_array_equal(only_bin(back.read()), kappa)
