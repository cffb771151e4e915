"""What an input file is, and by which convention it is read: most of the facts behind ``tomokit inspect``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.json_numbers import finite_or_none
from tomokit.errors import InputError
from tomokit.geometry import ORIENTATION
from tomokit.io.alignment import judge_alignment
from tomokit.io.angle_sources import angles_of_stack
from tomokit.io.angles import (
    angles_are_sorted,
    candidate_names,
    check_angles,
    doubtful_angles,
    read_angle_file,
    read_angles,
)
from tomokit.io.beside import find_beside
from tomokit.io.kind import TILT_STACK
from tomokit.io.mdoc import read_mdoc
from tomokit.io.mrc_header import HEADER_BYTES
from tomokit.io.mrc_read import MrcImages, open_mrc, read_header
from tomokit.io.pixel_size import NO_SIZE, pixel_size_of
from tomokit.io.pixels import PixelStatistics, pixel_statistics
from tomokit.io.stack_defects import describe_defects
from tomokit.io.table import as_minus, read_text
from tomokit.io.transforms import read_xf

_LITTLE_BYTES = 32 << 20
_STATISTICS = ("minimum", "maximum", "mean", "rms")
_ANGLE_SUFFIXES = {".tlt", ".rawtlt"}
_MODE_NAMES = {"i1": "signed bytes", "u1": "unsigned bytes", "i2": "int16", "u2": "uint16", "f2": "float16",
               "f4": "float32"}  # fmt: skip


def describe(
    path: str | os.PathLike[str], *, pixels: bool | None = None, tell: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Describe a file: its kind, its sizes, and the conventions by which it is read.

    Parameters
    ----------
    path : path-like
        An MRC stack or volume, angles (``.tlt``, ``.rawtlt``, ``.xtilt``), transforms (``.xf``) or an ``.mdoc``. Other
        names are told by their content.
    pixels : bool, optional
        Whether the pixels of an MRC file are read for their statistics and defects. By default they are if they take at
        most 32 MiB; of a larger file the header alone is read, so that it is answered at once.
    tell : callable, optional
        Is told how many sections have been read, and of how many.

    Returns
    -------
    dict
        JSON-serializable: ``file``, ``kind`` (``"tilt stack"``, ``"volume"``, ``"angles"``,
        ``"x-axis tilts"``, ``"transforms"``, ``"mdoc"``), facts by kind, ``convention`` and ``warnings``. Of MRC files
        ``minimum``, ``maximum``, ``mean`` and ``rms`` are those of the pixels, None where these are not read
        (``pixels_read``), and ``header_statistics`` what the header says of them, None if it says nothing.

    Raises
    ------
    InputError
        If the file is damaged or of no known kind.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".mdoc":
        return _describe_mdoc(path)
    if suffix == ".xf":
        return _describe_transforms(path)
    if suffix in _ANGLE_SUFFIXES:
        return _describe_angles(path)
    if suffix == ".xtilt":
        return _describe_x_tilts(path)
    try:
        return _describe_mrc(path, pixels, tell)
    except InputError as not_mrc:
        columns = _count_columns(path)
        if columns == 1:
            return _describe_angles(path)
        if columns == 6:
            return _describe_transforms(path)
        if columns is None:
            raise not_mrc
        raise InputError(
            "a text file of no known kind", file=path, remedy="known are MRC, .tlt, .rawtlt, .xtilt, .xf and .mdoc"
        ) from not_mrc


def is_stack(path: str | os.PathLike[str]) -> bool:
    """Whether an MRC file is a tilt stack, not a volume, by its name and its space group.

    Parameters
    ----------
    path : path-like
        An MRC file.

    Returns
    -------
    bool

    Raises
    ------
    InputError
        If it is not MRC.
    """
    return open_mrc(path, with_pixels=False).kind().kind == TILT_STACK


def _describe_mrc(path: Path, pixels: bool | None, tell: Callable[[int, int], None] | None) -> dict[str, Any]:
    with_pixels = read_header(path)[0].data_bytes <= _LITTLE_BYTES if pixels is None else pixels
    images = open_mrc(path, with_pixels=with_pixels)
    header, warnings = images.header, list(images.warnings)
    told = images.kind()
    kind = told.kind
    statistics: PixelStatistics | None = None
    if with_pixels:
        statistics = pixel_statistics(images.pixels, tell)
        if statistics.n_non_finite:
            warnings.append(f"{statistics.n_non_finite} pixels are NaN or infinite")
    if told.warning:
        warnings.append(told.warning)
    size = pixel_size_of(images)
    if size.source != "none":
        warnings = [text for text in warnings if NO_SIZE not in text]
    if size.warning:
        warnings.append(size.warning)
    nz, ny, nx = header.shape
    slowest_axis = "tilt" if kind == "tilt stack" else "z"
    facts: dict[str, Any] = {
        "file": path.name,
        "kind": kind,
        "kind_by": told.evidence,
        "axes": [slowest_axis, "y", "x"],
        "shape": [nz, ny, nx],
        "mode": header.mode,
        "pixels": _MODE_NAMES[f"{header.dtype.kind}{header.dtype.itemsize}"],
        **({} if header.bytes_reading is None else {"bytes_by": header.bytes_reading.rule}),
        "byte_order": "big-endian" if header.dtype.byteorder == ">" else "little-endian",
        "pixel_size_angstrom": None if size.source == "none" else size.angstrom,
        "pixel_size_by": size.source,
        "origin_angstrom": list(header.origin_angstrom),
        "ispg": header.ispg,
        "header_statistics": header.statistics,
        "pixels_read": with_pixels,
        **{name: statistics and finite_or_none(getattr(statistics, name)) for name in _STATISTICS},
        "labels": list(header.labels),
        "extended_header": _extended_facts(images),
        "tilt_axis_deg": tilt_axis_of(images),
        "binning": header.binning,
    }
    if kind == TILT_STACK:
        facts["angles"] = _angles_of(images, warnings)
    facts["convention"] = _convention(kind)
    if kind == TILT_STACK:
        alignment = judge_alignment(images)
        facts["alignment"] = alignment.to_json()
        warnings += alignment.doubts(images.path)
        # Views without an image and spoilt pixels are found by looking at all pixels.
        facts["defects"] = None
        if with_pixels:
            facts["defects"], told_of_defects = describe_defects(images)
            warnings += told_of_defects
    elif ORIENTATION in " ".join(header.labels):
        facts["convention"]["handedness"] = ORIENTATION
    facts["warnings"] = warnings
    return facts


def tilt_axis_of(images: MrcImages) -> float | None:
    """Find the angle of the tilt axis in the header of raw images, from SerialEM's label or the extended header.

    Parameters
    ----------
    images : MrcImages

    Returns
    -------
    float or None
        Degrees from the y axis, counter-clockwise; None if the file does not say. It describes the images as recorded:
        the labels of an aligned stack keep it.
    """
    if images.header.tilt_axis_deg is not None:
        return images.header.tilt_axis_deg
    return None if images.extended is None else images.extended.tilt_axis_deg


def _extended_facts(images: MrcImages) -> dict[str, Any] | str | None:
    """Kind and content of the extended header; its type alone if it is not known; None if there is none."""
    header, extended = images.header, images.extended
    n_bytes = header.data_offset - HEADER_BYTES
    if n_bytes == 0:
        return None
    if extended is None:
        return header.exttyp or f"{n_bytes} bytes of no known kind"
    count = 0 if extended.tilt_deg is None else int(extended.tilt_deg.size)
    return {
        "type": header.exttyp or None,
        "layout": extended.layout,
        "tilt_angles": count,
        "pixel_size_angstrom": extended.pixel_size_angstrom,
        "tilt_axis_deg": extended.tilt_axis_deg,
    }


def _angles_of(images: MrcImages, warnings: list[str]) -> dict[str, Any] | None:
    """Facts of the angles that would be taken by default; what is wrong with them is a warning here."""
    file = find_beside(images.path, candidate_names(images.path.name))
    if file is None and (images.extended is None or images.extended.tilt_deg is None):
        return None
    try:
        sourced = angles_of_stack(images)
        warnings += sourced.warnings
        n_views = images.header.shape[0]
        warnings += check_angles(sourced.tilt_deg, file=sourced.name, stack=images.path, n_views=n_views)
        warnings += doubtful_angles(sourced.tilt_deg)
    except InputError as error:
        warnings.append(str(error))
        return {"file": None if file is None else file.name}
    return {"file": sourced.name, **_angle_facts(sourced.tilt_deg), **_order_facts(sourced.acquisition_order)}


def _order_facts(order: tuple[int, ...] | None) -> dict[str, Any]:
    return {} if order is None else {"acquisition_order": list(order)}


def _describe_angles(path: Path) -> dict[str, Any]:
    table = read_angle_file(path)
    return {
        "file": path.name,
        "kind": "angles",
        **_angle_facts(table.tilt_deg),
        **_order_facts(table.acquisition_order),
        "convention": _convention("angles"),
        "warnings": [*table.warnings, *_angle_warnings(table.tilt_deg)],
    }


def _describe_x_tilts(path: Path) -> dict[str, Any]:
    tilt = read_angles(path)
    return {
        "file": path.name,
        "kind": "x-axis tilts",
        "count": int(tilt.size),
        "minimum_deg": float(tilt.min()),
        "maximum_deg": float(tilt.max()),
        "convention": {"unit": "degrees", "axis": "x, across the tilt axis", "use": "not used"},
        "warnings": [],
    }


def _describe_transforms(path: Path) -> dict[str, Any]:
    xf = read_xf(path)
    a11, a12, a21, a22 = xf[:, :4].T
    # Of x' = A11 x + A12 y, the angle by which the image turns counter-clockwise with y up.
    rotation = np.rad2deg(np.arctan2(a21 - a12, a11 + a22))
    magnification = np.sqrt(np.abs(a11 * a22 - a12 * a21))
    return {
        "file": path.name,
        "kind": "transforms",
        "count": int(xf.shape[0]),
        "rotation_deg": _extremes(rotation),
        "magnification": _extremes(magnification),
        "shift_x_px": _extremes(xf[:, 4]),
        "shift_y_px": _extremes(xf[:, 5]),
        "convention": {
            "transform": "IMOD: x' = A11 (x - xc) + A12 (y - yc) + DX + xc', raw to aligned, in raw pixels",
            "centre": "(n - 1) / 2",
        },
        "warnings": [],
    }


def _describe_mdoc(path: Path) -> dict[str, Any]:
    facts = read_mdoc(path)
    warnings = list(facts.warnings)
    if facts.kind != "tilt series":
        warnings.append(f"a {facts.kind}: its angles are not those of a tilt series")
    angles: dict[str, Any] = {"count": int(facts.tilt_deg.size)}
    if facts.tilt_deg.size and np.isfinite(facts.tilt_deg).all():
        angles = _angle_facts(facts.tilt_deg)
        if facts.kind == "tilt series":
            warnings += _angle_warnings(facts.tilt_deg)
    elif facts.kind == "tilt series":
        warnings += [f"{place}: {problem}" for place, problem in list(facts.angle_faults.values())[:5]]
    # An .mdoc describes raw images, in which the axis lies at the angle that it names.
    axis = "y after alignment only; in the raw images as tilt_axis_deg says"
    return {
        "file": path.name,
        "kind": "mdoc",
        "describes": facts.kind,
        **angles,
        "image_file": facts.image_file or None,
        "pixel_size_angstrom": facts.pixel_size_angstrom,
        "tilt_axis_deg": facts.tilt_axis_deg,
        "binning": facts.binning,
        "convention": _convention("angles") | {"tilt_axis": axis, "order": "by ZValue"},
        "warnings": warnings,
    }


def _angle_facts(tilt: NDArray[np.float64]) -> dict[str, Any]:
    steps = np.diff(np.sort(tilt))
    return {
        "count": int(tilt.size),
        "minimum_deg": float(tilt.min()),
        "maximum_deg": float(tilt.max()),
        "step_deg": float(np.median(steps)) if steps.size else None,
        "sorted": angles_are_sorted(tilt),
    }


def _angle_warnings(tilt: NDArray[np.float64]) -> list[str]:
    try:
        return [*check_angles(tilt), *doubtful_angles(tilt)]
    except InputError as error:
        return [str(error)]


def _convention(kind: str) -> dict[str, Any]:
    """How the file is read: the conventions of :mod:`tomokit.geometry` in words."""
    if kind == "volume":
        return {"order": "[z, y, x], x fastest", "tilt_axis": "y", "beam": "z", "centre": "(n - 1) / 2",
                "handedness": "unknown"}  # fmt: skip
    sign = "u = x cos(theta) - z sin(theta): positive z moves to negative x at positive tilt (IMOD)"
    if kind == "angles":
        return {"unit": "degrees", "tilt_axis": "y", "sign": sign}
    return {
        "order": "[tilt, y, x], x fastest",
        "tilt_axis": "y, vertical through the centre, if the stack is aligned",
        "sign": sign,
        "centre": "(n - 1) / 2",
        "handedness": "unknown",
        "excluded_views": [],
    }


def _count_columns(path: Path) -> int | None:
    """Numbers on the first line of a text file, 0 if there are other words; None if it is binary."""
    try:
        text = read_text(path)
    except InputError:
        return None
    # Of binary files without a zero byte, control characters tell.
    if any(ord(c) < 32 and c not in "\t\n\f" for c in text[:4096]):
        return None
    lines = (line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#"))
    try:
        return len([float(as_minus(word)) for word in next(lines, "").split()])
    except ValueError:
        return 0


def _extremes(series: NDArray[np.float64]) -> list[float]:
    return [float(series.min()), float(series.max())]
