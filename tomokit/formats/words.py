"""Numbers and lists out of the words of text files, refused by file, field and remedy where they are none."""

from __future__ import annotations

import os
import re

from tomokit.errors import InputError
from tomokit.io.table import as_minus

PathLike = str | os.PathLike[str]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d{1,4})?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)
_MOST_DIGITS = 64
LIMIT = 1e9
"""No angle, shift, size or dose of a tilt series is larger."""
MOST_VIEWS = 100_000
"""No tilt series has more views."""


def parse_number(word: str, *, file: PathLike, field: str, limit: float = LIMIT) -> float:
    """Read one finite number from a word.

    Parameters
    ----------
    word : str
        As written; any sign that looks like a minus is one, and Fortran's exponents with D are read.
    file, field : path-like, str
        For messages.
    limit : float
        Largest magnitude that is believed.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If it is no number, has a decimal comma, is not finite, or is beyond `limit`.
    """
    plain = as_minus(word.strip())
    if len(plain) <= _MOST_DIGITS and _NUMBER.fullmatch(plain):
        value = float(plain.lower().replace("d", "e"))
        if abs(value) <= limit:
            return value
        raise InputError(f"{word.strip()[:40]} is beyond {limit:g}", file=file, field=field, remedy="correct it")
    remedy = "write decimals with a point" if _COMMA.fullmatch(plain) else "correct it"
    raise InputError(f"{word.strip()[:40]!r} is not a finite number", file=file, field=field, remedy=remedy)


def parse_whole(word: str, *, file: PathLike, field: str) -> int:
    """Read one whole number.

    Parameters
    ----------
    word : str
        As written; ``2.0`` is whole.
    file, field : path-like, str
        For messages.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If it is none, or as :func:`parse_number`.
    """
    value = parse_number(word, file=file, field=field)
    if value != round(value):
        raise InputError(f"{word[:40]!r} is no whole number", file=file, field=field, remedy="correct it")
    return round(value)


def parse_numbers(text: str, *, file: PathLike, field: str) -> list[float]:
    """Read numbers that blanks or commas separate.

    Parameters
    ----------
    text : str
        As IMOD writes them, ``1.5 2`` or ``1.5,2``. Two whole numbers around one comma are two numbers.
    file, field : path-like, str
        For messages.

    Returns
    -------
    list of float

    Raises
    ------
    InputError
        As :func:`parse_number`.
    """
    words = [word for word in re.split(r"[\s,]+", text.strip()) if word]
    return [parse_number(word, file=file, field=field) for word in words]


def parse_views(text: str, *, file: PathLike, field: str) -> set[int]:
    """Read a list of views as IMOD writes it, ``1,4,8-10``, counted from 1.

    Parameters
    ----------
    text : str
        The list; empty for none.
    file, field : path-like, str
        For messages.

    Returns
    -------
    set of int
        Counted from 0.

    Raises
    ------
    InputError
        If it is no such list.
    """
    views: set[int] = set()
    for word in re.split(r"[\s,]+", as_minus(text.strip())):
        if not word:
            continue
        match = _RANGE.fullmatch(word)
        first = int(match[1]) if match else 0
        last = int(match[2] or match[1]) if match else 0
        if not 1 <= first <= last <= MOST_VIEWS:
            raise InputError(
                f"{word[:40]!r} is no view or range of views, counted from 1",
                file=file,
                field=field,
                remedy="write it as 1,4,8-10",
            )
        views |= set(range(first - 1, last))
    return views


def check_angle(value: float, *, file: PathLike, field: str) -> float:
    """Refuse what is no tilt angle.

    Parameters
    ----------
    value : float
        Degrees.
    file, field : path-like, str
        For messages.

    Returns
    -------
    float
        The same.

    Raises
    ------
    InputError
        If it is beyond 90 degrees.
    """
    if not abs(value) <= 90:
        raise InputError(f"{value:g} is beyond 90 degrees", file=file, field=field, remedy="correct it")
    return value
