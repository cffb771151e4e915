"""Getting files onto the disk for good, exchanging names at once, and telling a full disk from other failures."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""Error numbers that mean a lack of room: a full disk, a used-up quota, a file larger than is allowed."""

_UNSUPPORTED = frozenset(
    (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK, errno.ENOTTY)
)
"""Error numbers by which file systems say that they have no such operation: links, exchanges, locks."""

_AT_FDCWD = -100
_NO_REPLACE, _EXCHANGE = 1, 2


def sync_file(path: str | os.PathLike[str]) -> None:
    """Wait until a file's content has reached the disk.

    Parameters
    ----------
    path : path-like
        A file, or a folder, whose content is its names.

    Raises
    ------
    OSError
        If it cannot be opened, or the disk fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Wait until a folder's names, such as one just given to a new file, have reached the disk.

    Parameters
    ----------
    path : path-like
        The folder. Where its file system cannot sync a folder nothing is done: the files in it are safe by themselves.
    """
    with suppress(OSError):
        sync_file(path)


def sync_tree(folder: Path) -> None:
    """Wait until every file below a folder, and every name, has reached the disk.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    OSError
        If one cannot be opened, or the disk fails.
    """
    for where, _, files in os.walk(folder):
        for name in files:
            sync_file(Path(where, name))
        sync_folder(where)


def rename_new(source: Path, target: Path) -> None:
    """Give a file or folder a name that must be free, and that it takes from nobody.

    Parameters
    ----------
    source, target : Path
        In one folder. Where the file system cannot rename so, a file gets `target` as a second name, and keeps its own.

    Raises
    ------
    FileExistsError
        If the name is taken, if only since a moment ago.
    OSError
        If the disk fails.
    """
    try:
        _renameat2(source, target, _NO_REPLACE)
        return
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    try:
        if not source.is_dir():
            os.link(source, target)
            return
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target))
    os.rename(source, target)


def exchange(one: Path, other: Path, aside: Path) -> None:
    """Let two files, or two folders, have each other's name.

    Parameters
    ----------
    one, other : Path
        Both there, and in one folder.
    aside : Path
        A free name in that folder, for file systems that cannot exchange names in one step: what was `other` has it
        for a moment. A file's names are both there at that moment too; a folder's come back if anything fails.

    Raises
    ------
    OSError
        If the disk fails; both are then as they were.
    """
    try:
        _renameat2(one, other, _EXCHANGE)
        return
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    try:
        if one.is_dir():
            os.rename(other, aside)
            os.rename(one, other)
        else:
            _second_name(other, aside)
            os.replace(one, other)
    except BaseException:
        if os.path.lexists(aside):
            os.replace(aside, other)
        raise
    os.replace(aside, one)


def _second_name(path: Path, name: Path) -> None:
    """A second name of a file; where there are no links it has this one only."""
    try:
        os.link(path, name)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        os.rename(path, name)


def _renameat2(source: Path, target: Path, flags: int) -> None:
    """Linux's rename with flags, which Python does not have."""
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    number = errno.ENOSYS
    if call is not None:
        if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) == 0:
            return
        number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), os.fspath(source), None, os.fspath(target))
