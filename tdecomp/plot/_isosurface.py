"""The surface on which a function of three variables has one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tdecomp._errors import check_count, check_number
from tdecomp.plot._functions import Drawn, as_drawn
from tdecomp.plot._style import INK, RULE, SMALL, SOFT, STYLES, TEXT, Values, new_figure, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches; where the light comes from, and how bright what it does not meet is.
_SIZE = (4.6, 4.2)
_LIGHT, _SHADE = (0.35, -0.75, 0.85), 0.35


def isosurface(
    f: Any,
    level: float,
    /,
    *,
    points: int = 65,
    labels: Sequence[str] | None = None,
    figure: Any = None,
) -> Figure:
    """Draw the surface on which a function of three variables has one value.

    Parameters
    ----------
    f : ChebyshevTucker
        The function, of three variables, of any library.
    level : float
        The value.
    points : int, optional
        How many points there are along each side of the grid that the surface is found on.
    labels : sequence of str, optional
        What each variable is.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        One panel in three dimensions. Its ``view_init`` turns it.

    Raises
    ------
    ImportError
        If matplotlib or scikit-image is not installed.
    TypeError, ValueError
        If `f` is no Chebyshev-Tucker function of three variables, or has no values around
        `level`.

    See Also
    --------
    slices : contours on planes.

    Notes
    -----
    Triangles come from marching cubes [1]_. Of complex functions the magnitude is drawn.

    References
    ----------
    .. [1] T. Lewiner, H. Lopes, A. W. Vieira, G. Tavares, "Efficient implementation of marching
       cubes' cases with topological guarantees", J. Graphics Tools 8, 2003.
       doi:10.1080/10867651.2003.10487582

    Examples
    --------
    >>> from tdecomp.chebyshev import chebyshev_tucker
    >>> from tdecomp.plot import isosurface
    >>> f = chebyshev_tucker(lambda x, y, z: x**2 + y**2 - z**2, [(-1, 1)] * 3).tensor
    >>> figure = isosurface(f, 0.1, points=17)
    >>> len(figure.axes)
    1
    """
    drawn = as_drawn(f, labels)
    if len(drawn.labels) != 3:
        raise ValueError(f"f must have three variables, got {len(drawn.labels)}")
    level = check_number(level, name="level")
    corners, triangles = _surface(drawn, level, check_count(points, name="points", least=2))
    found: Figure = new_figure(_SIZE) if figure is None else figure
    axes: Any = found.add_axes((0.0, 0.02, 0.93, 0.95), projection="3d")
    axes.set_box_aspect((1, 1, 1), zoom=0.88)
    _draw(axes, corners, triangles, drawn.box)
    _finish(axes, drawn)
    axes.set_title(f"value {number(level, 4)}", fontsize=TEXT, color=INK, y=1.0)
    return found


def _surface(drawn: Drawn, level: float, count: int) -> tuple[Values, Any]:
    """Return the corners (N, 3) and the triangles (M, 3) of the surface."""
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise ImportError(
            "surfaces need scikit-image: pip install 'tdecomp-array[plot]'", name="skimage"
        ) from error
    values = drawn.values([drawn.axis(k, count) for k in range(3)])
    low, high = float(np.min(values)), float(np.max(values))
    if not low < level < high:
        raise ValueError(
            f"level must lie between the least and the largest value on the grid, {low:.6g} and "
            f"{high:.6g}, got {level}"
        )
    scale = max(high - level, level - low)
    corners, triangles, _, _ = marching_cubes((values - level) / scale, 0.0)
    start, end = drawn.box.T
    return start + (end - start) * corners / (count - 1), triangles


def _draw(axes: Any, corners: Values, triangles: Any, box: Values) -> None:
    """Draw triangles, lit from one side; both of their faces alike."""
    from matplotlib.colors import to_rgb
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    faces = corners[triangles]
    scaled = faces / (box[:, 1] - box[:, 0])
    normals = np.cross(scaled[:, 1] - scaled[:, 0], scaled[:, 2] - scaled[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    light = np.asarray(_LIGHT) / np.linalg.norm(_LIGHT)
    met = np.abs(normals @ light) / np.where(lengths > 0, lengths, 1)
    bright = (_SHADE + (1 - _SHADE) * met)[:, None]
    # Towards ink where dark, towards paper where the light is full.
    colors = bright * np.asarray(to_rgb(STYLES[5][0])) + np.maximum(bright - 0.8, 0) * 0.6
    collection = Poly3DCollection(faces, facecolors=np.clip(colors, 0, 1), edgecolors="none")
    collection.set_antialiased(False)
    axes.add_collection3d(collection)


def _finish(axes: Any, drawn: Drawn) -> None:
    """Draw the box, with names and few numbers."""
    from matplotlib.ticker import MaxNLocator

    sides = (axes.xaxis, axes.yaxis, axes.zaxis)
    limits = (axes.set_xlim, axes.set_ylim, axes.set_zlim)
    for k, (side, limit) in enumerate(zip(sides, limits, strict=True)):
        limit(*drawn.box[k])
        # Numbers at the ends of two sides would be written over one another.
        side.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], prune="both"))
        side.set_label_text(drawn.labels[k], fontsize=TEXT, color=INK)
        side.labelpad = -2
        side.set_pane_color((1.0, 1.0, 1.0, 1.0))
        side.pane.set(edgecolor=RULE, linewidth=0.5)
        side.line.set(color=SOFT, linewidth=0.7)
        side._axinfo["grid"].update(color=RULE, linewidth=0.5)
        side.get_offset_text().set(fontsize=SMALL, color=INK)
    axes.ticklabel_format(style="sci", scilimits=(-2, 4))
    axes.tick_params(labelsize=SMALL, labelcolor=INK, pad=-1, width=0.7)
