"""The isometric factor of the momentum, as a transformation of gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from tdecomp._errors import check_choice, check_count, check_number, check_rank
from tdecomp._precision import full_precision
from tdecomp._typing import Array
from tdecomp._xp import equilibrate, namespace
from tdecomp.linalg._polar._isometry import isometry
from tdecomp.linalg._polar._orthogonalize import METHODS as POLYNOMIALS
from tdecomp.linalg._polar._randomized import _randomized_polar

METHODS = (*POLYNOMIALS, "exact", "randomized")

# Columns of a sketch beyond its rank, and products with the gradient and its adjoint.
_OVERSAMPLE, _POWER = 10, 1

Direction = Callable[[Array, Array], Array]


class ScaleByPolarState(NamedTuple):
    """What the transformation remembers.

    Attributes
    ----------
    count : array, shape ()
        How many gradients were taken in.
    momentum : pytree of arrays
        Their exponential mean.
    """

    count: Array
    momentum: Any


def scale_by_polar(
    *,
    method: str = "polar-express",
    steps: int = 5,
    rank: int | None = None,
    beta: float = 0.95,
    nesterov: bool = True,
    key: Array | None = None,
) -> optax.GradientTransformation:
    r"""Replace gradients of matrices by the isometric factors of their momentum.

    The core of Muon [1]_, with a choice of how near to the isometric factor an update comes: with
    the exponential mean :math:`M = \beta M + (1 - \beta) G`, and both bias-corrected as optax
    does, it is an approximation of

    .. math:: \operatorname{polar}(\beta M + (1 - \beta) G)
       \quad\text{or}\quad \operatorname{polar}(M) \text{ without } \mathtt{nesterov} .

    Parameters
    ----------
    method : {"polar-express", "muon", "quintic", "cubic", "cans", "exact", "randomized"}, optional
        A method of `tdecomp.orthogonalize`, in products alone; ``"exact"``, by the SVD; or
        ``"randomized"``, exactly on the leading part alone, see `tdecomp.randomized_polar`.
    steps : int, optional
        How many steps a polynomial takes.
    rank : int, optional
        How many directions ``"randomized"`` finds, with ten more to look for; of smaller matrices
        all.
    beta : float, optional
        How much of the momentum stays, at least 0 and below 1.
    nesterov : bool, optional
        Look ahead by one gradient.
    key : jax.Array, optional
        The key of the random sketches, a new one for each step and matrix; by default
        ``jax.random.key(0)``. The same on every device, so replicas stay equal.

    Returns
    -------
    optax.GradientTransformation
        Its state is a `ScaleByPolarState`.

    Raises
    ------
    TypeError, ValueError
        If an option is out of range, or `rank` comes without ``"randomized"``; and from ``init``,
        if a parameter is a vector or a scalar.

    See Also
    --------
    tdecomp.torch.PolarMuon : the whole optimiser, for PyTorch.

    Notes
    -----
    Leading axes of a parameter are a batch of matrices, as those of layers under ``scan``. Reshape
    convolutions to matrices, and give vectors to another optimiser with ``optax.partition``. With
    ``method="muon"`` the updates are those of ``optax.contrib.scale_by_muon``.

    Signs alone: multiply by minus the rate with ``optax.scale_by_learning_rate``. Updates have the
    dtype of the gradients, and momentum that of the parameters; factors are computed in at least
    single precision.

    References
    ----------
    .. [1] K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
       https://kellerjordan.github.io/posts/muon

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import optax
    >>> from tdecomp.jax import scale_by_polar
    >>> optimiser = optax.chain(scale_by_polar(method="exact"), optax.scale_by_learning_rate(0.1))
    >>> weights = {"w": jnp.zeros((2, 2))}
    >>> state = optimiser.init(weights)
    >>> updates, state = optimiser.update({"w": jnp.diag(jnp.array([3.0, -0.5]))}, state)
    >>> updates["w"].round(6).tolist()
    [[-0.1, 0.0], [0.0, 0.1]]
    """
    direction = _direction(method, steps, rank)
    beta = check_number(beta, name="beta")
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be a number from 0 to below 1, got {beta}")

    def init(params: Any) -> ScaleByPolarState:
        jax.tree_util.tree_map_with_path(_check_matrix, params)
        return ScaleByPolarState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    @full_precision
    def update(
        updates: Any, state: ScaleByPolarState, params: Any = None
    ) -> tuple[Any, ScaleByPolarState]:
        del params
        count = state.count + 1
        momentum = jax.tree.map(partial(_mean, beta=beta), state.momentum, updates)
        look = partial(_ahead, beta=beta, count=count) if nesterov else _first
        leaves, tree = jax.tree.flatten(jax.tree.map(look, momentum, updates))
        root = jax.random.fold_in(jax.random.key(0) if key is None else key, count)
        keys = [jax.random.fold_in(root, i) for i in range(len(leaves))]
        found = tree.unflatten([direction(x, k) for x, k in zip(leaves, keys, strict=True)])
        found = jax.tree.map(lambda x, g: x.astype(g.dtype), found, updates)
        return found, ScaleByPolarState(count, momentum)

    return optax.GradientTransformation(init, update)


def _mean(momentum: Array, g: Array, *, beta: float) -> Array:
    return (beta * momentum + (1 - beta) * g).astype(momentum.dtype)


def _ahead(momentum: Array, g: Array, *, beta: float, count: Array) -> Array:
    """Return the mean as it would be if the gradient came again, up to its scale."""
    now, then = ((1 - beta ** (count + i)).astype(momentum.real.dtype) for i in (0, 1))
    return beta * momentum / then + (1 - beta) * g / now


def _first(momentum: Array, _: Array) -> Array:
    return momentum


def _check_matrix(path: Any, x: Array) -> None:
    if jnp.ndim(x) < 2:
        raise ValueError(
            f"parameter {jax.tree_util.keystr(path)} has shape {jnp.shape(x)}, and polar factors "
            "are those of matrices: give it to another optimiser with optax.partition"
        )


def _direction(method: str, steps: int, rank: int | None) -> Direction:
    """Return the map of a stack of matrices, and a key, to their isometric factors."""
    check_choice(method, METHODS, name="method")
    check_count(steps, name="steps", least=1)
    if method == "randomized":
        if rank is None:
            raise ValueError("method='randomized' needs rank=: how many directions to find")
        found = check_rank(rank, way="how many directions to find")
        return partial(_leading, rank=found)
    if rank is not None:
        raise ValueError(f"rank= is for method='randomized' alone, got method={method!r}")
    return partial(_whole, method=method, steps=steps)


def _scaled(x: Array) -> Array:
    """Return a multiple of each matrix whose squares neither overflow nor vanish."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return equilibrate(x, namespace(x), axis=(-2, -1))[0]


def _whole(x: Array, _: Array, *, method: str, steps: int) -> Array:
    """Take the isometric factor of each matrix of a stack."""
    return isometry(_scaled(x), method, namespace(x), steps=steps)


def _leading(x: Array, key: Array, *, rank: int) -> Array:
    """Take the leading part of each matrix of a stack."""
    *batch, m, n = x.shape
    x = _scaled(x).reshape(-1, m, n)
    width = min(rank + _OVERSAMPLE, m, n)
    test = jax.random.normal(key, (x.shape[0], n, width), x.dtype)

    def one(g: Array, test: Array) -> Array:
        xp = namespace(g)
        return _randomized_polar(g, g @ test, power=_POWER, inner="exact", xp=xp).U

    return jax.vmap(one)(x, test).reshape(*batch, m, n)
