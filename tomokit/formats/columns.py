"""Dose and defocus of each view as columns of numbers without a head: a line for each view of the stack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.data.acquisition import Acquisition
from tomokit.errors import InputError
from tomokit.formats.records import AcquisitionFile
from tomokit.io.angle_text import counts_without_gap
from tomokit.io.table import read_number_lines

MOST_E_PER_A2 = 1e4
"""A larger dose is in other units."""

_EVEN = 4.0
"""Doses of single views do not differ by more than this factor."""


def read_dose_columns(path: Path, n_views: int, order: NDArray[np.int_] | None = None) -> AcquisitionFile:
    """Read the dose of each view from one column, two or three.

    Parameters
    ----------
    path : Path
        Lines of two numbers, the dose before the view and its own; of three, angle, order of acquisition and dose, as
        in AreTomo3's ``_TLT.txt``; or of one, the dose of the view or the accumulated
        dose, which :func:`column_kind` tells apart.
    n_views : int
        Views of the stack.
    order : ndarray of int, shape (n_views,), optional
        Place of each view in the order of acquisition, for doses of single views.

    Returns
    -------
    AcquisitionFile
        How one column was taken is among its warnings.

    Raises
    ------
    InputError
        If it cannot be read, is of another number of views, or what its numbers are cannot be told.
    """
    is_plain = True
    values, lines = _columns(path, n_views, (1, 2, 3), "its dose, or the dose before it and its own")
    if values.shape[1] == 3:
        if not counts_without_gap(values[:, 1]):
            raise InputError(
                "three columns, and the second does not number the views",
                file=path,
                remedy="give angle, order of acquisition and dose, or the dose before each view and its own",
            )
        order = np.argsort(np.argsort(values[:, 1]))
        values, is_plain = values[:, 2:], False
        if not values.any():
            raise InputError(
                "a dose of 0 in every view", file=path, remedy="give --dose the electrons per square angstrom of each"
            )
    beyond = np.flatnonzero(((values < 0) | (values > MOST_E_PER_A2)).any(axis=1))
    if beyond.size:
        row = values[beyond[0]]
        raise InputError(
            f"{row[(row < 0) | (row > MOST_E_PER_A2)][0]:g} is no dose in e/A^2",
            file=path,
            field=f"line {lines[beyond[0]]}",
            remedy="give electrons per square angstrom",
        )
    if values.shape[1] == 2:
        prior, dose = (column.copy() for column in values.T)
        acquisition = Acquisition(n_views, dose_e_per_a2=dose, prior_dose_e_per_a2=prior, order=order)
        return AcquisitionFile(path, "two columns: the dose before each view, and its own", acquisition)
    column = values[:, 0]
    kind = column_kind(column) if is_plain else "single"
    if not kind:
        raise InputError(
            "one number for each view, neither as single doses are nor as an accumulated dose is",
            file=path,
            remedy="give two columns: the dose before the view, and that of the view",
        )
    if kind == "single":
        what = "the dose of each view"
        acquisition = Acquisition(n_views, dose_e_per_a2=column, order=order)
    else:
        steps = np.diff(np.sort(column))
        own = np.full(n_views, float(np.median(steps)))
        is_after = bool(column.min() > 0.25 * steps.min())
        what = f"the accumulated dose {'after' if is_after else 'before'} each view"
        prior = np.maximum(column - own, 0.0) if is_after else column
        acquisition = Acquisition(n_views, dose_e_per_a2=own, prior_dose_e_per_a2=prior)
    if not is_plain:
        return AcquisitionFile(path, "angle, order of acquisition and dose", acquisition)
    text = f"{path.name}: one column, taken for {what}, up to {column.max():.4g} e/A^2"
    return AcquisitionFile(path, f"one column: {what}", acquisition, warnings=(text,))


def column_kind(column: NDArray[np.float64]) -> str:
    """Tell what one number for each view is: accumulated doses rise by about equal steps, single ones are about equal.

    Parameters
    ----------
    column : ndarray of float64, shape (n_views,)
        Numbers, none negative.

    Returns
    -------
    {"accumulated", "single", ""}
        Empty where they are neither.
    """
    steps = np.diff(np.sort(column))
    if steps.size and steps.min() >= 0.25 * column.max() / column.size > 0:
        return "accumulated"
    return "single" if 0 < column.max() <= _EVEN * column.min() else ""


def read_defocus_columns(path: Path, n_views: int) -> AcquisitionFile:
    """Read the defocus of each view from one column or three.

    Parameters
    ----------
    path : Path
        Lines of one number, the defocus in micrometres, positive for underfocus; or of three, the defocus along both
        principal axes and the angle of the first from x in degrees.
    n_views : int
        Views of the stack.

    Returns
    -------
    AcquisitionFile

    Raises
    ------
    InputError
        If it cannot be read or has another number of lines or columns.
    """
    values, _ = _columns(path, n_views, (1, 3), "its defocus in micrometres, or two and the angle of the first")
    if values.shape[1] == 1:
        values = np.concatenate([values, values, np.zeros_like(values)], axis=1)
    return AcquisitionFile(path, "columns of defocus", Acquisition(n_views, defocus_um=values))


def _columns(path: Path, n_views: int, widths: tuple[int, ...], line: str) -> tuple[NDArray[np.float64], list[int]]:
    """The numbers, and the line of each row; `line` says in words what a line holds."""
    rows = read_number_lines(path, "a line for each view")
    found = {len(row.values) for row in rows}
    if len(found) > 1 or not found <= set(widths):
        numbers = " and ".join(str(count) for count in sorted(found))
        raise InputError(f"lines of {numbers} numbers", file=path, remedy=f"give a line for each view: {line}")
    if len(rows) != n_views:
        raise InputError(
            f"{len(rows)} lines, where the stack has {n_views} views",
            file=path,
            remedy=f"give the file of this stack, a line for each view: {line}",
        )
    return np.array([row.values for row in rows], np.float64), [row.number for row in rows]
