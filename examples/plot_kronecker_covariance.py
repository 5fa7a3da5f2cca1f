r"""
A covariance from few samples
=============================

How alike are two pixels of a patch? A covariance matrix tells, with which noise can be taken out
of an image in the best linear way. For patches of 16 by 16 pixels it has 256 by 256 entries, and
a sample of a few hundred patches does not determine them. But images vary along rows and along
columns in much the same way everywhere, so that the covariance is nearly a sum of few Kronecker
products :math:`\sum_k L_k \otimes R_k`, a matrix for rows and one for columns each
(`Van Loan and Pitsianis <https://doi.org/10.1007/978-94-015-8196-7_17>`_). Fitting those is a way
to average. The images are the two hundred bands of the Indian Pines scene (AVIRIS, June 1992,
`doi:10.4231/R7RX991C <https://doi.org/10.4231/R7RX991C>`_), which TensorLy carries with it
(``pip install tensorly``; nothing is downloaded when this page is built).
"""

# %%
# How many terms
# --------------
# Patches of the northern half of the scene, each band at unit variance, give a covariance that is
# as good as one can have it.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from tensorly.datasets import load_indian_pines

from tdecomp.kronecker import kronecker_svd

side, half, noise = 16, 80, 0.5
scene = np.asarray(load_indian_pines().tensor)
scene = (scene - scene.mean((0, 1))) / scene.std((0, 1))
windows = sliding_window_view(scene, (side, side), axis=(0, 1))
rng = np.random.default_rng(0)


def patches(region, count):
    """Draw so many patches, one to a row."""
    places = [rng.integers(0, n, count) for n in region.shape[:3]]
    return region[tuple(places)].reshape(count, -1)


def covariance(count):
    """Return the sample covariance of so many patches from the north."""
    sample = patches(windows[: half - side], count)
    return sample.T @ sample / count


shapes = ((side, side), (side, side))
best = covariance(20_000)
fits = {terms: kronecker_svd(best, shapes, rank=terms) for terms in range(1, 9)}
for terms in (1, 2, 3):
    fit = fits[terms]
    print(f"{terms} terms: {fit.tensor.n_parameters} numbers, error {fit.error:.3f}")

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, axes = plt.subplots(1, 4, figsize=(9.8, 2.6), layout="constrained")
axes[0].semilogy(list(fits), [fit.error for fit in fits.values()], "o-", color="#00304d")
axes[0].set(xlabel="terms", ylabel="relative error", title="Of 65 536 entries")
for axis, stack, name in zip(axes[1:], fits[3].tensor.factors, ("columns", "rows"), strict=False):
    axis.imshow(stack[0], cmap="Blues", vmin=0)
    axis.set(title=f"first term, {name}", xticks=[], yticks=[])
axes[3].imshow(fits[3].tensor.left[1], cmap="RdBu_r")
axes[3].set(title="second term, columns", xticks=[], yticks=[])

# %%
# One term, 512 numbers instead of 65 536, leaves nine percent, three leave two. All factors of a
# symmetric matrix are symmetric, and those of the first term are positive definite, as a
# covariance is: the product keeps the structure of what it approximates.
#
# Few samples
# -----------
# The Wiener filter :math:`K (K + \sigma^2 I)^{-1}` takes noise of half a standard deviation out of
# patches of the southern half, which no estimate has seen. How much is left depends on where
# :math:`K` comes from.


def wiener(k):
    """Return the best linear filter for a covariance, negative eigenvalues cut off."""
    w, v = np.linalg.eigh((k + k.T) / 2)
    w = np.maximum(w, 0)
    return (v * (w / (w + noise**2))) @ v.T


clean = patches(windows[half:], 4000)
dirty = clean + noise * rng.standard_normal(clean.shape)
counts = [50, 100, 200, 500, 1000, 5000, 20_000]
names = ["sample covariance", "one term", "two terms", "three terms"]
left = np.zeros((len(names), len(counts), 5))
for place in np.ndindex(left.shape[1:]):
    k = covariance(counts[place[0]])
    for terms in range(len(names)):
        estimate = kronecker_svd(k, shapes, rank=terms).tensor.to_array() if terms else k
        left[(terms, *place)] = np.mean((dirty @ wiener(estimate) - clean) ** 2)

figure, axis = plt.subplots(figsize=(7.6, 4.2), layout="constrained")
for name, values, color in zip(
    names, left, ["#b0413e", "#9ecae1", "#2171b5", "#00304d"], strict=True
):
    axis.fill_between(counts, values.min(1), values.max(1), color=color, alpha=0.15, linewidth=0)
    axis.semilogx(counts, np.median(values, 1), "o-", color=color, label=name, markersize=5)
axis.set(xlabel="patches in the sample", ylabel=f"squared error left (noise: {noise**2:g})")
axis.legend(frameon=False)
gain = np.median(left[0], 1) / np.median(left[2], 1)
for count, ratio in zip(counts, gain, strict=True):
    print(f"{count} patches: the sample covariance leaves {ratio:.2f} times as much as two terms")

# %%
# Lines are medians of five samples, bands their range. Up to a thousand patches two terms are the
# better estimate, by far where samples are few: with fifty of them the sample covariance does not
# even have full rank. One term is too stiff, and ends where it began; with twenty thousand patches
# there is no longer anything to average away.
#
# What one sees
# -------------
# Band 30 of the south, noise on top, filtered with either covariance from fifty patches. What
# filters make of overlapping patches is averaged, which helps either of them, the worse one more.

image = scene[half:, :, 30]
dirty = image + noise * rng.standard_normal(image.shape)
k = covariance(50)
filters = {
    "sample covariance": k,
    "two Kronecker terms": kronecker_svd(k, shapes, rank=2).tensor.to_array(),
}


def filtered(image, k):
    """Return the average of what a filter makes of all patches."""
    patches = sliding_window_view(image, (side, side))
    rows, columns = patches.shape[:2]
    smooth = (patches.reshape(rows, columns, -1) @ wiener(k)).reshape(patches.shape)
    out, weight = np.zeros_like(image), np.zeros_like(image)
    for i in range(side):
        for j in range(side):
            out[i : i + rows, j : j + columns] += smooth[:, :, i, j]
            weight[i : i + rows, j : j + columns] += 1
    return out / weight


figure, axes = plt.subplots(2, 2, figsize=(9.2, 5.0), layout="constrained")
pictures = {"the band": image, "with noise": dirty}
pictures |= {name: filtered(dirty, k) for name, k in filters.items()}
for axis, (name, picture) in zip(axes.flat, pictures.items(), strict=True):
    axis.imshow(picture, cmap="gray", vmin=-2, vmax=2)
    error = np.mean((picture - image) ** 2)
    axis.set(title=name if picture is image else f"{name}: {error:.3f}", xticks=[], yticks=[])
plt.show()
