"""Settings and provenance of the tomograms of a report as tables, a column for each tomogram."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tomokit.report.plain import flattened
from tomokit.report.subject import Subject

_ABSENT = "–"
_MOST_ROWS = 600
_SETTINGS = ("configuration", "resolved_parameters")
_TOLD_ELSEWHERE = ("views",)


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes
    ----------
    name : str
        Keys joined by dots.
    values : tuple of str
        One for each tomogram.
    differs : bool
        Whether they are not all the same.
    """

    name: str
    values: tuple[str, ...]
    differs: bool


def settings_rows(subjects: list[Subject]) -> list[Row]:
    """Every setting as resolved.

    Parameters
    ----------
    subjects : list of Subject

    Returns
    -------
    list of Row
    """
    return _rows([_joined(subject.record.get(key) for key in _SETTINGS) for subject in subjects])


def provenance_rows(subjects: list[Subject]) -> list[Row]:
    """What the results depend on besides settings, and what they were computed on.

    Parameters
    ----------
    subjects : list of Subject

    Returns
    -------
    list of Row
    """
    tables = []
    for subject in subjects:
        record = {k: v for k, v in subject.record.items() if k not in (*_SETTINGS, *_TOLD_ELSEWHERE)}
        machines = subject.job.get("computed_on")
        if isinstance(machines, list):
            # What instructions a processor has fills a page.
            told = [{k: v for k, v in m.items() if k != "features"} for m in machines if isinstance(m, Mapping)]
            record["computed_on"] = told[0] if len(told) == 1 else told
        tables.append(dict(flattened(record)) if record else {})
    return _rows(tables)


def _joined(parts: Iterable[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in parts:
        if isinstance(part, dict):
            found |= dict(flattened(part))
    return found


def _rows(tables: list[dict[str, str]]) -> list[Row]:
    names = list(dict.fromkeys(name for table in tables for name in table))[:_MOST_ROWS]
    rows = []
    for name in names:
        values = tuple(table.get(name, _ABSENT) for table in tables)
        rows.append(Row(name, values, len(set(values)) > 1))
    return rows
