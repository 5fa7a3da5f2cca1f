"""What hooks collect from a model is what the data says about its layers."""

import subprocess
import sys

import numpy as np
import pytest

from tdecomp.compress import Calibration, Fisher, Statistics, TokenCounts

torch = pytest.importorskip("torch")
nn = torch.nn

from tdecomp.torch import calibrate  # noqa: E402


def metric(root):
    """The matrix that a row or column weight is a root of."""
    root = np.diag(root) if root.ndim == 1 else root
    return root.T @ root if root.shape[0] < root.shape[1] else root @ root.T


def assert_same(found, expected):
    """Assert that two sets of statistics are, up to the rotation of their factors."""
    assert type(found) is type(expected)
    if isinstance(expected, Calibration):
        assert found.n_inputs == expected.n_inputs
        for centred in (False, True):
            a, b = (x.right(centred=centred) for x in (found, expected))
            assert np.allclose(a @ a.T, b @ b.T, atol=1e-8)
        assert np.allclose(found.mean_abs, expected.mean_abs)
    elif isinstance(expected, Fisher):
        assert found.n_examples == expected.n_examples
        assert np.allclose(found.right() @ found.right().T, expected.right() @ expected.right().T)
        assert np.allclose(found.row_scale(), expected.row_scale())
    elif isinstance(expected, TokenCounts):
        assert np.array_equal(found.counts, expected.counts)


class Net(nn.Module):
    """Tokens to vectors, two layers that share an input, a mean over the tokens."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.first, self.second = nn.Linear(4, 6), nn.Linear(4, 6, bias=False)
        self.last = nn.Linear(6, 3)
        self.drop = nn.Dropout(0.5)
        self.double()

    def forward(self, ids, attention_mask=None):
        x = self.embed(ids)
        hidden = self.drop(torch.tanh(self.first(x)) * self.second(x))
        mask = torch.ones(ids.shape) if attention_mask is None else attention_mask
        return {"tokens": self.last(hidden), "mask": mask[..., None]}


def pooled(output, _):
    return (output["tokens"] * output["mask"]).sum(1)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def ids():
    return torch.randint(0, 10, (5, 7), generator=torch.Generator().manual_seed(1))


def test_inputs_and_tokens_are_those_the_layers_saw(net, ids):
    found = calibrate(net, [ids[:2], ids[2:]])
    assert list(found) == ["embed.weight", "first.weight", "second.weight", "last.weight"]
    x = net.embed(ids).detach().numpy()
    hidden = net.eval() and torch.tanh(net.first(net.embed(ids))) * net.second(net.embed(ids))
    assert_same(found["embed.weight"].tokens, TokenCounts.of(ids.numpy(), size=10))
    assert_same(found["first.weight"].inputs, Calibration.of(x))
    assert_same(found["last.weight"].inputs, Calibration.of(hidden.detach().numpy()))
    assert all(statistics.fisher is None for statistics in found.values())
    assert found["embed.weight"].inputs is None


def test_layers_that_share_an_input_share_the_work(net, ids, monkeypatch):
    calls = []
    monkeypatch.setattr(
        Calibration,
        "update",
        lambda self, x, update=Calibration.update: calls.append(x) or update(self, x),
    )
    found = calibrate(net, [ids[:2], ids[2:4], ids[4:]])
    assert len(calls) == 2 * 2  # two layers of three, each batch but the first
    first, second = (found[f"{name}.weight"].inputs for name in ("first", "second"))
    assert_same(first, second)


def test_padding_does_not_count(net, ids):
    mask = torch.ones_like(ids)
    mask[:, 4:] = 0
    batch = {"ids": ids, "attention_mask": mask}
    padded = calibrate(net, [batch], features=pooled)
    short = calibrate(net, [ids[:, :4]], features=pooled)
    for name, statistics in short.items():
        for found, expected in zip(padded[name], statistics, strict=True):
            assert_same(found, expected)


def gradients(net, ids, name, signs):
    """The gradient of every example's features, times signs, by one weight."""
    weight = net.get_parameter(name)
    found = []
    for k, sign in enumerate(signs):
        z = (pooled(net(ids[k : k + 1]), None) * torch.as_tensor(sign)).sum()
        found.append(torch.autograd.grad(z, weight)[0].numpy())
    return np.stack(found)


