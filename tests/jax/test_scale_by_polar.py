"""Updates are isometric factors of the momentum; those of Muon are those of optax."""

import pickle

import numpy as np
import pytest

import tdecomp as td
from tdecomp.linalg import alignment
from tdecomp.testing import gaussian, matrix

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
jnp = jax.numpy

from tdecomp.jax import ScaleByPolarState, scale_by_polar  # noqa: E402

SHAPES = {"wide": (3, 5), "tall": (6, 4), "stack": (2, 4, 3)}


def gradients(step, dtype="float64"):
    return {name: jnp.asarray(gaussian(s, rng=step, dtype=dtype)) for name, s in SHAPES.items()}


def run(transformation, steps=3, dtype="float64"):
    state, update = transformation.init(gradients(0, dtype)), jax.jit(transformation.update)
    for step in range(steps):
        updates, state = update(gradients(step, dtype), state)
    return updates, state


@pytest.mark.parametrize("nesterov", [True, False])
def test_updates_of_muon_are_those_of_optax(nesterov):
    contrib = pytest.importorskip("optax.contrib")
    axes = {name: contrib.MuonDimensionNumbers(-2, -1) for name in SHAPES}
    theirs = contrib.scale_by_muon(nesterov=nesterov, weight_dimension_numbers=axes)
    expected, other = run(theirs)
    found, state = run(scale_by_polar(method="muon", nesterov=nesterov))
    for name in SHAPES:
        assert np.abs(found[name] - expected[name]).max() <= 1e-6
        assert np.abs(state.momentum[name] - other.mu[name]).max() <= 1e-14
    assert int(state.count) == int(other.count) == 3


@pytest.mark.parametrize("nesterov", [True, False])
def test_exact_updates_are_isometric_factors(nesterov):
    beta = 0.9
    found, state = run(scale_by_polar(method="exact", beta=beta, nesterov=nesterov))
    for name, shape in SHAPES.items():
        momentum = np.zeros(shape)
        for step in range(3):
            g = gaussian(shape, rng=step)
            momentum = beta * momentum + (1 - beta) * g
        ahead = beta * momentum / (1 - beta**4) + (1 - beta) * g / (1 - beta**3)
        expected = td.polar(ahead if nesterov else momentum).U
        assert np.abs(found[name] - expected).max() <= 1e-12
        assert np.abs(state.momentum[name] - momentum).max() <= 1e-14
    assert isinstance(state, ScaleByPolarState)
    assert state.count == 3


@pytest.mark.parametrize("method", ["polar-express", "cubic", "quintic", "muon", "cans"])
def test_polynomials_stand_in(method):
    options = {"beta": 0.0, "nesterov": False}
    found, _ = run(scale_by_polar(method=method, **options), steps=1)
    for name in SHAPES:
        assert np.all(np.asarray(alignment(gradients(0)[name], found[name])) >= 0.6)
    more, _ = run(scale_by_polar(method=method, steps=12, **options), steps=1)
    exact, _ = run(scale_by_polar(method="exact", **options), steps=1)
    gap = max(np.abs(more[name] - exact[name]).max() for name in SHAPES)
    assert gap <= (0.4 if method in ("muon", "cans") else 1e-2)


def test_random_updates_are_leading_parts_drawn_anew():
    g = {"w": jnp.asarray(matrix(60, 50, 0.7 ** np.arange(50.0)))}
    transformation = scale_by_polar(method="randomized", rank=5, beta=0.0, nesterov=False)
    state, found = transformation.init(g), []
    update = jax.jit(transformation.update)
    for _ in range(2):
        updates, state = update(g, state)
        u = np.asarray(updates["w"])
        assert np.trace(u @ u.T) == pytest.approx(15, rel=1e-12)
        assert np.linalg.norm(u, 2) == pytest.approx(1, rel=1e-12)
        assert 0.98 <= alignment(np.asarray(g["w"]), u) <= 1
        found.append(u)
    assert np.abs(found[0] - found[1]).max() > 1e-6
    again, _ = update(g, transformation.init(g))
    assert np.all(again["w"] == found[0])
    other = scale_by_polar(
        method="randomized", rank=5, beta=0.0, nesterov=False, key=jax.random.key(1)
    )
    assert np.abs(run_one(other, g)["w"] - found[0]).max() > 1e-6


