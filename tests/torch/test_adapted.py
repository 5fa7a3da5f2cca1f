"""A layer with an adapter is the layer that it was, and trains the adapter alone."""

import pytest

from tdecomp import compress
from tdecomp.compress import Adapted
from tdecomp.kronecker import KroneckerSum

torch = pytest.importorskip("torch")
nn = torch.nn

from tdecomp.torch import AdaptedLinear  # noqa: E402

METHODS = {
    "soka": lambda w: compress.soka(w, ((4, 3), (3, 5)), rank=2),
    "pissa": lambda w: compress.pissa(w, rank=2),
}


def layers(method, *, bias=True, dtype=torch.float64):
    torch.manual_seed(0)
    plain = nn.Linear(15, 12, bias=bias, dtype=dtype)
    return plain, AdaptedLinear(METHODS[method](plain.weight.detach()), plain.bias)


def inputs(*batch, dtype=torch.float64):
    return torch.randn(*batch, 15, dtype=dtype, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (7,), (2, 3), (0,), (2, 1, 5)])
def test_the_outputs_are_those_of_the_layer(method, bias, batch):
    plain, adapted = layers(method, bias=bias)
    x = inputs(*batch)
    assert adapted(x).shape == plain(x).shape
    assert torch.allclose(adapted(x), plain(x), rtol=0, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_flow_to_the_adapter_alone_and_are_true(method):
    plain, adapted = layers(method)
    assert [name for name, _ in adapted.named_parameters()] == ["left", "right"]
    count = sum(p.numel() for p in adapted.parameters())
    assert count == adapted.adapted.n_parameters == 2 * 27
    x = inputs(4).requires_grad_()
    adapted(x).square().sum().backward()
    plain(x_plain := inputs(4).requires_grad_()).square().sum().backward()
    assert torch.allclose(x.grad, x_plain.grad)
    assert adapted.residual.grad is None
    assert not adapted.residual.requires_grad
    # The chain rule through the dense product.
    left, right = (p.detach().clone().requires_grad_() for p in adapted.parameters())
    dense = Adapted(adapted.residual, type(adapted.adapted.adapter)(left, right)).to_array()
    (inputs(4) @ dense.mT + adapted.bias).square().sum().backward()
    assert torch.allclose(adapted.left.grad, left.grad)
    assert torch.allclose(adapted.right.grad, right.grad)


@pytest.mark.parametrize("method", METHODS)
def test_training_lowers_the_loss_and_leaves_the_rest_alone(method):
    plain, adapted = layers(method)
    frozen = adapted.residual.clone(), adapted.bias.clone(), plain.weight.detach().clone()
    x, target = inputs(64), inputs(64)[:, :12]
    optimiser = torch.optim.Adam(adapted.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (adapted(x) - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert torch.equal(frozen[0], adapted.residual)
    assert torch.equal(frozen[1], adapted.bias)
    assert torch.equal(frozen[2], plain.weight)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_trained_adapter_is_merged_into_a_plain_layer(method, bias):
    _, adapted = layers(method, bias=bias)
    with torch.no_grad():
        adapted.left.mul_(1.5).add_(0.1)
    merged = adapted.eval().merge()
    assert isinstance(merged, nn.Linear)
    assert not merged.training
    assert (merged.in_features, merged.out_features) == (15, 12)
    assert all(p.requires_grad and p.is_leaf for p in merged.parameters())
    x = inputs(5)
    assert torch.allclose(merged(x), adapted(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_the_state_survives_storage(method, tmp_path):
    plain, adapted = layers(method)
    with torch.no_grad():
        adapted.right.add_(0.3)
    torch.save(adapted.state_dict(), tmp_path / "state")
    assert set(adapted.state_dict()) == {"left", "right", "residual", "bias"}
    other = AdaptedLinear(METHODS[method](torch.zeros(12, 15, dtype=torch.float64)), plain.bias)
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    x = inputs(3)
    assert torch.equal(other(x), adapted(x))
    assert not torch.allclose(adapted(x), plain(x))


@pytest.mark.parametrize("method", METHODS)
def test_a_residual_in_half_precision_stays_so(method):
    plain, adapted = layers(method, dtype=torch.bfloat16)
    assert adapted.residual.dtype == torch.bfloat16
    assert adapted.left.dtype == torch.float32
    x = inputs(6, dtype=torch.bfloat16)
    y = adapted(x)
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y, plain(x), rtol=0, atol=3e-2)
    assert adapted.merge().weight.dtype == torch.bfloat16
    y.float().sum().backward()
    assert adapted.left.grad.dtype == torch.float32


@pytest.mark.parametrize("method", METHODS)
def test_the_arrays_of_the_adapter_are_copied(method):
    start = METHODS[method](inputs(12))
    before = start.adapter.left.clone()
    adapted = AdaptedLinear(start)
    with torch.no_grad():
        adapted.left.zero_()
    assert torch.equal(start.adapter.left, before)


def test_a_parameter_is_adapted_without_its_graph():
    plain = nn.Linear(15, 12, dtype=torch.float64)
    adapted = AdaptedLinear(METHODS["soka"](plain.weight), plain.bias)
    adapted(inputs(2)).sum().backward()
    assert plain.weight.grad is None
    ranks = [
        compress.soka(plain.weight, **size).rank for size in ({"energy": 0.5}, {"elbow": True})
    ]
    assert ranks == [
        compress.soka(plain.weight.detach(), **size).rank
        for size in ({"energy": 0.5}, {"elbow": True})
    ]


def test_it_says_what_it_is():
    words = "in_features=15, out_features=12, bias=True, rank=2"
    assert words + ", shapes=((4, 3), (3, 5))" in repr(layers("soka")[1])
    assert words in repr(layers("pissa")[1])


def test_what_does_not_fit_is_refused():
    start = METHODS["soka"](inputs(12))
    with pytest.raises(ValueError, match=r"bias must have shape \(12,\), got \(15,\)"):
        AdaptedLinear(start, torch.zeros(15))
    ones = torch.ones(1, 1, 1, dtype=torch.float64)
    three = KroneckerSum(start.adapter.left, start.adapter.right, (ones,))
    with pytest.raises(ValueError, match="two factors, got 3"):
        AdaptedLinear(start._replace(adapter=three))
