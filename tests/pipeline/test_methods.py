"""Data-aware methods from the command line: the right norm, the bias that moves, refusals."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tdecomp.compress import METHODS, unpack
from tdecomp.io import decode_plan, open_checkpoint

AWARE = [method for method in METHODS if method != "svd"]
KNOWN = ("first.weight", "second.weight")


def compress(tdecomp, source, *options):
    run = tdecomp("compress", source, "--out", "s.safetensors", "--overwrite", *options)
    assert (run.status, run.err) == (0, "")
    with open_checkpoint("s.safetensors") as checkpoint:
        return decode_plan(checkpoint.metadata), dict(checkpoint)


@pytest.mark.parametrize("method", AWARE)
def test_factors_are_the_best_of_their_rank_in_the_norm_of_the_method(
    tdecomp, source, calibration, method
):
    options = ("--rank", 4, "--method", method, "--calibration", calibration)
    plan, tensors = compress(tdecomp, source, *options)
    _, plain = compress(tdecomp, source, "--rank", 4)
    statistics = unpack(load_file(calibration))
    original = load_file(source)
    for name, record in plan.records.items():
        assert record.method == (method if name in KNOWN else "svd")
    for name in KNOWN:
        norm = statistics[name].weights(method)
        tail = np.linalg.norm(norm.spectrum(original[name])[4:])
        ours, theirs = (
            float(
                norm.error(
                    original[name],
                    norm.fit(np.asarray(x[f"{name}.left"] @ x[f"{name}.right"]), rank=4),
                )
            )
            for x in (tensors, plain)
        )
        assert ours == pytest.approx(tail, rel=1e-3)
        assert ours <= theirs * (1 + 1e-5)


@pytest.mark.parametrize("method", AWARE)
def test_the_reported_error_is_that_of_the_entries(tdecomp, source, calibration, method):
    options = ("--keep", 0.5, "--method", method, "--calibration", calibration)
    plan, tensors = compress(tdecomp, source, *options)
    original = load_file(source)
    total = sum(x.size for x in original.values())
    assert sum(x.size for x in tensors.values()) <= 0.5 * total
    for name, record in plan.records.items():
        left, right = (tensors[f"{name}.{side}"].astype(float) for side in ("left", "right"))
        a = original[name].astype(float).reshape(record.matrix_shape)
        error = np.linalg.norm(a - left @ right) / np.linalg.norm(a)
        assert record.relative_error == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("method", AWARE)
def test_rtol_holds_in_the_norm_of_the_method(tdecomp, source, calibration, method):
    options = ("--rtol", 0.4, "--method", method, "--calibration", calibration)
    plan, tensors = compress(tdecomp, source, *options, "--dtype", "bfloat16")
    statistics = unpack(load_file(calibration))
    original = load_file(source)
    for name in KNOWN:
        assert name in plan.records
        norm = statistics[name].weights(method)
        a = original[name]
        product = tensors[f"{name}.left"].astype(float) @ tensors[f"{name}.right"].astype(float)
        missing = norm.spectrum(a.astype(float) - product)
        assert np.linalg.norm(missing) <= 0.4 * np.linalg.norm(norm.spectrum(a)) * (1 + 1e-5)


def test_afm_moves_the_bias_so_that_the_mean_output_stays(tdecomp, source, calibration, tmp_path):
    options = ("--rank", 3, "--method", "afm", "--calibration", calibration)
    plan, tensors = compress(tdecomp, source, *options, "--report", tmp_path / "r.json")
    original = load_file(source)
    statistics = unpack(load_file(calibration))
    why = {
        e["name"]: e.get("why") for e in json.loads((tmp_path / "r.json").read_text())["tensors"]
    }
    for layer in ("first", "second"):
        w, b, mean = original[f"{layer}.weight"], original[f"{layer}.bias"], None
        mean = statistics[f"{layer}.weight"].inputs.mean
        small = tensors[f"{layer}.weight.left"] @ tensors[f"{layer}.weight.right"]
        moved = tensors[f"{layer}.bias"]
        assert moved.dtype == b.dtype
        assert not np.allclose(moved, b, atol=1e-3)
        np.testing.assert_allclose(small @ mean + moved, w @ mean + b, rtol=0, atol=1e-4)
        assert why[f"{layer}.bias"] == "moved by afm"
    run = tdecomp("reconstruct", "s.safetensors", "--out", "l.safetensors")
    assert run.status == 0
    with open_checkpoint("l.safetensors") as after, open_checkpoint(source) as before:
        assert after.names == before.names
        np.testing.assert_array_equal(after["first.bias"], tensors["first.bias"])
    assert plan.records["first.weight"].method == "afm"


def test_afm_without_a_bias_beside_the_weight_is_svd_llm(tdecomp, source, calibration, tmp_path):
    tensors = load_file(source)
    del tensors["first.bias"]
    tensors["second.bias"] = np.zeros((20, 1), np.float32)  # not the bias of 20 rows
    save_file(tensors, tmp_path / "nobias.safetensors")
    options = ("--rank", 3, "--method", "afm", "--calibration", calibration)
    plan, _ = compress(tdecomp, tmp_path / "nobias.safetensors", *options)
    assert {plan.records[name].method for name in KNOWN} == {"svd_llm"}


def refused(run, *words):
    assert run.status == 1
    assert run.out == ""
    assert run.err.startswith("tdecomp: error: ")
    assert run.err.count("\n") == 1
    for word in words:
        assert word in run.err


def test_statistics_of_another_model_are_refused(tdecomp, source, calibration, tmp_path):
    options = ("--rank", 3, "--method", "svd_llm", "--out", "s.safetensors", "--calibration")
    arrays = load_file(calibration)
    renamed = {f"model.{key}": x for key, x in arrays.items()}
    save_file(renamed, tmp_path / "renamed.safetensors")
    run = tdecomp("compress", source, *options, tmp_path / "renamed.safetensors")
    refused(run, "names no tensor", "'model.")
    swapped = {
        key.replace("first", "x").replace("second", "first"): a for key, a in arrays.items()
    }
    save_file(swapped, tmp_path / "swapped.safetensors")
    run = tdecomp("compress", source, *options, tmp_path / "swapped.safetensors")
    refused(run, "first.weight", "40", "20")
    assert not (tmp_path / "s.safetensors").exists()
    assert not list(tmp_path.glob(".*"))


def test_what_is_no_calibration_is_refused(tdecomp, source, calibration, tmp_path):
    options = ("--rank", 3, "--method", "asvd", "--out", "s.safetensors", "--calibration")
    refused(tdecomp("compress", source, *options, source), "is no statistic")
    refused(tdecomp("compress", source, *options, "missing.npz"), "missing.npz", "No such file")
    arrays = load_file(calibration)
    del arrays["first.weight/inputs/factor"]
    save_file(arrays, tmp_path / "part.safetensors")
    refused(tdecomp("compress", source, *options, tmp_path / "part.safetensors"), "first.weight")
    assert {path.name for path in tmp_path.iterdir()} == {"part.safetensors"}


def test_a_method_that_needs_what_calibration_did_not_gather_is_refused(
    tdecomp, source, calibration, tmp_path
):
    arrays = {key: x for key, x in load_file(calibration).items() if "/fisher/" not in key}
    save_file(arrays, tmp_path / "inputs.safetensors")
    options = ("--rank", 3, "--method", "fwsvd", "--calibration", tmp_path / "inputs.safetensors")
    run = tdecomp("compress", source, *options, "--out", "s.safetensors")
    refused(run, "first.weight", "'fisher'")


def test_a_tensor_that_the_loss_does_not_reach_stays_dense(tdecomp, source, calibration, tmp_path):
    arrays = load_file(calibration)
    part = {key: x for key, x in arrays.items() if not key.startswith("second.weight/fisher/")}
    assert 0 < len(part) < len(arrays)
    save_file(part, tmp_path / "part.safetensors")
    options = ("--rank", 4, "--method", "gfwsvd", "--calibration", tmp_path / "part.safetensors")
    plan, tensors = compress(tdecomp, source, *options)
    assert plan.records["first.weight"].method == "gfwsvd"
    assert "second.weight" not in plan.records
    assert np.array_equal(tensors["second.weight"], load_file(source)["second.weight"])
    run = tdecomp("compress", source, *options, "--out", "t.safetensors", "--dry-run")
    assert "calibration found nothing in it for gfwsvd" in run.out


@pytest.mark.parametrize("method", METHODS)
def test_budgets_are_traded_only_between_errors_of_one_unit(tdecomp, source, calibration, method):
    known = () if method == "svd" else ("--calibration", calibration)
    ranks = {}
    for rule in ("", "optimal", "uniform"):
        options = ("--keep", 0.5, "--method", method, *known)
        options += ("--allocate", rule) if rule else ()
        plan, _ = compress(tdecomp, source, *options)
        ranks[rule] = {name: record.rank for name, record in plan.records.items()}
    assert ranks[""] == ranks["optimal" if method in ("svd", "fwsvd", "gfwsvd") else "uniform"]
