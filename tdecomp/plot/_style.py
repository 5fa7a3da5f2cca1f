"""The look of all pictures: palette, sizes of text, frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tdecomp._xp import floats, namespace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = NDArray[np.float64]
Style = tuple[str, Any, str]

# Okabe and Ito's palette, less yellow: distinct in every kind of colour vision. Lines and markers
# differ too, for paper.
STYLES: tuple[Style, ...] = (
    ("#0072B2", "-", "o"),
    ("#D55E00", (0, (6, 1.2)), "s"),
    ("#009E73", (0, (4, 1, 1, 1)), "^"),
    ("#CC79A7", (0, (2.2, 1)), "D"),
    ("#E69F00", (0, (8, 1.5, 1, 1.5)), "v"),
    ("#56B4E9", (0, (3, 0.8)), "p"),
    ("#333333", (0, (10, 1.2)), "X"),
)
OTHER: Style = ("#8c8c8c", "-", "h")
INK, SOFT, RULE = "#222222", "#6b6b6b", "#d9d9d9"
SMALL, TEXT, TITLE = 7.0, 8.0, 9.5


def new_figure(size: tuple[float, float]) -> Figure:
    """Return an empty figure that belongs to no global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "pictures need matplotlib: pip install 'tdecomp-array[plot]'", name="matplotlib"
        ) from error
    return Figure(figsize=size, facecolor="white")


def check_labels(labels: Any, count: int, *, kind: str = "mode") -> list[str]:
    """Return a label for each mode, or whatever else they are for."""
    if labels is None:
        return [f"{kind} {k}" for k in range(count)]
    if not isinstance(labels, Iterable):
        raise TypeError(f"labels must be a sequence of str, got {labels!r}")
    found = [str(label) for label in labels]
    if len(found) != count:
        raise ValueError(
            f"labels must have one entry for each of {count} {kind}s, got {len(found)}"
        )
    return found


def number(value: float, digits: int) -> str:
    """Write a number of so many digits, with the minus that the numbers along axes have."""
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def host(x: Any) -> Values:
    """Return the entries of an array of any library, magnitudes of complex ones, in NumPy."""
    xp = namespace(x)
    x = xp.abs(x) if xp.isdtype(x.dtype, "complex floating") else x
    return np.asarray(floats(xp.reshape(x, (-1,))), dtype=np.float64).reshape(tuple(x.shape))


def plain(axes: Any) -> None:
    """Leave of the frame what is needed for reading values."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set(color=SOFT, linewidth=0.7)
    axes.tick_params(labelsize=SMALL, color=SOFT, labelcolor=INK, width=0.7, length=3)
    axes.tick_params(which="minor", length=0)
    axes.grid(color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)


def headline(axes: Any, title: str, note: str) -> None:
    """Write a title and a quieter line over the axes."""
    for text, size, color, up in ((title, TITLE, INK, 18), (note, SMALL, SOFT, 6)):
        axes.annotate(
            text,
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, up),
            textcoords="offset points",
            fontsize=size,
            color=color,
        )


def write(axes: Any, edge: int, line: float, shift: float, text: str, **how: Any) -> None:
    """Write on a line, some points to the right of the left (0) or right (1) edge."""
    axes.annotate(
        text,
        (edge, line),
        xycoords=("axes fraction", "data"),
        xytext=(shift, -0.4),
        textcoords="offset points",
        annotation_clip=False,
        **({"ha": "right", "va": "center", "fontsize": SMALL, "color": INK} | how),
    )
