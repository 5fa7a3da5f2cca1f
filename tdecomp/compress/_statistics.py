"""All that was learned about one weight tensor, and the norm that each method makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tdecomp._errors import check_choice
from tdecomp._typing import Array
from tdecomp.compress._calibration import Calibration
from tdecomp.compress._fisher import Fisher
from tdecomp.compress._tokens import TokenCounts
from tdecomp.compress._weights import Weights

METHODS = ("svd", "fwsvd", "gfwsvd", "asvd", "svd_llm", "afm")
"""The methods by name: those of which `Statistics.weights` knows the norm."""

_NEEDS = {
    "fwsvd": "fisher",
    "gfwsvd": "fisher",
    "asvd": "inputs",
    "svd_llm": "inputs",
    "afm": "inputs",
}
_KINDS: dict[str, Any] = {"inputs": Calibration, "tokens": TokenCounts, "fisher": Fisher}


class Statistics(NamedTuple):
    """What calibration data says about one weight tensor.

    Attributes
    ----------
    inputs : Calibration, optional
        What a layer saw.
    tokens : TokenCounts, optional
        How often each row of an embedding was looked up; an embedding has no other inputs.
    fisher : Fisher, optional
        How much the loss feels of the tensor.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.compress import Calibration, Statistics
    >>> statistics = Statistics(inputs=Calibration.of(np.eye(2)))
    >>> statistics.weights("asvd", alpha=1.0).right
    array([0.5, 0.5])
    """

    inputs: Calibration | None = None
    tokens: TokenCounts | None = None
    fisher: Fisher | None = None

    def serves(self, method: str, /) -> bool:
        """Tell whether these statistics hold what `method` needs, as `weights` would find out."""
        check_choice(method, METHODS, name="method")
        if method == "svd":
            return True
        needed = _NEEDS[method]
        by_tokens = needed == "inputs" and self.tokens is not None
        return by_tokens or getattr(self, needed) is not None

    def weights(self, method: str, /, *, alpha: float = 0.5) -> Weights:
        """Return the norm in which `method` is optimal for this tensor.

        Parameters
        ----------
        method : {'svd', 'fwsvd', 'gfwsvd', 'asvd', 'svd_llm', 'afm'}
            A method. For an embedding, the frequencies of its tokens are the second moments of
            its inputs.
        alpha : float
            The exponent of ``'asvd'``.

        Returns
        -------
        Weights
            To be asked for the spectrum and the factors.

        Raises
        ------
        ValueError
            If there is no such method, or it needs a statistic that is not there.
        """
        if not self.serves(method):
            found = [kind for kind in _KINDS if getattr(self, kind) is not None]
            raise ValueError(
                f"method {method!r} needs the statistic {_NEEDS[method]!r}, found "
                f"{found or 'none'}: calibrate with it, or leave this tensor out"
            )
        if method == "svd":
            return Weights(unit="entries")
        needed = _NEEDS[method]
        if needed == "inputs" and self.tokens is not None:
            return Weights(left=self.tokens.left())
        return (
            self._fisher_weights(method)
            if needed == "fisher"
            else self._input_weights(method, alpha)
        )

    def _input_weights(self, method: str, alpha: float) -> Weights:
        """Return the norm of a method that looks at inputs."""
        assert self.inputs is not None
        if method == "asvd":
            return Weights(right=self.inputs.diagonal(alpha))
        return Weights(right=self.inputs.right(centred=method == "afm"))

    def _fisher_weights(self, method: str) -> Weights:
        """Return the norm of a method that looks at the loss.

        Text covers a vocabulary too thinly to say how the loss feels each row of an embedding, so
        `gfwsvd` takes the smoothed frequencies for its rows.
        """
        assert self.fisher is not None
        if method == "gfwsvd":
            left = self.fisher.left() if self.tokens is None else self.tokens.left()
            return Weights(left, self.fisher.right(), unit="loss")
        if self.fisher.rows.ndim == 1:
            return Weights(left=self.fisher.row_scale(), unit="loss")
        return Weights(right=self.fisher.column_scale(), unit="loss")

    def merge(self, other: Statistics, /) -> Statistics:
        """Return the statistics of the data of both.

        Parameters
        ----------
        other : Statistics
            Of other data for the same tensor.

        Returns
        -------
        Statistics
            What either has is kept, what both have is merged.

        Raises
        ------
        ValueError
            If they do not belong to one tensor.
        """
        return Statistics(
            _merged(self.inputs, other.inputs),
            _merged(self.tokens, other.tokens),
            _merged(self.fisher, other.fisher),
        )


def _merged(a: Any, b: Any) -> Any:
    """Merge two statistics of one kind, either of which may be missing."""
    if a is None or b is None:
        return b if a is None else a
    return a.merge(b)


def pack(statistics: Mapping[str, Statistics], /) -> dict[str, Array]:
    """Return the statistics of a whole model as one flat dict of arrays, which `unpack` reads.

    Parameters
    ----------
    statistics : mapping of str to Statistics
        By the name of the tensor.

    Returns
    -------
    dict of str to array
        Keys ``"<tensor>/<kind>/<field>"``: a valid safetensors or npz file.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.compress import Calibration, Statistics, pack, unpack
    >>> statistics = {"layer.weight": Statistics(inputs=Calibration.of(np.eye(2)))}
    >>> arrays = pack(statistics)
    >>> sorted(arrays)[:2]
    ['layer.weight/inputs/factor', 'layer.weight/inputs/mean']
    >>> unpack(arrays)["layer.weight"].inputs.n_inputs
    2
    """
    return {
        f"{name}/{kind}/{field}": array
        for name, entry in statistics.items()
        for kind in _KINDS
        if getattr(entry, kind) is not None
        for field, array in getattr(entry, kind).to_arrays().items()
    }


def unpack(arrays: Mapping[str, Array], /) -> dict[str, Statistics]:
    """Rebuild the statistics of a whole model from what `pack` returned.

    Parameters
    ----------
    arrays : mapping of str to array
        As `pack` makes it; other keys are refused.

    Returns
    -------
    dict of str to Statistics
        By the name of the tensor.

    Raises
    ------
    ValueError
        If a key is none that `pack` writes, or arrays are missing or do not fit together.
    """
    found: dict[str, dict[str, dict[str, Array]]] = {}
    for key, array in arrays.items():
        name, kind, field = ("", "", *key.rsplit("/", 2))[-3:]
        if kind not in _KINDS or field not in _KINDS[kind]._fields:
            raise ValueError(f"{key!r} is no statistic: expected <tensor>/<kind>/<field>")
        found.setdefault(name, {}).setdefault(kind, {})[field] = array
    result = {}
    for name, kinds in found.items():
        try:
            parts = {kind: _KINDS[kind].from_arrays(fields) for kind, fields in kinds.items()}
        except ValueError as error:
            raise ValueError(f"the statistics of {name!r} are damaged: {error}") from None
        result[name] = Statistics(**parts)
    return result
