"""What `tdecomp compress` promises of every tensor, read back from the files it wrote."""

import json
import math

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tdecomp.compress import layout_of
from tdecomp.io import decode_plan, factor_names, open_checkpoint

MATRICES = ("embeddings.word.weight", "first.weight", "second.weight", "conv.weight")


def contents(path):
    """All tensors of a file, and what its metadata say."""
    with open_checkpoint(path) as checkpoint:
        return dict(checkpoint), checkpoint.metadata


def double(x):
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def recomputed(tensors, original, name):
    """The relative error of the stored factors of `name`, in double precision."""
    left, right = (double(tensors[factor]) for factor in factor_names(name))
    a = double(original[name]).reshape(left.shape[0], -1)
    return np.linalg.norm(a - left @ right) / (np.linalg.norm(a) or 1.0)


def check(path, source, report=None):
    """Compare the plan in a compressed file, and its report, with its tensors."""
    tensors, metadata = contents(path)
    original, _ = contents(source)
    plan = decode_plan(metadata)
    entries = {} if report is None else {e["name"]: e for e in report["tensors"]}
    for name, record in plan.records.items():
        left, right = (tensors[factor] for factor in factor_names(name))
        assert left.shape[1] == right.shape[0] == record.rank
        assert left.size + right.size < original[name].size
        error = recomputed(tensors, original, name)
        assert record.relative_error == pytest.approx(error, rel=1e-6, abs=1e-12)
        if entries:
            assert entries[name]["relative_error"] == record.relative_error
            assert entries[name]["rank"] == record.rank
            assert entries[name]["kept"] == left.size + right.size
    for name in set(original) - set(plan.records) - set(plan.tied):
        assert tensors[name].dtype == original[name].dtype
        np.testing.assert_array_equal(tensors[name], original[name])
    if report is not None:
        totals = report["totals"]
        for unit, sizes in (("numbers", "size"), ("bytes", "nbytes")):
            for side, arrays in (("before", original), ("after", tensors)):
                assert totals[unit][side] == sum(getattr(x, sizes) for x in arrays.values())
    return plan, tensors


def compressed(tdecomp, source, *options):
    """Compress `source` and check what comes out."""
    options = ("--out", "small.safetensors", "--report", "report.json", *options)
    run = tdecomp("compress", source, *options, "--overwrite")
    assert (run.status, run.err) == (0, "")
    with open("report.json", encoding="utf-8") as file:
        report = json.load(file)
    return (*check("small.safetensors", source, report), report, run)


@pytest.mark.parametrize("rule", ["optimal", "uniform", "energy"])
@pytest.mark.parametrize("keep", [0.3, 0.5, 0.8])
def test_no_more_numbers_are_kept_than_the_budget(tdecomp, source, keep, rule):
    _, tensors, report, _ = compressed(tdecomp, source, "--keep", keep, "--allocate", rule)
    total = sum(x.size for x in contents(source)[0].values())
    kept = sum(x.size for x in tensors.values())
    assert kept <= keep * total
    assert kept >= keep * total - 160 or rule != "optimal"  # one more rank costs 112 at most
    assert report["totals"]["numbers"] == {"before": total, "after": kept}


def test_a_larger_budget_never_makes_the_total_error_larger(tdecomp, source):
    def total(keep):
        plan, _, _, _ = compressed(tdecomp, source, "--keep", keep)
        original, _ = contents(source)
        return math.hypot(
            *(r.relative_error * np.linalg.norm(original[n]) for n, r in plan.records.items())
        )

    errors = [total(keep) for keep in (0.3, 0.4, 0.5, 0.6, 0.7)]
    assert errors == sorted(errors, reverse=True)


def test_optimal_beats_the_other_rules(tdecomp, source):
    def total(rule):
        plan, _, _, _ = compressed(tdecomp, source, "--keep", 0.4, "--allocate", rule)
        original, _ = contents(source)
        return math.hypot(
            *(r.relative_error * np.linalg.norm(original[n]) for n, r in plan.records.items())
        )

    best = total("optimal")
    assert best <= (1 + 1e-5) * min(total("uniform"), total("energy"))


