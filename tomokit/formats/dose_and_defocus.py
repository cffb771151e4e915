"""The dose and the defocus of the views of a stack, from a number or from any file that has them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.data.acquisition import Acquisition
from tomokit.errors import InputError, OptionError
from tomokit.formats.columns import MOST_E_PER_A2, read_defocus_columns, read_dose_columns
from tomokit.formats.front import read_acquisition, recognize
from tomokit.formats.records import AcquisitionFile
from tomokit.io.beside import mdoc_beside
from tomokit.io.given_inputs import is_number

_BARE = ("angles", "numbers", "unknown")
"""What files of numbers without a head are recognized as."""
_OF_THE_HAND = ("dfHand", "sign of the angles", "_rlnTomoHand", "AreAnglesInverted")


def read_dose(given: str | os.PathLike[str] | None, stack: Path, n_views: int) -> AcquisitionFile:
    """Read the dose of each view of a stack.

    Parameters
    ----------
    given : str, path-like or None
        A number of electrons per square ångström for every view; a file of a format of
        :func:`tomokit.formats.front.read_acquisition`; columns of numbers
        (:func:`tomokit.formats.columns.read_dose_columns`); None for the ``.mdoc`` beside the stack.
    stack : Path
        The stack, whose ``.mdoc`` gives the order where doses alone are given.
    n_views : int
        Its views, those that are not used among them.

    Returns
    -------
    AcquisitionFile
        In the order of the stack.

    Raises
    ------
    InputError
        If there is none, or the file cannot be used.
    OptionError
        If a number is not possible as a dose.
    """
    beside = mdoc_beside(stack)
    if given is None:
        if beside is None:
            raise InputError(
                f"no .mdoc lies beside {stack.name}, and no dose is given",
                field="--dose",
                remedy="give --dose a file, or electrons per square angstrom of each view",
            )
        return read_acquisition(beside, n_views=n_views)
    if is_number(given):
        value = float(os.fspath(given))
        if not 0 < value <= MOST_E_PER_A2:
            raise OptionError(f"{value:g} e/A^2 for each view", field="--dose", remedy="give that of one view")
        acquisition = Acquisition(n_views, dose_e_per_a2=np.full(n_views, value), order=_order_beside(beside, n_views))
        return AcquisitionFile(stack, f"{value:g} e/A^2 in each view", acquisition)
    path = Path(given)
    if recognize(path) in _BARE:
        return read_dose_columns(path, n_views, _order_beside(beside, n_views))
    return read_acquisition(path, n_views=n_views)


def read_defocus(path: Path, n_views: int) -> AcquisitionFile:
    """Read the defocus of each view of a stack.

    Parameters
    ----------
    path : Path
        A file of a format of :func:`tomokit.formats.front.read_acquisition`, or columns of numbers
        (:func:`tomokit.formats.columns.read_defocus_columns`).
    n_views : int
        Views of the stack, those that are not used among them.

    Returns
    -------
    AcquisitionFile
        In the order of the stack.

    Raises
    ------
    InputError
        If the file cannot be used, or has no defocus.
    """
    found = read_defocus_columns(path, n_views) if recognize(path) in _BARE else read_acquisition(path, n_views=n_views)
    if found.acquisition.defocus_um is None:
        raise InputError(f"{found.kind} without a defocus of each view", file=path, remedy="give a file that has it")
    return found


def told_hand(found: AcquisitionFile) -> str:
    """Find what a file says of the hand of its tilt angles, on which the sign of the defocus gradient depends.

    Parameters
    ----------
    found : AcquisitionFile

    Returns
    -------
    str
        Field and value; empty if it says nothing.
    """
    return ", ".join(f"{use.name} {use.note.split(':')[0]}" for use in found.fields if use.name in _OF_THE_HAND)


def _order_beside(mdoc: Path | None, n_views: int) -> NDArray[np.int_] | None:
    return None if mdoc is None else read_acquisition(mdoc, n_views=n_views).acquisition.order
