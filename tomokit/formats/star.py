"""STAR files of RELION and Warp: blocks ``data_NAME`` with one table or a list of values, each row with its line."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from tomokit.errors import InputError
from tomokit.formats.words import PathLike, parse_number
from tomokit.io.table import read_text

_MOST_ROWS = 1_000_000


@dataclass(frozen=True)
class StarBlock:
    """One block of a STAR file.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        What follows ``data_``.
    labels : tuple of str
        Names of the columns, without the underscore.
    rows : list of list of str
        Words of each row; a block of single values has one row.
    lines : list of int
        The line of each row, from 1.
    """

    path: Path
    name: str
    labels: tuple[str, ...]
    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def __contains__(self, label: str) -> bool:
        return label in self.labels

    def words(self, label: str) -> list[str]:
        """Read a column as text.

        Parameters
        ----------
        label : str

        Returns
        -------
        list of str

        Raises
        ------
        InputError
            If there is no such column.
        """
        if label not in self.labels:
            raise InputError(
                f"no column _{label}", file=self.path, field=f"data_{self.name}", remedy="give the .star that has it"
            )
        index = self.labels.index(label)
        return [row[index] for row in self.rows]

    def numbers(self, label: str, limit: float = 1e9) -> list[float]:
        """Read a column of numbers.

        Parameters
        ----------
        label : str
        limit : float
            Largest magnitude that is believed.

        Returns
        -------
        list of float

        Raises
        ------
        InputError
            Naming the line, if a word is no number; or if there is no such column.
        """
        words = self.words(label)
        places = [f"line {line}, _{label}" for line in self.lines]
        return [
            parse_number(word, file=self.path, field=place, limit=limit)
            for word, place in zip(words, places, strict=True)
        ]


def read_star(path: PathLike) -> list[StarBlock]:
    """Read the blocks of a STAR file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of StarBlock
        In the order of the file.

    Raises
    ------
    InputError
        If it has no ``data_`` line, a row has another number of words than its table has columns, or a column comes
        twice.
    """
    path = Path(path)
    blocks: list[StarBlock] = []
    labels: list[str] = []
    state = "none"  # what comes next: nothing, "values", "labels" or "rows"
    values: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    name, first_line = "", 1

    def close() -> None:
        if state in ("none", "labels") or not labels:
            return  # a table without a row says nothing
        if len(set(labels)) != len(labels):
            twice = next(label for label in labels if labels.count(label) > 1)
            raise InputError(f"column _{twice} twice", file=path, field=f"data_{name}", remedy="leave one of them")
        table = [values] if state == "values" else rows
        blocks.append(StarBlock(path, name, tuple(labels), list(table), lines if state == "rows" else [first_line]))

    for number, raw in enumerate(read_text(path).split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        lower = line.lower()
        if lower.startswith("data_"):
            close()
            name, first_line, state = line[5:].strip(), number, "values"
            labels, values, rows, lines = [], [], [], []
        elif lower == "loop_" and state != "none":
            state = "labels"
        elif line.startswith("_") and state in ("values", "labels"):
            words = _words(line, path, number)
            labels.append(words[0][1:])
            if state == "values":
                if len(words) < 2:
                    raise InputError("a name without a value", file=path, field=f"line {number}", remedy="correct it")
                values.append(words[1])
        elif state in ("labels", "rows") and labels:
            state = "rows"
            words = _words(line, path, number)
            if len(words) != len(labels):
                raise InputError(
                    f"{len(words)} words where the table has {len(labels)} columns",
                    file=path,
                    field=f"line {number}",
                    remedy="give the whole file as it was written",
                )
            rows.append(words)
            lines.append(number)
            if len(rows) > _MOST_ROWS:
                raise InputError(f"over {_MOST_ROWS} rows", file=path, remedy="give the .star of a tilt series")
        else:
            raise InputError(f"{line[:40]!r} is no STAR", file=path, field=f"line {number}", remedy="give a STAR file")
    close()
    if not blocks:
        raise InputError("no table", file=path, remedy="give a STAR file of a tilt series")
    return blocks


def _words(line: str, path: Path, number: int) -> list[str]:
    """Words between blanks; quotes hold words together, a ``#`` begins a comment."""
    if '"' not in line and "'" not in line:
        return re.sub(r"\s#.*$", "", line).split()
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        raise InputError(
            "a quotation mark without its partner", file=path, field=f"line {number}", remedy="correct it"
        ) from None