@pytest.mark.parametrize("name", ["embed.weight", "first.weight", "last.weight"])
def test_the_information_is_that_of_the_gradients_by_example(net, ids, name):
    net.eval()
    found = calibrate(net, [ids], features=pooled, rng=3)[name].fisher
    signs = 2.0 * np.random.default_rng(3).integers(0, 2, size=(5, 3)) - 1
    assert_same(found, Fisher.of(gradients(net, ids, name, signs)))


def test_losses_give_the_empirical_information_whatever_the_signs(net, ids):
    net.eval()

    def loss(output, _):
        return (pooled(output, None) ** 2).sum(-1)

    a, b = (calibrate(net, [ids[:3], ids[3:]], features=loss, rng=seed) for seed in (0, 1))
    for name, statistics in a.items():
        assert_same(statistics.fisher, b[name].fisher)
    by_example = []
    for k in range(5):
        value = loss(net(ids[k : k + 1]), None).sum()
        by_example.append(torch.autograd.grad(value, net.last.weight)[0].numpy())
    assert_same(a["last.weight"].fisher, Fisher.of(np.stack(by_example)))


def test_the_form_predicts_what_a_small_change_does():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4)).double()
    x = torch.randn(4000, 6, dtype=torch.float64)
    fisher = calibrate(net, [x], features=lambda z, _: z)["0.weight"].fisher
    d = 1e-4 * np.random.default_rng(0).standard_normal((5, 6))
    with torch.no_grad():
        before = net(x)
        net[0].weight += torch.from_numpy(d)
        change = ((net(x) - before) ** 2).sum(1).mean().item()
    form = np.sum((fisher.left() @ d @ fisher.right()) ** 2)
    assert form == pytest.approx(change, rel=0.3)


def test_the_model_is_left_as_it_was(net, ids):
    net.first.weight.grad = torch.ones_like(net.first.weight)
    net.second.weight.requires_grad_(False)
    net.drop.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    calibrate(net, [ids], features=pooled)
    assert modes == [module.training for module in net.modules()]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(net.first.weight.grad, torch.ones_like(net.first.weight))
    assert net.last.weight.grad is None
    assert not any(module._forward_hooks for module in net.modules())


def test_frozen_models_have_information_too(net, ids):
    expected = calibrate(net, [ids], features=pooled)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    found = calibrate(net, [ids], features=pooled)
    for name, statistics in expected.items():
        assert_same(found[name].fisher, statistics.fisher)


def test_what_changes_outputs_in_place_is_seen_through():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    in_place = nn.Sequential(plain[0], nn.ReLU(inplace=True), plain[2])
    x = torch.randn(20, 4, dtype=torch.float64)
    a, b = (calibrate(net, [x], features=lambda z, _: z) for net in (plain, in_place))
    for name, statistics in a.items():
        assert_same(b[name].fisher, statistics.fisher)


def test_an_input_changed_in_place_is_refused():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.layer.requires_grad_(False)

        def forward(self, x):
            x = x * 1.0
            y = self.layer(x)
            x.add_(1.0)
            return x + y

    with pytest.raises(ValueError, match=r"input of 'layer.weight' was changed in place"):
        calibrate(Residual(), [torch.ones(2, 3)], features=lambda z, _: z)
    assert calibrate(Residual(), [torch.ones(2, 3)])["layer.weight"].inputs.mean[0] == 1.0


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(3, 5, 2, padding=1, stride=2), (4, 3, 9)),
        (nn.Conv2d(3, 5, (2, 3), padding=(1, 0), dilation=(1, 2)), (4, 3, 6, 8)),
    ],
)
def test_a_convolution_is_a_product_with_patches(layer, shape):
    layer = layer.double()
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(layer)
    found = calibrate(net, [x], features=lambda z, _: z.sum(dim=tuple(range(2, z.ndim))), rng=0)
    matrix = layer.weight.detach().numpy().reshape(5, -1)
    statistics = found["0.weight"]
    y = (layer(x) - layer.bias.reshape(1, -1, *[1] * (x.ndim - 2))).detach().numpy()
    rows = np.moveaxis(y.reshape(4, 5, -1), 1, 2).reshape(-1, 5)
    second = matrix @ statistics.inputs.right()
    assert statistics.inputs.n_inputs == len(rows)
    assert np.allclose(second @ second.T, rows.T @ rows / len(rows))
    signs = 2.0 * np.random.default_rng(0).integers(0, 2, size=(4, 5)) - 1
    by_example = []
    for k in range(4):
        z = (
            layer(x[k : k + 1]).sum(dim=tuple(range(2, x.ndim))) * torch.as_tensor(signs[k])
        ).sum()
        by_example.append(torch.autograd.grad(z, layer.weight)[0].numpy().reshape(5, -1))
    assert_same(statistics.fisher, Fisher.of(np.stack(by_example)))


