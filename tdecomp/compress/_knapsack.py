r"""One option for each item, least total error within a budget: exact multiple-choice knapsack.

With a price :math:`\lambda \ge 0` on a unit of cost, and :math:`d` the amount by which the priced
error :math:`e + \lambda c` of an option exceeds the least of its item, every choice satisfies

.. math:: \text{error} = \text{bound} + \sum d + \lambda \cdot (\text{budget} - \text{cost}) .

So an optimum within :math:`g` of the bound uses options with :math:`d \le g` only. Sums of those
are enumerated item by item. A sum is dropped if another costs less and errs less, or if it cannot
end within :math:`g`: the convex hulls of the items to come tell the least error that the rest of
the budget can buy. The window :math:`g` starts small and grows until something is found in it,
which then is the optimum.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Ints: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_STATES = 1 << 15
"""How many sums are carried along; beyond it the result is near the optimum, with a proven gap."""

_WINDOWS = 7
"""How often the first window may be widened, fourfold each time, to reach the first guess."""


class Item(NamedTuple):
    """The options of one item: costs ascending strictly, errors descending strictly."""

    costs: Ints
    errors: Floats

    def take(self, some: Ints) -> Item:
        """Return some of the options."""
        return Item(self.costs[some], self.errors[some])


class Choice(NamedTuple):
    """Which option each item gets, and a proven lower bound on the error of all choices."""

    options: tuple[int, ...]
    bound: float


def choose(items: list[Item], budget: int) -> Choice:
    """Return the choice of least error; its bound equals the error if nothing had to be dropped.

    The cheapest options together must fit the budget.
    """
    steps = _steps(items)
    options = _greedy(items, steps, budget)
    error = _total(items, options)
    dual = _relax(items, steps, budget)
    if dual.price == 0.0:
        return Choice(options, error)
    # What rounding may add to an excess, a difference of numbers that add up to this.
    slack = 16 * np.finfo(float).eps * (abs(dual.bound) + 2 * dual.price * budget)
    gap, empty = error - dual.bound, 0.0
    for widenings in range(_WINDOWS + 1):
        window = gap / 4.0 ** (_WINDOWS - widenings)
        found, complete = _enumerate(items, dual, budget, window + slack)
        if found is not None and _total(items, found) < error:
            options, error = found, _total(items, found)
        if not complete:
            return Choice(options, min(error, dual.bound + empty))
        if found is not None:
            break
        empty = window
    return Choice(options, error)


def _total(items: list[Item], options: tuple[int, ...]) -> float:
    """Add up the errors of the chosen options."""
    return float(sum(item.errors[k] for item, k in zip(items, options, strict=True)))


class _Steps(NamedTuple):
    """The edges of all lower convex hulls, steepest first: from one option to another."""

    item: Ints
    target: Ints
    cost: Ints
    slope: Floats


def _hull(item: Item) -> list[int]:
    """Return the options on the lower convex hull of cost against error."""
    hull: list[int] = []
    c, e = item.costs.tolist(), item.errors.tolist()
    for k in range(len(c)):
        while len(hull) > 1:
            i, j = hull[-2:]
            if (e[i] - e[j]) * (c[k] - c[j]) > (e[j] - e[k]) * (c[j] - c[i]):
                break
            hull.pop()
        hull.append(k)
    return hull


def _steps(items: list[Item]) -> _Steps:
    """Sort the edges of all hulls by how much error a unit of cost removes."""
    who, target, cost, slope = [], [], [], []
    for index, item in enumerate(items):
        hull = np.asarray(_hull(item))
        price = np.diff(item.costs[hull])
        who.append(np.full(price.size, index))
        target.append(hull[1:])
        cost.append(price)
        # The minimum keeps edges of one item in their order where rounding would not.
        slope.append(np.minimum.accumulate(-np.diff(item.errors[hull]) / price))
    joined = [np.concatenate(parts) for parts in (who, target, cost, slope)]
    order = np.argsort(-joined[3], kind="stable")
    return _Steps(*(part[order] for part in joined))


class _Dual(NamedTuple):
    """The Lagrangian relaxation at its best price."""

    price: float
    bound: float
    excess: list[Floats]


def _relax(items: list[Item], steps: _Steps, budget: int) -> _Dual:
    """Find the price at which the hulls spend the budget; it maximises the Lagrangian bound."""
    spent = sum(int(item.costs[0]) for item in items) + np.cumsum(steps.cost)
    over = np.flatnonzero(spent > budget)
    price = float(steps.slope[over[0]]) if over.size else 0.0
    priced = [item.errors + price * item.costs for item in items]
    least = [float(values.min()) for values in priced]
    excess = [values - low for values, low in zip(priced, least, strict=True)]
    return _Dual(price, sum(least) - price * budget, excess)


def _greedy(items: list[Item], steps: _Steps, budget: int) -> tuple[int, ...]:
    """Climb the hulls, steepest edge first, past those that no longer fit."""
    options = [0] * len(items)
    left = budget - sum(int(item.costs[0]) for item in items)
    closed = set()
    for who, target, cost in zip(*(part.tolist() for part in steps[:3]), strict=True):
        if who in closed or cost > left:
            closed.add(who)
            continue
        options[who] = target
        left -= cost
    return tuple(options)


class _Sums(NamedTuple):
    """Partial choices, cheapest first, and where each came from."""

    cost: Ints
    error: Floats
    parent: Ints
    option: Ints


def _enumerate(
    items: list[Item], dual: _Dual, budget: int, window: float
) -> tuple[tuple[int, ...] | None, bool]:
    """Return the best choice within `window` of the bound, and whether nothing was dropped."""
    kept = [np.flatnonzero(excess <= window) for excess in dual.excess]
    few = [item.take(some) for item, some in zip(items, kept, strict=True)]
    steps = _steps(few)
    longest = np.zeros(len(items), dtype=np.int64)
    np.maximum.at(longest, steps.item, steps.cost)
    order = np.argsort(-longest, kind="stable")  # where hulls are coarse their bound is weak
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    zero = np.zeros(1, dtype=np.int64)
    sums = _Sums(zero, np.zeros(1), zero, zero)
    trail, complete = [], True
    for place, index in enumerate(order):
        sums = _extended(sums, few[index])
        ahead = _Steps(*(part[rank[steps.item] > place] for part in steps))
        promise = sums.error + _least(
            ahead, [few[i] for i in order[place + 1 :]], budget - sums.cost
        )
        sums, promise = _undominated(sums, promise, dual.bound + window)
        if sums.cost.size > _STATES:
            best = np.sort(np.argpartition(promise, _STATES)[:_STATES])
            sums, complete = _Sums(*(part[best] for part in sums)), False
        if not sums.cost.size:
            return None, complete
        trail.append(sums)
    at = int(np.argmin(sums.error))
    chosen = [0] * len(items)
    for index, sums in zip(reversed(order), reversed(trail), strict=True):
        chosen[index] = int(kept[index][sums.option[at]])
        at = int(sums.parent[at])
    return tuple(chosen), complete


def _extended(sums: _Sums, options: Item) -> _Sums:
    """Add each option of the next item to each partial choice."""
    parent, option = np.divmod(np.arange(sums.cost.size * options.costs.size), options.costs.size)
    cost = sums.cost[parent] + options.costs[option]
    return _Sums(cost, sums.error[parent] + options.errors[option], parent, option)


def _least(steps: _Steps, items: list[Item], left: Ints) -> Floats:
    """Return the least error of convex `items` for each budget `left`, infinite if too small."""
    cheapest = sum(int(item.costs[0]) for item in items)
    worst = sum(float(item.errors[0]) for item in items)
    spent = np.append(0, np.cumsum(steps.cost))
    # Summed from the end, where the errors that remain are small.
    rest = sum(float(item.errors[-1]) for item in items)
    remaining = np.append(np.cumsum((steps.cost * steps.slope)[::-1])[::-1], 0.0) + rest
    least = np.interp(left - cheapest, spent, remaining) if items else np.zeros(left.size)
    return np.where(left >= cheapest, np.minimum(least, worst), np.inf)


def _undominated(sums: _Sums, promise: Floats, limit: float) -> tuple[_Sums, Floats]:
    """Keep what may end within `limit` and no other partial choice beats in cost and error."""
    among = np.flatnonzero(promise <= limit)
    order = among[np.lexsort((sums.error[among], sums.cost[among]))]
    error = sums.error[order]
    first = np.ones(error.size, dtype=bool)
    first[1:] = error[1:] < np.minimum.accumulate(error)[:-1]
    order = order[first]
    return _Sums(*(part[order] for part in sums)), promise[order]
