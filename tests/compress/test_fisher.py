"""The factors of the Fisher information are those of the gradients, formed or not."""

import numpy as np
import pytest

from tdecomp.compress import Fisher, TokenCounts, _fisher


def draw(seed, shape, dtype="float64"):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def metrics(fisher, xp):
    """The two metrics that the weights stand for, as NumPy arrays."""
    left, right = xp.to_numpy(fisher.left()), xp.to_numpy(fisher.right())
    left = np.diag(left) if left.ndim == 1 else left
    return left.conj().T @ left, right @ right.conj().T


@pytest.mark.parametrize("shape", [(1, 3, 4), (5, 4, 2), (6, 1, 1)])
@pytest.mark.when_compiled(shape=(5, 4, 2))
def test_the_weights_are_roots_of_the_second_moments(xp, dtype, shape):
    g = draw(0, shape, dtype)
    count = shape[0]
    rows, columns = metrics(Fisher.of(xp.asarray(g)), xp)
    tol = 200 * np.finfo(dtype).eps * np.sum(np.abs(g) ** 2)
    assert np.allclose(
        rows * np.sum(np.abs(g) ** 2), np.einsum("dij,dkj->ik", g, g.conj()), atol=tol
    )
    assert np.allclose(columns * count, np.einsum("dji,djk->ik", g.conj(), g), atol=tol)


@pytest.mark.parametrize("shape", [(3, 2, 5, 4), (2, 6, 3, 5), (1, 1, 1, 3)])
@pytest.mark.when_compiled(shape=(3, 2, 5, 4))
def test_gradients_of_a_layer_are_products(xp, dtype, shape, monkeypatch):
    count, tokens, m, n = shape
    x, g = draw(0, (count, tokens, n), dtype), draw(1, (count, tokens, m), dtype)
    monkeypatch.setattr(_fisher, "_BLOCK_ENTRIES", 2 * m * n)
    formed = np.einsum("dti,dtj->dij", g, x.conj())
    scale = np.sum(np.abs(x) ** 2) * np.sum(np.abs(g) ** 2)
    a = metrics(Fisher.of_linear(xp.asarray(x), xp.asarray(g)), xp)
    b = metrics(Fisher.of(xp.asarray(formed)), xp)
    total = np.sum(np.abs(formed) ** 2)
    tol = 300 * np.finfo(dtype).eps * scale
    assert np.allclose(a[0] * total, b[0] * total, atol=tol)
    assert np.allclose(a[1], b[1], atol=tol)


@pytest.mark.parametrize(("count", "tokens"), [(1, 1), (3, 7)])
def test_an_embedding_is_a_layer_of_unit_vectors(xp, count, tokens):
    size, n = 5, 3
    ids = np.random.default_rng(0).integers(0, size, (count, tokens))
    g = draw(0, (count, tokens, n))
    gradients = np.einsum("dtv,dtn->dvn", np.eye(size)[ids], g)
    found = Fisher.of_embedding(xp.asarray(ids), xp.asarray(g), size=size)
    dense = Fisher.of(xp.asarray(gradients))
    assert found.shape == dense.shape == (size, n)
    assert np.allclose(metrics(found, xp)[1], metrics(dense, xp)[1])
    assert np.allclose(xp.to_numpy(found.row_scale()), xp.to_numpy(dense.row_scale()))


def test_shards_may_be_merged(xp):
    g = draw(0, (7, 4, 3))
    whole = Fisher.of(xp.asarray(g))
    merged = Fisher.of(xp.asarray(g[:2])).merge(Fisher.of(xp.asarray(g[2:])))
    assert merged.n_examples == 7
    assert all(map(np.allclose, metrics(whole, xp), metrics(merged, xp)))
    ids = np.array([[0, 1, 1], [3, 3, 3]])
    g = draw(1, (2, 3, 4))
    parts = [
        Fisher.of_embedding(xp.asarray(ids[k : k + 1]), xp.asarray(g[k : k + 1]), size=5)
        for k in (0, 1)
    ]
    whole = Fisher.of_embedding(xp.asarray(ids), xp.asarray(g), size=5)
    assert all(map(np.allclose, metrics(whole, xp), metrics(parts[0].merge(parts[1]), xp)))


def test_the_form_has_the_trace_of_the_information(xp):
    g = draw(0, (7, 4, 3))
    fisher = Fisher.of(xp.asarray(g))
    left, right = xp.to_numpy(fisher.left()), xp.to_numpy(fisher.right())
    assert np.sum(left**2) * np.sum(right**2) == pytest.approx(np.sum(g**2) / 7)
    # The diagonals, too, have it: they are means over a row or a column of the matrix.
    assert 4 * np.sum(xp.to_numpy(fisher.column_scale()) ** 2) == pytest.approx(np.sum(g**2) / 7)
    assert 3 * np.sum(xp.to_numpy(fisher.row_scale()) ** 2) == pytest.approx(np.sum(g**2) / 7)


