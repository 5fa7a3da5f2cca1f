"""Tensor formats survive a file bit for bit, and damage to it is seen."""

import json

import numpy as np
import pytest

from tdecomp.chebyshev import ChebyshevTucker, evaluate, from_grid
from tdecomp.completion.robust import LowRankPlusSparse, principal_component_pursuit
from tdecomp.compress import Adapted, Affine, Allocation, soka
from tdecomp.cp import CP
from tdecomp.io import CheckpointError, load, open_checkpoint, save
from tdecomp.kronecker import KroneckerSum, butterfly, eigh, monarch
from tdecomp.linalg import SVD, LowRank
from tdecomp.ops import COO, coo
from tdecomp.testing import gaussian
from tdecomp.tt import TensorRing, TensorTrain
from tdecomp.tucker import Tucker

SUFFIXES = (".safetensors", ".npz")
BOX = np.array([[-1.0, 0.1], [2.0, 3.0]])


def examples(dtype="float64"):
    def draw(*shape):
        return gaussian(shape, dtype=dtype, rng=len(shape))

    def diagonal(*entries):
        return np.diag(entries).astype(dtype)[None]

    square = KroneckerSum(diagonal(1.0, 2.0), diagonal(3.0), (diagonal(-1.0, 0.5, 4.0),))
    return {
        "cp": CP(draw(2), (draw(3, 2), draw(4, 2), draw(5, 2))),
        "cp of one mode": CP(draw(2), (draw(3, 2),)),
        "tucker": Tucker(draw(2, 2, 2), (draw(3, 2), draw(4, 2), draw(5, 2))),
        "partial": Tucker(draw(3, 2, 5), (None, draw(4, 2), None)),
        "bare": Tucker(draw(3, 2), (None, None)),
        "train": TensorTrain((draw(1, 3, 2), draw(2, 4, 1))),
        "ring": TensorRing((draw(2, 3, 2), draw(2, 4, 2))),
        "kronecker": KroneckerSum(draw(2, 3, 4), draw(2, 5, 1)),
        "kronecker of three": KroneckerSum(draw(2, 3, 4), draw(2, 5, 1), (draw(2, 2, 2),)),
        "monarch": monarch(draw(6, 4), ((2, 2), (3, 2))).tensor,
        "butterfly": butterfly(draw(8, 8)).tensor,
        "eigh": eigh(square),
        "eigh with a metric": eigh(square, metric=square._replace(rest=(diagonal(1, 2, 3),))),
        "adapted": Adapted(draw(3, 4), LowRank(draw(3, 2), draw(2, 4))),
        "adapted by terms": Adapted(
            gaussian((6, 4), dtype="float32").astype("float16"),
            KroneckerSum(draw(2, 2, 2), draw(2, 3, 2)),
        ),
        "affine": Affine(draw(3, 2), draw(2, 4), draw(3)),
        "function": ChebyshevTucker(draw(2, 3), (draw(4, 2), draw(5, 3)), BOX),
        "function with a train": ChebyshevTucker(
            TensorTrain((draw(1, 2, 2), draw(2, 3, 1))), (draw(4, 2), draw(5, 3)), BOX
        ),
        "coo": coo([[0, 1, 1], [2, 0, 5]], draw(3), (7, 6)),
        "empty": COO(np.zeros((2, 0), np.int64), draw(2)[:0], (7, 6)),
        "robust": LowRankPlusSparse(
            SVD(draw(7, 2), np.ones(2, draw(1).real.dtype), draw(2, 6)),
            coo([[0, 1, 1], [2, 0, 5]], draw(3), (7, 6)),
        ),
        "robust without outliers": LowRankPlusSparse(
            LowRank(draw(7, 2), draw(2, 6)), COO(np.zeros((2, 0), np.int64), draw(2)[:0], (7, 6))
        ),
    }


