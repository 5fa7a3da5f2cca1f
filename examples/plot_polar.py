r"""
Polar factors: how exact, and how fast to one
=============================================

The nearest isometry to a matrix :math:`A = U H` is its polar factor :math:`U`. It is asked for in
two very different moods. To align coordinate systems or to restore orthogonality it has to be
exact, whatever the condition of the matrix; in the optimizer of a network a few products of
matrices must do. Both are a question of what happens to the singular values, and this page looks
at them.
"""

# %%
# Exact: what a certificate shows
# -------------------------------
# A method is backward stable if :math:`U` is orthonormal to rounding and :math:`U H` is
# :math:`A`, for every condition number: :func:`~tdecomp.linalg.polar_certificate` measures it.
# The formula :math:`A (A^* A)^{-1/2}` of many scripts is not: it squares the condition. The method
# ``"gram"`` starts from the same Gram matrix, adds what the rounding of its eigenvectors left, and
# refuses where that is not enough; then ``"auto"`` goes on with another one. ``"bidiagonal"``, the
# first choice for large matrices that are not tall, sums resolvents of a bidiagonal matrix, in
# which no two numbers are ever subtracted.

import matplotlib.pyplot as plt
import numpy as np

import tdecomp as td
from tdecomp.linalg import Polar, cans_coefficients, minimax_coefficients, polar_certificate
from tdecomp.testing import matrix

n, eps = 60, np.finfo(float).eps
conditions = np.geomspace(1.5, 1e15, 31)


def scripted(a):
    """Return A (A^T A)^(-1/2), as it is found in scripts."""
    w, v = np.linalg.eigh(a.T @ a)
    w = np.maximum(w, eps * w[-1])
    u = (a @ (v / np.sqrt(w))) @ v.T
    return Polar(u, (v * np.sqrt(w)) @ v.T)


methods = {
    "A (A*A)^(-1/2)": (scripted, "#999999"),
    "gram": (lambda a: td.polar(a, method="gram"), "#0072B2"),
    "bidiagonal": (lambda a: td.polar(a, method="bidiagonal"), "#CC79A7"),
    "svd": (lambda a: td.polar(a, method="svd"), "black"),
    "qdwh": (lambda a: td.polar(a, method="qdwh"), "#D55E00"),
    "newton": (lambda a: td.polar(a, method="newton"), "#009E73"),
}
found = {name: [] for name in methods}
for condition in conditions:
    a = matrix(n, n, np.geomspace(1.0, 1 / condition, n), rng=1)
    for name, (method, _) in methods.items():
        try:
            measures = polar_certificate(a, method(a))
            found[name].append([float(measures.orthogonality), float(measures.residual)])
        except (td.ToleranceError, ValueError):
            found[name].append([np.nan, np.nan])

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True})
figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharey=True)
titles = (r"orthogonality $\|U^* U - I\|_F$", r"residual $\|A - U H\|_F / \|A\|_F$")
for k, (ax, title) in enumerate(zip(axes, titles, strict=True)):
    ax.grid(color="#dddddd", lw=0.6)
    for name, (_, color) in methods.items():
        values = np.array(found[name])[:, k]
        ax.loglog(conditions, np.maximum(values, 1e-17), color=color, label=name, lw=1.8)
    ax.axhline(100 * np.sqrt(n) * eps, color="#999999", lw=0.8, ls=":")
    ax.set(xlabel="condition number", ylim=(1e-16, 10), xlim=(1, 1e15))
    ax.set_title(title, loc="left", fontsize=11)
axes[0].legend(frameon=False)
axes[1].text(1.5, 150 * np.sqrt(n) * eps, r"$100 \sqrt{n}\, \epsilon$", color="#777777")
for name in methods:
    worst = np.nanmax(np.array(found[name]), axis=0)
    reached = conditions[np.isfinite(np.array(found[name])[:, 0])][-1]
    print(f"{name:15} up to condition {reached:.0e}: {worst[0]:.0e} {worst[1]:.0e}")

# %%
# In five steps: what polynomials do
# ----------------------------------
# An odd polynomial of a matrix, :math:`a X + b X X^* X + c (X X^*)^2 X`, is that polynomial of its
# singular values, and takes three products. Five of them in a row should bring all values that
# matter to one. Muon's famous five steps push small values up fast and then scatter around one for
# ever; the same budget spent on the best polynomials for an interval, Polar Express, ends within
# 11 per cent, and three steps more would end at rounding.

x = np.geomspace(1e-4, 1, 20_000)
compositions = {
    "Muon's quintic": (((3.4445, -4.7750, 2.0315),) * 5, "#0072B2"),
    "Newton-Schulz": (((15 / 8, -10 / 8, 3 / 8),) * 5, "#999999"),
    "Polar Express, from 1e-3": (minimax_coefficients(1e-3, steps=5).coefficients, "#D55E00"),
    "CANS, within 0.3": (cans_coefficients(0.3, steps=5, degree=5).coefficients, "#009E73"),
}
figure, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
ax.grid(color="#dddddd", lw=0.6)
for name, (steps, color) in compositions.items():
    y = x.copy()
    for odd in steps:
        y = sum(c * y ** (2 * k + 1) for k, c in enumerate(odd))
    ax.semilogx(x, y, color=color, label=name, lw=1.8)
    print(f"{name:25} on [1e-3, 1]: {y[x >= 1e-3].min():.3f} to {y[x >= 1e-3].max():.3f}")
ax.axhline(1, color="black", lw=0.8)
ax.set(xlabel="singular value before", xlim=(1e-4, 0.1), ylim=(0, 1.45))
ax.set_title("singular value after five steps", loc="left", fontsize=11)
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
# Of a rank alone
# ---------------
# Gradients often hold most of what they are in a few directions.
# :func:`~tdecomp.randomized_polar` takes the factor of those alone, and returns how much of the
# best alignment it has: a bound that needs no other decomposition.

g = matrix(600, 400, 0.96 ** np.arange(400.0), rng=0)
for rank in (10, 40, 120):
    part = td.randomized_polar(g, rank=rank, rng=0)
    share = np.vdot(g, part.U) / np.linalg.svd(g, compute_uv=False).sum()
    print(f"rank {rank:3}: alignment {share:.3f}, certified {float(part.alignment):.3f}")
