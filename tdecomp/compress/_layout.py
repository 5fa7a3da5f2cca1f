"""How a weight tensor is read as a matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tdecomp._errors import check_choice
from tdecomp._typing import Array
from tdecomp._xp import namespace
from tdecomp.linalg import breakeven_rank

KINDS = ("matrix", "embedding", "conv", "conv-spatial")
_MATRIX, _KERNEL = 2, 4


class Layout(NamedTuple):
    """A weight tensor as a matrix, and back without loss.

    Attributes
    ----------
    kind : {'matrix', 'embedding', 'conv', 'conv-spatial'}
        ``'matrix'`` is ``(out, in)`` as it is. ``'embedding'`` is ``(V, D)`` as it is, but rows
        are looked up instead of multiplied. ``'conv'`` reads a kernel ``(out, in, k...)`` as
        ``(out, in * k...)``: a convolution with few channels, then a mixing of them.
        ``'conv-spatial'`` reads ``(out, in, h, w)`` as ``(out * h, in * w)``: a horizontal, then
        a vertical convolution.
    shape : tuple of int
        The shape of the tensor.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.compress import Layout
    >>> layout = Layout("conv-spatial", (8, 4, 3, 3))
    >>> layout.matrix_shape
    (24, 12)
    >>> w = np.arange(288.0).reshape(8, 4, 3, 3)
    >>> np.array_equal(layout.tensor(layout.matrix(w)), w)
    True
    """

    kind: str
    shape: tuple[int, ...]

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
        if self.kind == "conv-spatial":
            out, channels, height, width = self.shape
            return out * height, channels * width
        return self.shape[0], math.prod(self.shape[1:])

    def matrix(self, w: Array, /) -> Array:
        """Return the tensor `w` as a matrix.

        Parameters
        ----------
        w : array
            Of the shape of the layout.

        Returns
        -------
        array, shape `matrix_shape`
            The same numbers.

        Raises
        ------
        ValueError
            If `w` has another shape.
        """
        if tuple(w.shape) != self.shape:
            raise ValueError(f"w must have shape {self.shape}, got {tuple(w.shape)}")
        xp = namespace(w)
        if self.kind == "conv-spatial":
            w = xp.permute_dims(w, (0, 2, 1, 3))
        return xp.reshape(w, self.matrix_shape)

    def tensor(self, matrix: Array, /) -> Array:
        """Return the tensor that `matrix` stands for: the inverse of `Layout.matrix`.

        Parameters
        ----------
        matrix : array, shape `matrix_shape`
            A matrix.

        Returns
        -------
        array
            Of the shape of the layout.

        Raises
        ------
        ValueError
            If `matrix` has another shape than `matrix_shape`.
        """
        if tuple(matrix.shape) != self.matrix_shape:
            raise ValueError(
                f"matrix must have shape {self.matrix_shape}, got {tuple(matrix.shape)}"
            )
        xp = namespace(matrix)
        if self.kind == "conv-spatial":
            out, channels, height, width = self.shape
            split = xp.reshape(matrix, (out, height, channels, width))
            return xp.permute_dims(split, (0, 2, 1, 3))
        return xp.reshape(matrix, self.shape)

    def to_dict(self) -> dict[str, Any]:
        """Return the layout in words that JSON can hold; `from_dict` reads them.

        Returns
        -------
        dict
            The kind and the shape.
        """
        return {"kind": self.kind, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, words: Mapping[str, Any], /) -> Layout:
        """Rebuild a layout from what `to_dict` returned.

        Parameters
        ----------
        words : mapping
            A kind and a shape.

        Returns
        -------
        Layout
            As it was.

        Raises
        ------
        ValueError
            If these are not the words of a layout.
        """
        try:
            kind, shape = words["kind"], tuple(int(length) for length in words["shape"])
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"a layout has a kind and a shape, got {words!r}") from error
        check_choice(kind, KINDS, name="kind")
        axes = {"conv": len(shape), "conv-spatial": _KERNEL}.get(kind, _MATRIX)
        if min(shape, default=0) < 1 or len(shape) != max(axes, _MATRIX):
            raise ValueError(f"a layout of kind {kind!r} cannot have the shape {shape}")
        return cls(kind, shape)


def layout_of(name: str, shape: Sequence[int], /) -> tuple[Layout | None, str]:
    """Choose how the tensor `name` is read as a matrix, or say why it cannot be.

    Two axes are a matrix, or an embedding if the name has ``embed`` or ``wte`` or ``wpe`` in it
    (any case); three and more are a convolution. Left alone are tensors of fewer axes, depthwise
    convolutions (one input channel for each output channel), and what no rank makes smaller.

    Parameters
    ----------
    name : str
        The name of the tensor in its checkpoint.
    shape : sequence of int
        Its shape.

    Returns
    -------
    layout : Layout or None
        How to read it.
    why : str
        Why it is left alone; empty if it is not.

    Notes
    -----
    ``'conv-spatial'`` is never chosen here: which of the two layouts of a kernel is better
    depends on its values. Grouped convolutions are read as ``'conv'`` too, with fewer channels.

    Examples
    --------
    >>> from tdecomp.compress import layout_of
    >>> layout_of("encoder.dense.weight", (384, 1536))
    (Layout(kind='matrix', shape=(384, 1536)), '')
    >>> layout_of("word_embeddings.weight", (30522, 384))[0].kind
    'embedding'
    >>> layout_of("encoder.dense.bias", (384,))
    (None, 'a tensor of 1 axis is no matrix')
    """
    shape = tuple(int(length) for length in shape)
    if len(shape) < _MATRIX:
        return (
            None,
            f"a tensor of {len(shape)} {'axis' if len(shape) == 1 else 'axes'} is no matrix",
        )
    if 0 in shape:
        return None, "it is empty"
    if len(shape) > _MATRIX and shape[1] == 1:
        return None, "a depthwise convolution has a matrix of its own for each channel"
    looked_up = any(word in name.lower() for word in ("embed", "wte", "wpe"))
    kind = "conv" if len(shape) > _MATRIX else "embedding" if looked_up else "matrix"
    layout = Layout(kind, shape)
    if breakeven_rank(*layout.matrix_shape) < 1:
        return None, "two factors would not be smaller, whatever their rank"
    return layout, ""