@pytest.mark.parametrize("rtol", [0.5, 0.2, 0.12])
def test_stored_factors_are_as_exact_as_rtol_asks_and_no_larger(tdecomp, source, rtol):
    plan, _, _, _ = compressed(tdecomp, source, "--rtol", rtol)
    original, _ = contents(source)
    assert plan.records
    for name, record in plan.records.items():
        assert record.relative_error <= rtol
        a = double(original[name]).reshape(record.matrix_shape)
        s = np.linalg.svd(a, compute_uv=False)
        assert np.linalg.norm(s[record.rank - 1 :]) > (1 - 1e-4) * rtol * np.linalg.norm(s)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rtol_makes_room_for_the_rounding_of_narrow_factors(tdecomp, tmp_path, dtype):
    rng = np.random.default_rng(0)
    # So slow a decay that the best rank always misses rtol by less than the rounding.
    u, v = (np.linalg.qr(rng.standard_normal((n, 60)))[0] for n in (600, 500))
    path = tmp_path / "slow.safetensors"
    save_file({f"w{k}": ((u * 0.999 ** (k + np.arange(60))) @ v.T) for k in range(4)}, path)
    plan, _, _, _ = compressed(tdecomp, path, "--rtol", 0.3, "--dtype", dtype)
    assert sorted(plan.records) == ["w0", "w1", "w2", "w3"]
    assert all(record.relative_error <= 0.3 for record in plan.records.values())


def test_what_rtol_cannot_reach_with_fewer_numbers_stays_whole(tdecomp, source):
    plan, _, report, run = compressed(tdecomp, source, "--rtol", 1e-4, "--dtype", "float16")
    assert plan.records == {}
    why = {entry["name"]: entry.get("why", "") for entry in report["tensors"]}
    assert all(why[name].startswith("kept whole: ") for name in MATRICES)
    assert run.out.count("kept whole: ") == len(MATRICES) + 1  # and the flat one


@pytest.mark.parametrize("rank", [1, 3, 9])
def test_rank_is_the_rank_of_every_matrix_that_gets_smaller(tdecomp, source, rank):
    plan, _, report, _ = compressed(tdecomp, source, "--rank", rank)
    entries = {entry["name"]: entry for entry in report["tensors"]}
    for name, (layout, _) in {
        name: layout_of(name, entry["shape"]) for name, entry in entries.items()
    }.items():
        m, n = layout.matrix_shape if layout else (0, 0)
        if name in plan.records:
            assert plan.records[name].rank == rank
        elif name not in plan.tied and entries[name]["dtype"] == "F32":
            assert rank * (m + n) >= m * n
    original, _ = contents(source)
    for name, record in plan.records.items():
        s = np.linalg.svd(double(original[name]).reshape(record.matrix_shape), compute_uv=False)
        best = np.linalg.norm(s[rank:]) / np.linalg.norm(s)
        assert record.relative_error == pytest.approx(best, rel=1e-4, abs=1e-6)


def test_of_rank_and_rtol_the_smaller_rank_wins(tdecomp, source):
    free, _, _, _ = compressed(tdecomp, source, "--rtol", 0.2)
    both, _, _, _ = compressed(tdecomp, source, "--rtol", 0.2, "--rank", 4)
    for name, record in free.records.items():
        assert both.records[name].rank == min(4, record.rank)


def test_a_matrix_that_would_not_shrink_stays_as_it_is_and_says_so(tdecomp, source):
    plan, _, report, run = compressed(tdecomp, source, "--rank", 12)
    assert "flat.weight" not in plan.records
    entry = next(e for e in report["tensors"] if e["name"] == "flat.weight")
    assert entry["why"] == "kept whole: factors are smaller up to rank 11"
    line = next(line for line in run.out.splitlines() if "flat.weight" in line)
    assert entry["why"] in line
    assert "100.0%" in line


