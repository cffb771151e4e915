"""Rows along the tilt axis that are reconstructed: from what a user writes to rows of the binned stack."""

from __future__ import annotations

from tomokit.data.problem import Problem
from tomokit.errors import InputError, OptionError

Rows = tuple[int, int]


def binned_rows(text: str | None, n_y: int, factor: int) -> Rows:
    """Find the rows of the binned stack that cover the rows that are asked for.

    Parameters
    ----------
    text : str or None
        ``A:B``, rows A to B - 1 of the stack as it lies on the disk, from 0; either may be left out. None: all rows.
    n_y : int
        Rows of the stack.
    factor : int
        Edge of a bin, at most `n_y`.

    Returns
    -------
    first, stop : int
        First row of the binned stack, and the one after the last. Every bin that has one of the rows is among them.

    Raises
    ------
    OptionError
        If the text is no range, there are no such rows, or binning cuts all of them off.
    """
    if text is None:
        return 0, n_y // factor
    first, stop = _parse(text, n_y)
    # Rows that fill no bin are cut off on both sides, see tomokit.io.binning.
    cut, binned = n_y % factor // 2, n_y // factor
    low, high = max(0, (first - cut) // factor), min(binned, -(-(stop - cut) // factor))
    if low >= high:
        raise OptionError(
            f"rows {first} to {stop - 1} are cut off by --bin {factor}", field="--y", remedy="give more rows"
        )
    return low, high


def check_rows_are_seen(problem: Problem, views: tuple[int, ...], rows: Rows) -> None:
    """Refuse views that have no pixel that counts in the rows that are reconstructed.

    Parameters
    ----------
    problem : Problem
        All rows.
    views : tuple of int
        Index of each view in the stack.
    rows : (int, int)
        First row, and the one after the last.

    Raises
    ------
    InputError
        Naming these views.
    """
    if problem.mask is None or rows == (0, problem.geometry.n_v):
        return
    first, stop = rows
    empty = [str(view) for view, mask in zip(views, problem.mask, strict=True) if not mask[:, first:stop].any()]
    if empty:
        raise InputError(
            f"every pixel of view {','.join(empty)} is masked in the rows of --y",
            field="mask",
            remedy=f"leave it out with --exclude {','.join(empty)}, or give other rows",
        )


def _parse(text: str, n_y: int) -> Rows:
    """The first row and the one after the last."""
    parts = [part.strip() for part in text.split(":")]
    if len(parts) != 2 or not all(part == "" or (part.isascii() and part.isdigit()) for part in parts):
        raise OptionError(f"{text!r} is no range of rows", field="--y", remedy="write A:B, such as 0:512")
    # Compared as numbers of limited length: a row of a thousand digits is out of range, not a crash.
    first, stop = (
        default if part == "" else int(part) if len(part) < 10 else n_y + 1
        for part, default in zip(parts, (0, n_y), strict=True)
    )
    if stop > n_y or first >= n_y:
        raise OptionError(f"{text!r} where the stack has {n_y} rows", field="--y", remedy=f"give rows 0:{n_y} or less")
    if first >= stop:
        raise OptionError(f"{text!r} has no row", field="--y", remedy="write A:B with A below B, such as 0:512")
    return first, stop
