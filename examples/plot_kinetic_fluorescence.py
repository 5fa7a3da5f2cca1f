r"""
Chemistry from incomplete light
===============================

Shine light of one colour on a solution and it glows in others. Each fluorescent substance has its
own spectrum of excitation, its own spectrum of emission and, where it reacts, its own course in
time; its amount scales the product of the three. A measured mixture is a sum of such products,
which is a CP decomposition, and that is unique: the substances can be told apart without ever
having been separated.

The data are those of R. P. Nikolajsen, K. S. Booksh, A. M. Hansen and R. Bro, *Quantifying
catecholamines using multi-way kinetic modelling*, Anal. Chim. Acta 475, 2003, which TensorLy
carries with it (``pip install tensorly``; nothing is downloaded when this page is built): 64
samples, 12 wavelengths of emission, 10 of excitation, 20 minutes. Some readings are missing.
"""

# %%
# What is missing
# ---------------
# We take one reading a minute of the three. Where one is missing, the file has a zero; ``NaN`` is
# safer, since nothing can take it for a measurement.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from tensorly.datasets import load_kinetic

from tdecomp import cp
from tdecomp.plot import components

data = load_kinetic()
minutes = np.asarray(data.ticks[3])[2::3]
emission, excitation = (np.asarray(data.ticks[mode]) for mode in (1, 2))
missing = np.asarray(data.missing_values_position)[..., 2::3]
x = np.where(missing, np.nan, np.asarray(data.tensor)[..., 2::3])
print(f"{x.shape}, {missing.sum()} of {x.size} readings are missing")

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, axes = plt.subplots(figsize=(8.2, 2.6), layout="constrained")
share = 100 * missing.mean(axis=(1, 2))
tiles = axes.pcolormesh(np.arange(1, 65), minutes, share.T, cmap="Blues", vmin=0, vmax=100)
axes.set(xlabel="sample", ylabel="time / min", yticks=[1, 5, 10, 15, 20])
figure.colorbar(tiles, label="missing readings / %", ticks=[0, 50, 100])
late = int(np.argmax(missing.sum(axis=(1, 2, 3))))
axes.annotate(
    f"sample {late + 1} ends early", (late + 1.8, 17), (late + 5, 17), va="center",
    arrowprops={"arrowstyle": "-", "color": "#555555"},
)  # fmt: skip

# %%
# Fit what was measured
# ---------------------
# With ``weights`` of zero an entry is missing: :func:`~tdecomp.cp.cp_als` minimises the misfit of
# all others, and fills in nothing. Amounts, spectra and intensities are not negative. The
# objective has several minima. Each of these runs races two random starts of its own.

observed = ~missing
runs = [
    cp.cp_als(x, rank=4, weights=observed, nonnegative=True, n_starts=2, tol=1e-6, rng=rng)
    for rng in range(3)
]
best, second, *rest = sorted(runs, key=lambda fit: fit.error)
for rng, fit in enumerate(runs):
    match = cp.factor_match_score(best.tensor, fit.tensor)
    print(f"run {rng}: error {fit.error:.5f}, match with the best {match:.3f}")

# %%
# Runs that know nothing of each other and reach the lowest error agree in all factors. One that is
# caught higher up differs, and its error gives it away. Agreement of independent runs at the
# lowest error is what to look for before reading anything into components.

figure = components(
    best.tensor,
    coordinates=[np.arange(1, 65), emission, excitation, minutes],
    labels=["sample", "emission / nm", "excitation / nm", "time / min"],
    figure=plt.figure(figsize=(9.5, 5.0)),
)

# %%
# The spectra are smooth though nobody told them to be, and so are the courses in time: one
# substance is there from the first minutes and fades, two are formed slowly, at different rates,
# from the same samples. The last, weak one looks like scattered light: it grows where excitation
# and emission come close, and is much the same in every sample.
#
# What zeros do
# -------------
# Only one reading in 235 is missing. Can it matter? We put zeros there, as the file has them.

zeros = cp.cp_als(np.where(missing, 0.0, x), rank=4, nonnegative=True, rng=0, tol=1e-6)
imputed = cp.align(zeros.tensor, best.tensor)
print(f"match with another run {cp.factor_match_score(best.tensor, second.tensor):.3f}")
print(f"match with zeros imputed {cp.factor_match_score(best.tensor, imputed):.3f}")

colors = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
where = {
    1: ("emission / nm", emission),
    2: ("excitation / nm", excitation),
    3: ("time / min", minutes),
}
figure, panels = plt.subplots(
    2, 3, figsize=(9.5, 4.8), sharex="col", sharey="col", layout="constrained"
)
for row, other in zip(panels, (cp.align(second.tensor, best.tensor), imputed), strict=True):
    for panel, (mode, (_, at)) in zip(row, where.items(), strict=True):
        for r, color in enumerate(colors):
            panel.plot(at, best.tensor.factors[mode][:, r], color=color, lw=1.2)
            panel.plot(
                at, other.factors[mode][:, r], "o", color=color, ms=4.4, mec="white", mew=0.4
            )
        panel.set_yticks([])
        panel.spines["left"].set_visible(False)
for panel, (label, _) in zip(panels[1], where.values(), strict=True):
    panel.set_xlabel(label)
for panel in panels[0]:
    panel.set_ylim(bottom=0)
panels[0, 0].set_title("lines: the best run; dots: another run", loc="left", fontsize=10)
panels[1, 0].set_title("lines: the best run; dots: zeros imputed", loc="left", fontsize=10)

# %%
# With zeros the model spends a component on the one sample that ends early: light that goes out
# after 15 minutes. The others are bent to make room for it.
#
# What the missing readings were
# ------------------------------
# A model of what was measured predicts what was not. Here is the sample that ends early, at the
# wavelengths where it is brightest.

bright = np.nanmean(x[late], axis=2)
i, j = np.unravel_index(np.nanargmax(bright), bright.shape)
figure, axes = plt.subplots(figsize=(7.6, 3.6), layout="constrained")
axes.plot(minutes, x[late, i, j], "o", color="#222222", ms=5, mec="white")
for model, color, name in (
    (best.tensor, "#0072B2", "observed readings only"),
    (imputed, "#D55E00", "zeros imputed"),
):
    course = model.to_array((late, int(i), int(j), slice(None)))
    axes.plot(minutes, course, color=color, lw=1.6)
    axes.text(20.2, course[-1], name, color=color, va="bottom")
axes.text(5, 1.05 * np.nanmax(x[late, i, j]), "measured", color="#222222", ha="center")
axes.set(
    xlabel="time / min", ylabel="intensity", xlim=(0, 25), ylim=(0, 2300), xticks=range(0, 21, 5)
)
axes.set_title(
    f"sample {late + 1}, excited at {excitation[j]:g} nm, seen at {emission[i]:g} nm",
    loc="left",
    fontsize=11,
)

# %%
# The zeros have their price on the measured readings, too:

for name, model in (("observed only", best.tensor), ("zeros imputed", imputed)):
    gap = np.where(missing, 0.0, x - model.to_array())
    error = np.linalg.norm(gap) / np.linalg.norm(np.where(missing, 0.0, x))
    print(f"{name}: relative error {error:.4f} on what was measured")
