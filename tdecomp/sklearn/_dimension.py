"""The likeliest number of principal components."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln

from tdecomp._typing import Array
from tdecomp.sklearn._components import Components
from tdecomp.sklearn._variances import shared_out


def likeliest(found: Components, samples: Array, features: Array) -> int:
    """Return the number of components with the largest evidence, less than there are features.

    Parameters
    ----------
    found : Components
        All of them.
    samples, features : array, shape (m,) and (n,)
        Weights of samples, and those of features; what has weight 0 is not counted.

    Raises
    ------
    ValueError
        If samples have different weights: how many they are as evidence is not told by them. If
        they are fewer than features.

    References
    ----------
    .. [1] T. P. Minka, "Automatic choice of dimensionality for PCA", NIPS 2000.
    """
    counted = samples[samples > 0]
    if not (counted == counted[0]).all():
        raise ValueError(
            'n_components="mle" needs samples of equal weight, as weights do not tell how many '
            "samples there are: pass a number, or choose one by `score`"
        )
    count, most = counted.shape[0], int(np.count_nonzero(features))
    if count < most:
        raise ValueError(
            f'n_components="mle" needs as many samples as features, got {count} and {most}'
        )
    spectrum = shared_out(found, samples, features).along[:most].astype(float)
    floor = float(np.finfo(found.values.dtype).eps * spectrum[0])
    varied = min(most - 1, int(np.count_nonzero(spectrum > floor)))
    told = [_evidence(spectrum, k, count, floor) for k in range(1, varied + 1)]
    return 1 + int(np.argmax(told)) if told else 1


def _evidence(spectrum: Array, k: int, count: int, floor: float) -> float:
    """Return the logarithm of the evidence of `k` components, by Laplace's method.

    Variances are told apart down to `floor`.
    """
    n = spectrum.shape[0]
    noise = max(float(spectrum[k:].mean()), floor)
    kept = spectrum[:k]
    sizes = (n - np.arange(k)) / 2
    axes = float((gammaln(sizes) - sizes * math.log(math.pi)).sum()) - k * math.log(2)
    likelihood = -count / 2 * (float(np.log(kept).sum()) + (n - k) * math.log(noise))
    free = n * k - k * (k + 1) / 2
    fitted = np.concatenate([kept, np.full(n - k, noise)])
    gaps = np.maximum(kept[:, None] - spectrum, floor)
    others = np.maximum(kept[:, None] - fitted, floor) / (kept[:, None] * fitted)
    pairs = np.triu(np.ones((k, n), dtype=bool), 1)
    hessian = float((np.log(gaps) + np.log(others))[pairs].sum()) + free * math.log(count)
    space = (free + k) / 2 * math.log(2 * math.pi) - k / 2 * math.log(count)
    return float(axes + likelihood + space - hessian / 2)
