"""What an input file is, and by which convention it is read: most of the facts behind ``tomokit inspect``."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.io.angles import angles_are_sorted, check_angles, doubtful_angles, find_angles, read_angles
from tomokit.io.mdoc import read_mdoc
from tomokit.io.mrc_read import MrcImages, open_mrc
from tomokit.io.pixels import pixel_statistics
from tomokit.io.table import read_text
from tomokit.io.transforms import read_xf

_STACK_SUFFIXES = {".st", ".ali", ".preali", ".mrcs"}
_VOLUME_SUFFIXES = {".rec", ".map"}
_ANGLE_SUFFIXES = {".tlt", ".rawtlt"}
_MODE_NAMES = {"i1": "signed bytes", "u1": "unsigned bytes", "i2": "int16", "u2": "uint16", "f2": "float16",
               "f4": "float32"}  # fmt: skip


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a file: its kind, its sizes, and the conventions by which it is read.

    Parameters
    ----------
    path : path-like
        An MRC stack or volume, angles (``.tlt``, ``.rawtlt``, ``.xtilt``), transforms (``.xf``) or an ``.mdoc``. Other
        names are told by their content.

    Returns
    -------
    dict
        JSON-serializable: ``file``, ``kind`` (``"tilt stack"``, ``"volume"``, ``"angles"``,
        ``"x-axis tilts"``, ``"transforms"``, ``"mdoc"``), facts by kind, ``convention`` and ``warnings``.

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
        return _describe_mrc(open_mrc(path))
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
    return _stack_or_volume(open_mrc(path))[0] == "tilt stack"


def _describe_mrc(images: MrcImages) -> dict[str, Any]:
    header, warnings = images.header, list(images.warnings)
    kind, evidence = _stack_or_volume(images)
    statistics = pixel_statistics(images.pixels)
    if statistics.n_non_finite:
        warnings.append(f"{statistics.n_non_finite} pixels are NaN or infinite")
    nz, ny, nx = header.shape
    slowest_axis = "tilt" if kind == "tilt stack" else "z"
    facts: dict[str, Any] = {
        "file": images.path.name,
        "kind": kind,
        "kind_by": evidence,
        "axes": [slowest_axis, "y", "x"],
        "shape": [nz, ny, nx],
        "mode": header.mode,
        "pixels": _MODE_NAMES[f"{header.dtype.kind}{header.dtype.itemsize}"],
        "byte_order": "big-endian" if header.dtype.byteorder == ">" else "little-endian",
        "pixel_size_angstrom": header.pixel_size_angstrom if header.pixel_size_known else None,
        "origin_angstrom": list(header.origin_angstrom),
        "ispg": header.ispg,
        "minimum": _finite_or_none(statistics.minimum),
        "maximum": _finite_or_none(statistics.maximum),
        "mean": _finite_or_none(statistics.mean),
        "rms": _finite_or_none(statistics.rms),
        "labels": list(header.labels),
        "extended_header": header.exttyp or None,
    }
    if kind == "tilt stack":
        facts["angles"] = _angles_beside(images.path, nz, warnings)
    facts["convention"] = _convention(kind)
    facts["warnings"] = warnings
    return facts


def _stack_or_volume(images: MrcImages) -> tuple[str, str]:
    """The kind, and what it was told by: the name first, since the space group of old files says little."""
    stem = images.path.name
    for compressed in (".gz", ".bz2"):
        stem = stem.removesuffix(compressed)
    suffix = Path(stem).suffix.lower()
    if suffix in _STACK_SUFFIXES:
        return "tilt stack", f"the name's ending {suffix}"
    if suffix in _VOLUME_SUFFIXES:
        return "volume", f"the name's ending {suffix}"
    if images.header.ispg == 0:
        return "tilt stack", "space group 0"
    return "volume", f"space group {images.header.ispg}"


def _angles_beside(stack: Path, n_views: int, warnings: list[str]) -> dict[str, Any] | None:
    """Facts of the angle file that would be taken by default; what is wrong with it is a warning here."""
    try:
        file = find_angles(stack)
    except InputError:
        return None
    try:
        tilt = read_angles(file)
        warnings += check_angles(tilt, file=file.name, stack=stack, n_views=n_views)
        warnings += doubtful_angles(tilt)
    except InputError as error:
        warnings.append(str(error))
        return {"file": file.name}
    return {"file": file.name, **_angle_facts(tilt)}


def _describe_angles(path: Path) -> dict[str, Any]:
    tilt = read_angles(path)
    return {
        "file": path.name,
        "kind": "angles",
        **_angle_facts(tilt),
        "convention": _convention("angles"),
        "warnings": _angle_warnings(tilt),
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
    warnings = [] if facts.kind == "tilt series" else [f"a {facts.kind}: its angles are not those of a tilt series"]
    angles: dict[str, Any] = {"count": int(facts.tilt_deg.size)}
    if facts.tilt_deg.size and np.isfinite(facts.tilt_deg).all():
        angles = _angle_facts(facts.tilt_deg)
        if facts.kind == "tilt series":
            warnings += _angle_warnings(facts.tilt_deg)
    elif facts.kind == "tilt series":
        warnings.append("some sections have no TiltAngle")
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
        raw = read_text(path)
        raw.decode("utf-8")
    except (InputError, UnicodeDecodeError):
        return None
    first = next(line for line in raw.splitlines() if line.split())
    try:
        return len([float(word) for word in first.split()])
    except ValueError:
        return 0


def _extremes(series: NDArray[np.float64]) -> list[float]:
    return [float(series.min()), float(series.max())]


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
