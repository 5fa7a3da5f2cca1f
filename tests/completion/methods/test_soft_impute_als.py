"""Soft-impute by alternating least squares: what its steps lower, and what they show."""

import numpy as np

import tdecomp as td
from tdecomp.completion import _complete


def test_what_is_shown_is_lower_than_the_steps_though_it_may_rise(monkeypatch):
    """With F of models M and what is shown of them S: F(S') <= F(M') <= F(M), and no more."""
    rng, penalty = np.random.default_rng(33), 8.0
    x = rng.standard_normal((12, 2)) @ rng.standard_normal((2, 9))
    x = np.where(rng.random(x.shape) < 0.6, x + rng.standard_normal(x.shape), np.nan)
    methods, steps, shown = _complete.METHODS, [], []
    plain = methods["soft_impute_als"]

    def watched(problem):
        solver = plain(problem)

        def step(state):
            made = solver.step(state)
            steps.append(made.merit**2 * np.nansum(x**2))
            return made

        return solver._replace(step=step)

    def watch(progress):
        z = progress.tensor.to_array()
        nuclear = np.linalg.svd(z, compute_uv=False).sum()
        shown.append(np.nansum((x - z) ** 2) + 2 * penalty * nuclear)

    monkeypatch.setitem(methods, "soft_impute_als", watched)
    options = {"rank": 6, "regularization": penalty, "method": "soft_impute_als", "rng": 0}
    td.complete(x, max_iter=40, tol=-1, callback=watch, **options)
    steps, shown = np.asarray(steps), np.asarray(shown)
    rounding = 1e-13 * shown[0]
    assert steps.size == shown.size
    assert np.all(np.diff(steps) <= rounding)
    assert np.all(shown <= steps + rounding)
    # What is shown is refined, and no start of a step: it may rise by what refinement had gained.
    assert np.max(np.diff(shown)) > 1e-5 * shown[0]
    assert np.all(shown[1:] <= steps[:-1] + rounding)
