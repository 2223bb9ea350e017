"""Map store and lens planes: round trips, and nothing broken taken for whole."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmogan_jax.files.json_files import append_json_lines, read_json, read_json_lines, write_json
from cosmogan_jax.geometry import MapGeometry
from cosmogan_jax.maps import store as map_store
from cosmogan_jax.maps.lens_planes import read_lens_planes
from cosmogan_jax.maps.store import open_map_store
from cosmogan_jax.maps.store_writing import maps_written, write_map_store
from cosmogan_jax.runs import checkpoints as checkpoint_files
from cosmogan_jax.runs.array_sums import sums_one_by_one
from cosmogan_jax.runs.checkpoints import Checkpoints

GEOMETRY = MapGeometry(16, 1.5)


def maps(count):
    return np.random.default_rng(0).normal(size=(count, 16, 16)).astype(np.float32)


def test_round_trip_is_exact(tmp_path):
    kappa = maps(7)
    write_map_store(tmp_path / "s", iter([kappa[:3], kappa[3:]]), 7, GEOMETRY, {"source_redshift": 1.0})
    store = open_map_store(tmp_path / "s")
    np.testing.assert_array_equal(store.read(), kappa[..., None])
    np.testing.assert_array_equal(store.read(2, 4), kappa[2:4, :, :, None])
    assert store.geometry == GEOMETRY


def test_cut_off_non_finite_and_flipped_bytes(tmp_path):
    with pytest.raises(ValueError, match="num_maps=5 announced, 3 maps given"):
        write_map_store(tmp_path / "short", [maps(3)], 5, GEOMETRY, {})
    with pytest.raises(ValueError, match="no whole map store"):
        open_map_store(tmp_path / "short")
    bad = maps(3)
    bad[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="map 1 holds non-finite"):
        write_map_store(tmp_path / "nan", [bad], 3, GEOMETRY, {})
    write_map_store(tmp_path / "flip", [maps(3)], 3, GEOMETRY, {})
    shard = next(p for p in (tmp_path / "flip/kappa/c").rglob("*") if p.is_file())
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match="Digest mismatch"):
        open_map_store(tmp_path / "flip").read()


def test_json_holds_null_for_what_is_not_finite_and_lists_for_arrays(tmp_path):
    values = np.array([[1.5, np.nan], [-np.inf, 0.1]])
    content = {"a": values, "b": (np.float32(0.1), np.int64(3), True, None, float("nan")), "c": {"d": "NaN"}}
    expected = {"a": [[1.5, None], [None, 0.1]], "b": [float(np.float32(0.1)), 3, True, None, None]}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == {**expected, "c": {"d": "NaN"}}
    append_json_lines(tmp_path / "a.jsonl", [content, {}])
    assert read_json_lines(tmp_path / "a.jsonl", {}) == [{**expected, "c": {"d": "NaN"}}, {}]
    with pytest.raises(TypeError):
        write_json(tmp_path / "b.json", {"path": tmp_path})
    assert not (tmp_path / "b.json").exists()


def test_a_checkpoint_is_a_copy_however_late_its_writer_reads(tmp_path, monkeypatch):
    """The next step takes the state's memory while the files are written."""
    handed = []
    monkeypatch.setattr(ocp.CheckpointManager, "save", lambda manager, step, args: handed.append(args))
    state = {"weights": jnp.arange(6.0).reshape(2, 3), "key": jax.random.key(3), "step": jnp.int32(4)}
    expected = {name: np.asarray(value) for name, value in state.items() if name != "key"}
    words = np.asarray(jax.random.key_data(state["key"]))
    checkpoints = Checkpoints(tmp_path / "checkpoints", writes=True)
    given = jax.tree.map(lambda leaf: leaf + 0 if leaf.dtype != state["key"].dtype else leaf, state)
    checkpoints.save(4, given)
    for leaf in jax.tree.leaves({name: given[name] for name in expected}):
        leaf.delete()
    written = handed[0]["state"].item
    for name, value in expected.items():
        np.testing.assert_array_equal(written[name], value)
    np.testing.assert_array_equal(written["key"], words)
    checkpoints.close()


