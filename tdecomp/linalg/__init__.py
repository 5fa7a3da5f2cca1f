"""Matrix factorisations: exact, randomized and weighted, and every decision about rank."""

from tdecomp.linalg._elbow import elbow_rank
from tdecomp.linalg._formats import SVD, LowRank, breakeven_rank
from tdecomp.linalg._polar._alignment import alignment
from tdecomp.linalg._polar._certificate import PolarCertificate, polar_certificate
from tdecomp.linalg._polar._coefficients import (
    Composition,
    cans_coefficients,
    minimax_coefficients,
)
from tdecomp.linalg._polar._fisher import fisher_polar
from tdecomp.linalg._polar._fisher_update import FisherState, fisher_state, fisher_update
from tdecomp.linalg._polar._formats import LeftPolar, Polar
from tdecomp.linalg._polar._inverse_sqrt import inverse_sqrt
from tdecomp.linalg._polar._orthogonalize import orthogonalize
from tdecomp.linalg._polar._polar import nearest_orthogonal, polar
from tdecomp.linalg._polar._procrustes import Procrustes, procrustes
from tdecomp.linalg._polar._randomized import RandomizedPolar, randomized_polar
from tdecomp.linalg._polar._sign import matrix_sign
from tdecomp.linalg._randomized import randomized_svd
from tdecomp.linalg._svd import truncated_svd
from tdecomp.linalg._truncation import energy_rank, tail_norms, truncation_rank
from tdecomp.linalg._weighted import weighted_svd

__all__ = [
    "SVD",
    "Composition",
    "FisherState",
    "LeftPolar",
    "LowRank",
    "Polar",
    "PolarCertificate",
    "Procrustes",
    "RandomizedPolar",
    "alignment",
    "breakeven_rank",
    "cans_coefficients",
    "elbow_rank",
    "energy_rank",
    "fisher_polar",
    "fisher_state",
    "fisher_update",
    "inverse_sqrt",
    "matrix_sign",
    "minimax_coefficients",
    "nearest_orthogonal",
    "orthogonalize",
    "polar",
    "polar_certificate",
    "procrustes",
    "randomized_polar",
    "randomized_svd",
    "tail_norms",
    "truncated_svd",
    "truncation_rank",
    "weighted_svd",
]
