"""The Chebyshev-Tucker format: a core multiplied by Chebyshev series along each mode."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._precision import full_precision
from tdecomp._shim import host
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import device, namespace, prepare, traced
from tdecomp.chebyshev._core import arrays, as_core, expanded, of_arrays, variables
from tdecomp.chebyshev._domain import as_domain
from tdecomp.chebyshev._transform import values
from tdecomp.ops._operands import promoted
from tdecomp.tt import TensorTrain


class ChebyshevTucker(NamedTuple):
    r"""A function of many variables, in two levels: few functions of one variable, and a core.

    .. math:: f(x_0, \ldots, x_{d-1}) = \sum_j G_{j_0 \ldots j_{d-1}}
              \prod_k v_{k j_k}(x_k) , \qquad v_{kj}(x) = \sum_i (V_k)_{ij} T_i(t_k(x)) ,

    with :math:`t_k` from :math:`[a_k, b_k]` to :math:`[-1, 1]`.

    Attributes
    ----------
    core : array or TensorTrain, shape (r_0, ..., r_{d-1})
        The core; a train where an array of so many variables would be too large.
    factors : tuple of array, shape (m_k, r_k)
        Coefficients of Chebyshev series, one series in each column.
    domain : array, shape (d, 2)
        The box, an interval in each row.

    References
    ----------
    .. [1] P. Benner, B. N. Khoromskij, V. Khoromskaia, B. Sun, "A mesh-free hybrid
       Chebyshev-Tucker tensor format with applications to multi-particle modelling", 2025,
       arXiv:2503.01696.
    .. [2] B. Hashemi, L. N. Trefethen, "Chebfun in three dimensions", SIAM J. Sci. Comput. 39,
       2017. doi:10.1137/16M1083803
    """

    core: Array | TensorTrain
    factors: tuple[Array, ...]
    domain: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """How many coefficients ``(m_0, ..., m_{d-1})`` there are for each variable."""
        return tuple(int(factor.shape[0]) for factor in self.factors)

    @property
    def rank(self) -> tuple[int, ...]:
        """The sizes ``(r_0, ..., r_{d-1})`` of the core."""
        return tuple(map(int, self.core.shape))

    @property
    def dtype(self) -> DType:
        """The dtype of values."""
        return self.core.dtype

    @full_precision
    def to_array(self) -> Array:
        """Return the values on the grid of `shape` Chebyshev points, ascending in each variable.

        From them the function can be found again: all that is in it is there.
        """
        xp = namespace(*arrays(self.core), *self.factors)
        return expanded(self.core, [values(factor, xp) for factor in self.factors], xp)


def as_function(
    value: Any, /, *, name: str = "f", trains: bool = False
) -> tuple[Namespace, Any, list[Array], Array]:
    """Validate a Chebyshev-Tucker function, and promote to one dtype; its box in the real one.

    Its core is an array, or with `trains` may be a tensor train too.
    """
    if not isinstance(value, ChebyshevTucker):
        raise TypeError(f"{name} must be a ChebyshevTucker, got {type(value).__name__}")
    if not isinstance(value.factors, list | tuple):
        raise TypeError(
            f"{name}.factors must be a tuple of arrays, got {type(value.factors).__name__}"
        )
    if isinstance(value.core, TensorTrain) and not trains:
        raise TypeError(
            f"{name}.core must be an array here, got a TensorTrain; where the ranks "
            f"{value.core.shape} allow it, pass {name}._replace(core={name}.core.to_array())"
        )
    xp = namespace(*arrays(value.core), *value.factors)
    _, core = as_core(value.core, len(value.factors), name=f"{name}.core")
    first = arrays(core)[0]
    factors = [
        prepare(factor, ndim=2, like=first, name=f"{name}.factors[{k}]")[1]
        for k, factor in enumerate(value.factors)
    ]
    for k, factor in enumerate(factors):
        if factor.shape[1] != core.shape[k]:
            raise ValueError(
                f"{name}.factors[{k}] must have {core.shape[k]} columns for a core of shape "
                f"{tuple(core.shape)}, got shape {tuple(factor.shape)}"
            )
    together = promoted([*factors, *arrays(core)], xp)
    factors, core = together[: len(factors)], of_arrays(core, together[len(factors) :])
    return xp, core, factors, boxed(value.domain, core, xp)


def boxed(domain: Any, core: Any, xp: Namespace) -> Array:
    """Return the box in the library, real dtype and device of a core; refuse what is none."""
    d, first = variables(core), arrays(core)[0]
    real = xp.real(first) if xp.isdtype(first.dtype, "complex floating") else first
    known = getattr(domain, "shape", None) == (d, 2) and hasattr(domain, "dtype")
    if not (known and namespace(domain) is xp):
        box = xp.asarray(as_domain(domain, d), dtype=real.dtype, device=device(first))
    elif xp.isdtype(domain.dtype, "complex floating"):
        raise TypeError(f"domain must be real, got {domain.dtype}")
    else:
        box = xp.astype(domain, real.dtype, copy=False)
    if not traced(box):
        # In single precision too its intervals must have a length.
        as_domain(host(box), d)
    return box
