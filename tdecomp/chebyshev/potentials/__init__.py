"""Long-range potentials of many particles, range separation, lattices, energies and forces."""

from tdecomp.chebyshev.potentials._assembly import long_range
from tdecomp.chebyshev.potentials._energy import energy, energy_and_forces, forces
from tdecomp.chebyshev.potentials._gaussians import (
    GaussianSum,
    gaussian_sum,
    newton,
    slater,
    yukawa,
)
from tdecomp.chebyshev.potentials._lattice import lattice_sum
from tdecomp.chebyshev.potentials._pqr import Molecule, read_pqr
from tdecomp.chebyshev.potentials._short import short_range
from tdecomp.chebyshev.potentials._split import split

__all__ = [
    "GaussianSum",
    "Molecule",
    "energy",
    "energy_and_forces",
    "forces",
    "gaussian_sum",
    "lattice_sum",
    "long_range",
    "newton",
    "read_pqr",
    "short_range",
    "slater",
    "split",
    "yukawa",
]
