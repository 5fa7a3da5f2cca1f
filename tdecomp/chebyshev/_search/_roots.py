"""Common roots of Chebyshev-Tucker functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._shim import host
from tdecomp._typing import Array
from tdecomp._xp import device, namespace
from tdecomp.chebyshev._domain import from_unit
from tdecomp.chebyshev._search._hosted import on_host
from tdecomp.chebyshev._search._isolate import CrowdedError, isolated


@full_precision
def roots(*functions: Any, max_boxes: int = 50_000) -> Array:
    r"""Return the common roots of `d` real functions of the same `d` variables, in their box.

    Parameters
    ----------
    *functions : ChebyshevTucker
        As many functions as they have variables, on one box.
    max_boxes : int, optional
        How many boxes may be undecided at a time.

    Returns
    -------
    array, shape (n, d)
        The roots, in ascending order of their coordinates, the first one first.

    Raises
    ------
    TypeError, ValueError
        If a function is something else, complex, traced or differentiated, or its core is a
        train; if there are more or fewer functions than variables, or boxes differ; if boxes are
        too many, since roots are not isolated.

    Notes
    -----
    Boxes are halved until on each, by the magnitudes of coefficients, there is provably no root,
    or provably at most one, which Newton's method then finds. So all roots where the matrix of
    derivatives is regular are found, each once, of the polynomials that `functions` are, but for
    rounding; functions vanish, to rounding, at all that are returned. Boxes are not halved below
    a millionth of the whole. Systems of two and three functions take up to some seconds, those of
    six can take minutes: boxes are many, and each has coefficients of all combinations of degrees.

    Roots where the matrix is singular, as multiple ones, and those nearer to one another than a
    millionth or than rounding can tell, may be returned as one, with half of the digits, or missed
    where rounding makes them vanish.

    Roots that fill a curve or a surface, as those of a function with itself, make ever more boxes
    and are refused.

    References
    ----------
    .. [1] Y. Nakatsukasa, V. Noferini, A. Townsend, "Computing the common zeros of two bivariate
       functions via Bezout resultants", Numer. Math. 129, 2015. doi:10.1007/s00211-014-0635-z

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.chebyshev import chebyshev_tucker, roots
    >>> circle = chebyshev_tucker(lambda x, y: x**2 + y**2 - 1, [(-2, 2)] * 2).tensor
    >>> wave = chebyshev_tucker(lambda x, y: y - np.sin(np.pi * x), [(-2, 2)] * 2).tensor
    >>> roots(circle, wave).round(6) + 0.0
    array([[-1.      ,  0.      ],
           [-0.789833, -0.613322],
           [-0.376967, -0.926227],
           [ 0.376967,  0.926227],
           [ 0.789833,  0.613322],
           [ 1.      ,  0.      ]])
    """
    limit = check_count(max_boxes, name="max_boxes", least=1)
    if not functions:
        raise ValueError("pass as many functions as they have variables, got none")
    hosted, boxes = [], []
    for j, f in enumerate(functions):
        xp, g, _, domain = on_host(f, name=f"functions[{j}]", trains=False)
        if np.iscomplexobj(g.core):
            raise TypeError(f"functions[{j}] must be real, got {f.dtype}")
        hosted.append(g)
        boxes.append(domain)
    xp = namespace(*boxes)
    for j, box in enumerate(boxes):
        if box.shape[0] != len(functions):
            raise ValueError(
                f"there must be as many functions as variables, got {len(functions)} functions, "
                f"and functions[{j}] is of {box.shape[0]}"
            )
        if np.any(host(box) != host(boxes[0])):
            raise ValueError(
                f"all functions must have one domain, got {host(boxes[0]).tolist()} and, of "
                f"functions[{j}], {host(box).tolist()}"
            )
    try:
        t = isolated(hosted, limit)
    except CrowdedError:
        raise ValueError(
            f"more than {limit} boxes are undecided: common roots are not isolated, as those of "
            f"functions with a common factor, or there are many; max_boxes= allows more"
        ) from None
    found = xp.asarray(t, dtype=boxes[0].dtype, device=device(boxes[0]))
    return from_unit(found, boxes[0], xp)
