r"""
Which cells answer which drug, and when
=======================================

Interleukin 2 tells immune cells to multiply. As a drug it should speak to regulatory T cells
only, and to that end it has been mutated, and pairs of molecules have been fused to a piece of an
antibody. The data are the responses of 8 kinds of cells to 13 such ligands at 12 doses and 4
times: B. Orcutt-Jahns and others, *Multivalency enhances the specificity of Fc-cytokine fusions*,
bioRxiv, 2021, which TensorLy carries with it (``pip install tensorly``; nothing is downloaded when
this page is built). Two ligands were never measured after half an hour: 192 entries are missing.
"""

# %%
# What is missing
# ---------------
# An entry of weight zero is missing, and may be ``NaN``.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from tensorly.datasets import load_IL2data

from tdecomp import cp
from tdecomp.plot import components

data = load_IL2data()
x, (ligands, times, doses, cells) = np.asarray(data.tensor), data.ticks
observed = ~np.isnan(x)
for ligand, time in np.argwhere(~observed.any(axis=(2, 3))):
    print(f"missing: {ligands[ligand]} after {times[time]} h, {np.isnan(x[ligand, time]).sum()}")

# %%
# How many components?
# --------------------
# More components always fit better what they have seen. So we hide a part, fit the rest, and ask
# for what was hidden. It matters what is hidden: a single entry has neighbours at the next doses
# that give it away, and any number of components will do. What is missing in earnest is a ligand
# at a time, in all cells at all doses. That is what we hide, a quarter of it in each of four
# rounds.

rng = np.random.default_rng(0)
deal = np.stack([rng.permutation(4) for _ in ligands])[:, :, None, None]
alone = rng.integers(4, size=x.shape)
ranks = range(1, 7)


def held_out(rank, groups):
    """Return the relative errors at what four fits had not seen."""
    errors = []
    for k in range(4):
        hidden = observed & (groups == k)
        fit = cp.cp_als(
            x, rank=rank, weights=observed & ~hidden, nonnegative=True, n_starts=3, tol=1e-6, rng=0
        )
        gap = (fit.tensor.to_array() - x)[hidden]
        errors.append(np.linalg.norm(gap) / np.linalg.norm(x[hidden]))
    return np.array(errors)


hidden = {"a ligand at a time": deal, "single entries": alone}
errors = {what: np.array([held_out(r, groups) for r in ranks]) for what, groups in hidden.items()}

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, axes = plt.subplots(figsize=(7.6, 4.0), layout="constrained")
looks = (("#D55E00", "o", 2.9, 0.8), ("#0072B2", "s", 5, 0.15))
for (what, found), (color, marker, left, top) in zip(errors.items(), looks, strict=True):
    axes.plot(ranks, found, marker, color=color, ms=4, alpha=0.45, mew=0)
    axes.plot(ranks, np.median(found, axis=1), color=color, lw=1.8)
    axes.text(left, top, f"hidden: {what}", color=color, weight="bold", ha="center")
axes.set(yscale="log", xlabel="rank", ylim=(0.12, 60), xticks=ranks)
axes.set_yticks([0.2, 0.5, 1, 10], ["0.2", "0.5", "1", "10"])
axes.set_yticks([], minor=True)
axes.set_ylabel("relative error of what was hidden")
for rank, found in zip(ranks, errors["a ligand at a time"], strict=True):
    print(f"rank {rank}: {np.mean(found):6.3f} hidden a ligand at a time")

# %%
# Dots are rounds, lines their medians. Three components predict unseen measurements best. From
# four on some predictions are off by more than the signal itself: components that grow where
# nothing holds them. Hiding single entries would have told us nothing of that.
#
# Three ways to answer
# --------------------

fit = cp.cp_als(x, rank=3, weights=observed, nonnegative=True, n_starts=8, rng=0)
again = cp.cp_als(x, rank=3, weights=observed, nonnegative=True, n_starts=8, rng=1)
print(f"error {fit.error:.3f} of what was measured, {fit.status.name}")
print(f"match with other starts {cp.factor_match_score(fit.tensor, again.tensor):.4f}")

figure = components(
    fit.tensor,
    coordinates=[ligands, times, doses, cells],
    labels=["ligand", "time / h", "dose / nM", "cell"],
    figure=plt.figure(figsize=(10, 5.0)),
)

# %%
# - The first component is the plain message. The unmodified interleukins 2 and 15 reach all cells
#   alike, from about 1 nM on, and the response fades within hours.
# - The second is what all engineered ligands do at very high doses: regulatory and helper T cells
#   answer by how much receptor (IL2Ra) they carry.
# - The third is the one to look for. At doses ten to a hundred times lower, regulatory T cells
#   answer and CD8+ and NK cells do not. Interleukin 2 itself does that, and of the engineered
#   ligands the bivalent ones do it best; it lasts.
#
# What was not measured
# ---------------------
# The model also says what the missing half hour would have shown, here for regulatory T cells.

cell = cells.index("Treg")
order = np.argsort(times)
colors = ("#9fcbe8", "#3d92c9", "#0072B2", "#003f63")
figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True, layout="constrained")
for panel, ligand in zip(panels, np.flatnonzero(~observed.all(axis=(1, 2, 3))), strict=True):
    for time, color in zip(order, colors, strict=True):
        curve = fit.tensor.to_array((int(ligand), int(time), slice(None), cell))
        known = observed[ligand, time, 0, cell]
        panel.plot(doses, curve, color=color if known else "#D55E00", lw=1.6 if known else 2.2)
        panel.plot(doses, x[ligand, time, :, cell], "o", color=color, ms=5, mec="white", mew=0.6)
    panel.set(xscale="log", xlabel="dose / nM")
    panel.set_title(ligands[ligand], loc="left", fontsize=11)
panels[0].set_ylabel("response of regulatory T cells")
for row, (text, color) in enumerate(
    [
        ("0.5 h, predicted", "#D55E00"),
        *((f"{times[t]} h", c) for t, c in zip(order[1:], colors[1:], strict=True)),
    ]
):
    panels[0].text(
        0.02, 0.93 - 0.08 * row, text, color=color, weight="bold", transform=panels[0].transAxes
    )

# %%
# Dots are measurements, lines the model. Three components cannot follow every dot, which is what
# an error of a quarter means; they were chosen for what they say about the ones not seen.
