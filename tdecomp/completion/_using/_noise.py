"""The noise of an observation, from what a model misses."""

from __future__ import annotations

import numpy as np

from tdecomp._typing import Namespace
from tdecomp.completion._masked import entries as model_entries
from tdecomp.completion._masked import weighted_squares
from tdecomp.completion._using._curvature import Part, curvature_of, features_of, height_of_block


def noise_of(rows: Part, columns: Part, xp: Namespace) -> float:
    """Estimate the variance of an observation of weight 1 from what the model misses."""
    side, model = rows.side, rows.model
    missed = side.values - model_entries(side, model.left, model.right, xp)
    alike = model.left.shape[1] + (rows.ridge.biases is not None)
    spent = _spent(rows, xp) + _spent(columns, xp) - alike**2
    total = int(side.values.shape[0])
    if spent >= total:
        raise ValueError(
            f"{total} entries leave no degrees of freedom to estimate the noise from: the model "
            f"has spent {spent:.1f}; pass noise="
        )
    return weighted_squares(missed, side, xp) / (total - max(float(spent), 0.0))


def _spent(part: Part, xp: Namespace) -> float:
    """Sum up the degrees of freedom of all rows."""
    features = features_of(part, xp)
    if not features.shape[1]:
        return 0.0
    height, m = height_of_block(features), part.side.starts.shape[0] - 1
    total = 0.0
    for start in range(0, m, height):
        block = np.arange(start, min(start + height, m))
        total += float(xp.sum(curvature_of(part, block, features, xp).spent))
    return total
