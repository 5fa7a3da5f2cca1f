"""Every method attains the least error in its own norm, and methods that should agree do."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import compress
from tdecomp.compress import Calibration, Fisher, Statistics, TokenCounts, Weights

M, N, TOKENS = 9, 7, 40


def problem(seed=0, m=M, n=N, tokens=TOKENS):
    """A layer, inputs of uneven size with a mean, gradients of its weight by example."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((m, n))
    mix = rng.standard_normal((n, n)) * np.geomspace(1, 0.03, n)
    x = rng.standard_normal((tokens, n)) @ mix + rng.standard_normal(n)
    gradients = np.einsum(
        "dti,dtj->dij", rng.standard_normal((20, 3, m)), rng.standard_normal((20, 3, n)) @ mix
    )
    return w, x, gradients


def statistics(x, gradients, xp):
    return Statistics(
        inputs=Calibration.of(xp.asarray(x)), fisher=Fisher.of(xp.asarray(gradients))
    )


def tail(s, rank):
    return np.linalg.norm(s[rank:])


@pytest.mark.parametrize("method", compress.METHODS)
@pytest.mark.parametrize("rank", [1, 4, N])
def test_the_error_is_the_tail(xp, method, rank):
    w, x, gradients = problem()
    weights = statistics(x, gradients, xp).weights(method)
    s = xp.to_numpy(weights.spectrum(xp.asarray(w)))
    error = weights.error(xp.asarray(w), weights.fit(xp.asarray(w), rank=rank))
    assert float(error) == pytest.approx(tail(s, rank), rel=1e-10, abs=1e-13 * s[0])


@pytest.mark.parametrize("method", compress.METHODS)
@given(seed=st.integers(0, 999), rank=st.integers(1, N - 1))
def test_no_other_matrix_of_the_rank_is_closer(method, seed, rank):
    w, x, gradients = problem(seed)
    weights = statistics(x, gradients, NumPy).weights(method)
    best = float(weights.error(w, weights.fit(w, rank=rank)))
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((M, rank)))
    rivals = [compress.svd(w, rank=rank), td.LowRank(q, q.T @ w)]
    optimum = weights.fit(w, rank=rank)
    nudge = 1e-3 * rng.standard_normal(optimum.left.shape)
    rivals.append(optimum._replace(left=optimum.left + nudge))
    assert all(best <= float(weights.error(w, rival)) + 1e-12 for rival in rivals)


@given(seed=st.integers(0, 999), rank=st.integers(1, N - 1))
def test_svd_llm_has_the_best_outputs_of_all(seed, rank):
    w, x, gradients = problem(seed)
    outputs = {}
    for method in compress.METHODS:
        weights = statistics(x, gradients, NumPy).weights(method)
        outputs[method] = np.linalg.norm((w - weights.fit(w, rank=rank).to_array()) @ x.T)
    assert outputs["svd_llm"] <= min(outputs.values()) + 1e-12
    s = np.linalg.svd(w @ x.T, compute_uv=False)
    assert outputs["svd_llm"] == pytest.approx(tail(s, rank), rel=1e-9)


def test_svd_llm_is_one_projection_however_it_is_computed():
    w, x, _ = problem()
    rank = 3
    found = compress.svd_llm(w, Calibration.of(x), rank=rank).to_array()
    u = np.linalg.svd(w @ x.T)[0][:, :rank]
    lower = np.linalg.cholesky(x.T @ x)  # version 1
    a, s, b = np.linalg.svd(w @ lower)
    first = (a[:, :rank] * s[:rank]) @ b[:rank] @ np.linalg.inv(lower)
    values, vectors = np.linalg.eigh(x.T @ x)  # version 2
    root = vectors * np.sqrt(values)
    a, s, b = np.linalg.svd(w @ root)
    second = (a[:, :rank] * s[:rank]) @ b[:rank] @ np.linalg.inv(root)
    for other in (u @ u.T @ w, first, second):
        assert np.allclose(found, other, atol=1e-8)


