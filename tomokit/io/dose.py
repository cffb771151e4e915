"""The dose of each view: from a number, a text file of one or two columns, or SerialEM's ``.mdoc``."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.data.acquisition import Acquisition
from tomokit.errors import InputError, OptionError
from tomokit.io.beside import mdoc_beside
from tomokit.io.mdoc_text import MdocSection, as_number, as_whole, split_mdoc
from tomokit.io.table import read_number_lines

Path_ = str | os.PathLike[str]

MOST_E_PER_A2 = 1e4
"""A larger dose is in other units."""

_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(r"(\d{1,4})-([A-Za-z]{3})-(\d{1,4})\s+(\d{1,2}):(\d{2}):(\d{2})", re.ASCII)
_EVEN = 4.0
"""Doses of single views do not differ by more than this factor."""


def is_number(given: Path_ | None) -> bool:
    """Tell whether what is given as the dose is a number for every view, and no file.

    Parameters
    ----------
    given : str, path-like or None
        What ``--dose`` was given.

    Returns
    -------
    bool
    """
    return given is not None and _NUMBER.fullmatch(os.fspath(given)) is not None


def read_dose(given: Path_ | None, stack: Path, n_views: int) -> tuple[Acquisition, str]:
    """Read the dose of each view of a stack.

    Parameters
    ----------
    given : str, path-like or None
        A number of electrons per square ångström for every view; an ``.mdoc``; a text file with a line for each view,
        of the dose before it and its own, or of one number, the dose of the view or the accumulated dose; None for the
        ``.mdoc`` beside the stack.
    stack : Path
        The stack.
    n_views : int
        Its views, those that are not used among them.

    Returns
    -------
    acquisition : Acquisition
        With dose, dose before, order and voltage, as far as they are known; in the order of the stack.
    how : str
        How the numbers were taken, in words.

    Raises
    ------
    InputError
        If there is none, the file cannot be read, it is of another number of views, or what its numbers are cannot be
        told.
    OptionError
        If a number for every view is not possible as a dose.
    """
    beside = mdoc_beside(stack)
    if given is None:
        if beside is None:
            raise InputError(
                f"no .mdoc lies beside {stack.name}, and no dose is given",
                field="--dose",
                remedy="give --dose a file, or electrons per square angstrom of each view",
            )
        return _of_mdoc(beside, n_views), f"as {beside.name} records it"
    if is_number(given):
        value = float(os.fspath(given))
        if not 0 < value <= MOST_E_PER_A2:
            raise OptionError(f"{value:g} e/A^2 for each view", field="--dose", remedy="give that of one view")
        order = None if beside is None else _of_mdoc(beside, n_views).order
        dose = np.full(n_views, value)
        return Acquisition(n_views, dose_e_per_a2=dose, order=order), f"{value:g} e/A^2 in each view"
    path = Path(given)
    if path.suffix.lower() == ".mdoc":
        return _of_mdoc(path, n_views), f"as {path.name} records it"
    return _of_text(path, n_views, beside)


def _of_text(path: Path, n_views: int, mdoc: Path | None) -> tuple[Acquisition, str]:
    rows = read_number_lines(path, "the dose of each view")
    widths = {len(row.values) for row in rows}
    if len(rows) != n_views or widths not in ({1}, {2}):
        found = f"{len(rows)} lines" if len(rows) != n_views else "lines that are not all of one or of two numbers"
        raise InputError(
            f"{found}, where the stack has {n_views} views",
            file=path,
            remedy="give a line for each view: its dose, or the dose before it and its own",
        )
    values = np.array([row.values for row in rows], np.float64)
    if values.min() < 0 or values.max() > MOST_E_PER_A2:
        place = int(np.argmax((values < 0).any(axis=1) | (values > MOST_E_PER_A2).any(axis=1)))
        raise InputError(
            f"{values[place].min() if values[place].min() < 0 else values[place].max():g} is no dose in e/A^2",
            file=path,
            field=f"line {rows[place].number}",
            remedy="give electrons per square angstrom",
        )
    if widths == {2}:
        prior, dose = values.T
        return Acquisition(n_views, dose_e_per_a2=dose.copy(), prior_dose_e_per_a2=prior.copy()), "two columns"
    column = values[:, 0]
    kind = column_kind(column)
    if kind == "accumulated":
        steps = np.diff(np.sort(column))
        at_end = bool(column.min() > 0.25 * steps.min())
        own = np.full(n_views, float(np.median(steps)))
        prior = np.maximum(column - own, 0.0) if at_end else column
        when = "after" if at_end else "before"
        return (
            Acquisition(n_views, dose_e_per_a2=own, prior_dose_e_per_a2=prior),
            f"one column, taken for the accumulated dose {when} each view",
        )
    if kind == "single":
        order = None if mdoc is None else _of_mdoc(mdoc, n_views).order
        return Acquisition(n_views, dose_e_per_a2=column, order=order), "one column, taken for the dose of each view"
    raise InputError(
        "one number for each view, neither as single doses are nor as an accumulated dose is",
        file=path,
        remedy="give two columns: the dose before the view, and that of the view",
    )


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


def _of_mdoc(path: Path, n_views: int) -> Acquisition:
    mdoc = split_mdoc(path)
    numbered = {as_whole(section.name.text): section for section in mdoc.sections if section.kind == "ZValue"}
    if set(numbered) != set(range(n_views)):
        raise InputError(
            f"{len(numbered)} sections, where the stack has {n_views} views",
            file=path,
            remedy="give the .mdoc of this stack, or --dose a file with a line for each view",
        )
    sections = [numbered[view] for view in range(n_views)]
    voltage = _number(mdoc.head, "Voltage")
    times = [_time(section) for section in sections]
    known = [time for time in times if time is not None]
    order = None
    if len(known) == n_views and len(set(known)) == n_views:
        order = np.argsort(np.argsort(np.array(known, dtype="datetime64[s]")))
    dose, prior = (_column(sections, key) for key in ("ExposureDose", "PriorRecordDose"))
    # SerialEM writes 0 where nothing is calibrated; before the first view of a series it is right.
    if dose is not None and not (dose > 0).all():
        dose = None
    if prior is not None and n_views > 1 and not prior.any():
        prior = None
    return Acquisition(n_views, dose, prior, order, voltage_kv=voltage if voltage and voltage > 0 else None)


def _column(sections: list[MdocSection], key: str) -> NDArray[np.float64] | None:
    values = [_number(section, key) for section in sections]
    return None if any(value is None for value in values) else np.array(values, np.float64)


def _number(section: MdocSection, key: str) -> float | None:
    entries = section.entries.get(key)
    return as_number(entries[-1].text)[0] if entries else None


def _time(section: MdocSection) -> datetime | None:
    """When a section was recorded: SerialEM writes ``25-Mar-21  17:06:06``, later versions the year first."""
    entries = section.entries.get("DateTime")
    match = _DATE.fullmatch(entries[-1].text) if entries else None
    if match is None or match[2].lower() not in _MONTHS:
        return None
    first, last = int(match[1]), int(match[3])
    year, day = (first, last) if len(match[1]) == 4 else (last, first)
    try:
        return datetime(
            year if year >= 100 else 2000 + year,
            _MONTHS.index(match[2].lower()) + 1,
            day,
            int(match[4]),
            int(match[5]),
            int(match[6]),
        )
    except ValueError:
        return None
