"""A weight tensor read as a matrix comes back as it was."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.compress import Layout, layout_of

lengths = st.integers(1, 5)
layouts = st.one_of(
    st.builds(Layout, st.sampled_from(["matrix", "embedding"]), st.tuples(lengths, lengths)),
    st.builds(
        Layout,
        st.just("conv"),
        st.lists(lengths, min_size=3, max_size=5).map(tuple),
    ),
    st.builds(Layout, st.just("conv-spatial"), st.tuples(*[lengths] * 4)),
)


@pytest.mark.parametrize(
    "layout",
    [
        Layout("matrix", (3, 5)),
        Layout("embedding", (7, 2)),
        Layout("conv", (4, 3, 2)),
        Layout("conv-spatial", (4, 3, 2, 5)),
    ],
)
def test_the_tensor_comes_back_exactly_on_every_backend(xp, layout):
    w = np.arange(float(np.prod(layout.shape))).reshape(layout.shape)
    matrix = layout.matrix(xp.asarray(w))
    assert tuple(matrix.shape) == layout.matrix_shape
    assert np.array_equal(xp.to_numpy(layout.tensor(matrix)), w)


@given(layout=layouts)
def test_matrix_and_tensor_are_inverse_whatever_the_shape(layout):
    w = np.arange(float(np.prod(layout.shape))).reshape(layout.shape)
    assert np.array_equal(layout.tensor(layout.matrix(w)), w)
    matrix = w.reshape(layout.matrix_shape)
    assert np.array_equal(layout.matrix(layout.tensor(matrix)), matrix)


@given(layout=layouts)
def test_a_layout_survives_json(layout):
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout


def test_rank_one_of_a_spatial_layout_is_a_separable_kernel():
    layout = Layout("conv-spatial", (5, 4, 3, 2))
    rng = np.random.default_rng(0)
    vertical, horizontal = rng.standard_normal((5, 3)), rng.standard_normal((4, 2))
    kernel = np.einsum("oh,iw->oihw", vertical, horizontal)
    assert np.linalg.matrix_rank(layout.matrix(kernel)) == 1


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        ("layer.weight", (8, 4), "matrix"),
        ("bert.embeddings.word_embeddings.weight", (100, 8), "embedding"),
        ("transformer.wte.weight", (100, 8), "embedding"),
        ("tok_Embed", (100, 8), "embedding"),
        ("conv.weight", (8, 4, 3), "conv"),
        ("patch_embed.weight", (8, 4, 3, 3), "conv"),
    ],
)
def test_the_kind_follows_axes_and_name(name, shape, kind):
    assert layout_of(name, shape) == (Layout(kind, shape), "")


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((), "0 axes"),
        ((7,), "1 axis"),
        ((7, 0), "empty"),
        ((8, 1, 3, 3), "depthwise"),
        ((1, 50), "smaller"),
        ((2, 2), "smaller"),
    ],
)
def test_what_is_no_use_is_left_alone_with_a_reason(shape, why):
    layout, reason = layout_of("weight", shape)
    assert layout is None
    assert why in reason


def test_another_shape_is_refused():
    layout = Layout("conv", (2, 3, 4))
    with pytest.raises(ValueError, match=r"w must have shape \(2, 3, 4\), got \(2, 12\)"):
        layout.matrix(np.ones((2, 12)))
    with pytest.raises(ValueError, match=r"matrix must have shape \(2, 12\), got \(2, 3, 4\)"):
        layout.tensor(np.ones((2, 3, 4)))


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"kind": "matrix"},
        {"kind": "matrix", "shape": "ab"},
        {"kind": "matrix", "shape": [2, 3, 4]},
        {"kind": "conv", "shape": [2]},
        {"kind": "conv-spatial", "shape": [2, 3, 4]},
        {"kind": "matrix", "shape": [2, 0]},
        {"kind": "spiral", "shape": [2, 3]},
    ],
)
def test_words_that_describe_no_layout_are_refused(words):
    with pytest.raises(ValueError, match=r"layout|kind"):
        Layout.from_dict(words)
