"""What was done to a checkpoint: spectra, ranks and errors of many matrices."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tdecomp.linalg import tail_norms
from tdecomp.plot._curves import bottom, checked, logarithmic
from tdecomp.plot._style import (
    INK,
    OTHER,
    SMALL,
    SOFT,
    STYLES,
    TEXT,
    Style,
    Values,
    headline,
    new_figure,
    plain,
    write,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Where the columns on the right end, in points from the bars.
_AT = (32.0, 68.0)

# Inches: heights, then widths.
_ROW, _KEY, _HEAD, _FOOT, _CURVES_HEIGHT, _LEAST, _TALLEST = 0.165, 0.16, 0.6, 0.5, 5.0, 4.4, 400.0
_CURVES, _BARS, _COLUMNS, _LETTER = 4.3, 2.9, 1.15, 0.06


class _Row(NamedTuple):
    """A line of the right panel: a heading (without a name), or a tensor."""

    label: str
    name: str = ""
    kind: str = ""


class _Sheet(NamedTuple):
    """What is drawn: the lines, the style of each kind, and the facts by name."""

    rows: list[_Row]
    styles: Mapping[str, Style]
    spectra: Mapping[str, Values]
    ranks: Mapping[str, int | None]
    errors: Mapping[str, float]
    kept: Mapping[str, float]


def spectra(
    spectra: Mapping[str, Any],
    ranks: Mapping[str, int | None],
    errors: Mapping[str, float],
    /,
    *,
    kept: Mapping[str, float] = MappingProxyType({}),
    figure: Any = None,
) -> Figure:
    """Draw what was done to a checkpoint: all spectra with the chosen ranks, and every error.

    Parameters
    ----------
    spectra : mapping of str to array, shape (k,)
        The singular values of each matrix, descending. A matrix may be missing.
    ranks : mapping of str to int or None
        The rank of each matrix in the order to be drawn; None for one that stays dense.
    errors : mapping of str to float
        The relative error of each compressed matrix. Where one is missing, the one that its
        spectrum predicts is outlined.
    kept : mapping of str to float, optional
        The fraction of its numbers that each matrix keeps.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw; by default a new figure, as high as the number of matrices asks.

    Returns
    -------
    matplotlib.figure.Figure
        On the left the singular values over the largest, a mark at each chosen rank; on the
        right one line for each matrix, those of a layer together: its error as a bar, its rank,
        and what it keeps.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is nothing to draw, or something in `spectra` is no spectrum.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.plot import spectra
    >>> values = {f"layer.{i}.weight": (0.9 - 0.1 * i) ** np.arange(64) for i in range(3)}
    >>> ranks = {name: 8 for name in values}
    >>> figure = spectra(values, ranks, {name: 0.1 for name in values})
    >>> len(figure.axes)
    2
    """
    values = {name: checked(s, f"spectra[{name!r}]") for name, s in spectra.items()}
    names = list(dict.fromkeys((*ranks, *values, *errors)))
    if not names:
        raise ValueError("there is nothing to draw: spectra, ranks and errors are empty")
    rows = _rows(names)
    sheet = _Sheet(rows, _styles(rows), values, ranks, errors, kept)
    label = _LETTER * max(len(row.label) for row in rows)
    body = len(rows) * min(_ROW, _TALLEST / len(rows))
    left = _CURVES + 1.05 if values else 0.2
    width = left + label + _BARS + _COLUMNS
    height = max(_LEAST if values else 0.0, body + _HEAD + _FOOT)
    drawn: Figure = new_figure((width, height)) if figure is None else figure

    def place(x: float, below: float, w: float, h: float) -> Any:
        return drawn.add_axes((x / width, 1.0 - (below + h) / height, w / width, h / height))

    if values:
        room = height - _HEAD - _FOOT - _KEY * (len(sheet.styles) + 1)
        _draw_curves(place(0.6, _HEAD, _CURVES, min(_CURVES_HEIGHT, room)), sheet)
    _draw_bars(place(left + label, _HEAD, _BARS, body), sheet, 72 * label)
    return drawn


def _rows(names: list[str]) -> list[_Row]:
    """Lay out one line for each tensor, with a heading over those of one layer.

    A layer is what names share up to their first number, or else up to their last part. What all
    names end or begin with is left out.
    """
    parts = [re.split(r"[./]", name) for name in names]
    while len(names) > 1 and min(map(len, parts)) > 1 and len({p[-1] for p in parts}) == 1:
        parts = [p[:-1] for p in parts]
    while len(names) > 1 and min(map(len, parts)) > 1 and len({p[0] for p in parts}) == 1:
        if any(p[1].isdigit() for p in parts):
            break
        parts = [p[1:] for p in parts]
    split = []
    for words in parts:
        number = next((i for i, word in enumerate(words[:-1]) if word.isdigit()), None)
        cut = len(words) - 1 if number is None else number + 1
        split.append((".".join(words[:cut]), ".".join(words[cut:]), number is not None))
    sizes = Counter(layer for layer, *_ in split)
    rows, previous = [], ""
    for name, (layer, rest, numbered) in zip(names, split, strict=True):
        whole = f"{layer}.{rest}" if layer else rest
        together = bool(layer) and sizes[layer] > 1
        if together and layer != previous:
            rows.append(_Row(layer))
        rows.append(_Row(rest if together else whole, name, rest if numbered else whole))
        previous = layer
    return rows


def _styles(rows: list[_Row]) -> dict[str, Style]:
    """Give the most frequent kinds of tensors a style each, in the order of the rows."""
    kinds = Counter(row.kind for row in rows if row.name)
    if max(kinds.values()) > 1:
        kinds = Counter({kind: count for kind, count in kinds.items() if count > 1})
    chosen = {kind for kind, _ in kinds.most_common(len(STYLES))}
    ordered = dict.fromkeys(row.kind for row in rows if row.kind in chosen)
    return dict(zip(ordered, STYLES, strict=False))


def _draw_curves(axes: Any, sheet: _Sheet) -> None:
    """Draw every spectrum over its largest value, with a mark at the rank that was chosen."""
    plain(axes)
    curves, marks, used = [], [], set()
    for row in sheet.rows:
        if row.name not in sheet.spectra:
            continue
        color, line, marker = sheet.styles.get(row.kind, OTHER)
        used.add(row.kind if row.kind in sheet.styles else "other")
        s, rank = sheet.spectra[row.name], sheet.ranks.get(row.name)
        y = s / (s[0] or 1.0)
        curves.append(y)
        axes.plot(np.arange(1, y.size + 1), logarithmic(y), c=color, ls=line, lw=0.9, alpha=0.7)
        if rank is not None and 0 < rank <= y.size and y[rank - 1] > 0:
            marks.append(float(y[rank - 1]))
            axes.plot([rank], marks[-1:], marker, c=color, ms=5.5, mec="white", mew=0.7, zorder=3)
    axes.set_yscale("log")
    axes.set_ylim(bottom(curves, marks, float(np.finfo(np.float32).eps)), 1.3)
    axes.set_xlim(0, max(y.size for y in curves))
    axes.set_xlabel("number of the singular value", fontsize=TEXT, color=INK)
    note = "a mark is a chosen rank; without one a matrix stays dense" if marks else ""
    headline(axes, "Singular values, over the largest", note)
    _draw_key(
        axes,
        {kind: sheet.styles.get(kind, OTHER) for kind in (*sheet.styles, "other") if kind in used},
    )


def _draw_key(axes: Any, styles: Mapping[str, Style]) -> None:
    """Say below the axes which style means what."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], c=c, ls=line, lw=1.3, marker=m, ms=5.5, mec="white", mew=0.7, label=kind)
        for kind, (c, line, m) in styles.items()
    ]
    down = 0.42 * axes.figure.dpi / axes.bbox.height
    axes.legend(
        handles=handles,
        frameon=False,
        fontsize=SMALL,
        loc="upper left",
        bbox_to_anchor=(-0.02, -down),
        borderaxespad=0.0,
        handlelength=3.4,
        labelspacing=0.45,
    )


