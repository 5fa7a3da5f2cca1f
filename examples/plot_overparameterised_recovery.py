r"""
What columns too many cost
==========================

A matrix :math:`\Sigma` of rank :math:`r` is seen through linear measurements. Its rank is not
known, so factors get :math:`k > r` columns, and gradient descent should not mind: the columns
that are not needed can go to zero. They do, but they take their time. With one factor on both
sides, :math:`X X^*`, the error falls like :math:`1 / t` instead of geometrically; with two factors
it is their *difference* at the start that makes them fast, and one correction on the way that
makes them fastest. This page draws the theorems of `Xiong, Ding and Du
<https://arxiv.org/abs/2310.01769>`_.
"""

# %%
# In the limit of many measurements
# ---------------------------------
# Every entry is measured, by itself: what is left is the descent. The matrix has three singular
# values of one; factors get three columns, which is right, or five.

import matplotlib.pyplot as plt
import numpy as np

from tdecomp.completion.robust import LinearMeasurements, sense

n, r = 50, 3
truth = np.diag([1.0] * r + [0.0] * (n - r))
everything = LinearMeasurements(lambda x: x.reshape(-1), lambda v: v.reshape(n, n), (n, n), n * n)


def curve(columns, steps, **options):
    """Return the distance to the truth after each step."""
    errors = []

    def watch(progress):
        errors.append(progress.error * np.linalg.norm(truth))

    sense(
        truth.reshape(-1),
        everything,
        rank=columns,
        max_iter=steps,
        tol=0,
        rng=0,
        callback=watch,
        **options,
    )
    return np.array(errors)


exact = curve(3, 400, symmetric=True, init_scale=0.5)
symmetric = curve(5, 8000, symmetric=True, init_scale=0.5)
sizes = (0.5, 0.3, 0.2, 0.1)
unequal = {alpha: curve(5, 8000, init_scale=alpha, correction=False) for alpha in sizes}
corrected = curve(5, 8000, init_scale=0.1)

late = np.array([500, 1000, 2000, 4000, 8000])
slope = np.polyfit(np.log(late), np.log(symmetric[late - 1]), 1)[0]
print(f"one factor, five columns: error proportional to t^{slope:.2f}")
rates = {}
for alpha, errors in unequal.items():
    inside = np.flatnonzero((errors < 1e-2) & (errors > 1e-10))
    rates[alpha] = -np.polyfit(inside, np.log(errors[inside]), 1)[0]
    print(
        f"two factors from {alpha}: rate {rates[alpha]:.5f} per step, "
        f"{rates[alpha] / alpha**2:.3f} alpha^2"
    )
print(f"two factors from 0.1, corrected once: below 1e-10 after {np.argmax(corrected < 1e-10)}")

# %%
# On the left, in logarithms of both: a line of slope minus one is as slow as it looks. On the
# right, in logarithms of the error alone: descent from unequal starts is geometric, at a rate
# that goes with the square of their size, and the correction makes the same small start the
# fastest.

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True})
figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 4.4), layout="constrained", sharey=True, width_ratios=(1, 1.35)
)
steps = np.arange(1, 8001)
for ax in (left, right):
    ax.grid(color="#dddddd", lw=0.6)
left.loglog(steps, symmetric, color="#D55E00", lw=2)
left.loglog(steps[: len(exact)], exact, color="black", lw=2)
left.loglog(late, 14 / late, color="#999999", ls=":", lw=1.2)
left.text(1300, 1.8e-2, r"$\propto 1/t$", color="#777777")
left.text(7500, 1.5e-4, "five columns", color="#D55E00", ha="right")
left.text(75, 1e-9, "three columns", color="black", ha="right")
left.set(xlabel="step", ylim=(1e-13, 5), xlim=(1, 8000))
left.set_title(r"one factor: $\|X_t X_t^* - \Sigma\|_F$", loc="left", fontsize=11)
shades = plt.get_cmap("Blues")(np.linspace(0.95, 0.45, len(sizes)))
for color, (alpha, errors) in zip(shades, unequal.items(), strict=True):
    right.semilogy(steps[: len(errors)], errors, color=color, lw=1.8)
    at = {0.5: 700, 0.3: 1700, 0.2: 2300, 0.1: 2300}[alpha]
    right.text(at + 80, errors[at] * 1.5, f"from {alpha}", color=color)
