"""Labels of rows and columns, kept as they are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._typing import Array


def labels(X: Any) -> Any:
    """Return lists or frames of several types, or of types of their own, with labels as they are.

    The common type of whole numbers and others is a float, which cannot hold long ones, and so is
    that into which whole numbers that may be missing are read; that of anything and text is text.
    """
    if isinstance(X, list | tuple):
        kept = np.array(X, dtype=object)
        return kept if len(set(map(type, kept.flat))) > 1 else X
    kinds = set(getattr(X, "dtypes", ()))
    if len(kinds) <= 1 and all(isinstance(k, np.dtype) and k.kind not in "mM" for k in kinds):
        return X
    if hasattr(X, "isna"):
        return X.astype(object).mask(X.isna(), np.nan)  # which the checks look for
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(X, polars.DataFrame):
        return X.select(polars.Series(x.name, x.to_list(), dtype=polars.Object) for x in X)
    return X


def check_present(X: Array) -> None:
    """Refuse labels that are None."""
    if X.dtype == object:
        nothing: Any = None
        absent = np.equal(X, nothing).astype(bool)
        if absent.any():
            i, j = map(int, np.argwhere(absent)[0])
            raise ValueError(f"Input X contains None in row {i}, column {j}: no label")


def check_kinds(pairs: Array, fitted: Sequence[Array]) -> None:
    """Refuse text where labels were none when they were fitted, and the other way round.

    They would all be labels that were not seen, and nobody would know.
    """
    for j, (axis, known) in enumerate(zip(("rows", "columns"), fitted, strict=True)):
        expected, found = _is_text(known[:1])[0], _is_text(pairs[:, j])
        if (found != expected).any():
            i = int(np.argmax(found != expected))
            raise TypeError(
                f"labels of {axis} were {'text' if expected else 'no text'} where they were "
                f"fitted, but X[{i}, {j}] is {'no text' if expected else 'text'}: {pairs[i, j]}"
            )


def _is_text(values: Array) -> Array:
    """Tell which values are text."""
    if values.dtype == object:
        return np.array([isinstance(value, str | bytes) for value in values], dtype=bool)
    return np.full(values.shape, values.dtype.kind in "US")
