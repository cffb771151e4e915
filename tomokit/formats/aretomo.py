"""AreTomo's alignment ``.aln``: header, dark frames, one row for each view that is used, and local rows.

ROT is the angle of the tilt axis from y, counter-clockwise, and (TX, TY) is taken off the raw image before it is turned
upright, as AreTomo's own ``-OutImod`` has it: ``A = [[cos ROT, sin ROT], [-sin ROT, cos ROT]]`` and
``(DX, DY) = -A (TX, TY)``. TILT is the refined angle of the ``.tlt`` that it writes: AlphaOffset is in it already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.formats.records import AlignmentFile, FieldUse, Use
from tomokit.formats.words import MOST_VIEWS, PathLike, check_angle, parse_number, parse_numbers, parse_whole
from tomokit.geometry.alignment import Alignment
from tomokit.io.table import as_minus, read_text

_COLUMNS = ("SEC", "ROT", "GMAG", "TX", "TY", "SMEAN", "SFIT", "SCALE", "BASE", "TILT")
_SAME_DEG = 1.0
"""Angles of the stack and of the ``.aln`` that differ by more, after the offset, are of other views."""
_HEADER = re.compile(r"#\s*(\w+)\s*=\s*(.*?)\s*$")


@dataclass(frozen=True)
class _Dark:
    frame: int
    section: int
    tilt_deg: float
    line: int


@dataclass
class _Text:
    """An ``.aln`` taken apart."""

    header: dict[str, tuple[str, int]] = field(default_factory=dict)
    dark: list[_Dark] = field(default_factory=list)
    columns: tuple[str, ...] = _COLUMNS
    rows: list[tuple[list[float], int]] = field(default_factory=list)
    n_local: int = 0


def read_aln(path: PathLike, *, tilt_deg: NDArray[np.float64] | None = None) -> AlignmentFile:
    """Read an ``.aln`` of AreTomo, AreTomo2 or AreTomo3.

    Parameters
    ----------
    path : path-like
    tilt_deg : ndarray of float64, shape (n_views,), optional
        Angles of the stack's views in degrees, before refinement, which the angles of the file are held against.

    Returns
    -------
    AlignmentFile
        Views that AreTomo took for dark are there, and not used.

    Raises
    ------
    InputError
        If it is damaged, rows are missing, or it cannot be told which views of the stack its rows are.
    """
    path = Path(path)
    text = _split(path)
    n_views = _number_of_views(text, path)
    column = {name: index for index, name in enumerate(text.columns)}
    for name in ("ROT", "TX", "TY", "TILT"):
        if name not in column:
            raise InputError(f"no column {name}", file=path, field="# SEC ...", remedy="give an .aln of AreTomo")
    alpha, beta = (_header_number(text, name, path) for name in ("AlphaOffset", "BetaOffset"))
    values = np.array([row for row, _ in text.rows])
    for row, line in text.rows:
        check_angle(row[column["TILT"]], file=path, field=f"line {line}, TILT")
        if "GMAG" in column and abs(row[column["GMAG"]] - 1) > 1e-3:
            raise InputError(
                f"a magnification GMAG of {row[column['GMAG']]:g}, whose direction AreTomo does not document",
                file=path,
                field=f"line {line}",
                remedy="give the .xf that AreTomo writes beside it with -OutImod 1",
            )
    views = _views_of_rows(text, values[:, column.get("SEC", 0)], values[:, column["TILT"]] - alpha, n_views, path)
    tilt = np.zeros(n_views)
    used = np.zeros(n_views, dtype=bool)
    transform = np.tile([1.0, 0, 0, 1, 0, 0], (n_views, 1))
    rotation = np.deg2rad(values[:, column["ROT"]])
    cos, sin = np.cos(rotation), np.sin(rotation)
    tx, ty = values[:, column["TX"]], values[:, column["TY"]]
    tilt[views], used[views] = values[:, column["TILT"]], True
    transform[views] = np.stack([cos, sin, -sin, cos, -(cos * tx + sin * ty), sin * tx - cos * ty], axis=1)
    dark_views = np.setdiff1d(np.arange(n_views), views)
    tilt[dark_views] = np.clip([dark.tilt_deg + alpha for dark in _by_view(text, dark_views)], -90, 90)
    if tilt_deg is not None:
        _hold_against_stack(tilt - alpha, tilt_deg, used, path)
    size = _raw_size(text, path)
    thickness = text.header.get("thickness")
    thickness_px = None if thickness is None else parse_whole(thickness[0], file=path, field="Thickness")
    return AlignmentFile(
        path=path,
        kind="AreTomo .aln",
        alignment=Alignment(
            tilt_deg=tilt,
            transform=transform,
            x_tilt_deg=np.zeros(n_views),
            used=used,
            files=(path,),
            raw_shape=None if size is None else (size[1], size[0]),
        ),
        files=(path,),
        fields=_field_uses(text, column),
        warnings=tuple(_warnings(text, beta, n_views, path)),
        thickness_px=thickness_px if thickness_px and 0 < thickness_px < 100_000 else None,
    )


def _split(path: Path) -> _Text:
    text, local = _Text(), False
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        line = as_minus(line.strip())
        if not line:
            continue
        if line.startswith("#"):
            local |= "local alignment" in line.lower()
            words = line.lstrip("# ").split()
            match = _HEADER.match(line)
            if match and match[1].lower() == "darkframe":
                text.dark.append(_dark(match[2], number, path))
            elif match:
                text.header[match[1].lower()] = (match[2], number)
            elif words and words[0].upper() == "SEC":
                text.columns = tuple(word.upper() for word in words)
            continue
        words = line.split()
        if local:
            text.n_local += 1
            continue
        if len(words) < len(text.columns):
            raise InputError(
                f"{len(words)} numbers where a row has {len(text.columns)}",
                file=path,
                field=f"line {number}",
                remedy="give the whole .aln",
            )
        row = [parse_number(word, file=path, field=f"line {number}") for word in words[: len(text.columns)]]
        text.rows.append((row, number))
    if not text.rows:
        raise InputError("no rows of an alignment", file=path, remedy="give the .aln of AreTomo, or an .xf")
    if len(text.rows) > MOST_VIEWS:
        raise InputError(f"{len(text.rows)} rows", file=path, remedy="give the .aln of one tilt series")
    return text


def _dark(value: str, line: int, path: Path) -> _Dark:
    numbers = parse_numbers(value, file=path, field=f"DarkFrame, line {line}")
    if len(numbers) not in (2, 3) or numbers[0] != round(numbers[0]):
        raise InputError(
            "no frame, section and angle", file=path, field=f"DarkFrame, line {line}", remedy="give the whole .aln"
        )
    section = numbers[1] if len(numbers) == 3 else numbers[0]
    return _Dark(round(numbers[0]), round(section), numbers[-1], line)


def _raw_size(text: _Text, path: Path) -> list[int] | None:
    found = text.header.get("rawsize")
    if found is None:
        return None
    sizes = [parse_whole(word, file=path, field="RawSize") for word in found[0].split()]
    if len(sizes) != 3 or min(sizes) < 1 or sizes[2] > MOST_VIEWS:
        raise InputError(f"RawSize {found[0][:40]!r} is no size", file=path, field=f"line {found[1]}")
    return sizes


def _number_of_views(text: _Text, path: Path) -> int:
    size, n_rows, n_dark = _raw_size(text, path), len(text.rows), len(text.dark)
    n_views = n_rows + n_dark if size is None else size[2]
    if n_views != n_rows + n_dark:
        raise InputError(
            f"{n_rows} views aligned and {n_dark} dark ones, but RawSize says that the stack has {n_views}",
            file=path,
            field="RawSize",
            remedy="give the whole .aln of this stack",
        )
    return n_views


def _views_of_rows(
    text: _Text, sections: NDArray[np.float64], raw_deg: NDArray[np.float64], n_views: int, path: Path
) -> NDArray[np.int_]:
    """The view of the stack that each row is: SEC counts the stack's views, or those that are not dark."""
    numbers = sections.astype(int)
    if (numbers != sections).any() or np.unique(numbers).size != numbers.size:
        raise InputError("SEC does not number the views", file=path, field="SEC", remedy="give the .aln as written")
    n_rows = numbers.size
    if not text.dark:
        for first in (0, 1):
            if np.array_equal(np.sort(numbers), np.arange(first, first + n_rows)):
                return numbers - first
        raise InputError("SEC has gaps, but there are no dark frames", file=path, field="SEC", remedy="give the .xf")
    candidates: list[NDArray[np.int_]] = []
    for dark in ([dark.section for dark in text.dark], [dark.frame for dark in text.dark]):
        for first in (0, 1):
            views_dark = np.array(dark) - first
            if np.unique(views_dark).size != views_dark.size or views_dark.min() < 0 or views_dark.max() >= n_views:
                continue
            light = np.setdiff1d(np.arange(n_views), views_dark)
            # SEC as numbers of the stack, and as numbers of what is left of it.
            if np.array_equal(np.sort(numbers - first), light):
                candidates.append(numbers - first)
            for least in (0, 1):
                if np.array_equal(np.sort(numbers), np.arange(least, least + n_rows)):
                    candidates.append(light[numbers - least])
    fitting = {tuple(views) for views in candidates if _is_in_order(text, views, raw_deg, n_views)}
    if len(fitting) != 1:
        raise InputError(
            "it cannot be told which views of the stack the dark frames are: their numbers and angles "
            + ("fit in several ways" if fitting else "do not fit those of the other views"),
            file=path,
            field=f"DarkFrame, line {text.dark[0].line}",
            remedy="give the .xf and .tlt that AreTomo writes with -OutImod 1, and --exclude",
        )
    return np.array(fitting.pop())


