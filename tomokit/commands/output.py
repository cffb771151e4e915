"""Output that all commands share: a report on stdout, as text or as one JSON object, and messages on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.errors import OutputError, printable

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]


def show(result: dict[str, Any], text: str, as_json: bool, written: Sequence[Path] = ()) -> None:
    """Print a command's report on stdout, as one JSON object or as text.

    Parameters
    ----------
    result : dict
        What is printed as JSON.
    text : str
        What is printed otherwise.
    as_json : bool
        Which of the two is wanted.
    written : sequence of Path
        Output files that are complete, which an error names: they are there although the report is not.

    Raises
    ------
    OutputError
        If stdout takes no more, such as a file on a full disk.
    BrokenPipeError
        If the reader of stdout is gone.
    """
    try:
        safe = "\n".join(printable(line) for line in text.split("\n"))
        typer.echo(json.dumps(result, default=str, allow_nan=False) if as_json else safe)
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is left in the buffer would fail once more at exit, with a message and a status of Python's own.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        names = ", ".join(map(str, written))
        complete = f"; {names} {'is' if len(written) == 1 else 'are'} complete" if names else ""
        problem = f"the report cannot be written ({error.strerror}){complete}"
        raise OutputError(problem, file="standard output") from error


def complain(line: str) -> None:
    """Print one line on stderr, or nothing where stderr is closed.

    Parameters
    ----------
    line : str
        The message; line breaks in it become spaces.
    """
    # Never `print(file=sys.stderr)`: where stderr is closed that is None, which means stdout.
    with suppress(OSError):  # what cannot be said changes nothing about the exit status
        typer.echo(f"tomokit: {printable(' '.join(line.split()))}", err=True)


def table(rows: list[tuple[str, ...]]) -> str:
    """Lay out rows as text in aligned columns.

    Parameters
    ----------
    rows : list of tuple of str
        All of one length; the last column is not padded.

    Returns
    -------
    str
        A line for each row.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)] if rows else []
    return "\n".join(
        "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[-1]]) for row in rows
    )