def test_without_information_every_method_is_plain_truncation(xp):
    w, x, _ = problem()
    w, rank = xp.asarray(w), 3
    plain = xp.to_numpy(compress.svd(w, rank=rank).to_array())
    white = Calibration.of(xp.asarray(np.concatenate([np.eye(N), -np.eye(N)])))
    constant = Fisher.of(xp.asarray(np.eye(M * N).reshape(-1, M, N)))
    same = [
        compress.asvd(w, Calibration.of(xp.asarray(x)), alpha=0.0, rank=rank),
        compress.svd_llm(w, white, rank=rank),
        compress.fwsvd(w, constant, rank=rank),
        compress.gfwsvd(w, constant, rank=rank),
        compress.afm(w, white, rank=rank).weight,
    ]
    for other in same:
        assert np.allclose(xp.to_numpy(other.to_array()), plain, atol=1e-10)


def test_the_functions_are_the_norms_of_the_statistics(xp):
    w, x, gradients = problem()
    known, w = statistics(x, gradients, xp), xp.asarray(w)
    functions = {
        "svd": compress.svd(w, rank=3),
        "asvd": compress.asvd(w, known.inputs, alpha=0.7, rank=3),
        "svd_llm": compress.svd_llm(w, known.inputs, rank=3),
        "afm": compress.afm(w, known.inputs, rank=3).weight,
        "fwsvd": compress.fwsvd(w, known.fisher, rank=3),
        "gfwsvd": compress.gfwsvd(w, known.fisher, rank=3),
    }
    assert tuple(sorted(functions)) == tuple(sorted(compress.METHODS))
    for method, lowrank in functions.items():
        other = known.weights(method, alpha=0.7).fit(w, rank=3)
        assert np.array_equal(xp.to_numpy(lowrank.to_array()), xp.to_numpy(other.to_array()))


class TestAFM:
    """Principal components of the outputs."""

    def test_it_is_the_best_affine_map(self, xp):
        w, x, _ = problem()
        b = np.arange(float(M))
        layer = compress.afm(
            xp.asarray(w), Calibration.of(xp.asarray(x)), bias=xp.asarray(b), rank=3
        )
        y = x @ w.T + b
        error = np.linalg.norm(y - xp.to_numpy(layer(xp.asarray(x))))
        s = np.linalg.svd(y - y.mean(0), compute_uv=False)
        assert error == pytest.approx(tail(s, 3), rel=1e-10)

    def test_even_others_with_their_best_bias_are_no_better(self):
        w, x, _ = problem()
        calibration = Calibration.of(x)
        best = np.linalg.norm(x @ w.T - compress.afm(w, calibration, rank=3)(x))
        for other in (compress.svd(w, rank=3), compress.svd_llm(w, calibration, rank=3)):
            gap = x @ (w - other.to_array()).T
            assert best <= np.linalg.norm(gap - gap.mean(0)) + 1e-12

    def test_a_constant_in_the_inputs_costs_nothing(self):
        w, x, _ = problem()
        moved = x + 1e4 * np.arange(N)
        a, b = (compress.afm(w, Calibration.of(z), rank=3)(z) - z @ w.T for z in (x, moved))
        assert np.allclose(a, b, atol=1e-6)

    def test_full_rank_is_exact(self):
        w, x, _ = problem()
        layer = compress.afm(w, Calibration.of(x), bias=np.ones(M), rank=N)
        assert np.allclose(layer(x), x @ w.T + 1)
        assert (layer.rank, layer.dtype) == (N, np.dtype(float))

    def test_one_input_is_put_into_the_bias(self):
        w, x, _ = problem()
        assert np.allclose(compress.afm(w, Calibration.of(x[:1]), rank=1)(x[:1]), x[:1] @ w.T)

    def test_a_bias_of_another_length_is_refused(self):
        w, x, _ = problem()
        with pytest.raises(ValueError, match=r"bias must have shape \(9,\), got \(7,\)"):
            compress.afm(w, Calibration.of(x), bias=np.zeros(N), rank=1)