@pytest.mark.parametrize("earlier", [False, True])
def test_arrays_in_another_order_are_not_those_that_were_written(tmp_path, monkeypatch, earlier):
    """The arrays of one checkpoint beside the sums of another; earlier versions kept a file for each sum."""
    if earlier:
        monkeypatch.setattr(
            checkpoint_files,
            "_parts",
            lambda state, beside: {
                "state": ocp.args.StandardSave(state),
                "marks": ocp.args.StandardSave(sums_one_by_one(state)),
                "beside": ocp.args.JsonSave(beside),
            },
        )
    checkpoints = Checkpoints(tmp_path / "checkpoints", writes=True)
    one = {
        "weights": jnp.asarray([1.0, 2.0, 3.0]),
        "key": jax.random.key(3),
        "flag": jnp.asarray([True, False]),
    }
    checkpoints.save(1, one)
    checkpoints.save(2, {**one, "weights": jnp.asarray([2.0, 1.0, 3.0])})
    assert checkpoints.steps() == [1, 2]
    assert (tmp_path / "checkpoints/1" / ("marks" if earlier else "sums")).is_dir()
    np.testing.assert_array_equal(checkpoints.restore(1, one)["weights"], [1, 2, 3])
    for step in (1, 2):  # as of before there were checksums of files
        (tmp_path / f"checkpoints/{step}/files.json").unlink()
    (tmp_path / "checkpoints/1/state").rename(tmp_path / "aside")
    (tmp_path / "checkpoints/2/state").rename(tmp_path / "checkpoints/1/state")
    with pytest.raises(
        ValueError, match="1 cannot be read: its arrays are not those that were written; remove"
    ):
        checkpoints.restore(1, one)
    checkpoints.close()


@pytest.fixture
def written(tmp_path):
    """Checkpoints of two steps, and the state."""
    state = {"weights": jnp.arange(6.0).reshape(2, 3), "key": jax.random.key(3), "count": jnp.int32(4)}
    checkpoints = Checkpoints(tmp_path / "checkpoints", writes=True)
    for step in (1, 2):
        checkpoints.save(step, state)
    assert checkpoints.steps() == [1, 2]
    yield checkpoints, state
    checkpoints.close()


