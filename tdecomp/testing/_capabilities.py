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

FUNCTIONS = tuple(
    """
    truncated_svd randomized_svd weighted_svd orthogonalize polar procrustes randomized_polar
    relative_error
    chebyshev.add chebyshev.chebyshev_tucker chebyshev.compose chebyshev.cumulative_integral
    chebyshev.diff chebyshev.evaluate chebyshev.evaluate_grid chebyshev.fix chebyshev.from_cp
    chebyshev.from_grid chebyshev.from_samples chebyshev.gradient chebyshev.hessian
    chebyshev.inner chebyshev.integrate chebyshev.laplacian chebyshev.maximum chebyshev.minimum
    chebyshev.multiply chebyshev.norm chebyshev.permute chebyshev.restrict chebyshev.roots
    chebyshev.scale chebyshev.simplify chebyshev.sup_norm chebyshev.to_tucker
    chebyshev.potentials.energy chebyshev.potentials.energy_and_forces chebyshev.potentials.forces
    chebyshev.potentials.lattice_sum chebyshev.potentials.long_range
    chebyshev.potentials.short_range
    completion.complete completion.cross_validate completion.fold_in completion.implicit_als
    completion.inductive completion.predict completion.soft_impute_path completion.top_n
    completion.variance completion.variational_als completion.weighted_low_rank
    completion.sampling.bilinear completion.sampling.combine completion.sampling.inner
    completion.sampling.recommend completion.sampling.sampled_matmul
    completion.sampling.sampled_svd completion.sampling.solve completion.sampling.transform
    completion.robust.godec completion.robust.principal_component_pursuit
    completion.robust.scaled_gd_rpca completion.robust.scaled_subgradient completion.robust.sense
    completion.robust.subgradient
    convert.to_cp convert.to_svd convert.to_tt convert.to_tucker
    cp.add cp.align cp.congruence cp.core_consistency cp.cp_als cp.cp_arls cp.cp_gauss_newton
    cp.evaluate cp.factor_match_score cp.gcp cp.initialise cp.inner cp.mode_product cp.norm
    cp.normalise cp.permute cp.section cp.split_half cp.suggest_rank
    kronecker.add kronecker.butterfly kronecker.eigh kronecker.inner kronecker.kronecker_svd
    kronecker.logdet kronecker.matmul kronecker.monarch kronecker.norm kronecker.round
    kronecker.scale kronecker.solve kronecker.spectrum kronecker.suggest_shapes
    kronecker.to_linear_operator
    ops.unfold ops.fold ops.mode_product ops.mode_products ops.khatri_rao ops.kronecker ops.mttkrp
    ops.coo ops.from_dense ops.from_sparse ops.to_scipy
    tt.add tt.evaluate tt.hadamard tt.inner tt.maxvol tt.mode_product tt.norm tt.orthogonalise
    tt.round tt.scale tt.section tt.tr_als tt.tr_svd tt.tt_cross tt.tt_svd
    tucker.add tucker.hooi tucker.hosvd tucker.inner tucker.mode_product tucker.mode_spectra
    tucker.nonnegative_tucker tucker.norm tucker.orthogonalise tucker.rank_map tucker.scale
    tucker.section tucker.sthosvd tucker.suggest_rank tucker.truncate
    """.split()
)
"""Every function that takes arrays."""

_RANK = "at fixed `rank`: an array's shape cannot depend on its values"
_PRODUCTS = "at fixed `rank` and `power`: how many products are made cannot depend on values"
_AT_RANDOM = "with `init='random'`: other starts look at values"
_WHOLE = "without `rtol`, and without truncation: ranks cannot depend on values"
_SWEEPS = "at fixed `max_iter`, plain sweeps: when to stop cannot depend on values"

CONDITIONS = {
    function: reason
    for reason, functions in {
        _RANK: """
            truncated_svd weighted_svd
            chebyshev.from_cp chebyshev.from_grid
            convert.to_svd convert.to_tt convert.to_tucker
            kronecker.add kronecker.kronecker_svd kronecker.matmul kronecker.monarch
            kronecker.round
            tt.round tt.tr_svd tt.tt_svd
            tucker.hosvd tucker.sthosvd tucker.truncate
        """,
        _PRODUCTS: """
            randomized_svd
        """,
        _WHOLE: """
            chebyshev.add chebyshev.laplacian chebyshev.multiply
        """,
        _SWEEPS: """
            cp.cp_als
        """,
        _AT_RANDOM: """
            cp.initialise
        """,
    }.items()
    for function in functions.split()
}
"""What a function asks for where it is compiled or differentiated."""

