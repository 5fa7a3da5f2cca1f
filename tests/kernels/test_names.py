"""Machine code that is cached by one process is linked with that of others, by name."""

import importlib
import pkgutil
from collections import Counter

import pytest

pytest.importorskip("numba")

from numba.core.dispatcher import Dispatcher

from tdecomp import _kernels


def test_no_two_compiled_functions_have_one_name():
    found = {}
    for module in pkgutil.iter_modules(_kernels.__path__, f"{_kernels.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Dispatcher):
                found[id(value)] = f"{value.py_func.__module__}.{value.py_func.__qualname__}"
    repeated = {name for name, times in Counter(found.values()).items() if times > 1}
    assert found
    assert not repeated