def test_a_matrix_that_the_allocation_leaves_alone_says_so(tdecomp, tmp_path):
    rng = np.random.default_rng(0)
    flat = 50 * np.linalg.qr(rng.standard_normal((30, 30)))[0]
    low = np.outer(rng.standard_normal(200), rng.standard_normal(100)) * 1e-3
    save_file({"flat": flat, "low": low}, tmp_path / "two.safetensors")
    plan, _, _, run = compressed(tdecomp, tmp_path / "two.safetensors", "--keep", 0.2)
    assert list(plan.records) == ["low"]
    line = next(line for line in run.out.splitlines() if "flat" in line)
    assert "kept whole: cutting others costs less" in line


def test_the_table_lists_matrices_and_one_line_the_rest(tdecomp, source):
    *_, run = compressed(tdecomp, source, "--rank", 3)
    assert "bias" not in run.out
    (rest,) = [line for line in run.out.splitlines() if "other tensors" in line]
    assert rest.startswith("6 other tensors")
    for part in ("2: a tensor of 1 axis is no matrix", "I64 is no float", "BOOL is no float"):
        assert part in rest


def test_integers_are_kept_and_reported(tdecomp, source):
    _, tensors, report, _ = compressed(tdecomp, source, "--rank", 1)
    assert tensors["position_ids"].dtype == np.int64
    why = {entry["name"]: entry.get("why") for entry in report["tensors"]}
    assert why["position_ids"] == "its dtype I64 is no float"
    assert why["mask"] == "its dtype BOOL is no float"


def test_tied_tensors_are_stored_once(tdecomp, source):
    plan, tensors, report, run = compressed(tdecomp, source, "--keep", 0.5)
    assert plan.tied == {"zzz.head.weight": "embeddings.word.weight"}
    assert not any(name.startswith("zzz") for name in tensors)
    entry = next(e for e in report["tensors"] if e["name"] == "zzz.head.weight")
    assert (entry["kept"], entry["why"]) == (0, "tied to embeddings.word.weight")
    assert "tied to embeddings.word.weight" in run.out


@pytest.mark.parametrize("options", [["--keep", 0.4], ["--rtol", 0.1], ["--rank", 2]])
def test_reconstruct_gives_the_names_order_shapes_dtypes_and_metadata_back(
    tdecomp, source, options
):
    plan, tensors, _, _ = compressed(tdecomp, source, *options)
    run = tdecomp("reconstruct", "small.safetensors", "--out", "large.safetensors")
    assert (run.status, run.err) == (0, "")
    with open_checkpoint(source) as before, open_checkpoint("large.safetensors") as after:
        assert after.names == before.names
        assert after.metadata == before.metadata == {"format": "pt", "note": "kept"}
        for name, x in before.items():
            assert after.info(name) == before.info(name)
            owner = plan.tied.get(name, name)
            if owner in plan.records:
                left, right = (double(tensors[factor]) for factor in factor_names(owner))
                expected = (left @ right).reshape(x.shape)
                # A sum of r float32 products, rounded.
                atol = (
                    8
                    * np.finfo(np.float32).eps
                    * np.linalg.norm(expected, 2 if x.ndim == 2 else None)
                )
                np.testing.assert_allclose(after[name], expected, rtol=0, atol=atol)
            else:
                np.testing.assert_array_equal(after[name], x)


def test_what_was_reconstructed_compresses_to_the_same_again(tdecomp, source):
    first, _, _, _ = compressed(tdecomp, source, "--rank", 2)
    assert tdecomp("reconstruct", "small.safetensors", "--out", "again.safetensors").status == 0
    run = tdecomp("compress", "again.safetensors", "--rank", 2, "--out", "twice.safetensors")
    assert run.status == 0
    second = decode_plan(contents("twice.safetensors")[1])
    assert {n: r.rank for n, r in second.records.items()} == dict.fromkeys(first.records, 2)
    assert all(record.relative_error < 1e-5 for record in second.records.values())


