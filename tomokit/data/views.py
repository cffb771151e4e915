"""The division of a series into views that are fitted, views that are only scored, and views left out.

Every index is that of the stack as it lies on the disk, starting at 0, so that a view keeps its number whatever
else is excluded.
"""

from __future__ import annotations

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


def parse_indices(text: str, n_views: int) -> frozenset[int]:
    """Read the views that a text such as ``"0,3,7-9"`` names: single indices and closed ranges, from 0.

    Parameters
    ----------
    text : str
        Indices and ranges, separated by commas.
    n_views : int
        Views in the stack.

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
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdigit() for end in ends):
            raise OptionError(f"{part.strip()!r} is not a view", field="--exclude", remedy="write such as 0,3,7-9")
        # Compared as numbers of limited length: an index of a thousand digits is out of range, not a crash.
        start, stop = (int(end) if len(end) < 10 else n_views for end in ends)
        if start > stop:
            raise OptionError(f"the range {part.strip()!r} runs backwards", field="--exclude")
        if stop >= n_views:
            raise OptionError(
                f"there is no view {ends[1]} among {n_views}",
                field="--exclude",
                remedy=f"count from 0 to {n_views - 1}",
            )
        views.update(range(start, stop + 1))
    return frozenset(views)


def select_views(
    n_views: int, *, exclude: str | None = None, half: str | None = None, hold_out: int | None = None
) -> ViewSelection:
    """Divide the views of a stack into fitted, held-out and excluded ones.

    Parameters
    ----------
    n_views : int
        Views in the stack.
    exclude : str, optional
        Views to leave out, see :func:`parse_indices`.
    half : {"even", "odd"}, optional
        Keep only views of even or odd index.
    hold_out : int, optional
        N: of the views that remain, those with ``index % N == N // 2`` are scored and not fitted.

    Returns
    -------
    ViewSelection

    Raises
    ------
    OptionError
        If an option is malformed, or together they leave nothing to fit, or nothing to score although asked to.
    """
    kept = set(range(n_views))
    if exclude is not None:
        kept -= parse_indices(exclude, n_views)
    if half is not None:
        if half not in ("even", "odd"):
            raise OptionError(f"{half!r} is no half", field="--half", remedy="choose even or odd")
        kept = {view for view in kept if view % 2 == (half == "odd")}
    if not kept:
        asked = " and ".join(name for name, value in (("--exclude", exclude), ("--half", half)) if value is not None)
        raise OptionError(f"no view of {n_views} is left", field=asked or "views", remedy="exclude fewer")
    held_out: set[int] = set()
    if hold_out is not None:
        if hold_out < 2:
            raise OptionError(f"{hold_out} would hold out every view", field="--hold-out", remedy="give at least 2")
        # From the middle of each run of N, so that the outermost views, the highest tilts, tend to stay fitted.
        held_out = {view for view in kept if view % hold_out == hold_out // 2}
        if not held_out:
            raise OptionError(
                f"none of the {len(kept)} views left has index % {hold_out} == {hold_out // 2}",
                field="--hold-out",
                remedy="give another number" + (", or no --half" if half else ""),
            )
        if held_out == kept:
            raise OptionError("every view left would be held out", field="--hold-out", remedy="give another number")
    return ViewSelection(tuple(sorted(kept - held_out)), tuple(sorted(held_out)))
