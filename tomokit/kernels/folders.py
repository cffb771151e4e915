"""Folders where machine code is kept: the user's cache, what was compiled into the installation, or a scratch folder.

``NUMBA_CACHE_DIR`` replaces the first two, as it does for other programs that use Numba.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

from tomokit.kernels.notice import say

INSTALLED = Path(__file__).resolve().parent / "machine_code"
"""Where ``tomokit warm-up --into-installation`` puts machine code, for all users of an installation."""


@functools.cache
def folder_to_write() -> Path:
    """Find the folder that new machine code goes to, and make it.

    It is ``$NUMBA_CACHE_DIR/tomokit``, or else the user's cache folder (``$XDG_CACHE_HOME/tomokit/kernels``, by default
    in ``~/.cache``). Where that cannot be written a folder of this process is used, removed at its end, and the user is
    told once.

    Returns
    -------
    Path
        A folder that exists and was writable when it was asked for.
    """
    wanted = _kept()[0]
    if wanted is not None and _is_writable(wanted):
        return wanted
    scratch = Path(tempfile.mkdtemp(prefix="tomokit-kernels-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    place = "for there is no home folder" if wanted is None else f"in {wanted}"
    say(
        f"machine code cannot be kept, {place}: every run compiles again; "
        "set NUMBA_CACHE_DIR to a folder that can be written"
    )
    return scratch


def is_kept_between_runs() -> bool:
    """Tell whether new machine code outlives this process.

    Returns
    -------
    bool
    """
    return folder_to_write() in _kept()


def folders_to_read() -> list[Path]:
    """List the folders where machine code is looked for, whether they exist or not.

    Returns
    -------
    list of Path
        That of :func:`folder_to_write`, then those that are kept between runs.
    """
    written = folder_to_write()
    return [written, *(folder for folder in _kept() if folder is not None and folder != written and _is_ours(folder))]


def _kept() -> tuple[Path | None, ...]:
    """Folders that outlive a process, the one to write to first."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    return (Path(chosen) / "tomokit",) if chosen else (_user_folder(), INSTALLED / "tomokit")


def _user_folder() -> Path | None:
    """The user's cache folder by the XDG base directory specification; None if there is no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "tomokit" / "kernels"
    try:
        return Path.home() / ".cache" / "tomokit" / "kernels"
    except RuntimeError:
        return None


def _is_writable(folder: Path) -> bool:
    try:
        # For the user alone: what lies here is run.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(folder):
            return False
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _is_ours(folder: Path) -> bool:
    """Whether a folder belongs to the user, to root, or to the owner of the installation: what lies in it is run."""
    try:
        owner = folder.stat().st_uid
    except OSError:
        return False
    return owner in (os.getuid(), 0, Path(__file__).stat().st_uid)
