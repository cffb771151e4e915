"""Reading of plain text files of numbers, as IMOD and its kin write them: so many columns, one row a line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError

# Larger than any table of a tilt series, and small enough to read before finding out what it is.
_MAX_BYTES = 4 << 20
# ASCII only: float() would also take "1_0" and digits of other scripts.
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


def read_text(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of a small text file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bytes
        The content without a byte order mark, its encoding unknown.

    Raises
    ------
    InputError
        If it is missing, unreadable, empty, too large for a table, or binary.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({getattr(error, 'strerror', None) or error})", file=path) from error
    if len(raw) > _MAX_BYTES:
        raise InputError(f"too large for a text file of numbers (over {_MAX_BYTES >> 20} MiB)", file=path)
    if b"\0" in raw:
        raise InputError("a binary file where a text file is expected", file=path)
    if not raw.strip():
        raise InputError("the file is empty", file=path)
    return raw.removeprefix(b"\xef\xbb\xbf")  # the byte order mark of Windows editors


def read_table(path: str | os.PathLike[str], columns: int, what: str) -> tuple[NDArray[np.float64], list[int]]:
    """Read rows of `columns` finite numbers, separated by blanks; blank lines and any line ends are fine.

    Parameters
    ----------
    path : path-like
        The text file.
    columns : int
        Numbers on each line.
    what : str
        What a line holds, for messages.

    Returns
    -------
    values : ndarray of float64, shape (n_rows, columns)
        The numbers.
    lines : list of int
        The line, from 1, of each row.

    Raises
    ------
    InputError
        Naming the line that has something else; or as :func:`read_text`.
    """
    rows: list[list[float]] = []
    lines: list[int] = []
    remedy = f"correct it, or give {what}"
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        for word in words:
            if not _NUMBER.fullmatch(word):
                shown = word[:40].decode("ascii", "backslashreplace")
                raise InputError(f"{shown!r} is not a number", file=path, field=f"line {number}", remedy=remedy)
        if len(words) != columns:
            problem = f"{len(words)} numbers where {what} has {columns}"
            raise InputError(problem, file=path, field=f"line {number}", remedy=remedy)
        # Fortran writes exponents with D.
        row = [float(word.decode("ascii").lower().replace("d", "e")) for word in words]
        if not np.isfinite(row).all():
            raise InputError("a number is not finite", file=path, field=f"line {number}", remedy=remedy)
        rows.append(row)
        lines.append(number)
    return np.array(rows, dtype=np.float64).reshape(-1, columns), lines
