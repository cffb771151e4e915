"""Opening of input files: a pipe, a device or a folder in a file's place is refused before anything waits on it."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from tomokit.errors import InputError

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def require_regular(path: str | os.PathLike[str]) -> int:
    """Make sure that a path is that of a file with a content of its own, without opening it.

    Parameters
    ----------
    path : path-like
        An input file, or a link to one.

    Returns
    -------
    int
        Its size in bytes.

    Raises
    ------
    InputError
        If there is nothing, or a pipe, a device, a socket or a directory: opening a pipe may wait for good, and a
        device may never end.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "something else")
        raise InputError(f"cannot be read: it is {kind}, not a file", file=path, remedy="give a file")
    return status.st_size


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open an input file for reading in binary.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    binary file

    Raises
    ------
    InputError
        As :func:`require_regular`, or if it cannot be opened.
    """
    require_regular(path)
    try:
        # Not to be held up by a pipe that has taken the file's name since.
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str | os.PathLike[str], error: Exception) -> InputError:
    return InputError(f"cannot be read ({getattr(error, 'strerror', None) or error})", file=path)
