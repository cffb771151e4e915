"""Alignments of the CryoET Data Portal: JSON with the parameters of each section.

``tilt_angle`` is that of AreTomo or of the ``.tlt``; ``in_plane_rotation`` is the rotation from the aligned image back
to the raw one, and ``x_offset``, ``y_offset`` are in raw pixels and follow it, so that with R its matrix
``A = R^T`` and ``(DX, DY) = -R^T (x_offset, y_offset)``. ``volume_x_rotation`` is the value of IMOD's ``.xtilt``:
``x_tilt_deg = -volume_x_rotation``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np

from tomokit.errors import InputError
from tomokit.formats.records import AlignmentFile, FieldUse
from tomokit.formats.words import LIMIT, MOST_VIEWS, PathLike, check_angle
from tomokit.geometry.alignment import Alignment
from tomokit.io.table import read_text

_SECTIONS = "per_section_alignment_parameters"
_USED = ("z_index", "tilt_angle", "volume_x_rotation", "in_plane_rotation", "x_offset", "y_offset")


def read_portal_json(path: PathLike, *, n_views: int | None = None) -> AlignmentFile:
    """Read an alignment of the CryoET Data Portal.

    Parameters
    ----------
    path : path-like
    n_views : int, optional
        Views of the stack; sections that the file leaves out are not used. By default up to the last one that it has.

    Returns
    -------
    AlignmentFile

    Raises
    ------
    InputError
        Naming section and key, if it is damaged, or has sections that the stack has not.
    """
    path = Path(path)
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise InputError(
            "is no JSON", file=path, field=f"line {line}" if line else None, remedy="give the file as it was written"
        ) from error
    sections = content.get(_SECTIONS) if isinstance(content, dict) else None
    if not isinstance(sections, list) or not sections or len(sections) > MOST_VIEWS:
        raise InputError(f"no {_SECTIONS}", file=path, remedy="give the alignment's JSON of the CryoET Data Portal")
    rows: dict[int, list[float]] = {}
    for number, section in enumerate(sections):
        place = f"section {number}"
        if not isinstance(section, dict):
            raise InputError("is no object", file=path, field=place)
        z = _number(section, "z_index", path, place)
        if z != round(z) or not 0 <= z < MOST_VIEWS or round(z) in rows:
            raise InputError(f"z_index {z:g} numbers no view, or comes twice", file=path, field=place)
        rotation = _rotation(section, path, place)
        others = [_number(section, key, path, place) for key in ("tilt_angle", "x_offset", "y_offset")]
        check_angle(others[0], file=path, field=f"{place}, tilt_angle")
        x_rotation = _number(section, "volume_x_rotation", path, place) if "volume_x_rotation" in section else 0.0
        rows[round(z)] = [*others, check_angle(x_rotation, file=path, field=place), *rotation]
    count = max(rows) + 1 if n_views is None else n_views
    if max(rows) >= count:
        raise InputError(f"section {max(rows)}, but the stack has {count} views", file=path, field="z_index")
    tilt, x_tilt, used = np.zeros(count), np.zeros(count), np.zeros(count, dtype=bool)
    transform = np.tile([1.0, 0, 0, 1, 0, 0], (count, 1))
    for view, (angle, x, y, x_rotation, *rotation) in rows.items():
        inverse = np.array(rotation).reshape(2, 2).T
        tilt[view], x_tilt[view], used[view] = angle, -x_rotation, True
        transform[view] = [*inverse.ravel(), *(-inverse @ np.array([x, y]))]
    warnings = []
    uses = [FieldUse(key, "used") for key in _USED]
    for key in ("tilt_offset", "x_rotation_offset"):
        value = content.get(key, 0)
        if isinstance(value, (int, float)) and value:
            uses.append(FieldUse(key, "not used", f"{value:g}"))
            note = (
                "the angles of the sections hold it already" if key == "tilt_offset" else "its sign is not documented"
            )
            warnings.append(f"{path.name}: {key} {value:g} is not added: {note}")
    if str(content.get("alignment_type", "GLOBAL")).upper() == "LOCAL":
        warnings.append(f"{path.name}: the alignment is local; its global part is used")
    matrix = content.get("affine_transformation_matrix")
    if matrix is not None and not _is_identity(matrix):
        warnings.append(f"{path.name}: affine_transformation_matrix is not applied")
    others_left = [key for key in content if key not in (_SECTIONS, "tilt_offset", "x_rotation_offset")]
    uses.append(FieldUse(", ".join(str(key)[:40] for key in others_left[:12]), "not used"))
    left_out = count - len(rows)
    if left_out:
        warnings.append(f"{path.name}: {left_out} of {count} views are not in it and are left out")
        # Views that are left out get angles that no other view has.
        tilt[~used] = np.linspace(-90, 90, count + 2)[1:-1][~used]
    return AlignmentFile(
        path=path,
        kind="CryoET Data Portal JSON",
        alignment=Alignment(tilt_deg=tilt, transform=transform, x_tilt_deg=x_tilt, files=(path,), used=used),
        files=(path,),
        fields=tuple(uses),
        warnings=tuple(warnings),
    )


def _number(section: dict[str, object], key: str, path: Path, place: str) -> float:
    value = section.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LIMIT:
        raise InputError(f"{key} is no finite number", file=path, field=place, remedy="correct it")
    return float(value)


def _rotation(section: dict[str, object], path: Path, place: str) -> list[float]:
    rows = section.get("in_plane_rotation")
    if not (isinstance(rows, list) and len(rows) == 2 and all(isinstance(row, list) and len(row) == 2 for row in rows)):
        raise InputError("in_plane_rotation is no matrix of 2 x 2", file=path, field=place)
    flat = {str(i): value for i, value in enumerate(cast("list[object]", [*rows[0], *rows[1]]))}
    numbers = [_number(flat, key, path, f"{place}, in_plane_rotation") for key in flat]
    determinant = numbers[0] * numbers[3] - numbers[1] * numbers[2]
    if not 0.5 < determinant < 2:
        raise InputError("in_plane_rotation is no rotation", file=path, field=place, remedy="correct it")
    return numbers


def _is_identity(matrix: object) -> bool:
    try:
        values = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return bool(values.shape == (4, 4) and np.allclose(values, np.eye(4)))
