"""Matrix products with all the digits of their dtype, where a library would drop some."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial, wraps
from threading import Lock
from typing import Any, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def full_precision(function: Callable[P, T]) -> Callable[P, T]:
    """Make `function` multiply matrices in the precision of their dtype, on every device.

    Unless told otherwise, JAX multiplies float32 with 10 bits of mantissa on recent GPUs and with
    7 on TPUs; PyTorch does where its user allowed it. No guarantee and no reported error would
    survive that. JAX has a setting for each thread, which what is traced keeps, gradients
    included; that of PyTorch is the program's, and is put back.
    """

    @wraps(function)
    def exactly(*args: P.args, **kwargs: P.kwargs) -> T:
        with _jax_precision(), _TORCH:
            return function(*args, **kwargs)

    return exactly


def _jax_precision() -> Any:
    setting = getattr(sys.modules.get("jax"), "default_matmul_precision", None)
    return nullcontext() if setting is None else setting("highest")


class _TorchPrecision:
    """Full precision in PyTorch while any thread is inside, then what was set before."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._lowered: list[_Setting] = []

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._lowered = _torch_settings()
                for setting in self._lowered:
                    setting.change(setting.full)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for setting in self._lowered:
                    setting.change(setting.value)


class _Setting(NamedTuple):
    """A setting of PyTorch that drops digits: how to change it, its full and present value."""

    change: Callable[[str], None]
    full: str
    value: str


def _torch_settings() -> list[_Setting]:
    """Return the settings of PyTorch, if it is loaded, that are below full precision."""
    torch: Any = sys.modules.get("torch")
    if not hasattr(torch, "backends"):
        return []
    kinds = [
        getattr(kind, "matmul", None) for kind in (torch.backends.cuda, torch.backends.mkldnn)
    ]
    values = [getattr(kind, _NAME, None) for kind in kinds]
    if values[0] is None:  # before 2.9 there is one for all kinds of devices
        value = torch.get_float32_matmul_precision()
        found = [_Setting(torch.set_float32_matmul_precision, "highest", value)]
    else:
        pairs = zip(kinds, values, strict=True)
        found = [_Setting(partial(setattr, kind, _NAME), "ieee", v) for kind, v in pairs if v]
    return [s for s in found if s.value not in ("none", s.full)]


_NAME = "fp32_precision"
_TORCH = _TorchPrecision()
