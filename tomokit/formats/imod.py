"""An alignment by IMOD or Etomo: ``.xf``, ``.tlt``, ``.xtilt``, ``tilt.com``, ``newst.com`` and ``.edf`` put together.

The transform of an ``.xf`` is that of :class:`~tomokit.geometry.alignment.Alignment`: IMOD's centre ``n / 2``, counted
from the edge of the first pixel, is index ``(n - 1) / 2``. OFFSET is added to the angles. IMOD's tilt subtracts
XAXISTILT from the tilts of XTILTFILE, so that ``x_tilt_deg = XAXISTILT - xtilt`` in the sign of XAXISTILT. The second
number of OFFSET is the place of the tilt axis from the centre of the aligned views: it is subtracted from DX, which
puts the axis at the centre, and added to SHIFT, which leaves the tomogram where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.formats.edf import EtomoProject, read_edf
from tomokit.formats.records import AlignmentFile, FieldUse
from tomokit.formats.tilt_com import NewstackCommand, TiltCommand, read_newst_com, read_tilt_com
from tomokit.formats.words import PathLike
from tomokit.geometry.alignment import Alignment
from tomokit.io.angles import read_angles
from tomokit.io.beside import find_beside, series_names
from tomokit.io.table import read_table
from tomokit.io.transforms import read_xf

_SAME_SIZE = 0.05
"""Aligned images that are larger or smaller than the raw ones by less are not binned."""
_ENDINGS = ("_fid", "fid", "_st", "_xg", "_final")


@dataclass(frozen=True)
class ImodFiles:
    """The files of one series that IMOD left; None where there is none.

    Attributes
    ----------
    xf, tlt, x_tilt, tilt_com, newst_com, edf : Path or None
        Final transforms, angles, x-axis tilts, command files and project.
    """

    xf: Path | None = None
    tlt: Path | None = None
    x_tilt: Path | None = None
    tilt_com: Path | None = None
    newst_com: Path | None = None
    edf: Path | None = None


def find_imod_files(path: PathLike) -> tuple[ImodFiles, list[str]]:
    """Find the files of the series that one of them belongs to.

    Parameters
    ----------
    path : path-like
        An ``.xf``, a ``.com`` or an ``.edf``; the others lie beside it.

    Returns
    -------
    files : ImodFiles
        Those that there are.
    warnings : list of str
        Which command files of the folder are about another series.

    Raises
    ------
    InputError
        If a command file or project cannot be read, or it names files that are not there.
    """
    path, warnings = Path(path), list[str]()
    suffix = path.suffix.lower()
    tilt_com = path if suffix == ".com" and _runs(path, "tilt") else find_beside(path, ("tilt.com",))
    newst_com = path if suffix == ".com" and tilt_com != path else find_beside(path, ("newst.com",))
    edf = path if suffix == ".edf" else None
    if suffix == ".com":
        tilt = read_tilt_com(tilt_com) if tilt_com is not None else None
        newst = read_newst_com(newst_com) if newst_com is not None else None
        names = [Path(tilt.tilt_file).stem if tilt else "", Path(newst.transform_file).stem if newst else ""]
        own = next((name for name in (names if tilt_com == path else names[::-1]) if name), "")
        stems = series_names(f"{own}.tlt", _ENDINGS) if own else []
        xf = (newst.transform_file if newst and Path(newst.transform_file).stem in stems else "") or f"{own}.xf"
        named = {"xf": xf, "tlt": tilt.tilt_file if tilt else f"{own}.tlt", "x_tilt": tilt.x_tilt_file if tilt else ""}
        found = {role: find_beside(path, (name,)) if name and name != ".xf" else None for role, name in named.items()}
        if newst is not None and Path(newst.transform_file).stem not in stems and newst_com != path:
            warnings.append(f"{newst.path.name} is about {newst.transform_file or 'another series'}: not used")
            newst_com = None
        missing = [name for role, name in named.items() if name and name != ".xf" and found[role] is None]
        if found["xf"] is None or missing:
            names_text = ", ".join(missing) or "transforms"
            raise InputError(
                f"names {names_text}, which {'is' if len(missing) < 2 else 'are'} not beside it",
                file=path,
                remedy="put them there, or give the .xf, whose companions are looked for by its own name",
            )
        return ImodFiles(
            found["xf"], found["tlt"], found["x_tilt"], tilt_com, newst_com, _edf_of(path, stems)
        ), warnings
    stem = read_edf(path).name or path.stem if edf is not None else path.stem
    stems = series_names(f"{stem}.xf", _ENDINGS)
    beside = {
        role: find_beside(path, [f"{name}{end}" for end in ends for name in stems])
        for role, ends in (("xf", (".xf",)), ("tlt", (".tlt", ".rawtlt")), ("x_tilt", (".xtilt",)))
    }
    if suffix != ".edf":
        beside["xf"] = path
    if beside["tlt"] is None and (lone := _lone_angles(path)) is not None:
        # Transforms are often given another name than the series: `final.xf`.
        warnings.append(f"{path.name}: with the angles of {lone.name}, the only {lone.suffix} beside it")
        beside["tlt"] = lone
        stems += series_names(lone.name, _ENDINGS)
        beside["x_tilt"] = beside["x_tilt"] or find_beside(path, [f"{name}.xtilt" for name in stems])
    for name, command in (("tilt.com", tilt_com), ("newst.com", newst_com)):
        if command is not None and not _is_about(command, stems):
            warnings.append(f"{name} is about another series than {stem}: not used")
            tilt_com = None if command == tilt_com else tilt_com
            newst_com = None if command == newst_com else newst_com
    edf = edf or _edf_of(path, stems)
    return ImodFiles(beside["xf"], beside["tlt"], beside["x_tilt"], tilt_com, newst_com, edf), warnings


def read_imod(
    files: ImodFiles,
    path: PathLike,
    *,
    tilt_deg: NDArray[np.float64] | None = None,
    raw_shape: tuple[int, int] | None = None,
    warnings: list[str] | None = None,
) -> AlignmentFile:
    """Put an alignment together from the files of IMOD.

    Parameters
    ----------
    files : ImodFiles
        Its ``xf`` is needed; the angles too, if `tilt_deg` is not given.
    path : path-like
        The file that was asked for, for messages.
    tilt_deg : ndarray of float64, shape (n_views,), optional
        Angles in degrees in place of those of the files.
    raw_shape : tuple of int, optional
        ``(n_y, n_x)`` of the stack's images, to be held against FULLIMAGE.
    warnings : list of str, optional
        Warnings that go before those that are found here.

    Returns
    -------
    AlignmentFile

    Raises
    ------
    InputError
        If a file is missing or damaged, two of them are not of one number of views, or the stack is binned against
        them.
    """
    path = Path(path)
    if files.xf is None:
        raise InputError("no final transforms (.xf) beside it", file=path, remedy="align the series first, or give .xf")
    xf = read_xf(files.xf)
    told = list(warnings or ())
    newst = NewstackCommand(path) if files.newst_com is None else read_newst_com(files.newst_com)
    bin_by = newst.bin_by if files.newst_com is not None else None
    tilt = TiltCommand(path) if files.tilt_com is None else read_tilt_com(files.tilt_com, bin_by)
    project = EtomoProject(path) if files.edf is None else read_edf(files.edf)
    told += [*tilt.warnings, *newst.warnings]
    _refuse_binned(tilt, raw_shape)
    fields = [FieldUse(files.xf.name, "used", f"{len(xf)} transforms")]
    if tilt_deg is None:
        if files.tlt is None:
            raise InputError(
                "no angles (.tlt or .rawtlt) beside it",
                file=path,
                remedy="put the .tlt of the alignment beside it, or give --angles",
            )
        tilt_deg = read_angles(files.tlt)
        fields.append(FieldUse(files.tlt.name, "used", f"{tilt_deg.size} angles"))
        if files.tlt.suffix.lower() == ".rawtlt":
            told.append(f"{files.tlt.name}: angles before refinement, there is no .tlt")
        _same_count(tilt_deg.size, len(xf), files.tlt, "angles", files.xf)
    elif tilt_deg.size != len(xf):
        _same_count(len(xf), tilt_deg.size, files.xf, "transforms", None)
    x_tilt = np.zeros(len(xf))
    if files.x_tilt is not None:
        x_tilt = read_table(files.x_tilt, 1, "a file of x-axis tilts")[0][:, 0]
        _same_count(x_tilt.size, len(xf), files.x_tilt, "x-axis tilts", files.xf)
        if np.abs(x_tilt).max() >= 90:
            raise InputError("an x-axis tilt of 90 degrees or more", file=files.x_tilt, remedy="correct it")
        fields.append(FieldUse(files.x_tilt.name, "used", f"{x_tilt.min():g} to {x_tilt.max():g} degrees"))
    excluded = tilt.excluded | project.excluded
    beyond = sorted(view for view in excluded if view >= len(xf))
    if beyond:
        by = tilt.path.name if beyond[-1] in tilt.excluded else project.path.name
        raise InputError(
            f"view {beyond[0] + 1} is excluded, but there are {len(xf)} views", file=by, remedy="give its own series"
        )
    used = np.ones(len(xf), dtype=bool)
    used[sorted(excluded)] = False
    if not used.any():
        raise InputError("every view is excluded", file=files.tilt_com or files.edf, remedy="correct the list")
    transform = xf.copy()
    transform[:, 4] -= tilt.axis_offset_px
    order = (files.xf, files.tlt, files.x_tilt, files.tilt_com, files.newst_com, files.edf)
    all_files = tuple(file for file in order if file is not None)
    alignment = Alignment(
        tilt_deg=np.asarray(tilt_deg, dtype=np.float64),
        transform=transform,
        x_tilt_deg=tilt.x_axis_tilt_deg - x_tilt,
        used=used,
        tilt_offset_deg=tilt.tilt_offset_deg,
        shift_x_px=tilt.shift_x_px + tilt.axis_offset_px,
        shift_z_px=tilt.shift_z_px,
        aligned_shape=newst.aligned_shape,
        files=all_files,
    )
    stacks = [newst.raw_stack, newst.aligned_stack, tilt.stack]
    return AlignmentFile(
        path=path,
        kind="IMOD",
        alignment=alignment,
        files=all_files,
        fields=(*fields, *tilt.fields, *newst.fields, *project.fields),
        warnings=tuple(told),
        thickness_px=tilt.thickness_px,
        pixel_size_angstrom=project.pixel_size_angstrom,
        image_files=tuple(dict.fromkeys(name for name in stacks if name)),
    )


def _lone_angles(path: Path) -> Path | None:
    """The only ``.tlt`` of the folder, else its only ``.rawtlt``."""
    try:
        present = sorted(entry for entry in path.parent.iterdir() if entry.is_file())
    except OSError:
        return None
    for suffix in (".tlt", ".rawtlt"):
        found = [entry for entry in present if entry.suffix.lower() == suffix]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _edf_of(path: Path, stems: list[str]) -> Path | None:
    return find_beside(path, [f"{stem}.edf" for stem in stems])


def _runs(path: Path, program: str) -> bool:
    from tomokit.formats.commands import read_commands

    try:
        read_commands(path, program)
    except InputError:
        return False
    return True


def _is_about(command: Path, stems: list[str]) -> bool:
    """Whether a command file names files of this series."""
    try:
        if command.name.lower() == "tilt.com":
            tilt = read_tilt_com(command)
            names = [tilt.tilt_file, tilt.stack]
        else:
            newst = read_newst_com(command)
            names = [newst.transform_file, newst.raw_stack]
    except InputError as error:
        raise InputError(
            error.problem, file=command, field=error.field, remedy=error.remedy or "correct it, or move it away"
        ) from error
    about = {stem.lower() for name in names if name for stem in series_names(name, _ENDINGS)}
    return bool(about & {stem.lower() for stem in stems})


def _refuse_binned(tilt: TiltCommand, raw_shape: tuple[int, int] | None) -> None:
    """Refuse a stack that was binned after it was aligned, or before: the shifts are in other pixels than its own."""
    if tilt.full_image is None or raw_shape is None or min(*tilt.full_image, *raw_shape) < 1:
        return
    # The aligned images may lie across the raw ones, and be a little larger or smaller.
    full, raw = sorted(tilt.full_image), sorted(raw_shape)
    ratios = [max(a, b) / min(a, b) for a, b in zip(full, raw, strict=True)]
    factor = round(ratios[0])
    if factor < 2 or any(abs(ratio / factor - 1) > _SAME_SIZE for ratio in ratios):
        return
    made_for, given = (f"{n_x} x {n_y}" for n_x, n_y in (tilt.full_image, raw_shape[::-1]))
    raise InputError(
        f"made for images of {made_for} pixels, but those of the stack have {given}: one of the two is binned "
        f"by {factor}, and shifts would be {factor} times off",
        file=tilt.path,
        field="FULLIMAGE",
        remedy="give the stack that was aligned",
    )


def _same_count(count: int, n_views: int, file: Path, what: str, other: Path | None) -> None:
    if count != n_views:
        where = f"{other.name} has {n_views} views" if other is not None else f"there are {n_views} views"
        remedy = "give files of one series; views left out by EXCLUDELIST still have their lines"
        raise InputError(f"{count} {what}, but {where}", file=file, remedy=remedy)
