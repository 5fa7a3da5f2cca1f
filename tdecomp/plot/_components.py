"""The components of a CP decomposition, one row each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tdecomp.cp import normalise
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

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches: a row, what lies above and below the rows, the gap between columns, a letter.
_ROW, _HEAD, _FOOT, _GAP, _LETTER, _TALLEST = 0.95, 0.3, 0.32, 0.22, 0.055, 400.0
# Widths of a column: of a curve, of a bar with its name, of all bars together.
_CURVE, _BAR, _WIDEST = 1.9, 0.17, 6.0
# Curves of at most this many entries have a mark at each, or even a tick.
_FEW, _FEWEST = 40, 5


class _Mode(NamedTuple):
    """A column of the picture: where its entries stand, what they are called."""

    label: str
    at: Values
    names: tuple[str, ...]
    logarithmic: bool

    @property
    def width(self) -> float:
        """Width of the panels in inches."""
        return min(max(_CURVE, _BAR * len(self.names)), _WIDEST)


def components(
    cp: Any,
    /,
    *,
    coordinates: Sequence[Any] | None = None,
    labels: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    figure: Any = None,
) -> Figure:
    r"""Draw the columns of all factors: one row for each component, one column for each mode.

    Components come in normal form: columns of length one, by descending weight. Panels of one
    mode share their axes, so that heights compare.

    Parameters
    ----------
    cp : CP
        The decomposition, or TensorLy's, of any library.
    coordinates : sequence, optional
        One entry for each mode: numbers where its entries stand, which make curves, in ascending
        order; strings, which make bars; or None for 0, 1, 2, ... Positive numbers that are more
        nearly in proportion than evenly spaced, as dilutions are, get a logarithmic axis.
    labels : sequence of str, optional
        What each mode is, with the unit.
    names : sequence of str, optional
        What each component is, in descending order of weights; numbers by default.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw; by default a new figure, as large as needed.

    Returns
    -------
    matplotlib.figure.Figure
        Its axes are the panels, row by row.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If `cp` is no decomposition, or coordinates, labels or names do not fit it.

    See Also
    --------
    tdecomp.cp.normalise : the normal form.
    tdecomp.cp.align : order and signs of another decomposition.

    Notes
    -----
    Of complex columns the magnitude is drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> from tdecomp.plot import components
    >>> time = np.linspace(0, 10, 50)
    >>> decay = np.exp(-time[:, None] * [0.2, 1.0])
    >>> x = cp.CP(np.array([5.0, 2.0]), (np.eye(3)[:, :2], decay))
    >>> figure = components(x, coordinates=[["A", "B", "C"], time], labels=["site", "time / s"])
    >>> len(figure.axes)
    4
    """
    weights, factors = normalise(cp)
    modes = _modes([int(factor.shape[0]) for factor in factors], coordinates, labels)
    names = _names(names, int(weights.shape[0]))
    columns = [host(factor) for factor in factors]
    rows = len(names)
    row = min(_ROW, _TALLEST / rows)
    left = 0.25 + _LETTER * 1.2 * max(len("weight 0.00e+00"), *map(len, names))
    foot = _FOOT + max(map(_depth, modes))
    width = left + sum(mode.width + _GAP for mode in modes)
    height = _HEAD + rows * row + foot
    drawn: Figure = new_figure((width, height)) if figure is None else figure
    first: list[Any] = []
    for r, (name, weight) in enumerate(zip(names, host(weights), strict=True)):
        x = left
        for k, (mode, column) in enumerate(zip(modes, columns, strict=True)):
            below = (foot + (rows - 1 - r) * row) / height
            box = (x / width, below, mode.width / width, 0.86 * row / height)
            axes = drawn.add_axes(box, **({"sharex": first[k], "sharey": first[k]} if r else {}))
            _draw(axes, mode, column[:, r], STYLES[r % len(STYLES)][0])
            x += mode.width + _GAP
            if r == 0:
                first.append(axes)
                _limit(axes, column)
                _write_label(axes, mode.label)
            if k == 0:
                _write_name(axes, name, weight, STYLES[r % len(STYLES)][0])
            if r == rows - 1:
                _finish(axes, mode)
            else:
                axes.tick_params(labelbottom=False)
    return drawn


def _modes(sizes: list[int], coordinates: Any, labels: Any) -> list[_Mode]:
    """Check coordinates and labels, and fill in what is missing."""
    labels = check_labels(labels, len(sizes))
    coordinates = [None] * len(sizes) if coordinates is None else list(coordinates)
    if len(coordinates) != len(sizes):
        raise ValueError(
            f"coordinates must have one entry for each of {len(sizes)} modes, "
            f"got {len(coordinates)}"
        )
    return [
        _mode(label, size, where, f"coordinates[{k}]")
        for k, (size, where, label) in enumerate(zip(sizes, coordinates, labels, strict=True))
    ]


def _mode(label: str, size: int, where: Any, name: str) -> _Mode:
    """Return a mode with its coordinates, which may be words."""
    places = np.arange(size, dtype=np.float64)
    if where is None:
        return _Mode(label, places, (), logarithmic=False)
    entries = list(where.tolist() if hasattr(where, "tolist") else where)
    if len(entries) != size:
        raise ValueError(f"{name} must have {size} entries, got {len(entries)}")
    if all(isinstance(entry, str) for entry in entries):
        return _Mode(label, places, tuple(entries), logarithmic=False)
    try:
        at = np.asarray(entries, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers or strings, got {entries[:3]!r}...") from None
    if at.ndim != 1 or not np.all(np.isfinite(at)):
        raise ValueError(f"{name} must be finite numbers, one for each entry")
    return _Mode(label, at, (), logarithmic=_in_proportion(at))


def _in_proportion(at: Values) -> bool:
    """Tell whether coordinates are more evenly spaced after taking logarithms."""
    at = np.sort(at)
    if at.size < 3 or at[0] <= 0 or at[0] == at[-1]:
        return False
    spreads = [np.std(steps) / np.mean(steps) for steps in (np.diff(np.log(at)), np.diff(at))]
    return bool(spreads[0] < spreads[1])


def _names(names: Any, rank: int) -> list[str]:
    """Return a name for each component."""
    names = [f"component {r + 1}" for r in range(rank)] if names is None else list(names)
    if len(names) != rank:
        raise ValueError(f"names must have {rank} entries, one a component, got {len(names)}")
    return [str(name) for name in names]


def _angle(mode: _Mode) -> int:
    """Return how far names of bars are turned, in degrees."""
    room = mode.width / max(len(mode.names), 1)
    longest = max((len(name) for name in mode.names), default=0)
    return 0 if longest * _LETTER < room else 90 if room < 0.14 else 45


def _depth(mode: _Mode) -> float:
    """Return how far the names of bars reach below the panels, in inches."""
    longest = max((len(name) for name in mode.names), default=0)
    return longest * _LETTER * math.sin(math.radians(_angle(mode)))


def _draw(axes: Any, mode: _Mode, y: Values, color: str) -> None:
    """Draw one column of a factor."""
    plain(axes)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.tick_params(left=False, labelleft=False)
    axes.axhline(0, color=SOFT, lw=0.7, zorder=1.5)
    if mode.names:
        axes.grid(visible=False)
        axes.tick_params(axis="x", length=0)
        axes.bar(mode.at, y, width=0.72, color=color, lw=0)
        return
    order = np.argsort(mode.at, kind="stable")
    few: dict[str, Any] = {"marker": "o", "markersize": 2.8} if y.size <= _FEW else {}
    axes.fill_between(mode.at[order], y[order], color=color, alpha=0.16, lw=0)
    axes.plot(mode.at[order], y[order], color=color, lw=1.4, solid_joinstyle="round", **few)
    if mode.logarithmic:
        axes.set_xscale("log")
        axes.tick_params(which="minor", labelbottom=False)


def _limit(axes: Any, column: Values) -> None:
    """Let the vertical axis hold all columns of a mode, and the line of zero."""
    low, high = min(0.0, float(column.min())), max(0.0, float(column.max()))
    room = 0.06 * (high - low or 1.0)
    axes.set_ylim(low - (room if low < 0 else 0.0), high + room)


def _finish(axes: Any, mode: _Mode) -> None:
    """Write below the last row the names of bars, or the numbers where there are few."""
    if mode.names:
        angle = _angle(mode)
        axes.set_xticks(mode.at, mode.names, rotation=angle, rotation_mode="anchor")
        axes.tick_params(axis="x", pad=3 if angle == 0 else 5)
        for text in axes.get_xticklabels():
            text.set(ha="center" if angle == 0 else "right", va="top" if angle == 0 else "center")
    elif mode.at.size <= _FEWEST:
        axes.set_xticks(mode.at, [f"{value:g}" for value in mode.at])


def _write_label(axes: Any, label: str) -> None:
    """Write above the first row what a mode is."""
    axes.annotate(
        label,
        (0.5, 1),
        xycoords="axes fraction",
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
        fontsize=TEXT,
        color=INK,
    )


def _write_name(axes: Any, name: str, weight: float, color: str) -> None:
    """Write a name and a weight to the left of a row."""
    how = {"weight": "bold", "fontsize": TEXT, "color": color}
    for text, up, look in ((name, 6, how), (f"weight {weight:.3g}", -5, {"color": SOFT})):
        axes.annotate(
            text,
            (0, 0.5),
            xycoords="axes fraction",
            xytext=(-9, up),
            textcoords="offset points",
            **({"ha": "right", "va": "center", "fontsize": SMALL} | look),
        )
