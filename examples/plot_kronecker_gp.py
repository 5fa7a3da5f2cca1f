r"""
Four million measurements in one Gaussian process
=================================================

A Gaussian process gives what other smoothers do not: how sure it is, and a score, the marginal
likelihood, by which the data choose its parameters. It also needs the covariance of all
measurements, solved and with its determinant. For a hyperspectral image of 145 by 145 pixels in
200 colours that is a matrix of 4.2 million rows. Over a grid it is a Kronecker product,

.. math:: \operatorname{Cov}(y) = K_{\text{rows}} \otimes K_{\text{columns}} \otimes
          K_{\text{bands}} + s I ,

and three small eigenvalue problems solve it exactly: no inducing points, no iteration.

The scene is Indian Pines, farmland seen by NASA's AVIRIS sensor in June 1992
(`doi:10.4231/R7RX991C <https://doi.org/10.4231/R7RX991C>`_), which TensorLy carries with it
(``pip install tensorly``; nothing is downloaded when this page is built).
"""

# %%
# A scene with noise that we know
# -------------------------------
# Each band is brought to mean zero and variance one. We add noise of standard deviation 0.3, so
# that afterwards we can tell how far any estimate is from the scene, and whether what it says of
# its own error is true.

# sphinx_gallery_thumbnail_number = 2
import time

import matplotlib.pyplot as plt
import numpy as np
from tensorly.datasets import load_indian_pines

from tdecomp import kronecker

scene = load_indian_pines()
x, wavelengths = np.asarray(scene.tensor, dtype=float), np.asarray(scene.ticks[1]) / 1000
x = (x - x.mean(axis=(0, 1))) / x.std(axis=(0, 1))
noise = 0.3
y = x + noise * np.random.default_rng(0).standard_normal(x.shape)
print(f"{y.size:,} measurements: a dense covariance would fill {8e-12 * y.size**2:.0f} TB")

# %%
# Which smoothness, how much noise?
# ---------------------------------
# Along rows and columns, the covariance falls off exponentially with the distance, over a length
# that we do not know. Among bands it is that of the data, less the noise. The marginal likelihood
#
# .. math:: \log p(y) = -\tfrac12 \left( y^T (K + sI)^{-1} y + \log \det (K + sI) + N \log 2 \pi
#           \right)
#
# says which length and which noise explain what was measured. :func:`~tdecomp.kronecker.eigh`
# decomposes :math:`K`; ``quadratic`` and ``logdet`` take any shift.

distance = np.abs(np.arange(145)[:, None] - np.arange(145))
weights, spectra = np.linalg.eigh(np.cov(y.reshape(-1, 200).T))


def process(length, variance):
    """Decompose the covariance of the scene without the noise."""
    space = np.exp(-distance / length)
    bands = (spectra * np.clip(weights - variance, 0, None)) @ spectra.T
    return kronecker.eigh(kronecker.KroneckerSum(space[None], space[None], (bands[None],)))


def log_likelihood(length, sd):
    """Return the logarithm of the density of all measurements, for each of them."""
    gp, shift = process(length, sd**2), sd**2
    misfit, (_, volume) = gp.quadratic(y.reshape(-1), shift=shift), gp.logdet(shift=shift)
    return -0.5 * (misfit + volume + y.size * np.log(2 * np.pi)) / y.size


lengths = np.array([0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0])
sds = np.array([0.27, 0.285, 0.3, 0.315, 0.33])
start = time.perf_counter()
scores = np.array([[log_likelihood(length, sd) for length in lengths] for sd in sds])
seconds = (time.perf_counter() - start) / scores.size
row, column = np.unravel_index(np.argmax(scores), scores.shape)
length, sd = lengths[column], sds[row]
print(f"{seconds:.1f} s for each likelihood; the best: length {length}, noise {sd}")

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
drop = y.size * (scores.max() - scores)
levels = [0, 3e3, 1e4, 3e4, 1e5]
axes.contourf(lengths, sds, drop, levels=levels, cmap="Blues_r", norm="symlog")
lines = axes.contour(lengths, sds, drop, levels=levels[1:], colors="#00304d", linewidths=0.8)
axes.clabel(lines, fmt=lambda level: f"{level:,.0f}", fontsize=8)
axes.plot(length, sd, "o", color="#D55E00", mec="white", ms=9)
axes.axhline(noise, color="#D55E00", lw=1, ls=":")
axes.text(lengths[-1], noise, "noise that was added ", color="#D55E00", ha="right", va="bottom")
axes.set(xscale="log", xlabel="length / pixels", ylabel="standard deviation of the noise")
axes.set_xticks(lengths, [f"{length:g}" for length in lengths])
axes.minorticks_off()
axes.set_title("log likelihood below the best", loc="left", fontsize=11)

