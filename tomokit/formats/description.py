"""What a file of another program is and says: the facts behind ``tomokit inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tomokit.errors import InputError
from tomokit.formats.front import read_acquisition, read_alignment, recognize
from tomokit.formats.words import PathLike


def describe_foreign(path: PathLike) -> dict[str, Any] | None:
    """Describe an alignment, a command file, or doses and defocus of another program.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict or None
        JSON-serializable, ``kind`` being ``"alignment"``, ``"commands"`` or ``"acquisition"``; None for what
        :func:`tomokit.io.inspection.describe` knows, or nobody.

    Raises
    ------
    InputError
        If it is one of them and damaged.
    """
    path = Path(path)
    try:
        kind = recognize(path)
    except InputError:
        return None
    if kind == "com":
        return _describe_commands(path)
    if kind in ("aln", "edf", "portal"):
        return read_alignment(path).to_json()
    if kind in ("tomostar", "defocus", "ctf"):
        return read_acquisition(path).to_json()
    if kind in ("star", "warp"):
        try:
            return read_alignment(path).to_json()
        except InputError as no_alignment:
            # What it says of dose and defocus is worth telling all the same.
            try:
                facts = read_acquisition(path).to_json()
            except InputError:
                raise no_alignment from None
            facts["warnings"] = [*facts["warnings"], f"no alignment: {no_alignment}"]
            return facts
    return None


def _describe_commands(path: Path) -> dict[str, Any]:
    from tomokit.formats.tilt_com import read_newst_com, read_tilt_com

    try:
        tilt = read_tilt_com(path)
    except InputError as not_tilt:
        try:
            newst = read_newst_com(path)
        except InputError:
            raise not_tilt from None
        return {
            "file": path.name,
            "kind": "commands",
            "program": "newstack",
            "raw_stack": newst.raw_stack,
            "aligned_stack": newst.aligned_stack,
            "transform_file": newst.transform_file,
            "bin_by": newst.bin_by,
            "aligned_shape": None if newst.aligned_shape is None else list(newst.aligned_shape),
            "warnings": list(newst.warnings),
        }
    return {
        "file": path.name,
        "kind": "commands",
        "program": "tilt",
        "stack": tilt.stack,
        "tilt_file": tilt.tilt_file,
        "x_tilt_file": tilt.x_tilt_file,
        "thickness_px": tilt.thickness_px,
        "tilt_offset_deg": tilt.tilt_offset_deg,
        "axis_offset_px": tilt.axis_offset_px,
        "shift_px": [tilt.shift_x_px, tilt.shift_z_px],
        "x_axis_tilt_deg": tilt.x_axis_tilt_deg,
        "excluded_views": sorted(tilt.excluded),
        "warnings": list(tilt.warnings),
    }
