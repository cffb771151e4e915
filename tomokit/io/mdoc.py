"""Tilt angles and other facts from SerialEM's ``.mdoc``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.io.angle_text import LIMIT_DEG, AngleTable
from tomokit.io.mdoc_text import Entry, MdocSection, MdocText, as_number, as_whole, has_decimal_comma, split_mdoc
from tomokit.io.serialem import binning_of_titles, tilt_axis_of_titles

_ONE_PLACE_DEG = 0.5


@dataclass(frozen=True)
class MdocFacts:
    """Facts of an ``.mdoc``: kind, tilt angles, and the image file that it describes.

    Attributes
    ----------
    kind : {"tilt series", "montage", "frame set"}
        What the file describes, by its sections.
    tilt_deg : ndarray of float64, shape (n_sections,)
        ``TiltAngle`` in degrees of each ``[ZValue]`` section, ordered by ZValue; NaN where a section has none.
    z_values : tuple of int
        The ZValue of each section, ascending.
    image_file : str
        Name of the image file that it belongs to, or empty.
    pixel_size_angstrom : float or None
        ``PixelSpacing`` in ångström, if there is one.
    tilt_axis_deg : float or None
        Angle of the tilt axis in the raw images in degrees, from the title line, if there is one.
    image_size : tuple of int or None
        Columns and rows of an image.
    binning : float or None
        Pixels of the camera along the edge of one of the image, if the file says.
    angle_faults : mapping of int to tuple of str
        For each ZValue without a usable angle: section and line, and what is wrong.
    warnings : tuple of str
        What was read otherwise than written, and what is not used.
    """

    kind: str
    tilt_deg: NDArray[np.float64]
    z_values: tuple[int, ...]
    image_file: str
    pixel_size_angstrom: float | None
    tilt_axis_deg: float | None
    image_size: tuple[int, int] | None = None
    binning: float | None = None
    angle_faults: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_mdoc(path: str | os.PathLike[str]) -> MdocFacts:
    """Read an ``.mdoc`` of a tilt series, a montage or a frame set.

    A field that is not needed is not looked at, but for decimal commas, which are told.

    Parameters
    ----------
    path : path-like
        The text file that SerialEM writes beside a stack.

    Returns
    -------
    MdocFacts

    Raises
    ------
    InputError
        If it cannot be read, has no section, or two sections have the same ZValue, or one that is no number.
    """
    mdoc = split_mdoc(path)
    # In order of the images; SerialEM writes sections in order of acquisition.
    sections = sorted(_by_z_value(mdoc, path).items())
    warnings = [f"line {line}: neither a section nor `key = value`; ignored" for line in mdoc.strange[:3]]
    tilt, faults, commas = [], {}, []
    for z, section in sections:
        number, fault, comma = _tilt_angle(section)
        tilt.append(np.nan if number is None else number)
        if fault is not None:
            faults[z] = fault
        if comma is not None:
            commas.append(comma)
    if commas:
        warnings.append(f"TiltAngle has decimal commas, read as points (line {commas[0].line}: {commas[0].text!r})")
    warnings += _unused_commas(mdoc)
    everything = [mdoc.head, *mdoc.sections]
    axis = tilt_axis_of_titles(mdoc.titles)
    image_file = mdoc.head.entries.get("ImageFile")
    return MdocFacts(
        kind=_kind(mdoc, np.array(tilt)),
        tilt_deg=np.array(tilt, dtype=np.float64),
        z_values=tuple(z for z, _ in sections),
        image_file=image_file[0].text if image_file else "",
        pixel_size_angstrom=_positive("PixelSpacing", everything, warnings),
        tilt_axis_deg=axis,
        image_size=_image_size(mdoc.head),
        binning=binning_of_titles(mdoc.titles) or _positive("Binning", everything, []),
        angle_faults=faults,
        warnings=tuple(warnings),
    )


def mdoc_angles(path: str | os.PathLike[str]) -> AngleTable:
    """Read the tilt angles of a tilt series from its ``.mdoc``, in the order of the images (by ZValue).

    Parameters
    ----------
    path : path-like
        The ``.mdoc`` of a tilt series.

    Returns
    -------
    AngleTable

    Raises
    ------
    InputError
        If it describes a montage or a frame set, or a section has no angle within 90 degrees; section and line are
        named.
    """
    facts = read_mdoc(path)
    if facts.kind != "tilt series":
        raise InputError(
            f"describes a {facts.kind}, not a tilt series",
            file=path,
            remedy="give the .mdoc of the tilt series or a .tlt",
        )
    if facts.angle_faults:
        place, problem = facts.angle_faults[min(facts.angle_faults)]
        more = len(facts.angle_faults) - 1
        others = f", and {more} other section{'' if more == 1 else 's'} as well" if more else ""
        raise InputError(f"{problem}{others}", file=path, field=place, remedy="correct it, or give a .tlt")
    return AngleTable(facts.tilt_deg, warnings=facts.warnings)


def _by_z_value(mdoc: MdocText, path: str | os.PathLike[str]) -> dict[int, MdocSection]:
    found: dict[int, MdocSection] = {}
    for section in mdoc.sections:
        if section.kind != "ZValue":
            continue
        z, place = as_whole(section.name.text), _place(section)
        if z is None:
            raise InputError(
                f"the number of the section is no whole number: {section.name.text[:40]!r}",
                file=path,
                field=place,
                remedy="correct it, or give a .tlt",
            )
        if z in found:
            first = found[z].name.line
            raise InputError(
                f"two sections have this ZValue (the other on line {first})",
                file=path,
                field=place,
                remedy="give a .tlt",
            )
        found[z] = section
    return found


def _tilt_angle(section: MdocSection) -> tuple[float | None, tuple[str, str] | None, Entry | None]:
    """The angle; what is wrong with it, and where; and the value if it has a decimal comma."""
    values = section.entries.get("TiltAngle", [])
    if not values:
        return None, (_place(section), "no TiltAngle"), None
    last = values[-1]
    place = _place(section, last.line)
    if len({value.text for value in values}) > 1:
        lines = " and ".join(f"{value.text[:20]!r} on line {value.line}" for value in values[:2])
        return None, (place, f"two values of TiltAngle: {lines}"), None
    number, comma = as_number(last.text)
    if number is None:
        shown = f"TiltAngle {last.text[:40]!r} is no number" if last.text else "TiltAngle has no value"
        return None, (place, shown), None
    if abs(number) > LIMIT_DEG:
        return None, (place, f"{number:g} is beyond 90 degrees"), None
    return number, None, last if comma else None


def _place(section: MdocSection, line: int | None = None) -> str:
    return f"{section.place}, line {section.name.line if line is None else line}"


def _kind(mdoc: MdocText, tilt_deg: NDArray[np.float64]) -> str:
    kinds = {section.kind for section in mdoc.sections}
    if "FrameSet" in kinds:
        return "frame set"
    if "MontSection" in kinds:
        return "montage"
    places = set()
    for section in mdoc.sections:
        for coordinates in section.entries.get("PieceCoordinates", []):
            places.add(tuple(coordinates.text.split()[:2]))
    if len(places) > 1:
        return "montage"
    # A tilt series may be recorded with `Montage = 1` and one piece a view; a montage of a grid stays at one angle.
    flagged = any(flag.text not in ("0", "") for flag in mdoc.head.entries.get("Montage", []))
    if flagged and tilt_deg.size > 1 and np.ptp(np.nan_to_num(tilt_deg)) < _ONE_PLACE_DEG:
        return "montage"
    return "tilt series"


def _positive(key: str, sections: Iterable[MdocSection], warnings: list[str]) -> float | None:
    """The first value of a key that must be a positive number; one that is not is told."""
    for section in sections:
        for entry in section.entries.get(key, []):
            number, comma = as_number(entry.text)
            if number is not None and number > 0:
                if comma:
                    warnings.append(f"{key} has a decimal comma, read as a point (line {entry.line}: {entry.text!r})")
                return number
            warnings.append(f"{key} {entry.text[:40]!r} is no positive number (line {entry.line}); not used")
            return None
    return None


def _image_size(head: MdocSection) -> tuple[int, int] | None:
    for entry in head.entries.get("ImageSize", []):
        sizes = [as_whole(word) for word in entry.text.split()]
        if len(sizes) == 2 and sizes[0] and sizes[1]:
            return sizes[0], sizes[1]
    return None


def _unused_commas(mdoc: MdocText) -> list[str]:
    """One warning of all fields that are not needed and have decimal commas; none if there are none."""
    first: dict[str, int] = {}
    for section in (mdoc.head, *mdoc.sections):
        for key, values in section.entries.items():
            if key not in ("TiltAngle", "PixelSpacing"):
                for value in values:
                    if key not in first and has_decimal_comma(value.text):
                        first[key] = value.line
    if not first:
        return []
    fields = ", ".join(f"{key[:40]} (line {line})" for key, line in list(first.items())[:8])
    return [f"decimal commas in fields that are not needed: {fields}; not read"]
