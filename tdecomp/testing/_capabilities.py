"""What works where: the one table behind the skips of the tests and the page on backends."""

from __future__ import annotations

from tdecomp._errors import check_choice

COLUMNS = (
    ("numpy", "eager"),
    ("array-api-strict", "eager"),
    ("torch", "eager"),
    ("torch", "grad"),
    ("jax", "eager"),
    ("jax", "jit"),
    ("jax", "grad"),
)
"""Pairs of a library and a mode that a function may be asked to work in."""

_RANK = "at fixed `rank`: an array's shape cannot depend on its values"
_PRODUCTS = "at fixed `rank` and `power`: how many products are made cannot depend on values"
_AT_RANDOM = "with `init='random'`: other starts look at values"
_ENTRIES = "how many entries there are depends on values, an array's shape cannot"
_WHOLE = "without `rtol`, and without truncation: ranks cannot depend on values"
_HOST = "SciPy takes NumPy arrays only"

_SWEEPS = "at fixed `max_iter`, plain sweeps: when to stop cannot depend on values"

CONDITIONS: dict[str, dict[str, str]] = {
    "truncated_svd": {"jit": _RANK, "grad": _RANK},
    "randomized_svd": {"jit": _PRODUCTS, "grad": _PRODUCTS},
    "weighted_svd": {"jit": _RANK, "grad": _RANK},
    "orthogonalize": {},
    "polar": {},
    "procrustes": {},
    "randomized_polar": {},
    "relative_error": {},
    "chebyshev.add": {"jit": _WHOLE, "grad": _WHOLE},
    "chebyshev.chebyshev_tucker": {},
    "chebyshev.compose": {},
    "chebyshev.cumulative_integral": {},
    "chebyshev.diff": {},
    "chebyshev.evaluate": {},
    "chebyshev.evaluate_grid": {},
    "chebyshev.fix": {},
    "chebyshev.from_cp": {"jit": _RANK, "grad": _RANK},
    "chebyshev.from_grid": {"jit": _RANK, "grad": _RANK},
    "chebyshev.from_samples": {},
    "chebyshev.gradient": {},
    "chebyshev.hessian": {},
    "chebyshev.inner": {},
    "chebyshev.integrate": {},
    "chebyshev.laplacian": {"jit": _WHOLE, "grad": _WHOLE},
    "chebyshev.maximum": {},
    "chebyshev.minimum": {},
    "chebyshev.multiply": {"jit": _WHOLE, "grad": _WHOLE},
    "chebyshev.norm": {},
    "chebyshev.permute": {},
    "chebyshev.restrict": {},
    "chebyshev.roots": {},
    "chebyshev.scale": {},
    "chebyshev.simplify": {},
    "chebyshev.sup_norm": {},
    "chebyshev.to_tucker": {},
    "chebyshev.potentials.energy": {},
    "chebyshev.potentials.energy_and_forces": {},
    "chebyshev.potentials.forces": {},
    "chebyshev.potentials.lattice_sum": {},
    "chebyshev.potentials.long_range": {},
    "chebyshev.potentials.short_range": {},
    "completion.complete": {},
    "completion.cross_validate": {},
    "completion.fold_in": {},
    "completion.implicit_als": {},
    "completion.inductive": {},
    "completion.predict": {},
    "completion.sampling.bilinear": {},
    "completion.sampling.combine": {},
    "completion.sampling.inner": {},
    "completion.sampling.recommend": {},
    "completion.sampling.sampled_matmul": {},
    "completion.sampling.sampled_svd": {},
    "completion.sampling.solve": {},
    "completion.sampling.transform": {},
    "completion.soft_impute_path": {},
    "completion.top_n": {},
    "completion.variance": {},
    "completion.variational_als": {},
    "completion.weighted_low_rank": {},
    "completion.robust.godec": {},
    "completion.robust.principal_component_pursuit": {},
    "completion.robust.scaled_gd_rpca": {},
    "completion.robust.scaled_subgradient": {},
    "completion.robust.sense": {},
    "completion.robust.subgradient": {},
    "convert.to_cp": {},
    "convert.to_svd": {"jit": _RANK, "grad": _RANK},
    "convert.to_tt": {"jit": _RANK, "grad": _RANK},
    "convert.to_tucker": {"jit": _RANK, "grad": _RANK},
    "cp.add": {},
    "cp.align": {},
    "cp.congruence": {},
    "cp.core_consistency": {},
    "cp.cp_als": {"jit": _SWEEPS, "grad": _SWEEPS},
    "cp.cp_arls": {},
    "cp.cp_gauss_newton": {},
    "cp.evaluate": {},
    "cp.factor_match_score": {},
    "cp.gcp": {},
    "cp.initialise": {"jit": _AT_RANDOM, "grad": _AT_RANDOM},
    "cp.inner": {},
    "cp.mode_product": {},
    "cp.norm": {},
    "cp.normalise": {},
    "cp.permute": {},
    "cp.section": {},
    "cp.split_half": {},
    "cp.suggest_rank": {},
    "kronecker.add": {"jit": _RANK, "grad": _RANK},
    "kronecker.butterfly": {},
    "kronecker.eigh": {},
    "kronecker.inner": {},
    "kronecker.kronecker_svd": {"jit": _RANK, "grad": _RANK},
    "kronecker.logdet": {},
    "kronecker.matmul": {"jit": _RANK, "grad": _RANK},
    "kronecker.monarch": {"jit": _RANK, "grad": _RANK},
    "kronecker.norm": {},
    "kronecker.round": {"jit": _RANK, "grad": _RANK},
    "kronecker.scale": {},
    "kronecker.solve": {},
    "kronecker.spectrum": {},
    "kronecker.suggest_shapes": {},
    "kronecker.to_linear_operator": {},
    "ops.unfold": {},
    "ops.fold": {},
    "ops.mode_product": {},
    "ops.mode_products": {},
    "ops.khatri_rao": {},
    "ops.kronecker": {},
    "ops.mttkrp": {},
    "ops.coo": {},
    "ops.from_dense": {},
    "ops.from_sparse": {},
    "ops.to_scipy": {},
    "tt.add": {},
    "tt.evaluate": {},
    "tt.hadamard": {},
    "tt.inner": {},
    "tt.maxvol": {},
    "tt.mode_product": {},
    "tt.norm": {},
    "tt.orthogonalise": {},
    "tt.round": {"jit": _RANK, "grad": _RANK},
    "tt.scale": {},
    "tt.section": {},
    "tt.tr_als": {},
    "tt.tr_svd": {"jit": _RANK, "grad": _RANK},
    "tt.tt_cross": {},
    "tt.tt_svd": {"jit": _RANK, "grad": _RANK},
    "tucker.add": {},
    "tucker.hooi": {},
    "tucker.hosvd": {"jit": _RANK, "grad": _RANK},
    "tucker.inner": {},
    "tucker.mode_product": {},
    "tucker.mode_spectra": {},
    "tucker.nonnegative_tucker": {},
    "tucker.norm": {},
    "tucker.orthogonalise": {},
    "tucker.rank_map": {},
    "tucker.scale": {},
    "tucker.section": {},
    "tucker.sthosvd": {"jit": _RANK, "grad": _RANK},
    "tucker.suggest_rank": {},
    "tucker.truncate": {"jit": _RANK, "grad": _RANK},
}
"""Every function that takes arrays, with what it asks for in a mode."""

