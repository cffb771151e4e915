"""Defects of a tilt series in words: what was found, where, and what is done about it."""

from __future__ import annotations

from collections.abc import Sequence

from tomokit.data.defects import Defects

NAMED = 6
"""So many views are named one by one; of more there are the numbers only."""


def tell_views(defects: Defects, index: Sequence[int], left_out: bool) -> list[str]:
    """Tell which views hold no image, and which are doubtful.

    Parameters
    ----------
    defects : Defects
        What was found.
    index : sequence of int
        What each view is called: its index in the stack.
    left_out : bool
        Whether a reconstruction leaves out those that hold no image.

    Returns
    -------
    list of str
        A line for either kind, if there are any.
    """
    lines = []
    lost = [bad for bad in defects.bad_views if bad.lost]
    if lost:
        done = "used all the same"
        if left_out:
            done = f"left out; --keep-views uses {'it as it is' if len(lost) == 1 else 'them as they are'}"
        said = ", ".join(f"view {index[bad.view]} {bad.what}" for bad in lost)
        if len(lost) > NAMED:
            said = f"views {_listed(defects.lost, index)} are black, constant or dark"
        lines.append(f"{said}: {done}")
    doubtful = [bad for bad in defects.bad_views if not bad.lost]
    if doubtful:
        said = ", ".join(f"view {index[bad.view]} {bad.what}" for bad in doubtful[:NAMED])
        more = f" and {len(doubtful) - NAMED} more" if len(doubtful) > NAMED else ""
        option = f"--exclude {_listed([bad.view for bad in doubtful], index)}"
        lines.append(f"{said}{more}: used; {option} leaves {'it' if len(doubtful) == 1 else 'them'} out")
    return lines


def tell_spots(defects: Defects, index: Sequence[int], replaced: bool) -> list[str]:
    """Tell how many pixels are spoilt in which views, and which views have too many to tell.

    Parameters
    ----------
    defects : Defects
        What was found.
    index : sequence of int
        What each view is called: its index in the stack.
    replaced : bool
        Whether a reconstruction replaces them.

    Returns
    -------
    list of str
        A line for either, if there are any.
    """
    lines = []
    if defects.spots:
        counts = {index[view]: len(spots) for view, spots in defects.spots.items()}
        total = sum(counts.values())
        if len(counts) <= NAMED:
            where = ", ".join(f"{count} in view {view}" for view, count in counts.items())
        else:
            least, most = min(counts.values()), max(counts.values())
            each = f"{least}" if least == most else f"{least} to {most}"
            where = f"{each} a view in {len(counts)} of {len(index)} views"
        done = "replaced by the median around each; --x-rays keep leaves them" if replaced else "kept as they are"
        what = "isolated extreme pixel" if total == 1 else "isolated extreme pixels"
        lines.append(f"{total} {what}, as of x-rays or hot or dead pixels ({where}): {done}")
    if defects.crowded:
        has = f"view {index[defects.crowded[0]]} has"
        if len(defects.crowded) > 1:
            few = len(defects.crowded) <= NAMED
            has = f"{'views ' + _listed(defects.crowded, index) if few else f'{len(defects.crowded)} views'} have"
        lines.append(f"{has} more isolated extreme pixels than x-rays make: all kept as they are")
    return lines


def _listed(views: Sequence[int], index: Sequence[int]) -> str:
    return ",".join(str(index[view]) for view in views)
