"""Reading: what a file holds comes back bit for bit, and only when it is asked for."""

import json
import sys
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import load_file, save_file

from tdecomp.io import (
    CheckpointError,
    CheckpointWriter,
    TensorInfo,
    duplicates,
    open_checkpoint,
)
from tdecomp.io._tensors import _EXTENDED, _NATIVE, numpy_dtype

CODES = (*_NATIVE, *_EXTENDED)


@st.composite
def bit_patterns(draw):
    """Draw any array of any storable dtype: every bit pattern, 0-d and empty shapes included."""
    dtype = numpy_dtype(draw(st.sampled_from(CODES)))
    shape = draw(st.just(()) | array_shapes(min_side=0, max_side=4, max_dims=3))
    if dtype == np.bool:
        return draw(arrays(dtype, shape))
    nbytes = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer(draw(st.binary(min_size=nbytes, max_size=nbytes)), dtype).reshape(shape)


def write(path, tensors, metadata=None):
    with CheckpointWriter(path) as writer:
        for name, array in tensors.items():
            writer.add(name, array)
        writer.finish(metadata)
    return path


def assert_same(found, expected):
    assert found.dtype == expected.dtype
    assert found.dtype.isnative
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


@given(tensors=st.dictionaries(st.text(max_size=5), bit_patterns(), max_size=4))
def test_every_dtype_and_shape_comes_back_bit_for_bit(tmp_path_factory, tensors):
    path = write(tmp_path_factory.mktemp("t") / "t.safetensors", tensors)
    with open_checkpoint(path) as checkpoint:
        assert set(checkpoint) == set(tensors)
        nonempty = [name for name in tensors if tensors[name].size]
        assert [name for name in checkpoint if checkpoint.info(name).nbytes] == nonempty
        for name, array in tensors.items():
            assert_same(checkpoint[name], array)
            assert checkpoint.info(name)[1:] == (
                array.shape,
                next(code for code in CODES if numpy_dtype(code) == array.dtype),
                array.nbytes,
            )


def test_reads_what_the_library_wrote(tmp_path):
    tensors = {"b": np.arange(3), "a": np.ones((2, 2), np.float32), "0-d": np.array(1.5)}
    save_file(tensors, tmp_path / "t.safetensors", metadata={"format": "np"})
    with open_checkpoint(tmp_path / "t.safetensors") as checkpoint:
        assert checkpoint.metadata == {"format": "np"}
        assert checkpoint.nbytes == 24 + 16 + 8
        assert set(checkpoint) == set(tensors)
        for name, array in checkpoint.items():
            assert_same(array, tensors[name])


def test_empty_tensors_have_a_fixed_place(tmp_path):
    empty = {name: np.empty(0) for name in "qwertyuiop"}
    path = write(tmp_path / "t.safetensors", {"b": np.ones(1)} | empty | {"a": np.ones(1)})
    with open_checkpoint(path) as checkpoint:
        assert "".join(checkpoint) == "beiopqrtuwya"
        assert checkpoint["a"].tolist() == [1.0]


def test_what_is_read_can_be_written_to_and_outlives_the_file(tmp_path):
    path = write(tmp_path / "t.safetensors", {"a": np.zeros(3)})
    with open_checkpoint(path) as checkpoint:
        a, again = checkpoint.read("a"), checkpoint.read("a")
    a += 1
    assert a.sum() == 3
    assert again.sum() == 0
    with pytest.raises(ValueError, match="is closed"):
        checkpoint.read("a")


def test_membership_and_equality_read_nothing(tmp_path, monkeypatch):
    path = write(tmp_path / "t.safetensors", {"a": np.zeros(3)})
    with open_checkpoint(path) as one, open_checkpoint(path) as two:
        monkeypatch.setattr(one, "_read", None)
        assert "a" in one
        assert "b" not in one
        assert one != two
        assert one == one  # noqa: PLR0124 - its own equality is the point
        assert len({one, two}) == 2
        assert repr(one).endswith("1 tensors, 24 bytes>")


def test_unknown_name_names_the_file(tmp_path):
    with open_checkpoint(write(tmp_path / "t.safetensors", {})) as checkpoint:
        assert len(checkpoint) == checkpoint.nbytes == 0
        with pytest.raises(KeyError, match=r"t\.safetensors has no tensor 'a'"):
            checkpoint.info("a")
        with pytest.raises(KeyError):
            checkpoint.read("a")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save):
    tensors = {
        "z": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "half": np.ones(3, np.float16),
        "big": np.arange(4, dtype=">i4"),
        "complex": np.array(1j),
        "empty": np.empty((0, 2)),
    }
    save(tmp_path / "t.npz", **tensors)
    with open_checkpoint(tmp_path / "t.npz") as checkpoint:
        assert checkpoint.names == tuple(tensors)
        assert checkpoint.metadata == {}
        assert checkpoint.info("half") == TensorInfo("half", (3,), "F16", 6)
        assert checkpoint.info("complex").dtype == "complex128"
        for name, array in tensors.items():
            assert_same(checkpoint[name], array.astype(array.dtype.newbyteorder("=")))


def test_npy(tmp_path):
    array = np.arange(6, dtype=np.uint8).reshape(3, 2)
    np.save(tmp_path / "codes.npy", array)
    with open_checkpoint(tmp_path / "codes.npy") as checkpoint:
        assert checkpoint.info("codes") == TensorInfo("codes", (3, 2), "U8", 6)
        assert checkpoint.info("codes").size == 6
        assert_same(checkpoint["codes"], array)
        assert_same(checkpoint["codes"], array)


