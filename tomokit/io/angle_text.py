"""Tilt angles in text files: one a line, all on one line, or with the order of acquisition in a second column."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.io.table import NumberLine, read_number_lines

LIMIT_DEG = 90.0


@dataclass(frozen=True)
class AngleTable:
    """What a file of tilt angles says.

    Attributes
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Degrees, in the order of the images.
    acquisition_order : tuple of int or None
        For each image the number under which it was recorded, as the file counts; None where the file does not say.
    warnings : tuple of str
        How the file was read where that is not plain.
    """

    tilt_deg: NDArray[np.float64]
    acquisition_order: tuple[int, ...] | None = None
    warnings: tuple[str, ...] = field(default=())


def read_angle_text(path: str | os.PathLike[str]) -> AngleTable:
    """Read tilt angles from a text file.

    Parameters
    ----------
    path : path-like
        One angle a line; or two columns, of which one is the order of acquisition; or angle, order and dose, as
        AreTomo3's ``_TLT.txt`` has them; or all angles on one line, or wrapped over several if they rise or fall
        throughout.

    Returns
    -------
    AngleTable

    Raises
    ------
    InputError
        Naming file and line, if something is not a finite number, the layout is another, or an angle is beyond 90
        degrees.
    """
    lines = read_number_lines(path, "an angle file")
    columns = {len(line.values) for line in lines}
    order: tuple[int, ...] | None = None
    warnings: list[str] = []
    if columns == {1} or len(lines) == 1:
        tilt, numbers = _in_sequence(lines)
    elif columns == {2} and (column := _column_of_order(lines)) is not None:
        tilt = np.array([line.values[1 - column] for line in lines])
        order = tuple(int(line.values[column]) for line in lines)
        if column == 0:
            warnings.append("the first column counts the images: read as their order of acquisition, not as angles")
        numbers = [line.number for line in lines]
    elif columns == {3} and counts_without_gap(np.array([line.values[1] for line in lines])):
        tilt = np.array([line.values[0] for line in lines])
        order = tuple(int(line.values[1]) for line in lines)
        numbers = [line.number for line in lines]
    elif _is_wrapped(lines):
        tilt, numbers = _in_sequence(lines)
    else:
        odd = next(line for line in lines if len(line.values) != 1)
        second = ", and the second is no order of acquisition" if columns == {2} else ""
        raise InputError(
            f"{len(odd.values)} numbers where an angle file has 1{second}",
            file=path,
            field=f"line {odd.number}",
            remedy="give one angle a line, angle and order of acquisition, or all angles on one line",
        )
    beyond = np.flatnonzero(np.abs(tilt) > LIMIT_DEG)
    if beyond.size:
        first = int(beyond[0])
        raise InputError(
            f"{tilt[first]:g} is beyond 90 degrees",
            file=path,
            field=f"line {numbers[first]}",
            remedy="give angles in degrees, one a line",
        )
    return AngleTable(tilt, order, tuple(warnings))


def _in_sequence(lines: list[NumberLine]) -> tuple[NDArray[np.float64], list[int]]:
    """All numbers, line after line, and the line of each."""
    values = [value for line in lines for value in line.values]
    return np.array(values, dtype=np.float64), [line.number for line in lines for _ in line.values]


def _column_of_order(lines: list[NumberLine]) -> int | None:
    """Which of two columns numbers the images; None if neither does."""
    first, second = (np.array([line.values[column] for line in lines]) for column in (0, 1))
    # In the first place, where angles are wont to be, only numbers without a gap are an order.
    if counts_without_gap(second) or (_can_count(second) and not counts_without_gap(first)):
        return 1
    return 0 if counts_without_gap(first) else None


def _can_count(column: NDArray[np.float64]) -> bool:
    whole = (column >= 0) & (column < 1e6) & (column == np.round(column))
    return bool(whole.all()) and np.unique(column).size == column.size


def counts_without_gap(column: NDArray[np.float64]) -> bool:
    """Tell whether a column numbers the images: whole numbers from 0 or 1, each once.

    Parameters
    ----------
    column : ndarray of float64, shape (n_views,)

    Returns
    -------
    bool
    """
    ascending = np.sort(column)
    return _can_count(column) and ascending[0] in (0, 1) and ascending[-1] - ascending[0] == column.size - 1


def _is_wrapped(lines: list[NumberLine]) -> bool:
    """Whether a list of angles was broken into lines of one length: as a sequence they rise or fall throughout."""
    lengths = [len(line.values) for line in lines]
    steps = np.diff(_in_sequence(lines)[0])
    equal = len(set(lengths[:-1])) == 1 and 0 < lengths[-1] <= lengths[0]
    return equal and lengths[0] > 1 and bool((steps > 0).all() or (steps < 0).all())
