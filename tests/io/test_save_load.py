"""The formats of the library survive a file bit for bit."""

from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest

from tdecomp.io import CheckpointError, load, open_checkpoint, save
from tdecomp.linalg import SVD, LowRank

SUFFIXES = (".safetensors", ".npz")


def example(dtype, batch=()):
    left = np.arange(np.prod(batch, dtype=int) * 6).reshape(*batch, 3, 2).astype(dtype)
    return LowRank(left, np.swapaxes(left, -1, -2))


def assert_same(found, expected):
    assert type(found) is type(expected)
    for a, b in zip(found, expected, strict=True):
        assert type(a) is np.ndarray
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("batch", [(), (2,), (0,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.float16])
def test_a_format_comes_back(tmp_path, suffix, batch, dtype):
    path = tmp_path / f"t{suffix}"
    save(path, example(dtype, batch))
    assert_same(load(path), example(dtype, batch))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_class_comes_back(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    svd = SVD(*np.linalg.svd(np.arange(12.0).reshape(4, 3), full_matrices=False))
    save(path, svd)
    assert_same(load(path), svd)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.metadata["tdecomp.class"] == "SVD"
        assert set(checkpoint) == {"U", "S", "Vh"}


def test_each_container_holds_what_the_other_cannot(tmp_path):
    save(tmp_path / "t.npz", example(np.complex128))
    assert_same(load(tmp_path / "t.npz"), example(np.complex128))
    with pytest.raises(TypeError, match=r"cannot hold complex128 \(left\); save as \.npz"):
        save(tmp_path / "t.safetensors", example(np.complex128))
    assert not (tmp_path / "t.safetensors").exists()
    save(tmp_path / "u.safetensors", example(ml_dtypes.bfloat16))
    assert_same(load(tmp_path / "u.safetensors"), example(ml_dtypes.bfloat16))
    with pytest.raises(TypeError, match=r"npz cannot hold bfloat16 \(left\)"):
        save(tmp_path / "u.npz", example(ml_dtypes.bfloat16))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.npz", "u.safetensors"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "complex64"])
def test_torch_tensors_are_saved_as_numpy(tmp_path, dtype):
    torch = pytest.importorskip("torch")
    left = torch.arange(6.0).reshape(3, 2).to(getattr(torch, dtype)).requires_grad_()
    save(tmp_path / "t.safetensors", LowRank(left, left.mH))
    found = load(tmp_path / "t.safetensors")
    assert found.left.dtype.name == dtype
    np.testing.assert_array_equal(found.left.astype(complex), np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(found.right, found.left.T)


def test_jax_arrays_are_saved_as_numpy(tmp_path):
    jnp = pytest.importorskip("jax.numpy")
    left = jnp.ones((3, 2), jnp.bfloat16)
    save(tmp_path / "t.safetensors", LowRank(left, left.T))
    assert_same(load(tmp_path / "t.safetensors"), LowRank(np.asarray(left), np.asarray(left.T)))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_saving_replaces_in_one_step(tmp_path, monkeypatch, suffix):
    import os

    path = tmp_path / f"t{suffix}"
    save(path, example(np.float32))
    save(path, example(np.float64))
    monkeypatch.setattr(os, "replace", None)
    with pytest.raises(TypeError):
        save(path, example(np.int8))
    assert_same(load(path), example(np.float64))
    assert len(list(tmp_path.iterdir())) == 1


class Foreign(NamedTuple):
    left: np.ndarray


@pytest.mark.parametrize("bad", [np.ones((2, 2)), (np.ones(1), np.ones(1)), Foreign(np.ones(1))])
def test_what_is_no_format_is_refused(tmp_path, bad):
    with pytest.raises(TypeError, match=r"fmt must be one of SVD, LowRank, .* got"):
        save(tmp_path / "t.npz", bad)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.safetensors or \.npz"):
        save(tmp_path / "t.pkl", example(np.float32))


def save_raw(path, text, **arrays):
    np.savez(path, **arrays, **({} if text is None else {"__metadata__": np.asarray(text)}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "was not written by tdecomp.io.save"),
        ("{}", "was not written by tdecomp.io.save"),
        ('{"tdecomp.class": "Other"}', "holds a Other, which this version does not know"),
        ('{"tdecomp.class": "SVD"}', "SVD has the fields .*, found"),
        ("not json", "damaged"),
        ("3", "damaged"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    save_raw(tmp_path / "t.npz", text, left=np.ones((3, 2)), right=np.ones((2, 3)))
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "t.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"t\.npz"):
        load(tmp_path / "t.npz")