_STEPS = "how many steps are made depends on values"
_ASSIGNMENT = "components are assigned on the host"
_DRAWN = "rows are drawn by their values"
_CHOSEN = "rows are chosen by their values"
_FIBRES = "degrees, ranks and fibres are chosen by values"
_NEAR = "which particles are near depends on values"
_NEEDED = "the ranks that are needed depend on values"
_SEARCH = "where to search depends on values: differentiate `chebyshev.evaluate` at what is found"
_RANKS = "ranks are compared on the host"
_SHAPES = "shapes are compared on the host"

LIMITS: dict[tuple[str, str, str], str] = {
    ("chebyshev.chebyshev_tucker", "torch", "grad"): _FIBRES,
    ("chebyshev.chebyshev_tucker", "jax", "jit"): _FIBRES,
    ("chebyshev.chebyshev_tucker", "jax", "grad"): _FIBRES,
    ("chebyshev.compose", "torch", "grad"): _FIBRES,
    ("chebyshev.compose", "jax", "jit"): _FIBRES,
    ("chebyshev.compose", "jax", "grad"): _FIBRES,
    ("chebyshev.from_samples", "torch", "grad"): _STEPS,
    ("chebyshev.from_samples", "jax", "jit"): _STEPS,
    ("chebyshev.from_samples", "jax", "grad"): _STEPS,
    ("chebyshev.maximum", "torch", "grad"): _SEARCH,
    ("chebyshev.maximum", "jax", "jit"): _SEARCH,
    ("chebyshev.maximum", "jax", "grad"): _SEARCH,
    ("chebyshev.minimum", "torch", "grad"): _SEARCH,
    ("chebyshev.minimum", "jax", "jit"): _SEARCH,
    ("chebyshev.minimum", "jax", "grad"): _SEARCH,
    ("chebyshev.roots", "torch", "grad"): _SEARCH,
    ("chebyshev.roots", "jax", "jit"): _SEARCH,
    ("chebyshev.roots", "jax", "grad"): _SEARCH,
    ("chebyshev.simplify", "torch", "grad"): _NEEDED,
    ("chebyshev.simplify", "jax", "jit"): _NEEDED,
    ("chebyshev.simplify", "jax", "grad"): _NEEDED,
    ("chebyshev.sup_norm", "torch", "grad"): _SEARCH,
    ("chebyshev.sup_norm", "jax", "jit"): _SEARCH,
    ("chebyshev.sup_norm", "jax", "grad"): _SEARCH,
    ("chebyshev.potentials.energy", "jax", "jit"): _NEEDED,
    ("chebyshev.potentials.energy", "jax", "grad"): _NEEDED,
    ("chebyshev.potentials.energy_and_forces", "jax", "jit"): _NEEDED,
    ("chebyshev.potentials.energy_and_forces", "jax", "grad"): _NEEDED,
    ("chebyshev.potentials.forces", "jax", "jit"): _NEEDED,
    ("chebyshev.potentials.forces", "jax", "grad"): _NEEDED,
    ("chebyshev.potentials.lattice_sum", "jax", "jit"): _NEEDED,
    ("chebyshev.potentials.lattice_sum", "jax", "grad"): _NEEDED,
    ("chebyshev.potentials.long_range", "jax", "jit"): _NEEDED,
    ("chebyshev.potentials.long_range", "jax", "grad"): _NEEDED,
    ("chebyshev.potentials.short_range", "jax", "jit"): _NEAR,
    ("chebyshev.potentials.short_range", "jax", "grad"): _NEAR,
    ("completion.complete", "jax", "jit"): _STEPS,
    ("completion.complete", "jax", "grad"): _STEPS,
    ("completion.sampling.bilinear", "torch", "grad"): _DRAWN,
    ("completion.sampling.bilinear", "jax", "jit"): _DRAWN,
    ("completion.sampling.bilinear", "jax", "grad"): _DRAWN,
    ("completion.sampling.combine", "torch", "grad"): _DRAWN,
    ("completion.sampling.combine", "jax", "jit"): _DRAWN,
    ("completion.sampling.combine", "jax", "grad"): _DRAWN,
    ("completion.sampling.inner", "torch", "grad"): _DRAWN,
    ("completion.sampling.inner", "jax", "jit"): _DRAWN,
    ("completion.sampling.inner", "jax", "grad"): _DRAWN,
    ("completion.sampling.recommend", "torch", "grad"): _DRAWN,
    ("completion.sampling.recommend", "jax", "jit"): _DRAWN,
    ("completion.sampling.recommend", "jax", "grad"): _DRAWN,
    ("completion.sampling.sampled_matmul", "torch", "grad"): _DRAWN,
    ("completion.sampling.sampled_matmul", "jax", "jit"): _DRAWN,
    ("completion.sampling.sampled_matmul", "jax", "grad"): _DRAWN,
    ("completion.sampling.sampled_svd", "torch", "grad"): _DRAWN,
    ("completion.sampling.sampled_svd", "jax", "jit"): _DRAWN,
    ("completion.sampling.sampled_svd", "jax", "grad"): _DRAWN,
    ("completion.sampling.solve", "torch", "grad"): _DRAWN,
    ("completion.sampling.solve", "jax", "jit"): _DRAWN,
    ("completion.sampling.solve", "jax", "grad"): _DRAWN,
    ("completion.sampling.transform", "torch", "grad"): _DRAWN,
    ("completion.sampling.transform", "jax", "jit"): _DRAWN,
    ("completion.sampling.transform", "jax", "grad"): _DRAWN,
    ("completion.cross_validate", "jax", "jit"): _STEPS,
    ("completion.cross_validate", "jax", "grad"): _STEPS,
    ("completion.fold_in", "jax", "jit"): _STEPS,
    ("completion.fold_in", "jax", "grad"): _STEPS,
    ("completion.implicit_als", "jax", "jit"): _STEPS,
    ("completion.implicit_als", "jax", "grad"): _STEPS,
    ("completion.soft_impute_path", "jax", "jit"): _STEPS,
    ("completion.soft_impute_path", "jax", "grad"): _STEPS,
    ("completion.inductive", "torch", "grad"): _STEPS,
    ("completion.inductive", "jax", "jit"): _STEPS,
    ("completion.inductive", "jax", "grad"): _STEPS,
    ("completion.variance", "jax", "jit"): _STEPS,
    ("completion.variational_als", "torch", "grad"): _STEPS,
    ("completion.variational_als", "jax", "jit"): _STEPS,
    ("completion.variational_als", "jax", "grad"): _STEPS,
    ("completion.weighted_low_rank", "torch", "grad"): _STEPS,
    ("completion.weighted_low_rank", "jax", "jit"): _STEPS,
    ("completion.weighted_low_rank", "jax", "grad"): _STEPS,
    ("completion.robust.godec", "jax", "jit"): _STEPS,
    ("completion.robust.godec", "jax", "grad"): _STEPS,
    ("completion.robust.principal_component_pursuit", "torch", "grad"): _STEPS,
    ("completion.robust.principal_component_pursuit", "jax", "jit"): _STEPS,
    ("completion.robust.principal_component_pursuit", "jax", "grad"): _STEPS,
    ("completion.robust.scaled_gd_rpca", "jax", "jit"): _STEPS,
    ("completion.robust.scaled_gd_rpca", "jax", "grad"): _STEPS,
    ("completion.robust.scaled_subgradient", "torch", "grad"): _STEPS,
    ("completion.robust.scaled_subgradient", "jax", "jit"): _STEPS,
    ("completion.robust.scaled_subgradient", "jax", "grad"): _STEPS,
    ("completion.robust.sense", "torch", "grad"): _STEPS,
    ("completion.robust.sense", "jax", "jit"): _STEPS,
    ("completion.robust.sense", "jax", "grad"): _STEPS,
    ("completion.robust.subgradient", "jax", "jit"): _STEPS,
    ("completion.robust.subgradient", "jax", "grad"): _STEPS,
    ("cp.align", "jax", "jit"): _ASSIGNMENT,
    ("cp.align", "jax", "grad"): _ASSIGNMENT,
    ("cp.cp_gauss_newton", "torch", "grad"): _STEPS,
    ("cp.cp_gauss_newton", "jax", "jit"): _STEPS,
    ("cp.cp_gauss_newton", "jax", "grad"): _STEPS,
    ("cp.cp_arls", "torch", "grad"): _DRAWN,
    ("cp.cp_arls", "jax", "jit"): _DRAWN,
    ("cp.cp_arls", "jax", "grad"): _DRAWN,
    ("cp.factor_match_score", "torch", "grad"): _ASSIGNMENT,
    ("cp.factor_match_score", "jax", "jit"): _ASSIGNMENT,
    ("cp.factor_match_score", "jax", "grad"): _ASSIGNMENT,
    ("cp.gcp", "torch", "grad"): _STEPS,
    ("cp.gcp", "jax", "jit"): _STEPS,
    ("cp.gcp", "jax", "grad"): _STEPS,
    ("cp.split_half", "torch", "grad"): _ASSIGNMENT,
    ("cp.split_half", "jax", "jit"): _ASSIGNMENT,
    ("cp.split_half", "jax", "grad"): _ASSIGNMENT,
    ("cp.suggest_rank", "torch", "grad"): _STEPS,
    ("cp.suggest_rank", "jax", "jit"): _STEPS,
    ("cp.suggest_rank", "jax", "grad"): _STEPS,
    ("kronecker.suggest_shapes", "torch", "grad"): _SHAPES,
    ("kronecker.suggest_shapes", "jax", "jit"): _SHAPES,
    ("kronecker.suggest_shapes", "jax", "grad"): _SHAPES,
    ("kronecker.to_linear_operator", "array-api-strict", "eager"): _HOST,
    ("kronecker.to_linear_operator", "torch", "eager"): _HOST,
    ("kronecker.to_linear_operator", "torch", "grad"): _HOST,
    ("kronecker.to_linear_operator", "jax", "eager"): _HOST,
    ("kronecker.to_linear_operator", "jax", "jit"): _HOST,
    ("kronecker.to_linear_operator", "jax", "grad"): _HOST,
    ("ops.coo", "jax", "jit"): _ENTRIES,
    ("ops.from_dense", "jax", "jit"): _ENTRIES,
    ("ops.from_sparse", "jax", "jit"): _ENTRIES,
    ("ops.to_scipy", "array-api-strict", "eager"): _HOST,
    ("ops.to_scipy", "torch", "eager"): _HOST,
    ("ops.to_scipy", "torch", "grad"): _HOST,
    ("ops.to_scipy", "jax", "eager"): _HOST,
    ("ops.to_scipy", "jax", "jit"): _HOST,
    ("ops.to_scipy", "jax", "grad"): _HOST,
    ("tt.maxvol", "jax", "jit"): _CHOSEN,
    ("tt.tr_als", "jax", "jit"): _STEPS,
    ("tt.tr_als", "jax", "grad"): _STEPS,
    ("tt.tt_cross", "torch", "grad"): _CHOSEN,
    ("tt.tt_cross", "jax", "jit"): _CHOSEN,
    ("tt.tt_cross", "jax", "grad"): _CHOSEN,
    ("tucker.hooi", "torch", "grad"): _STEPS,
    ("tucker.hooi", "jax", "jit"): _STEPS,
    ("tucker.hooi", "jax", "grad"): _STEPS,
    ("tucker.nonnegative_tucker", "torch", "grad"): _STEPS,
    ("tucker.nonnegative_tucker", "jax", "jit"): _STEPS,
    ("tucker.nonnegative_tucker", "jax", "grad"): _STEPS,
    ("tucker.rank_map", "torch", "grad"): _RANKS,
    ("tucker.rank_map", "jax", "jit"): _RANKS,
    ("tucker.rank_map", "jax", "grad"): _RANKS,
    ("tucker.suggest_rank", "torch", "grad"): _RANKS,
    ("tucker.suggest_rank", "jax", "jit"): _RANKS,
    ("tucker.suggest_rank", "jax", "grad"): _RANKS,
}
"""What does not work, with the reason, by function, library and mode."""


