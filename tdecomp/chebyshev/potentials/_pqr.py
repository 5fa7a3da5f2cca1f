"""Molecules with charges and radii, from PQR files as PDB2PQR and APBS write them."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
# Numbers in columns may touch where the second has a sign.
_LAST_FIVE = re.compile(r"(?:^|\s|(?=-))" + r"(?:\s+|(?=[-+]))".join([_NUMBER] * 5) + r"\s*$")
# The number of a residue may come with the letter of a chain, and with one of an insertion.
_RESIDUE = re.compile(r"\d[A-Za-z]?$")
_RECORDS = ("ATOM", "HETATM")


class Molecule(NamedTuple):
    """The atoms of a molecule.

    Attributes
    ----------
    positions : numpy.ndarray, shape (N, 3)
        Centres, in Angstrom.
    charges : numpy.ndarray, shape (N,)
        Charges, in units of the elementary one.
    radii : numpy.ndarray, shape (N,)
        Radii, in Angstrom.
    names : tuple of str
        Names of atoms, as ``CA``.
    """

    positions: npt.NDArray[np.float64]
    charges: npt.NDArray[np.float64]
    radii: npt.NDArray[np.float64]
    names: tuple[str, ...]


def read_pqr(path: str | os.PathLike[str], /) -> Molecule:
    """Read the atoms of a PQR file.

    Parameters
    ----------
    path : str or path
        The file. Its lines ``ATOM`` and ``HETATM`` hold a serial number, the names of atom and
        residue, maybe a chain, the number of the residue, coordinates, charge and radius. Other
        lines are left out.

    Returns
    -------
    Molecule
        All atoms, in the order of the file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If a line of an atom does not have these fields, or a number is not finite, there is a
        second model, or no atom; the message has the number of the line.

    References
    ----------
    .. [1] T. J. Dolinsky et al., "PDB2PQR: expanding and upgrading automated preparation of
       biomolecular structures for molecular simulations", Nucleic Acids Res. 35, 2007.
       doi:10.1093/nar/gkm276

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from tdecomp.chebyshev.potentials import read_pqr
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "water.pqr"
    >>> text = "ATOM 1 O HOH 1 0.0 0.0 0.0 -0.834 1.77"
    >>> _ = path.write_text(text)
    >>> read_pqr(path).charges
    array([-0.834])
    """
    numbers: list[list[float]] = []
    names: list[str] = []
    models = 0
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        for number, text in enumerate(file, start=1):
            line, place = text.strip(), f"{os.fspath(path)}, line {number}"
            models += line.upper().startswith("MODEL")
            if models > 1:
                raise ValueError(f"{place}: a second model; write one molecule to a file")
            if line.upper().startswith(_RECORDS):
                name, values = _atom(line, place)
                names.append(name)
                numbers.append(values)
    if not numbers:
        raise ValueError(f"{os.fspath(path)} has no line of an atom, ATOM or HETATM")
    table = np.asarray(numbers)
    return Molecule(table[:, :3], table[:, 3], table[:, 4], tuple(names))


def _atom(line: str, place: str) -> tuple[str, list[float]]:
    """Return the name and the last five numbers of a line."""
    found = _LAST_FIVE.search(line)
    # Of what comes before, the record and the serial number may touch.
    record = next(word for word in _RECORDS if line.upper().startswith(word))
    fields = line[len(record) : found.start() if found else 0].split()
    if found is None or len(fields) < 4 or not _RESIDUE.search(fields[-1]):
        raise ValueError(
            f"{place}: an atom needs a serial number, names of atom and residue, the number of "
            f"the residue, and five numbers x, y, z, charge, radius; got {line!r}"
        )
    values = [float(text) for text in found.groups()]
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{place}: numbers must be finite, got {line!r}")
    return fields[1], values
