"""Test tensors have the unfoldings that they promise."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.ops import unfold
from tdecomp.testing import SPECTRA, low_rank_tensor, spectrum, tensor

SHAPES = st.sampled_from([(4, 3), (3, 4, 5), (2, 3, 2, 3), (1, 4, 3)])


def singular_values(a):
    return np.linalg.svd(a.astype(np.result_type(a.dtype, np.float64)), compute_uv=False)


@given(shape=SHAPES, kind=st.sampled_from(SPECTRA), seed=st.integers(0, 2**32))
def test_all_unfoldings_share_the_spectrum(dtype, shape, kind, seed):
    x = tensor(shape, kind, rng=seed, dtype=dtype)
    assert x.dtype == dtype
    assert x.shape == shape
    s = spectrum(kind, min(shape))
    for mode in range(len(shape)):
        found = singular_values(unfold(x, mode))[: s.size]
        np.testing.assert_allclose(found, s, rtol=0, atol=20 * np.finfo(dtype).eps)


def test_every_split_of_the_modes_shares_the_spectrum():
    x, s = tensor((3, 4, 3, 4), [3.0, 2.0, 1.0]), [3.0, 2.0, 1.0]
    for rows in (*combinations(range(4), 1), *combinations(range(4), 2)):
        columns = [k for k in range(4) if k not in rows]
        a = np.transpose(x, (*rows, *columns)).reshape(np.prod([x.shape[k] for k in rows]), -1)
        np.testing.assert_allclose(singular_values(a)[:3], s, atol=1e-14)


def test_a_seed_means_one_tensor_on_every_backend(xp, dtype):
    like = xp.asarray(np.empty(0, dtype))
    for make, what in ((tensor, "step"), (low_rank_tensor, (2, 2, 2))):
        found = xp.to_numpy(make((3, 4, 2), what, rng=3, like=like))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, make((3, 4, 2), what, rng=3, dtype=dtype))


@given(
    case=st.sampled_from([((5, 4, 6), (2, 3, 4)), ((4, 4), (2, 2)), ((3, 2, 3, 2), (2, 1, 2, 2))]),
    seed=st.integers(0, 2**32),
)
def test_multilinear_ranks_are_exact(dtype, case, seed):
    shape, rank = case
    x = low_rank_tensor(shape, rank, rng=seed, dtype=dtype)
    assert x.shape == shape
    assert x.dtype == dtype
    for mode, r in enumerate(rank):
        s = singular_values(unfold(x, mode))
        assert s[r - 1] > 0
        assert np.all(s[r:] <= 20 * np.finfo(dtype).eps)


@given(noise=st.floats(1e-8, 10.0), kind=st.sampled_from(["float64", "complex128"]))
def test_the_noise_has_the_norm_it_is_given(noise, kind):
    clean, noisy = (low_rank_tensor((5, 4, 6), (2, 3, 2), noise=e, dtype=kind) for e in (0, noise))
    assert np.linalg.norm(clean) == pytest.approx(1.0)
    assert np.linalg.norm(noisy - clean) == pytest.approx(noise, rel=1e-6)
    assert np.linalg.norm(noisy) == pytest.approx(np.hypot(1.0, noise))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="at most 2 values"):
        tensor((2, 3, 4), [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="one entry per mode"):
        low_rank_tensor((3, 4), (2,))
    with pytest.raises(ValueError, match=r"rank\[0\] must be an int between 1 and 3, got 4"):
        low_rank_tensor((3, 4, 5), (4, 2, 2))
    # Seven rows cannot be independent where the other modes leave six columns.
    with pytest.raises(ValueError, match=r"rank\[0\] must be an int between 1 and 6, got 7"):
        low_rank_tensor((9, 3, 3), (7, 2, 3))
