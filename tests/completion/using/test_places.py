"""Places in a completed matrix: indices of any integers, columns to choose from."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.completion import predict, top_n, unseen


def wide(xp=np, m=300, n=400):
    """Return a matrix of rank one whose entries tell their places."""
    left, right = np.arange(m, dtype=np.float64)[:, None], np.arange(n, dtype=np.float64)[None, :]
    return td.LowRank(xp.asarray(left), xp.asarray(right / 1024))


def narrow(xp, values, dtype):
    """Return integers of few bits in a library."""
    return xp.asarray(np.asarray(values, dtype))


def test_integers_of_few_bits_count_to_the_end_of_a_mode_on_every_library(xp):
    z = wide(xp)
    found = predict(z, narrow(xp, [[255], [3]], "uint8"), narrow(xp, [127, -128], "int8"))
    expected = np.outer([255, 3], [127, 272]) / 1024
    np.testing.assert_allclose(xp.to_numpy(found), expected, rtol=1e-6)
    rows = top_n(z, 2, rows=narrow(xp, [-1, 100], "int8"), columns=narrow(xp, [255], "uint8"))
    assert xp.to_numpy(rows.indices).tolist() == [[255, -1], [255, -1]]


def test_the_largest_unsigned_integer_is_no_place_from_the_end():
    with pytest.raises(ValueError, match="rows has an index outside of -300"):
        predict(wide(), np.asarray([2**64 - 1], np.uint64), 0)


def test_columns_to_choose_from_are_the_best_of_the_matrix_cut_to_them(xp):
    if xp.name == "jax":
        pytest.skip("nothing of JAX's own: its compiling takes seconds")
    rng = np.random.default_rng(0)
    parts = [np.round(rng.standard_normal(s)) for s in ((6, 2), (2, 9), (), (6,), (9,))]
    seen = rng.random((6, 9)) < 0.4
    z = td.Completion(*(xp.asarray(part) for part in parts))
    chosen = [7, 2, -9, 2, 4]
    dense = np.where(seen, -np.inf, xp.to_numpy(z.to_array()))
    found = top_n(z, 5, rows=[4, 0, 2], columns=chosen, exclude=seen)
    for row, i in enumerate([4, 0, 2]):
        order = [
            j for j in sorted({7, 2, 0, 4}, key=lambda j: (-dense[i, j], j)) if not seen[i, j]
        ]
        expected = order + [-1] * (5 - len(order))
        assert xp.to_numpy(found.indices)[row].tolist() == expected
        np.testing.assert_allclose(xp.to_numpy(found.scores)[row, : len(order)], dense[i, order])


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_the_best_of_many_columns_are_found_by_groups_as_by_sorting(n):
    rng = np.random.default_rng(n)
    scores = np.round(4 * rng.standard_normal((9, 500)))  # with ties across groups
    scores[3] = -1.0
    seen = rng.random((9, 500)) < 0.2
    seen[4], seen[4, [77, 490]] = True, False
    found = top_n(td.LowRank(np.eye(9), scores), n, exclude=seen)
    for row, line in enumerate(scores):
        order = np.argsort(-line, stable=True)
        best = [int(j) for j in order if not seen[row, j]][:n]
        assert found.indices[row].tolist() == best + [-1] * (n - len(best))
        np.testing.assert_array_equal(found.scores[row, : len(best)], line[best])


def test_of_no_columns_none_is_best():
    assert top_n(wide(), 2, rows=[0], columns=[]).indices.tolist() == [[-1, -1]]
    nothing = td.LowRank(np.zeros((2, 1)), np.zeros((1, 0)))
    assert top_n(nothing, 3).indices.tolist() == [[-1] * 3] * 2


def test_a_matrix_of_rank_zero_says_its_offsets():
    z = td.LowRank(np.zeros((3, 0)), np.zeros((0, 4)))
    assert predict(z, [0, 2], [1, 3]).tolist() == [0.0, 0.0]
    assert top_n(z, 2).indices.tolist() == [[0, 1]] * 3


def test_factors_may_be_lists_or_integers():
    z = td.LowRank([[1, 2], [3, 4]], [[1, 0, 2], [0, 1, 1]])
    assert predict(z, [1, 0], [2, 1]).tolist() == [10.0, 2.0]
    assert predict(z, 1, 2).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda z: predict(z, slice(3), 0), TypeError, "rows must be integers, got object"),
        (lambda z: predict(z, [[1], [1, 2]], 0), TypeError, "rows must be integers: "),
        (lambda z: predict(z, 0, [True]), TypeError, "columns must be integers, got bool"),
        (lambda z: top_n(z, 1, rows=3), TypeError, "rows must be a 1-d array of ints"),
        (lambda z: top_n(z, 1, columns=[400]), ValueError, "columns has an index outside"),
        (lambda z: top_n(z, 1, exclude=np.eye(300, 400, dtype=int)), TypeError, "exclude != 0"),
        (
            lambda z: predict(td.LowRank(z.left, z.right.T), 0, 0),
            ValueError,
            r"model has parts that do not fit together, of shapes \(300, 1\), \(400, 1\)",
        ),
        (
            lambda z: predict(td.Completion(*z, np.array(0.0), np.ones(2), np.ones(400)), 0, 0),
            ValueError,
            "do not fit together",
        ),
    ],
)
def test_what_is_no_place_or_no_model_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(wide())


def test_indices_of_another_library_than_the_model_are_refused():
    torch = pytest.importorskip("torch")
    for call in (lambda i: predict(wide(), i, 0), lambda i: top_n(wide(), 1, rows=i)):
        with pytest.raises(TypeError, match="all arrays must come from one library"):
            call(torch.asarray([1, 2]))


def test_of_a_table_of_weight_zero_everything_is_unseen():
    rows, columns = unseen(np.ones((2, 3)), weights=np.zeros((2, 3)))
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [0, 1, 2])
    where = np.asarray([[True, False, False], [False, False, False]])
    assert [part.tolist() for part in unseen(where)] == [[1], [1, 2]]