# %%
# Nobody told the process how much noise there is. Four million measurements leave no doubt.
#
# The scene, and where to trust it
# --------------------------------
# The posterior mean is a function of the matrix times the data, :math:`K (K + sI)^{-1} y`, and
# the posterior variance the diagonal of another, :math:`K - K (K + sI)^{-1} K`. Both are
# functions of the eigenvalues.

start = time.perf_counter()
gp, s = process(length, sd**2), sd**2
mean = gp.apply(lambda w: w / (w + s), y.reshape(-1)).reshape(y.shape)
spread = np.sqrt(gp.diagonal(lambda w: s * w / (w + s))).reshape(y.shape)
print(f"{time.perf_counter() - start:.1f} s for the mean and the spread of {y.size:,} values")

band = int(np.argmin(abs(wavelengths - 1.65)))
figure, panels = plt.subplots(1, 3, figsize=(9.5, 3.5), layout="constrained")
images = {"with noise": y, "posterior mean": mean, "the scene": x}
for panel, (name, image) in zip(panels, images.items(), strict=True):
    panel.imshow(image[..., band], vmin=-2.2, vmax=2.2, cmap="gray")
    error = np.sqrt(np.mean((image - x)[..., band] ** 2))
    note = f", off by {error:.2f}" if error else ""
    panel.set_title(f"{name}{note}", loc="left", fontsize=10)
    panel.set_axis_off()
figure.suptitle(f"{wavelengths[band]:.2f} micrometres", x=0.01, ha="left", fontsize=11)

# %%
# A spectrum and its error
# ------------------------
# Here is one pixel. The shaded region holds 95 of 100 values, if the process is right: it is
# narrow in the infrared, where neighbouring bands tell the same, and wide where each band is on
# its own: at the ends, and where water vapour in the air absorbs most of the light.

i, j = 60, 40
order = np.argsort(wavelengths)
# The bands of water vapour that the scene comes without leave gaps.
gaps = 1 + np.flatnonzero(np.diff(wavelengths[order]) > 0.05)


def course(values):
    """Return values by wavelength, interrupted where there are none."""
    return np.insert(values[order], gaps, np.nan)


along, middle, margin = course(wavelengths), course(mean[i, j]), 1.96 * course(spread[i, j])
figure, axes = plt.subplots(figsize=(9.0, 3.6), layout="constrained")
axes.plot(wavelengths, y[i, j], ".", color="#999999", ms=4, label="with noise")
axes.fill_between(
    along, middle - margin, middle + margin, color="#0072B2", alpha=0.25, lw=0, label="95 %"
)
axes.plot(along, middle, color="#0072B2", lw=1.2, label="posterior mean")
axes.plot(along, course(x[i, j]), color="#222222", lw=0.9, label="the scene")
axes.set(xlabel="wavelength / micrometres", ylabel="standardised radiance", ylim=(-3.2, 3))
axes.legend(frameon=False, ncols=4, loc="lower center", fontsize=9)
axes.set_title(f"the pixel in row {i}, column {j}", loc="left", fontsize=11)

inside = np.mean(np.abs(mean - x) <= 1.96 * spread)
print(f"{100 * inside:.1f} % of {x.size:,} values lie within their intervals of 95 %")

# %%
# Does it pay?
# ------------
# Principal components of the spectra, a common way to remove noise, know nothing of neighbours
# in space, and need their number: we give them the best one, which in practice nobody knows.

errors = {}
for count in (20, 30, 40, 50):
    leading = spectra[:, -count:]
    errors[count] = np.sqrt(np.mean(((y @ leading) @ leading.T - x) ** 2))
best = min(errors, key=errors.get)
print(f"with noise                {noise:.3f}")
print(f"{best} principal components   {errors[best]:.3f}")
print(f"Gaussian process          {np.sqrt(np.mean((mean - x) ** 2)):.3f}")
