"""A map format is added by its module and its row of `maps/formats/table.py`, as BUILD.md says."""

import dataclasses

import numpy as np
import pytest

from cosmogan_jax.maps.formats import ReadOptions, find_map_files, open_map_file, open_mask_file, table
from cosmogan_jax.maps.formats.masks import MaskArray
from cosmogan_jax.maps.formats.stacks import stack_layout
from cosmogan_jax.settings import Prepare
from cosmogan_jax.settings.declaration import declaration

MAGIC = b"KAPPATXT"


def save(path, kappa):
    path.write_bytes(MAGIC + "x".join(map(str, kappa.shape)).encode().ljust(24) + kappa.astype("<f4").tobytes())


def values(path):
    shape = tuple(map(int, path.read_bytes()[8:32].split(b"x")))
    return np.fromfile(path, "<f4", offset=32).reshape(shape)


# The module: a function that gives a MapFile.
def open_lettered(path, options):
    kappa = values(path)
    layout = stack_layout(path, kappa.shape, options)
    return layout.map_file(
        path, "lettered", "<f4", lambda start, stop: layout.bins_last(layout.take(kappa, slice(start, stop)))
    )


# The row.
LETTERED = table.MapFormat(
    "lettered",
    open_lettered,
    (".letters",),
    (MAGIC,),
    options={"hdf5_dataset": "lettered files"},
    masks=lambda path: MaskArray(values(path).shape, lambda index: values(path)),
)


@pytest.fixture
def added(monkeypatch):
    monkeypatch.setattr(table, "FORMATS", (*table.FORMATS, LETTERED))


def maps(count=5, size=24):
    return (np.random.default_rng(3).normal(size=(count, size, size)) * 0.02).astype(np.float32)


def test_a_row_and_a_module_add_a_format(added, tmp_path, run_main):
    kappa, folder = maps(), tmp_path / "sims"
    folder.mkdir()
    save(folder / "a.letters", kappa)
    assert find_map_files([str(folder)]) == [folder / "a.letters"]
    assert open_map_file(folder / "a.letters").read(0, 5).tobytes() == kappa.tobytes()
    observed = np.ones((24, 24))
    observed[:2] = 0
    save(tmp_path / "m.letters", observed)
    assert open_mask_file(tmp_path / "m.letters").load(0).sum() == 22 * 24
    code, out, error = run_main(
        f"--workdir={tmp_path}/run", "--stages=prepare", "--crop_size=8", "--crops_per_map=3", "--side_deg=1",
        f"--maps={folder}", f"--mask={tmp_path}/m.letters",
    )  # fmt: skip
    assert code == 0, error
    assert "lettered <f4" in out


def test_messages_name_what_was_added(added, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"0.1 0.2")
    with pytest.raises(ValueError, match=r"is none of npy, .* and lettered: it begins with"):
        open_map_file(tmp_path / "a.bin")
    with pytest.raises(ValueError, match=r"no file that ends in .* \.letters"):
        find_map_files([str(tmp_path)])
    with pytest.raises(ValueError, match="is none of npy, FITS, HDF5 and lettered"):
        open_mask_file(tmp_path / "a.bin")


def test_a_row_that_lacks_something_says_so():
    incomplete = {
        "neither begins, is_one nor endings tell its files": {},
        "a folder is told by is_one alone": {"begins": (MAGIC,), "folder": True},
        "ReadOptions has no option dataset": {"begins": (MAGIC,), "options": {"dataset": "files"}},
    }
    for words, fields in incomplete.items():
        with pytest.raises(ValueError, match=f"map format x: .*{words}"):
            table.MapFormat("x", open_lettered, **fields)


def test_the_help_of_maps_names_every_format():
    (maps,) = (field for field in dataclasses.fields(Prepare) if field.name == "maps")
    for row in table.FORMATS:
        assert row.name.split()[0] in declaration(maps).help, row.name


def test_every_format_is_known_by_one_mark():
    """No first bytes or ending tell two formats; every option is some format's or goes with an array's axes."""
    firsts = [first for row in table.FORMATS for first in row.begins]
    endings = [ending for row in table.FORMATS for ending in row.endings]
    assert len(set(endings)) == len(endings)
    assert not [a for a in firsts for b in firsts if a is not b and a.startswith(b)]
    assert {field.name for field in dataclasses.fields(ReadOptions)} >= set().union(
        *(row.options for row in table.FORMATS)
    )
