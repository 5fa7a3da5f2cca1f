r"""
Products without the matrix
===========================

A sum of Kronecker products multiplies a vector without being formed: with :math:`x` as a matrix
:math:`Z` in row-major order,

.. math:: \Bigl(\sum_{k=1}^r L_k \otimes R_k\Bigr) \operatorname{vec}(Z)
          = \operatorname{vec}\Bigl(\sum_{k=1}^r L_k Z R_k^T\Bigr) .

For factors of :math:`p \times p` that is :math:`2 r p^3` multiplications for each vector, where
the matrix of :math:`p^2 \times p^2` takes :math:`p^4`: the sum is cheaper from :math:`p = 2r` on.
The matrix also has to be read, :math:`8 p^4` bytes. From which size is that seen on the clock?
"""

# %%
# Each product is repeated until a fiftieth of a second has passed, five times over; the fastest
# counts.

import time

import matplotlib.pyplot as plt
import numpy as np

from tdecomp.kronecker import KroneckerSum


def seconds(product):
    """Return the time of one product."""
    product()
    best, repeats = np.inf, 1
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(repeats):
            product()
        best = min(best, (time.perf_counter() - start) / repeats)
        repeats = max(1, int(0.02 / best))
    return best


rng = np.random.default_rng(0)
sides, terms, widths = (4, 6, 8, 12, 16, 24, 32, 48), (1, 4, 8), (1, 32)
ratio = np.empty((len(widths), len(terms), len(sides)))
for i, width in enumerate(widths):
    for j, rank in enumerate(terms):
        for k, side in enumerate(sides):
            total = KroneckerSum(*rng.standard_normal((2, rank, side, side)))
            matrix, x = total.to_array(), rng.standard_normal((side**2, width))
            ratio[i, j, k] = seconds(lambda a=matrix, x=x: a @ x) / seconds(
                lambda a=total, x=x: a @ x
            )

# %%
# Above the line the sum is faster. Up to a few hundred rows the calls of Python cost more than
# either product; the flops decide where there are several columns.

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.8), sharey=True, layout="constrained")
rows = np.array(sides) ** 2
for axis, width, times in zip(axes, widths, ratio, strict=True):
    axis.axhline(1, color="0.6", linewidth=1)
    for rank, values, color in zip(terms, times, ["#00304d", "#2171b5", "#9ecae1"], strict=True):
        label = f"{rank} term{'s' * (rank > 1)}"
        axis.loglog(rows, values, "o-", color=color, label=label, markersize=4)
        axis.loglog(rows, np.array(sides) / (2 * rank), ":", color=color, linewidth=1)
    axis.set(xlabel="rows of the matrix", title=f"{width} column{'s' * (width > 1)}")
axes[0].set_ylabel("time of the dense product / of the sum")
axes[0].legend(frameon=False)
axes[1].annotate("dotted: ratio of flops", (rows[0], 40), color="0.4", fontsize=9)
for width, times in zip(widths, ratio, strict=True):
    for rank, values in zip(terms, times, strict=True):
        behind = rows[values < 1]
        above = rows[rows > behind.max()] if behind.size else rows
        first = above[0] if above.size else "beyond the last"
        print(
            f"{width:2} columns, {rank} terms: faster from {first} rows on, "
            f"{values[-1]:.0f} times at {rows[-1]}"
        )
plt.show()
