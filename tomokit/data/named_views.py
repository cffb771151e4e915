"""How messages name views: in the form that ``--exclude`` takes, and only few of a series to be left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SHARE_OF_FEW = 4


def list_views(views: Iterable[int]) -> str:
    """List views as ``--exclude`` takes them, runs of three or more as ranges.

    Parameters
    ----------
    views : iterable of int
        Indices from 0.

    Returns
    -------
    str
        Such as ``"0,3,7-9"``.
    """
    runs: list[list[int]] = []
    for view in sorted(int(view) for view in views):
        if runs and view == runs[-1][-1] + 1:
            runs[-1].append(view)
        else:
            runs.append([view])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)


def name_views(views: Sequence[int], n_views: int) -> str:
    """Name some views of a series in a message.

    Parameters
    ----------
    views : sequence of int
        Indices from 0.
    n_views : int
        Views of the series.

    Returns
    -------
    str
        ``"view 3"``, ``"views 3,7-9"``, or ``"every view"``.
    """
    if len(views) == n_views:
        return "every view"
    return f"view{'' if len(views) == 1 else 's'} {list_views(views)}"


def are_few(views: Sequence[int], n_views: int) -> bool:
    """Whether a series can do without some views: one, or at most a quarter of all.

    Parameters
    ----------
    views : sequence of int
        Indices from 0.
    n_views : int
        Views of the series.

    Returns
    -------
    bool
        False for all views of a series.
    """
    return len(views) < n_views and len(views) <= max(1, n_views // _SHARE_OF_FEW)
