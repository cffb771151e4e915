"""Tilt angles: finding the file that belongs to a stack, reading it, and checking what it says."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.data.named_views import are_few, list_views
from tomokit.errors import InputError, OptionError
from tomokit.io.angle_text import LIMIT_DEG, AngleTable, read_angle_text
from tomokit.io.beside import find_beside, series_names, without_compression
from tomokit.io.mdoc import mdoc_angles

LEAST_RANGE_DEG = 10.0
"""Angles that span less are doubted: no depth can be told from them."""


def read_angles(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Read tilt angles from a text file or an ``.mdoc``.

    Parameters
    ----------
    path : path-like
        ``.tlt``, ``.rawtlt`` or any text (see :func:`tomokit.io.angle_text.read_angle_text`), or an ``.mdoc``, whose
        sections are ordered by ZValue.

    Returns
    -------
    ndarray of float64, shape (n_views,)
        Degrees, in the order of the images.

    Raises
    ------
    InputError
        Naming file and line, if something is not a finite number, the layout is unknown, or an angle is beyond 90
        degrees.
    """
    return read_angle_file(path).tilt_deg


def read_angle_file(path: str | os.PathLike[str]) -> AngleTable:
    """Read tilt angles, and the order of acquisition where the file has it.

    Parameters
    ----------
    path : path-like
        As of :func:`read_angles`.

    Returns
    -------
    AngleTable

    Raises
    ------
    InputError
        As of :func:`read_angles`.
    """
    return mdoc_angles(path) if Path(path).suffix.lower() == ".mdoc" else read_angle_text(path)


def offset_angles(tilt_deg: NDArray[np.float64], offset_deg: float) -> NDArray[np.float64]:
    """Add the same number of degrees to each tilt angle.

    Parameters
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Degrees.
    offset_deg : float
        What is added, in degrees.

    Returns
    -------
    ndarray of float64, shape (n_views,)
        Degrees, in the same order.

    Raises
    ------
    OptionError
        If the offset is not finite, or an angle would be beyond 90 degrees.
    """
    if not math.isfinite(offset_deg) or np.abs(tilt_deg + offset_deg).max(initial=0) > 90:
        raise OptionError(
            f"an offset of {offset_deg:g} puts angles beyond 90 degrees",
            field="--tilt-offset",
            remedy="give a smaller one",
        )
    return tilt_deg + float(offset_deg)


def doubtful_angles(tilt_deg: NDArray[np.float64]) -> list[str]:
    """Warn of angles that are valid, but hardly those of a tilt series: all within 10 degrees.

    Parameters
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Degrees.

    Returns
    -------
    list of str
        One warning, or none.
    """
    extent = float(np.ptp(tilt_deg)) if tilt_deg.size else 0.0
    if tilt_deg.size < 2 or extent >= LEAST_RANGE_DEG:
        return []
    # 1.6 is a little more than a right angle in radians.
    question = "; are they in radians?" if np.abs(tilt_deg).max() < 1.6 else ""
    return [f"the angles span {extent:.3g} degrees only{question}"]


def find_angles(stack: str | os.PathLike[str]) -> Path:
    """Find the angle file that lies beside a stack.

    Parameters
    ----------
    stack : path-like
        For ``TS_ali.mrc`` these are looked for, refined angles before raw ones: ``TS_ali.tlt``, ``TS.tlt``,
        ``TS_ali.rawtlt``, ``TS.rawtlt``, AreTomo3's ``TS_TLT.txt``, ``TS_ali.mrc.mdoc``, ``TS_ali.mdoc``,
        ``TS.mrc.mdoc``, ``TS.st.mdoc``, ``TS.mdoc``; their suffixes in any case.

    Returns
    -------
    Path
        The first of them that exists.

    Raises
    ------
    InputError
        If none exists.
    """
    path = Path(stack)
    names = candidate_names(path.name)
    found = find_beside(path, names)
    if found is not None:
        return found
    raise InputError(
        f"no angle file beside it (looked for {', '.join(names)})", file=path, remedy="give one with --angles"
    )


def candidate_names(stack_name: str) -> list[str]:
    """List the names of angle files that may belong to a stack, the best first.

    Parameters
    ----------
    stack_name : str
        The stack's file name, without a folder.

    Returns
    -------
    list of str
        Names without a folder, each once: refined angles before raw ones, those before an ``.mdoc``.
    """
    full = without_compression(stack_name)
    stems = series_names(stack_name)
    names = [f"{name}{suffix}" for suffix in (".tlt", ".rawtlt", "_TLT.txt") for name in stems]
    names += [f"{full}.mdoc", f"{stems[0]}.mdoc"]
    names += [f"{name}{suffix}" for name in stems for suffix in (".mrc.mdoc", ".st.mdoc", ".mdoc")]
    return list(dict.fromkeys(names))


