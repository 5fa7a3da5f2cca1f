r"""
Filling gaps: matrix, CP or Tucker?
===================================

A table with gaps can be completed because its rows are alike. A tensor can be laid out as a table
and completed as one, or be taken as what it is: then all of its modes help. How much do they?

The data are 64 samples of fluorescent mixtures, seen at 12 wavelengths of emission, 10 of
excitation and 10 times: R. P. Nikolajsen, K. S. Booksh, A. M. Hansen and R. Bro, *Quantifying
catecholamines using multi-way kinetic modelling*, Anal. Chim. Acta 475, 2003, which TensorLy
carries with it (``pip install tensorly``; nothing is downloaded when this page is built).
"""

# %%
# Three ways to lose readings
# ---------------------------
# One by one; a whole course in time, when a sample is not looked at in some pair of colours; or a
# pair of colours at a time, in all samples alike: an instrument that measures only a part of what
# it could, to be faster.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np
from tensorly.datasets import load_kinetic

import tdecomp as td
from tdecomp import cp

data = load_kinetic()
measured = ~np.asarray(data.missing_values_position)[..., 5::6]
x = np.where(measured, np.asarray(data.tensor)[..., 5::6], np.nan)
x /= np.sqrt(np.nanmean(x**2))
print(f"{x.shape}, {measured.sum()} readings")

losses = {
    "single readings": (64, 12, 10, 10),
    "courses in time": (64, 12, 10, 1),
    "colours, in all samples": (1, 12, 10, 10),
}
shares = (0.4, 0.2, 0.12, 0.08)

# %%
# Three models
# ------------
# The matrix has a row for each sample and a column for each of 1200 readings. It has rank 4, for
# four substances, and 5056 numbers. CP gives each substance its amounts, spectra and course, none
# of them negative: 384 numbers. Tucker takes three patterns in each mode and combines them freely
# in a core of 81: 369 numbers, and nothing known of chemistry.
#
# The matrix needs a penalty. It is given two to choose from, and chooses with a look at the
# readings that are hidden: what it shows here is better than it could do in earnest.
#
# To be done in seconds, CP and Tucker stop early. With a tolerance of 0.0001, one dot of CP falls:
# the upper one where 88 % are lost in courses, from 0.057 to 0.032. Where Tucker fails, more steps
# make it worse.


def matrix(known, hidden):
    """Complete the table of samples and readings."""
    found = []
    for penalty in (1e-3, 1e-2):
        table = known.reshape(len(known), -1)
        fit = td.complete(table, rank=4, regularization=penalty, by_count=True, rng=0)
        found.append(fit.tensor.to_array().reshape(known.shape))
    return min(found, key=lambda z: error(z, hidden))


def canonical(known, _):
    """Fit a nonnegative CP tensor to what is known."""
    fit = cp.cp_als(
        known, rank=4, weights=~np.isnan(known), nonnegative=True, n_starts=2, tol=1e-3,
        max_iter=200, rng=0,
    )  # fmt: skip
    return fit.tensor.to_array()


def tucker(known, _):
    """Fit a Tucker tensor to what is known."""
    fit = td.hooi(known, rank=3, weights=~np.isnan(known), tol=1e-4, max_iter=50)
    return fit.tensor.to_array()


def error(z, hidden):
    """Return the relative error at hidden readings."""
    return np.linalg.norm((z - x)[hidden]) / np.linalg.norm(x[hidden])


models = {"matrix": matrix, "CP": canonical, "Tucker": tucker}
rng = np.random.default_rng(0)
errors = {}
for loss, shape in losses.items():
    for share in shares:
        for _ in range(2):
            hidden = measured & (rng.random(shape) >= share)
            known = np.where(hidden, np.nan, x)
            for name, model in models.items():
                found = error(model(known, hidden), hidden)
                errors.setdefault((loss, name), {}).setdefault(share, []).append(found)

# %%
# What they say of what they have not seen
# ----------------------------------------

colors = {"matrix": "#D55E00", "CP": "#0072B2", "Tucker": "#009E73"}
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, panels = plt.subplots(1, 3, figsize=(9.5, 3.7), sharey=True, layout="constrained")
for panel, loss in zip(panels, losses, strict=True):
    for name, color in colors.items():
        rounds = np.array(list(errors[loss, name].values()))
        panel.plot(shares, np.exp(np.log(rounds).mean(axis=1)), color=color, lw=1.8)
        panel.plot(shares, rounds, "o", color=color, ms=4.5, alpha=0.5, mew=0)
    panel.set_title(f"lost: {loss}", loc="left", fontsize=10.5)
    panel.set(xscale="log", yscale="log", xlim=(0.46, 0.07), ylim=(0.015, 4))
    panel.set_xticks(shares, [f"{100 * (1 - share):.0f}" for share in shares])
    panel.set_xticks([], minor=True)
    panel.set_xlabel("hidden / %")
panels[0].set_yticks([0.03, 0.1, 0.3, 1], ["0.03", "0.1", "0.3", "1"])
panels[0].set_yticks([], minor=True)
panels[0].set_ylabel("relative error of what was hidden")
for name, at in {"matrix": (0.14, 0.11), "CP": (0.3, 0.036), "Tucker": (0.3, 0.0205)}.items():
    panels[0].text(*at, name, color=colors[name], weight="bold", ha="center")
for (loss, name), found in errors.items():
    print(f"{loss:24} {name:7}", *(f"{np.exp(np.log(e).mean()):7.3f}" for e in found.values()))

# %%
# Dots are rounds, lines go through their geometric means. With four of five single readings
# hidden, all three say what can be said: the last three percent are noise. Then the matrix gives
# way, which has many times the numbers to learn from the same readings.
#
# What no sample has, the matrix cannot know at all: a column without an entry has no factor, and
# it says zero. Laid out in another way it would be blind in another direction. To the tensors
# that pair of colours is a combination of spectra that are known from others.
#
# The tensors have their limits, too. Where 92 % are lost in whole courses or in all samples,
# Tucker fails in one round of two: parts that may cancel make up what they like where nothing is
# known. CP is held by having none below zero; without that condition it fails there as well.
#
# One sample
# ----------
# The first sample after 2 minutes, with three of ten pairs of colours left at each time:

hidden = measured & (rng.random(losses["colours, in all samples"]) >= 0.3)
known = np.where(hidden, np.nan, x)
maps = {"measured": x, "known": known}
maps |= {name: model(known, hidden) for name, model in models.items()}
emission, excitation = (np.asarray(data.ticks[mode]) for mode in (1, 2))
figure, panels = plt.subplots(1, 5, figsize=(9.5, 2.5), sharey=True, layout="constrained")
for panel, (name, z) in zip(panels, maps.items(), strict=True):
    panel.set_facecolor("#e8e8e8")
    tiles = panel.pcolormesh(
        excitation, emission, z[0, :, :, 0], cmap="magma", vmin=0, vmax=np.nanmax(x[0, :, :, 0])
    )
    panel.set_title(name, loc="left", fontsize=10.5, color=colors.get(name, "#222222"))
    panel.set_xlabel("excitation / nm")
panels[0].set_ylabel("emission / nm")
figure.colorbar(tiles, ax=panels, label="intensity", ticks=[0, 0.5, 1])
for name in models:
    print(f"{name:7} {error(maps[name], hidden):.3f}")

# %%
# So: a table of things that have nothing in common but their rows is a matrix. Where columns are
# pairs, or triples, of things that come back, say so. Which of the two tensors is a question to
# what is known: CP where parts are real and cannot cancel, Tucker where only patterns are few.
