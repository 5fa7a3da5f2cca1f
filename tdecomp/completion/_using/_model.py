"""A completed matrix in whatever format it is held, as two factors and offsets."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._typing import Array, Namespace
from tdecomp._xp import as_array, as_floating, device, equilibrate, finite, namespace
from tdecomp.completion._biases import Biases
from tdecomp.completion._entries import Entries
from tdecomp.completion._format import Completion
from tdecomp.completion._using._inductive import Inductive
from tdecomp.linalg._formats import SVD, LowRank


class Model(NamedTuple):
    """Factors of shape (m, k) and (n, k), and offsets."""

    left: Array
    right: Array
    biases: Biases

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrix."""
        return self.left.shape[0], self.right.shape[0]

    @property
    def mT(self) -> Model:
        """The transpose, at no cost."""
        mean, rows, columns = self.biases
        return Model(self.right, self.left, Biases(mean, columns, rows))


def as_scores(model: Any) -> tuple[Namespace, Model]:
    """Return the factors of a model of which entries are asked, which may be an `Inductive`."""
    return as_model(_product(model) if isinstance(model, Inductive) else model)


def _product(model: Inductive) -> LowRank:
    """Return two factors of what features and a residual say, or refuse parts that do not fit."""
    parts = {name: part for name, part in model._asdict().items() if part is not None}
    xp = namespace(*parts.values())
    arrays = {
        name: as_floating(as_array(part, xp, None, f"model.{name}"), xp, name=f"model.{name}")
        for name, part in parts.items()
    }
    z = Inductive(**arrays)
    forms = [tuple(part.shape) for part in arrays.values()]
    if any(len(form) != 2 for form in forms) or forms != _fitting(z):
        raise ValueError(
            f"model has parts that do not fit together, of shapes {', '.join(map(str, forms))}"
        )
    return z.lowrank


def _fitting(z: Inductive) -> list[tuple[int, int]]:
    """Return the shapes that parts have whose dimensions agree."""
    (m, n), (d, k), e = z.shape, z.left.shape, z.right.shape[1]
    forms, r = [(m, d), (d, k), (k, e), (n, e)], z.rank - k
    return forms if z.residual_left is None else [*forms, (m, r), (r, n)]


def as_model(model: Any, *, name: str = "model") -> tuple[Namespace, Model]:
    """Return the factors of a `Completion`, a `LowRank` or an `SVD`, or refuse what is neither."""
    if not isinstance(model, Completion | SVD | LowRank):
        ways = {"Fit": "; of a fit pass its tensor", "Inductive": "; pass its lowrank"}
        way = ways.get(type(model).__name__, "")
        raise TypeError(
            f"{name} must be a Completion, LowRank or SVD, got {type(model).__name__}{way}"
        )
    xp = namespace(*model)
    fields = [as_floating(as_array(part, xp, None, name), xp, name=name) for part in model]
    if isinstance(model, SVD):
        fields = [fields[0] * fields[1][..., None, :], fields[2]]
    left, right = fields[:2]
    if left.ndim != 2 or right.ndim != 2:
        shapes = f"{tuple(left.shape)} and {tuple(right.shape)}"
        raise ValueError(f"{name} must be one matrix, got a batch with factors of shapes {shapes}")
    m, n = left.shape[0], right.shape[1]
    if not isinstance(model, Completion):
        zero = [xp.zeros(size, dtype=left.dtype, device=device(left)) for size in (m, n)]
        fields = [left, right, xp.sum(zero[0]), *zero]
    forms = [tuple(part.shape) for part in fields]
    if forms != [(m, right.shape[0]), (right.shape[0], n), (), (m,), (n,)]:
        parts = ", ".join(map(str, forms[: len(model)]))
        raise ValueError(f"{name} has parts that do not fit together, of shapes {parts}")
    return xp, Model(left, xp.matrix_transpose(right), Biases(*fields[2:]))


def in_unit(factor: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return a factor at unit scale, and what it has been divided by: 1 at rank 0."""
    if 0 in factor.shape:
        return factor, xp.abs(xp.ones((), dtype=factor.dtype, device=device(factor)))
    scaled, scale = equilibrate(factor, xp, axis=(0, 1), always=True)
    return scaled, scale[0, 0]


def alike(model: Model, entries: Entries) -> tuple[Namespace, Model, Entries]:
    """Return both in the dtype that holds both; a model of what is no number is refused."""
    xp = namespace(model.left, entries.values)
    dtype = xp.result_type(model.left.dtype, entries.values.dtype)
    left, right, *offsets = (
        finite(xp.astype(part, dtype, copy=False), xp, name="model")
        for part in (model.left, model.right, *model.biases)
    )
    same = Model(left, right, type(model.biases)(*offsets))
    return xp, same, entries._replace(values=xp.astype(entries.values, dtype, copy=False))
