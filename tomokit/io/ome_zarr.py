"""Writing of OME-Zarr (NGFF 0.5), complete or absent: made into a folder beside the target, which is then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OutputError, PluginError
from tomokit.io.durable import NO_ROOM
from tomokit.io.output import check_output

_COARSEST_EDGE = 64
_CHUNK_EDGE = 128
_AXES = "zyx"


def write_ome_zarr(
    path: str | os.PathLike[str],
    values: NDArray[np.float32],
    voxel_size_angstrom: float,
    origin_angstrom: tuple[float, float, float] = (0.0, 0.0, 0.0),
    provenance: Mapping[str, Any] | None = None,
    *,
    size_is_known: bool = True,
    overwrite: bool = False,
) -> None:
    """Write a volume as an OME-Zarr pyramid, each level the mean over 2 x 2 x 2 voxels of the one before.

    Parameters
    ----------
    path : path-like
        The folder to be made, by custom ``NAME.zarr``.
    values : ndarray of float32, shape (n_z, n_y, n_x)
        Densities ``[z, y, x]``.
    voxel_size_angstrom : float
        Edge of a voxel in ångström.
    origin_angstrom : tuple of float
        Centre of the first voxel, ``(x, y, z)`` in ångström.
    provenance : mapping, optional
        How the volume was made; goes into the group's attributes under ``tomokit``.
    size_is_known : bool
        Whether the voxel size was given; if not, the axes have no unit.
    overwrite : bool
        Whether an existing OME-Zarr may be replaced; anything else of that name never is.

    Raises
    ------
    OutputError
        If the folder exists, or cannot be written; nothing is left behind.
    PluginError
        If ome-zarr is not installed.
    """
    target = check_ome_zarr(path, overwrite=overwrite)
    token = secrets.token_hex(4)
    temporary, aside = (target.with_name(f".{target.name[:200]}.{token}.{end}") for end in ("part", "old"))
    try:
        _write_pyramid(temporary, target.stem, values, voxel_size_angstrom, origin_angstrom, provenance, size_is_known)
        # A folder cannot be replaced in one step: the old one is kept under another name until the new one is there.
        if target.exists():
            os.rename(target, aside)
        os.rename(temporary, target)
    except OSError as error:
        if aside.exists() and not target.exists():
            os.rename(aside, target)
        remedy = "free some space or choose another disk" if error.errno in NO_ROOM else None
        raise OutputError(f"cannot be written ({error.strerror or error})", file=path, remedy=remedy) from error
    finally:
        for folder in (temporary, aside):
            shutil.rmtree(folder, ignore_errors=True)


def check_ome_zarr(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Make sure, before any work is done, that an OME-Zarr can be written.

    Parameters
    ----------
    path : path-like
        The folder to be made.
    overwrite : bool
        Whether an existing OME-Zarr may be replaced.

    Returns
    -------
    Path
        The folder itself, links resolved.

    Raises
    ------
    OutputError
        If it exists and is not one, or may not be replaced; if the folder that it goes into is missing or not writable.
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
        return check_output(path)
    if not (target / "zarr.json").is_file() and not (target / ".zattrs").is_file():
        raise OutputError("exists and is no OME-Zarr", file=path, remedy="give another name")
    if not overwrite:
        raise OutputError("exists already", file=path, remedy="give --overwrite to replace it")
    return target


def _write_pyramid(
    folder: Path,
    name: str,
    values: NDArray[np.float32],
    voxel: float,
    origin: tuple[float, float, float],
    provenance: Mapping[str, Any] | None,
    size_is_known: bool,
) -> None:
    import zarr
    from ome_zarr.format import FormatV05
    from ome_zarr.writer import write_multiscales_metadata

    root = zarr.open_group(str(folder), mode="w", zarr_format=3)
    first_voxel = dict(zip("xyz", origin, strict=True))
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