def check_angles(
    tilt_deg: NDArray[np.float64],
    *,
    file: str | os.PathLike[str] | None = None,
    stack: str | os.PathLike[str] | None = None,
    n_views: int | None = None,
    exclude: Sequence[int] = (),
) -> list[str]:
    """Check tilt angles against the stack that they belong to.

    Parameters
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Degrees, in the order of the images.
    file, stack : path-like, optional
        Names for messages.
    n_views : int, optional
        Views in the stack.
    exclude : sequence of int
        Views, from 0, that will not be used: they may repeat an angle, and do not count as unsorted.

    Returns
    -------
    list of str
        Warnings: angles that neither rise nor fall throughout are legitimate (order of acquisition),
        but worth a look.

    Raises
    ------
    InputError
        If the counts differ, an angle is not finite or beyond 90 degrees, or two views have the same.
    """
    if n_views is not None and tilt_deg.size != n_views:
        name = Path(stack).name if stack is not None else "the stack"
        raise InputError(
            f"{tilt_deg.size} angles, but {name} has {n_views} views", file=file, remedy="give the right --angles"
        )
    if tilt_deg.size == 0:
        raise InputError("there are no angles", file=file)
    # Written so that NaN, which compares as false, is invalid too.
    invalid = np.flatnonzero(~(np.abs(tilt_deg) <= LIMIT_DEG))
    if invalid.size:
        first = invalid[0]
        raise InputError(f"{tilt_deg[first]:g} is no angle within 90 degrees", file=file, field=f"view {first}")
    used = np.setdiff1d(np.arange(tilt_deg.size), np.asarray(exclude, dtype=int))
    _require_distinct(tilt_deg, used, file)
    if not angles_are_sorted(tilt_deg[used]):
        return ["the angles are not sorted; the order of the stack is kept"]
    return []


def _refuse_repeated_angles(
    tilt_deg: NDArray[np.float64], used: NDArray[np.int_], file: str | os.PathLike[str] | None
) -> None:
    """Refuse views at one angle: single ones can be left out, but many are a file that has no angles in it."""
    distinct, first, counts = np.unique(tilt_deg[used], return_index=True, return_counts=True)
    if distinct.size == used.size:
        return
    if distinct.size == 1:
        raise InputError(
            f"all {used.size} views have the angle {distinct[0]:g}", file=file, remedy="give the right --angles"
        )
    repeated = np.delete(used, first)
    angle = distinct[counts > 1][0]
    views = used[tilt_deg[used] == angle]
    listed = ", ".join(str(view) for view in views[:8]) + (", ..." if views.size > 8 else "")
    others = f", and {int((counts > 1).sum()) - 1} more angles come twice" if (counts > 1).sum() > 1 else ""
    remedy = "correct the file, or give the right --angles"
    if are_few(repeated.tolist(), used.size):
        remedy = f"correct the file, or leave views out with --exclude {list_views(repeated.tolist())}"
    raise InputError(f"views {listed} have the same angle {angle:g}{others}", file=file, remedy=remedy)


def angles_are_sorted(tilt_deg: NDArray[np.float64]) -> bool:
    """Whether tilt angles rise or fall throughout, as those of a stack in order of tilt do.

    Parameters
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Degrees, in the order of the images.

    Returns
    -------
    bool
        True for a single view; False if two neighbours are equal.
    """
    steps = np.diff(tilt_deg)
    return bool((steps > 0).all() or (steps < 0).all())


def _require_distinct(
    tilt_deg: NDArray[np.float64], used: NDArray[np.intp], file: str | os.PathLike[str] | None
) -> None:
    distinct, counts = np.unique(tilt_deg[used], return_counts=True)
    if counts.max(initial=1) < 2:
        return
    if distinct.size == 1:
        raise InputError(
            f"all {used.size} angles are {distinct[0]:g}: these are not the angles of a tilt series",
            file=file,
            remedy="give the right --angles, a file or START:STOP:STEP",
        )
    angle = distinct[counts > 1][0]
    views = used[tilt_deg[used] == angle]
    listed = ", ".join(str(view) for view in views[:8]) + (", ..." if views.size > 8 else "")
    # Leaving views out is a remedy for a few that were recorded twice; more of them mean another file's angles.
    spare = [int(view) for other in distinct[counts > 1] for view in used[tilt_deg[used] == other][1:]]
    few = len(spare) <= max(2, used.size // 10)
    remedy = f"correct the file, or leave views out with --exclude {','.join(map(str, sorted(spare)))}"
    raise InputError(
        f"views {listed} have the same angle {angle:g}",
        file=file,
        remedy=remedy if few else f"give the right --angles: {len(spare)} of {used.size} angles are repeated",
    )
