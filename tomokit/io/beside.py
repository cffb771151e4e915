"""Files that lie beside a stack, their suffixes in upper or lower case."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

# The last two at most: what comes before them names the series.
_SUFFIXES = re.compile(r"(\.[A-Za-z]\w{0,7}){1,2}$", re.ASCII)


def find_beside(stack: str | os.PathLike[str], names: Iterable[str]) -> Path | None:
    """Find the first of several files in the folder of a stack.

    Parameters
    ----------
    stack : path-like
        The stack, or any file in the folder.
    names : iterable of str
        Names without a folder, the best first.

    Returns
    -------
    Path or None
        The first that there is, as it is spelt on the disk: its suffixes may be in another case than in `names`, such
        as ``TS.TLT`` for ``TS.tlt``. None if there is none.
    """
    folder = Path(stack).parent
    try:
        with os.scandir(folder) as entries:
            present = sorted(entry.name for entry in entries if entry.is_file())
    except OSError:
        return None
    exact = set(present)
    # Reversed, so that of two spellings the one that sorts first stays.
    by_key = {_key(name): name for name in reversed(present)}
    for name in names:
        found = name if name in exact else by_key.get(_key(name))
        if found is not None:
            return folder / found
    return None


def _key(name: str) -> tuple[str, str]:
    """The series' name as it is, and the suffixes in lower case."""
    match = _SUFFIXES.search(name)
    end = len(name) if match is None else match.start()
    return name[:end], name[end:].lower()
