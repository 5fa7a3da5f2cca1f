"""The spectrum of one matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tdecomp._errors import check_rank
from tdecomp.linalg import tail_norms
from tdecomp.plot._curves import bottom, checked, logarithmic
from tdecomp.plot._style import INK, SOFT, STYLES, TEXT, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def spectrum(s: Any, /, *, rank: int | None = None, figure: Any = None) -> Figure:
    r"""Draw the singular values of a matrix, and the error of each of its truncations.

    Parameters
    ----------
    s : array, shape (k,)
        Singular values, descending, of any library.
    rank : int, optional
        A rank to mark.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        Singular values :math:`\sigma_r / \sigma_1` and truncation errors
        :math:`(\sum_{i > r} \sigma_i^2 / \sum_i \sigma_i^2)^{1/2}` over :math:`r`.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError, TypeError
        If `s` is no spectrum, or `rank` does not lie between 1 and `k`.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.plot import spectrum
    >>> figure = spectrum(0.5 ** np.arange(30), rank=10)
    >>> figure.axes[0].get_yscale()
    'log'
    """
    values = checked(s, "s")
    if rank is not None:
        rank = check_rank(rank, values.size)
    drawn: Figure = new_figure((6.0, 3.8)) if figure is None else figure
    axes = drawn.add_axes((0.115, 0.145, 0.855, 0.765))
    plain(axes)
    top = values[0] if values[0] > 0 else 1.0
    norms = tail_norms(values)
    errors = norms / (norms[0] if norms[0] > 0 else 1.0)
    ranks = np.arange(values.size + 1)
    for style, label, y in (
        (STYLES[0], r"singular value $\sigma_r / \sigma_1$", np.append(np.nan, values / top)),
        (STYLES[1], "error of the best approximation of rank $r$", errors),
    ):
        few: dict[str, Any] = {"marker": style[2], "markersize": 3.5} if values.size <= 40 else {}
        axes.plot(ranks, logarithmic(y), color=style[0], ls=style[1], lw=1.6, label=label, **few)
    axes.set_yscale("log")
    floor = float(np.finfo(np.float64).eps)
    marks = [float(errors[rank])] if rank else []
    axes.set_ylim(bottom([values / top, errors], marks, floor), 1.6)
    axes.set_xlim(0, values.size)
    axes.set_xlabel("rank $r$", fontsize=TEXT, color=INK)
    if rank is not None:
        _mark(axes, rank, float(errors[rank]), values.size)
    axes.legend(
        frameon=False,
        fontsize=TEXT,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=2,
        borderaxespad=0.2,
        handlelength=2.6,
    )
    return drawn


def _mark(axes: Any, rank: int, error: float, size: int) -> None:
    """Mark a rank on the curve of errors, and say what it costs."""
    axes.axvline(rank, color=SOFT, lw=0.8, ls=(0, (4, 3)), zorder=1)
    note = f"rank {rank}\nerror {error:.2g}"
    right = rank > 0.7 * size
    if error > 0:
        axes.plot([rank], [error], "o", ms=6, color=STYLES[1][0], mec="white", mew=0.9, zorder=3)
    axes.annotate(
        note,
        (rank, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if right else 5, -3),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top",
        fontsize=TEXT,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    )
