r"""
Fields from the air, eighty times smaller
=========================================

A hyperspectral camera takes an image in two hundred colours. Neighbouring pixels resemble one
another, and so do neighbouring wavelengths, which a Tucker decomposition exploits in all modes at
once. Here is the Indian Pines scene, farmland in Indiana seen by NASA's AVIRIS sensor in June
1992 (`doi:10.4231/R7RX991C <https://doi.org/10.4231/R7RX991C>`_), which TensorLy carries with it
(``pip install tensorly``; nothing is downloaded when this page is built). How small does it get,
and can the fields still be told apart?
"""

# %%
# The spectra of three unfoldings
# -------------------------------
# 145 by 145 pixels of 20 metres, 200 wavelengths from 0.4 to 2.5 micrometres. Before choosing
# ranks, look at what each mode loses by truncation.

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np
from tensorly.datasets import load_indian_pines

import tdecomp as td
from tdecomp import tucker
from tdecomp.plot import core, mode_spectra

scene = load_indian_pines()
x = np.asarray(scene.tensor)
truth, wavelengths = np.asarray(scene.ticks[0]), np.asarray(scene.ticks[1])
ranks = (40, 40, 20)

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure = mode_spectra(
    x, ranks=ranks, labels=["rows", "columns", "bands"], figure=plt.figure(figsize=(9.5, 3.5))
)

# %%
# The bands are nearly dependent: twenty directions leave less than two percent. Space is rougher,
# since fields have edges. The note over the right panel is a theorem: no Tucker decomposition of
# the marked ranks has a smaller error than the first number, and the one below stays under the
# second.

compressed = tucker.sthosvd(x, rank=ranks)
error, ratio = float(td.relative_error(x, compressed)), x.size / td.n_parameters(compressed)
print(f"ranks {compressed.rank}: error {error:.4f}, {ratio:.0f} times smaller")

# %%
# All ranks from one decomposition
# --------------------------------
# In orthonormal bases the error of every smaller rank can be read off the core,
#
# .. math:: \|X - \hat X_r\|_F^2 = \|X\|_F^2 - \sum_{j < r} |G_j|^2 ,
#
# so that one :func:`~tdecomp.tucker.hosvd` draws the whole map. The dotted lines tell how many
# times smaller the decomposition is than the data.

most = tucker.hosvd(x, rank=(100, 100, 60))
energy = np.cumsum(np.cumsum(np.cumsum(most.core**2, axis=0), axis=1), axis=2)
spatial, spectral = np.arange(2, 101), np.arange(1, 61)
kept = energy[spatial - 1, spatial - 1][:, spectral - 1].T
errors = np.sqrt(1 - kept / np.linalg.norm(x) ** 2)
s, q = np.meshgrid(spatial, spectral)
ratios = x.size / (s * s * q + 2 * x.shape[0] * s + x.shape[2] * q)

figure, axes = plt.subplots(figsize=(7.6, 4.6), layout="constrained")
levels = [0.02, 0.025, 0.03, 0.035, 0.04, 0.045, 0.05, 0.06, 0.08, 0.12]
axes.contourf(s, q, errors, levels=[0, *levels, 1], cmap="Blues", norm="log", vmin=0.01, vmax=0.3)
lines = axes.contour(s, q, errors, levels=levels, colors="#00304d", linewidths=0.8)
axes.clabel(lines, fmt="%g", fontsize=8)
sizes = axes.contour(s, q, ratios, levels=[10, 30, 100, 300], colors="#D55E00", linestyles=":")
axes.clabel(sizes, fmt=lambda size: f"{size:g} x smaller", fontsize=8)
axes.plot(ranks[0], ranks[2], "o", color="#D55E00", mec="white", ms=9)
axes.set(xlabel="rank of rows and of columns", ylabel="rank of bands", xlim=(2, 100))
axes.set_title("relative error", loc="left", fontsize=11)

# %%
# Where lines of error run upright, more bands buy nothing; where they lie flat, a finer picture
# does not. Good ranks sit in the bend. The dot is ours.
#
# What was left out
# -----------------
# Three bands near red, green and blue make a picture. Only the regions that are needed are ever
# built: :meth:`~tdecomp.tucker.Tucker.to_array` takes indices.

bands = np.array([np.argmin(abs(wavelengths - colour)) for colour in (650, 550, 470)])
low, high = np.percentile(x[..., bands], [1, 99], axis=(0, 1))


def picture(values):
    """Stretch three bands to what a screen shows."""
    return np.clip((values - low) / (high - low), 0, 1) ** 0.8


everywhere = slice(None)
rebuilt = compressed.to_array((everywhere, everywhere, bands))
difference = x[..., bands] - rebuilt

figure, panels = plt.subplots(1, 3, figsize=(9.5, 3.6), layout="constrained")
panels[0].imshow(picture(x[..., bands]))
panels[0].set_title(f"data, {x.size / 1e6:.1f} million numbers", loc="left", fontsize=10)
panels[1].imshow(picture(rebuilt))
panels[1].set_title(f"Tucker, {td.n_parameters(compressed):,} numbers", loc="left", fontsize=10)
panels[2].imshow(np.clip(0.5 + difference / (high - low), 0, 1))
panels[2].set_title("what is missing, grey is nothing", loc="left", fontsize=10)
for panel in panels:
    panel.set_axis_off()

