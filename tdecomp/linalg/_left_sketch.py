r"""The randomized route to the left basis of an unfolding, with a measured residual.

A sketch along one other mode. Contract the longest other axis of the tensor, of length `m`, with
a Gaussian matrix of ``m x c``: the unfolding is multiplied by :math:`I \otimes \omega`, and its
Gram matrix :math:`\tilde G` has the expectation :math:`G`. This reads the tensor once and leaves
many times more columns than a Gaussian sketch of the same price, so that :math:`\tilde G` tells
the spectrum well: it suggests the rank, and whether the route pays.

For a tolerance. Let :math:`Q` hold the leading eigenvectors of :math:`\tilde G`, a few more than
needed, and :math:`B = Q^* X_{(n)}`. The singular values of `B` are at most those of the unfolding
(interlacing), and the error of rank `r` within the range of `Q` is

.. math:: e_r^2 = \sum_{i > r} \sigma_i(B)^2 + \|X\|^2 - \|B\|^2 .

The rank with :math:`e_r \le \mathtt{atol} < (\sum_{i \ge r} \sigma_i(B)^2)^{1/2}` is thus
sufficient, and the smallest. The difference keeps its digits while ``atol**2`` is far above
``eps * norm(X)**2``; below that :math:`\|X - Q B\|` is formed, and orthogonal transformations
take the place of Gram matrices. Where the two sides do not meet, the answer is None.

At fixed rank. One step of subspace iteration, :math:`Z = X_{(n)} X_{(n)}^* Q`, shows the coupling
:math:`F = (I - Q Q^*) Z` to what `Q` misses. With Ritz values :math:`\theta_i`, and :math:`\mu`
the largest eigenvalue of `G` on the complement of `Q`, the optimal basis is tilted against `Q` by
:math:`\tau_i = (\theta_i - G)^{-1} F_i`, and the basis of `Z` has
:math:`F_i / \theta_i` of that already. The rest costs, to first order,

.. math:: \sum_{i \le r} \theta_i \Bigl( \frac{\mu}{\theta_i}
          \frac{\|F_i\|}{\theta_i - \mu} \Bigr)^2

of squared error. `F` is measured; :math:`\mu` is taken from :math:`\tilde G`, doubled, which is
an estimate. The basis is returned where the cost lies below the sixth digit of the error.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tdecomp._random import generator, normal
from tdecomp._typing import Array, DType, Namespace, Seed
from tdecomp._xp import adjoint, eps, floats, squared_norm
from tdecomp.linalg._eigen import Spectrum, spectrum
from tdecomp.linalg._fibres import draft_fibres, project_fibres, squared_gap, step_fibres
from tdecomp.linalg._left_triangle import left_singular
from tdecomp.linalg._orth import orthonormalize
from tdecomp.linalg._signs import canonical_signs
from tdecomp.linalg._truncation import tail_norms, truncation_rank
from tdecomp.linalg._unfolded import (
    double,
    gram,
    single,
    slabs,
)

# An error that exceeds the least one by less than this has the same six digits.
SIX_DIGITS = 5e-7
# Columns of the sketch along the contracted mode, and more directions than the rank asks for.
_SAMPLES = 8
_OVERSAMPLING = 8
# The route pays while the block is this many times narrower than the mode: for a tolerance, or
# where the step is made in less precision than the data have; and where neither helps.
_PAYS = 6
_PAYS_ALIKE = 12
# The excess that a sketch foretells may be too small by this much.
_SAFE = 4.0
# Directions that a kernel takes at once, at least.
_LANES = 8
# A squared tolerance this many squared eps above nothing is seen in that precision.
_SEEN = 1e4
# What a difference of squares may lose, and what must be left of it, in eps * norm(X)^2.
_NOISE = 4.0
_CERTIFIED = 50.0
# The sketch has at least twice as many columns as rows, or its spectrum would tell little.
_COLUMNS = 2
# Of the contracted axis the sketch keeps at most this part, else it is no cheaper than Gram.
_SHARE = 8
# So many more columns than rows: else the eigenvectors cost more than the products.
_ASPECT = 16

Found = tuple[Array, Array, float]


class _Task(NamedTuple):
    """A tensor, its mode, and what is asked of the basis.

    Sketches are of the dtype `draft`; where `fine`, squares do not tell the tolerance.
    """

    x: Array
    mode: int
    rank: int
    atol: float | None
    norm2: float
    draft: DType
    fine: bool
    always: bool
    xp: Namespace


def sketched(
    x: Array,
    mode: int,
    *,
    rank: int,
    atol: float | None,
    rng: Seed,
    norm2: float | None,
    always: bool,
    xp: Namespace,
) -> Found | None:
    """Return basis, projected tensor and error; None where that does not pay or prove itself.

    With `always`, None only where the tolerance is out of reach.
    """
    n, size = x.shape[mode], math.prod(x.shape)
    if x.ndim == 1 or not (always or (size >= _ASPECT * n * n and n >= _PAYS * _OVERSAMPLING)):
        return None
    draft = single(x, xp)
    if atol is None and not always:
        pays = _PAYS_ALIKE if draft == x.dtype else _PAYS
        if pays * (rank + _OVERSAMPLING) > n:
            return None
    norm2 = squared_norm(x, xp) if norm2 is None else norm2
    fine = False
    if atol is not None:
        fine = atol**2 <= _CERTIFIED * eps(x.dtype, xp) * norm2
        seen = atol**2 > _SEEN * eps(draft, xp) ** 2 * norm2
        draft = draft if seen else x.dtype
    task = _Task(x, mode, rank, atol, norm2, draft, fine, always, xp)
    y = _sketch(task, generator(rng))
    return None if y is None else _from_sketch(task, y)


def _sketch(task: _Task, rng: np.random.Generator) -> Array | None:
    """Contract the longest other axis with a Gaussian matrix, in the draft's dtype or better."""
    x, mode, xp = task.x, task.mode, task.xp
    n, size = x.shape[mode], math.prod(x.shape)
    # In between, an axis is contracted slab by slab, which reads memory in order.
    last = x.ndim - 1
    axis = max((k for k in range(x.ndim) if k != mode), key=lambda k: (x.shape[k], 0 < k < last))
    length = x.shape[axis]
    samples = min(length, max(_SAMPLES, -(-_COLUMNS * n * n * length // size)))
    if not task.always and samples * _SHARE > length:
        return None
    omega = normal(rng, (samples, length), x, xp) / math.sqrt(samples)
    omega = xp.astype(omega, task.draft)
    return draft_fibres(x, xp.matrix_transpose(omega), axis, xp)


def _from_sketch(task: _Task, y: Array) -> Found | None:
    """Read rank and basis off the sketch `y`, then take the way that fits the target."""
    n, columns = task.x.shape[task.mode], math.prod(y.shape) // task.x.shape[task.mode]
    w, leading = _spectrum(task, y)
    needed = task.rank if task.atol is None else truncation_rank(w**0.5, atol=task.atol)
    r = min(task.rank, needed)
    within = task.atol is not None and needed <= task.rank
    width = _enough(task, floats(w), r, columns) if within else min(n, r + _OVERSAMPLING)
    if not task.always and _PAYS * width > n:
        return None
    if within:
        return _within(task, leading(width))
    if task.fine or not (task.always or _promising(floats(w), r, width, columns)):
        return None
    found = _stepped(task, leading(width), r, w)
    met = found is not None and task.atol is not None and found[2] <= task.atol
    # Then a smaller rank might do as well.
    return None if met and not task.always else found


def _spectrum(task: _Task, y: Array) -> Spectrum:
    """Return the squared singular values of an unfolding, and the way to its singular vectors."""
    t, xp = slabs(y, task.mode, task.xp), task.xp
    if not task.fine:
        return spectrum(gram(t, xp, double(y, xp)), xp)
    u, s = left_singular(t, xp)
    return Spectrum(s**2, lambda count: u[:, :count])


def _enough(task: _Task, w: list[float], r: int, columns: int) -> int:
    """Return how many directions of the sketch hold `r` that meet the tolerance, and few more.

    Directions of a sketch of so many columns miss about ``r / columns`` of the tail beyond them
    in excess of the least; that must fit into what the tail beyond `r` leaves of the tolerance.
    Kernels take whole vectors of directions.
    """
    bound, most = task.atol or 0.0, min(len(w), r + _OVERSAMPLING)
    room = (bound**2 - sum(w[r:])) * columns / (_SAFE * max(r, 1))
    width = next((k for k in range(r, most) if sum(w[k:]) <= room), most)
    return min(most, -(-width // _LANES) * _LANES)


def _promising(w: list[float], r: int, width: int, columns: int) -> bool:
    """Predict from the spectrum `w` of the sketch whether one step suffices.

    Between a wanted and an unwanted direction the sketch errs by the sampling error of a
    covariance, ``sqrt(w_i w_j / columns)``; the step shrinks that by their ratio.
    """
    if width == len(w):
        return True
    tilt = r * sum(w[width:]) / columns
    return tilt * (w[width] / w[r - 1]) ** 2 <= SIX_DIGITS * sum(w[r:])


def _within(task: _Task, q: Array) -> Found | None:
    """Truncate within the range of `q` to the smallest rank, where that can be proved."""
    x, mode, xp = task.x, task.mode, task.xp
    bound = task.atol or 0.0
    q = xp.astype(q, x.dtype)
    b = project_fibres(x, q, mode, xp)
    w, leading = _spectrum(task, b)
    if task.fine:
        outside, noise = squared_gap(x, q, b, mode, xp), 0.0
    else:
        outside = max(0.0, task.norm2 - float(xp.sum(w)))
        noise = _NOISE * eps(x.dtype, xp) * task.norm2
    left = bound**2 - outside - noise
    if left <= 0:
        return None
    s = w**0.5
    r = truncation_rank(s, atol=math.sqrt(left))
    tails = floats(tail_norms(s))
    smallest = r == 1 or tails[r - 1] > bound
    if r > task.rank or not (smallest or task.always):
        return None
    v = xp.astype(leading(r), x.dtype)
    u, dual = canonical_signs(q @ v, adjoint(v, xp), xp)
    return u, project_fibres(b, adjoint(dual, xp), mode, xp), math.hypot(tails[r], outside**0.5)


def _stepped(task: _Task, q: Array, r: int, w: Array) -> Found | None:
    """Make one step of subspace iteration; None where its basis may cost the sixth digit."""
    x, mode, norm2, xp = task.x, task.mode, task.norm2, task.xp
    width = q.shape[1]
    z = step_fibres(x, xp.astype(q, task.draft), mode, xp)
    m = adjoint(q, xp) @ z
    theta, leading = spectrum(m, xp)
    turn = leading(r)
    coupling = (z - q @ m) @ turn
    gaps = floats(xp.sum(xp.abs(coupling) ** 2, axis=0))
    values = floats(theta)
    tail = max(0.0, norm2 - sum(values[:r]))
    outside = max(0.0, norm2 - sum(values))
    mu = min(outside, 2 * float(w[width])) if width < w.shape[0] else 0.0
    cost = 4 * r * eps(task.draft, xp) ** 2 * norm2
    for value, gap in zip(values, gaps, strict=False):
        cost += mu**2 * gap / (value * (value - mu) ** 2) if value > mu else math.inf
    if not task.always and cost > 2 * SIX_DIGITS * tail:
        return None
    u = xp.astype(orthonormalize(z @ turn, xp).Q, x.dtype)
    u, _ = canonical_signs(u, adjoint(u, xp), xp)
    core = project_fibres(x, u, mode, xp)
    return u, core, math.sqrt(max(0.0, norm2 - squared_norm(core, xp)))
