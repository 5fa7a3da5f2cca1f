"""A function of two or more variables on planes through a point."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from array_api_compat import is_array_api_obj

from tdecomp._errors import check_count
from tdecomp._shim import host
from tdecomp._xp import prepare
from tdecomp.plot._functions import Drawn, as_drawn
from tdecomp.plot._style import INK, SMALL, SOFT, TEXT, Values, new_figure, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches: a panel, the gap between two, what lies around each and all, a line of a title.
_PANEL, _GAP, _LEFT, _FOOT, _HEAD, _RIGHT, _LINE = 2.1, 0.6, 0.6, 0.45, 0.33, 1.05, 0.14
# How many variables a line of a title names.
_FIXED = 2
# Contours are lines that do not tell signs: colours do.
_LINES = {"colors": INK, "linewidths": 0.35, "alpha": 0.5, "linestyles": "solid"}
# Panels of a row, steps of the scale of colours.
_ROW, _LEVELS = 3, 14


class _Plane(NamedTuple):
    """A plane: which variables run, the point it goes through, and the values on it."""

    pair: tuple[int, int]
    point: Values
    values: Values


class _Scale(NamedTuple):
    """Levels of contours, and the colours between."""

    levels: Values
    colors: Any


def slices(
    f: Any,
    /,
    *,
    planes: Sequence[tuple[int, int]] | None = None,
    at: Sequence[float] | None = None,
    points: int = 129,
    labels: Sequence[str] | None = None,
    figure: Any = None,
) -> Figure:
    """Draw filled contours of a function on planes through a point, all in one scale of colours.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of two or more variables, of any library.
    planes : sequence of pairs of int, optional
        Which variables run along a panel, the horizontal one first; by default all pairs.
    at : sequence of float, optional
        A point of the box: the values of the variables that are fixed. By default the centre.
    points : int, optional
        How many points there are along each side of a panel.
    labels : sequence of str, optional
        What each variable is.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw; by default a new figure, as large as needed.

    Returns
    -------
    matplotlib.figure.Figure
        Its axes are the panels, row by row, and the scale of colours.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If `f` is no Chebyshev-Tucker function of two or more variables, a plane is no pair of
        different variables of it, or the point lies outside of its box.

    See Also
    --------
    isosurface : the surface on which a function of three variables has one value.

    Notes
    -----
    Dotted lines are where a panel meets the planes of the others: where a variable that runs has
    the value that it has while it is fixed. Where values have both signs, white is zero. Of
    complex functions the magnitude is drawn.

    Examples
    --------
    >>> from tdecomp.chebyshev import chebyshev_tucker
    >>> from tdecomp.plot import slices
    >>> f = chebyshev_tucker(lambda x, y, z: x * y - z**2, [(-1, 1)] * 3).tensor
    >>> figure = slices(f, at=[0.5, 0.0, 0.0], labels=["x", "y", "z"])
    >>> len(figure.axes)
    4
    """
    drawn = as_drawn(f, labels, least=2)
    point = _point(at, drawn)
    pairs = _pairs(planes, len(drawn.labels))
    count = check_count(points, name="points", least=2)
    panels = [_values(drawn, pair, point, count) for pair in pairs]
    columns = min(_ROW, len(pairs))
    rows = -(-len(pairs) // columns)
    width = _LEFT + columns * _PANEL + (columns - 1) * _GAP + _RIGHT
    head = _HEAD + _LINE * max(0, -(-(len(point) - 2) // _FIXED) - 1)
    height = rows * (_FOOT + _PANEL + head)
    found: Figure = new_figure((width, height)) if figure is None else figure
    scale = _scale(panels)
    for place, (pair, values) in enumerate(zip(pairs, panels, strict=True)):
        row, column = divmod(place, columns)
        left = _LEFT + column * (_PANEL + _GAP)
        bottom = _FOOT + (rows - 1 - row) * (_FOOT + _PANEL + head)
        box = (left / width, bottom / height, _PANEL / width, _PANEL / height)
        _draw(found.add_axes(box), drawn, _Plane(pair, point, values), scale)
    bar = ((width - _RIGHT + 0.15) / width, _FOOT / height, 0.12 / width, _PANEL / height)
    _draw_scale(found, bar, scale)
    return found


def _point(at: Any, drawn: Drawn) -> Values:
    """Return the point that planes go through, in the precision of the box."""
    box = drawn.box
    if at is None:
        return np.asarray(np.mean(box, axis=1))
    like = np.empty(0, host(drawn.f.domain).dtype)
    _, point = prepare(host(at) if is_array_api_obj(at) else at, ndim=1, like=like, name="at")
    if point.dtype.kind == "c":
        raise TypeError(f"at must be real, got {point.dtype}")
    point = np.asarray(point.astype(like.dtype), dtype=np.float64)
    if point.shape != (box.shape[0],):
        raise ValueError(f"at must have {box.shape[0]} coordinates, got shape {point.shape}")
    outside = ~((box[:, 0] <= point) & (point <= box[:, 1]))
    if np.any(outside):
        k = int(np.argmax(outside))
        raise ValueError(
            f"at[{k}] is {point[k]}, outside of the domain [{box[k, 0]}, {box[k, 1]}] of "
            f"variable {k}"
        )
    return point


def _pairs(planes: Any, d: int) -> list[tuple[int, int]]:
    """Return the pairs of variables that run."""
    if planes is None:
        return list(itertools.combinations(range(d), 2))
    pairs = [_pair(plane, d) for plane in planes] if isinstance(planes, Iterable) else []
    if not pairs:
        raise ValueError(f"planes must be some pairs of variables to draw, got {planes!r}")
    return pairs


def _pair(plane: Any, d: int) -> tuple[int, int]:
    """Return two different variables."""
    pair = tuple(plane) if isinstance(plane, Iterable) else (plane,)
    ints = all(isinstance(k, int | np.integer) and not isinstance(k, bool) for k in pair)
    if not ints or len(pair) != 2 or pair[0] == pair[1] or not all(0 <= k < d for k in pair):
        raise ValueError(
            f"planes must be pairs of different variables from 0 to {d - 1}, got {plane!r}"
        )
    return int(pair[0]), int(pair[1])


def _values(drawn: Drawn, pair: tuple[int, int], point: Values, count: int) -> Values:
    """Return the values on a plane, rows along the vertical variable."""
    axes = [
        drawn.axis(k, count) if k in pair else point[k : k + 1] for k in range(len(drawn.labels))
    ]
    values = np.squeeze(
        drawn.values(axes), axis=tuple(k for k in range(len(axes)) if k not in pair)
    )
    return np.asarray(values.T if pair[0] < pair[1] else values)


def _scale(panels: list[Values]) -> _Scale:
    """Return round levels that hold all values, and the scale of colours."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    low = min(float(np.min(panel)) for panel in panels)
    high = max(float(np.max(panel)) for panel in panels)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        width = 0.1 * abs(low) or 1.0
        low, high = low - width, high + width
    levels = np.asarray(MaxNLocator(_LEVELS).tick_values(low, high))
    if levels[0] < 0 < levels[-1]:
        end = max(-levels[0], levels[-1])
        return _Scale(levels, ScalarMappable(Normalize(-end, end), "RdBu_r"))
    return _Scale(levels, ScalarMappable(Normalize(levels[0], levels[-1]), "viridis"))


