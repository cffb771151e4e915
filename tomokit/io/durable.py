"""Getting files onto the disk for good, and telling a full disk from other failures."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""Error numbers that mean a lack of room: a full disk, a used-up quota, a file larger than is allowed."""


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