def test_a_layer_that_runs_twice_has_seen_both():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3).double()

        def forward(self, x):
            return self.layer(input=torch.tanh(self.layer(x)))

    twice = Twice()
    x = torch.randn(4, 3, dtype=torch.float64)
    statistics = calibrate(twice, [x], features=lambda z, _: z, rng=0)["layer.weight"]
    again = torch.tanh(twice.layer(x)).detach()
    assert_same(statistics.inputs, Calibration.of(torch.cat([x, again]).numpy()))
    signs = 2.0 * np.random.default_rng(0).integers(0, 2, size=(4, 3)) - 1
    by_example = [
        torch.autograd.grad((twice(x[k]) * torch.as_tensor(signs[k])).sum(), twice.layer.weight)[0]
        for k in range(4)
    ]
    assert_same(statistics.fisher, Fisher.of(torch.stack(by_example).numpy()))


def test_positions_shared_by_all_examples_weigh_as_much_as_if_they_were_not():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(6, 3)

        def forward(self, x):
            return x * self.embed(torch.arange(6)[None]).sum(dim=(1, 2))[:, None]

    x = torch.ones(4000, 1)
    found = calibrate(
        Positions(), [x[k : k + 40] for k in range(0, 4000, 40)], features=lambda z, _: z
    )
    # The gradient by each of the 18 entries is one in each example.
    scale = found["embed.weight"].fisher.row_scale()
    assert found["embed.weight"].fisher.n_examples == 4000
    assert np.allclose(scale, 1.0, atol=0.2)


def test_half_precision_is_accumulated_in_single():
    net = nn.Sequential(nn.Linear(4, 3)).bfloat16()
    statistics = calibrate(net, [torch.ones(6, 4).bfloat16()], features=lambda z, _: z)
    for array in (statistics["0.weight"].inputs.factor, statistics["0.weight"].fisher.columns):
        assert array.dtype == np.float32


def test_weights_that_do_not_matter_have_no_information(net, ids):
    found = calibrate(net, [ids], features=lambda output, _: output["tokens"].sum((1, 2)))
    assert all(statistics.fisher is not None for statistics in found.values())
    found = calibrate(net, [ids], features=lambda *_: net.first.weight.sum()[None])
    assert all(statistics.fisher is None for statistics in found.values())
    assert found["first.weight"].inputs is not None


def test_names_choose(net, ids):
    assert list(calibrate(net, [ids], names=["*st.weight"])) == ["first.weight", "last.weight"]
    with pytest.raises(ValueError, match=r"no layer to calibrate: names=\['nothing'\]"):
        calibrate(net, [ids], names=["nothing"])


def test_what_cannot_work_is_refused(net, ids):
    with pytest.raises(ValueError, match="batches is empty"):
        calibrate(net, [])
    with pytest.raises(ValueError, match="depends on the weights"):
        calibrate(net, [ids], features=lambda output, _: output["tokens"].detach())
    unused = nn.ModuleDict({"layer": nn.Linear(2, 2)})
    unused.forward = lambda x: x
    with pytest.raises(ValueError, match="no selected layer was run"):
        calibrate(unused, [torch.ones(2)])


def test_statistics_are_numpy(net, ids):
    found = calibrate(net, [ids], features=pooled)
    assert all(isinstance(statistics, Statistics) for statistics in found.values())
    w = net.first.weight.detach().numpy()
    small = found["first.weight"].weights("gfwsvd").fit(w, rank=2)
    assert type(small.left) is np.ndarray
    for entry in found.values():
        arrays = [array for part in entry if part is not None for array in part[1:]]
        assert all(array.flags.c_contiguous for array in arrays)


def test_without_torch_the_error_names_the_extra():
    script = (
        "import sys; sys.modules['torch'] = None; import tdecomp.compress; import tdecomp.torch"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "pip install 'tdecomp-array[torch]'" in done.stderr


def test_the_core_does_not_load_torch():
    script = "import sys, tdecomp.compress; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