def everything(folder):
    """Names and bytes of all files below a folder."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"weights": jnp.zeros((3, 2))}, r"weights is of shape \(2, 3\) there, and of shape \(3, 2\) here"),
        ({"more": jnp.zeros(1)}, r"more is missing there, and of shape \(1,\) here"),
        ({"count": None}, r"count is of shape \(\) there, and missing here"),
    ],
)
def test_a_checkpoint_of_another_version_is_not_called_damaged(written, tmp_path, other, words):
    checkpoints, state = written
    like = {name: leaf for name, leaf in (state | other).items() if leaf is not None}
    before = everything(tmp_path)
    for read in (lambda: checkpoints.restore(2, like), lambda: checkpoints.last_good(like)):
        with pytest.raises(ValueError, match=rf"checkpoints/2 cannot be read: .* other settings: {words}$"):
            read()
    assert everything(tmp_path) == before


def test_a_checkpoint_that_is_read_with_other_types_keeps_its_own(written):
    """What is asked for may be of 64 bits, where a program has them switched on: written is written."""
    checkpoints, state = written
    with jax.enable_x64(True):
        like = state | {"weights": jnp.zeros((2, 3), jnp.float64), "count": jnp.int64(0)}
        found = checkpoints.restore(2, like)
    assert {name: found[name].dtype.name for name in ("weights", "count")} == {
        "weights": "float32",
        "count": "int32",
    }
    np.testing.assert_array_equal(found["weights"], state["weights"])


def test_a_checkpoint_of_64_bits_is_named_as_that(written, tmp_path):
    checkpoints, state = written
    with jax.enable_x64(True):
        checkpoints.save(3, state | {"count": jnp.int64(2**40)})
        assert checkpoints.steps() == [1, 2, 3]
    before = everything(tmp_path)
    with pytest.raises(
        ValueError, match="3 cannot be read: count was written as int64, under JAX_ENABLE_X64=1"
    ):
        checkpoints.last_good(state)
    assert everything(tmp_path) == before


def test_what_only_the_library_refuses_is_said_in_its_words(written, tmp_path, monkeypatch):
    checkpoints, state = written

    def refuse(*_, **__):
        raise KeyError("a field of the year 2030")

    monkeypatch.setattr(ocp.CheckpointManager, "restore", refuse)
    before = everything(tmp_path)
    with pytest.raises(
        ValueError,
        match=r"2 cannot be read by orbax-checkpoint .*: 'a field of the year 2030'; its bytes are those",
    ):
        checkpoints.last_good(state)
    for step in (1, 2):
        (tmp_path / f"checkpoints/{step}/files.json").unlink()
    with pytest.raises(ValueError, match="2030'; nothing shows that it is damaged, and it stays"):
        checkpoints.last_good(state)
    assert everything(tmp_path) == {name: of for name, of in before.items() if not name.endswith("files.json")}


def test_a_list_of_checksums_that_is_damaged_itself_proves_nothing(written, tmp_path, monkeypatch):
    checkpoints, state = written
    path = tmp_path / "checkpoints/2/files.json"
    said = path.read_text()
    monkeypatch.setattr(ocp.CheckpointManager, "restore", lambda *_, **__: 1 / 0)
    for damaged in (said[:-30], said.replace("a", "b")):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="nothing shows that it is damaged"):
            checkpoints.restore(2, state)
    path.write_text(said)
    with pytest.raises(ValueError, match="its bytes are those that were written"):
        checkpoints.restore(2, state)


def test_no_room_for_a_checkpoint_is_no_fault_of_it(written, monkeypatch):
    checkpoints, state = written

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(ocp.CheckpointManager, "restore", full)
    with pytest.raises(MemoryError):
        checkpoints.last_good(state)


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 9),
    size=st.sampled_from([1, 3, 31, 64, 97, 130, 256]),
    batch=st.integers(1, 5),
)
@settings(max_examples=25)
def test_any_number_and_size_of_maps_comes_back(tmp_path_factory, seed, count, size, batch):
    path = tmp_path_factory.mktemp("store") / "s"
    kappa = np.random.default_rng(seed).normal(size=(count, size, size)).astype(np.float32)
    kappa.flat[0] = -0.0
    parts = (kappa[n : n + batch] for n in range(0, count, batch))
    write_map_store(path, parts, count, MapGeometry(size, 2.0), {})
    store = open_map_store(path)
    store.verify()
    assert store.read().tobytes() == kappa.tobytes()
    assert np.concatenate(list(store.batches())).tobytes() == kappa.tobytes()


def test_shards_of_many_maps(tmp_path, monkeypatch):
    """Small shards: several are written, the last is part empty, and writing goes on at a shard's border."""
    monkeypatch.setattr(map_store, "_SHARD_BYTES", 3 * 4 * 16 * 16)
    kappa = maps(8)

    def broken():
        yield from kappa[:7, None]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_map_store(tmp_path / "s", broken(), 8, GEOMETRY, {})
    with pytest.raises(ValueError, match="its writing was cut off"):
        open_map_store(tmp_path / "s")
    assert maps_written(tmp_path / "s") == 6
    write_map_store(tmp_path / "s", [kappa[6:]], 8, GEOMETRY, {}, start=6)
    store = open_map_store(tmp_path / "s")
    assert sorted(store.manifest.shards) == ["c/0/0/0/0", "c/1/0/0/0", "c/2/0/0/0"]
    np.testing.assert_array_equal(store.read(), kappa[..., None])


def test_zarr_and_xarray_open_the_store(tmp_path):
    import xarray
    import zarr

    kappa = np.random.default_rng(1).normal(size=(3, 256, 256)).astype(np.float32)
    write_map_store(tmp_path / "s", [kappa], 3, MapGeometry(256, 3.5), {"source_redshift": 1.0})
    group = zarr.open_group(tmp_path / "s", mode="r")
    assert list(group) == ["kappa"]
    assert group["kappa"][:].tobytes() == kappa.tobytes()
    assert group["kappa"].metadata.dimension_names == ("map", "row", "column", "bin")
    with xarray.open_zarr(tmp_path / "s", chunks=None) as data:
        assert data.kappa.dims == ("map", "row", "column", "bin")
        assert data.kappa.values.tobytes() == kappa.tobytes()
        assert (data.attrs["side_deg"], data.attrs["source_redshift"]) == (3.5, 1.0)


