"""Damaged files: one exception, whatever the damage, and never a wrong length."""

import io
import json
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from tdecomp.io import CheckpointError, open_checkpoint

TENSORS = {"weight": np.arange(12.0).reshape(3, 4), "bias": np.ones(3, np.float16)}


def sealed(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def in_memory(save, *args, **kwargs):
    buffer = io.BytesIO()
    save(buffer, *args, **kwargs)
    return buffer.getvalue()


FILES = {
    ".safetensors": save(TENSORS, {"format": "np"}),
    ".npz": in_memory(np.savez, **TENSORS),
    ".compressed.npz": in_memory(np.savez_compressed, **TENSORS),
    ".npy": in_memory(np.save, TENSORS["weight"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damage")


def read_all(path):
    with open_checkpoint(path) as checkpoint:
        for name, array in checkpoint.items():
            info = checkpoint.info(name)
            assert array.shape == info.shape
            assert array.nbytes == info.nbytes


@pytest.mark.parametrize("suffix", FILES)
@given(data=st.data())
def test_a_truncated_file_is_refused(folder, suffix, data):
    whole = FILES[suffix]
    path = folder / f"short{suffix}"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(CheckpointError, match=str(path)):
        read_all(path)


@pytest.mark.parametrize("suffix", FILES)
@given(data=st.data())
def test_flipped_bits_are_refused_or_still_make_a_consistent_file(folder, suffix, data):
    damaged = bytearray(FILES[suffix])
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = folder / f"flipped{suffix}"
    path.write_bytes(damaged)
    with suppress(CheckpointError):
        read_all(path)


@pytest.mark.parametrize("suffix", FILES)
@given(junk=st.binary(max_size=200))
def test_junk_is_refused(folder, suffix, junk):
    path = folder / f"junk{suffix}"
    path.write_bytes(junk)
    with pytest.raises(CheckpointError):
        read_all(path)


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",
        sealed(b'{"a":' + b"[" * 100_000),
        sealed({"a": entry()}, bytes(16)),
        sealed({"a": entry(), "b": entry()}, bytes(8)),
        sealed({"a": entry(offsets=(8, 16))}, bytes(16)),
        sealed({"a": entry(shape=(3,))}, bytes(8)),
        sealed({"a": entry(shape=(-2,))}, bytes(8)),
        sealed({"a": entry(shape=(2**40, 2**40))}, bytes(8)),
        sealed({"a": entry(shape=(0, 2**62, 2**62), offsets=(0, 0))}),
        sealed({"a": entry(shape=(1,) * 100, offsets=(0, 4))}, bytes(4)),
        sealed({"a": entry(dtype="F33")}, bytes(8)),
        sealed({"__metadata__": {"a": 1}}),
    ],
)
def test_a_header_that_lies_is_refused(folder, content):
    path = folder / "lies.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged or not a \.safetensors file"):
        open_checkpoint(path)


def test_a_dtype_below_one_byte_is_refused_by_name(folder):
    path = folder / "packed.safetensors"
    path.write_bytes(sealed({"a": entry(dtype="F4", offsets=(0, 1))}, b"1"))
    with pytest.raises(CheckpointError, match="'a' has dtype F4, which NumPy cannot hold"):
        open_checkpoint(path)


def test_a_file_cut_short_while_it_is_open_is_an_error_not_a_crash(folder):
    path = folder / "shrinking.safetensors"
    path.write_bytes(FILES[".safetensors"])
    with open_checkpoint(path) as checkpoint:
        last = checkpoint.names[-1]
        with path.open("r+b") as file:
            file.truncate(len(FILES[".safetensors"]) - 1)
        with pytest.raises(CheckpointError, match=f"ends inside the tensor '{last}'"):
            checkpoint.read(last)


def test_an_archive_that_promises_more_than_memory_is_refused(folder):
    header = in_memory(np.lib.format.write_array_header_1_0, {
        "descr": "<f8", "fortran_order": False, "shape": (2**40,),
    })  # fmt: skip
    path = folder / "bomb.npy"
    path.write_bytes(header)
    with pytest.raises(CheckpointError, match="should have 8796093022208 bytes"):
        open_checkpoint(path)


def test_too_little_memory_is_not_called_damage(folder, monkeypatch):
    def exhausted(*_args, **_kwargs):
        raise MemoryError

    path = folder / "fine.npy"
    path.write_bytes(FILES[".npy"])
    with open_checkpoint(path) as checkpoint:
        monkeypatch.setattr(np.lib.format, "read_array", exhausted)
        with pytest.raises(MemoryError):
            checkpoint.read("fine")