_ENTRIES = "how many entries there are depends on values, an array's shape cannot"
_HOST = "SciPy takes NumPy arrays only"
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

_COMPILED = (("jax", "jit"),)
_TRACED = (("jax", "jit"), ("jax", "grad"))
_DIFFERENTIATED = (("torch", "grad"), *_TRACED)

LIMITS = {
    (function, *column): reason
    for (reason, columns), functions in {
        (_FIBRES, _DIFFERENTIATED): """
            chebyshev.chebyshev_tucker chebyshev.compose
        """,
        (_STEPS, _DIFFERENTIATED): """
            chebyshev.from_samples
            completion.inductive completion.variational_als completion.weighted_low_rank
            completion.robust.principal_component_pursuit completion.robust.scaled_subgradient
            completion.robust.sense
            cp.cp_gauss_newton cp.gcp cp.suggest_rank
            tucker.hooi tucker.nonnegative_tucker
        """,
        (_SEARCH, _DIFFERENTIATED): """
            chebyshev.maximum chebyshev.minimum chebyshev.roots chebyshev.sup_norm
        """,
        (_NEEDED, _DIFFERENTIATED): """
            chebyshev.simplify
        """,
        (_NEEDED, _TRACED): """
            chebyshev.potentials.energy chebyshev.potentials.energy_and_forces
            chebyshev.potentials.forces chebyshev.potentials.lattice_sum
            chebyshev.potentials.long_range
        """,
        (_NEAR, _TRACED): """
            chebyshev.potentials.short_range
        """,
        (_STEPS, _TRACED): """
            completion.complete completion.cross_validate completion.fold_in
            completion.implicit_als completion.soft_impute_path
            completion.robust.godec completion.robust.scaled_gd_rpca completion.robust.subgradient
            tt.tr_als
        """,
        (_DRAWN, _DIFFERENTIATED): """
            completion.sampling.bilinear completion.sampling.combine completion.sampling.inner
            completion.sampling.recommend completion.sampling.sampled_matmul
            completion.sampling.sampled_svd completion.sampling.solve
            completion.sampling.transform
            cp.cp_arls
        """,
        (_STEPS, _COMPILED): """
            completion.variance
        """,
        (_ASSIGNMENT, _TRACED): """
            cp.align
        """,
        (_ASSIGNMENT, _DIFFERENTIATED): """
            cp.factor_match_score cp.split_half
        """,
        (_SHAPES, _DIFFERENTIATED): """
            kronecker.suggest_shapes
        """,
        (_HOST, COLUMNS[1:]): """
            kronecker.to_linear_operator
            ops.to_scipy
        """,
        (_ENTRIES, _COMPILED): """
            ops.coo ops.from_dense ops.from_sparse
        """,
        (_CHOSEN, _COMPILED): """
            tt.maxvol
        """,
        (_CHOSEN, _DIFFERENTIATED): """
            tt.tt_cross
        """,
        (_RANKS, _DIFFERENTIATED): """
            tucker.rank_map tucker.suggest_rank
        """,
    }.items()
    for function in functions.split()
    for column in columns
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
    check_choice(function, FUNCTIONS, name="function")
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
        note = limit or (None if mode == "eager" else CONDITIONS.get(function))
        mark = "no" if limit else "yes"
        if note is None:
            return mark
        if note not in notes:
            notes.append(note)
        return f"{mark} ({notes.index(note) + 1})"

    heads = [f"{library} {mode}".removesuffix(" eager") for library, mode in COLUMNS]
    rows = [
        [f"`{function}`", *(cell(function, *column) for column in COLUMNS)]
        for function in FUNCTIONS
    ]
    lines = [["function", *heads], ["---"] * (1 + len(heads)), *rows]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*table, "", *(f"{i}. {note}" for i, note in enumerate(notes, start=1)), ""])
