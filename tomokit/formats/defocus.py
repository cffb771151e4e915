"""Defocus of the views as text: IMOD's ``.defocus``, CTFFIND4's and AreTomo's ``_CTF.txt``.

IMOD (ctfplotter, ctfphaseflip): a line has the first and last view that it is for, counted from 1 (from 0 in version
1), their tilt angles, and the defocus in nm, positive for underfocus. Version 2 has its number at the end of the first
line. Version 3 begins with a line ``FLAGS 0 0. 0. 0. 3``; FLAGS sums 1 for astigmatism (a second defocus and the angle
of the first follow), 2 for that angle in radians, 4 for a phase shift, 8 for it in radians, 16 for angles of the other
sign, 32 for a cut-on frequency. CTFFIND4 and AreTomo: number, defocus along both axes in ångström, angle in degrees,
phase shift in radians, a figure of merit, a resolution, and in AreTomo3 the hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.data.acquisition import Acquisition
from tomokit.errors import InputError
from tomokit.formats.records import AcquisitionFile, FieldUse
from tomokit.formats.words import MOST_VIEWS, PathLike, parse_number
from tomokit.io.table import as_minus, read_text

_ASTIGMATISM, _AXIS_IN_RADIANS, _PHASE, _PHASE_IN_RADIANS, _INVERTED, _CUT_ON = 1, 2, 4, 8, 16, 32
_NM_PER_UM = 1e3
_ANGSTROM_PER_UM = 1e4
_MOST_UM = 100.0
"""No tilt series is recorded at a larger defocus."""

_Row = tuple[list[float], int]


def read_imod_defocus(path: PathLike, *, n_views: int | None = None) -> AcquisitionFile:
    """Read IMOD's ``.defocus``, versions 1 to 3.

    Parameters
    ----------
    path : path-like
    n_views : int, optional
        Views of the stack; by default as many as the last line is for.

    Returns
    -------
    AcquisitionFile
        Where a line is for several views its values stand at their middle, and between two middles they are
        interpolated, as IMOD does.

    Raises
    ------
    InputError
        Naming the line, if it is no such file, or is for views that the stack has not.
    """
    path = Path(path)
    rows = _rows(path)
    first, flags, version = rows[0][0], 0, 1
    if len(first) == 6 and first[5] == 3 and first[1:5] == [0, 0, 0, 0]:
        flags, version, rows = round(first[0]), 3, rows[1:]
    elif len(first) == 6 and first[5] == 2:
        version = 2
        rows = [(first[:5], rows[0][1]), *rows[1:]]
    if not rows:
        raise InputError("no line of a view", file=path, remedy="give a .defocus that was fitted")
    columns = 5 + 2 * bool(flags & _ASTIGMATISM) + bool(flags & _PHASE) + bool(flags & _CUT_ON)
    spans, values, phases = [], [], []
    least = 0 if version == 1 else 1
    for row, line in rows:
        place = f"line {line}"
        if len(row) != columns:
            raise InputError(f"{len(row)} numbers where version {version} has {columns}", file=path, field=place)
        if row[0] != round(row[0]) or row[1] != round(row[1]) or not least <= row[0] <= row[1] <= MOST_VIEWS:
            raise InputError("no range of views", file=path, field=place, remedy=f"count views from {least}")
        spans.append((row[0] - least, row[1] - least))
        both = [row[4], row[5] if flags & _ASTIGMATISM else row[4]]
        angle = row[6] if flags & _ASTIGMATISM else 0.0
        values.append([*both, np.rad2deg(angle) if flags & _AXIS_IN_RADIANS else angle])
        if flags & _PHASE:
            phase = row[5 + 2 * bool(flags & _ASTIGMATISM)]
            phases.append(float(np.rad2deg(phase)) if flags & _PHASE_IN_RADIANS else phase)
    last = round(max(end for _, end in spans)) + 1
    count = last if n_views is None else n_views
    if last > count:
        raise InputError(f"for view {last}, but the stack has {count}", file=path, remedy="give that of this stack")
    middle = np.array([(start + end) / 2 for start, end in spans])
    defocus = np.array(values)
    defocus[:, :2] /= _NM_PER_UM
    _check_defocus(defocus, [line for _, line in rows], path)
    views = np.arange(count, dtype=np.float64)
    uses = [FieldUse("defocus", "used", f"version {version}, nm"), FieldUse("view range", "used", f"from {least}")]
    warnings = []
    if any(start != end for start, end in spans) or len(rows) < count:
        warnings.append(f"{path.name}: {len(rows)} lines for {count} views; between them the defocus is interpolated")
    if flags & _INVERTED:
        uses.append(FieldUse("sign of the angles", "read", "inverted"))
    if flags & _CUT_ON:
        uses.append(FieldUse("cut-on frequency", "not used"))
    shift = _interpolated(views, middle, np.array(phases)[:, None])[:, 0] if phases else None
    acquisition = Acquisition(count, defocus_um=_interpolated(views, middle, defocus), phase_shift_deg=shift)
    return AcquisitionFile(path, f"IMOD .defocus, version {version}", acquisition, tuple(uses), tuple(warnings))


def read_ctf_text(path: PathLike, *, n_views: int | None = None) -> AcquisitionFile:
    """Read the text of CTFFIND4 or of AreTomo (``_CTF.txt``), one line for each view.

    Parameters
    ----------
    path : path-like
    n_views : int, optional
        Views of the stack.

    Returns
    -------
    AcquisitionFile

    Raises
    ------
    InputError
        Naming the line, if a row is damaged or missing, or they are not as many as the stack has views.
    """
    path = Path(path)
    rows = _rows(path)
    columns = len(rows[0][0])
    if columns not in (7, 8):
        raise InputError(
            f"{columns} numbers where CTFFIND4 and AreTomo have 7 or 8", file=path, field=f"line {rows[0][1]}"
        )
    values = []
    numbers = []
    for row, line in rows:
        if len(row) != columns:
            raise InputError(f"{len(row)} numbers where the first row has {columns}", file=path, field=f"line {line}")
        values.append([row[1], row[2], row[3], np.rad2deg(row[4])])
        numbers.append(row[0])
    if numbers not in ([*range(1, len(rows) + 1)], [*range(len(rows))]):
        raise InputError("rows are missing or not in order", file=path, field="column 1", remedy="give the whole file")
    if n_views is not None and len(rows) != n_views:
        raise InputError(f"{len(rows)} rows, but the stack has {n_views} views", file=path, remedy="give that of it")
    table = np.array(values)
    table[:, :2] /= _ANGSTROM_PER_UM
    _check_defocus(table[:, :3], [line for _, line in rows], path)
    uses = [
        FieldUse("defocus 1, defocus 2", "used", "ångström"),
        FieldUse("azimuth of astigmatism", "used", "degrees"),
        FieldUse("phase shift", "used", "radians"),
        FieldUse("cross correlation, spacing", "not used", "figures of the fit"),
    ]
    if columns == 8:
        uses.append(FieldUse("dfHand", "read", f"{rows[0][0][7]:g}: of the defocus gradient"))
    acquisition = Acquisition(len(rows), defocus_um=table[:, :3], phase_shift_deg=table[:, 3])
    return AcquisitionFile(path, "CTFFIND4 or AreTomo text", acquisition, tuple(uses))


def _rows(path: Path) -> list[_Row]:
    rows: list[_Row] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        words = as_minus(line).split()
        if not words or words[0].startswith(("#", "!")):
            continue
        rows.append(([parse_number(word, file=path, field=f"line {number}") for word in words], number))
        if len(rows) > MOST_VIEWS:
            raise InputError("too many rows for a tilt series", file=path)
    if not rows:
        raise InputError("no numbers", file=path, remedy="give a file of defocus values")
    return rows


def _check_defocus(defocus_um: NDArray[np.float64], lines: list[int], path: Path) -> None:
    beyond = np.flatnonzero((np.abs(defocus_um[:, :2]) > _MOST_UM).any(axis=1))
    if beyond.size:
        value = np.abs(defocus_um[beyond[0], :2]).max()
        raise InputError(
            f"a defocus of {value:g} micrometres: another unit, or another file", file=path,
            field=f"line {lines[beyond[0]]}", remedy="give it as the program wrote it",
        )  # fmt: skip


def _interpolated(
    views: NDArray[np.float64], middle: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    order = np.argsort(middle, kind="stable")
    return np.stack([np.interp(views, middle[order], column[order]) for column in values.T], axis=1)
