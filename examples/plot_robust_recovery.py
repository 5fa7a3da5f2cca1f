r"""
Low rank in spite of what is wrong
==================================

Least squares believes every number. If a fifth of them is nonsense, the answer is. This page is
about recovery that does not mind: of a matrix some of whose entries are wrong, by convex
optimisation, and of one that is seen through measurements some of which are, by a subgradient
method that does not even know the rank.
"""

# %%
# Entries that are wrong
# ----------------------
# A smooth surface, of rank three, with scratches and dust. Principal component pursuit splits the
# sum into a matrix of low rank and a sparse one: nobody told it the rank, nor where the damage is.
# The truncated SVD of the same rank smears it over everything.

import matplotlib.pyplot as plt
import numpy as np

import tdecomp as td
from tdecomp.completion.robust import principal_component_pursuit, sense, subgradient

m, n = 90, 180
y, x = np.linspace(-1, 1, m)[:, None], np.linspace(-2, 2, n)[None, :]
surface = np.cos(2 * y + x**2 / 3) + 0.4 * np.sin(3 * x) * y
low = td.truncated_svd(surface, rank=3).to_array()
rng = np.random.default_rng(0)
damage = np.zeros((m, n))
for _ in range(22):
    start, angle = rng.uniform(0, (m, n)), rng.choice([1, 2]) * np.pi / 2 - rng.uniform(0.4, 1.1)
    way = np.arange(0, rng.uniform(20, 70), 0.5)[:, None] * [np.sin(angle), np.cos(angle)]
    places = np.round(start + way).astype(int)
    places = places[((places >= 0) & (places < (m, n))).all(axis=1)]
    damage[places[:, 0], places[:, 1]] = rng.choice([-2.5, 2.5])
dust = 2.5 * rng.choice([-1, 0, 1], (m, n), p=[0.02, 0.96, 0.02])
damage = np.where(damage != 0, damage, dust)
data = low + damage

fit = principal_component_pursuit(data)
found, sparse = fit.tensor.low_rank.to_array(), fit.tensor.sparse.to_array()
smeared = td.truncated_svd(data, rank=3).to_array()
size = np.linalg.norm(low)
print(f"{np.mean(damage != 0):.0%} of the entries are wrong")
print(f"pursuit: rank {fit.tensor.rank}, error {np.linalg.norm(found - low) / size:.1e}")
print(f"truncated SVD: error {np.linalg.norm(smeared - low) / size:.2f}")

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True})
pictures = {
    "what is given": data,
    "truncated SVD, rank 3": smeared,
    f"pursuit: low rank ({fit.tensor.rank})": found,
    "pursuit: sparse": sparse,
}
figure, axes = plt.subplots(2, 2, figsize=(10, 5.4), layout="constrained")
for ax, (name, picture) in zip(axes.flat, pictures.items(), strict=True):
    ax.imshow(picture, cmap="RdBu_r", vmin=-3, vmax=3, interpolation="nearest")
    ax.set_title(name, loc="left", fontsize=11)
    ax.set_axis_off()

# %%
# How much may be wrong
# ---------------------
# For random matrices of given rank, and random places and signs, recovery is exact up to a sharp
# line. Below is the error of pursuit on matrices of side 50, after 80 steps at most, from
# :math:`10^{-6}` (white) to one.

side = 50
ranks, densities = np.arange(1, 14, 2), np.linspace(0.05, 0.35, 7)


def missed(rank, density):
    """Return the median error of pursuit in three trials."""
    found = []
    for _ in range(3):
        factors = rng.standard_normal((2, side, rank))
        truth = factors[0] @ factors[1].T
        signs = rng.choice([-1.0, 1.0], (side, side)) * (rng.random((side, side)) < density)
        spoiled = truth + 3 * np.sqrt(rank) * signs
        part = principal_component_pursuit(spoiled, tol=1e-6, max_iter=80).tensor.low_rank
        found.append(np.linalg.norm(part.to_array() - truth) / np.linalg.norm(truth))
    return np.median(found)


errors = np.array([[missed(rank, density) for rank in ranks] for density in densities])
print(f"exact to four digits in {np.mean(errors < 1e-4):.0%} of the cases")