@pytest.mark.parametrize("code", ["F16", "BF16"])
def test_narrow_checkpoints_round_trip(tdecomp, tmp_path, code):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_torch
    from safetensors.torch import save_file as save_torch

    from .conftest import model

    dtype = torch.float16 if code == "F16" else torch.bfloat16
    state = {
        name: torch.from_numpy(x).to(dtype) if x.dtype == np.float32 else torch.from_numpy(x)
        for name, x in model().items()
        if x.ndim
    }
    path = tmp_path / "narrow.safetensors"
    save_torch(state, path)
    plan, tensors, _, _ = compressed(tdecomp, path, "--keep", 0.6)
    assert tensors["first.weight.left"].dtype.itemsize == 2
    assert {record.dtype for record in plan.records.values()} == {code}
    assert tdecomp("reconstruct", "small.safetensors", "--out", "large.safetensors").status == 0
    back = load_torch("large.safetensors")
    assert {n: (x.dtype, x.shape) for n, x in back.items()} == {
        n: (x.dtype, x.shape) for n, x in state.items()
    }
    for name, x in state.items():
        if name not in {*plan.records, *plan.tied}:
            assert torch.equal(back[name], x)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_factors_are_stored_in_the_dtype_asked_for(tdecomp, source, dtype):
    plan, tensors, _, _ = compressed(tdecomp, source, "--rank", 3, "--dtype", dtype)
    for name in plan.records:
        assert {tensors[factor].dtype.name for factor in factor_names(name)} == {dtype}
    assert tensors["first.bias"].dtype == np.float32
    assert tdecomp("reconstruct", "small.safetensors", "--out", "l.safetensors").status == 0
    assert contents("l.safetensors")[0]["first.weight"].dtype == np.float32


def test_complex_weights_stay_complex_whatever_dtype_is_asked_for(tdecomp, tmp_path):
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((2, 30, 3)) for _ in range(2))
    a = (left[0] + 1j * left[1]) @ (right[0] + 1j * right[1]).T
    np.savez(tmp_path / "c.npz", w=a.astype(np.complex64))
    plan, tensors, _, _ = compressed(
        tdecomp, tmp_path / "c.npz", "--rank", 3, "--dtype", "float16"
    )
    assert tensors["w.left"].dtype == np.complex64
    assert plan.records["w"].relative_error < 1e-5


def test_include_and_exclude_choose_the_tensors(tdecomp, source):
    plan, _, report, _ = compressed(
        tdecomp, source, "--rank", 2, "--include", "*.weight", "--exclude", "first*", "--exclude",
        "conv.*",
    )  # fmt: skip
    assert set(plan.records) == {"embeddings.word.weight", "second.weight", "flat.weight"}
    why = {entry["name"]: entry.get("why") for entry in report["tensors"]}
    assert why["first.weight"] == "not selected"


def test_a_tensor_that_is_left_out_may_hold_nan(tdecomp, tmp_path):
    a = np.ones((20, 20), np.float32)
    mask = np.triu(np.full((20, 20), -np.inf, np.float32))
    save_file({"weight": a, "mask": mask}, tmp_path / "m.safetensors")
    compressed(tdecomp, tmp_path / "m.safetensors", "--rank", 1, "--exclude", "mask")


@pytest.mark.parametrize("options", [["--keep", 0.5], ["--rank", 1], ["--rtol", 0.1]])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_zeros_and_extreme_scales(tdecomp, tmp_path, scale, options):
    rng = np.random.default_rng(0)
    a = np.outer(rng.standard_normal(40), rng.standard_normal(30)) * scale
    b = rng.standard_normal((40, 30)) @ np.diag(0.5 ** np.arange(30))
    save_file({"a": a.astype(np.float32), "b": b.astype(np.float32)}, tmp_path / "z.safetensors")
    plan, _, _, _ = compressed(tdecomp, tmp_path / "z.safetensors", *options)
    assert plan.records["a"].relative_error < 1e-5


