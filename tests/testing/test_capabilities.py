"""The table of what works where is true, complete, and rendered for the docs."""

import ast
import inspect
from pathlib import Path

import array_api_compat
import numpy as np
import pytest

import tdecomp as td
import tdecomp.chebyshev
import tdecomp.completion
import tdecomp.convert
import tdecomp.cp
import tdecomp.kronecker
import tdecomp.tt
import tdecomp.tucker
from tdecomp.completion import sampling
from tdecomp.testing import capabilities_table, limitation, matrix
from tdecomp.testing._capabilities import COLUMNS, CONDITIONS, FUNCTIONS, LIMITS


def cp(x, start=0):
    """Return three components made of columns of a matrix."""
    first = x[start, :3]
    return td.cp.CP(first, (x[start : start + 4, :3], x[start + 4 : start + 9, :3]))


def train(x, start=0):
    """Return a train of three cores cut from a matrix."""
    first, last = x[None, start : start + 4, :2], x[start + 1 : start + 4, :5, None]
    return td.tt.TensorTrain((first, x[:2, :3, None] * x[:2, None, :3], last))


def compact(x, start=0):
    """Return a Tucker tensor made of pieces of a matrix, one mode of it left alone."""
    core = x[:2, :3, None] * x[:2, None, :2]
    return td.tucker.Tucker(core, (x[start : start + 4, :2], x[start + 1 : start + 6, :3], None))


def kron(x, start=0):
    """Return two Kronecker terms cut from a matrix, all factors square."""
    left, right = x[start : start + 4, :4], x[start : start + 6, :3]
    pairs = [half[None, ...] for half in (left[:2, :2], left[2:, :2], right[:3, :], right[3:, :])]
    xp = array_api_compat.array_namespace(x)
    return td.KroneckerSum(xp.concat(pairs[:2]), xp.concat(pairs[2:]))


def definite(x):
    """Return one Kronecker term, both factors positive definite."""
    left, right = x[:2, :9], x[2:5, :9]
    xp = array_api_compat.array_namespace(x)
    eyes = [xp.eye(n, dtype=x.dtype, device=array_api_compat.device(x)) for n in (2, 3)]
    return td.KroneckerSum(
        (left @ left.T + eyes[0])[None, ...], (right @ right.T + eyes[1])[None, ...]
    )


def sparse(x):
    """Return a sparse tensor of three entries, two of them at one place."""
    return td.ops.coo([[0, 1, 0], [2, 0, 2]], x[0, :3], (2, 3))


def drawn(x):
    """Return a piece of a matrix that can be sampled."""
    return sampling.LengthSquaredMatrix(x[:3, :4])


BOX = ((-1.0, 1.0), (0.0, 2.0))
WIDE = td.chebyshev.potentials.GaussianSum(np.ones(1), np.asarray([0.5]), (1e-3, 9.0))
KERNEL = WIDE._replace(weights=np.ones(2), exponents=np.asarray([0.5, 4.0]))


def smooth(x, start=0):
    """Return a function of two variables, its core and series pieces of a matrix."""
    factors = (x[start : start + 4, :2], x[start + 4 : start + 7, 1:3])
    return td.chebyshev.ChebyshevTucker(x[:2, :2] + 0.5, factors, BOX)


def curve(x, start=0):
    """Return a function of one variable."""
    return td.chebyshev.ChebyshevTucker(x[0, 1:3] + 0.5, (x[start : start + 4, :2],), BOX[:1])


def valued(f):
    """Return a function at two points."""
    points = np.asarray([[0.3, 0.4], [-0.8, 1.9]])[:, : len(f.factors)]
    return td.chebyshev.evaluate(f, points.tolist())


