"""Output that all commands share: a report on stdout, as text or as one JSON object, and messages on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.errors import OptionError, OutputError, TomokitError, printable

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else; errors too, as its key error.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]


def at_least(low: int) -> Callable[[typer.CallbackParam, int | None], int | None]:
    """Make the check of an option that is a number with a least value.

    Parameters
    ----------
    low : int
        The least value.

    Returns
    -------
    callable
        For Typer's ``callback``: it gives the value back, or raises OptionError with the option's name.
    """

    def check(param: typer.CallbackParam, value: int | None) -> int | None:
        if value is not None and value < low:
            raise OptionError(f"{value} is out of bounds", field=param.opts[0], remedy=f"give at least {low}")
        return value

    return check


def give_up_stdout() -> None:
    """Let what stdout does not take go nowhere: at exit it would fail again, with a message and status of Python's."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


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
        If stdout takes no more, such as a file on a full disk. A reader that is gone is no error.
    """
    global _has_shown
    _has_shown = True  # even where it fails: half an object and another one are no object
    try:
        safe = "\n".join(printable(line) for line in text.split("\n"))
        typer.echo(json.dumps(result, default=str, allow_nan=False) if as_json else safe)
    except OSError as error:
        give_up_stdout()
        if isinstance(error, BrokenPipeError):
            return  # whoever read it has seen enough
        names = ", ".join(map(str, written))
        complete = f"; {names} {'is' if len(written) == 1 else 'are'} complete" if names else ""
        problem = f"the report cannot be written ({error.strerror}){complete}"
        raise OutputError(problem, file="standard output") from error


_has_shown = False
"""Whether a report of this command is on stdout, beside which there can be no other JSON object."""


def begin_report() -> None:
    """Begin a command, which prints one report, or one error as JSON."""
    global _has_shown
    _has_shown = False


def error_facts(error: BaseException, kind: str, line: str, status: int) -> dict[str, Any]:
    """An error as ``--json`` has it.

    Parameters
    ----------
    error : BaseException
        What was raised.
    kind : str
        From :func:`tomokit.commands.failures.kind_of`.
    line : str
        What is said of it on stderr.
    status : int
        The exit status that it ends with.

    Returns
    -------
    dict
        JSON-serializable: ``kind``, ``message``, ``exit_status``, and ``problem``, ``file``,
        ``field`` and ``remedy``, null where there is none.
    """
    parts: dict[str, Any] = {"problem": line, "file": None, "field": None, "remedy": None}
    if isinstance(error, TomokitError):
        parts = {key: getattr(error, key) for key in parts}
    return {"kind": kind, "message": line, "exit_status": status} | parts


def show_error(facts: dict[str, Any]) -> None:
    """Print an error as one JSON object on stdout, unless a report is there already.

    Parameters
    ----------
    facts : dict
        From :func:`error_facts`.
    """
    if _has_shown:
        return
    with suppress(OSError, OutputError):  # stdout may be what the error is about
        show({"error": facts}, "", True)


def complain(line: str) -> None:
    """Print one line on stderr, or nothing where stderr is closed.

    Parameters
    ----------
    line : str
        The message; line breaks in it become spaces.
    """
    # A closed stderr is None, which would mean stdout to `print`. Typer's echo writes past the stand-in for stderr that
    # keeps lines above a progress bar.
    if sys.stderr is not None:
        with suppress(OSError):  # what cannot be said changes nothing about the exit status
            print(f"tomokit: {printable(' '.join(line.split()))}", file=sys.stderr, flush=True)


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
