"""The journal of a search: a line for each fit, on the disk before the next begins, by which a search goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tomokit.errors import InputError, OutputError
from tomokit.io.durable import NO_ROOM, sync_folder
from tomokit.io.output import check_output
from tomokit.tuning.parameters import Values
from tomokit.tuning.trials import Fit

_MOST_BYTES = 256 << 20


class Journal:
    """The fits of a search, kept in a file of JSON lines whose first says of what search they are.

    Parameters
    ----------
    path : Path
        The file; made if it is not there, continued if it is one of the same search.
    job : mapping
        All that the fits depend on, JSON-serializable.
    overwrite : bool
        Whether a journal of another search may be replaced.

    Attributes
    ----------
    known : int
        Fits that were there already.

    Raises
    ------
    InputError
        If the file is no journal, or one of another search.
    OutputError
        If it cannot be written.
    """

    def __init__(self, path: Path, job: Mapping[str, Any], overwrite: bool = False) -> None:
        self.path = path
        plain = json.loads(json.dumps(job, allow_nan=False, default=str))
        lines = _complete_lines(path)
        if lines and overwrite and _difference(path, lines[0], plain) is not None:
            lines = []
        if lines:
            different = _difference(path, lines[0], plain)
            if different is not None:
                raise InputError(
                    f"is the journal of another search: {different}",
                    file=path,
                    remedy="give another -o, or --overwrite to begin anew",
                )
        self._fits: dict[str, Fit] = {}
        for number, line in enumerate(lines[1:], start=2):
            fit = parse_fit(path, number, line)
            self._fits[_key(fit.values, fit.fold)] = fit
        self.known = len(self._fits)
        # What a killed process left unfinished at the end is cut off.
        self._write([*lines] if lines else [json.dumps({"tomokit_tune": plain})])

    def find(self, values: Values, fold: int) -> Fit | None:
        """Look up a fit.

        Parameters
        ----------
        values : dict of str to float
        fold : int

        Returns
        -------
        Fit or None
        """
        return self._fits.get(_key(values, fold))

    def add(self, fit: Fit) -> None:
        """Record a fit, and wait until it is on the disk.

        Parameters
        ----------
        fit : Fit

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        self._fits[_key(fit.values, fit.fold)] = fit
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(fit), allow_nan=False) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise _not_written(self.path, error) from error

    def _write(self, lines: list[str]) -> None:
        from tomokit.io.output import write_text

        check_output(self.path, overwrite=True)
        write_text(self.path, "".join(f"{line}\n" for line in lines), overwrite=True)
        sync_folder(self.path.resolve().parent)


def _key(values: Values, fold: int) -> str:
    return json.dumps([sorted(values.items()), fold])


def _complete_lines(path: Path) -> list[str]:
    """Lines with their ends; none of a file that is not there."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path, remedy="give another -o") from error
    if len(raw) > _MOST_BYTES:
        raise InputError("too large for a journal", file=path, remedy="give another -o")
    return raw.decode("utf-8", "replace").split("\n")[:-1]


def _difference(path: Path, line: str, job: Mapping[str, Any]) -> str | None:
    """In what a journal's search differs from this one, in words."""
    try:
        other = json.loads(line)["tomokit_tune"]
        names = sorted({*other, *job})
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InputError("is no journal of a search", file=path, remedy="give another -o") from None
    for name in names:
        if other.get(name) != job.get(name):
            before, now = (json.dumps(one.get(name))[:120] for one in (other, job))
            return f"its {name} is {before}, and here {now}"
    return None


def parse_fit(path: Path, number: int, line: str) -> Fit:
    """Read a line of a journal.

    Parameters
    ----------
    path : Path
        The journal, for messages.
    number : int
        The line, from 1.
    line : str

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        fit = Fit(**json.loads(line))
        numbers = [*fit.values.values(), *fit.rings, *fit.correlation, fit.seconds, fit.fold]
        if not all(isinstance(one, (int, float)) for one in numbers) or (not fit.rings and fit.failure is None):
            raise ValueError
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise InputError(
            "is no fit of a search", file=path, field=f"line {number}", remedy="remove the line, or the file"
        ) from None
    return fit


def _not_written(path: Path, error: OSError) -> OutputError:
    full = error.errno in NO_ROOM
    return OutputError(
        f"cannot be written ({error.strerror})",
        file=path,
        remedy="make room, and begin again: it goes on" if full else None,
    )