# At fixed rank and power everywhere: the conditions of the table. Results that signs and the
# choice of a basis do not touch.
CALLS = {
    "truncated_svd": lambda x: td.truncated_svd(x, rank=2).to_array(),
    "randomized_svd": lambda x: td.randomized_svd(x, rank=2, power=2, rng=0).tensor.to_array(),
    "weighted_svd": lambda x: td.weighted_svd(x, left=x[:, 0] ** 2 + 1, rank=2).to_array(),
    "orthogonalize": lambda x: td.orthogonalize(x, method="quintic", steps=2),
    "polar": lambda x: td.polar(x[:8, :5]).U * x[:8, :5],
    "procrustes": lambda x: td.procrustes(x[:8, :3], x[:8, 3:6], scaling=True).rotation,
    "randomized_polar": lambda x: td.randomized_polar(x, rank=2, oversample=4, rng=0).U * x,
    "relative_error": lambda x: td.relative_error(x, td.LowRank(x[:, :1], x[:1, :])),
    "chebyshev.add": lambda x: td.chebyshev.add(curve(x), curve(x, 2)).to_array(),
    "chebyshev.chebyshev_tucker": lambda x: valued(
        td.chebyshev.chebyshev_tucker(
            lambda s: x[0, 0] * s + 1.0, BOX[:1], rank=1, size=3, like=x
        ).tensor
    ),
    "chebyshev.compose": lambda x: valued(
        td.chebyshev.compose(lambda v: v + 1.0, curve(x)).tensor
    ),
    "chebyshev.cumulative_integral": lambda x: valued(
        td.chebyshev.cumulative_integral(smooth(x), 0)
    ),
    "chebyshev.diff": lambda x: valued(td.chebyshev.diff(smooth(x), 1)),
    "chebyshev.evaluate": lambda x: td.chebyshev.evaluate(smooth(x), x[:5, :2] ** 2),
    "chebyshev.evaluate_grid": lambda x: td.chebyshev.evaluate_grid(
        smooth(x), x[:3, 0], x[:2, 1] ** 2
    ),
    "chebyshev.fix": lambda x: td.chebyshev.fix(smooth(x), {1: 0.5}).to_array(),
    "chebyshev.from_cp": lambda x: valued(
        td.chebyshev.from_cp(td.cp.CP(x[0, :2], (x[:4, :2],)), BOX[:1], rank=1)
    ),
    "chebyshev.from_grid": lambda x: valued(td.chebyshev.from_grid(x[:4, :3], BOX, rank=2)),
    "chebyshev.from_samples": lambda x: valued(
        td.chebyshev.from_samples(
            x[:30, :1] ** 2, x[:30, 0], BOX[:1], size=2, rank=1, max_iter=2
        ).tensor
    ),
    "chebyshev.gradient": lambda x: td.chebyshev.gradient(smooth(x), x[:2, :2] ** 2),
    "chebyshev.hessian": lambda x: td.chebyshev.hessian(smooth(x), x[:2, :2] ** 2),
    "chebyshev.inner": lambda x: td.chebyshev.inner(smooth(x), smooth(x, 2)),
    "chebyshev.integrate": lambda x: td.chebyshev.integrate(smooth(x)),
    "chebyshev.laplacian": lambda x: valued(td.chebyshev.laplacian(curve(x))),
    "chebyshev.maximum": lambda x: td.chebyshev.maximum(smooth(x)).value,
    "chebyshev.minimum": lambda x: td.chebyshev.minimum(smooth(x)).value,
    "chebyshev.multiply": lambda x: valued(td.chebyshev.multiply(curve(x), curve(x, 2))),
    "chebyshev.norm": lambda x: td.chebyshev.norm(smooth(x)),
    "chebyshev.permute": lambda x: td.chebyshev.permute(smooth(x), (1, 0)).to_array(),
    "chebyshev.restrict": lambda x: valued(td.chebyshev.restrict(curve(x), ((-0.9, 0.5),))),
    "chebyshev.roots": lambda x: (
        td.chebyshev.roots(
            td.chebyshev.ChebyshevTucker(x[:1, 0] * 0 + 1.0, (x[:2, :1],), ((-1.0, 1.0),))
        )
        * x[0, 0]
    ),
    "chebyshev.scale": lambda x: valued(td.chebyshev.scale(smooth(x), 3)),
    "chebyshev.simplify": lambda x: valued(td.chebyshev.simplify(smooth(x), rank=1)),
    "chebyshev.sup_norm": lambda x: td.chebyshev.sup_norm(smooth(x)).value,
    "chebyshev.to_tucker": lambda x: td.chebyshev.to_tucker(
        smooth(x), x[:2, 0], x[:2, 1] ** 2
    ).to_array(),
    "chebyshev.potentials.energy": lambda x: td.chebyshev.potentials.energy(
        x[:4, :1], x[:4, 2], KERNEL, sigma=1.0
    ),
    "chebyshev.potentials.energy_and_forces": lambda x: td.chebyshev.potentials.energy_and_forces(
        x[:4, :1], x[:4, 2], KERNEL, sigma=1.0
    )[1],
    "chebyshev.potentials.forces": lambda x: td.chebyshev.potentials.forces(
        x[:4, :1], x[:4, 2], KERNEL, sigma=1.0
    ),
    "chebyshev.potentials.lattice_sum": lambda x: valued(
        td.chebyshev.potentials.lattice_sum(
            x[:4, :1], x[:4, 2], WIDE, cell=1.0, repeats=2, domain=BOX[:1], rank=1
        ).tensor
    ),
    "chebyshev.potentials.long_range": lambda x: valued(
        td.chebyshev.potentials.long_range(
            x[:4, :1], x[:4, 2], WIDE, domain=BOX[:1], rank=1
        ).tensor
    ),
    "chebyshev.potentials.short_range": lambda x: td.chebyshev.potentials.short_range(
        x[4:6, :1], x[:4, :1], x[:4, 2], KERNEL, sigma=1.0
    ),
    "convert.to_cp": lambda x: td.convert.to_cp(td.LowRank(x[:, :2], x[:2, :])).to_array(),
    "convert.to_svd": lambda x: td.convert.to_svd(td.LowRank(x[:, :2], x[:2, :])).to_array(),
    "convert.to_tt": lambda x: td.convert.to_tt(cp(x), rank=1).to_array(),
    "convert.to_tucker": lambda x: td.convert.to_tucker(train(x)).to_array(),
    "cp.add": lambda x: td.cp.add(cp(x), cp(x, 2)).to_array(),
    "cp.align": lambda x: td.cp.align(cp(x), cp(x, 2)).factors[0],
    "cp.congruence": lambda x: td.cp.congruence(cp(x), cp(x, 2)),
    "completion.complete": lambda x: td.completion.complete(
        x[:8, :5], rank=2, rng=0, max_iter=3
    ).tensor.to_array(),
    "completion.cross_validate": lambda x: td.completion.cross_validate(
        x[:8, :5], ranks=[2], regularizations=[0.1], folds=2, max_iter=2, rng=0
    ).fit.tensor.to_array(),
    "completion.fold_in": lambda x: td.completion.fold_in(
        td.LowRank(x[:8, :2], x[:2, :5]), x[2:10, 2:7], regularization=0.1
    ).to_array(),
    "completion.implicit_als": lambda x: td.completion.implicit_als(
        x[:8, :5] ** 2, rank=2, rng=0, regularization=0.1, max_iter=3
    ).tensor.to_array(),
    "completion.inductive": lambda x: td.completion.inductive(
        x[:8, :5],
        x[:8, 5:9],
        x[:5, 9:12],
        rank=2,
        residual_rank=1,
        regularization=0.1,
        residual_regularization=0.3,
        rng=0,
        max_iter=2,
    ).tensor.to_array(),
    "completion.predict": lambda x: td.completion.predict(
        td.LowRank(x[:, :2], x[:2, :]), [3, 0], [1, -2]
    ),
    "completion.robust.godec": lambda x: td.completion.robust.godec(
        x[:4, :5], rank=1, cardinality=1, rng=0, max_iter=2
    ).tensor.to_array(),
    "completion.robust.principal_component_pursuit": lambda x: (
        td.completion.robust.principal_component_pursuit(x[:4, :5], max_iter=2).tensor.to_array()
    ),
    "completion.robust.scaled_gd_rpca": lambda x: td.completion.robust.scaled_gd_rpca(
        x[:4, :5], rank=1, max_iter=2
    ).tensor.to_array(),
    "completion.robust.scaled_subgradient": lambda x: td.completion.robust.scaled_subgradient(
        x[0, :6], x[:6, :2, None] * x[:6, None, :2], rank=1, max_iter=2
    ).tensor.to_array(),
    "completion.robust.sense": lambda x: td.completion.robust.sense(
        x[0, :6], x[:6, :2, None] * x[:6, None, :2], rank=1, rng=0, max_iter=2
    ).tensor.to_array(),
    "completion.robust.subgradient": lambda x: td.completion.robust.subgradient(
        x[0, :6], x[:6, :2, None] * x[:6, None, :2], rank=1, rng=0, max_iter=2
    ).tensor.to_array(),
    "completion.sampling.bilinear": lambda x: sampling.bilinear(
        x[:3, 0], drawn(x), x[:4, 1], samples=5, groups=2, rng=0
    ),
    "completion.sampling.combine": lambda x: sampling.combine(x[:3, 0], drawn(x)).query([1, 2]),
    "completion.sampling.inner": lambda x: sampling.inner(
        drawn(x).row(1), x[:4, 1], samples=5, groups=2, rng=0
    ),
    "completion.sampling.recommend": lambda x: sampling.recommend(
        sampling.transform(drawn(x), lambda t: t, rank=1, samples=4, rng=0), 1
    ).to_array(),
    "completion.sampling.sampled_matmul": lambda x: sampling.sampled_matmul(
        drawn(x), x[:3, :2], samples=4, rng=0
    ).to_array(),
    "completion.sampling.sampled_svd": lambda x: sampling.sampled_svd(
        drawn(x), rank=1, samples=4, rng=0
    ).to_array(),
    "completion.sampling.solve": lambda x: sampling.solve(
        drawn(x), x[:3, 0], rank=1, samples=4, products=5, rng=0
    ).to_array(),
    "completion.sampling.transform": lambda x: sampling.transform(
        drawn(x), lambda t: t, rank=1, samples=4, rng=0
    ).to_array(),
    "completion.soft_impute_path": lambda x: (
        td.completion.soft_impute_path(x[:8, :5], rank=1, regularizations=[0.1], rng=0, max_iter=2)
        .fits[0]
        .tensor.to_array()
    ),
    "completion.top_n": lambda x: (
        td.completion.top_n(td.LowRank(x[:6, :2], x[:2, :5]), 3, rows=[4, 1]).scores
    ),
    "completion.variance": lambda x: (
        td.completion.variance(
            td.LowRank(x[:8, :2], x[:2, :5]), x[:8, :5], [3], [1], regularization=0.5, noise=0.1
        ).values
    ),
    "completion.variational_als": lambda x: td.completion.variational_als(
        x[:8, :5], rank=2, rng=0, max_iter=3
    ).tensor.to_array(),
    "completion.weighted_low_rank": lambda x: td.completion.weighted_low_rank(
        x[:8, :5], abs(x[:8, 5:10]), rank=2, rng=0, max_iter=3
    ).tensor.to_array(),
    "cp.cp_als": lambda x: td.cp.cp_als(x, rank=2, rng=0, max_iter=2).tensor.to_array(),
    "cp.core_consistency": lambda x: (
        td.cp.core_consistency(cp(x).to_array() * (1 + x[0, 0]), td.cp.permute(cp(x), [0])) / 100
    ),
    "cp.cp_arls": lambda x: td.cp.cp_arls(x[:4, :5], rank=2, rng=0, max_iter=2).tensor.to_array(),
    "cp.cp_gauss_newton": lambda x: td.cp.cp_gauss_newton(x[:2, :3], rank=2).tensor.to_array(),
    "cp.evaluate": lambda x: td.cp.evaluate(cp(x), [[3, 4], [0, 1]]),
    "cp.factor_match_score": lambda x: td.cp.factor_match_score(cp(x), cp(x, 2)) * x,
    "cp.gcp": lambda x: td.cp.gcp(x[:2, :3], rank=1, rng=0, max_iter=2).tensor.to_array(),
    "cp.initialise": lambda x: td.cp.initialise(x, rank=2, init="random", rng=0).to_array(),
    "cp.inner": lambda x: td.cp.inner(cp(x), cp(x, 2)),
    "cp.mode_product": lambda x: td.cp.mode_product(cp(x), x[:2, :5], 1).to_array(),
    "cp.norm": lambda x: td.cp.norm(cp(x)),
    "cp.normalise": lambda x: td.cp.normalise(cp(x)).factors[0],
    "cp.permute": lambda x: td.cp.permute(cp(x), [2, 0]).to_array(),
    "cp.section": lambda x: td.cp.section(cp(x), (1, slice(1, 3))).to_array(),
    "cp.split_half": lambda x: (
        td.cp.split_half(x[:4, :3], rank=1, n_splits=1, n_starts=1, max_iter=2, rng=0).score * x
    ),
    "cp.suggest_rank": lambda x: (
        td.cp.suggest_rank(
            x[:2, :3], ranks=(1,), held_out=0, n_splits=0, n_starts=1, max_iter=2, rng=0
        )
        .fits[0]
        .tensor.to_array()
    ),
    "kronecker.add": lambda x: td.kronecker.add(kron(x), kron(x, 2), rank=2).to_array(),
    "kronecker.butterfly": lambda x: td.kronecker.butterfly(x[:4, :4]).tensor.to_array(),
    "kronecker.eigh": lambda x: td.kronecker.eigh(definite(x)).values[0],
    "kronecker.inner": lambda x: td.kronecker.inner(kron(x), kron(x, 2)),
    "kronecker.kronecker_svd": lambda x: td.kronecker_svd(
        x[:12, :6], ((3, 2), (4, 3)), rank=2
    ).tensor.to_array(),
    "kronecker.logdet": lambda x: td.kronecker.logdet(definite(x), shift=0.5)[1],
    "kronecker.matmul": lambda x: td.kronecker.matmul(kron(x), kron(x, 2)).to_array(),
    "kronecker.monarch": lambda x: td.kronecker.monarch(
        x[:12, :6], ((3, 2), (4, 3)), rank=1
    ).tensor.to_array(),
    "kronecker.norm": lambda x: td.kronecker.norm(kron(x)),
    "kronecker.round": lambda x: td.kronecker.round(kron(x), rank=1).to_array(),
    "kronecker.scale": lambda x: td.kronecker.scale(kron(x), 3).to_array(),
    "kronecker.solve": lambda x: td.kronecker.solve(definite(x), x[:6, 0], shift=0.5),
    "kronecker.spectrum": lambda x: td.kronecker.spectrum(kron(x)),
    "kronecker.suggest_shapes": lambda x: (
        td.kronecker.suggest_shapes(4, 3, a=x[:4, :3])[0].energy * x
    ),
    "kronecker.to_linear_operator": lambda x: td.kronecker.to_linear_operator(kron(x)) @ x[:6, :3],
    "ops.unfold": lambda x: td.ops.unfold(x[:, :, None], 1) ** 3,
    "ops.fold": lambda x: td.ops.fold(x, 1, (x.shape[1], x.shape[0], 1)) ** 3,
    "ops.mode_product": lambda x: td.ops.mode_product(x[:, :3], x[:3, :3], 1),
    "ops.mode_products": lambda x: td.ops.mode_products(x[:3, :4], [x[:2, :3], x[:5, :4]]),
    "ops.khatri_rao": lambda x: td.ops.khatri_rao([x, x[:2, :]]),
    "ops.kronecker": lambda x: td.ops.kronecker([x[:3, :3], x[:2, :]]),
    "ops.mttkrp": lambda x: td.ops.mttkrp(x[:, :, None], [None, x[:30, :2], x[:1, :2]], 0),
    "ops.coo": lambda x: sparse(x).to_array(),
    "ops.from_dense": lambda x: td.ops.from_dense(x).to_array(),
    "ops.from_sparse": lambda x: td.ops.from_sparse(sparse(x)).to_array(),
    "ops.to_scipy": lambda x: td.ops.to_scipy(sparse(x)).toarray(),
    "tt.add": lambda x: td.tt.add(train(x), train(x, 2)).to_array(),
    "tt.evaluate": lambda x: td.tt.evaluate(train(x), [[3, 2, 4], [0, 1, 1]]),
    "tt.hadamard": lambda x: td.tt.hadamard(train(x), train(x, 2)).to_array(),
    "tt.inner": lambda x: td.tt.inner(train(x), train(x, 2)),
    "tt.maxvol": lambda x: td.tt.maxvol(x[:, :3])[1],
    "tt.mode_product": lambda x: td.tt.mode_product(train(x), x[:2, :5], 2).to_array(),
    "tt.norm": lambda x: td.tt.norm(train(x)),
    "tt.orthogonalise": lambda x: td.tt.orthogonalise(train(x), center=1).to_array(),
    "tt.round": lambda x: td.tt.round(train(x), rank=1).to_array(),
    "tt.scale": lambda x: td.tt.scale(train(x), 3).to_array(),
    "tt.section": lambda x: td.tt.section(train(x), (1, slice(1, 3), [0, 2])).to_array(),
    "tt.tr_als": lambda x: td.tt.tr_als(x[:4, :5], rank=2, rng=0, max_iter=2).tensor.to_array(),
    "tt.tr_svd": lambda x: td.tt.tr_svd(x, rank=2).to_array(),
    "tt.tt_cross": lambda x: td.tt.tt_cross(
        lambda i: x[i[:, 0], i[:, 1]], (4, 5), rank=2, rng=0, like=x
    ).tensor.to_array(),
    "tt.tt_svd": lambda x: td.tt.tt_svd(x, rank=2).to_array(),
    "tucker.add": lambda x: td.tucker.add(compact(x), compact(x, 2)).to_array(),
    "tucker.hooi": lambda x: td.tucker.hooi(x[:4, :5], rank=2, max_iter=2).tensor.to_array(),
    "tucker.hosvd": lambda x: td.tucker.hosvd(x, rank=2).to_array(),
    "tucker.inner": lambda x: td.tucker.inner(compact(x), compact(x, 2)),
    "tucker.mode_product": lambda x: td.tucker.mode_product(compact(x), x[:3, :5], 1).to_array(),
    "tucker.mode_spectra": lambda x: td.tucker.mode_spectra(x[:4, :5])[1],
    "tucker.nonnegative_tucker": lambda x: td.tucker.nonnegative_tucker(
        x[:4, :5], rank=2, rng=0, max_iter=2
    ).tensor.to_array(),
    "tucker.norm": lambda x: td.tucker.norm(compact(x)),
    "tucker.orthogonalise": lambda x: td.tucker.orthogonalise(compact(x)).to_array(),
    "tucker.rank_map": lambda x: td.tucker.rank_map(x, [0.1])[0].bound * x,
    "tucker.scale": lambda x: td.tucker.scale(compact(x), 3).to_array(),
    "tucker.section": lambda x: td.tucker.section(compact(x), (1, [0, 2], 1)).to_array(),
    "tucker.sthosvd": lambda x: td.tucker.sthosvd(x, rank=2).to_array(),
    "tucker.suggest_rank": lambda x: td.tucker.suggest_rank(x, rtol=0.1).bound * x,
    "tucker.truncate": lambda x: td.tucker.truncate(compact(x), rank=1).to_array(),
}

