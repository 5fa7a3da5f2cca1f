"""The singular values of all unfoldings of a tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tdecomp import tucker
from tdecomp._errors import check_rank
from tdecomp.linalg import tail_norms
from tdecomp.plot._curves import bottom, logarithmic
from tdecomp.plot._style import (
    INK,
    SMALL,
    STYLES,
    TEXT,
    Values,
    check_labels,
    headline,
    host,
    new_figure,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches: the panels, what lies around them, a line of the key, a letter.
_PANEL, _GAP, _HEAD, _FOOT, _HEIGHT, _LINE, _LETTER = 3.1, 0.55, 0.55, 0.45, 3.6, 0.4, 0.055
# Curves of at most this many values have a mark at each.
_FEW = 30


def mode_spectra(
    x: Any,
    /,
    *,
    ranks: Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    figure: Any = None,
) -> Figure:
    r"""Draw the singular values of every unfolding of a tensor, and what its ranks cost.

    With the tails :math:`\tau_k(r_k)` of singular values of the unfoldings, the best Tucker
    decomposition of ranks :math:`(r_0, \ldots, r_{d-1})` has an error between

    .. math:: \max_k \tau_k(r_k) \le \|X - \hat X\|_F
              \le \Bigl(\sum_k \tau_k(r_k)^2\Bigr)^{1/2} ,

    and the upper bound holds for `hosvd` and `sthosvd` too [1]_.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or Tucker
        The tensor, of any library.
    ranks : sequence of int, optional
        A rank to mark for each mode, and the bounds that they mean for the error.
    labels : sequence of str, optional
        What each mode is.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Two axes: singular values over the norm of the tensor, and tails over it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If `x` is no tensor, empty or not finite, or ranks or labels do not fit it.

    See Also
    --------
    tdecomp.tucker.mode_spectra : the numbers, with all digits.
    tdecomp.tucker.suggest_rank : the ranks with the fewest parameters for an error.

    References
    ----------
    .. [1] L. De Lathauwer, B. De Moor, J. Vandewalle, "A multilinear singular value
       decomposition", SIAM J. Matrix Anal. Appl. 21, 2000, Property 10.
       doi:10.1137/S0895479896305696

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.plot import mode_spectra
    >>> i, j, k = np.ogrid[:6, :7, :8]
    >>> figure = mode_spectra(1.0 / (1 + i + j + k), ranks=(3, 3, 3))
    >>> len(figure.axes)
    2
    """
    spectra = [host(s) for s in tucker.mode_spectra(x)]
    labels = check_labels(labels, len(spectra))
    chosen = _ranks(ranks, [s.size for s in spectra])
    top = float(max(s[0] for s in spectra)) or 1.0
    values = [s / top for s in spectra]
    norm = float(np.linalg.norm(values[0])) or 1.0
    values = [s / norm for s in values]
    errors = [tail_norms(s) for s in values]
    marks = [float(e[r]) for e, r in zip(errors, chosen, strict=False)]
    notes = [
        f"rank {r} of {s.size}: {error:.2g}"
        for r, s, error in zip(chosen, spectra, marks, strict=False)
    ] or [f"{s.size} values" for s in spectra]
    key = 0.7 + _LETTER * max(len(text) for text in (*labels, *notes))
    width = 2 * (_PANEL + _GAP) + key
    height = max(_HEIGHT, _HEAD + _FOOT + _LINE * len(spectra))
    drawn: Figure = new_figure((width, height)) if figure is None else figure

    def place(x: float, w: float) -> Any:
        return drawn.add_axes((x / width, _FOOT / height, w / width, 1 - (_HEAD + _FOOT) / height))

    left, right = place(_GAP, _PANEL), place(_PANEL + 2 * _GAP, _PANEL)
    _draw(left, values, 1, marks)
    left.set_xlabel("number $i$", fontsize=TEXT, color=INK)
    headline(left, r"Singular values $\sigma_i$ of the unfoldings", "over the norm of the tensor")
    _draw(right, errors, 0, marks)
    right.set_xlabel("rank $r$", fontsize=TEXT, color=INK)
    headline(right, "Relative error of truncating one mode", _bounds(marks))
    for mode, (rank, error) in enumerate(zip(chosen, marks, strict=True)):
        color, _, marker = STYLES[mode % len(STYLES)]
        right.plot([rank], [error], marker, c=color, ms=6.5, mec="white", mew=0.8, zorder=3)
    _draw_key(right, labels, notes)
    return drawn


def _ranks(ranks: Any, sizes: list[int]) -> list[int]:
    """Return the ranks to mark, or none."""
    if ranks is None:
        return []
    ranks = list(ranks)
    if len(ranks) != len(sizes):
        raise ValueError(f"ranks must have one entry for each of {len(sizes)} modes: {ranks}")
    return [
        check_rank(rank, size, name=f"ranks[{k}]")
        for k, (rank, size) in enumerate(zip(ranks, sizes, strict=True))
    ]


def _bounds(marks: list[float]) -> str:
    """Say what the marked ranks mean for the error of all modes together."""
    if not marks:
        return ""
    low, high = max(marks), math.hypot(*marks)
    return f"together between {low:.3g} and {high:.3g}"


def _draw(axes: Any, curves: list[Values], first: int, marks: list[float]) -> None:
    """Draw one curve for each mode, the first value over the number `first`."""
    plain(axes)
    axes.set_yscale("log")
    axes.set_ylim(bottom(curves, marks, float(np.finfo(np.float64).eps)), 1.6)
    axes.set_xlim(0, max(y.size + first - 1 for y in curves))
    for mode, y in enumerate(curves):
        color, line, marker = STYLES[mode % len(STYLES)]
        few: dict[str, Any] = {"marker": marker, "markersize": 3} if y.size <= _FEW else {}
        at = np.arange(first, first + y.size)
        axes.plot(at, logarithmic(y), color=color, ls=line, lw=1.4, **few)


def _draw_key(axes: Any, labels: list[str], notes: list[str]) -> None:
    """Say beside the panels which curve is which mode."""
    from matplotlib.lines import Line2D

    styles = [STYLES[mode % len(STYLES)] for mode in range(len(labels))]
    legend = axes.legend(
        handles=[Line2D([], [], c=c, ls=ls, lw=1.4, marker=m, ms=4) for c, ls, m in styles],
        labels=[f"{label}\n{note}" for label, note in zip(labels, notes, strict=True)],
        frameon=False,
        fontsize=SMALL,
        loc="upper left",
        bbox_to_anchor=(1.03, 1.0),
        borderaxespad=0.0,
        handlelength=3.0,
        labelspacing=1.1,
    )
    for text in legend.get_texts():
        text.set(color=INK, linespacing=1.4)
