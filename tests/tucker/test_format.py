"""The Tucker format: entries, regions, batches, the protocol of formats."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp.tucker import Tucker, orthogonalise

REGIONS = [
    None,
    slice(1, 3),
    (slice(None), 2, slice(None, None, 2)),
    ([3, 0, 3], slice(None), -1),
    (slice(None, None, -1), [1], slice(2, 2)),
    (0, 1, 2),
]


@pytest.mark.parametrize("region", REGIONS)
def test_entries_and_regions_are_those_of_the_definition(xp, tucker_of, brute, region):
    for alone in ((1,), (0, 1, 2)):
        x = tucker_of((4, 5, 6), (2, 3, 4), alone=alone, xp=xp)
        check_region(xp.to_numpy(x.to_array(region)), brute(x, xp), region)


def check_region(found, full, region):
    if region is None or isinstance(region, slice):
        wanted = full if region is None else full[region]
    else:
        wanted = full
        for axis in reversed(range(3)):
            part = region[axis]
            taken = (slice(None),) * axis + (part,)
            wanted = wanted[taken]
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max(initial=0) <= 100 * np.finfo(float).eps * np.abs(full).max()


def test_what_every_format_tells(tucker_of, brute, dtype):
    x = tucker_of((4, 5, 6), (2, 3, 4), dtype=dtype, alone=(1,))
    assert (x.shape, x.rank, x.modes, x.dtype) == ((4, 5, 6), (2, 5, 4), 3, np.dtype(dtype))
    core, factors = x
    assert core is x.core
    assert factors[1] is None
    assert td.n_parameters(x) == 2 * 5 * 4 + 4 * 2 + 6 * 4
    assert td.compression_ratio(x) == 120 / td.n_parameters(x)
    assert float(td.relative_error(brute(x), x)) <= 100 * np.finfo(dtype).eps
    again = pickle.loads(pickle.dumps(x))
    assert np.array_equal(again.to_array(), x.to_array())
    assert Tucker.__array_ufunc__ is None


@given(
    sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_every_shape_and_rank(tucker_of, brute, sizes, seed):
    x = tucker_of(*zip(*sizes, strict=True), seed=seed)
    full = brute(x)
    assert np.abs(x.to_array() - full).max() <= 200 * np.finfo(float).eps * (
        1 + np.abs(full).max()
    )


def test_twelve_modes(tucker_of, brute):
    x = tucker_of((2,) * 12, (1, 2) * 6)
    assert np.allclose(x.to_array(), brute(x), rtol=1e-12, atol=1e-12)


def test_batches_of_core_and_factors(tucker_of):
    tensors = [tucker_of((4, 5, 6), (2, 3, 4), seed=seed, alone=(1,)) for seed in range(3)]
    piled = Tucker(
        np.stack([x.core for x in tensors]),
        (np.stack([x.factors[0] for x in tensors]), None,
         np.stack([x.factors[2] for x in tensors])),
    )  # fmt: skip
    assert piled.shape == (3, 4, 5, 6)
    full = np.stack([x.to_array() for x in tensors])
    assert np.allclose(piled.to_array(), full, rtol=1e-13, atol=1e-13)
    assert np.allclose(piled.to_array((1, slice(2), [5])), full[:, 1, :2][..., [5]])
    assert np.all(td.relative_error(full, piled) <= 1e-14)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: np.ones((2, 2)), TypeError, "x must be a Tucker"),
        (lambda: (np.ones((2, 2)), ()), TypeError, "x must be a Tucker"),
        (lambda: (np.ones(2), (None, None)), ValueError, "x.core must have 2 dimensions"),
        (lambda: (np.ones((2, 2)), (np.ones((3, 1)), None)), ValueError, "must have 2 columns"),
        (lambda: (np.ones((2, 2)), (np.full((3, 2), np.nan), None)), ValueError,
         r"x.factors\[0\] has 6 non-finite"),
    ],
)  # fmt: skip
def test_what_is_no_tucker_tensor_is_refused(make, kind, words):
    with pytest.raises(kind, match=words):
        orthogonalise(make())


def test_regions_that_do_not_fit_are_refused(tucker_of):
    x = tucker_of((4, 5), (2, 2))
    for region, kind in (((0,), ValueError), ((4, 0), ValueError), ((True, 0), TypeError),
                         ("all", TypeError), ((0, [1.5]), TypeError)):  # fmt: skip
        with pytest.raises(kind, match="region"):
            x.to_array(region)