# %%
# Missing are edges, roads and noise: what varies from pixel to pixel. The core shows how the
# three bases work together. Nearly all of the energy is one spectrum in one smooth pattern, but
# the second direction of the bands, vegetation against soil, needs many patterns in space.

figure = core(
    compressed, labels=["rows", "columns", "bands"], figure=plt.figure(figsize=(6.4, 5.6))
)

# %%
# Are the fields still apart?
# ---------------------------
# A survey on the ground has named what grows on half of the pixels. In the basis of the bands
# every pixel has twenty scores in place of two hundred reflectances. On the left each pixel has
# been projected for itself, as principal components do; on the right rows and columns are
# compressed as well, and the classes stay where they were.

scores = {
    "bands compressed: 10 times smaller": td.ops.mode_product(x, compressed.factors[2].T, 2),
    f"Tucker: {ratio:.0f} times smaller": compressed._replace(
        factors=(*compressed.factors[:2], None)
    ).to_array(),
}
crops = {
    "woods": (14, "#009E73", -8.0, 1.2),
    "grass and trees": (6, "#56B4E9", -2.6, -0.75),
    "hay": (8, "#E69F00", 2.6, -1.4),
    "wheat": (13, "#CC79A7", -1.6, 1.1),
    "soybeans": (11, "#0072B2", 5.8, 1.5),
}

figure, panels = plt.subplots(
    1, 2, figsize=(9.5, 4.3), sharex=True, sharey=True, layout="constrained"
)
for panel, (title, values) in zip(panels, scores.items(), strict=True):
    for name, (crop, color, left, top) in crops.items():
        a, b = values[truth == crop][:, [1, 3]].T / 1000
        panel.plot(a, b, ".", ms=3, color=color, alpha=0.4, mew=0)
        panel.text(left, top, name, color=color, weight="bold", ha="center")
    panel.set_title(title, loc="left", fontsize=11)
    panel.set(xlabel="second spectral score / 1000", ylim=(-1.9, 2))
panels[0].set_ylabel("fourth spectral score / 1000")

# %%
# A number says more. Some of the named pixels teach, and every other one is given the class of
# the nearest of them; all sixteen classes count. It matters a great deal which ones teach. Here
# it is a tenth of the pixels at random, or, as somebody would need it who maps a county from a few
# surveyed fields, a quarter of the squares of twelve by twelve pixels.

named = truth > 0
classes = truth[named]
rows, columns = np.nonzero(named)


def scattered(rng):
    """Choose a tenth of the pixels."""
    return rng.random(classes.size) < 0.1


def squares(rng):
    """Choose a quarter of all squares."""
    return (rng.random((13, 13)) < 0.25)[rows // 12, columns // 12]


def accuracy(values, choose):
    """Return the percentage of other pixels whose nearest known pixel is of their class."""
    rng, right = np.random.default_rng(0), []
    for _ in range(3):
        known = choose(rng)
        taught, others = values[named][known], values[named][~known]
        distances = np.sum(taught**2, axis=1) - 2 * others @ taught.T
        found = classes[known][np.argmin(distances, axis=1)]
        right.append(100 * np.mean(found == classes[~known]))
    return float(np.mean(right))


choices = {"pixels at random": scattered, "whole squares": squares}
whole = {name: accuracy(x, choose) for name, choose in choices.items()}
for name, choose in choices.items():
    ours = accuracy(scores[f"Tucker: {ratio:.0f} times smaller"], choose)
    print(f"{name:16} teach: data {whole[name]:.1f} % right, Tucker {ours:.1f} %")

# %%
# Now compress harder and harder, with twenty bands and fewer and fewer patterns in space.

sizes, right = [], {name: [] for name in choices}
for side in (100, 80, 60, 40, 30, 20, 15, 10):
    fit = tucker.sthosvd(x, rank=(side, side, 20))
    sizes.append(x.size / td.n_parameters(fit))
    values = fit._replace(factors=(*fit.factors[:2], None)).to_array()
    for name, choose in choices.items():
        right[name].append(accuracy(values, choose))

figure, axes = plt.subplots(figsize=(7.6, 4.2), layout="constrained")
for (name, curve), color, marker in zip(right.items(), ("#D55E00", "#0072B2"), "os", strict=True):
    axes.axhline(whole[name], color=color, lw=1, ls=":")
    axes.plot(sizes, curve, marker=marker, color=color, lw=1.6, ms=6.5, mec="white")
    axes.text(sizes[0], curve[0] + 2.2, f"{name} teach", color=color, weight="bold")
axes.text(sizes[-1], whole["whole squares"] + 0.4, "dotted: all data", color="#0072B2", ha="right")
axes.set(xscale="log", xlabel="times smaller than the data", ylim=(35, 85))
axes.set_xticks([20, 50, 100, 200, 500], ["20", "50", "100", "200", "500"])
axes.set_xticks([], minor=True)
axes.set_ylabel("pixels classified correctly / %")
axes.grid(color="#dddddd", lw=0.6)

# %%
# With squares, which measure what carries over to other fields, little is lost until the data are
# a hundred times smaller, and then more and more. The upper curve seems to say that the strongest
# compression is the *best*. That is an illusion, and a common one: ten smooth patterns cannot
# hold much more than where a pixel lies, and pixels chosen at random always have a neighbour in
# their own field that was taught.