@pytest.mark.parametrize("bad", [np.array([{}]), np.array(["a"]), np.zeros(2, ml_dtypes.bfloat16)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_objects_are_never_unpickled_and_other_records_are_refused(tmp_path, suffix, bad):
    path = tmp_path / f"t{suffix}"
    (np.save if suffix == ".npy" else np.savez)(path, bad)
    message = "pickled objects, which are never loaded" if bad.dtype.hasobject else "no numbers"
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(path)


def shard(folder, shards, weight_map=None):
    """Write a sharded checkpoint and return its index."""
    for name, tensors in shards.items():
        save_file(tensors, folder / name, metadata={"format": "pt"})
    if weight_map is None:
        weight_map = {name: file for file, tensors in shards.items() for name in tensors}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map}))
    return index


SHARDS = {"1.safetensors": {"b": np.ones(2), "a": np.zeros(3)}, "2.safetensors": {"c": np.eye(2)}}


@pytest.mark.parametrize("as_folder", [True, False])
def test_shards_are_one_checkpoint_in_the_order_of_the_index(tmp_path, as_folder):
    index = shard(tmp_path, SHARDS)
    with open_checkpoint(tmp_path if as_folder else index) as checkpoint:
        assert checkpoint.names == ("b", "a", "c")
        assert checkpoint.metadata == {"format": "pt"}
        for tensors in SHARDS.values():
            for name, array in tensors.items():
                assert_same(checkpoint[name], array)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"b": "1.safetensors", "a": "3.safetensors"}, r"names the shard 3\.safetensors, which"),
        ({"b": "1.safetensors"}, r"does not say that tensor 'a' lies in 1\.safetensors"),
        (dict.fromkeys("abd", "1.safetensors"), r"'d' is missing from the shard 1\.safetensors"),
        ({"a": "../1.safetensors"}, "is not a file name"),
        ({"a": 1}, r"damaged or not a \.json file"),
        (["a"], r"damaged or not a \.json file"),
    ],
)
def test_an_index_that_lies_is_refused(tmp_path, weight_map, message):
    shard(tmp_path, SHARDS, weight_map)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(tmp_path)


def test_a_tensor_in_two_shards_is_refused(tmp_path):
    shard(tmp_path, SHARDS | {"3.safetensors": {"a": np.zeros(3), "d": np.zeros(1)}})
    with pytest.raises(CheckpointError, match="does not say that tensor 'a'"):
        open_checkpoint(tmp_path)


def test_a_name_twice_in_the_index_is_refused(tmp_path):
    index = shard(tmp_path, {"1.safetensors": {"a": np.zeros(3)}})
    index.write_text('{"weight_map": {"a": "1.safetensors", "a": "1.safetensors"}}')
    with pytest.raises(CheckpointError, match="'a' is listed twice"):
        open_checkpoint(index)


def test_a_name_twice_in_an_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("a.npy", b"")
        archive.writestr("a", b"")
    with pytest.raises(CheckpointError, match="'a' is listed twice"):
        open_checkpoint(tmp_path / "t.npz")


def test_duplicates_are_found_by_bytes_shape_and_dtype(tmp_path):
    eye = np.eye(3, dtype=np.float32)
    tensors = {
        "embedding": eye,
        "reshaped": eye.reshape(9),
        "other": 2 * eye,
        "head": eye.copy(),
        "bits": eye.view(np.int32),
        "third": eye.copy(),
        "minus": np.full(2, -0.0),
        "plus": np.full(2, 0.0),
        "empty": np.empty(0),
        "empty too": np.empty(0),
    }
    with open_checkpoint(write(tmp_path / "t.safetensors", tensors)) as checkpoint:
        assert duplicates(checkpoint) == {"head": "embedding", "third": "embedding"}
        assert duplicates(checkpoint, ["third", "other", "head"]) == {"head": "third"}
        with pytest.raises(KeyError):
            duplicates(checkpoint, ["nobody"])


def test_duplicates_reads_only_what_could_repeat(tmp_path):
    path = write(tmp_path / "t.safetensors", {"a": np.zeros(3), "b": np.zeros(4)})
    with open_checkpoint(path) as checkpoint:
        checkpoint._read = None
        assert duplicates(checkpoint) == {}


def test_recorded_ties_are_told(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_model

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    model[1].weight = model[0].weight
    save_model(model, tmp_path / "t.safetensors", metadata={"format": "pt"})
    with open_checkpoint(tmp_path / "t.safetensors") as checkpoint:
        assert checkpoint.tied == {"1.weight": "0.weight"}


def test_torch_and_the_library_read_what_the_writer_wrote(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_torch

    # The odd length leaves what follows off the multiples of its item size.
    tensors = {
        "odd": np.array([True, False, True]),
        "half": np.arange(5).astype(ml_dtypes.bfloat16),
        "double": np.arange(4.0),
        "zero": np.array(7, np.int64),
    }
    path = write(tmp_path / "t.safetensors", tensors)
    theirs = load_torch(path)
    assert theirs["half"].dtype == torch.bfloat16
    for name, array in tensors.items():
        assert theirs[name].tolist() == array.tolist()
    del tensors["half"]
    path = write(tmp_path / "u.safetensors", tensors)
    for name, array in load_file(path).items():
        assert_same(array, tensors[name])


@pytest.mark.parametrize("missing", ["safetensors", "ml_dtypes"])
def test_a_missing_package_names_the_extra(tmp_path, monkeypatch, missing):
    path = write(tmp_path / "t.safetensors", {"a": np.zeros(2, ml_dtypes.bfloat16)})
    monkeypatch.setitem(sys.modules, missing, None)
    with (
        pytest.raises(ImportError, match=rf"{missing}.*'tdecomp-array\[cli\]'"),
        open_checkpoint(path) as checkpoint,
    ):
        checkpoint.read("a")
