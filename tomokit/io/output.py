"""Output files that are either complete or absent: written beside the target, then renamed over it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tomokit.errors import OutputError
from tomokit.io.output_set import Existing, new_outputs


def check_output(
    path: str | os.PathLike[str], *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """Make sure, before any work is done, that an output can be written.

    Parameters
    ----------
    path : path-like
        The file to be written. A symbolic link stands for the file it points to.
    overwrite : bool
        Whether an existing file may be replaced.
    inputs : iterable of path-like
        Files that the job reads: none of them may be replaced, whatever `overwrite` says.

    Returns
    -------
    Path
        The file itself, links resolved.

    Raises
    ------
    OutputError
        If the file is one of the inputs, exists and may not be replaced, is not a regular file, or its folder is
        missing or not writable.
    """
    if not os.fspath(path):
        raise OutputError("an empty file name", remedy="give a name")
    try:
        target = Path(path).resolve()
        exists, regular, folder = _exists(target), target.is_file(), target.parent.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a null byte, a name too long
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"not a usable file name ({reason})", file=path) from error
    check_is_no_input(path, inputs)
    if exists and not regular:
        raise OutputError("exists and is not a regular file", file=path, remedy="give another name")
    if exists and not overwrite:
        raise OutputError("exists already", file=path, remedy="give --overwrite to replace it")
    if not folder:
        raise OutputError(f"there is no folder {target.parent}", file=path, remedy="make it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {target.parent} is not writable", file=path, remedy="give another folder")
    return target


def check_is_no_input(path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse an output that would replace a file that its job reads, or the folder that one lies in.

    Parameters
    ----------
    path : path-like
        The output.
    inputs : iterable of path-like
        What the job reads.

    Raises
    ------
    OutputError
        If it would.
    """
    try:
        target = Path(path).resolve()
    except (OSError, RuntimeError, ValueError):
        return  # no usable name, which is told where it would be used
    for file in inputs:
        if is_same_file(target, file):
            raise OutputError("is an input of this job", file=path, remedy="give another name")
        # No other folder is ever replaced.
        if target.suffix.lower() == ".zarr" and target in Path(os.path.realpath(file)).parents:
            raise OutputError(f"holds an input of this job, {os.fspath(file)}", file=path, remedy="give another name")


def _exists(target: Path) -> bool:
    """Whether there is something; a name that cannot be looked at, such as one too long, is an error."""
    try:
        os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_same_file(target: Path, file: str | os.PathLike[str]) -> bool:
    """Tell whether two paths are those of one file, by name or by what the names lead to.

    Parameters
    ----------
    target : Path
        Links resolved.
    file : path-like

    Returns
    -------
    bool
        False also where one cannot be looked at.
    """
    try:
        return target == Path(file).resolve() or target.samefile(file)
    except (OSError, RuntimeError, ValueError):
        return False


@contextmanager
def new_file(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Write a file under a temporary name beside `path`; it gets its name only when it is complete.

    Parameters
    ----------
    path : path-like
        The file to be made.
    overwrite : bool
        Whether an existing file may be replaced. It stays untouched until the new one is complete.

    Yields
    ------
    Path
        The temporary file, empty, to be written by the body. It is synced and renamed when the body
        ends, and removed when the body raises.

    Raises
    ------
    OutputError
        As :func:`check_output`; if the disk is full; if the file appeared in the meantime.
    """
    existing: Existing = "replace" if overwrite else "refuse"
    with new_outputs() as outputs, outputs.new(path, check_file, existing) as temporary:
        yield temporary


def check_file(path: Path, overwrite: bool) -> Path:
    """Make sure that a file can be written, as outputs of a set are checked.

    Parameters
    ----------
    path : Path
        The file.
    overwrite : bool
        Whether it may be there.

    Returns
    -------
    Path
        The file itself, links resolved.

    Raises
    ------
    OutputError
        As :func:`check_output`.
    """
    return check_output(path, overwrite=overwrite)


def write_text(path: str | os.PathLike[str], text: str, *, overwrite: bool = False) -> None:
    """Write a text file in UTF-8, all or nothing.

    Parameters
    ----------
    path : path-like
        The file to be made.
    text : str
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        As :func:`new_file`.
    """
    with new_file(path, overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any, *, overwrite: bool = False) -> None:
    """Write a value as a file of indented JSON, all or nothing.

    Parameters
    ----------
    path : path-like
        The file to be made.
    value : JSON-serializable
        Without NaN and infinity, for which JSON has no word.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        As :func:`new_file`.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n", overwrite=overwrite)
