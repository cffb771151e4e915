"""Processes that want the same machine code take turns: one compiles, the others wait for it and load what it keeps.

Who has the turn holds a lock on a byte of one file in the folder of machine code, the byte's place given by the name
of the machine code. The system takes locks back from processes that end in any way, so nothing is left behind and no
dead process is waited for. Who waits too long, for a process that is stopped or on a machine that is gone, compiles
by itself, and so does everyone where the file system has no locks.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import time
from pathlib import Path

_LONGEST_WAIT_S = 180.0
_POLL_S = 0.02


def take_turn(folder: Path, name: str) -> bool:
    """Take the turn for some machine code, unless another process has it.

    Parameters
    ----------
    folder : Path
        Where the machine code is kept.
    name : str
        Its name there.

    Returns
    -------
    bool
        False if another process has the turn.
    """
    file = _open(folder)
    if file is None:
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(name))
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        # No locks here: as if there were no other process.
        return True
    return True


def wait_for_turn(folder: Path, name: str) -> None:
    """Take the turn for some machine code, as soon as no other process has it or after a long time without.

    Parameters
    ----------
    folder : Path
        Where the machine code is kept.
    name : str
        Its name there.
    """
    end = time.monotonic() + _LONGEST_WAIT_S
    # In short sleeps, between which signals are heard.
    while not take_turn(folder, name) and time.monotonic() < end:
        time.sleep(_POLL_S)


def end_turn(folder: Path, name: str) -> None:
    """Let others have the turn for some machine code; nothing if this process does not have it.

    Parameters
    ----------
    folder : Path
        Where the machine code is kept.
    name : str
        Its name there.
    """
    file = _open(folder)
    if file is not None:
        try:
            fcntl.lockf(file, fcntl.LOCK_UN, 1, _place(name))
        except OSError:
            return


@functools.cache
def _open(folder: Path) -> int | None:
    # Stays open: closing it would end all turns of the process.
    try:
        return os.open(folder / ".turns", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _place(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])
