"""Parts of the known entries, of which each is left out once."""

from __future__ import annotations

import numpy as np

from tdecomp._shim import host
from tdecomp.completion._entries import Entries


def divided(entries: Entries, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the part of each entry, -1 where it must not be left out.

    The entries of each row, in random order, go to the parts in turn: of a row with two entries
    or more no part has all. A column that one part has all of keeps its first.
    """
    rows, columns = host(entries.rows), host(entries.columns)
    total = rows.shape[0]
    order = rng.permutation(total)
    order = order[np.argsort(rows[order], kind="stable")]
    counts = np.bincount(rows, minlength=entries.shape[0])
    offset = rng.integers(0, folds, size=counts.size)
    ranked = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    parts = np.empty(total, np.int64)
    parts[order] = (ranked + np.repeat(offset, counts)) % folds
    parts[counts[rows] == 1] = -1
    least, most = (np.full(entries.shape[1], start) for start in (folds, -1))
    np.minimum.at(least, columns, parts)
    np.maximum.at(most, columns, parts)
    whole = order[(least == most)[columns[order]]]
    _, first = np.unique(columns[whole], return_index=True)
    parts[whole[first]] = -1
    if not np.all(np.bincount(parts[parts >= 0], minlength=folds)[:folds]):
        raise ValueError(
            f"{total} entries are too few for {folds} folds: each must leave out one that is not "
            "the only one of its row or column"
        )
    return parts