# What is compiled operation by operation is compiled once: where the room asks the function on
# every library what NumPy or a formula answers, the row is true by that test.
SHOWN = {
    "chebyshev.chebyshev_tucker": "chebyshev/test_construct.py",
    "chebyshev.roots": "chebyshev/search/test_roots.py",
    "chebyshev.simplify": "chebyshev/algebra/test_simplify.py",
    "completion.complete": "completion/test_complete.py",
    "completion.cross_validate": "completion/test_complete.py",
    "completion.fold_in": "completion/using/test_predictions.py",
    "completion.weighted_low_rank": "completion/dense/test_weighted_low_rank.py",
    "cp.align": "cp/test_normalise.py",
    "cp.cp_arls": "cp/test_arls.py",
    "cp.cp_gauss_newton": "cp/test_gauss_newton.py",
    "cp.gcp": "cp/test_gcp.py",
    "cp.split_half": "cp/test_split_half.py",
    "cp.suggest_rank": "cp/test_suggest_rank.py",
    "kronecker.suggest_shapes": "kronecker/test_suggest_shapes.py",
    "tt.tr_als": "tt/test_ring.py",
    "tt.tt_cross": "tt/test_cross.py",
    "tucker.hooi": "tucker/test_hooi.py",
    "tucker.nonnegative_tucker": "tucker/test_nonnegative.py",
}

