"""Output files that are either complete or absent: written beside the target, then renamed over it."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tomokit.errors import OutputError
from tomokit.io.durable import NO_ROOM, sync_file, sync_folder

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


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
        exists, regular, folder = target.exists(), target.is_file(), target.parent.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a null byte, a name too long
        raise OutputError(f"not a usable file name ({error})", file=path) from error
    if any(_is_same_file(target, file) for file in inputs):
        raise OutputError("is an input of this job", file=path, remedy="give another name")
    if exists and not regular:
        raise OutputError("exists and is not a regular file", file=path, remedy="give another name")
    if exists and not overwrite:
        raise OutputError("exists already", file=path, remedy="give --overwrite to replace it")
    if not folder:
        raise OutputError(f"there is no folder {target.parent}", file=path, remedy="make it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {target.parent} is not writable", file=path, remedy="give another folder")
    return target


def _is_same_file(target: Path, file: str | os.PathLike[str]) -> bool:
    """Whether both are one file, by name or by what the names lead to."""
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
    target = check_output(path, overwrite=overwrite)
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with _as_output_error(path, temporary):
            # Made here, so that what cannot be created fails before the body does any work.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield temporary
            sync_file(temporary)
            _move_into_place(temporary, target, overwrite)
            sync_folder(target.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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


@contextmanager
def _as_output_error(path: str | os.PathLike[str], temporary: Path) -> Iterator[None]:
    """Tell failures of writing in one line; what fails while reading something else stays what it is."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            remedy = "free some space or choose another disk"
            raise OutputError(f"no room on the disk ({error.strerror})", file=path, remedy=remedy) from error
        if error.filename is None or os.fspath(error.filename) == str(temporary):
            raise OutputError(f"cannot be written ({error.strerror or error})", file=path) from error
        raise


def _move_into_place(temporary: Path, target: Path, overwrite: bool) -> None:
    """Rename; without `overwrite` by a hard link, which unlike a rename fails if the name was taken meanwhile."""
    if overwrite:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise OutputError("exists already", file=target, remedy="give --overwrite to replace it") from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        check_output(target)
        os.replace(temporary, target)
