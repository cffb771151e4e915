"""Locks of files: whether what has a name beside a target is being written by a process that lives."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tomokit.errors import OutputError

_LONGEST_NAME_BYTES = 200


def hidden_path(target: Path, ending: str) -> Path:
    """Name a file beside a target that is not shown, for what is there only for a while.

    Parameters
    ----------
    target : Path
        The file or folder that it is beside; a long name is cut, so that the ending fits.
    ending : str
        What it is.

    Returns
    -------
    Path
        ``.NAME.ENDING`` in the folder of `target`.
    """
    # By bytes, which is what file systems count; the end of a name that is cut is seldom what tells two apart.
    name = os.fsdecode(os.fsencode(target.name)[:_LONGEST_NAME_BYTES])
    return target.with_name(f".{name}.{ending}")


def hold(descriptor: int) -> bool:
    """Take a lock on an open file or folder that lasts until it is closed, or its process ends however it ends.

    Parameters
    ----------
    descriptor : int
        Of the open file.

    Returns
    -------
    bool
        False if another process has it.

    Raises
    ------
    OSError
        If the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, what: str, field: str | None = None) -> Iterator[None]:
    """Let no other process write a file, or begin a job that will, while the context lasts.

    The lock is a hidden file beside it, which names the process that has it. It is gone when the context ends; after a
    kill it is left, holds nobody up, and the next one takes it over. Where the file system has no locks there is none.

    Parameters
    ----------
    path : Path
        The file; a symbolic link stands for the file that it points to.
    what : str
        What it is, for the message.
    field : str, optional
        The option that named it, for the message.

    Yields
    ------
    None

    Raises
    ------
    OutputError
        If another process has the lock, or the folder cannot be written to.
    """
    lock = hidden_path(path.resolve(), "lock")
    try:
        descriptor = _take(lock, path, what, field)
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror or error})", file=path, field=field) from error
    try:
        yield
    finally:
        # Still held while it is removed, so that nobody takes a lock that is about to go.
        with suppress(OSError):
            lock.unlink()
        with suppress(OSError):
            os.close(descriptor)


def _take(lock: Path, path: Path, what: str, field: str | None) -> int:
    """The descriptor of the lock, which is held if the file system can."""
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            with suppress(OSError):
                if not hold(descriptor):
                    raise OutputError(
                        f"another run is writing this {what}{_holder(descriptor)}",
                        file=path,
                        field=field,
                        remedy="let it end, or give another name",
                    )
            if _is_at(descriptor, lock):
                with suppress(OSError):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Its last holder removed it between the opening and the lock.
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
    return f" ({text})" if text else ""


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is what has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def clear_leftovers(target: Path) -> None:
    """Remove what killed processes left of their work on a target, and bring back what they had put aside.

    Parameters
    ----------
    target : Path
        The output, links resolved. What a living process is still writing is left alone.
    """
    prefix = re.escape(hidden_path(target, "").name)
    ours = re.compile(prefix + r"[0-9a-f]{8}\.(part|old)")
    with suppress(OSError):
        for name in os.listdir(target.parent):
            if found := ours.fullmatch(name):
                with suppress(OSError):
                    _clear(target.with_name(name), target, put_aside=found[1] == "old")


def _clear(path: Path, target: Path, put_aside: bool) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not hold(descriptor):
            return
        if put_aside and not os.path.lexists(target):
            os.rename(path, target)
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    finally:
        os.close(descriptor)
