"""Where to look at functions of many variables: at the ends of their intervals above all.

Of many variables hardly any random point is near the boundary in most of them, where polynomials
differ most, and a grid has too many points.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp.chebyshev._sampling._fibres import Fibres
from tdecomp.chebyshev._sampling._sampler import Points, Sampler, Values

# Corners of the box to begin with, and other points.
_CORNERS, _OTHERS = 64, 64
# A value that exceeds all others by that factor stands out.
_HIGHER = 1.5


def scattered(d: int, count: int, rng: np.random.Generator) -> Points:
    """Return random points of the unit box, every other one with half its coordinates at ends."""
    t = rng.uniform(-1, 1, (count, d))
    ends = rng.integers(2, size=t.shape) == 1
    ends[1::2] = False
    return np.where(ends, np.where(t < 0, -1.0, 1.0), t)


def begun(d: int, rng: np.random.Generator) -> Points:
    """Return corners of the unit box, all of them if they are few, and other points."""
    if 2**d <= _CORNERS:
        axes = np.meshgrid(*[[-1.0, 1.0]] * d, indexing="ij")
        corners = np.stack(axes, axis=-1).reshape(-1, d)
    else:
        corners = 2.0 * rng.integers(2, size=(_CORNERS, d)) - 1
    return np.concatenate([corners, scattered(d, _OTHERS, rng)])


def climbed(
    ask: Sampler, lines: list[Fibres], seen: Points, values: Values
) -> tuple[Points, Values]:
    """Add points whose coordinates are those of extreme values of fibres through one point.

    Fibres through the point of the largest value join in if it stands out.
    """
    sizes = [np.abs(line.values) for line in lines]
    found = np.concatenate(
        [_together(lines, sizes, np.argmax), _together(lines, sizes, np.argmin)]
    )
    at = ask(found)
    best = int(np.argmax(np.abs(at)))
    if np.abs(at[best]) > _HIGHER * np.max(np.abs(values)):
        for line in lines:
            line.append(found[best : best + 1])
    return np.concatenate([seen, found]), np.concatenate([values, at])


def peaks(seen: Points, values: Values, count: int) -> Points:
    """Return the points of the largest values, and that of the smallest."""
    order = np.argsort(-np.abs(values), kind="stable")
    found: Points = seen[np.concatenate([order[:count], order[-1:]])]
    return found


def _together(lines: list[Fibres], sizes: list[Values], where: Any) -> Points:
    """Return points (p, d) whose coordinates are those where fibres are extreme."""
    pairs = zip(lines, sizes, strict=True)
    return np.stack([line.points[where(size, axis=0)] for line, size in pairs], axis=1)
