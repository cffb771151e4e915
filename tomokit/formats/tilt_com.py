"""What ``tilt.com`` and ``newst.com`` say of a reconstruction: thickness, offsets, x-axis tilt, views, sizes, files.

IMOD (tilt, newstack): with IMAGEBINNED the lengths in ``tilt.com`` are in pixels of the stack before it was binned;
SizeToOutputInXandY of ``newst.com`` is in pixels after BinByFactor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tomokit.errors import InputError
from tomokit.formats.commands import Commands, read_commands
from tomokit.formats.records import FieldUse, Use
from tomokit.formats.words import PathLike

_USED = ("THICKNESS", "OFFSET", "SHIFT", "XAXISTILT", "XTILTFILE", "TILTFILE", "EXCLUDELIST", "EXCLUDELIST2")
_READ = ("INPUTPROJECTIONS", "OUTPUTFILE", "IMAGEBINNED", "FULLIMAGE", "SUBSETSTART")
_CHANGES_GEOMETRY = {
    "LOCALFILE": "local alignments are not applied",
    "ZFACTORFILE": "factors of Z are not applied",
    "COMPRESS": "compression of the views is not applied",
    "INCLUDE": "give the other views by --exclude-from-1",
    "ANGLES": "angles are taken from TILTFILE alone",
    "WIDTH": "the tomogram is as wide as the views",
}
_NEWST_CHANGES = {
    "DISTORTIONFIELD": "the distortion is not corrected",
    "GRADIENTFILE": "the gradient of the magnification is not corrected",
    "USETRANSFORMLINES": "the transforms are taken in the order of the file",
}


@dataclass(frozen=True)
class TiltCommand:
    """What ``tilt.com`` says, lengths in pixels of the raw stack.

    Attributes
    ----------
    path : Path
        The file.
    stack, output : str
        Names of the aligned stack and the tomogram.
    tilt_file, x_tilt_file : str
        Names of the files of angles and x-axis tilts; empty if it names none.
    thickness_px : int or None
        THICKNESS.
    tilt_offset_deg, axis_offset_px : float
        The two numbers of OFFSET: degrees added to each angle, and the place of the tilt axis from the centre in x.
    shift_x_px, shift_z_px : float
        SHIFT.
    x_axis_tilt_deg : float
        XAXISTILT.
    excluded : frozenset of int
        Views of EXCLUDELIST and EXCLUDELIST2, counted from 0.
    binned : int
        IMAGEBINNED; 1 if it is not given.
    full_image : tuple of int or None
        FULLIMAGE, columns and rows of the whole aligned images before they were binned.
    fields : tuple of FieldUse
        What became of each entry.
    warnings : tuple of str
        Entries that move the specimen and are not followed.
    """

    path: Path
    stack: str = ""
    output: str = ""
    tilt_file: str = ""
    x_tilt_file: str = ""
    thickness_px: int | None = None
    tilt_offset_deg: float = 0.0
    axis_offset_px: float = 0.0
    shift_x_px: float = 0.0
    shift_z_px: float = 0.0
    x_axis_tilt_deg: float = 0.0
    excluded: frozenset[int] = frozenset()
    binned: int = 1
    full_image: tuple[int, int] | None = None
    fields: tuple[FieldUse, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class NewstackCommand:
    """What ``newst.com`` says of the aligned stack.

    Attributes
    ----------
    path : Path
        The file.
    raw_stack, aligned_stack, transform_file : str
        Names of files.
    bin_by : int
        BinByFactor: pixels of the raw stack along the edge of one of the aligned stack.
    aligned_shape : tuple of int or None
        ``(n_y, n_x)`` of the aligned images in pixels of the raw stack; None for the size of the raw images.
    fields : tuple of FieldUse
        What became of each entry.
    warnings : tuple of str
        Entries that change the images and are not followed.
    """

    path: Path
    raw_stack: str = ""
    aligned_stack: str = ""
    transform_file: str = ""
    bin_by: int = 1
    aligned_shape: tuple[int, int] | None = None
    fields: tuple[FieldUse, ...] = field(default=())
    warnings: tuple[str, ...] = ()


def read_tilt_com(path: PathLike, bin_by: int | None = None) -> TiltCommand:
    """Read what ``tilt.com`` says of a reconstruction.

    Parameters
    ----------
    path : path-like
    bin_by : int, optional
        BinByFactor of the ``newst.com`` that made the aligned stack. Where ``tilt.com`` does not say IMAGEBINNED, its
        lengths are in those pixels, and are multiplied.

    Returns
    -------
    TiltCommand

    Raises
    ------
    InputError
        Naming entry and line, if a value is none.
    """
    commands = read_commands(path, "tilt")
    binned = max(1, commands.whole("IMAGEBINNED", 1))
    factor = (bin_by or binned) / binned
    warnings = [
        f"{commands.path.name}: {key} {_short(commands, key)}: {why}"
        for key, why in _CHANGES_GEOMETRY.items()
        if commands.entries.get(key) and key != "WIDTH"
    ]
    if factor != 1:
        warnings.append(
            f"{commands.path.name}: no IMAGEBINNED {bin_by}, though newst.com bins by {bin_by}: its lengths are read "
            f"as binned pixels and multiplied by {factor:g}"
        )
    thickness = commands.last("THICKNESS")
    thickness_px = None if thickness is None else round(commands.whole("THICKNESS", 0) * factor)
    if thickness_px is not None and thickness_px < 1:
        assert thickness is not None
        raise InputError(f"a thickness of {thickness_px}", file=path, field=thickness.place, remedy="correct it")
    _refuse_doubtful_commas(commands, "OFFSET", "SHIFT")
    offset = commands.numbers("OFFSET", 1, 2) or [0.0]
    shift = commands.numbers("SHIFT", 1, 2) or [0.0]
    full = commands.numbers("FULLIMAGE", 2, 2)
    commands.numbers("SUBSETSTART", 2, 2)
    return TiltCommand(
        path=commands.path,
        stack=_name(commands.text("INPUTPROJECTIONS")),
        output=_name(commands.text("OUTPUTFILE")),
        tilt_file=_name(commands.text("TILTFILE")),
        x_tilt_file=_name(commands.text("XTILTFILE")),
        thickness_px=thickness_px,
        tilt_offset_deg=_below_90(offset[0], "an offset", path, "OFFSET"),
        axis_offset_px=(offset[1] if len(offset) > 1 else 0.0) * factor,
        shift_x_px=shift[0] * factor,
        shift_z_px=(shift[1] if len(shift) > 1 else 0.0) * factor,
        x_axis_tilt_deg=_below_90(commands.number("XAXISTILT"), "an x-axis tilt", path, "XAXISTILT"),
        excluded=frozenset(commands.views("EXCLUDELIST", "EXCLUDELIST2")),
        binned=binned,
        full_image=None if full is None else (round(full[0]), round(full[1])),
        fields=_uses(commands, _USED, _READ, _CHANGES_GEOMETRY),
        warnings=tuple(warnings),
    )


def read_newst_com(path: PathLike) -> NewstackCommand:
    """Read ``newst.com``, or another command file that runs newstack.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    NewstackCommand

    Raises
    ------
    InputError
        Naming entry and line, if a value is none.
    """
    commands = read_commands(path, "newstack")
    bin_by = commands.whole("BINBYFACTOR", 1)
    if not 1 <= bin_by <= 64:
        raise InputError(f"a binning by {bin_by}", file=path, field="BinByFactor", remedy="correct it")
    size = commands.numbers("SIZETOOUTPUTINXANDY", 2, 2)
    if size is not None and not all(1 <= n <= 1e6 and n == round(n) for n in size):
        raise InputError("no size in pixels", file=path, field="SizeToOutputInXandY", remedy="correct it")
    offsets = commands.numbers("OFFSETSINXANDY", 1, 2) or [0.0]
    warnings = [
        f"{commands.path.name}: {key} {_short(commands, key)}: {why}"
        for key, why in _NEWST_CHANGES.items()
        if commands.entries.get(key)
    ]
    if any(offsets):
        shown = commands.text("OFFSETSINXANDY")
        warnings.append(f"{commands.path.name}: OffsetsInXandY {shown}: the aligned views are centred on the tilt axis")
    return NewstackCommand(
        path=commands.path,
        raw_stack=_name(commands.text("INPUTFILE")),
        aligned_stack=_name(commands.text("OUTPUTFILE")),
        transform_file=_name(commands.text("TRANSFORMFILE")),
        bin_by=bin_by,
        aligned_shape=None if size is None else (round(size[1]) * bin_by, round(size[0]) * bin_by),
        fields=_uses(
            commands,
            ("TRANSFORMFILE", "SIZETOOUTPUTINXANDY"),
            ("INPUTFILE", "OUTPUTFILE", "BINBYFACTOR", "IMAGESAREBINNED", "OFFSETSINXANDY"),
            _NEWST_CHANGES,
        ),
        warnings=tuple(warnings),
    )


def _uses(
    commands: Commands, used: tuple[str, ...], read: tuple[str, ...], changes: dict[str, str]
) -> tuple[FieldUse, ...]:
    uses = []
    for key, entries in commands.entries.items():
        use: Use = "used" if key in used else "read" if key in read else "not used"
        value = " ".join(entries[-1].value.split())[:60]
        why = changes.get(key, "")
        note = f"{value} ({why})" if why else value
        uses.append(FieldUse(f"{entries[-1].keyword[:40]} of {commands.path.name}", use, note))
    return tuple(uses)


def _refuse_doubtful_commas(commands: Commands, *keywords: str) -> None:
    """Refuse ``-3,5``, which is two numbers to IMOD and one to whoever writes decimals with a comma."""
    for keyword in keywords:
        entry = commands.last(keyword)
        if entry is not None and re.fullmatch(r"[+-]?\d+,\d+", entry.value):
            raise InputError(
                f"{entry.value} has a decimal comma, or is two numbers",
                file=commands.path,
                field=entry.place,
                remedy="write a decimal point, or a blank between two numbers",
            )


def _short(commands: Commands, key: str) -> str:
    return " ".join(commands.entries[key][-1].value.split())[:40]


def _name(value: str) -> str:
    """The file's name without a folder, of either system."""
    return value.replace("\\", "/").rsplit("/", 1)[-1].strip()


def _below_90(angle_deg: float, what: str, path: PathLike, keyword: str) -> float:
    if abs(angle_deg) >= 90:
        raise InputError(f"{what} of {angle_deg:g} degrees", file=path, field=keyword, remedy="correct it")
    return angle_deg
