"""The files that IMOD, SerialEM and AreTomo leave beside a stack, and what they say of its alignment."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tomokit.errors import InputError
from tomokit.io.beside import series_names
from tomokit.io.mdoc import MdocFacts, read_mdoc
from tomokit.io.table import read_table, read_text
from tomokit.io.transforms import read_xf

# What a stack that was joined of several files has at the end of its name.
_JOINED = ("_st",)
_OTHERS = 8
"""So many files of other names are looked into; a folder may be that of a whole session."""
_FLAT_DEG = 0.05
"""X-axis tilts below this are those of a level specimen."""


@dataclass(frozen=True)
class Transforms:
    """What a file of transforms does to the views, in short.

    Attributes
    ----------
    path : Path
        The ``.xf``.
    count : int
        Transforms in it.
    rotation_deg : float
        Median angle by which it turns the views, in degrees.
    shift_px : float
        Largest shift along either axis, in pixels.
    """

    path: Path
    count: int
    rotation_deg: float
    shift_px: float


@dataclass(frozen=True)
class Companions:
    """What lies beside a stack and belongs to it by name; what is damaged counts as absent.

    Attributes
    ----------
    mdoc : MdocFacts or None
        Facts of its ``.mdoc``.
    mdoc_path : Path or None
        That file.
    transforms : Transforms or None
        Its ``.xf``.
    other_transforms : tuple of Transforms
        Files of transforms of other names in the folder; empty where it has its own.
    tilt_axes_deg : dict of str to float
        Angle of the tilt axis from vertical in degrees, by the name of the file that gives it.
    x_tilt_deg : float
        Largest x-axis tilt of its ``.xtilt``, either way, in degrees; 0 if there is none.
    x_tilt_path : Path or None
        That file.
    commands : dict of str to dict
        Parameters of ``newst.com`` and ``tilt.com``, keywords in upper case, where they name this series.
    coarse : tuple of Path
        Files of Etomo's coarse alignment.
    aligned_stack : Path or None
        A stack of the same series that is aligned by its name.
    """

    mdoc: MdocFacts | None = None
    mdoc_path: Path | None = None
    transforms: Transforms | None = None
    other_transforms: tuple[Transforms, ...] = ()
    tilt_axes_deg: dict[str, float] = field(default_factory=dict)
    x_tilt_deg: float = 0.0
    x_tilt_path: Path | None = None
    commands: dict[str, dict[str, str]] = field(default_factory=dict)
    coarse: tuple[Path, ...] = ()
    aligned_stack: Path | None = None


def find_companions(stack: str | os.PathLike[str], n_views: int) -> Companions:
    """Look at what lies beside a stack.

    Parameters
    ----------
    stack : path-like
        The stack; it need not exist.
    n_views : int
        Its views.

    Returns
    -------
    Companions
    """
    stack = Path(stack)
    present = _folder(stack.parent)
    stems = series_names(stack.name, _JOINED)

    def beside(*suffixes: str) -> Path | None:
        names = (f"{stem}{suffix}".lower() for suffix in suffixes for stem in stems)
        return next((present[name] for name in names if name in present), None)

    mdoc_path = present.get(f"{stack.name}.mdoc".lower()) or beside(".mdoc", ".mrc.mdoc", ".st.mdoc")
    mdoc_path = mdoc_path or _mdoc_about(stack.name, present)
    mdoc = _mdoc_facts(mdoc_path)
    own = _summarize_transforms(beside(".xf"))
    others: list[Transforms] = []
    if own is None:
        candidates = sorted(path for name, path in present.items() if name.endswith(".xf"))[:_OTHERS]
        others = [found for path in candidates if (found := _summarize_transforms(path)) and found.count == n_views]
    x_tilt_path = beside(".xtilt")
    commands = {}
    for name in ("newst.com", "tilt.com", "align.com", "xcorr.com"):
        parameters = read_command_file(present[name]) if name in present else {}
        if _names_series(parameters, stems):
            commands[name] = parameters
    axes = _tilt_axes(mdoc, mdoc_path, beside(".edf"), beside(".aln", ".mrc.aln", ".st.aln"), commands)
    coarse = tuple(path for suffix in (".prexg", ".prexf") if (path := beside(suffix)))
    aligned = beside("_ali.mrc", ".ali", "_aligned.mrc")
    return Companions(
        mdoc=mdoc,
        mdoc_path=mdoc_path,
        transforms=own,
        other_transforms=tuple(others),
        tilt_axes_deg=axes,
        x_tilt_deg=_largest(x_tilt_path),
        x_tilt_path=x_tilt_path,
        commands=commands,
        coarse=coarse,
        aligned_stack=None if aligned is None or aligned.name.lower() == stack.name.lower() else aligned,
    )


def read_command_file(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the parameters of an IMOD command file.

    Parameters
    ----------
    path : path-like
        Such as ``tilt.com``: a keyword and its value on each line; lines of ``$`` and ``#`` are left out.

    Returns
    -------
    dict of str to str
        Values by keyword in upper case; empty if it cannot be read.
    """
    try:
        text = read_text(path)
    except InputError:
        return {}
    found = {}
    for line in text.splitlines():
        keyword, _, value = line.strip().replace("\t", " ").partition(" ")
        if keyword and keyword[0] not in "$#":
            found[keyword.upper()] = value.strip()
    return found


