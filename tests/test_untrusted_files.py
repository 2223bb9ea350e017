"""Files from elsewhere: nothing in them is run, they lead nowhere else, and take no more memory than disk."""

import gzip
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import h5py
import jax.numpy as jnp
import numpy as np
import pytest

import cosmogan_jax
from cosmogan_jax.files.checksums import file_sha256
from cosmogan_jax.files.numpy_files import read_npy, read_npz
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps.boxes import open_box
from cosmogan_jax.maps.crop_table import open_crop_table, write_crop_table
from cosmogan_jax.maps.formats import ReadOptions, open_map_file
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.maps.store_writing import write_map_store
from cosmogan_jax.pretrained import find, load
from cosmogan_jax.runs.best_generators import read_scores
from cosmogan_jax.runs.checkpoints import Checkpoints
from cosmogan_jax.runs.directory import stage_record
from cosmogan_jax.settings import Report
from cosmogan_jax.stages.report import run as report

SOURCES = sorted(Path(cosmogan_jax.__file__).parent.rglob("*.py"))


class Payload:
    """What runs where it is unpickled: it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.fixture
def mark(tmp_path):
    """A file that must not come to be."""
    path = tmp_path / "unpickled"
    assert not pickle.loads(pickle.dumps(Payload(path))).close()  # the payload works
    path.unlink()
    yield path
    assert not path.exists()


def test_no_module_reads_pickles_or_runs_text():
    """Neither np.load without allow_pickle=False nor the like; archives are never unpacked to the disk."""
    for path in SOURCES:
        text = path.read_text()
        words = ("import pickle", "joblib", "dill", "allow_pickle=True", "extractall", ".extract(", "yaml.load")
        assert not [word for word in (*words, "eval(compile", "exec(") if word in text], path
        assert text.count("np.load(") == text.count("allow_pickle=False") - text.count("np.save("), path


def test_pickles_stay_what_they_are(mark, tmp_path):
    stream = pickle.dumps(Payload(mark))
    objects = np.array([Payload(mark), 1.0], object)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "objects.npz", a=objects)
    (tmp_path / "stream.npy").write_bytes(stream)
    with h5py.File(tmp_path / "opaque.h5", "w") as file:
        file["kappa"] = np.void(stream)
    for name in ("objects.npy", "stream.npy", "objects.npz", "opaque.h5"):
        with pytest.raises(ValueError, match=name):
            open_map_file(tmp_path / name, ReadOptions())
    for read, name in ((read_npy, "objects.npy"), (read_npz, "objects.npz"), (read_npy, "stream.npy")):
        with pytest.raises(ValueError, match="not a whole"):
            read(tmp_path / name)
    for read, place in (
        (lambda path: open_map_store(path), "store/manifest.json"),
        (lambda path: open_crop_table(path), "table/manifest.json"),
        (lambda path: stage_record(path, "train"), "run/train/stage.json"),
        (lambda path: read_scores(path), "best/scores.jsonl"),
        (lambda path: open_box(path, "a", {}), "boxes/a/box.json"),
        (lambda path: load(path), "card/card.json"),
    ):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_bytes(stream + b"}")
        with pytest.raises(ValueError, match=place):
            read(tmp_path / place.split("/")[0])


def test_checkpoints_run_nothing(mark, tmp_path, monkeypatch):
    """Not even with a pickle in the place of every file of theirs, one after the other."""

    def unpickle(*_, **__):
        raise AssertionError("unpickled")

    files, state = Checkpoints(tmp_path / "whole"), {"w": jnp.arange(3.0)}
    files.save(1, state)
    files.close()
    monkeypatch.setattr(pickle, "loads", unpickle)
    monkeypatch.setattr(pickle, "load", unpickle)
    monkeypatch.setattr(pickle, "Unpickler", unpickle)
    places = [p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*") if p.is_file()]
    assert len(places) >= 6
    refused = 0
    for number, place in enumerate(places):
        folder = shutil.copytree(tmp_path / "whole", tmp_path / f"copy{number}")
        (folder / place).write_bytes(pickle.dumps(Payload(mark)))
        damaged, said = Checkpoints(folder), ""
        try:
            assert damaged.restore(1, state)["w"].tolist() == [0, 1, 2]  # a file that matters not
        except ValueError as error:
            said = str(error)
        damaged.close()
        assert not said or said.startswith((f"checkpoint {folder}/1 cannot be read", "no checkpoint of step 1"))
        refused += bool(said)
    assert refused >= 2


def test_names_in_records_lead_nowhere_else(tmp_path):
    kappa, geometry = np.ones((3, 16, 16), np.float32), MapGeometry(16, 1.0)
    more = {"splits": ["train"] * 3, "parents": [0, 1, 2], "boxes": [None] * 3}
    write_map_store(tmp_path / "elsewhere", [kappa], 3, geometry, more)
    store = tmp_path / "run/prepare/maps"
    write_map_store(store, [kappa], 3, geometry, more)
    manifest = json.loads((store / "manifest.json").read_text())
    outside = tmp_path / "elsewhere/kappa/c/0/0/0/0"
    for name in ("../../../../elsewhere/kappa/c/0/0/0/0", str(outside)):
        named = manifest | {"shards": {name: outside.stat().st_size}}
        (store / "manifest.json").write_text(json.dumps(named))
        with pytest.raises(ValueError, match="has 0 bytes of"):
            open_map_store(store)
    (store / "manifest.json").write_text(json.dumps(manifest))
    rows = {split: np.zeros((1, 3), int) for split in ("train", "development", "validation")}
    table = {
        "crop_size": 8, "side_deg": 0.5, "source_redshift": None, "origin": {},
        "normalisation": {"kind": "none", "scale": 1.0}, "parents": [0, 1, 2], "boxes": [None] * 3,
    }  # fmt: skip
    write_crop_table(tmp_path / "run/prepare", rows, table | {"maps": "maps"})
    open_crop_table(tmp_path / "run/prepare")
    for place in ("../../elsewhere", str(tmp_path / "elsewhere"), "maps/../../../elsewhere", ""):
        write_crop_table(tmp_path / "run/prepare", rows, table | {"maps": place})
        with pytest.raises(ValueError, match="none of this run's map stores"):
            open_crop_table(tmp_path / "run/prepare")
    # Found by experiments/013-fuzzing: they are sorted later.
    write_crop_table(tmp_path / "run/prepare", rows, table | {"maps": "maps", "parents": [0, None, 2]})
    with pytest.raises(ValueError, match="parents must be whole numbers"):
        open_crop_table(tmp_path / "run/prepare")


def test_a_report_reads_its_own_sets_only(tmp_path):
    record = {"flags": {}, "inputs": {}, "summary": {}, "result": "", "finished": "", "seconds": 0}
    results = {"schema": 3, "sets": {"../../secret": {}}, "baseline": "", "views": {"as it is": {}}}
    results |= {"stationarity": {}, "inference": {}, "classifier": None, "similarity": None}
    results |= {name: {} for name in ("statistics", "position", "duplicates", "overall")}
    (tmp_path / "run/evaluate").mkdir(parents=True)
    for name, content in (("stage", record), ("results", results)):
        (tmp_path / f"run/evaluate/{name}.json").write_text(json.dumps(content))
    np.savez(tmp_path / "secret.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="sets or views are unknown"):
        report(Report("title"), tmp_path / "run", tmp_path / "out")


def test_a_card_names_no_other_file(tmp_path):
    """The weights are the file beside the card, whatever the card calls them."""
    folder = shutil.copytree(find("planes-z0.99-64"), tmp_path / "copy")
    card = json.loads((folder / "card.json").read_text())
    shutil.move(folder / "weights.npz", tmp_path / "weights.npz")

    def refused(content, words):
        (folder / "card.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=words):
            load(folder)

    refused(card | {"weights": card["weights"] | {"file": "../weights.npz"}}, "but no weights.npz")
    refused(card | {"architecture": card["architecture"] | {"num_filters": 10**9}}, "must be at most 65536")
    refused(card | {"architecture": card["architecture"] | {"num_filters": "16"}}, "is not of type int")
    refused(card | {"architecture": card["architecture"] | {"kind": "vae"}}, "kind='vae' is none of the kinds")
    refused(card | {"architecture": card["architecture"] | {"kind": 3}}, "kind=3 is none of the kinds")
    refused(card | {"keys": 7}, "keys=7 is a scheme of another version")
    refused(card | {"keys": True}, "keys=True is a scheme of another version")
    refused(card | {"parameters": "omega_m"}, "parameters='omega_m' must be a list of names")
    refused(card | {"architecture": card["architecture"] | {"__class__": "x"}}, "'__class__' is unknown")
    refused(card | {"geometry": {"num_pixels": 32, "side_deg": 1.0}}, "makes maps of 64")
    refused(card | {"normalisation": {"kind": "exec", "scale": 1.0}}, "one of the kinds none, linear, arcsinh")
    refused(card | {"normalisation": {"kind": "linear", "scale": -1.0}}, "must be positive and finite")
    refused({name: card[name] for name in card if name != "training"}, "says nothing of 'training'")


def test_archives_that_say_more_than_they_hold(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(10**7))
    with pytest.raises(ValueError, match=r"bomb\.npz is not a whole npz file: it is compressed"):
        read_npz(path)
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    content = (b"\x93NUMPY\x01\x00v\x00" + header).ljust(127) + b"\n" + bytes(64)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../a.npy", content)
    with pytest.raises(ValueError, match="of float32 needs 4000000000000 bytes, 64 are there"):
        read_npz(path)
    (tmp_path / "large.npy").write_bytes(content)
    for read in (read_npy, lambda path: open_map_file(path, ReadOptions())):
        with pytest.raises(ValueError, match="of float32 needs 4000000000000 bytes, 64 are there"):
            read(tmp_path / "large.npy")
    np.savez(path, **{"../../outside": np.ones(3)})
    assert list(read_npz(path)) == ["../../outside"]  # a name, never a place
    assert not (tmp_path.parent.parent / "outside.npy").exists()


def test_headers_that_announce_more_than_there_is(tmp_path):
    cards = ("SIMPLE  =                    T", "BITPIX  =                  -32",
             "NAXIS   =                    2", "NAXIS1  =              1000000",
             "NAXIS2  =              1000000", "END")  # fmt: skip
    content = "".join(card.ljust(80) for card in cards).ljust(2880).encode() + bytes(2880)
    (tmp_path / "a.fits").write_bytes(content)
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(content))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("kappa", (2, 1_000_000, 1_000_000), "f4", chunks=(1, 64, 64))
    for name in ("a.fits", "a.fits.gz", "a.h5"):
        with pytest.raises(ValueError, match=name):
            open_map_file(tmp_path / name, ReadOptions()).load(0, 1)


def test_hdf5_links_stay_in_their_folder(tmp_path):
    kappa = np.arange(2 * 16 * 16, dtype=np.float32).reshape(2, 16, 16)
    home = tmp_path / "home"
    home.mkdir()
    for folder in (home, tmp_path):
        with h5py.File(folder / "data.h5", "w") as file:
            file["kappa"] = kappa
        (folder / "data.raw").write_bytes(kappa.tobytes())
    for number, place in enumerate(("data", "../data", str(tmp_path / "data"))):
        path = home / f"link{number}.h5"
        layout = h5py.VirtualLayout((2, 16, 16), "f4")
        layout[:] = h5py.VirtualSource(f"{place}.h5", "kappa", (2, 16, 16))
        with h5py.File(path, "w") as file:
            file["linked"] = h5py.ExternalLink(f"{place}.h5", "kappa")
            file.create_virtual_dataset("virtual", layout)
            raw = [(f"{place}.raw", 0, h5py.h5f.UNLIMITED)]
            file.create_dataset("raw", (2, 16, 16), "f4", external=raw)
        for name in ("linked", "virtual", "raw"):
            options = ReadOptions(hdf5_dataset=name)
            if number:
                with pytest.raises(ValueError, match=r"lies in .*data\.\w+, outside of the file's folder"):
                    open_map_file(path, options)
            elif name != "raw":  # HDF5 looks for raw data in the working directory
                np.testing.assert_array_equal(open_map_file(path, options).load(0, 2), kappa)


def test_checksums_of_weights_are_read_not_trusted(tmp_path):
    folder = shutil.copytree(find("planes-z0.99-64"), tmp_path / "copy")
    arrays = read_npz(folder / "weights.npz")
    name = next(iter(arrays))
    arrays[name] = arrays[name].astype(complex)
    np.savez(folder / "weights.npz", **arrays)
    card = json.loads((folder / "card.json").read_text())
    card["weights"]["sha256"] = file_sha256(folder / "weights.npz")
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="holds complex128, not real numbers"):
        load(folder)


def test_damage_that_shows_in_other_ways(tmp_path):
    """What fuzzing found: each of these ended in a traceback, or not at all."""
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': ((2, 4, 4), }"
    (tmp_path / "a.npy").write_bytes(header.ljust(127) + b"\n" + bytes(128))
    cards = ("SIMPLE  =                    T", "BITPIX  =                  -32",
             "NAXIS   =        1000000000000", "END")  # fmt: skip
    content = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    (tmp_path / "axes.fits").write_bytes(content)
    (tmp_path / "axes.fits.gz").write_bytes(gzip.compress(content))
    first = content.replace(b"       1000000000000", b"                   0")
    simple = b"SIMPLE  =                    T"
    (tmp_path / "second.fits").write_bytes(first + content.replace(simple, b"XTENSION= 'IMAGE   '          "))
    (tmp_path / "kind.fits").write_bytes(first.replace(simple, simple[:-1] + b"U"))
    with h5py.File(tmp_path / "heap.h5", "w") as file:
        file["kappa"] = np.ones((2, 8, 8))
    content = (tmp_path / "heap.h5").read_bytes()
    (tmp_path / "heap.h5").write_bytes(content.replace(b"HEAP", b"HELP", 1))
    for name in ("a.npy", "axes.fits", "axes.fits.gz", "second.fits", "kind.fits", "heap.h5"):
        with pytest.raises(ValueError, match=name) as refusal:
            open_map_file(tmp_path / name, ReadOptions())
        assert len(str(refusal.value).splitlines()) == 1