A = matrix(40, 30, 0.7 ** np.arange(30.0))


def squares(function, x):
    """A smooth number that depends on all of the result."""
    y = function(x)
    return (y * y).sum() if hasattr(y, "sum") else y


def gradient(xp, function, x, *, compiled):
    """Differentiate `squares` by the library's own means."""
    if xp.name == "jax":
        import jax

        slope = jax.grad(lambda x: squares(function, x))
        return xp.to_numpy((xp.jit(slope) if compiled else slope)(xp.asarray(x)))
    leaf = xp.asarray(x).requires_grad_()
    squares(function, leaf).backward()
    return leaf.grad.cpu().numpy()


def works(xp, function, mode, *, compiled=False):
    """Assert that `function` does in `mode` what NumPy does eagerly."""
    if mode == "grad":
        direction, h = matrix(40, 30, "flat", rng=1), 1e-5
        ahead, behind = (float(squares(function, A + sign * h * direction)) for sign in (1, -1))
        found = float(np.vdot(gradient(xp, function, A, compiled=compiled), direction))
        assert found == pytest.approx((ahead - behind) / (2 * h), rel=1e-6, abs=1e-8)
        return
    call = xp.jit(function) if mode == "jit" else function
    expected = np.asarray(function(A))
    found = xp.to_numpy(call(xp.asarray(A)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


# PyTorch says so once in a process, at the first number that an iteration judges itself by.
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.every_pair
@pytest.mark.parametrize("mode", ["eager", "jit", "grad"])
@pytest.mark.parametrize("name", CALLS)
def test_the_table_is_true(xp, name, mode):
    library = xp.name.removesuffix("-readonly")
    if (library, mode) not in COLUMNS:
        pytest.skip(limitation(name, library, mode))
    compiled = limitation(name, library, "jit") is None
    if library == "jax" and mode == "eager" and compiled:
        pytest.skip("its program stands for it: operations one by one take as long to compile")
    if library == "jax" and mode == "eager" and limitation(name, library, "grad") is None:
        pytest.skip("its gradient stands for it, which makes the same operations one by one")
    if library == "jax" and mode == "eager" and name in SHOWN:
        pytest.skip(f"tests/{SHOWN[name]} stands for it: its operations would compile anew")
    if limitation(name, library, mode) is None:
        # A gradient in one program: a hundred small ones take ten times as long to compile.
        works(xp, CALLS[name], mode, compiled=compiled)
        return
    with pytest.raises(
        (AssertionError, AttributeError, TypeError, ValueError, RuntimeError, UserWarning)
    ):
        works(xp, CALLS[name], mode)


@pytest.mark.parametrize("name", SHOWN)
def test_what_stands_for_a_row_asks_every_library(name):
    path = Path(__file__).parents[1] / SHOWN[name]
    # Each fold is a completion: on JAX as costly as one, and no operation of its own.
    called = {"completion.cross_validate": "complete"}.get(name, name.split(".")[-1])
    tests = [
        node
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and "xp" in [arg.arg for arg in node.args.args]
    ]
    calls = [node.func for test in tests for node in ast.walk(test) if isinstance(node, ast.Call)]
    assert called in {getattr(func, "attr", getattr(func, "id", None)) for func in calls}


def test_the_table_is_complete():
    functions = {}
    for room in (
        td.chebyshev,
        td.chebyshev.potentials,
        td.completion,
        sampling,
        td.completion.robust,
        td.convert,
        td.cp,
        td.kronecker,
        td.ops,
        td.tt,
        td.tucker,
        td,
    ):
        where = room.__name__.removeprefix("tdecomp").removeprefix(".")
        for name in room.__all__:
            member = getattr(room, name)
            if inspect.isfunction(member) and member not in functions.values():
                functions[f"{where}.{name}".removeprefix(".")] = member
    # These count, build a loss or a kernel, or read a file; they compute nothing from arrays.
    others = {"n_parameters", "compression_ratio", "cp.huber", "cp.negative_binomial"}
    others |= {"completion.unseen"}
    others |= {
        f"chebyshev.potentials.{name}"
        for name in ("gaussian_sum", "newton", "read_pqr", "slater", "split", "yukawa")
    }
    assert set(FUNCTIONS) == set(CALLS) == set(functions) - others
    assert len(FUNCTIONS) == len(set(FUNCTIONS))
    assert {name for name, _, _ in LIMITS} | set(CONDITIONS) <= set(FUNCTIONS)
    assert {(library, mode) for _, library, mode in LIMITS} <= set(COLUMNS)


def test_the_table_is_rendered():
    head, rule, *rows = capabilities_table().split("\n\n")[0].splitlines()
    width = len(COLUMNS) + 1
    assert head.count("|") == rule.count("|") == width + 1
    assert [row.split("`")[1] for row in rows] == list(FUNCTIONS)
    assert all(row.count("|") == width + 1 for row in rows)


def test_every_note_is_explained(monkeypatch):
    monkeypatch.setitem(LIMITS, ("ops.fold", "torch", "grad"), "out of order")
    table, notes = capabilities_table().split("\n\n")
    reasons = {*CONDITIONS.values(), *LIMITS.values()}
    assert {note.split(". ", 1)[1] for note in notes.splitlines()} == reasons
    marks = {int(mark.split(")")[0]) for mark in table.split("(")[1:]}
    assert marks == set(range(1, len(reasons) + 1))
    assert "no (" in table


def test_a_limitation_is_a_reason(monkeypatch, xp):
    assert limitation("truncated_svd", "numpy") is None
    assert limitation("truncated_svd", "numpy", "grad") == "numpy has no grad"
    assert limitation("truncated_svd", "cupy") == "cupy has no eager"
    with pytest.raises(ValueError, match=r"function must be one of .*'ops.unfold'"):
        limitation("unfold", "numpy")
    monkeypatch.setitem(LIMITS, ("ops.fold", xp.name.removesuffix("-readonly"), "eager"), "broken")
    with pytest.raises(pytest.skip.Exception, match="broken"):
        xp.requires("ops.fold")
    xp.requires("ops.unfold")
