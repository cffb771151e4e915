"""Writing of OME-Zarr (NGFF 0.5), complete or absent, and what of that name may be replaced."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data import Volume
from tomokit.errors import OutputError, PluginError
from tomokit.io.output import check_is_no_input, check_output

_COARSEST_EDGE = 64
_CHUNK_EDGE = 128
_AXES = "zyx"
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
        If ome-zarr is not installed.
    """
    try:
        import ome_zarr  # noqa: F401
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


def fill_ome_zarr(
    folder: Path, name: str, volume: Volume, provenance: Mapping[str, Any] | None = None, size_is_known: bool = True
) -> None:
    """Write a volume as an OME-Zarr pyramid, each level the mean over 2 x 2 x 2 voxels of the one before.

    Parameters
    ----------
    folder : Path
        An empty folder.
    name : str
        Of the image.
    volume : Volume
        Densities ``[z, y, x]``, with voxel size and origin.
    provenance : mapping, optional
        How the volume was made; goes into the group's attributes under ``tomokit``.
    size_is_known : bool
        Whether the voxel size was given; if not, the axes have no unit.

    Raises
    ------
    OSError
        If the disk is full, or anything else fails.
    """
    try:
        _write_pyramid(folder, name, volume, provenance, size_is_known)
    except BaseException:
        _cancel_writing()
        raise


def _cancel_writing() -> None:
    """Stop what zarr does in a thread of its own, which goes on after an interrupt and would fill a removed folder."""
    with suppress(Exception):
        import asyncio
        from threading import Event

        from zarr.core.sync import _get_loop

        loop, cancelled = _get_loop(), Event()

        def cancel() -> None:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            cancelled.set()

        loop.call_soon_threadsafe(cancel)
        cancelled.wait(timeout=1)


def _write_pyramid(
    folder: Path, name: str, volume: Volume, provenance: Mapping[str, Any] | None, size_is_known: bool
) -> None:
    import zarr
    from ome_zarr.format import FormatV05
    from ome_zarr.writer import write_multiscales_metadata

    values, voxel = np.asarray(volume.density), volume.voxel_size_angstrom
    # Nothing is there to be replaced, and the folder itself is to stay: it is locked.
    root = zarr.open_group(str(folder), mode="a", zarr_format=3)
    first_voxel = dict(zip("xyz", volume.origin_angstrom, strict=True))
    datasets: list[dict[str, Any]] = []
    level = values
    while not datasets or max(level.shape) > _COARSEST_EDGE:
        depth = len(datasets)
        level = _halve_volume(level) if datasets else level
        chunks = tuple(min(_CHUNK_EDGE, size) for size in level.shape)
        stored = root.create_array(str(depth), shape=level.shape, chunks=chunks, dtype="float32", dimension_names=_AXES)
        stored[...] = level
        # The centre of a coarse voxel lies between those of the fine ones, but along an axis that was one voxel.
        halved = [_times_halved(size, depth) for size in values.shape]
        scale = [voxel * 2**times for times in halved]
        shift = [first_voxel[axis] + voxel * (2**times - 1) / 2 for axis, times in zip(_AXES, halved, strict=True)]
        placement = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(depth), "coordinateTransformations": placement})
    unit = {"unit": "angstrom"} if size_is_known else {}
    axes = [{"name": axis, "type": "space", **unit} for axis in _AXES]
    write_multiscales_metadata(root, datasets, FormatV05(), axes, name=name)
    if provenance is not None:
        root.attrs["tomokit"] = dict(provenance)


def _times_halved(size: int, level: int) -> int:
    """How often an axis of this size has been halved at a level."""
    times = 0
    while times < level and size > 1:
        size, times = -(-size // 2), times + 1
    return times


def _halve_volume(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over pairs along every axis; an odd one at the end stands for itself."""
    for axis in range(3):
        if volume.shape[axis] == 1:
            continue
        planes = np.moveaxis(volume, axis, 0)
        odd = planes[1::2]
        half = planes[::2].copy()
        half[: len(odd)] += odd
        half[: len(odd)] *= np.float32(0.5)
        volume = np.moveaxis(half, 0, axis)
    return np.ascontiguousarray(volume)