def _draw_bars(axes: Any, sheet: _Sheet, margin: float) -> None:
    """Draw one line for each tensor; names go into the `margin`, in points, on the left."""
    plain(axes)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.axvline(0, color=SOFT, lw=0.7)
    errors = {row.name: _error(row.name, sheet) for row in sheet.rows}
    finite = [error for error in errors.values() if error is not None and math.isfinite(error)]
    axes.set_xlim(0, 1.18 * (max(finite, default=0.0) or 1.0))
    axes.set_ylim(len(sheet.rows) - 0.4, -0.6)
    for line, row in enumerate(sheet.rows):
        if row.name:
            _draw_line(axes, line, row, errors[row.name], sheet)
        else:
            write(axes, 0, line + 0.12, -margin, row.label, ha="left", weight="bold")
    guessed = any(error is not None and name not in sheet.errors for name, error in errors.items())
    headline(axes, "Relative error", "outlined: predicted by the spectrum" if guessed else "")
    for column, title in zip(_AT, ("rank", "kept" if sheet.kept else ""), strict=True):
        write(axes, 1, -0.6 - 0.1 / _ROW, column, title, color=SOFT)


def _draw_line(axes: Any, line: int, row: _Row, error: float | None, sheet: _Sheet) -> None:
    """Draw the name of a tensor, a bar for its error, its rank, and what it keeps."""
    write(axes, 0, line, -5, row.label)
    rank, color = sheet.ranks.get(row.name), sheet.styles.get(row.kind, OTHER)[0]
    if error is None:
        write(axes, 0, line, 4, "" if rank else "dense", ha="left", color=SOFT, style="italic")
    else:
        length = error if math.isfinite(error) else 0.0
        fill = {"color": color} if row.name in sheet.errors else {"fc": "none", "ec": color}
        axes.barh(line, length, height=0.62, linewidth=0.9, **fill)
        text = f"{error:.2f}" if error >= 0.01 or error == 0 else f"{error:.0e}"
        axes.annotate(
            text,
            (length, line),
            xytext=(3, -0.4),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
        )
    share = sheet.kept.get(row.name)
    cells = (str(rank) if rank else "", "" if share is None else f"{share:.0%}")
    for column, cell in zip(_AT, cells, strict=True):
        write(axes, 1, line, column, cell)


def _error(name: str, sheet: _Sheet) -> float | None:
    """Return the error of a tensor, or the one that its spectrum predicts."""
    rank = sheet.ranks.get(name)
    if name in sheet.errors:
        return float(sheet.errors[name])
    if rank is None or name not in sheet.spectra:
        return None
    norms = tail_norms(sheet.spectra[name])
    return float(norms[min(rank, norms.size - 1)] / (norms[0] or 1.0))