def assert_same(found, expected):
    if isinstance(expected, np.generic):  # a single number comes back as an array
        expected = np.asarray(expected)
    assert type(found) is type(expected)
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()
    else:
        assert found == expected


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", examples())
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_a_format_comes_back(tmp_path, suffix, name, dtype):
    path, fmt = tmp_path / f"t{suffix}", examples(dtype)[name]
    save(path, fmt)
    assert_same(load(path), fmt)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_odd_comes_back(tmp_path, suffix):
    odd = np.array([-0.0, np.nan, np.inf, 5e-324])
    for core in (odd[:, None], np.asfortranarray(gaussian((4, 3))), odd.reshape(2, 2)[:, ::-1]):
        fmt = Tucker(core, (None, None))
        save(tmp_path / f"t{suffix}", fmt)
        found = load(tmp_path / f"t{suffix}")
        assert found.core.tobytes() == np.ascontiguousarray(core).tobytes()


def test_torch_tensors_are_saved_as_numpy(tmp_path):
    torch = pytest.importorskip("torch")
    fmt = examples()["cp"]
    moved = CP(torch.asarray(fmt.weights), tuple(map(torch.asarray, fmt.factors)))
    save(tmp_path / "t.npz", moved)
    assert_same(load(tmp_path / "t.npz"), fmt)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", examples())
def test_every_flipped_bit_of_the_data_is_seen(tmp_path, suffix, name):
    path, fmt = tmp_path / f"t{suffix}", examples()[name]
    save(path, fmt)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = load(path)
        except CheckpointError:
            continue
        assert_same(found, fmt)  # the bit meant nothing, as in the date of an archive's entry


@pytest.mark.parametrize("drop", ["weights", "factors.1", "factors.2"])
def test_a_missing_array_is_seen(tmp_path, drop):
    save(tmp_path / "t.npz", examples()["cp"])
    with open_checkpoint(tmp_path / "t.npz") as checkpoint:
        arrays = {name: array for name, array in checkpoint.items() if name != drop}
        metadata = {k: v for k, v in checkpoint.metadata.items() if k != "tdecomp.crc32"}
    np.savez(tmp_path / "u.npz", **arrays, __metadata__=np.asarray(json.dumps(metadata)))
    with pytest.raises(
        CheckpointError, match=r"CP has the fields \('weights', 'factors'\), found"
    ):
        load(tmp_path / "u.npz")


@pytest.mark.parametrize("layout", ["[]", "3", '{"factors": "x"}', '{"other": 2}', "{"])
def test_a_layout_that_lies_is_refused(tmp_path, layout):
    text = json.dumps({"tdecomp.class": "Tucker", "tdecomp.fields": layout})
    np.savez(tmp_path / "t.npz", core=np.ones(2), __metadata__=np.asarray(text))
    with pytest.raises(CheckpointError):
        load(tmp_path / "t.npz")


def test_an_adapter_computes_as_it_did(tmp_path):
    torch = pytest.importorskip("torch")
    adapted = soka(torch.asarray(gaussian((6, 4), dtype="float32")), ((2, 2), (3, 2)), rank=2)
    narrow = adapted._replace(residual=adapted.residual.to(torch.bfloat16))
    save(tmp_path / "t.safetensors", narrow)
    found = load(tmp_path / "t.safetensors")
    assert type(found.adapter) is KroneckerSum
    assert found.residual.dtype.name == "bfloat16"
    assert np.array_equal(found.to_array(), narrow.to_array().numpy())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_matrix_and_its_outliers_come_back(tmp_path, suffix):
    x = np.outer(np.arange(1.0, 9.0), np.ones(6))
    x[2, 3] = -100.0
    fmt = principal_component_pursuit(x).tensor
    save(tmp_path / f"t{suffix}", fmt)
    found, b = load(tmp_path / f"t{suffix}"), gaussian((6, 2))
    assert_same(found, fmt)
    assert np.array_equal(found.to_array(), fmt.to_array())
    assert np.array_equal(found @ b, fmt @ b)


