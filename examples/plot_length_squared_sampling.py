r"""
Linear algebra that does not read the matrix
============================================

A recommendation takes a few of the leading singular vectors of a table of users and products. Must
one read the whole table for them? If entries can be *drawn* with chances proportional to their
squares, no: a few hundred rows and columns tell the singular values and vectors to some ten
percent, whatever the size of the table. This page measures what that costs, what it is worth, and
where a plain randomized singular value decomposition is the better choice.
"""

# %%
# A table that is kept ready to be drawn from
# -------------------------------------------
# :class:`~tdecomp.completion.sampling.LengthSquaredMatrix` keeps binary trees of sums of squares
# over the entries of each row, and over the rows. A draw descends two of them; a changed entry
# renews the sums on two paths. Here are five groups of users, each with a taste of its own, and
# products that only one of the groups knows.

import time

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse

import tdecomp as td
from tdecomp.completion import sampling
from tdecomp.testing import matrix


def ratings(n):
    """Return five groups of eight users; each rates its own share of `n` products."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 5, n)
    rows = (8 * group[:, None] + np.arange(8)).ravel()
    columns = np.repeat(np.arange(n), 8)
    values = (1 + rng.random(40))[rows] * (0.8**group * rng.standard_normal(n))[columns]
    return scipy.sparse.csr_array((values, (rows, columns)), shape=(40, n))


def links(n):
    """Return links of each of `n` products to five others, anywhere."""
    rng = np.random.default_rng(1)
    stored = rng.random(5 * n), rng.integers(0, n, 5 * n), 5 * np.arange(n + 1)
    return scipy.sparse.csr_array(stored, shape=(n, n))


a = ratings(20_000)
held = sampling.LengthSquaredMatrix(a)
rows, columns = held.sample(100_000, rng=0)
shares = np.bincount(rows, minlength=40) / rows.size
exact = (held.row_norms / held.norm) ** 2
print(f"{a.nnz} ratings; drawn shares of users are off by {np.abs(shares - exact).max():.4f}")

found = sampling.sampled_svd(held, rank=5, samples=300, rng=0)
best = td.randomized_svd(a, rank=5, rng=0)
print("sampled singular values", np.round(found.S, 1))
print("exact singular values  ", np.round(best.tensor.S, 1))

# %%
# What to recommend to user 3? A row of the approximation is a sum of a few hundred sampled rows,
# and its largest entries are drawn without forming it: products of the first group, all of them.

f = sampling.transform(held, np.ones_like, samples=300, rank=5, at_zero=0.0, rng=0)
row = sampling.recommend(f, 3, samples=500, rng=1)
drawn = row.sample(1000, rng=2)
known = np.flatnonzero(a[[3], :].toarray()[0])
print(f"{np.mean(np.isin(drawn, known)):.1%} of what is drawn belongs to the group of user 3")

# %%
# The cost does not depend on the dimensions
# ------------------------------------------
# From a thousand products to a million, with the same hundred rows and columns drawn. Beside the
# table stands a matrix of links, of which product leads to which: a hundred rows of it estimate
# its square, :math:`L^* L`, and are all that is held of that. Times are the best of a few runs.


def seconds(run, repeats=3):
    """Return the shortest time of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


sizes = (1_000, 4_000, 16_000, 64_000, 250_000, 1_000_000)
cost = {name: [] for name in ("sampled", "multiplied", "drawn", "changed", "randomized", "built")}
for n in sizes:
    a = ratings(n)
    held = sampling.LengthSquaredMatrix(a)
    found = sampling.sampled_svd(held, rank=5, samples=100, rng=0)
    linked = sampling.LengthSquaredMatrix(links(n))
    place = int(a.indices[0])
    few = 1 if n > 100_000 else 3
    cost["sampled"].append(
        seconds(lambda held=held: sampling.sampled_svd(held, rank=5, samples=100, rng=0))
    )
    cost["multiplied"].append(
        seconds(lambda x=linked: sampling.sampled_matmul(x, x, samples=100, rng=0))
    )
    cost["drawn"].append(seconds(lambda found=found: found.vector(0).sample(100, rng=0)))
    cost["changed"].append(seconds(lambda held=held, j=place: held.update(0, j, 1.5), 50))
    cost["randomized"].append(seconds(lambda a=a: td.randomized_svd(a, rank=5, rng=0), few))
    cost["built"].append(seconds(lambda a=a: sampling.LengthSquaredMatrix(a), few))
for name, times in cost.items():
    print(f"{name:10}", *(f"{1e3 * t:8.2f} ms" for t in times))

# %%
# The accuracy does not depend on them either
# -------------------------------------------
# It depends on the number of samples, and slowly. Here is the matrix of an article that tried such
# algorithms in practice [1]_: 500 x 250, of rank three. Errors are measured by forming the
# difference, for ten seeds each.

