"""Files that lie beside a stack, their suffixes in upper or lower case."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

# The last two at most: what comes before them names the series.
_SUFFIXES = re.compile(r"(\.[A-Za-z]\w{0,7}){1,2}$", re.ASCII)
STEM_ENDINGS = ("_ali", "_preali", "_aligned", "_raw", "_filtered")
"""What Etomo and others add to the name of a series when they align or filter its stack."""


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


def without_compression(name: str) -> str:
    """Take the suffix of compression off a file's name.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
        Without ``.gz`` or ``.bz2``, in upper or lower case.
    """
    for compressed in (".gz", ".bz2"):
        if name.lower().endswith(compressed):
            return name[: -len(compressed)]
    return name


def series_names(stack_name: str, more_endings: Iterable[str] = ()) -> list[str]:
    """List the names that the series of a stack may go by, the longest first.

    Parameters
    ----------
    stack_name : str
        The stack's file name, without a folder.
    more_endings : iterable of str, optional
        What may be left out at the end of a name besides ``_ali`` and the like, in lower case.

    Returns
    -------
    list of str
        ``TS_ali`` and ``TS`` for ``TS_ali.mrc``.
    """
    stem = Path(without_compression(stack_name)).stem
    endings = (*STEM_ENDINGS, *more_endings)
    shorter = [stem[: -len(end)] for end in endings if stem.lower().endswith(end) and len(stem) > len(end)]
    return [stem, *shorter]


def mdoc_beside(stack: Path) -> Path | None:
    """Find the ``.mdoc`` of a stack, under the stack's own name or that of a copy with another suffix.

    Parameters
    ----------
    stack : Path

    Returns
    -------
    Path or None
        ``TS.mrc.mdoc``, ``TS.mdoc`` or ``TS.st.mdoc`` for ``TS.mrc``, in this order; None if there is none.
    """
    full = without_compression(stack.name)
    stem = Path(full).stem
    return find_beside(stack, (f"{full}.mdoc", f"{stem}.mdoc", f"{stem}.mrc.mdoc", f"{stem}.st.mdoc"))


def _key(name: str) -> tuple[str, str]:
    """The series' name as it is, and the suffixes in lower case."""
    match = _SUFFIXES.search(name)
    end = len(name) if match is None else match.start()
    return name[:end], name[end:].lower()
