"""Etomo's project file ``.edf``: the name of the series, views that were left out, pixel size and tilt axis."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tomokit.errors import InputError
from tomokit.formats.records import FieldUse
from tomokit.formats.words import PathLike, parse_number, parse_views
from tomokit.io.table import read_text

_EXCLUDED = "Setup.AxisA.ExcludeProjections"
_NAMES = ("Setup.OrigRawImageStackExt", "Setup.RawImageStackExt", "batchruntomo.OrigImageStackExt")
_ANGSTROM_PER_NM = 10.0


@dataclass(frozen=True)
class EtomoProject:
    """What an ``.edf`` says of its series.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        Name of the data set: the stem of all its files.
    stack_suffix : str
        Such as ``".st"``; empty if it does not say.
    excluded : frozenset of int
        Views that were left out, counted from 0.
    pixel_size_angstrom, tilt_axis_deg : float or None
        Of the raw images; the axis in degrees from vertical.
    dual_axis : bool
        Whether it describes two series, about two axes.
    fields : tuple of FieldUse
        What became of each field.
    """

    path: Path
    name: str = ""
    stack_suffix: str = ""
    excluded: frozenset[int] = frozenset()
    pixel_size_angstrom: float | None = None
    tilt_axis_deg: float | None = None
    dual_axis: bool = False
    fields: tuple[FieldUse, ...] = ()


def read_edf(path: PathLike) -> EtomoProject:
    """Read an ``.edf``, lines of ``key=value`` as Java writes its properties.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    EtomoProject

    Raises
    ------
    InputError
        If it cannot be read, has no field of Etomo's, or a value that is needed is none.
    """
    values: dict[str, str] = {}
    for line in read_text(path).split("\n"):
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith(("#", "!")):
            values[key.strip()] = re.sub(r"\\(.)", r"\1", value.strip())
    if not any(key.startswith("Setup.") for key in values):
        raise InputError("no line Setup...=: not an Etomo project", file=path, remedy="give the .edf, or the .xf")
    size = values.get("Setup.PixelSize", "")
    axis = values.get("Setup.ImageRotationA", "")
    excluded = values.get(_EXCLUDED, "")
    suffix = next((values[key] for key in _NAMES if values.get(key)), "")
    fields = [FieldUse("Setup.DatasetName", "used", values.get("Setup.DatasetName", ""))]
    if excluded:
        fields.append(FieldUse(_EXCLUDED, "used", f"{excluded}, counted from 1"))
    if size:
        fields.append(FieldUse("Setup.PixelSize", "used", f"{size} nm"))
    fields += [
        FieldUse(key, "read", values[key])
        for key in ("Setup.ImageRotationA", "Setup.AxisType", "Setup.Binning", "batchruntomo.a.align.AngleOffset")
        if values.get(key)
    ]
    fields.append(FieldUse("other fields of the .edf", "not used", f"{len(values) - len(fields)} of them"))
    pixel = None if not size else parse_number(size, file=path, field="Setup.PixelSize") * _ANGSTROM_PER_NM
    return EtomoProject(
        path=Path(path),
        name=values.get("Setup.DatasetName", ""),
        stack_suffix=f".{suffix.lstrip('.')}" if suffix else "",
        excluded=frozenset(parse_views(excluded, file=path, field=_EXCLUDED)),
        pixel_size_angstrom=pixel if pixel is not None and pixel > 0 else None,
        tilt_axis_deg=None if not axis else parse_number(axis, file=path, field="Setup.ImageRotationA"),
        dual_axis=values.get("Setup.AxisType", "").lower().startswith("dual"),
        fields=tuple(fields),
    )