def test_one_direction_of_gradients_is_met_exactly():
    # All gradients are multiples of one matrix G of rank one: the form is <G, D>^2.
    u, v = draw(0, 4), draw(1, 3)
    fisher = Fisher.of(np.array([2.0, -1.0, 0.5])[:, None, None] * np.outer(u, v))
    d = draw(2, (4, 3))
    form = np.sum((fisher.left() @ d @ fisher.right()) ** 2)
    assert form == pytest.approx((u @ d @ v) ** 2 * (4 + 1 + 0.25) / 3)


def test_batch_means_are_another_thing():
    g = draw(0, (8, 3, 3))
    assert Fisher.of(g.mean(axis=0)).column_scale().sum() < Fisher.of(g).column_scale().sum() / 2


def test_padding_does_not_count(xp):
    x, g = draw(0, (2, 4, 3)), draw(1, (2, 4, 5))
    g[:, 2:] = 0
    padded = Fisher.of_linear(xp.asarray(x), xp.asarray(g))
    short = Fisher.of_linear(xp.asarray(x[:, :2]), xp.asarray(g[:, :2]))
    assert all(map(np.allclose, metrics(padded, xp), metrics(short, xp)))


@pytest.mark.parametrize("scale", [0.0, 1e-290, 1e290])
def test_any_scale_is_fine(xp, scale):
    g = draw(0, (3, 2, 4)) * scale
    assert np.all(np.isfinite(xp.to_numpy(Fisher.of(xp.asarray(g)).left())))
    ids = xp.asarray(np.array([[0, 1], [2, 2], [1, 1]]))
    fisher = Fisher.of_embedding(ids, xp.asarray(g), size=3)
    if scale:
        plain = Fisher.of_embedding(ids, xp.asarray(g / scale), size=3)
        for a, b in ((fisher.rows, plain.rows), (fisher.right(), plain.right())):
            assert np.allclose(np.abs(xp.to_numpy(a)) / scale, np.abs(xp.to_numpy(b)))
    else:
        assert not np.any(xp.to_numpy(fisher.left()))


def test_factors_survive_arrays(xp):
    fisher = Fisher.of(xp.asarray(draw(0, (3, 4, 2))))
    back = Fisher.from_arrays(fisher.to_arrays())
    assert back.n_examples == 3
    assert all(map(np.array_equal, metrics(back, xp), metrics(fisher, xp)))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"\(N, T, n\) and \(N, T, m\)"):
        Fisher.of_linear(np.ones((2, 3, 4)), np.ones((2, 4, 4)))
    with pytest.raises(ValueError, match="ids must have shape"):
        Fisher.of_embedding(np.zeros((2, 2), int), np.ones((2, 3, 4)), size=5)
    with pytest.raises(ValueError, match="gradients has 1 non-finite"):
        Fisher.of(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="shape"):
        Fisher.of(np.ones((2, 3))).merge(Fisher.of(np.ones((3, 3))))
    with pytest.raises(ValueError, match="missing"):
        Fisher.from_arrays({})
    with pytest.raises(ValueError, match="rows and columns"):
        Fisher.from_arrays(
            {"n_examples": np.asarray(1), "rows": np.ones(3), "columns": np.ones(3)}
        )


@pytest.mark.parametrize("cut", [0, 2, 5])
def test_tokens_are_counted(xp, cut):
    ids = np.array([3, 0, 6, 3, 3])
    counts = TokenCounts.of(xp.asarray(ids[:cut]), size=7).update(xp.asarray(ids[cut:]))
    assert np.array_equal(xp.to_numpy(counts.counts), np.bincount(ids, minlength=7))
    left = xp.to_numpy(counts.left(floor=0.25))
    expected = np.bincount(ids, minlength=7) + 0.25
    assert np.allclose(left**2, expected / expected.sum())
    back = TokenCounts.from_arrays(counts.to_arrays())
    assert np.array_equal(xp.to_numpy(back.counts), xp.to_numpy(counts.counts))


def test_bad_tokens_are_refused():
    with pytest.raises(ValueError, match="between 0 and 4, got -1 to 3"):
        TokenCounts.of([-1, 3], size=5)
    with pytest.raises(ValueError, match="between 0 and 4, got 0 to 5"):
        TokenCounts.of([0, 5], size=5)
    with pytest.raises(TypeError, match="integers"):
        TokenCounts.of([0.5], size=5)
    with pytest.raises(ValueError, match="size"):
        TokenCounts.of([0], size=0)
    with pytest.raises(ValueError, match="sizes 2 and 3"):
        TokenCounts.of([0], size=2).merge(TokenCounts.of([0], size=3))
    empty = TokenCounts.of(np.zeros(0, int), size=2)
    assert np.allclose(empty.left() ** 2, 0.5)
    with pytest.raises(ValueError, match="floor > 0"):
        empty.left(floor=0)
    with pytest.raises(ValueError, match="floor must be"):
        empty.left(floor=-1)
    with pytest.raises(ValueError, match="counts"):
        TokenCounts.from_arrays({})