figure, ax = plt.subplots(figsize=(5.6, 4.2), layout="constrained")
picture = ax.pcolormesh(ranks, densities, np.log10(errors), cmap="Blues", vmin=-6, vmax=0)
ax.set(xlabel="rank", ylabel="share of wrong entries", xticks=ranks, yticks=densities)
ax.set_yticklabels([f"{density:.0%}" for density in densities])
ax.set_title("error of pursuit on matrices of side 50", loc="left", fontsize=11)
bar = figure.colorbar(picture, ax=ax, ticks=[-6, -4, -2, 0])
bar.ax.set_yticklabels(["$10^{-6}$", "$10^{-4}$", "$10^{-2}$", "1"])
bar.outline.set_visible(False)

# %%
# Measurements that are wrong
# ---------------------------
# A projector of rank three and side 20 is measured by Gaussian matrices, and a tenth of the
# numbers is spoiled. The factor has twenty columns, since nobody knows the rank. From a start of
# size :math:`\alpha`, subgradients of the absolute residuals find the matrix, up to an error of
# the size of :math:`\alpha`; least squares ends where it has to.

d, r = 20, 3


def measured(m, spoiled, noise=0.0, seed=1):
    """Return a projector, Gaussian matrices, and what they see of it."""
    rng = np.random.default_rng(seed)
    u = np.linalg.qr(rng.standard_normal((d, r)))[0]
    matrices = rng.standard_normal((m, d, d))
    seen = np.tensordot(matrices, u @ u.T, 2) + noise * rng.standard_normal(m)
    wrong = rng.permutation(m)[: int(spoiled * m)]
    seen[wrong] += 10 * rng.standard_normal(wrong.size)
    return u @ u.T, matrices, seen


def distances(problem, rank=d, *, method=subgradient, **options):
    """Return the distance to the truth, after every tenth step and at the end."""
    truth, matrices, seen = problem
    errors = []

    def watch(progress):
        if progress.iteration % 10 == 1:
            errors.append(np.linalg.norm(progress.tensor.to_array() - truth))

    options = {"tol": 0, "rng": 0, "max_iter": 2000} | options
    fit = method(seen, matrices, rank=rank, callback=watch, **options)
    return np.array(errors), np.linalg.norm(fit.tensor.to_array() - truth)


problem = measured(1200, 0.1)
starts = (1e-2, 1e-4, 1e-6)
curves = {alpha: distances(problem, init_scale=alpha)[0] for alpha in starts}
squares, _ = distances(problem, method=sense, symmetric=True, max_iter=300)

figure, ax = plt.subplots(figsize=(7.6, 4.3), layout="constrained")
ax.grid(color="#dddddd", lw=0.6)
shades = plt.get_cmap("Blues")(np.linspace(0.4, 0.95, len(starts)))
for color, (alpha, errors) in zip(shades, curves.items(), strict=True):
    ax.semilogy(10 * np.arange(errors.size), errors, color=color, lw=1.8)
    name = rf"$\alpha = 10^{{{round(np.log10(alpha))}}}$"
    ax.text(2020, errors[-1], name, color=color, va="center")
    print(f"alpha {alpha:.0e}: {errors[-1]:.1e}")
ax.semilogy(10 * np.arange(squares.size), squares, color="#D55E00", lw=1.8)
ax.text(310, squares[-1], " least squares", color="#D55E00", va="center")
ax.set(xlabel="step", xlim=(0, 2000))
ax.set_title("distance to the truth, a tenth of 1200 numbers spoiled", loc="left", fontsize=11)

# %%
# Columns, spoiled numbers, measurements
# --------------------------------------
# With more columns than rank the error grows, by a factor of ten from five columns to twenty;
# almost half of the numbers may be spoiled (at a half, two of 36 draws fail); with too few
# measurements nothing helps.

columns = (3, 5, 10, 20)
shares = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
counts = (200, 400, 600, 1000, 2000)
sweeps = (
    ("columns of the factor", columns, [distances(measured(800, 0.1), k)[1] for k in columns]),
    ("share of spoiled numbers", shares, [distances(measured(1600, p))[1] for p in shares]),
    ("measurements", counts, [distances(measured(count, 0.1))[1] for count in counts]),
)
figure, axes = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained", sharey=True)
for ax, (name, values, errors) in zip(axes, sweeps, strict=True):
    ax.grid(color="#dddddd", lw=0.6)
    ax.semilogy(range(len(values)), errors, "o-", color="#0072B2", lw=1.4, ms=7)
    labels = [f"{value:.0%}" if values is shares else str(value) for value in values]
    ax.set_xticks(range(len(values)), labels)
    ax.set(xlabel=name, ylim=(1e-10, 1))
    print(name, dict(zip(labels, (f"{error:.1e}" for error in errors), strict=True)))
axes[0].set_title("distance to the truth", loc="left", fontsize=11)
plt.show()