def limitation(function: str, library: str, mode: str = "eager") -> str | None:
    """Return why `function` does not work with `library` in `mode`, or None if it does.

    Parameters
    ----------
    function : str
        Its name within the package: ``'truncated_svd'``, ``'ops.unfold'``.
    library : str
        One of ``'numpy'``, ``'array-api-strict'``, ``'torch'``, ``'jax'``.
    mode : {'eager', 'jit', 'grad'}
        As it is, compiled, or differentiated.

    Returns
    -------
    str or None
        The reason.

    Raises
    ------
    ValueError
        If the table has no such function.

    Examples
    --------
    >>> from tdecomp.testing import limitation
    >>> limitation("truncated_svd", "jax", "jit") is None
    True
    >>> limitation("truncated_svd", "numpy", "jit")
    'numpy has no jit'
    """
    check_choice(function, tuple(CONDITIONS), name="function")
    if (library, mode) not in COLUMNS:
        return f"{library} has no {mode}"
    return LIMITS.get((function, library, mode))


def capabilities_table() -> str:
    """Render the table as Markdown, reasons and conditions as numbered notes below it.

    Returns
    -------
    str
        One row for each function, one column for each library and mode.

    Examples
    --------
    >>> from tdecomp.testing import capabilities_table
    >>> print(capabilities_table().splitlines()[0])
    | function | numpy | array-api-strict | torch | torch grad | jax | jax jit | jax grad |
    """
    notes: list[str] = []

    def cell(function: str, library: str, mode: str) -> str:
        limit = limitation(function, library, mode)
        note = limit or CONDITIONS[function].get(mode)
        mark = "no" if limit else "yes"
        if note is None:
            return mark
        if note not in notes:
            notes.append(note)
        return f"{mark} ({notes.index(note) + 1})"

    heads = [f"{library} {mode}".removesuffix(" eager") for library, mode in COLUMNS]
    rows = [
        [f"`{function}`", *(cell(function, *column) for column in COLUMNS)]
        for function in CONDITIONS
    ]
    lines = [["function", *heads], ["---"] * (1 + len(heads)), *rows]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*table, "", *(f"{i}. {note}" for i, note in enumerate(notes, start=1)), ""])
