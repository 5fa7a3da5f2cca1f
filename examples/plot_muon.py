r"""
Training along polar factors
============================

A gradient :math:`G = U H` has a direction in every one of its singular vectors, and sizes that
differ by orders of magnitude. Of all updates of spectral norm one, :math:`U` is the one along
which the loss falls the fastest, :math:`\langle G, U \rangle = \|G\|_*`; this is what the
optimizer Muon approaches by five steps of a polynomial iteration.
:class:`tdecomp.torch.PolarMuon` is PyTorch's Muon with a choice of how: the same polynomial, Polar
Express, the exact factor, or a randomized one of low rank. What does the choice matter? Here are
four of them and AdamW on the handwritten digits of scikit-learn, at equal numbers of steps.
"""

# %%
# The network and its two optimizers
# ----------------------------------
# Three hidden matrices learn by polar factors, everything else by AdamW: vectors, and the last
# layer, whose rows are classes. Polynomials are computed in single precision: half precision, the
# default, takes ten times as long on a processor that does not multiply in it.

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from tdecomp.torch import PolarMuon

torch.set_num_threads(1)
digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
x = torch.tensor(digits.data[order] / 16, dtype=torch.float32)
y = torch.tensor(digits.target[order])
train, test = slice(0, 1400), slice(1400, None)
steps, batch, width = 120, 100, 128


def network():
    """Make a perceptron, the same one every time."""
    torch.manual_seed(0)
    layers = []
    for m in (64, width, width):
        layers += [nn.Linear(m, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def optimizers(model, method, lr):
    """Give hidden matrices to the method, and the rest to AdamW."""
    if method == "adamw":
        return [torch.optim.AdamW(model.parameters(), lr=lr)]
    *hidden, last = [layer for layer in model if isinstance(layer, nn.Linear)]
    matrices = [layer.weight for layer in hidden]
    rest = [layer.bias for layer in hidden] + list(last.parameters())
    options = {"rank": 16} if method == "randomized" else {"dtype": torch.float32}
    return [
        PolarMuon(matrices, lr=lr, method=method, **options),
        torch.optim.AdamW(rest, lr=3e-3),
    ]


def run(method, lr):
    """Train, and return the losses, the share of right answers, and the seconds of a step."""
    model = network()
    chosen = optimizers(model, method, lr)
    draws = torch.Generator().manual_seed(1)
    losses, spent = [], 0.0
    for _ in range(steps):
        part = torch.randint(0, 1400, (batch,), generator=draws)
        loss = nn.functional.cross_entropy(model(x[part]), y[part])
        for optimizer in chosen:
            optimizer.zero_grad()
        loss.backward()
        start = time.perf_counter()
        for optimizer in chosen:
            optimizer.step()
        spent += time.perf_counter() - start
        with torch.no_grad():
            losses.append(float(nn.functional.cross_entropy(model(x[train]), y[train])))
    with torch.no_grad():
        right = (model(x[test]).argmax(dim=1) == y[test]).float().mean()
    return np.array(losses), float(right), spent / steps


# %%
# Each with the step size that suits it
# -------------------------------------
# A comparison at one learning rate says nothing: updates of different methods differ in size. So
# each tries the same number of step sizes, and shows the run that ends with the least loss.

methods = {
    "adamw": ("AdamW", (1e-3, 3e-3, 1e-2), "#555555"),
    "newton-schulz": ("Muon, five steps", (1e-2, 3e-2, 1e-1), "#0072B2"),
    "polar-express": ("Polar Express", (1e-2, 3e-2, 1e-1), "#009E73"),
    "exact": ("exact polar factor", (1e-2, 3e-2, 1e-1), "#D55E00"),
    "randomized": ("randomized, rank 16", (1e-2, 3e-2, 1e-1), "#CC79A7"),
}
best = {}
for method, (name, rates, _) in methods.items():
    runs = {lr: run(method, lr) for lr in rates}
    lr = min(runs, key=lambda rate: runs[rate][0][-1])
    best[method] = runs[lr]
    losses, right, seconds = runs[lr]
    print(
        f"{name:20} lr {lr:5.0e}: loss {losses[-1]:.1e}, test {right:.1%}, "
        f"{1e3 * seconds:4.1f} ms for a step of the optimizer"
    )

# %%
# The curves
# ----------
# On the left the loss over all training data, after every step; on the right what a step of the
# optimizer costs, without the gradient.

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True})
figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 4.2), layout="constrained", width_ratios=(1.7, 1)
)
left.grid(color="#dddddd", lw=0.6)
for method, (name, _, color) in methods.items():
    left.plot(np.arange(1, steps + 1), best[method][0], color=color, label=name, lw=1.6)
left.set(yscale="log", xlabel="step", xlim=(0, steps))
left.set_title("training loss", loc="left", fontsize=11)
left.legend(frameon=False, loc="lower left")
for k, (method, (_, _, color)) in enumerate(methods.items()):
    cost = 1e3 * best[method][2]
    right.barh(k, cost, color=color, height=0.6)
    right.text(cost, k, f"  {cost:.1f}", va="center", color=color)
right.set_yticks(range(len(methods)), [name for name, _, _ in methods.values()])
right.invert_yaxis()
right.set(xlim=(0, 1.25 * max(1e3 * seconds for _, _, seconds in best.values())))
right.set_xlabel("milliseconds")
right.set_title("a step of the optimizer", loc="left", fontsize=11)
plt.show()

# %%
# AdamW is ahead for some forty steps, the polar factors from then on until all are near the floor
# that the noise of the batches sets; there they differ less from each other than from one step to
# the next. Digits of the factor do not matter here, and what is cheapest may be taken: for
# matrices of this size the exact one costs hardly twice as much as five polynomials.