class TestDegenerate:
    """What is singular, zero or short has an answer too."""

    def test_fewer_tokens_than_inputs(self, xp):
        w, x, _ = problem(tokens=3)
        small = compress.svd_llm(xp.asarray(w), Calibration.of(xp.asarray(x)), rank=5)
        assert np.allclose(xp.to_numpy(small.to_array()) @ x.T, w @ x.T, atol=1e-12)

    @pytest.mark.parametrize("method", compress.METHODS)
    def test_dead_channels(self, method):
        w, x, gradients = problem()
        x[:, 2] = gradients[:, :, 2] = gradients[:, 4] = 0
        weights = statistics(x, gradients, NumPy).weights(method)
        small = weights.fit(w, rank=3)
        assert np.all(np.isfinite(small.left))
        assert np.all(np.isfinite(small.right))
        if method != "svd":
            # What a dead channel holds changes nothing for the others.
            moved = w.copy()
            moved[:, 2] += 100.0
            alive = np.arange(N) != 2
            other = weights.fit(moved, rank=3)
            assert np.allclose(small.to_array()[:, alive], other.to_array()[:, alive])

    @pytest.mark.parametrize("method", compress.METHODS)
    def test_nothing_known_and_nothing_there(self, xp, method):
        zeros = statistics(np.zeros((4, N)), np.zeros((4, M, N)), xp).weights(method)
        w, _, _ = problem()
        small = zeros.fit(xp.asarray(w), rank=2)
        assert np.all(np.isfinite(xp.to_numpy(small.to_array())))
        if method != "svd":
            assert not np.any(xp.to_numpy(zeros.spectrum(xp.asarray(w))))
        x, gradients = problem()[1:]
        weights = statistics(x, gradients, xp).weights(method)
        nothing = weights.fit(xp.asarray(np.zeros((M, N))), rank=2)
        assert not np.any(xp.to_numpy(nothing.to_array()))

    @pytest.mark.parametrize("method", compress.METHODS)
    @pytest.mark.parametrize("scale", [1e-200, 1e200])
    def test_any_scale(self, method, scale):
        w, x, gradients = problem()
        plain = statistics(x, gradients, NumPy).weights(method)
        scaled = statistics(x * scale, gradients * scale, NumPy).weights(method)
        expected, found = plain.fit(w, rank=3).to_array(), scaled.fit(w, rank=3).to_array()
        assert np.allclose(expected, found)
        unit = 1.0 if method == "svd" else scale**0.5 if method == "asvd" else scale
        assert np.allclose(scaled.spectrum(w) / unit, plain.spectrum(w))

    def test_half_precision_comes_back_in_single(self):
        w, x, gradients = problem()
        known = statistics(x, gradients, NumPy)
        for method in compress.METHODS:
            small = known.weights(method).fit(w.astype(ml_dtypes.bfloat16), rank=3)
            assert small.left.dtype == small.right.dtype == np.float32

    def test_the_precision_is_that_of_the_weights(self, xp, dtype):
        w, x, gradients = problem()
        w = xp.asarray(w, dtype)
        known = statistics(x, gradients, xp)  # in double precision
        for method in compress.METHODS:
            assert known.weights(method).fit(w, rank=3).dtype == w.dtype

    def test_complex_layers(self):
        rng = np.random.default_rng(0)
        w, x = (rng.standard_normal((2, rows, 5)) for rows in (6, 30))
        w, x = w[0] + 1j * w[1], x[0] + 1j * x[1]
        small = compress.svd_llm(w, Calibration.of(x), rank=2).to_array()
        s = np.linalg.svd(w @ x.T, compute_uv=False)
        assert np.linalg.norm((w - small) @ x.T) == pytest.approx(tail(s, 2))