def _folder(folder: Path) -> dict[str, Path]:
    """Files of a folder by their names in lower case: suffixes are written either way."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name.lower(): folder / entry.name for entry in entries if entry.is_file()}
    except OSError:
        return {}


def _mdoc_about(stack_name: str, present: dict[str, Path]) -> Path | None:
    """An ``.mdoc`` of another name whose head names this stack."""
    line = re.compile(rf"^ImageFile\s*=\s*(.*[\\/])?{re.escape(stack_name)}\s*$", re.IGNORECASE | re.MULTILINE)
    others = sorted(path for name, path in present.items() if name.endswith(".mdoc"))[:_OTHERS]
    return next((path for path in others if line.search(_text(path))), None)


def _mdoc_facts(path: Path | None) -> MdocFacts | None:
    try:
        return None if path is None else read_mdoc(path)
    except InputError:
        return None


def _summarize_transforms(path: Path | None) -> Transforms | None:
    try:
        xf = None if path is None else read_xf(path)
    except InputError:
        return None
    if xf is None or path is None or not len(xf):
        return None
    a11, a12, a21, a22 = xf[:, :4].T
    rotation = np.rad2deg(np.arctan2(a21 - a12, a11 + a22))
    return Transforms(path, len(xf), float(np.median(rotation)), float(np.abs(xf[:, 4:]).max()))


def _largest(x_tilts: Path | None) -> float:
    try:
        largest = 0.0 if x_tilts is None else float(np.abs(read_table(x_tilts, 1, "a tilt")[0]).max(initial=0))
    except InputError:
        return 0.0
    return largest if largest > _FLAT_DEG else 0.0


def _names_series(parameters: dict[str, str], stems: list[str]) -> bool:
    """Whether a command file is about this series, not about another one of its folder."""
    keywords = ("INPUTPROJECTIONS", "INPUTFILE", "OUTPUTFILE", "MODELFILE", "IMAGEFILE")
    named = {name.lower() for key in keywords if parameters.get(key) for name in series_names(parameters[key], _JOINED)}
    return bool(named & {stem.lower() for stem in stems})


def _tilt_axes(
    mdoc: MdocFacts | None,
    mdoc_path: Path | None,
    edf: Path | None,
    aln: Path | None,
    commands: dict[str, dict[str, str]],
) -> dict[str, float]:
    """Angle of the tilt axis by the file that gives it, the microscope's own word first."""
    axes: dict[str, float] = {}
    if mdoc is not None and mdoc_path is not None and mdoc.kind == "tilt series" and mdoc.tilt_axis_deg is not None:
        axes[mdoc_path.name] = mdoc.tilt_axis_deg
    if edf is not None:
        _add_number(axes, edf.name, re.search(r"^Setup\.ImageRotationA\s*=\s*(\S+)", _text(edf), re.MULTILINE))
    if aln is not None:
        # AreTomo: the section's number, then the angle of the tilt axis.
        _add_number(axes, aln.name, re.search(r"^[ \t]*\d+[ \t]+(\S+)", _text(aln), re.MULTILINE))
    for name in ("align.com", "xcorr.com"):
        _add_number(axes, name, re.match(r"(\S+)", commands.get(name, {}).get("ROTATIONANGLE", "")))
    return axes


def _add_number(numbers: dict[str, float], name: str, match: re.Match[str] | None) -> None:
    try:
        value = float(match[1]) if match else np.nan
    except ValueError:
        return
    if abs(value) <= 360:
        numbers[name] = value


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except InputError:
        return ""