def _is_in_order(text: _Text, views: NDArray[np.int_], raw_deg: NDArray[np.float64], n_views: int) -> bool:
    """Whether the angles of all views, dark ones too, rise or fall throughout."""
    tilt = np.empty(n_views)
    tilt[views] = raw_deg
    dark_views = np.setdiff1d(np.arange(n_views), views)
    tilt[dark_views] = [dark.tilt_deg for dark in _by_view(text, dark_views)]
    steps = np.diff(tilt)
    return bool((steps > 0).all() or (steps < 0).all())


def _by_view(text: _Text, dark_views: NDArray[np.int_]) -> list[_Dark]:
    """The dark frames in the order of the views."""
    return sorted(text.dark, key=lambda dark: dark.frame)[: dark_views.size]


def _header_number(text: _Text, name: str, path: Path) -> float:
    found = text.header.get(name.lower())
    return 0.0 if found is None else parse_number(found[0], file=path, field=f"{name}, line {found[1]}", limit=90)


def _hold_against_stack(
    raw_deg: NDArray[np.float64], tilt_deg: NDArray[np.float64], used: NDArray[np.bool_], path: Path
) -> None:
    if tilt_deg.size != raw_deg.size:
        dark = int((~used).sum())
        raise InputError(
            f"an alignment of {raw_deg.size} views{f' ({dark} of them dark)' if dark else ''}, but the stack has "
            f"{tilt_deg.size} angles",
            file=path,
            field="RawSize",
            remedy="give the alignment of this stack",
        )
    if not np.isfinite(tilt_deg).all():
        return
    difference = np.abs(raw_deg - tilt_deg)[used]
    # AreTomo may have refined the offset without writing it: one number for all views is no other view.
    difference = np.abs(difference - np.median(difference)) if np.median(difference) < 30 else difference
    if difference.max(initial=0) > _SAME_DEG:
        view = int(np.flatnonzero(used)[np.argmax(difference)])
        raise InputError(
            f"view {view} is at {raw_deg[view]:.2f} degrees before its offset, but at {tilt_deg[view]:.2f} in the "
            "angles of the stack",
            file=path,
            field="TILT",
            remedy="give the alignment of this stack, and angles in the order of its views",
        )


