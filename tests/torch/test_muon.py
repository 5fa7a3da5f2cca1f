"""PolarMuon against PyTorch's own optimizer, and what its other methods do."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tdecomp.torch import PolarMuon  # noqa: E402

SHAPES = [(12, 8), (8, 12), (6, 6)]


def parameters(shapes=SHAPES, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype))
        for shape in shapes
    ]


def train(optimizer, params, steps, start=0):
    for k in range(start, start + steps):
        for i, p in enumerate(params):
            generator = torch.Generator().manual_seed(100 * k + i)
            p.grad = p.detach() * 0.1 + torch.randn(p.shape, generator=generator, dtype=p.dtype)
        optimizer.step()


@pytest.mark.parametrize("options", [
    {}, {"nesterov": False}, {"adjust_lr_fn": "match_rms_adamw"}, {"weight_decay": 0.0},
    {"ns_steps": 3, "ns_coefficients": (1.875, -1.25, 0.375)}, {"momentum": 0.5},
])  # fmt: skip
def test_steps_are_those_of_torch(options):
    ours, theirs = parameters(), parameters()
    train(PolarMuon(ours, lr=0.02, **options), ours, 20)
    train(torch.optim.Muon(theirs, lr=0.02, **options), theirs, 20)
    for x, y, start in zip(ours, theirs, parameters(), strict=True):
        moved = (y - start).detach().abs().max()
        assert (x - y).detach().abs().max() <= 3e-2 * moved


def test_state_dicts_go_both_ways():
    ours, theirs = parameters(), parameters()
    mine, other = PolarMuon(ours, lr=0.02), torch.optim.Muon(theirs, lr=0.02)
    train(other, theirs, 3)
    mine.load_state_dict(copy.deepcopy(other.state_dict()))
    for x, y in zip(ours, theirs, strict=True):
        assert torch.equal(mine.state[x]["momentum_buffer"], other.state[y]["momentum_buffer"])
        x.data.copy_(y.data)
    train(mine, ours, 2, start=3)
    other.load_state_dict(copy.deepcopy(mine.state_dict()))
    for x, y in zip(ours, theirs, strict=True):
        assert torch.equal(mine.state[x]["momentum_buffer"], other.state[y]["momentum_buffer"])
        y.data.copy_(x.data)
    starts = [x.detach().clone() for x in ours]
    train(mine, ours, 2, start=5)
    train(other, theirs, 2, start=5)
    for x, y, start in zip(ours, theirs, starts, strict=True):
        moved = (y - start).detach().abs().max()
        assert (x - y).detach().abs().max() <= 3e-2 * moved


def test_a_state_of_torch_says_nothing_of_methods():
    ours, theirs = parameters(), parameters()
    options = [{"method": "exact"}, {"method": "randomized", "rank": 2}, {}]
    mine = PolarMuon([{"params": [p], **o} for p, o in zip(ours, options, strict=True)])
    other = torch.optim.Muon([{"params": [p], "lr": 0.5} for p in theirs])
    train(other, theirs, 1)
    mine.load_state_dict(copy.deepcopy(other.state_dict()))
    methods = [group["method"] for group in mine.param_groups]
    assert methods == ["exact", "randomized", "newton-schulz"]
    assert [group["lr"] for group in mine.param_groups] == [0.5] * 3
    assert mine.param_groups[1]["rank"] == 2
    train(mine, ours, 1, start=1)


def test_an_optimizer_is_pickled_with_its_draws():
    ours = parameters()
    first = PolarMuon(ours, lr=0.02, method="randomized", rank=2)
    train(first, ours, 2)
    second = pickle.loads(pickle.dumps(first))
    theirs = [p for group in second.param_groups for p in group["params"]]
    train(first, ours, 2, start=2)
    train(second, theirs, 2, start=2)
    assert all(torch.equal(x, y) for x, y in zip(ours, theirs, strict=True))


def test_the_exact_step_is_the_polar_factor():
    for dtype, unit in ((torch.float32, 1e-5), (torch.float64, 1e-13)):
        (p,) = params = parameters([(7, 4)], dtype)
        optimizer = PolarMuon(params, lr=0.5, weight_decay=0.0, momentum=0.0, method="exact")
        before = p.detach().clone()
        p.grad = torch.randn(7, 4, generator=torch.Generator().manual_seed(1), dtype=dtype)
        optimizer.step()
        u, _, vh = np.linalg.svd(p.grad.double().numpy(), full_matrices=False)
        step = (before - p.detach()).double().numpy() / (0.5 * np.sqrt(7 / 4))
        assert np.abs(step - u @ vh).max() <= unit


@pytest.mark.parametrize("method", ["polar-express", "cans", "randomized"])
def test_other_methods_step_downhill_by_as_much(method):
    (p,) = params = parameters([(20, 16)])
    options = {"rank": 6} if method == "randomized" else {"ns_steps": 7}
    optimizer = PolarMuon(params, lr=1.0, weight_decay=0.0, momentum=0.0, method=method, **options)
    before = p.detach().clone()
    s = 0.5 ** torch.arange(16.0)
    q = torch.linalg.qr(torch.randn(20, 16, generator=torch.Generator().manual_seed(1)))[0]
    p.grad = q * s
    optimizer.step()
    step = (before - p.detach()) / np.sqrt(20 / 16)
    assert torch.linalg.matrix_norm(step, 2) <= 1.35
    assert (step * p.grad).sum() >= 0.7 * s.sum()


def test_replicas_with_the_same_gradients_stay_the_same():
    one, two = parameters(), parameters()
    train(PolarMuon(one, method="randomized", rank=3), one, 3)
    train(PolarMuon(two, method="randomized", rank=3), two, 3)
    assert all(torch.equal(x, y) for x, y in zip(one, two, strict=True))


REPLICA = """
import datetime, sys
import torch
import torch.distributed as dist
from tdecomp.torch import PolarMuon

