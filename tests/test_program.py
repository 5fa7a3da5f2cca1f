"""Several operations are one program for JAX, and for the others what they were."""

from typing import Any, NamedTuple

import numpy as np

from tdecomp._program import one_program


class Pair(NamedTuple):
    left: Any
    right: Any


def scaled(pair, power, xp, *, axis):
    calls.append(xp)
    return Pair(xp.sum(pair.left, axis=axis) ** power, [pair.right * 2])


calls: list[Any] = []
program = one_program(scaled)


def test_it_computes_what_the_function_does(xp):
    left, right = np.arange(6.0).reshape(2, 3), np.ones(4)
    for power in (1, 2):
        for axis in (0, 1):
            found = program(
                Pair(xp.asarray(left), xp.asarray(right)), power, xp.namespace, axis=axis
            )
            np.testing.assert_array_equal(xp.to_numpy(found.left), left.sum(axis=axis) ** power)
            np.testing.assert_array_equal(xp.to_numpy(found.right[0]), 2 * right)


def test_it_is_traced_once_for_each_shape_and_constant(xp):
    calls.clear()
    traced_once = one_program(scaled)
    for shape, power, axis in [((2, 3), 1, 0)] * 3 + [((4, 3), 1, 0), ((2, 3), 2, 0)] * 2:
        traced_once(
            Pair(xp.asarray(np.ones(shape)), xp.asarray(np.ones(4))), power,
            xp=xp.namespace, axis=axis,
        )  # fmt: skip
    assert len(calls) == (3 if xp.name == "jax" else 7)
    assert all(space is xp.namespace for space in calls)
