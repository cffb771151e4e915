"""Named regions of a volume, and the JSON file by which a user gives them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tomokit.errors import InputError
from tomokit.metrics.boxes import Box

DEPTH = 10
"""Sections of a region that does not say how many it has."""

_LONGEST_BYTES = 1 << 20
_FORM = 'give {"regions": [{"name": TEXT, "rectangle": [x0, y0, x1, y1], "z": Z}], "pairs": [[NAME, NAME]]}'


@dataclass(frozen=True)
class Regions:
    """Regions of one volume, and which of them are held against which.

    Attributes
    ----------
    boxes : dict of str to Box
        Each region by its name.
    pairs : tuple of tuple of str
        Names of a region with features and of one with background.
    """

    boxes: dict[str, Box]
    pairs: tuple[tuple[str, str], ...]


def read_regions(path: str | os.PathLike[str], shape_zyx: tuple[int, ...]) -> Regions:
    """Read regions of a volume from a JSON file.

    The file is an object with ``regions``, a list of objects with ``name``, ``rectangle`` (``[x0, y0, x1, y1]``, ends
    excluded), ``z`` (the first section) and, if not 10, ``depth`` (sections); and with ``pairs``, a list of two names
    each: features, then background.

    Parameters
    ----------
    path : path-like
        The file.
    shape_zyx : tuple of int
        Voxels of the volume along z, y and x.

    Returns
    -------
    Regions

    Raises
    ------
    InputError
        If the file cannot be read, is no JSON of this form, names a region twice or one that it does not have, or a
        region is empty or reaches beyond the volume.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            text = file.read(_LONGEST_BYTES + 1)
        if len(text) > _LONGEST_BYTES:
            raise InputError("is larger than 1 MiB", file=path, remedy=_FORM)
        content = json.loads(text.decode("utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON ({error})", file=path, remedy=_FORM) from error
    if not isinstance(content, dict) or not isinstance(content.get("regions"), list) or not content["regions"]:
        raise InputError("has no list of regions", file=path, field="regions", remedy=_FORM)
    _refuse_unknown(content, {"regions", "pairs"}, path, "")
    boxes: dict[str, Box] = {}
    for i, entry in enumerate(content["regions"]):
        name, box = _read_region(entry, path, f"regions[{i}]", shape_zyx)
        if name in boxes:
            raise InputError(f"{name!r} is there twice", file=path, field=f"regions[{i}].name", remedy="rename one")
        boxes[name] = box
    pairs = content.get("pairs", [])
    if not isinstance(pairs, list):
        raise InputError("is no list", file=path, field="pairs", remedy=_FORM)
    return Regions(boxes, tuple(_read_pair(pair, path, f"pairs[{i}]", boxes) for i, pair in enumerate(pairs)))


def _read_region(entry: Any, path: Path, field: str, shape_zyx: tuple[int, ...]) -> tuple[str, Box]:
    if not isinstance(entry, dict):
        raise InputError("is no object", file=path, field=field, remedy=_FORM)
    _refuse_unknown(entry, {"name", "rectangle", "z", "depth"}, path, field)
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InputError("is no text", file=path, field=f"{field}.name", remedy=_FORM)
    rectangle = entry.get("rectangle")
    if not isinstance(rectangle, list) or len(rectangle) != 4:
        raise InputError("is not four numbers", file=path, field=f"{field}.rectangle", remedy=_FORM)
    x0, y0, x1, y1 = (_whole(value, path, f"{field}.rectangle") for value in rectangle)
    z0, depth = (_whole(entry.get(key, DEPTH if key == "depth" else None), path, f"{field}.{key}")
                 for key in ("z", "depth"))  # fmt: skip
    if x1 <= x0 or y1 <= y0 or depth < 1:
        raise InputError(
            f"{name!r} is empty",
            file=path,
            field=field,
            remedy="give x1 beyond x0, y1 beyond y0, a depth of at least 1",
        )
    box = Box((z0, y0, x0), (z0 + depth, y1, x1))
    if any(stop > n for stop, n in zip(box.stop, shape_zyx, strict=True)):
        size = " x ".join(str(n) for n in shape_zyx[::-1])
        raise InputError(
            f"{name!r} ends at {x1}, {y1}, {z0 + depth}, beyond the volume of {size} voxels (x, y, z)", file=path,
            field=field, remedy="make it smaller, or give a smaller depth",
        )  # fmt: skip
    return name, box


def _read_pair(pair: Any, path: Path, field: str, boxes: dict[str, Box]) -> tuple[str, str]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise InputError("is not two names", file=path, field=field, remedy=_FORM)
    for name in pair:
        if not isinstance(name, str) or name not in boxes:
            known = ", ".join(boxes)
            raise InputError(f"there is no region {name!r}", file=path, field=field, remedy=f"choose from {known}")
    return pair[0], pair[1]


def _whole(value: Any, path: Path, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise InputError(f"{value!r} is no voxel", file=path, field=field, remedy="give whole numbers from 0 on")
    return value


def _refuse_unknown(entry: dict[str, Any], known: set[str], path: Path, field: str) -> None:
    for key in entry:
        if key not in known:
            place = f"{field}.{key}" if field else key
            raise InputError(
                "is no such field", file=path, field=place, remedy=f"choose from {', '.join(sorted(known))}"
            )