def _field_uses(text: _Text, column: dict[str, int]) -> tuple[FieldUse, ...]:
    uses = [FieldUse(name, "used", f"of {len(text.rows)} views") for name in ("ROT", "TX", "TY", "TILT")]
    uses.append(FieldUse("SEC", "used", "which view a row is"))
    if "GMAG" in column:
        uses.append(FieldUse("GMAG", "read", "1 throughout"))
    others = [name for name in text.columns if name not in ("SEC", "ROT", "GMAG", "TX", "TY", "TILT")]
    if others:
        uses.append(FieldUse(", ".join(others), "not used", "figures of AreTomo's fit"))
    if text.dark:
        uses.append(FieldUse("DarkFrame", "used", f"{len(text.dark)} views left out"))
    notes: dict[str, tuple[str, Use]] = {
        "rawsize": ("RawSize", "used"),
        "alphaoffset": ("AlphaOffset", "read"),
        "betaoffset": ("BetaOffset", "not used"),
        "thickness": ("Thickness", "used"),
        "numpatches": ("NumPatches", "read"),
    }
    for key, (value, _) in text.header.items():
        name, use = notes.get(key, (key[:40], "not used"))
        note = f"{value[:40]}: in TILT already" if key == "alphaoffset" else value[:40]
        uses.append(FieldUse(name, use, note))
    if text.n_local:
        uses.append(FieldUse("# Local Alignment", "not used", f"{text.n_local} rows"))
    return tuple(uses)


def _warnings(text: _Text, beta: float, n_views: int, path: Path) -> list[str]:
    warnings = []
    if text.dark:
        warnings.append(f"{path.name}: {len(text.dark)} of {n_views} views were dark to AreTomo and are left out")
    if beta:
        warnings.append(
            f"{path.name}: BetaOffset {beta:g} is not used, its sign is not documented; an .xtilt has that of IMOD"
        )
    if text.n_local:
        warnings.append(f"{path.name}: {text.n_local} rows of local alignment are not used")
    return warnings