@given(seed=st.integers(0, 99))
def test_turning_the_outputs_turns_the_answer(seed):
    w, x, gradients = problem(seed)
    q, _ = np.linalg.qr(np.random.default_rng(seed + 1).standard_normal((M, M)))
    for method in ("svd", "asvd", "svd_llm", "afm", "fwsvd"):
        weights = statistics(x, gradients, NumPy).weights(method)
        turned = weights.fit(q @ w, rank=3).to_array()
        assert np.allclose(q @ weights.fit(w, rank=3).to_array(), turned, atol=1e-8)


def test_rtol_is_a_guarantee_in_the_norm_of_the_method():
    w, x, _ = problem()
    calibration = Calibration.of(x)
    small = compress.svd_llm(w, calibration, rtol=0.1)
    ratio = np.linalg.norm((w - small.to_array()) @ x.T) / np.linalg.norm(w @ x.T)
    assert ratio <= 0.1
    fewer = compress.svd_llm(w, calibration, rank=small.rank - 1)
    assert np.linalg.norm((w - fewer.to_array()) @ x.T) / np.linalg.norm(w @ x.T) > 0.1


def test_the_factor_beats_the_second_moments_in_single_precision():
    # Condition 1e6: what the published algorithms make of float32 second moments.
    rng = np.random.default_rng(0)
    n, tokens, rank = 60, 400, 30
    v, _ = np.linalg.qr(rng.standard_normal((n, n)))
    x = (rng.standard_normal((tokens, n)) * np.geomspace(1, 1e-6, n)) @ v.T
    w = rng.standard_normal((n, n))
    least = tail(np.linalg.svd(w @ x.T, compute_uv=False), rank)
    w32, x32 = w.astype(np.float32), x.astype(np.float32)
    calibration = Calibration.of(x32[:100])
    for start in range(100, tokens, 100):
        calibration = calibration.update(x32[start : start + 100])

    def excess(what):
        return np.linalg.norm((w - what.astype(float)) @ x.T) / least

    assert excess(compress.svd_llm(w32, calibration, rank=rank).to_array()) < 1.1
    values, vectors = np.linalg.eigh(x32.T @ x32)
    kept = values > n * np.finfo(np.float32).eps * values[-1]
    root = (vectors * np.sqrt(np.where(kept, values, 0))).astype(np.float32)
    u = np.linalg.svd(w32 @ root)[0][:, :rank]
    assert excess(u @ (u.T @ w32)) > 1.5