def run_one(transformation, g):
    return transformation.update(g, transformation.init(g))[0]


def test_a_rank_above_that_of_a_matrix_is_all_of_it():
    options = {"beta": 0.0, "nesterov": False}
    found, _ = run(scale_by_polar(method="randomized", rank=100, **options), steps=1)
    exact, _ = run(scale_by_polar(method="exact", **options), steps=1)
    for name in SHAPES:
        assert np.abs(found[name] - exact[name]).max() <= 1e-12


@pytest.mark.parametrize("options", [{"method": "exact"}, {"method": "randomized", "rank": 2}])
def test_a_zero_gradient_moves_nothing_and_no_scale_matters(options):
    transformation = scale_by_polar(**options)
    zero = {"w": jnp.zeros((20, 15))}
    assert np.all(run_one(transformation, zero)["w"] == 0)
    g = jnp.asarray(gaussian((20, 15)))
    plain = run_one(transformation, {"w": g})["w"]
    for scale in (1e-200, 1e200):
        scaled = run_one(transformation, {"w": g * scale})["w"]
        assert np.abs(scaled - plain).max() <= 1e-12


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "complex64"])
def test_dtypes_come_back_as_they_went_in(dtype):
    values = gaussian((4, 3), dtype="complex64" if dtype == "complex64" else "float32")
    g = {"w": jnp.asarray(values).astype(dtype)}
    transformation = scale_by_polar(method="exact")
    updates, state = transformation.update(g, transformation.init(g))
    assert updates["w"].dtype == state.momentum["w"].dtype == dtype
    gram = np.asarray(updates["w"].conj().T @ updates["w"])
    assert np.abs(gram.astype("complex64") - np.eye(3)).max() <= 2e-2


def test_it_takes_its_place_in_a_chain_and_descends():
    target = jnp.asarray(gaussian((6, 4)))
    params = {"w": jnp.zeros((6, 4)), "b": jnp.zeros(4)}
    optimiser = optax.multi_transform(
        {
            "matrix": optax.chain(
                scale_by_polar(method="exact"), optax.scale_by_learning_rate(0.05)
            ),
            "vector": optax.adam(0.05),
        },
        {"w": "matrix", "b": "vector"},
    )

    def loss(params):
        return jnp.sum((params["w"] + params["b"] - target) ** 2)

    @jax.jit
    def step(params, state):
        updates, state = optimiser.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    first, state = loss(params), optimiser.init(params)
    for _ in range(60):
        params, state = step(params, state)
    assert loss(params) < 0.02 * first
    leaves = jax.tree.leaves(pickle.loads(pickle.dumps(state)))
    assert all(np.all(x == y) for x, y in zip(leaves, jax.tree.leaves(state), strict=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scale_by_polar(method="best"), "method must be one of 'polar-express'"),
        (lambda: scale_by_polar(method="randomized"), "needs rank="),
        (lambda: scale_by_polar(rank=3), "rank= is for method='randomized' alone"),
        (lambda: scale_by_polar(method="randomized", rank=0), "rank must be an int >= 1, got 0"),
        (lambda: scale_by_polar(method="randomized", rank=True), "got True of type bool"),
        (lambda: scale_by_polar(steps=0), "steps must be an int >= 1"),
        (lambda: scale_by_polar(beta=1.0), "beta must be a number from 0 to below 1"),
        (lambda: scale_by_polar(beta="0.9"), "beta must be a number"),
        (lambda: scale_by_polar().init({"b": jnp.zeros(3)}), r"\['b'\] has shape \(3,\)"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
