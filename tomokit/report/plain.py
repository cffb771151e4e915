"""JSON of any origin taken for what it should be, and numbers as a reader wants them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tomokit.errors import InputError
from tomokit.io.regular import open_regular

_DEEPEST = 12
_LONGEST_TEXT = 400


def read_object(path: Path, most_bytes: int) -> dict[str, Any]:
    """Read a JSON object from a file.

    Parameters
    ----------
    path : Path
    most_bytes : int
        Longer files are refused.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If the file cannot be read, is too long, or is no JSON object.
    """
    try:
        with open_regular(path) as file:
            text = file.read(most_bytes + 1)
        if len(text) > most_bytes:
            raise InputError(f"is larger than {most_bytes} bytes", file=path)
        found = json.loads(text.decode("utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", file=path) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON ({error})", file=path) from error
    if not isinstance(found, dict):
        raise InputError("is no JSON object", file=path)
    return found


def number(value: Any) -> float | None:
    """Take a value for a number.

    Parameters
    ----------
    value : object

    Returns
    -------
    float or None
        None where it is none, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def numbers(value: Any) -> list[float | None]:
    """Take a value for a list of numbers.

    Parameters
    ----------
    value : object

    Returns
    -------
    list of float or None
        Empty where it is no list.
    """
    return [number(entry) for entry in value] if isinstance(value, list) else []


def whole_numbers(value: Any) -> list[int]:
    """Take a value for a list of whole numbers, others left out.

    Parameters
    ----------
    value : object

    Returns
    -------
    list of int
    """
    if not isinstance(value, list):
        return []
    return [entry for entry in value if isinstance(entry, int) and not isinstance(entry, bool)]


def branch(value: Any, *keys: str) -> Any:
    """Follow keys into nested objects.

    Parameters
    ----------
    value : object
    *keys : str

    Returns
    -------
    object
        None where there is no such place.
    """
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def flattened(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """List what nested objects hold, a line for each value.

    Parameters
    ----------
    value : object
        Of JSON.
    path : tuple of str
        Keys that lead to it.

    Yields
    ------
    key : str
        Keys joined by dots.
    text : str
        The value as a reader wants it; lists of plain values in one line.
    """
    if isinstance(value, dict) and value and len(path) < _DEEPEST:
        for key, inner in value.items():
            yield from flattened(inner, (*path, str(key)))
    elif isinstance(value, list) and any(isinstance(entry, (dict, list)) for entry in value) and len(path) < _DEEPEST:
        for place, inner in enumerate(value):
            yield from flattened(inner, (*path, str(place)))
    else:
        yield ".".join(path), as_text(value)


def as_text(value: Any) -> str:
    """Write a value for a reader.

    Parameters
    ----------
    value : object
        Of JSON.

    Returns
    -------
    str
        Of bounded length; whole numbers in a row as ranges.
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        if len(value) > 2 and whole_numbers(value) == value:
            text = ranges(value)
        else:
            text = ", ".join(as_text(entry) for entry in value[:_LONGEST_TEXT]) or "none"
    elif isinstance(value, dict):
        text = "none" if not value else json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = str(value) or "–"
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def ranges(values: list[int]) -> str:
    """Write whole numbers with those in a row as a range: ``0, 1, 2, 5`` as ``0–2, 5``.

    Parameters
    ----------
    values : list of int

    Returns
    -------
    str
    """
    parts: list[list[int]] = []
    for value in values:
        if parts and value == parts[-1][1] + 1:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    return ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in parts)