right.semilogy(steps[: len(corrected)], corrected, color="#009E73", lw=2.2)
right.text(500, 2e-10, "from 0.1,\ncorrected\nonce", color="#009E73", va="top", fontsize=9)
right.semilogy(steps, symmetric, color="#D55E00", lw=1.2, ls="--")
right.text(1800, 6e-3, "one factor, from 0.5", color="#D55E00")
right.set(xlabel="step", xlim=(0, 3000))
right.set_title(
    r"two factors of five columns: $\|F_t G_t^* - \Sigma\|_F$", loc="left", fontsize=11
)

# %%
# The rate goes with the square of the start
# ------------------------------------------
# What keeps unequal factors fast is the difference :math:`F^* F - G^* G`, of the size of
# :math:`\alpha^2`, which a step of size :math:`\eta` changes by :math:`\eta^2` only.

figure, ax = plt.subplots(figsize=(5.2, 3.9), layout="constrained")
ax.grid(color="#dddddd", lw=0.6)
alphas = np.array(sizes)
found = np.array([rates[alpha] for alpha in sizes])
line = np.array([0.08, 0.6])
ax.loglog(line, np.mean(found / alphas**2) * line**2, color="#999999", ls=":", lw=1.2)
ax.loglog(alphas, found, "o", color="#0072B2", ms=8)
ax.text(0.16, 1.2e-3, r"$\propto \alpha^2$", color="#777777")
ax.set_xticks(sizes, [str(alpha) for alpha in sizes])
ax.set_yticks([1e-3, 3e-3, 1e-2, 3e-2], ["0.001", "0.003", "0.01", "0.03"])
ax.minorticks_off()
ax.set(xlabel=r"size $\alpha$ of the start", xlim=(0.08, 0.6))
ax.set_title("decrease of the logarithm of the error in a step", loc="left", fontsize=11)

# %%
# With random measurements
# ------------------------
# The same, seen through 1200 Gaussian matrices instead: the theorems ask only that the map nearly
# preserves the norms of matrices of low rank.

n, m = 20, 1200
rng = np.random.default_rng(0)
matrices = rng.standard_normal((m, n, n))
sigma = np.diag([1.0] * r + [0.0] * (n - r))
seen = np.tensordot(matrices, sigma, 2)
runs = {
    "one factor, from 0.5": ({"symmetric": True, "init_scale": 0.5}, "#D55E00"),
    "two, from 0.5": ({"init_scale": 0.5, "correction": False}, "#0072B2"),
    "two, from 0.1, corrected": ({"init_scale": 0.1}, "#009E73"),
}
figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
ax.grid(color="#dddddd", lw=0.6)
for name, (options, color) in runs.items():
    errors = []
    fit = sense(
        seen,
        matrices,
        rank=5,
        step=0.1,
        max_iter=1500,
        tol=0,
        rng=0,
        callback=lambda progress, errors=errors: errors.append(progress.error),
        **options,
    )
    ax.semilogy(errors, color=color, lw=2, label=name)
    gap = np.linalg.norm(fit.tensor.to_array() - sigma)
    print(f"{name:26} {fit.n_iter:4} steps, distance to the truth {gap:.1e}")
ax.set(xlabel="step", xlim=(0, 1500), ylim=(1e-11, 3))
ax.set_title("relative residual of 1200 Gaussian measurements", loc="left", fontsize=11)
ax.legend(frameon=False, loc="lower left")
plt.show()
