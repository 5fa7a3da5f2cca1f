"""Which methods take what."""

from __future__ import annotations

from tdecomp._errors import check_bool

# What each method cannot take.
_REFUSED = {
    "als_cg": ("nonnegative",),
    "soft_impute": ("nonnegative", "by_count"),
    "soft_impute_als": ("nonnegative", "by_count"),
    "riemannian": ("nonnegative",),
    "scaled_gd": ("nonnegative",),
}
_WHY = {
    "nonnegative": "cannot keep factors nonnegative",
    "by_count": "penalises singular values, which belong to no row",
}


def check_allowed(method: str, *, nonnegative: bool, by_count: bool) -> None:
    """Refuse what the method cannot do.

    Raises
    ------
    TypeError
        If an answer is neither yes nor no.
    ValueError
        If it is asked for.
    """
    asked = {"nonnegative": nonnegative, "by_count": by_count}
    for name, value in asked.items():
        check_bool(value, name=name)
    for name in _REFUSED.get(method, ()):
        if asked[name]:
            raise ValueError(f'method="{method}" {_WHY[name]}; pass {name}=False or method="als"')