def test_lost_and_shortened_shards(tmp_path):
    write_map_store(tmp_path / "s", [maps(3)], 3, GEOMETRY, {})
    shard = tmp_path / "s/kappa/c/0/0/0/0"
    content = shard.read_bytes()
    for left in (content[:-1], None):
        shard.unlink()
        if left is not None:
            shard.write_bytes(left)
        with pytest.raises(ValueError, match=r"c/0/0/0/0 has \d+ bytes of \d+: not a whole store"):
            open_map_store(tmp_path / "s")
    # A store that another program left a hole in: what is missing reads as NaN, never as a map of zeros.
    shard.write_bytes(content)
    store = open_map_store(tmp_path / "s")
    shard.unlink()
    with pytest.raises(ValueError, match="768 invalid pixels, the manifest says 0"):
        store.verify()


def test_invalid_pixels_of_all_batches_are_counted(tmp_path):
    kappa = maps(5)
    kappa[0, 1, 2:5] = kappa[3, 7] = np.nan
    store = write_map_store(
        tmp_path / "s", [kappa[:2], kappa[2:3], kappa[3:]], 5, GEOMETRY, {}, allow_invalid=True
    )
    assert store.manifest.invalid_pixels == 3 + 16
    open_map_store(tmp_path / "s").verify()


def test_invalid_pixels_are_kept_where_allowed(tmp_path):
    kappa = maps(3)
    kappa[1, 2, 3] = kappa[2, 0, 0] = np.nan
    store = write_map_store(tmp_path / "s", [kappa], 3, GEOMETRY, {}, allow_invalid=True)
    assert store.manifest.invalid_pixels == 2
    np.testing.assert_array_equal(open_map_store(tmp_path / "s").read(), kappa[..., None])
    open_map_store(tmp_path / "s").verify()
    kappa[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="map 0 holds non-finite"):
        write_map_store(tmp_path / "t", [kappa], 3, GEOMETRY, {}, allow_invalid=True)


def write_plane(path, chi, omega_m=0.26, size=8):
    from astropy.io import fits

    header = fits.Header(
        {
            "ANGLE": 3.5,
            "H": 0.7,
            "OMEGA_M": omega_m,
            "OMEGA_L": 1 - omega_m,
            "W0": -1.0,
            "WA": 0.0,
            "Z": 0.1,
            "CHI": chi,
        }
    )
    fits.PrimaryHDU(np.full((size, size), chi, np.float32), header).writeto(path)


def test_lens_planes(tmp_path):
    write_plane(tmp_path / "a.fits", 200.0)
    write_plane(tmp_path / "b.fits", 100.0)
    planes = read_lens_planes(tmp_path)
    assert planes.names == ("b.fits", "a.fits")
    assert planes.potential[0, 0, 0] == 100.0
    write_plane(tmp_path / "c.fits", 300.0, omega_m=0.3)
    with pytest.raises(ValueError, match=r"OMEGA_M=0\.26 in a\.fits, 0\.3 in c\.fits"):
        read_lens_planes(tmp_path)
    (tmp_path / "c.fits").write_bytes((tmp_path / "a.fits").read_bytes()[:2900])
    with pytest.raises(ValueError, match=r"c\.fits is not a whole FITS image"):
        read_lens_planes(tmp_path)
    with pytest.raises(ValueError, match="holds no"):
        read_lens_planes(tmp_path / "nowhere")


def test_real_planes():
    folder = Path(__file__).resolve().parents[2] / "shared/real/lens_planes"
    if not folder.is_dir():
        pytest.skip("the real lens planes are not part of the repository")
    planes = read_lens_planes(folder)
    assert len(planes.names) == 31
    assert (np.diff(planes.chi) > 0).all()
