"""What is refused, and whether the way out that is told is one."""

import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp import completion
from tdecomp.completion import Inductive, fold_in, implicit_als, inductive, predict, top_n
from tdecomp.io import CheckpointError, load, save

Z = td.LowRank(np.ones((4, 1)), np.ones((1, 3)))
BOTH = Inductive(
    np.ones((4, 2)), np.ones((2, 1)), np.ones((1, 3)), np.ones((5, 3)), np.ones((4, 1)),
    np.ones((1, 5)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (Z, r"'random' or a Completion, got LowRank; .*Completion\(\*init, mean, "),
        (td.Fit(Z, 0.0, 1, td.Status.CONVERGED), "got Fit; pass its tensor"),
        (np.ones((400, 300)), "got ndarray"),
        (None, "got NoneType"),
    ],
)
def test_a_start_of_another_kind_is_named_and_not_printed(init, message):
    with pytest.raises(TypeError, match=message) as caught:
        td.complete(np.ones((4, 3)), rank=1, init=init)
    assert len(str(caught.value)) < 200


def test_the_way_out_for_factors_to_start_from_is_one():
    x = np.outer(np.arange(1.0, 5), [1.0, 2, 4])
    start = td.Completion(*Z, np.zeros(()), np.zeros(4), np.zeros(3))
    assert td.complete(x, rank=1, init=start).error < 1e-12


@pytest.mark.parametrize("name", ["residual_left", "residual_right"])
def test_half_a_residual_is_refused_wherever_it_is_used_and_loaded(name, tmp_path):
    half = BOTH._replace(**{name: None})
    uses = (
        lambda: half.rank,
        lambda: half.lowrank,
        half.to_array,
        lambda: half.to_array(slice(2)),
        lambda: half @ np.ones(5),
        lambda: predict(half, 0, 0),
        lambda: top_n(half, 1),
    )
    for use in uses:
        with pytest.raises(ValueError, match=f"{name} is None and the other residual is not"):
            use()
    path = tmp_path / "half.npz"
    save(path, half)
    with pytest.raises(CheckpointError, match="Inductive has the fields"):
        load(path)
    assert half.explained.rank == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"left": np.ones((3, 1))},
        {"right": np.ones((2, 3))},
        {"column_features": np.ones((5, 2))},
        {"residual_left": np.ones((3, 1))},
        {"residual_right": np.ones((2, 5))},
        {"row_features": np.ones(4)},
    ],
)
def test_parts_of_features_that_do_not_fit_together_are_refused(wrong):
    for use in (lambda z: predict(z, 0, 0), lambda z: top_n(z, 1)):
        with pytest.raises(ValueError, match="model has parts that do not fit together"):
            use(BOTH._replace(**wrong))


def test_features_may_be_lists_or_integers():
    z = Inductive([[1, 2], [0, 1]], [[1], [1]], [[2, 1]], [[1, 0], [0, 1], [1, 1]])
    np.testing.assert_array_equal(top_n(z, 1).scores, [[9.0], [3.0]])
    assert predict(z, 0, 2) == 9.0


@pytest.mark.parametrize("held", [scipy.sparse.coo_array, np.asarray])
def test_an_infinite_entry_is_told_how_it_is_left_out(held):
    x = np.ones((4, 3))
    x[2, 1] = np.inf
    calls = (
        lambda: td.complete(held(x), rank=1),
        lambda: implicit_als(held(x), rank=1),
        lambda: fold_in(Z, held(x)),
        lambda: completion.variational_als(held(x), rank=1),
        lambda: inductive(held(x), np.ones((4, 1)), np.ones((3, 1)), rank=1),
    )
    message = r"first at x\[2, 1\]; .* NaN in an array, .* store it$"
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()
    td.complete(np.where(np.isinf(x), np.nan, x), rank=1)


def test_a_model_that_is_no_number_is_refused_where_it_is_solved_with():
    x = np.ones((4, 3))
    calls = {
        "right": lambda z: fold_in(z, x),
        "left": lambda z: fold_in(z, x, mode="columns"),
        "both": lambda z: completion.variance(z, x, 0, 0, noise=1.0),
    }
    for part in ("left", "right"):
        for bad in (np.nan, np.inf):
            wrong = Z._replace(**{part: bad * getattr(Z, part)})
            for call in (calls[part], calls["both"]):
                with pytest.raises(ValueError, match=r"model has .* non-finite"):
                    call(wrong)
            with pytest.raises(ValueError, match=r"model has .* non-finite"):
                fold_in(wrong, x, alpha=1.0, mode="rows" if part == "right" else "columns")


def test_learnt_penalties_start_from_no_other_fit():
    with pytest.raises(TypeError, match="init must be 'spectral' or 'random', got LowRank"):
        completion.variational_als(np.ones((4, 3)), rank=1, init=Z)


def test_penalties_that_leave_the_range_of_numbers_are_refused():
    x = np.outer(np.arange(1.0, 5), [1.0, 2, 4])
    for scale, weight in ((1e300, 1e200), (1e-300, 1e-200)):
        with pytest.raises(ValueError, match="pass weights of another unit"):
            completion.soft_impute_path(scale * x, rank=1, weights=np.full(x.shape, weight))


def test_weights_are_no_way_out_for_what_takes_none():
    x, bad = np.ones((4, 3)), np.full((4, 1), np.nan)
    calls = {
        "row_features": lambda: inductive(x, bad, np.ones((3, 1)), rank=1),
        "model": lambda: fold_in(td.LowRank(bad, np.ones((1, 3))), x, mode="columns"),
        "weights": lambda: td.complete(x, rank=1, weights=bad),
        "init.left": lambda: implicit_als(x, rank=1, init=td.LowRank(bad, np.ones((1, 3)))),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=rf"{name} has \d+ non-finite") as caught:
            call()
        assert "weights=" not in str(caught.value)
    with pytest.raises(ValueError, match="a method that takes weights="):
        td.truncated_svd(bad, rank=1)
