"""Statistics of a model's layers, from hooks on a few forward passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tdecomp._random import generator
from tdecomp._typing import Seed
from tdecomp.compress import Calibration, Fisher, Statistics, TokenCounts
from tdecomp.torch._layers import CONVOLUTIONS, channels_last, patches, selected

Features = Callable[[Any, Any], Tensor]


def calibrate(
    model: nn.Module,
    batches: Iterable[Any],
    /,
    *,
    features: Features | None = None,
    names: Sequence[str] | None = None,
    rng: Seed = 0,
) -> dict[str, Statistics]:
    r"""Return what `batches` of data say about the weights of the layers of `model`.

    Each weight of a linear layer or convolution gets the `Calibration` of its inputs, each
    embedding its `TokenCounts`, and with `features` every weight its `Fisher` information too.

    With :math:`z_d` the features of example :math:`d` and independent random signs :math:`v_d`,
    the gradients of :math:`\langle v_d, z_d \rangle` have :math:`J_d^* J_d` for mean second
    moments, :math:`J_d` the Jacobian. So the Fisher form estimates the mean of
    :math:`\|\delta z_d\|^2`, what a change of the weights does to the features, without labels. If
    instead `features` is the loss of each example, it is the empirical Fisher information.

    Parameters
    ----------
    model : torch.nn.Module
        Is run in evaluation mode, with its parameters, their gradients and its mode untouched.
    batches : iterable
        A mapping is passed to the model by keyword, a tuple or list by position, anything else as
        the only argument. Tokens where an entry ``"attention_mask"`` is 0 do not count.
    features : callable, optional
        ``features(output, batch)`` returns a tensor of shape (examples, ...): for example pooled
        embeddings, logits, or losses of shape (examples,).
    names : sequence of str, optional
        Globs over the names of weights; all by default.
    rng : int, numpy.random.Generator or None, optional
        Draws the signs.

    Returns
    -------
    dict of str to Statistics
        In NumPy arrays, by the name of the weight, such as ``"encoder.0.dense.weight"``: for
        each layer that was run. A weight that the features do not depend on has no Fisher
        information.

    Raises
    ------
    ValueError
        If there are no batches, no layer is selected or none was run, or `features` returns
        something that does not depend on the weights.

    Notes
    -----
    Handles ``Linear``, ``Embedding``, and ``Conv1d`` and ``Conv2d`` without groups and with
    numeric zero padding; other layers are passed over. Statistics are accumulated on the device
    and in the precision of the model, float32 at least. A batch of ``b`` tokens costs
    ``2 (n + b) n^2`` flops for a layer with ``n`` inputs, so use batches of several thousand
    tokens. Layers that share an input, like query, key and value, share the work.

    Examples
    --------
    >>> import torch
    >>> from tdecomp.torch import calibrate
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    >>> statistics = calibrate(model, [torch.ones(5, 3)], features=lambda output, batch: output)
    >>> statistics["0.weight"].inputs.mean
    array([1., 1., 1.], dtype=float32)
    >>> statistics["0.weight"].fisher.n_examples
    5
    """
    layers = selected(model, names)
    random = generator(rng)
    found: dict[str, Statistics] = {}
    seen = False
    with _evaluating(model):
        for batch in batches:
            seen = True
            with _watching(layers, _Watch(found, _mask(batch), features is not None)) as watch:
                with torch.set_grad_enabled(features is not None):
                    output = _run(model, batch)
                    z = None if features is None else features(output, batch)
            if z is not None:
                watch.spend(z, random)
    if not seen:
        raise ValueError("batches is empty: give at least one")
    if not found:
        raise ValueError("no selected layer was run: check names and batches")
    return {name: _to_numpy(found[name]) for name in layers if name in found}


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode, and every module back into its own at the end."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _watching(layers: Mapping[str, nn.Module], watch: _Watch) -> Iterator[_Watch]:
    """Let `watch` see every run of the layers for as long as the context lasts."""
    handles = [
        module.register_forward_hook(partial(watch.ran, name), with_kwargs=True)
        for name, module in layers.items()
    ]
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


class _Call(NamedTuple):
    """One run of a layer whose gradient is still to come."""

    name: str
    module: nn.Module
    inputs: Tensor
    version: int
    output: Tensor


class _Watch:
    """What happens in one batch: statistics of inputs at once, those of gradients at the end."""

    def __init__(self, found: dict[str, Statistics], mask: Tensor | None, gradients: bool) -> None:
        self.found, self.mask, self.gradients = found, mask, gradients
        self.calls: list[_Call] = []
        # The input of the last layer, and what each state of statistics became with it: layers
        # that share inputs, like query, key and value, share the work.
        self.last: tuple[Any, int] = (None, 0)
        self.became: dict[int, tuple[Calibration | None, Calibration]] = {}

    def ran(
        self, name: str, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Tensor
    ) -> Tensor | None:
        """Take in one run of a layer. Its output is replaced by a copy that keeps its gradient."""
        x: Tensor = args[0] if args else next(iter(kwargs.values()))
        with torch.no_grad():
            if isinstance(module, nn.Embedding):
                self._count(name, x, module.num_embeddings)
            else:
                self._calibrate(name, module, x)
        if not self.gradients:
            return None
        output = output if output.requires_grad else output.detach().requires_grad_()
        self.calls.append(_Call(name, module, x, x._version, output))
        return output.clone()  # what changes it in place leaves the original alone

    def _count(self, name: str, ids: Tensor, size: int) -> None:
        """Add tokens to the counts of an embedding."""
        entry = self.found.get(name, Statistics())
        ids = self._unmasked(ids, ids.shape)
        old = entry.tokens
        tokens = TokenCounts.of(ids, size=size) if old is None else old.update(ids)
        self.found[name] = entry._replace(tokens=tokens)

    def _calibrate(self, name: str, module: nn.Module, x: Tensor) -> None:
        """Add inputs to the statistics of a layer."""
        entry = self.found.get(name, Statistics())
        if self.last[0] is not x or self.last[1] != x._version or isinstance(module, CONVOLUTIONS):
            self.last, self.became = (x, x._version), {}
        old = entry.inputs
        if id(old) not in self.became:
            rows = patches(module, x)
            rows = self._unmasked(rows, rows.shape[:-1])
            new = Calibration.of(rows) if old is None else old.update(rows)
            self.became[id(old)] = (old, new)  # the old is kept so that no other gets its id
        self.found[name] = entry._replace(inputs=self.became[id(old)][1])

    def _unmasked(self, x: Tensor, tokens: torch.Size) -> Tensor:
        """Return the entries of tokens that count, where the mask has their shape."""
        return x if self.mask is None or tokens != self.mask.shape else x[self.mask]

    def spend(self, z: Tensor, random: np.random.Generator) -> None:
        """Add the gradients of the features `z`, times random signs, to the information."""
        if not z.requires_grad:
            raise ValueError("features must return a tensor that depends on the weights")
        z = z.reshape(1) if z.ndim == 0 else z
        signs = torch.as_tensor(random.integers(0, 2, size=tuple(z.shape)) * 2 - 1)
        outputs = [call.output for call in self.calls]
        total = (z * signs.to(device=z.device, dtype=z.dtype)).sum()
        gradients = torch.autograd.grad(total, outputs, allow_unused=True)
        runs: dict[str, list[tuple[_Call, Tensor]]] = {}
        for call, gradient in zip(self.calls, gradients, strict=True):
            if call.inputs._version != call.version:
                raise ValueError(
                    f"the input of {call.name!r} was changed in place while the model ran, so "
                    "its gradient cannot be had: leave it out with names="
                )
            if gradient is not None:
                runs.setdefault(call.name, []).append((call, gradient))
        for name, pairs in runs.items():
            fisher = _fisher(pairs, z.shape[0])
            entry = self.found[name]
            old = entry.fisher
            self.found[name] = entry._replace(fisher=fisher if old is None else old.merge(fisher))


def _fisher(runs: list[tuple[_Call, Tensor]], examples: int) -> Fisher:
    """Return the information in the runs of one layer on one batch; runs add up by example.

    What is not laid out by example, like an embedding of positions, counts as one: independent
    signs make the products of different examples cancel in the mean.
    """
    module = runs[0][0].module
    inputs = [call.inputs.detach() for call, _ in runs]
    if isinstance(module, nn.Embedding):
        outputs = torch.cat([_by_example(gradient, examples) for _, gradient in runs], dim=1)
        ids = torch.cat([_by_example(x[..., None], examples) for x in inputs], dim=1)[..., 0]
        fisher = Fisher.of_embedding(ids, outputs, size=module.num_embeddings)
    else:
        rows = [_by_example(patches(module, x), examples) for x in inputs]
        outputs = [_by_example(channels_last(module, g), examples) for _, g in runs]
        fisher = Fisher.of_linear(torch.cat(rows, dim=1), torch.cat(outputs, dim=1))
    return fisher._replace(n_examples=examples)


def _by_example(x: Tensor, examples: int) -> Tensor:
    """Bring (..., n) to (examples, tokens, n), or to (1, tokens, n) where that does not divide."""
    first = examples if x.ndim > 1 and x.shape[0] % examples == 0 else 1
    return x.reshape(first, -1, x.shape[-1])


def _run(model: nn.Module, batch: Any) -> Any:
    """Call the model the way the batch says."""
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple | list) else model(batch)


def _mask(batch: Any) -> Tensor | None:
    """Return which tokens count, where the batch says so."""
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    return None if mask is None else mask.bool()


def _to_numpy(x: Any) -> Any:
    """Move statistics, with all the arrays in them, to NumPy."""
    if isinstance(x, tuple):
        return type(x)(*(_to_numpy(part) for part in x))
    return np.asarray(x.numpy(force=True), order="C") if isinstance(x, Tensor) else x
