"""How fast the series of a function fall, variable by variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tdecomp._shim import host as on_host
from tdecomp._xp import namespace
from tdecomp.chebyshev._format import as_function
from tdecomp.ops._mode_products import _mode_product
from tdecomp.plot._curves import logarithmic
from tdecomp.plot._functions import as_drawn
from tdecomp.plot._style import INK, SMALL, STYLES, TEXT, Values, headline, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches: the panel and what lies around it, a line of the key, a letter.
_PANEL, _HEIGHT, _LEFT, _HEAD, _FOOT, _LINE, _LETTER = 4.4, 2.7, 0.6, 0.55, 0.45, 0.36, 0.055
# Series of more coefficients have smaller marks.
_MANY = 120


def coefficient_decay(
    f: Any, /, *, labels: Sequence[str] | None = None, figure: Any = None
) -> Figure:
    r"""Draw how coefficients of a function fall with the degree in each variable.

    Of the coefficients :math:`C = G \times_k V_k` of a Chebyshev-Tucker function, those of degree
    :math:`i` in variable :math:`k` have the norm

    .. math:: \Bigl(\sum_{j \,:\, j_k = i} |C_j|^2\Bigr)^{1/2} ,

    which is drawn over the norm of all. Where it ends in a plateau, the function is resolved to
    that; a straight line means that the function is analytic, and how far.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of any library.
    labels : sequence of str, optional
        What each variable is.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        One panel, with the marks of each variable.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If `f` is no Chebyshev-Tucker function, or labels do not fit it.

    Examples
    --------
    >>> from tdecomp.chebyshev import chebyshev_tucker
    >>> from tdecomp.plot import coefficient_decay
    >>> f = chebyshev_tucker(lambda x, y: 1 / (2 + x + y**2), [(-1, 1)] * 2).tensor
    >>> figure = coefficient_decay(f, labels=["x", "y"])
    >>> figure.axes[0].get_yscale()
    'log'
    """
    drawn = as_drawn(f, labels)
    sizes = _sizes(drawn.f)
    notes = [f"{s.size} coefficients, rank {r}" for s, r in zip(sizes, drawn.f.rank, strict=True)]
    key = 0.5 + _LETTER * max(map(len, (*drawn.labels, *notes)))
    height = max(_HEIGHT, _LINE * len(sizes)) + _HEAD + _FOOT
    width = _LEFT + _PANEL + key
    found: Figure = new_figure((width, height)) if figure is None else figure
    box = (_LEFT / width, _FOOT / height, _PANEL / width, 1 - (_HEAD + _FOOT) / height)
    axes = found.add_axes(box)
    plain(axes)
    axes.set_yscale("log")
    for k, y in enumerate(sizes):
        color, _, marker = STYLES[k % len(STYLES)]
        # Marks are open: often those of several variables coincide.
        size = 5.0 if y.size <= _MANY else 3.0
        axes.plot(np.arange(y.size), logarithmic(y), marker, c=color, ms=size, mfc="none", mew=0.9)
    axes.set_ylim(_bottom(sizes), 2.5)
    longest = max(y.size for y in sizes)
    axes.set_xlim(-0.02 * longest - 0.3, 1.02 * longest - 0.7)
    axes.set_xlabel("degree", fontsize=TEXT, color=INK)
    headline(axes, "Coefficients of each degree", "norms, over the norm of all")
    _draw_key(axes, drawn.labels, notes)
    return found


def _sizes(f: Any) -> list[Values]:
    """Return the norms of coefficients of each degree, for each variable, over that of all."""
    _, core, factors, _ = as_function(f)
    core, factors = on_host(core), [on_host(factor) for factor in factors]
    top = float(np.max(np.abs(core))) or 1.0
    triangles: list[Any] = [np.linalg.qr(factor, mode="r") for factor in factors]
    found = []
    for k, factor in enumerate(factors):
        rest = core / top
        for j, triangle in enumerate(triangles):
            if j != k:
                rest = _mode_product(rest, triangle, j, xp=namespace(rest))
        unfolded = np.moveaxis(rest, k, 0).reshape(rest.shape[k], -1)
        short: Any = np.linalg.qr(unfolded.T, mode="r")
        sizes = np.linalg.norm(factor @ short.T, axis=1).astype(np.float64)
        found.append(sizes / (float(np.linalg.norm(sizes)) or 1.0))
    return found


def _bottom(sizes: list[Values]) -> float:
    """Return where the axis ends: below all that is not rounding, and never far below that."""
    least = min((float(np.min(y[y > 0])) for y in sizes if np.any(y > 0)), default=0.1)
    return max(0.4 * least, 0.1 * float(np.finfo(np.float64).eps))


def _draw_key(axes: Any, labels: list[str], notes: list[str]) -> None:
    """Say beside the panel which marks belong to which variable."""
    from matplotlib.lines import Line2D

    styles = [STYLES[k % len(STYLES)] for k in range(len(labels))]
    legend = axes.legend(
        handles=[
            Line2D([], [], c=c, ls="", marker=m, ms=5, mfc="none", mew=0.9) for c, _, m in styles
        ],
        labels=[f"{label}\n{note}" for label, note in zip(labels, notes, strict=True)],
        frameon=False,
        fontsize=SMALL,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        handlelength=1.2,
        labelspacing=1.0,
    )
    for text in legend.get_texts():
        text.set(color=INK, linespacing=1.4)
