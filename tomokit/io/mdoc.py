"""Tilt angles and other facts from SerialEM's ``.mdoc``, through the library mdocfile."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.io.table import read_text


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
    """

    kind: str
    tilt_deg: NDArray[np.float64]
    z_values: tuple[int, ...]
    image_file: str
    pixel_size_angstrom: float | None
    tilt_axis_deg: float | None


def read_mdoc(path: str | os.PathLike[str]) -> MdocFacts:
    """Read an ``.mdoc`` of a tilt series, a montage or a frame set.

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
        If it cannot be read or parsed, or two sections have the same ZValue.
    """
    raw = read_text(path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:  # SerialEM writes in the code page of its Windows
        text = raw.decode("latin-1")
    if not re.search(r"^\s*\[(ZValue|FrameSet|MontSection) *=", text, re.MULTILINE):
        raise InputError("no [ZValue = ...] sections: not an .mdoc file", file=path, remedy="give a .tlt or an .mdoc")
    from mdocfile.data_models import Mdoc

    chatter = logging.getLogger("mdocfile")  # it warns of every key that it does not know
    disabled, chatter.disabled = chatter.disabled, True
    try:
        mdoc = Mdoc.from_string(text.replace("\r\n", "\n").replace("\r", "\n"))
    except Exception as error:  # pydantic's, and whatever slips through on a malformed line
        raise InputError(f"not a valid .mdoc file ({_first_fault(error)})", file=path, remedy="give a .tlt") from error
    finally:
        chatter.disabled = disabled
    sections = [section for section in mdoc.section_data if section.ZValue is not None]
    # In order of the images; SerialEM writes sections in order of acquisition.
    sections.sort(key=lambda section: section.ZValue)
    z_values = tuple(int(section.ZValue) for section in sections)
    if len(set(z_values)) != len(z_values):
        twice = next(z for z, following in pairwise(z_values) if z == following)
        raise InputError("two sections have this ZValue", file=path, field=f"ZValue {twice}", remedy="give a .tlt")
    kind = "tilt series"
    if any(section.FrameSet is not None for section in mdoc.section_data):
        kind = "frame set"
    elif mdoc.global_data.Montage or any(section.MontSection is not None for section in mdoc.section_data):
        kind = "montage"
    axis = re.search(r"Tilt axis angle *= *([+-]?[0-9]+(?:\.[0-9]*)?)", " ".join(mdoc.titles))
    return MdocFacts(
        kind=kind,
        tilt_deg=np.array(
            [np.nan if section.TiltAngle is None else section.TiltAngle for section in sections], dtype=np.float64
        ),
        z_values=z_values,
        image_file=str(mdoc.global_data.ImageFile or ""),
        pixel_size_angstrom=mdoc.global_data.PixelSpacing,
        tilt_axis_deg=float(axis.group(1)) if axis else None,
    )


def mdoc_angles(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Read the tilt angles of a tilt series from its ``.mdoc``, in the order of the images (by ZValue).

    Parameters
    ----------
    path : path-like
        The ``.mdoc`` of a tilt series.

    Returns
    -------
    ndarray of float64, shape (n_views,)
        Degrees.

    Raises
    ------
    InputError
        If it describes a montage or a frame set, or a section has no angle.
    """
    facts = read_mdoc(path)
    if facts.kind != "tilt series":
        raise InputError(
            f"describes a {facts.kind}, not a tilt series",
            file=path,
            remedy="give the .mdoc of the tilt series or a .tlt",
        )
    missing = np.flatnonzero(~np.isfinite(facts.tilt_deg))
    if missing.size:
        field = f"ZValue {facts.z_values[missing[0]]}"
        raise InputError("no finite TiltAngle", file=path, field=field, remedy="correct it, or give a .tlt")
    return facts.tilt_deg


def _first_fault(error: Exception) -> str:
    """One line of an exception: of pydantic's list of faults the first, with the field's name."""
    faults = getattr(error, "errors", None)
    if callable(faults):
        first = faults()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
