"""Estimators beside those of scikit-learn: how long they take, and how well they guess."""

from __future__ import annotations

import warnings

import numpy as np

from ._contenders import available_threads, clock_for, medians, pinned
from ._problems import FULL

SHAPES = ((5000, 100), (1000, 400)) if FULL else ((300, 20),)
NAMES = tuple(f"{m}x{n}" for m, n in SHAPES)
MISSING = 0.2


def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw data of rank 8 in noise, and which of their entries are missing."""
    m, n = map(int, name.split("x"))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((m, 8)) @ rng.standard_normal((8, n))
    return x + rng.standard_normal((m, n)), rng.random((m, n)) < MISSING


class Imputation:
    """Time and error of what is missing, relative to those of a peer."""

    params = (NAMES, ("mean", "neighbours", "iterative"))
    param_names = ("shape", "peer")
    timeout = 1200
    repeats = 3 if FULL else 1

    def setup(self, shape: str, peer: str) -> None:
        try:
            from sklearn.experimental import enable_iterative_imputer  # noqa: F401
            from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

            from tdecomp.sklearn import LowRankImputer
        except ImportError:
            raise NotImplementedError from None  # asv's word for a benchmark to skip
        peers = {
            "mean": SimpleImputer(),
            "neighbours": KNNImputer(),
            "iterative": IterativeImputer(random_state=0, n_nearest_features=20, max_iter=3),
        }
        self.x, self.missing = table(shape)
        self.known = np.where(self.missing, np.nan, self.x)
        self.ours, self.theirs = LowRankImputer(random_state=0), peers[peer]

    def error(self, imputer: object) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # three rounds of the peer are few
            gap = imputer.fit_transform(self.known) - self.x  # type: ignore[attr-defined]
        return float(np.linalg.norm(gap[self.missing]))

    def track_time_ratio(self, shape: str, peer: str) -> float:
        runs = {"ours": lambda: self.error(self.ours), "theirs": lambda: self.error(self.theirs)}
        threads = available_threads()
        with pinned(threads, ("sklearn",)):
            times = medians(runs, self.repeats, clock_for(threads))
        return times["theirs"] / times["ours"]

    def track_error_ratio(self, shape: str, peer: str) -> float:
        return self.error(self.ours) / self.error(self.theirs)

    track_time_ratio.unit = "times as long"
    track_error_ratio.unit = "1"


class RealTables:
    """Errors of a missing fifth of real data over those of means: the table of the page."""

    params = (
        ("iris", "wine", "breast_cancer", "diabetes", "digits") if FULL else ("iris",),
        ("LowRankImputer", "KNNImputer", "IterativeImputer"),
    )
    param_names = ("data", "imputer")
    timeout = 600

    def setup(self, data: str, imputer: str) -> None:
        try:
            from sklearn import datasets
            from sklearn.experimental import enable_iterative_imputer  # noqa: F401
            from sklearn.impute import IterativeImputer, KNNImputer

            from tdecomp.sklearn import LowRankImputer
        except ImportError:
            raise NotImplementedError from None
        x = getattr(datasets, f"load_{data}")().data
        x = x[:, x.std(axis=0) > 0]
        self.x = ((x - x.mean(axis=0)) / x.std(axis=0))[:600]
        self.missing = np.random.default_rng(0).random(self.x.shape) < MISSING
        near = 10 if data == "digits" else None
        self.imputer = {
            "LowRankImputer": LowRankImputer(random_state=0),
            "KNNImputer": KNNImputer(),
            "IterativeImputer": IterativeImputer(
                random_state=0, max_iter=5 if FULL else 1, n_nearest_features=near
            ),
        }[imputer]

    def track_error(self, data: str, imputer: str) -> float:
        from sklearn.impute import SimpleImputer

        known = np.where(self.missing, np.nan, self.x)
        errors = []
        for each in (self.imputer, SimpleImputer()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # few rounds of the peer
                gap = each.fit_transform(known) - self.x
            errors.append(float(np.linalg.norm(gap[self.missing])))
        return errors[0] / errors[1]

    track_error.unit = "over that of means"


class Components:
    """The time of PCA over that of weighted and multilinear components without weights."""

    params = (NAMES, ("WeightedPCA", "TuckerTransformer"))
    param_names = ("shape", "estimator")
    repeats = 3 if FULL else 1

    def setup(self, shape: str, estimator: str) -> None:
        try:
            from sklearn.decomposition import PCA

            from tdecomp import sklearn
        except ImportError:
            raise NotImplementedError from None
        self.x, _ = table(shape)
        self.ours = getattr(sklearn, estimator)(n_components=8)
        self.theirs = PCA(n_components=8, svd_solver="full")

    def track_time_ratio(self, shape: str, estimator: str) -> float:
        runs = {
            "ours": lambda: self.ours.fit_transform(self.x),
            "theirs": lambda: self.theirs.fit_transform(self.x),
        }
        threads = available_threads()
        with pinned(threads, ("sklearn",)):
            times = medians(runs, self.repeats, clock_for(threads))
        return times["theirs"] / times["ours"]

    def peakmem_fit(self, shape: str, estimator: str) -> None:
        self.ours.fit(self.x)

    track_time_ratio.unit = "times as long"


class IncompleteComponents:
    """Components of what is known against those of data whose gaps are filled by means."""

    params = (NAMES,)
    param_names = ("shape",)
    repeats = 3 if FULL else 1

    def setup(self, shape: str) -> None:
        try:
            from sklearn.decomposition import PCA
            from sklearn.impute import SimpleImputer
            from sklearn.pipeline import make_pipeline

            from tdecomp.sklearn import WeightedPCA
        except ImportError:
            raise NotImplementedError from None
        self.x, self.missing = table(shape)
        self.known = np.where(self.missing, np.nan, self.x)
        self.ours = WeightedPCA(n_components=8)
        self.pca = PCA(n_components=8, svd_solver="full")
        self.theirs = make_pipeline(SimpleImputer(), self.pca)

    def error(self, scores: np.ndarray, pca: object) -> float:
        gap = pca.inverse_transform(scores) - self.x  # type: ignore[attr-defined]
        return float(np.linalg.norm(gap[self.missing]))

    def track_time_ratio(self, shape: str) -> float:
        runs = {
            "ours": lambda: self.ours.fit_transform(self.known),
            "theirs": lambda: self.theirs.fit_transform(self.known),
        }
        threads = available_threads()
        with pinned(threads, ("sklearn",)):
            times = medians(runs, self.repeats, clock_for(threads))
        return times["theirs"] / times["ours"]

    def track_error_ratio(self, shape: str) -> float:
        ours = self.error(self.ours.fit_transform(self.known), self.ours)
        return ours / self.error(self.theirs.fit_transform(self.known), self.pca)

    track_time_ratio.unit = "times as long"
    track_error_ratio.unit = "1"