def _draw(axes: Any, drawn: Drawn, plane: _Plane, scale: _Scale) -> None:
    """Draw one panel, with what it is and what is fixed."""
    from matplotlib.ticker import MaxNLocator

    pair, point, values = plane
    levels, colors = scale
    across, up = (drawn.axis(k, n) for k, n in zip(pair, values.T.shape, strict=True))
    axes.contourf(across, up, values, levels=levels, cmap=colors.cmap, norm=colors.norm)
    axes.contour(across, up, values, levels=levels, **_LINES)
    for mark, k in ((axes.axvline, pair[0]), (axes.axhline, pair[1])):
        mark(point[k], color=INK, lw=0.8, ls=(0, (1, 2)))
    axes.tick_params(labelsize=SMALL, color=SOFT, labelcolor=INK, width=0.7, length=3)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for spine in axes.spines.values():
        spine.set(color=SOFT, linewidth=0.7)
    axes.set_xlabel(drawn.labels[pair[0]], fontsize=TEXT, color=INK, labelpad=2)
    axes.set_ylabel(drawn.labels[pair[1]], fontsize=TEXT, color=INK, labelpad=2)
    fixed = [
        f"{drawn.labels[k]} = {number(point[k], 3)}" for k in range(len(point)) if k not in pair
    ]
    title = ",\n".join(", ".join(fixed[i : i + _FIXED]) for i in range(0, len(fixed), _FIXED))
    axes.set_title(title, loc="left", fontsize=TEXT, color=INK, pad=5)


def _draw_scale(figure: Any, box: Any, scale: _Scale) -> None:
    """Draw the scale of colours upright, no further than values go."""
    axes = figure.add_axes(box)
    bar = figure.colorbar(scale.colors, cax=axes)
    bar.outline.set(linewidth=0.5, edgecolor=SOFT)
    axes.set_ylim(scale.levels[0], scale.levels[-1])
    axes.tick_params(labelsize=SMALL, color=SOFT, labelcolor=INK, width=0.7, length=3)
