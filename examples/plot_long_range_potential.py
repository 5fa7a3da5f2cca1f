r"""
The potential of a molecule in a megabyte
=========================================

Thousands of charges make the electrostatic potential of a protein,

.. math:: V(x) = \sum_\nu \frac{q_\nu}{|x - x_\nu|} ,

which simulations ask for at many points. Each term has a singularity, but what is left of it at
some distance is smooth. A sum of Gaussians separates the two: wide ones, the long-range part, add
up to a function that a small core and Chebyshev series hold for the whole box, with derivatives
and integrals; sharp ones, the short-range part, matter for near particles only.

Where Debian's package of examples for APBS is installed (``apt install apbs-data``), the molecule
is human carbonic anhydrase, 2482 atoms with charges. Otherwise it is a made-up ball of small
dipoles, so that the page can be built anywhere.
"""

# %%
# The charges
# -----------

# sphinx_gallery_thumbnail_number = 1
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.distance import cdist

from tdecomp.chebyshev import evaluate
from tdecomp.chebyshev import potentials as pot

path = Path("/usr/share/apbs/examples/hca-bind/hca.pqr")


def ball_of_dipoles(count, rng):
    """Return groups of two charges, 1.2 apart, whose centres keep a distance, and some ions."""
    side = int(np.ceil((2 * count) ** (1 / 3)))
    cells = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    centres = 3.2 * (cells - (side - 1) / 2) + rng.uniform(-0.4, 0.4, cells.shape)
    centres = centres[np.argsort(np.linalg.norm(centres, axis=1))[: count // 2]]
    directions = rng.standard_normal(centres.shape)
    directions *= 0.6 / np.linalg.norm(directions, axis=1, keepdims=True)
    charges = rng.normal(0, 0.4, len(centres))
    sizes = np.concatenate([charges, -charges])
    sizes[rng.choice(len(centres), 40, replace=False)] += np.repeat([-1.0, 1.0], 20)
    return np.concatenate([centres + directions, centres - directions]), sizes


if path.exists():
    molecule = pot.read_pqr(path)
    x, q = molecule.positions, molecule.charges
    print(f"carbonic anhydrase: {len(q)} atoms, total charge {q.sum():+.2f}")
else:
    x, q = ball_of_dipoles(2400, np.random.default_rng(0))
    print(f"apbs-data is not installed; {len(q)} made-up charges, total charge {q.sum():+.2f}")

# %%
# Gaussians, split by range
# -------------------------
# One sum of Gaussians replaces :math:`1/r`, with relative errors below :math:`10^{-8}` from half
# an Angstrom to the size of the box. Those wider than :math:`\sigma = 3` Angstrom are the
# long-range part.

sigma, box = 3.0, np.stack([x.min(axis=0) - 6, x.max(axis=0) + 6], axis=1)
diameter = float(np.linalg.norm(box[:, 1] - box[:, 0]))
kernel = pot.newton(0.5, diameter, rtol=1e-8)
g = kernel.tensor
long, short = pot.split(g, sigma=sigma)
print(f"1/r: {g.rank} Gaussians, error {kernel.error:.0e}; {long.rank} of them are long-range")

start = time.perf_counter()
fit = pot.long_range(x, q, long, domain=box)
seconds = time.perf_counter() - start
f = fit.tensor
size = f.core.size + sum(factor.size for factor in f.factors)
print(f"{seconds:.1f} s; ranks {f.rank}, {f.shape} coefficients: {8e-6 * size:.1f} MB")
print(f"largest error, relative to the largest potential: {fit.error:.0e}")

# %%
# A slice through the molecule. The unit of the potential is that of one elementary charge at a
# distance of one Angstrom, 14.4 volts.

level = float(np.mean(box[2]))
axes = [np.linspace(*row, 241) for row in box[:2]]
plane = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
points = np.concatenate([plane, np.full((*plane.shape[:2], 1), level)], axis=-1)
values = evaluate(f, points)

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, panel = plt.subplots(figsize=(6.6, 5.0), layout="constrained")
top = float(np.ceil(14.4 * np.abs(values).max()))
levels = np.linspace(-top, top, 25)
filled = panel.contourf(*axes, 14.4 * values.T, levels=levels, cmap="RdBu_r")
panel.contour(*axes, 14.4 * values.T, levels=[0], colors="#444444", linewidths=0.7)
near = np.abs(x[:, 2] - level) < 0.6
panel.scatter(*x[near, :2].T, s=4, color="#222222", lw=0)
figure.colorbar(filled, ax=panel, label="volts", shrink=0.85)
panel.set(xlabel="x / Angstrom", ylabel="y / Angstrom", aspect="equal")
panel.set_title("long-range potential in a plane, and atoms near it", loc="left", fontsize=11)

# %%
# What a tolerance costs, and what a length does
# -----------------------------------------------
# Ranks grow with the logarithm of the tolerance, and with one over the length that separates
# ranges. They hardly depend on the number of charges.

tolerances = (1e-2, 1e-4, 1e-6, 1e-8)
lengths = (6.0, 4.0, 3.0, 2.0)
figure, panel = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
colors = ("#56B4E9", "#0072B2", "#009E73", "#D55E00")
for color, length in zip(colors, lengths, strict=True):
    part, _ = pot.split(g, sigma=length)
    fits = [pot.long_range(x, q, part, domain=box, rtol=tol) for tol in tolerances]
    ranks = [max(one.tensor.rank) for one in fits]
    panel.plot([one.error for one in fits], ranks, "o-", color=color, ms=4, lw=1.2)
    label = rf" $\sigma = {length:g}$"
    panel.text(fits[-1].error, ranks[-1], label, color=color, ha="left", va="center")
panel.set(xscale="log", xlabel="largest error / largest potential", ylabel="largest rank")
panel.invert_xaxis()
panel.margins(x=0.12)
panel.set_ylim(0)

# %%
# The energy, and the forces
# --------------------------
# The energy of all pairs is half the sum of charges times potentials, less what each particle
# does to itself, plus the short-range part of near pairs. So are the forces its gradients. Both
# agree with the sum over all pairs.

start = time.perf_counter()
energy, forces = pot.energy_and_forces(x, q, g, sigma=sigma)
seconds = time.perf_counter() - start

gaps, distances = x[:, None] - x, cdist(x, x)
np.fill_diagonal(distances, np.inf)
exact = q @ (1 / distances) @ q / 2
pushes = q[:, None] * np.einsum("j,ij,ijk->ik", q, distances**-3, gaps, optimize=True)
worst = np.abs(forces - pushes).max() / np.abs(pushes).max()
print(f"{energy:.7f}, of all pairs {exact:.7f} (squared charges per Angstrom), {seconds:.1f} s")
print(f"largest error of a force: {worst:.0e} of the largest force")

# %%
# Many points
# -----------
# A sum over all pairs is fast for some thousand charges. What it cannot do is to be asked at
# millions of points: it takes a distance for each point and charge.

many = np.random.default_rng(1).uniform(box[:, 0], box[:, 1], (1_000_000, 3))
evaluate(f, many[:100])
start = time.perf_counter()
found = evaluate(f, many)
ours = time.perf_counter() - start
start = time.perf_counter()
distances = cdist(many[:2000], x)
_ = (1 / distances) @ q
theirs = (time.perf_counter() - start) * len(many) / 2000
worst = np.abs(found[:2000] - long(distances) @ q).max() / np.abs(found).max()
print(f"a million points: {ours:.1f} s; charge by charge they would take {theirs:.0f} s")
print(f"largest error at 2000 of them: {worst:.0e} of the largest potential")