spectrum = np.asarray([462.96, 425.36, 154.32])
b = matrix(500, 250, spectrum, rng=0)
held = sampling.LengthSquaredMatrix(b)
samples = np.asarray([25, 50, 100, 200, 400, 800])
runs = [
    [sampling.sampled_svd(held, rank=3, samples=int(s), rng=seed) for seed in range(10)]
    for s in samples
]
errors = np.asarray([[float(td.relative_error(b, fit)) for fit in fits] for fits in runs])
values = np.asarray([[np.max(np.abs(fit.S / spectrum - 1)) for fit in fits] for fits in runs])
plain = float(td.randomized_svd(b, rank=3, rng=0).error)
for s, error in zip(samples, errors.mean(axis=1), strict=True):
    print(f"{s:4} rows and columns: error {error:.3f}")
print(f"randomized_svd       : error {plain:.0e}")

# %%
# On the left the flat lines are what sampling costs, the rising ones what reading costs. On the
# right is the price: small dots are single runs, large ones their means, and the dashed line falls
# as one over the root of the number of samples. Below, on an axis of its own, what reading gives.

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True})
looks = {
    "randomized": ("randomized_svd", "#555555", "o"),
    "built": ("building the trees", "#CC79A7", "o"),
    "sampled": ("sampled_svd", "#0072B2", "o"),
    "multiplied": ("sampled_matmul", "#56B4E9", "o"),
    "drawn": ("100 draws from a vector", "#009E73", "o"),
    "changed": ("changing an entry", "#D55E00", "o"),
}
figure = plt.figure(figsize=(10.5, 4.6), layout="constrained")
panels = figure.subplot_mosaic(
    [["cost", "error"], ["cost", "floor"]], height_ratios=(6, 1), width_ratios=(1.15, 1)
)
left, right, floor = (panels[name] for name in ("cost", "error", "floor"))
for axes in panels.values():
    axes.grid(color="#dddddd", lw=0.6)
    axes.set(xscale="log", yscale="log")
heights = {}
for name, (label, color, marker) in looks.items():
    times = 1e3 * np.asarray(cost[name])
    left.plot(sizes, times, color=color, marker=marker, mec="white", ms=6.5, lw=1.8)
    heights[name] = (label, color, times[-1])
level = -np.inf
for label, color, height in sorted(heights.values(), key=lambda entry: entry[2]):
    level = max(np.log10(height), level + 0.22)  # labels keep clear of one another
    left.text(1.4e6, 10**level, label, color=color, va="center", fontsize=9.5)
left.set(xlabel="number of products $n$", xlim=(8e2, 8e7))
left.set_xticks([1e3, 1e4, 1e5, 1e6])
left.minorticks_off()
left.set_title("milliseconds", loc="left", fontsize=11)

for data, color, label in (
    (errors, "#0072B2", r"$\|A - A V V^*\|_F \,/\, \|A\|_F$"),
    (values, "#E69F00", "worst singular value"),
):
    spread = 1.0 if color == "#0072B2" else 1.08
    right.plot(np.repeat(samples, 10) * spread, data.ravel(), "o", color=color, ms=3.2, alpha=0.35,
               mew=0)  # fmt: skip
    right.plot(samples * spread, data.mean(axis=1), "o-", color=color, mec="white", ms=6.5,
               label=label)  # fmt: skip
right.plot(samples, 1.9 / np.sqrt(samples), color="#999999", ls="--", lw=1.4,
           label=r"$\propto 1 / \sqrt{s}$")  # fmt: skip
right.set(ylim=(8e-3, 1.2))
right.set_yticks([0.01, 0.1, 1.0], ["1 %", "10 %", "100 %"])
right.set_title("relative error", loc="left", fontsize=11)
right.legend(frameon=False, loc="lower left")
floor.axhline(plain, color="#555555", lw=2)
floor.text(24, 2.5 * plain, "randomized_svd", color="#555555", fontsize=9.5, va="bottom")
floor.set(xlabel="number of rows and columns $s$", ylim=(1e-16, 1e-13))
floor.set_yticks([1e-15])
for axes in (right, floor):
    axes.set_xlim(22, 960)
    axes.set_xticks(samples, [str(s) for s in samples] if axes is floor else [])
    axes.minorticks_off()
right.spines["bottom"].set_visible(False)
plt.show()

# %%
# When does it pay?
# -----------------
# Building the trees reads the matrix once, a randomized decomposition a few times, and has all
# digits then: for a matrix that is looked at *once*, sampling is a poor bargain. It pays where the
# trees are there anyway and kept up to date, change by change, where questions come between the
# changes, and where the answer is itself a few draws. To halve its error takes four times the rows
# and columns; vectors made orthonormal (``found.lowrank()``) are far better than their sampled
# form, at the cost of one pass.
#
# .. [1] J. M. Arrazola, A. Delgado, B. R. Bardhan, S. Lloyd, "Quantum-inspired algorithms in
#    practice", Quantum 4, 307 (2020). `arXiv:1905.10415 <https://arxiv.org/abs/1905.10415>`_
