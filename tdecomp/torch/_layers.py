"""Layers that are one product of their weight with a matrix of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


def selected(model: nn.Module, names: Sequence[str] | None) -> dict[str, nn.Module]:
    """Return the layers by the name of their weight."""
    layers = {
        f"{name}.weight" if name else "weight": module
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, (nn.Linear, nn.Embedding, *CONVOLUTIONS)) and _is_plain(module)
    }
    if names is not None:
        layers = {k: v for k, v in layers.items() if any(fnmatchcase(k, glob) for glob in names)}
    if not layers:
        raise ValueError(
            f"no layer to calibrate: names={names!r} selects no Linear, Embedding or plain Conv"
        )
    return layers


def _is_plain(module: nn.Module) -> bool:
    """Tell whether the layer is one product of its weight with a matrix of inputs."""
    if not isinstance(module, CONVOLUTIONS):
        return True
    numeric = not isinstance(module.padding, str)
    return module.groups == 1 and numeric and module.padding_mode == "zeros"


def patches(module: nn.Module, x: Tensor) -> Tensor:
    """Return the inputs (..., n) whose products with the weight matrix are the outputs."""
    if not isinstance(module, CONVOLUTIONS):
        return x
    flat = isinstance(module, nn.Conv1d)
    ones, zeros = ((1,), (0,)) if flat else ((), ())
    unfolded = nn.functional.unfold(
        x[..., None, :] if flat else x,
        kernel_size=(*ones, *module.kernel_size),
        dilation=(*ones, *module.dilation),
        padding=(*zeros, *module.padding),
        stride=(*ones, *module.stride),
    )
    return unfolded.transpose(-1, -2)


def channels_last(module: nn.Module, gradient: Tensor) -> Tensor:
    """Bring what a layer puts out, or its gradient, to (..., m), in the order of `patches`."""
    if not isinstance(module, CONVOLUTIONS):
        return gradient
    return gradient.flatten(-len(module.kernel_size)).transpose(-1, -2)
