"""Whether an OME-Zarr can be written, and what of that name may be replaced."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from tomokit.errors import OutputError, PluginError
from tomokit.io.output import check_is_no_input, check_output

_LEVEL = re.compile(r"\w[\w.-]*")
_OF_GROUP = frozenset(("zarr.json", ".zattrs", ".zgroup", ".zmetadata"))
_OF_ARRAY = frozenset(("zarr.json", "c", ".zarray", ".zattrs"))
_CHUNK = re.compile(r"[0-9.]+")


def check_ome_zarr(
    path: str | os.PathLike[str], *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """Make sure, before any work is done, that an OME-Zarr can be written.

    Parameters
    ----------
    path : path-like
        The folder to be made.
    overwrite : bool
        Whether an existing OME-Zarr may be replaced; anything else of that name never is, nor is one that has other
        things in it, such as labels.
    inputs : iterable of path-like
        What the job reads: none of it may be replaced, or lie in the folder.

    Returns
    -------
    Path
        The folder itself, links resolved.

    Raises
    ------
    OutputError
        If it exists and is not an OME-Zarr image alone, or may not be replaced; if it has an input in it; if the folder
        that it goes into is missing or not writable.
    PluginError
        If zarr is not installed.
    """
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise PluginError(
            "OME-Zarr needs a package that is not installed", file=path, remedy="pip install 'tomokit[zarr]'"
        ) from error
    target = Path(path).resolve()
    if not target.is_dir():
        return check_output(path, inputs=inputs)
    check_is_no_input(path, inputs)
    levels = _levels(target)
    if not levels:
        raise OutputError("exists and is no OME-Zarr image", file=path, remedy="give another name")
    if foreign := _foreign(target, levels):
        problem = f"holds more than an OME-Zarr image, {foreign}, which would be lost"
        raise OutputError(problem, file=path, remedy="give another name")
    if not overwrite:
        raise OutputError("exists already", file=path, remedy="give --overwrite to replace it")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {target.parent} is not writable", file=path, remedy="give another folder")
    return target


def _levels(folder: Path) -> set[str]:
    """Folders of the levels that an OME-Zarr of version 0.4 or 0.5 names in its metadata; none if it is no such image.

    Names that may lead elsewhere, and levels that are no arrays, make it none.
    """
    for name, is_array in (("zarr.json", "zarr.json"), (".zattrs", ".zarray")):
        try:
            attributes = json.loads((folder / name).read_text("utf-8"))
            if name == "zarr.json":
                attributes = attributes["attributes"]["ome"]
            levels = {level["path"] for image in attributes["multiscales"] for level in image["datasets"]}
            if all(_LEVEL.fullmatch(level) and (folder / level / is_array).is_file() for level in levels):
                return levels
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return set()


def _foreign(folder: Path, levels: set[str]) -> str | None:
    """Something in an OME-Zarr that is no part of its image, such as labels or notes."""
    for where, known in ((folder, _OF_GROUP | levels), *((folder / level, _OF_ARRAY) for level in levels)):
        for name in sorted(os.listdir(where)):
            if name not in known and (known is not _OF_ARRAY or not _CHUNK.fullmatch(name)):
                return os.path.relpath(where / name, folder)
    return None