rank, store = int(sys.argv[1]), sys.argv[2]
limit = datetime.timedelta(seconds=60)
dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=limit)
for method, options in (("newton-schulz", {}), ("randomized", {"rank": 2})):
    torch.manual_seed(0)
    layer = torch.nn.Linear(6, 4, bias=False)
    model = torch.nn.parallel.DistributedDataParallel(layer)
    optimizer = PolarMuon(model.parameters(), lr=0.1, method=method, **options)
    before = layer.weight.detach().clone()
    torch.manual_seed(1 + rank)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(5, 6)).square().sum().backward()
        optimizer.step()
    found = [torch.empty_like(before) for _ in range(2)]
    dist.all_gather(found, layer.weight.detach())
    assert torch.equal(*found), method
    assert not torch.equal(found[0], before), method
dist.destroy_process_group()
"""


@pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="PyTorch without gloo",
)
def test_replicas_with_different_data_stay_the_same(tmp_path):
    store = (tmp_path / "store").as_uri()
    replicas = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", REPLICA, str(rank), store],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [replica.communicate(timeout=120)[1] for replica in replicas]
    finally:
        for replica in replicas:
            replica.kill()
    assert [replica.returncode for replica in replicas] == [0, 0], said


def test_kernels_are_matrices_of_their_channels():
    kernel, matrix = parameters([(6, 2, 3, 3)]), parameters([(6, 18)])
    matrix[0].data.copy_(kernel[0].data.reshape(6, 18))
    grad = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    kernel[0].grad, matrix[0].grad = grad, grad.reshape(6, 18)
    for params in (kernel, matrix):
        PolarMuon(params, lr=0.1).step()
    assert torch.equal(kernel[0].reshape(6, 18), matrix[0])


def test_closures_groups_and_missing_gradients():
    first, second = parameters([(4, 3), (3, 4)])
    groups = [{"params": [first], "lr": 0.1}, {"params": [second], "method": "exact"}]
    optimizer = PolarMuon(groups, lr=0.0)
    before = second.detach().clone()

    def closure():
        optimizer.zero_grad()
        loss = first.square().sum()
        loss.backward()
        return loss

    start = optimizer.step(closure).item()
    assert optimizer.step(closure).item() < start
    assert torch.equal(second, before)


@pytest.mark.parametrize(("options", "message"), [
    ({"lr": -1.0}, "lr must be a number >= 0"),
    ({"momentum": -1.0}, "momentum"),
    ({"weight_decay": float("nan")}, "weight_decay"),
    ({"adjust_lr_fn": "no"}, "adjust_lr_fn must be one of"),
    ({"method": "no"}, "method must be one of"),
    ({"method": "randomized"}, "needs it"),
    ({"rank": 3}, "is for method='randomized'"),
    ({"method": "randomized", "rank": 0}, "rank"),
    ({"ns_steps": 0}, "ns_steps"),
    ({"ns_coefficients": (1.0,)}, "ns_coefficients must hold three numbers"),
    ({"ns_coefficients": 3.0}, "ns_coefficients"),
])  # fmt: skip
def test_bad_options_are_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        PolarMuon(parameters(), **options)


@pytest.mark.parametrize(("options", "message"), [
    ({"method": "randomized"}, "needs it"),
    ({"lr": -1.0}, "lr must be a number >= 0"),
    ({"ns_coefficients": ()}, "ns_coefficients"),
])  # fmt: skip
def test_so_are_those_of_a_group(options, message):
    first, second = parameters([(4, 3), (3, 4)])
    with pytest.raises((TypeError, ValueError), match=message):
        PolarMuon([{"params": [first]}, {"params": [second], **options}])
    optimizer = PolarMuon([first])
    with pytest.raises((TypeError, ValueError), match=message):
        optimizer.add_param_group({"params": second, **options})
    optimizer.add_param_group({"params": second, "method": "exact"})
    assert [group["method"] for group in optimizer.param_groups] == ["newton-schulz", "exact"]


def test_vectors_complex_and_sparse_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\).*another optimizer"):
        PolarMuon([torch.nn.Parameter(torch.ones(3))])
    with pytest.raises(ValueError, match="complex64"):
        PolarMuon([torch.nn.Parameter(torch.ones(3, 3, dtype=torch.complex64))])
    (p,) = params = parameters([(3, 3)])
    p.grad = torch.eye(3).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        PolarMuon(params).step()