def test_the_seed_decides_the_sketch(tdecomp, tmp_path):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((300, 280)).astype(np.float32)
    np.save(tmp_path / "a.npy", a)
    factors = []
    for seed in (0, 0, 1):
        *_, tensors, _, _ = compressed(tdecomp, tmp_path / "a.npy", "--rank", 4, "--seed", seed)
        factors.append(tensors["a.left"])
    assert np.array_equal(factors[0], factors[1])
    assert not np.array_equal(factors[0], factors[2])
    best = np.linalg.norm(np.linalg.svd(a, compute_uv=False)[4:]) / np.linalg.norm(a)
    plan, _, _, _ = compressed(tdecomp, tmp_path / "a.npy", "--rank", 4)
    assert best * (1 - 1e-5) <= plan.records["a"].relative_error <= best * 1.01


def test_every_kind_of_source_gives_the_same_factors(tdecomp, source, tmp_path, monkeypatch):
    tensors = load_file(source)
    np.savez(tmp_path / "model.npz", **tensors)
    shards = tmp_path / "shards"
    shards.mkdir()
    names = list(tensors)
    parts = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    for shard, part in parts.items():
        save_file({name: tensors[name] for name in part}, shards / shard)
    index = {"weight_map": {name: shard for shard, part in parts.items() for name in part}}
    (shards / "model.safetensors.index.json").write_text(json.dumps(index))
    package = tmp_path / "site" / "package_of_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('never imported')")
    (package / "model.safetensors").write_bytes(source.read_bytes())
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    expected = None
    for path in (
        source,
        source.parent,
        tmp_path / "model.npz",
        shards,
        shards / "model.safetensors.index.json",
        "pkg:package_of_weights/model.safetensors",
    ):
        run = tdecomp("compress", path, "--rank", 3, "--out", "small.safetensors", "--overwrite")
        assert (run.status, run.err) == (0, "")
        _, stored = check("small.safetensors", path)
        expected = expected or stored
        assert stored.keys() == expected.keys()
        for name, x in stored.items():
            np.testing.assert_array_equal(x, expected[name])


def test_an_npy_file_has_one_tensor_named_after_it(tdecomp, tmp_path):
    a = np.asfortranarray(np.outer(np.arange(1.0, 31), np.ones(20))).astype(">f8")
    np.save(tmp_path / "alone.npy", a)
    plan, _, _, _ = compressed(tdecomp, tmp_path / "alone.npy", "--rtol", 0.01)
    assert {name: record.rank for name, record in plan.records.items()} == {"alone": 1}


def test_a_dry_run_writes_nothing_and_tells_what_comes(tdecomp, source, tmp_path):
    run = tdecomp("compress", source, "--keep", 0.5, "--dry-run", "--out", "never.safetensors")
    assert (run.status, run.err) == (0, "")
    assert list(tmp_path.iterdir()) == []
    for word in ("numbers: ", "bytes: ", "multiply-adds", "would take about"):
        assert word in run.out
    tdecomp("compress", source, "--keep", 0.5, "--dry-run", "--report", "plan.json")
    planned = json.loads((tmp_path / "plan.json").read_text())
    _, _, report, _ = compressed(tdecomp, source, "--keep", 0.5)
    for unit in ("numbers", "bytes", "multiply_adds"):
        assert planned["totals"][unit] == report["totals"][unit]
    assert [e.get("rank") for e in planned["tensors"]] == [
        e.get("rank") for e in report["tensors"]
    ]


def test_a_plot_is_a_picture(tdecomp, source, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    run = tdecomp("compress", source, "--keep", 0.5, "--dry-run", "--plot", "p.png")
    assert (run.status, run.err) == (0, "")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
