"""The division of a series into views that are fitted, views that are only scored, and views left out.

Every index is that of the stack as it lies on the disk, starting at 0, so that a view keeps its number whatever
else is excluded. What a user writes may count from 1, as IMOD does.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from tomokit.errors import OptionError


@dataclass(frozen=True)
class ViewSelection:
    """Views that are fitted and views that are held out, as indices in the original stack, ascending.

    Attributes
    ----------
    fitted : tuple of int
        Views that the reconstruction is made from.
    held_out : tuple of int
        Views that are only compared with the reconstruction's prediction.
    """

    fitted: tuple[int, ...]
    held_out: tuple[int, ...] = ()


def parse_indices(text: str, n_views: int, *, first: int = 0, field: str = "--exclude") -> frozenset[int]:
    """Read the views that a text such as ``"0,3,7-9"`` names: single numbers and closed ranges.

    Parameters
    ----------
    text : str
        Numbers and ranges, separated by commas or blanks.
    n_views : int
        Views in the stack.
    first : {0, 1}
        The number of the first view.
    field : str
        The option that the text was given to, for messages.

    Returns
    -------
    frozenset of int
        Indices from 0 to ``n_views - 1``.

    Raises
    ------
    OptionError
        If a part is neither a number nor a range, a range runs backwards, or there is no such view.
    """
    views: set[int] = set()
    example = ",".join(str(number + first) for number in (0, 3)) + f",{7 + first}-{9 + first}"
    for part in _parts(text):
        begin, dash, end = (piece.strip() for piece in part.partition("-"))
        ends = (begin, end if dash else begin)
        if not all(number.isascii() and number.isdigit() for number in ends):
            raise OptionError(f"{part.strip()[:40]!r} is not a view", field=field, remedy=f"write such as {example}")
        # Compared as numbers of limited length: an index of a thousand digits is out of range, not a crash.
        start, stop = (int(number) - first if len(number) < 10 else n_views for number in ends)
        if start > stop:
            raise OptionError(
                f"the range {part.strip()[:40]!r} runs backwards", field=field, remedy="write the smaller index first"
            )
        if start < 0 or stop >= n_views:
            raise OptionError(
                f"there is no view {ends[0 if start < 0 else 1][:40]} among {n_views}",
                field=field,
                remedy=f"count from {first} to {n_views - 1 + first}" if n_views > 1 else f"its only view is {first}",
            )
        views.update(range(start, stop + 1))
    return frozenset(views)


def excluded_views(n_views: int, exclude: str | None = None, exclude_from_1: str | None = None) -> frozenset[int]:
    """Read which views a user leaves out by their numbers.

    Parameters
    ----------
    n_views : int
        Views in the stack.
    exclude, exclude_from_1 : str, optional
        Their numbers, from 0 or from 1, see :func:`parse_indices`; one of the two at most.

    Returns
    -------
    frozenset of int
        Indices from 0.

    Raises
    ------
    OptionError
        If both are given, or as :func:`parse_indices`.
    """
    if exclude is not None and exclude_from_1 is not None:
        raise OptionError("does not go with --exclude", field="--exclude-from-1", remedy="give one of them")
    if exclude_from_1 is not None:
        return parse_indices(exclude_from_1, n_views, first=1, field="--exclude-from-1")
    return frozenset() if exclude is None else parse_indices(exclude, n_views)


def parse_hold_out(text: int | str) -> tuple[int, int]:
    """Read which views are scored and not fitted: ``N``, or ``N:K``.

    Parameters
    ----------
    text : int or str
        N, of which K is ``N // 2``: from the middle of each run of N, so that the outermost views, the highest tilts,
        tend to stay fitted; or both.

    Returns
    -------
    every, place : int
        N and K: views with ``index % N == K`` are scored.

    Raises
    ------
    OptionError
        If it is not of that form, N is less than 2, or K is not less than N.
    """
    first, colon, second = str(text).partition(":")
    numbers = [number.strip() for number in ((first, second) if colon else (first,))]
    # Of limited length: more digits than any stack has views are no number here.
    if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
        raise OptionError(
            f"{str(text)[:40]!r} is neither N nor N:K", field="--hold-out", remedy="write such as 5, or 5:2"
        )
    every = int(numbers[0])
    if every < 2:
        raise OptionError(f"{every} would hold out every view", field="--hold-out", remedy="give at least 2")
    place = int(numbers[1]) if colon else every // 2
    if place >= every:
        remedy = f"give {every}:0 to {every}:{every - 1}"
        raise OptionError(f"no view has index % {every} == {place}", field="--hold-out", remedy=remedy)
    return every, place


def select_views(
    n_views: int,
    *,
    exclude: str | None = None,
    exclude_from_1: str | None = None,
    half: str | None = None,
    hold_out: int | str | None = None,
    not_aligned: Collection[int] = (),
) -> ViewSelection:
    """Divide the views of a stack into fitted, held-out and excluded ones.

    Parameters
    ----------
    n_views : int
        Views in the stack.
    exclude, exclude_from_1 : str, optional
        Views to leave out, counted from 0 or from 1, see :func:`parse_indices`; one of the two at most.
    half : {"even", "odd"}, optional
        Keep only views of even or odd index.
    hold_out : int or str, optional
        Of the views that remain, those of :func:`parse_hold_out` are scored and not fitted.
    not_aligned : collection of int
        Views that the alignment leaves out, from 0.

    Returns
    -------
    ViewSelection

    Raises
    ------
    OptionError
        If an option is malformed, or together they leave nothing to fit, or nothing to score although asked to.
    """
    kept = set(range(n_views)) - excluded_views(n_views, exclude, exclude_from_1) - set(not_aligned)
    if half is not None:
        if half not in ("even", "odd"):
            raise OptionError(f"{half!r} is no half", field="--half", remedy="choose even or odd")
        kept = {view for view in kept if view % 2 == (half == "odd")}
    if not kept:
        given = (("--exclude", exclude), ("--exclude-from-1", exclude_from_1), ("--half", half))
        asked = " and ".join(name for name, value in given if value is not None)
        raise OptionError(f"no view of {n_views} is left", field=asked or "views", remedy="exclude fewer")
    held_out: set[int] = set()
    if hold_out is not None:
        every, place = parse_hold_out(hold_out)
        held_out = {view for view in kept if view % every == place}
        if not held_out:
            raise OptionError(
                f"none of the {len(kept)} views left has index % {every} == {place}",
                field="--hold-out",
                remedy="give another number" + (", or no --half" if half else ""),
            )
        if held_out == kept:
            raise OptionError("every view left would be held out", field="--hold-out", remedy="give another number")
    return ViewSelection(tuple(sorted(kept - held_out)), tuple(sorted(held_out)))


def _parts(text: str) -> list[str]:
    """Numbers and ranges: between commas, or between blanks that are not beside a hyphen; as they are if neither."""
    return [part for piece in text.split(",") for part in re.split(r"(?<=[^\s-])\s+(?=[^\s-])", piece.strip())]
