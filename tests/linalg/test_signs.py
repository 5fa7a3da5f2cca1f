"""Canonical signs: one answer, whoever computes it."""

import numpy as np
import pytest

from tdecomp.linalg._signs import canonical_signs
from tdecomp.testing import matrix

SLACK = 8


def example(dtype, batch=(), size=(12, 7)):
    members = [matrix(size[0], 4, "flat", rng=i, dtype=dtype) for i in range(int(np.prod(batch)))]
    others = [matrix(4, size[1], "flat", rng=9 + i, dtype=dtype) for i in range(len(members))]
    return (np.stack(x).reshape(*batch, *x[0].shape) for x in (members, others))


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("batch", [(), (2, 2)])
def test_signs_are_canonical_and_the_product_stays(xp, dtype, batch, is_canonical):
    u, vh = example(dtype, batch)
    turned = canonical_signs(xp.asarray(u), xp.asarray(vh), xp.namespace)
    new_u, new_vh = map(xp.to_numpy, turned)
    eps = np.finfo(dtype).eps
    assert is_canonical(new_u)
    assert np.abs(np.abs(new_u) - np.abs(u)).max() <= SLACK * eps
    assert np.abs(new_u @ new_vh - u @ vh).max() <= SLACK * eps
    again = canonical_signs(*turned, xp.namespace)
    assert all(np.abs(xp.to_numpy(x) - xp.to_numpy(y)).max() <= SLACK * eps
               for x, y in zip(turned, again, strict=True))  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_the_answer_does_not_depend_on_the_phase(xp, dtype):
    u, vh = example(dtype)
    angle = np.array([0.0, 1.0, 2.0, 3.0])
    phase = (np.exp(1j * angle) if "complex" in dtype else np.cos(np.pi * angle)).astype(dtype)
    one = canonical_signs(xp.asarray(u), xp.asarray(vh), xp.namespace)
    other = canonical_signs(xp.asarray(u * phase), xp.asarray(vh / phase[:, None]), xp.namespace)
    for x, y in zip(one, other, strict=True):
        gap = np.abs(xp.to_numpy(x) - xp.to_numpy(y)).max()
        assert gap <= SLACK * np.finfo(dtype).eps


def test_a_zero_column_stays(xp):
    u, vh = np.zeros((3, 2)), np.ones((2, 4))
    u[1, 1] = -1.0
    new_u, new_vh = map(xp.to_numpy, canonical_signs(xp.asarray(u), xp.asarray(vh), xp.namespace))
    assert np.array_equal(new_u, np.abs(u))
    assert np.array_equal(new_vh, vh * [[1], [-1]])


@pytest.mark.parametrize("noise", [0.0, 1e-15])
def test_of_entries_equal_to_rounding_the_first_decides(xp, noise):
    u = np.array([[-0.5], [0.5 + noise], [0.5], [-0.5]])
    new_u, _ = canonical_signs(xp.asarray(u), xp.asarray(np.ones((1, 2))), xp.namespace)
    assert np.array_equal(xp.to_numpy(new_u), -u)
