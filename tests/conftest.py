"""What the tests share: backends behind one `xp`, what each is asked, hypothesis profiles."""

# ruff: noqa: E402 - the environment comes first: the libraries read it when they wake.

from __future__ import annotations

import gc
import os
import zlib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

# Two BLAS threads on a busy machine make a small SVD 85 times slower.
for _name in ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("JAX_ENABLE_X64", "1")
# Where the arrays of PyTorch and JAX live, "cuda" or "cuda:1": none of the others has a choice.
DEVICE = os.environ.get("TDECOMP_DEVICE", "cpu")
_platform, _, _number = DEVICE.partition(":")
os.environ.setdefault("JAX_PLATFORMS", ",".join(dict.fromkeys((_platform, "cpu"))))
if DEVICE == "cpu":
    # JAX compiles each operation for each shape and dtype, for 30 ms: without polish, for 15.
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    with suppress(PackageNotFoundError):
        # A flag that XLA does not know ends the process: only where this one has been seen.
        if version("jaxlib").startswith("0.10."):
            # In one piece: a small program, split and joined again, takes a twentieth more.
            _flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
            os.environ.setdefault("XLA_FLAGS", _flags)

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_compat
import hypothesis
import numpy as np
import pytest

from tdecomp.testing import limitation

hypothesis.settings.register_profile("dev", deadline=None, max_examples=15)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

BACKENDS = ("numpy", "numpy-readonly", "array-api-strict", "torch", "jax")
if DEVICE != "cpu":
    BACKENDS = ("torch", "jax")
DTYPES = ("float32", "float64", "complex64", "complex128")
# Both precisions, the real and the complex: what NumPy proves for four, JAX shows for one of two,
# half of the tests for one and half for the other.
JAX_DTYPES = ("float32", "complex128")


def pytest_configure(config: pytest.Config) -> None:
    """Declare how a test asks less of JAX, or more."""
    for line in (
        "when_compiled(**case): of the cases on JAX, run these alone",
        "every_pair: every case says something of its own, on JAX too",
        "writable: asks whether an input has changed, as no array of JAX ever does",
    ):
        config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the cases on JAX for which others stand."""
    tests = defaultdict(list)
    for item in items:
        if getattr(item, "callspec", None) and item.callspec.params.get("xp") == "jax":
            tests[item.nodeid.partition("[")[0]].append(item)
    spared = {item.nodeid for cases in tests.values() for item in _spared(cases)}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in spared])
    items[:] = [item for item in items if item.nodeid not in spared]


def pytest_collection_finish() -> None:
    """Keep what is collected, twenty thousand tests, out of every later search for garbage."""
    gc.collect()
    gc.freeze()


def _spared(cases: list[Any]) -> list[Any]:
    """Return the cases of one test that JAX is spared; a case that is chosen alone runs.

    What the other libraries prove for every combination of the parameters, JAX shows for each
    value of each.
    """
    if cases[0].get_closest_marker("writable"):
        return cases
    mark = cases[0].get_closest_marker("when_compiled")
    wish = {} if mark is None else {name: (value,) for name, value in mark.kwargs.items()}
    if {case.callspec.params.get("dtype") for case in cases} >= set(DTYPES):
        name = cases[0].nodeid.partition("[")[0]
        wish.setdefault("dtype", (JAX_DTYPES[zlib.crc32(name.encode()) % 2],))
    asked = [
        case
        for case in cases
        if all(case.callspec.params[name] in values for name, values in wish.items())
    ]
    if not cases[0].get_closest_marker("every_pair"):
        asked = _covering(asked or cases)
    return [case for case in cases if case not in asked] if asked else []


def _covering(cases: list[Any]) -> list[Any]:
    """Return few of the cases that show all values of all parameters together."""
    shown = {
        case: {(name, id(value)) for name, value in case.callspec.params.items()} for case in cases
    }
    missing, chosen = set().union(*shown.values()), []
    while missing:
        chosen.append(max(cases, key=lambda case: len(shown[case] & missing)))
        missing -= shown[chosen[-1]]
    return chosen


@dataclass(frozen=True)
class Backend:
    """A library of arrays: its namespace, whose functions it lends, and the ways in and out.

    Arrays of array-api-strict live on a device that is not the default one, so that whatever
    forgets `device=` fails.
    """

    name: str
    namespace: Any
    device: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.namespace, name)

    def asarray(self, values: Any, dtype: Any = None) -> Any:
        """Copy NumPy `values` to this library, in their dtype or another (a name will do)."""
        dtype = getattr(self.namespace, dtype) if isinstance(dtype, str) else dtype
        values = np.array(values, order="C") if self.name == "torch" else np.array(values)
        if self.name == "jax":
            # Already where it goes: else JAX compiles a conversion for each shape and dtype.
            import jax

            values = values if dtype is None else values.astype(dtype)
            return jax.device_put(values, self.device)
        x = self.namespace.asarray(values, dtype=dtype, device=self.device)
        if self.name == "numpy-readonly":
            x.setflags(write=False)
        return x

    def to_numpy(self, x: Any) -> np.ndarray:
        """Copy `x`, which must be an array of this library and on its device, to NumPy."""
        assert array_api_compat.array_namespace(x) is self.namespace
        assert self.device is None or x.device == self.device
        if self.name == "array-api-strict":
            x = x.to_device(self.namespace.Device("CPU_DEVICE"))
        return np.array(x.detach().cpu().numpy() if self.name == "torch" else x)

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compile `function` where the library has a compiler."""
        if self.name != "jax":
            return function
        import jax

        return jax.jit(function)

    def gradient(self, function: Callable[..., Any], a: Any) -> np.ndarray:
        """Differentiate a real function, by the library's own means, in one program where it can.

        Along `d` the derivative is ``Re sum(conj(gradient) * d)``.
        """
        if self.name == "jax":
            import jax

            return np.conj(np.asarray(jax.jit(jax.grad(function))(self.asarray(a))))
        if self.name != "torch":
            pytest.skip("no gradients")
        leaf = self.asarray(a).requires_grad_()
        function(leaf).backward()
        return leaf.grad.cpu().numpy()

    def requires(self, function: str, mode: str = "eager") -> None:
        """Skip the test where the capability table says that `function` cannot do `mode`."""
        reason = limitation(function, self.name.removesuffix("-readonly"), mode)
        if reason is not None:
            pytest.skip(reason)


def backend(name: str) -> Backend:
    """Return the backend `name`, or skip the test where it is not installed."""
    if name == "array-api-strict":
        strict = pytest.importorskip("array_api_strict")
        return Backend(name, strict, strict.Device("device1"))
    if name == "torch":
        torch = pytest.importorskip("torch")
        torch.set_num_threads(1)
        like = torch.empty(0, device=DEVICE)
        return Backend(name, array_api_compat.array_namespace(like), like.device)
    if name == "jax":
        jax = pytest.importorskip("jax")
        device = None if DEVICE == "cpu" else jax.devices(_platform)[int(_number or 0)]
        return Backend(name, jax.numpy, device)
    return Backend(name, array_api_compat.array_namespace(np.empty(0)))


@pytest.fixture(scope="module", params=BACKENDS)
def xp(request: pytest.FixtureRequest) -> Backend:
    """Every backend that is installed. Of module scope, so that hypothesis may reuse it."""
    return backend(request.param)


@pytest.fixture(scope="module", params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> str:
    """The name of every dtype that comes back as it went in."""
    return request.param
