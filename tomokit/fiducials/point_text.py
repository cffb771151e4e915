"""Points of a model as text, as IMOD's ``model2point`` writes them: one a line, with object and contour or without."""

from __future__ import annotations

import os
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.fiducials.imod_model import Contour
from tomokit.io.table import read_number_lines

_WHAT = "points of a model (IMOD's model2point: x y z, or contour x y z, or object contour x y z)"
# Which columns are object, contour and the coordinates, by the number of columns; the first that can be is taken.
_LAYOUTS: dict[int, tuple[tuple[int | None, int | None, int], ...]] = {
    3: ((None, None, 0),),
    4: ((None, 0, 1), (None, None, 0)),
    5: ((0, 1, 2), (None, 0, 1)),
    6: ((0, 1, 2),),
}


def read_point_text(path: str | os.PathLike[str]) -> list[Contour]:
    """Read points that ``model2point`` has written, whole numbers or not, numbered from 1 or from 0.

    A last column of values (``-values``) is told by its having no place otherwise, and passed over.

    Parameters
    ----------
    path : path-like
        Three to six numbers a line, all lines of one number of them.

    Returns
    -------
    list of Contour
        By object and contour, in the file's order; all points in one contour where the file names none.

    Raises
    ------
    InputError
        Naming the line that is something else.
    """
    lines = read_number_lines(path, _WHAT)
    n_columns = len(lines[0].values)
    if n_columns not in _LAYOUTS:
        raise InputError(
            f"{n_columns} numbers where a point has 3 to 6", file=path, field=f"line {lines[0].number}",
            remedy=f"give {_WHAT}",
        )  # fmt: skip
    for line in lines:
        if len(line.values) != n_columns:
            raise InputError(
                f"{len(line.values)} numbers where the first point has {n_columns}",
                file=path,
                field=f"line {line.number}",
                remedy="write the points anew by model2point",
            )
    values = np.array([line.values for line in lines])
    layouts = _LAYOUTS[n_columns]
    failed = None
    for in_object, in_contour, first in layouts:
        numbers = [column for column in (in_object, in_contour) if column is not None]
        wrong = _first_not_whole(values, [*numbers, first + 2])
        if wrong is None:
            return _contours(values, in_object, in_contour, first)
        failed = wrong if failed is None else failed
    raise InputError(
        "a view, contour or object that is no whole number from 0",
        file=path,
        field=f"line {lines[failed or 0].number}",
        remedy=f"give {_WHAT}",
    )


def _first_not_whole(values: NDArray[np.float64], columns: list[int]) -> int | None:
    """The first row in which one of these columns is not a whole number from 0; None if there is none."""
    chosen = values[:, columns]
    # Programs that bin or shift a model may leave the view a little off.
    wrong = ((np.abs(chosen - np.rint(chosen)) > 0.01) | (chosen < -0.01) | (chosen > 1e6)).any(axis=1)
    return int(np.argmax(wrong)) if wrong.any() else None


def _contours(values: NDArray[np.float64], in_object: int | None, in_contour: int | None, first: int) -> list[Contour]:
    numbers = np.zeros((len(values), 2), int)
    for target, column in enumerate((in_object, in_contour)):
        if column is not None:
            whole = np.rint(values[:, column]).astype(int)
            # Of -zero the numbers begin with 0.
            numbers[:, target] = whole + (1 if whole.min() == 0 else 0)
        elif target == 1:
            numbers[:, target] = 1
    by_key: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    points = values[:, first : first + 3]
    rows = zip(map(tuple, numbers.tolist()), points, strict=True)
    for key, group in groupby(rows, key=lambda row: row[0]):
        by_key.setdefault((int(key[0]), int(key[1])), []).extend(point for _, point in group)
    return [Contour(key[0], key[1], np.array(group)) for key, group in by_key.items()]