@pytest.mark.parametrize("missing", ["low_rank.S", "sparse.shape", "sparse.indices"])
def test_a_part_that_lacks_an_array_is_refused(tmp_path, missing):
    save(tmp_path / "t.npz", examples()["robust"])
    with open_checkpoint(tmp_path / "t.npz") as checkpoint:
        arrays = {name: array for name, array in checkpoint.items() if name != missing}
        metadata = {k: v for k, v in checkpoint.metadata.items() if k != "tdecomp.crc32"}
    np.savez(tmp_path / "u.npz", **arrays, __metadata__=np.asarray(json.dumps(metadata)))
    with pytest.raises(CheckpointError, match=r"(SVD|COO) has the fields"):
        load(tmp_path / "u.npz")


def test_a_spectrum_solves_as_it_did(tmp_path):
    fmt = examples()["eigh with a metric"]
    save(tmp_path / "t.npz", fmt)
    found, b = load(tmp_path / "t.npz"), gaussian((6, 2))
    assert np.array_equal(found.solve(b, shift=20.0), fmt.solve(b, shift=20.0))
    assert found.logdet(shift=20.0) == fmt.logdet(shift=20.0)


@pytest.mark.parametrize(
    "parts",
    ["[]", "3", '{"adapter": "Other"}', '{"adapter": 3}', '{"other": "LowRank"}', "{}", "{"],
)
def test_parts_that_lie_are_refused(tmp_path, parts):
    text = json.dumps({"tdecomp.class": "Adapted", "tdecomp.parts": parts})
    arrays = {"residual": np.ones((2, 2)), "adapter.left": np.ones((2, 1))}
    arrays["adapter.right"] = np.ones((1, 2))
    np.savez(tmp_path / "t.npz", **arrays, __metadata__=np.asarray(text))
    with pytest.raises(CheckpointError):
        load(tmp_path / "t.npz")
    text = json.dumps({"tdecomp.class": "Adapted", "tdecomp.parts": '{"adapter": "LowRank"}'})
    np.savez(tmp_path / "t.npz", **arrays, __metadata__=np.asarray(text))
    assert load(tmp_path / "t.npz").shape == (2, 2)


def test_a_fit_is_saved_by_its_tensor(tmp_path):
    fit = monarch(gaussian((6, 4)), ((2, 2), (3, 2)))
    with pytest.raises(TypeError, match="got Fit; of a fit pass its tensor"):
        save(tmp_path / "t.npz", fit)
    with pytest.raises(TypeError, match="got Allocation"):
        save(tmp_path / "t.npz", Allocation((1,), 2, 0.1, 0.1))


def test_files_without_a_checksum_are_still_read(tmp_path):
    text = json.dumps({"tdecomp.class": "LowRank"})
    left, right = np.ones((3, 1)), np.ones((1, 2))
    np.savez(tmp_path / "t.npz", left=left, right=right, __metadata__=np.asarray(text))
    assert_same(load(tmp_path / "t.npz"), LowRank(left, right))


def test_a_function_has_the_values_it_had(tmp_path):
    f = from_grid(gaussian((5, 4)), ((0, 1 / 3), (-2, 2)))
    save(tmp_path / "t.safetensors", f)
    found, x = load(tmp_path / "t.safetensors"), [[0.2, -1.3], [1 / 3, 2.0]]
    assert np.array_equal(evaluate(found, x), evaluate(f, x))
    assert found.domain.tolist() == f.domain.tolist()
    save(tmp_path / "t.npz", f._replace(domain=((0, 1 / 3), (-2, 2)), factors=list(f.factors)))
    assert load(tmp_path / "t.npz").domain.tolist() == f.domain.tolist()


def test_what_is_no_function_is_not_saved(tmp_path):
    f = from_grid(gaussian((5, 4)))
    with pytest.raises(ValueError, match=r"fmt.core .*NaN"):
        save(tmp_path / "t.npz", f._replace(core=f.core * np.nan))
    with pytest.raises(ValueError, match="columns for a core"):
        save(tmp_path / "t.npz", f._replace(core=f.core[1:]))
    assert not list(tmp_path.iterdir())
