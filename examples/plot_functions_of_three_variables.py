r"""
Functions of three variables
============================

A smooth function of three variables can be kept as a small object and worked with: drawn,
integrated, differentiated, searched for its lowest value and for every point where it is level.
Here is one, an energy that a particle might feel,

.. math:: E(x, y, z) = \frac{\sin \pi x \cos \pi y + \sin \pi y \cos \pi z + \sin \pi z \cos \pi x}
                            {1 + x^2 + y^2 + z^2} + \frac{x^2 + y}{10} .
"""

# %%
# From values to an object
# ------------------------
# :func:`~tdecomp.chebyshev.chebyshev_tucker` asks for values along lines through the box, until
# Chebyshev series of each variable and their combinations say what comes next.

# sphinx_gallery_thumbnail_number = 3
import time

import matplotlib.pyplot as plt
import numpy as np

from tdecomp.chebyshev import (
    chebyshev_tucker,
    diff,
    evaluate,
    hessian,
    integrate,
    laplacian,
    minimum,
    roots,
)
from tdecomp.plot import coefficient_decay, isosurface, slices

asked = 0


def energy(x, y, z):
    """Return the energy at points."""
    global asked  # noqa: PLW0603
    asked += x.size
    u, v, w = np.pi * x, np.pi * y, np.pi * z
    waves = np.sin(u) * np.cos(v) + np.sin(v) * np.cos(w) + np.sin(w) * np.cos(u)
    return waves / (1 + x**2 + y**2 + z**2) + (x**2 + y) / 10


box = [(-1.5, 1.5)] * 3
start = time.perf_counter()
fit = chebyshev_tucker(energy, box)
E = fit.tensor
print(f"{asked} values asked for, in {time.perf_counter() - start:.2f} s")
print(f"ranks {E.rank}, coefficients {E.shape}, error {fit.error:.0e}")

# %%
# The grid on which the same coefficients could be found by transforms has more points. How
# coefficients fall tells how smooth the function is: the straight line ends where it meets
# rounding.

figure = coefficient_decay(E, labels=["x", "y", "z"], figure=plt.figure(figsize=(6.8, 3.6)))
print(f"a grid of {np.prod(E.shape)} points")

# %%
# What it looks like
# ------------------
# Planes through a point, all in one scale of colours. Dotted lines are where they meet.

low = minimum(E)
figure = slices(E, at=low.point, labels=["x", "y", "z"], figure=plt.figure(figsize=(9.2, 2.9)))

# %%
# The surface on which the energy has one value:

figure = isosurface(E, -0.25, labels=["x", "y", "z"], figure=plt.figure(figsize=(5.2, 4.8)))

# %%
# Calculus
# --------
# Derivatives and integrals of polynomials are exact, so that of the fundamental theorem nothing
# but rounding is left: the integral of :math:`\partial E / \partial x` over the box is that of the
# difference of :math:`E` on two faces, and that of the Laplacian is the flux through all six.

ends = np.array(box)


def through(f, k):
    """Return the integral over the face at the end of a variable, less that at its start."""
    faces = integrate(f, [j for j in range(3) if j != k])
    before, after = evaluate(faces, ends[k, :, None])
    return after - before


print(f"mean energy {float(integrate(E)) / 27:+.12f}")
print(f"off by {abs(integrate(diff(E, 0)) - through(E, 0)):.0e}")
flux = sum(through(diff(E, k), k) for k in range(3))
print(f"flux {flux:+.9f}, off by {abs(integrate(laplacian(E)) - flux):.0e}")

# %%
# The lowest value, proven
# ------------------------
# :func:`~tdecomp.chebyshev.minimum` returns a value, its point, and a number that the function is
# nowhere below: proven from the coefficients on pieces of the box, not from values at points.

value, point, bound = low
print(f"E = {value:.9f} at ({', '.join(f'{x:+.6f}' for x in point)})")
print(f"nowhere below {bound:.9f}")

# %%
# All points where it is level
# ----------------------------
# Minima, maxima and saddles inside of the box are the common roots of the three derivatives.
# :func:`~tdecomp.chebyshev.roots` finds all of them, and the Hessian tells them apart: how many of
# its eigenvalues are negative.

start = time.perf_counter()
level = roots(*(diff(E, k) for k in range(3)))
print(f"{len(level)} points in {time.perf_counter() - start:.2f} s")

values = evaluate(E, level)
index = np.sum(np.linalg.eigvalsh(hessian(E, level)) < 0, axis=1)
kinds = ("minimum", "saddle, one way down", "saddle, two ways down", "maximum")
for i in np.argsort(values):
    where = ", ".join(f"{x:+.3f}" for x in level[i])
    print(f"E = {values[i]:+.6f} at ({where})  {kinds[index[i]]}")

# %%
# The lowest of them is the minimum from above: two ways to one number. On the box, a lowest value
# may also lie on a face, where no derivative needs to vanish; :func:`~tdecomp.chebyshev.minimum`
# looks there too.

print(f"the two differ by {abs(values.min() - value):.0e}")
