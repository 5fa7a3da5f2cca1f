"""Where the energy of a Tucker decomposition sits in its core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tdecomp.plot._style import (
    INK,
    SMALL,
    SOFT,
    STYLES,
    TEXT,
    Values,
    check_labels,
    host,
    new_figure,
    plain,
)
from tdecomp.tucker import orthogonalise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches: a panel, the gap between panels, room for numbers and words around them.
_PANEL, _GAP, _LEFT, _BELOW, _ABOVE, _RIGHT = 1.5, 0.14, 0.7, 0.55, 0.2, 0.95
# Shares below this part of the largest are drawn like none.
_DECADES = 6.0
# From paper to the blue of the house, and on to ink: lightness falls evenly.
_BLUES = ("#ffffff", "#9fcbe8", "#3d92c9", "#0072B2", "#003f63", "#00182b")


def core(tucker: Any, /, *, labels: Sequence[str] | None = None, figure: Any = None) -> Figure:
    r"""Draw how the energy of a Tucker decomposition is spread over its core.

    In orthonormal bases :math:`\|\hat X\|_F^2 = \sum_j |G_j|^2`, so that every entry of the core
    has its share. On the diagonal stand the shares of the slices of each mode, below it those of
    pairs of modes, summed over all others: an entry far from the corner tells that the bases of
    two modes are linked.

    Parameters
    ----------
    tucker : Tucker
        The decomposition, of any library. Factors that are not orthonormal are made so first.
    labels : sequence of str, optional
        What each mode is.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw; by default a new figure, as large as needed.

    Returns
    -------
    matplotlib.figure.Figure
        Its axes are the panels of the lower triangle, row by row, and the scale of colours.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If `tucker` is no Tucker tensor, or not finite, or labels do not fit it.

    See Also
    --------
    mode_spectra : the spectra from which ranks are chosen.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import tucker
    >>> from tdecomp.plot import core
    >>> i, j, k = np.ogrid[:6, :7, :8]
    >>> figure = core(tucker.sthosvd(1.0 / (1 + i + j + k), rank=4))
    >>> len(figure.axes)
    7
    """
    tensor = orthogonalise(tucker)
    labels = check_labels(labels, tensor.modes)
    energy = _shares(host(tensor.core))
    d = energy.ndim
    side = _PANEL + _GAP
    width, height = _LEFT + d * side + _RIGHT, _ABOVE + d * side + _BELOW
    drawn: Figure = new_figure((width, height)) if figure is None else figure
    colors = _colors()
    for row in range(d):
        for column in range(row + 1):
            x, y = _LEFT + column * side, _BELOW + (d - 1 - row) * side
            axes = drawn.add_axes((x / width, y / height, _PANEL / width, _PANEL / height))
            if row == column:
                _draw_shares(axes, _summed(energy, {row}), STYLES[row % len(STYLES)][0])
            else:
                _draw_pair(axes, _summed(energy, {row, column}).T, colors)
            _finish(axes, labels, row, column, d)
    _draw_scale(drawn, colors, (width, height))
    return drawn


def _shares(entries: Values) -> Values:
    """Return the share of each entry in the sum of squares, safe at every scale."""
    scaled = entries / (float(np.max(np.abs(entries))) or 1.0)
    squares = scaled**2
    return np.asarray(squares / (float(np.sum(squares)) or 1.0))


def _summed(energy: Values, modes: set[int]) -> Values:
    """Sum shares over all modes but some."""
    return np.asarray(np.sum(energy, axis=tuple(k for k in range(energy.ndim) if k not in modes)))


def _colors() -> Any:
    """Return the scale of colours with its logarithmic norm."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    scale = LinearSegmentedColormap.from_list("tdecomp.blues", _BLUES)
    return ScalarMappable(LogNorm(10.0**-_DECADES, 1.0), scale)


def _draw_shares(axes: Any, shares: Values, color: str) -> None:
    """Draw the share of each slice of a mode."""
    plain(axes)
    axes.grid(visible=False, axis="x")
    axes.set_yscale("log")
    axes.set(ylim=(10.0**-_DECADES, 2.0), xlim=(0.5, shares.size + 0.5))
    axes.bar(np.arange(1, shares.size + 1), shares, width=0.8, color=color, lw=0)
    axes.yaxis.tick_right()
    axes.set_yticks([10.0**-k for k in range(0, int(_DECADES) + 1, 2)])
    axes.spines["left"].set_visible(False)


def _draw_pair(axes: Any, shares: Values, colors: Any) -> None:
    """Draw the shares of pairs of indices; rows and columns of `shares` are rows and columns."""
    rows, columns = shares.shape
    axes.imshow(
        np.ma.masked_less(shares, 10.0**-_DECADES),
        cmap=colors.cmap,
        norm=colors.norm,
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, columns + 0.5, rows + 0.5, 0.5),
    )
    axes.tick_params(labelsize=SMALL, color=SOFT, labelcolor=INK, width=0.7, length=3)
    for spine in axes.spines.values():
        spine.set(color=SOFT, linewidth=0.7)


def _finish(axes: Any, labels: list[str], row: int, column: int, modes: int) -> None:
    """Keep numbers and labels at the left and lower edges of the triangle only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    if row != column:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
        axes.tick_params(labelleft=column == 0)
    axes.tick_params(labelbottom=row == modes - 1)
    if row == modes - 1:
        axes.set_xlabel(labels[column], fontsize=TEXT, color=INK)
    if column == 0 and row > 0:
        axes.set_ylabel(labels[row], fontsize=TEXT, color=INK)
    if row == column == 0:
        axes.set_title("share of the energy", loc="left", fontsize=TEXT, color=INK, pad=5)


def _draw_scale(figure: Any, colors: Any, size: tuple[float, float]) -> None:
    """Draw the scale of colours upright at the right edge."""
    width, height = size
    long = min(2.0 * _PANEL, height - _BELOW - _ABOVE - 0.2)
    box = (width - 0.55) / width, _BELOW / height, 0.12 / width, long / height
    axes = figure.add_axes(box)
    bar = figure.colorbar(colors, cax=axes)
    bar.outline.set(linewidth=0.5, edgecolor=SOFT)
    axes.tick_params(labelsize=SMALL, color=SOFT, labelcolor=INK, width=0.7, length=3)
    axes.tick_params(which="minor", length=0)
