"""Linear layers whose weight is frozen, but for an adapter of few parameters."""

from __future__ import annotations

from torch import Tensor, nn

from tdecomp.compress import Adapted
from tdecomp.kronecker import KroneckerSum
from tdecomp.kronecker._apply import apply


class AdaptedLinear(nn.Module):
    r"""The layer ``y = x @ w.mT + bias`` with :math:`W` a frozen residual and an adapter.

    Its parameters are those of the adapter and nothing else; the residual and the bias are
    buffers, so that no optimiser sees them and every state dict holds them.

    Parameters
    ----------
    adapted : Adapted
        Of a weight of shape (m, n), from `tdecomp.compress.soka` or `tdecomp.compress.pissa`. Its
        residual is not copied.
    bias : torch.Tensor, shape (m,), optional
        The bias; none by default.

    Attributes
    ----------
    left, right : torch.nn.Parameter
        The factors of the adapter.
    residual, bias : torch.Tensor
        What is frozen.

    Raises
    ------
    ValueError
        If the adapter has more than two factors, or `bias` another length.

    Notes
    -----
    The product of the factors is not formed: a term of Kronecker factors costs
    :math:`n_1 n_2 m_2 + n_1 m_1 m_2` multiplications for an input, a term of rank one
    :math:`m + n`. Where the residual is in half precision, so are the outputs, and the adapter is
    multiplied in the precision of its factors.

    Examples
    --------
    >>> import torch
    >>> from tdecomp.compress import soka
    >>> from tdecomp.torch import AdaptedLinear
    >>> layer = torch.nn.Linear(48, 64)
    >>> adapted = AdaptedLinear(soka(layer.weight.detach(), rank=2), layer.bias)
    >>> x = torch.ones(5, 48)
    >>> torch.allclose(adapted(x), layer(x), atol=1e-5)
    True
    >>> sum(p.numel() for p in adapted.parameters())
    224
    """

    residual: Tensor
    bias: Tensor | None

    def __init__(self, adapted: Adapted, bias: Tensor | None = None) -> None:
        super().__init__()
        left, right, *others = adapted.adapter
        if any(others):
            raise ValueError(f"the adapter must have two factors, got {2 + len(others[0])}")
        if bias is not None and tuple(bias.shape) != adapted.shape[:1]:
            raise ValueError(f"bias must have shape {adapted.shape[:1]}, got {tuple(bias.shape)}")
        self._format = type(adapted.adapter)
        self.left = nn.Parameter(left.detach().clone())
        self.right = nn.Parameter(right.detach().clone())
        self.register_buffer("residual", adapted.residual.detach())
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    @property
    def adapted(self) -> Adapted:
        """The weight as it is now, its factors those that are trained."""
        return Adapted(self.residual, self._format(self.left, self.right))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (..., m) for inputs `x` of shape (..., n)."""
        frozen = nn.functional.linear(x, self.residual, self.bias)
        y = self._trained(x.to(self.left.dtype))
        return frozen + y.to(frozen.dtype)

    def _trained(self, x: Tensor) -> Tensor:
        """Multiply by the adapter, in the precision that the user trains in."""
        if self._format is not KroneckerSum:
            hidden = nn.functional.linear(x, self.right)
            return nn.functional.linear(hidden, self.left)
        rows = x.reshape(-1, x.shape[-1])
        y = apply((self.left, self.right), rows.mT).mT
        return y.reshape(*x.shape[:-1], y.shape[-1])

    def merge(self) -> nn.Linear:
        """Return a plain layer with the adapter merged into its weight.

        Returns
        -------
        torch.nn.Linear
            In the dtype of the residual, ready to be trained or stored like any other.
        """
        m, n = self.residual.shape
        layer = nn.Linear(n, m, bias=self.bias is not None, device="meta")
        weight = self.adapted.to_array().detach().to(self.residual.dtype)
        layer.weight = nn.Parameter(weight)
        if self.bias is not None:
            layer.bias = nn.Parameter(self.bias.clone())
        return layer.train(self.training)

    def extra_repr(self) -> str:
        """Describe the layer in the words of ``print``."""
        m, n = self.residual.shape
        adapter = self.adapted.adapter
        return f"in_features={n}, out_features={m}, bias={self.bias is not None}, " + (
            f"rank={adapter.rank}, shapes={adapter.shapes}"
            if isinstance(adapter, KroneckerSum)
            else f"rank={adapter.rank}"
        )
