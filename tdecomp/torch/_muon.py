"""PyTorch's optimizer Muon, with a choice of how the polar factor of the momentum is found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tdecomp._errors import check_choice, check_count
from tdecomp._xp import namespace
from tdecomp.linalg import orthogonalize, randomized_polar
from tdecomp.linalg._polar._coefficients import MUON
from tdecomp.linalg._polar._isometry import isometry
from tdecomp.linalg._polar._orthogonalize import _orthogonalize

_METHODS = ("newton-schulz", "polar-express", "cans", "exact", "randomized")
_RATES = (None, "original", "match_rms_adamw")


class PolarMuon(torch.optim.Optimizer):
    r"""Muon: steps along the polar factor of the momentum, by a method of your choice.

    With a gradient :math:`G_t` of each matrix :math:`W`,

    .. math:: B_t = \mu B_{t-1} + (1 - \mu) G_t , \qquad
              M_t = (1 - \mu) G_t + \mu B_t , \qquad
              W \leftarrow (1 - \gamma \lambda) W - \gamma' \operatorname{polar}(M_t) ,

    where `nesterov` is False with :math:`M_t = B_t`. Arguments, their defaults and the state are
    those of ``torch.optim.Muon``, whose steps these are with ``"newton-schulz"``: the same
    operations in the same order.

    Parameters
    ----------
    params : iterable of torch.Tensor, or of dicts
        Matrices. Of kernels of convolutions, (out, ...), all but the first axis count as one.
    lr, weight_decay, momentum, nesterov
        :math:`\gamma`, :math:`\lambda`, :math:`\mu`, and which momentum.
    ns_coefficients : sequence of float, or one for each step
        Coefficients for ``"newton-schulz"``; of several, the last is used for what steps remain.
    eps : float
        The least norm that a matrix is divided by.
    ns_steps : int
        The number of polynomials, for all methods but ``"exact"`` and ``"randomized"``.
    adjust_lr_fn : {None, "original", "match_rms_adamw"}
        How :math:`\gamma'` depends on the shape (a, b):
        :math:`\gamma \sqrt{\max(1, a/b)}`, or :math:`0.2\, \gamma \sqrt{\max(a, b)}`.
    method : {"newton-schulz", "polar-express", "cans", "exact", "randomized"}
        Muon's polynomial; the polynomials of `tdecomp.orthogonalize`; the partial isometry by the
        SVD; or `tdecomp.randomized_polar` of the given rank.
    rank : int, optional
        For ``"randomized"``; cut to the short side.
    dtype : torch.dtype
        What polynomials are computed in.

    Raises
    ------
    TypeError, ValueError
        If an option is out of range, or a parameter is a vector or complex: give those to another
        optimizer, such as AdamW.

    Notes
    -----
    State dicts are those of ``torch.optim.Muon``, both ways, but for a counter of steps that
    ``"randomized"`` adds: its draws depend on that and on the place of a parameter alone, so
    replicas that see the same gradients stay the same.

    A gradient that is not finite makes a parameter so with ``"newton-schulz"``, as in PyTorch; the
    other methods raise an error.

    References
    ----------
    .. [1] K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    .. [2] N. Amsel, D. Persson, C. Musco, R. M. Gower, "The Polar Express: optimal matrix sign
       methods and their application to the Muon algorithm", 2025, arXiv:2505.16932.

    Examples
    --------
    >>> import torch
    >>> from tdecomp.torch import PolarMuon
    >>> layer = torch.nn.Linear(3, 2, bias=False)
    >>> optimizer = PolarMuon(layer.parameters(), lr=0.1, weight_decay=0.0, method="exact")
    >>> before = layer.weight.detach().clone()
    >>> layer(torch.eye(3)).square().sum().backward()
    >>> optimizer.step()
    >>> torch.linalg.svdvals(before - layer.weight.detach())
    tensor([0.1000, 0.1000])
    """

    def __init__(  # noqa: PLR0917 - the arguments of torch.optim.Muon, in its order
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: Sequence[Any] = MUON,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        method: str = "newton-schulz",
        rank: int | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
            "method": method,
            "rank": rank,
            "dtype": dtype,
        }
        _check_options(defaults)
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, and options of their own."""
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        _check_options({**self.defaults, **param_group})
        for p in params:
            if p.ndim < 2 or p.is_complex():
                raise ValueError(
                    "PolarMuon is for real matrices and kernels, got a parameter of shape "
                    f"{tuple(p.shape)} and {p.dtype}: give it to another optimizer"
                )
        super().add_param_group({**param_group, "params": params})

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state, of ``torch.optim.Muon`` too: what it does not say stays as it is."""
        before = getattr(self, "param_groups", [])  # none yet where an optimizer is unpickled
        super().__setstate__(state)
        for group, own in zip_longest(self.param_groups, before, fillvalue=self.defaults):
            for name, value in {**self.defaults, **own}.items():
                group.setdefault(name, value)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make a step, and return what `closure` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for place, p in enumerate(group["params"]):
                if p.grad is not None:
                    self._move(p, group, place)
        return loss

    def _move(self, p: Tensor, group: dict[str, Any], place: int) -> None:
        """Move one parameter."""
        if p.grad is None or p.grad.is_sparse:
            raise RuntimeError("PolarMuon does not support sparse gradients")
        state, momentum = self.state[p], group["momentum"]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(p.grad)
        buffer = state["momentum_buffer"].lerp_(p.grad, 1 - momentum)
        wanted = p.grad.lerp(buffer, momentum) if group["nesterov"] else buffer
        matrix = wanted.reshape(p.shape[0], -1)
        if group["method"] == "randomized":
            state["step"] = state.get("step", 0) + 1
        found = _factor(matrix, group, (place, state.get("step", 0)))
        lr = float(group["lr"])
        p.mul_(1 - lr * group["weight_decay"])
        rate = _rate(lr, group["adjust_lr_fn"], matrix.shape)
        p.add_(found.reshape(p.shape).to(p.dtype), alpha=-rate)


def _check_options(group: dict[str, Any]) -> None:
    """Validate what a group of parameters asks for."""
    for name in ("lr", "weight_decay", "momentum"):
        if not float(group[name]) >= 0:
            raise ValueError(f"{name} must be a number >= 0, got {group[name]}")
    if group["adjust_lr_fn"] not in _RATES:
        raise ValueError(f"adjust_lr_fn must be one of {_RATES}, got {group['adjust_lr_fn']!r}")
    method, rank = group["method"], group["rank"]
    check_choice(method, _METHODS, name="method")
    check_count(group["ns_steps"], name="ns_steps", least=1)
    if (rank is None) is (method == "randomized"):
        raise ValueError(f"rank= is for method='randomized', which needs it, got {rank!r}")
    if rank is not None:
        check_count(rank, name="rank", least=1)
    _polynomials(group)


def _factor(matrix: Tensor, group: dict[str, Any], place: tuple[int, int]) -> Tensor:
    """Return the polar factor of a matrix, as nearly as the method has it."""
    method = group["method"]
    wide = matrix if matrix.dtype == torch.float64 else matrix.float()
    found: Tensor
    if method == "exact":
        found = isometry(wide, "exact", namespace(wide))
    elif method == "randomized":
        rank = min(group["rank"], *matrix.shape)
        found = randomized_polar(wide, rank=rank, rng=np.random.default_rng(place)).U
    elif method == "newton-schulz":
        low = matrix.to(group["dtype"])
        low = low / low.norm().clamp(min=group["eps"])
        found = _orthogonalize(low, _polynomials(group), xp=namespace(low))
    else:
        low = matrix.to(group["dtype"])
        found = orthogonalize(low, method=method, steps=group["ns_steps"])
    return found


def _polynomials(group: dict[str, Any]) -> tuple[tuple[float, ...], ...]:
    """Return the coefficients of every step."""
    given = group["ns_coefficients"]
    try:
        steps = [tuple(map(float, given))] if not isinstance(given[0], Sequence) else given
        steps = [tuple(map(float, step)) for step in steps]
    except (IndexError, TypeError, ValueError):
        steps = []
    if not steps or any(len(step) not in (2, 3) for step in steps):
        raise ValueError(
            f"ns_coefficients must hold three numbers, or several threes, got {given}"
        )
    count = group["ns_steps"]
    return tuple((steps + [steps[-1]] * count)[:count])


def _rate(lr: float, rule: str | None, shape: Sequence[int]) -> float:
    """Return the learning rate of a matrix of given shape."""
    m, n = shape
    if rule == "match_rms_adamw":
        return 0.2 * lr * math.sqrt(max(m, n))
    return lr * math.sqrt(max(1, m / n))
