"""Reading of plain text files of numbers, as IMOD and its kin write them."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.io.regular import open_regular

# Larger than any table of a tilt series, and small enough to read before finding out what it is.
_MAX_BYTES = 4 << 20
# ASCII only: float() would also take "1_0" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE | re.ASCII)
# What word processors and web pages make of a minus: hyphens, dashes, the mathematical sign, small and full width.
_MINUS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212\ufe58\ufe63\uff0d"), "-")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class NumberLine:
    """The numbers on one line of a text file.

    Attributes
    ----------
    number : int
        The line, from 1.
    values : tuple of float
        Finite, at least one.
    """

    number: int
    values: tuple[float, ...]


def as_minus(text: str) -> str:
    """Put a plain minus in place of every dash that looks like one.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return text.translate(_MINUS)


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a small text file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str
        The content without a byte order mark: UTF-8, UTF-16 where the mark says so, else the code page of western
        Windows. Line ends are line feeds.

    Raises
    ------
    InputError
        If it is missing, no regular file, unreadable, empty, too large for a table, or binary.
    """
    try:
        with open_regular(path) as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", file=path) from error
    if len(raw) > _MAX_BYTES:
        raise InputError(f"too large for a text file of numbers (over {_MAX_BYTES >> 20} MiB)", file=path)
    text = _decode(raw)
    if "\0" in text:
        raise InputError("a binary file where a text file is expected", file=path)
    if not text.strip():
        raise InputError("the file is empty", file=path)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_number_lines(path: str | os.PathLike[str], what: str) -> list[NumberLine]:
    """Read the numbers of each line, separated by blanks, semicolons, or commas beside decimal points.

    Blank lines, lines that begin with ``#``, any line ends and any sign that looks like a minus are fine.

    Parameters
    ----------
    path : path-like
        The text file.
    what : str
        What the file is, for messages.

    Returns
    -------
    list of NumberLine
        At least one.

    Raises
    ------
    InputError
        Naming the line that has something else; or as :func:`read_text`.
    """
    lines = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        words = [] if line.lstrip().startswith("#") else _words(as_minus(line))
        if words:
            lines.append(NumberLine(number, tuple(_finite_number(word, path, number, what) for word in words)))
    if not lines:
        raise InputError("no numbers, only comments", file=path, remedy=f"give {what}")
    return lines


def read_table(path: str | os.PathLike[str], columns: int, what: str) -> tuple[NDArray[np.float64], list[int]]:
    """Read rows of `columns` finite numbers each, as :func:`read_number_lines` does.

    Parameters
    ----------
    path : path-like
        The text file.
    columns : int
        Numbers on each line.
    what : str
        What the file is, for messages.

    Returns
    -------
    values : ndarray of float64, shape (n_rows, columns)
        The numbers.
    lines : list of int
        The line, from 1, of each row.

    Raises
    ------
    InputError
        Naming the line that has another number of them; or as :func:`read_number_lines`.
    """
    rows = read_number_lines(path, what)
    for row in rows:
        if len(row.values) != columns:
            raise InputError(
                f"{len(row.values)} numbers where {what} has {columns}",
                file=path,
                field=f"line {row.number}",
                remedy=f"correct it, or give {what}",
            )
    return np.array([row.values for row in rows], dtype=np.float64), [row.number for row in rows]


def _decode(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return text.removeprefix(_BYTE_ORDER_MARK)


def _words(line: str) -> list[str]:
    words = []
    for word in line.replace(";", " ").split():
        # One comma in a word without a decimal point may be a decimal comma; any other separates numbers.
        separates = "." in word or word.count(",") > 1 or re.search(r",[+-]", word)
        parts = word.split(",") if separates else [word.removesuffix(",")]
        words += [part for part in parts if part]
    return words


def _finite_number(word: str, path: str | os.PathLike[str], line: int, what: str) -> float:
    remedy = f"correct it, or give {what}"
    if not _NUMBER.fullmatch(word):
        strange = next((c for c in word if ord(c) > 127), None)
        if strange is not None:
            name = unicodedata.name(strange, "unnamed").lower()
            problem = f"{word[:40]!r} is not a number: U+{ord(strange):04X} ({name})"
        else:
            problem = f"{word[:40]!r} is not a number"
        if re.fullmatch(r"[+-]?\d+,\d+", word, re.ASCII):
            remedy = "write decimals with a point"
        raise InputError(problem, file=path, field=f"line {line}", remedy=remedy)
    # Fortran writes exponents with D.
    value = float(word.lower().replace("d", "e"))
    if not np.isfinite(value):
        raise InputError("a number is not finite", file=path, field=f"line {line}", remedy=remedy)
    return value