class TestStatistics:
    """What is known of a tensor, and what each method makes of it."""

    def test_an_embedding_counts_its_tokens(self, xp):
        ids = np.random.default_rng(0).integers(0, M, 50)
        w, _, gradients = problem()
        tokens = TokenCounts.of(xp.asarray(ids), size=M)
        known = Statistics(tokens=tokens, fisher=Fisher.of(xp.asarray(gradients)))
        for method in ("asvd", "svd_llm", "afm"):
            weights = known.weights(method)
            small = xp.to_numpy(weights.fit(xp.asarray(w), rank=3).to_array())
            frequency = (np.bincount(ids, minlength=M) + 0.5) / (50 + M / 2)
            error = np.sqrt(frequency @ np.sum((w - small) ** 2, axis=1))
            assert error == pytest.approx(tail(xp.to_numpy(weights.spectrum(xp.asarray(w))), 3))
        assert known.weights("gfwsvd").left.ndim == 1

    def test_only_norms_with_a_common_unit_are_comparable(self):
        x, gradients = problem()[1:]
        known = statistics(x, gradients, NumPy)
        units = {"svd": "entries", "fwsvd": "loss", "gfwsvd": "loss"}
        for method in compress.METHODS:
            weights = known.weights(method)
            assert weights.unit == units.get(method, "")
            assert weights.comparable == (method in units)

    def test_what_is_missing_is_named(self):
        with pytest.raises(ValueError, match="'gfwsvd' needs the statistic 'fisher', found none"):
            Statistics().weights("gfwsvd")
        known = Statistics(fisher=Fisher.of(np.ones((2, 2))))
        with pytest.raises(ValueError, match=r"'asvd' needs .* 'inputs', found \['fisher'\]"):
            known.weights("asvd")
        with pytest.raises(ValueError, match="method must be one of"):
            known.weights("magic")
        assert Statistics().weights("svd") == Weights(unit="entries")

    def test_an_embedding_with_a_diagonal_of_information(self):
        rng = np.random.default_rng(0)
        ids, g, w = (
            rng.integers(0, 6, (4, 5)),
            rng.standard_normal((4, 5, 3)),
            rng.standard_normal((6, 3)),
        )
        known = Statistics(fisher=Fisher.of_embedding(ids, g, size=6))
        weights = known.weights("fwsvd")
        assert np.array_equal(weights.left, known.fisher.row_scale())
        both = known.weights("gfwsvd")
        error = float(both.error(w, both.fit(w, rank=1)))
        assert error == pytest.approx(tail(both.spectrum(w), 1))

    def test_a_model_survives_one_dict_of_arrays(self, xp):
        x, gradients = problem()[1:]
        model = {
            "a/b.weight": statistics(x, gradients, xp),
            "": Statistics(tokens=TokenCounts.of(xp.asarray(np.array([1, 2])), size=4)),
        }
        arrays = compress.pack(model)
        back = compress.unpack(arrays)
        assert list(back) == list(model)
        w = xp.asarray(problem()[0])
        for method in compress.METHODS:
            one, other = (k["a/b.weight"].weights(method).spectrum(w) for k in (model, back))
            assert np.allclose(xp.to_numpy(one), xp.to_numpy(other), rtol=1e-12)
        assert back[""].fisher is None

    def test_a_model_survives_safetensors(self, tmp_path):
        # It writes arrays of Fortran order, which factors come in, in the wrong order.
        files = pytest.importorskip("safetensors.numpy")
        calibration = Calibration.of(problem()[1])
        calibration = calibration._replace(factor=np.asfortranarray(calibration.factor))
        files.save_file(compress.pack({"w": Statistics(inputs=calibration)}), tmp_path / "s")
        back = compress.unpack(files.load_file(tmp_path / "s"))["w"].inputs
        assert np.array_equal(back.factor, calibration.factor)
        assert back.n_inputs == TOKENS

    def test_parts_of_the_data_may_be_merged(self):
        x, gradients = problem()[1:]
        parts = [Statistics(inputs=Calibration.of(x[:9])), statistics(x[9:], gradients, NumPy)]
        merged = parts[0].merge(parts[1])
        assert merged.inputs.n_inputs == TOKENS
        assert merged.fisher is parts[1].fisher

    @pytest.mark.parametrize("key", ["w", "inputs/mean/w", "w/inputs/colour", "w/outputs/mean"])
    def test_other_arrays_are_refused(self, key):
        with pytest.raises(ValueError, match="no statistic"):
            compress.unpack({key: np.ones(2)})

    def test_damaged_arrays_are_named(self):
        with pytest.raises(ValueError, match="statistics of 'w' are damaged"):
            compress.unpack({"w/inputs/mean": np.ones(2)})


def test_bad_input_is_refused():
    w, x, _ = problem()
    calibration = Calibration.of(x)
    with pytest.raises(ValueError, match="w has 1 non-finite"):
        compress.svd_llm(np.where(w == w[0, 0], np.nan, w), calibration, rank=1)
    with pytest.raises(ValueError, match="right"):
        compress.svd_llm(w[:, :3], calibration, rank=1)
    with pytest.raises(ValueError, match="right is made for length 7, w has length 3"):
        Weights(right=calibration.right()).spectrum(w[:, :3])
    with pytest.raises(ValueError, match="rank"):
        compress.svd(w, rank=0)
    with pytest.raises(ValueError, match="rank="):
        compress.asvd(w, calibration)
    assert compress.svd(w.tolist(), rank=2).shape == (M, N)
    assert Weights(left=[1.0] * M).spectrum(w.tolist()).shape == (N,)


class NumPy:
    """The smallest backend, for tests that are about numbers only."""

    asarray = staticmethod(np.asarray)
