"""What commands have in common: JSON on stdout or text, and nothing between."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.errors import OutputError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]


def show(result: dict[str, Any], text: str, as_json: bool, written: Sequence[Path] = ()) -> None:
    """Print `result` as one JSON object, or `text`.

    Raises
    ------
    OutputError
        If stdout takes no more; `written` are the outputs that are there all the same.
    BrokenPipeError
        If the reader of stdout is gone.
    """
    try:
        typer.echo(json.dumps(result, default=str, allow_nan=False) if as_json else text)
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
    """Print one line on stderr, if there is one."""
    # Never `print(file=sys.stderr)`: where stderr is closed that is None, which means stdout.
    with suppress(OSError):  # what cannot be said changes nothing about the exit status
        typer.echo(f"tomokit: {' '.join(line.split())}", err=True)


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows as aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)] if rows else []
    return "\n".join(
        "  ".join([cell.ljust(w) for cell, w in zip(row, widths, strict=False)] + [row[-1]]) for row in rows
    )
