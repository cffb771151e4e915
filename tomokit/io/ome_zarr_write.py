"""Writing of OME-Zarr (NGFF 0.5): a pyramid of means, made block by block from a volume of any size."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.io.pixels import PixelStatistics, RunningStatistics
from tomokit.io.voxel_blocks import VoxelBlocks, blocks_of

if TYPE_CHECKING:
    import zarr

_COARSEST_EDGE = 64
CHUNK_EDGE = 96
"""Voxels along the edge of a chunk, each a file of at most 3.4 MiB: viewers load whole chunks for what they show."""
_BLOCK_CHUNKS = 2
"""Chunks along the edge of what is asked of the volume at once, 27 MiB."""
_AXES = "zyx"
_DOWNSAMPLING = {"description": "Each voxel is the mean of 2 x 2 x 2 voxels of the level before."}
_SHOWN_DEVIATIONS = 3.0
"""Standard deviations from the mean that viewers are told to show from black to white."""


@dataclass(frozen=True)
class ZarrImage:
    """What an OME-Zarr says of its volume beside the voxels.

    Attributes
    ----------
    name : str
        Of the image.
    voxel_size_angstrom : float
        Edge of a voxel of the finest level.
    origin_angstrom : tuple of float
        ``(x, y, z)`` of the centre of its first voxel.
    size_is_known : bool
        Whether the voxel size was given; if not, the axes have no unit.
    provenance : mapping, optional
        How the volume was made; goes into the group's attributes under ``tomokit``.
    """

    name: str
    voxel_size_angstrom: float
    origin_angstrom: tuple[float, float, float]
    size_is_known: bool = True
    provenance: Mapping[str, Any] | None = None


def fill_ome_zarr(folder: Path, volume: VoxelBlocks, image: ZarrImage) -> None:
    """Write a volume as an OME-Zarr pyramid, each level the mean over 2 x 2 x 2 voxels of the one before.

    Memory holds a block of each level at most, whatever the size of the volume. The metadata that make it an image
    are written last.

    Parameters
    ----------
    folder : Path
        An empty folder.
    volume : VoxelBlocks
        Its blocks are read once each.
    image : ZarrImage
        What is said of it.

    Raises
    ------
    OSError
        If the disk is full, or anything else fails.
    """
    try:
        _write_pyramid(folder, volume, image)
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


def _write_pyramid(folder: Path, volume: VoxelBlocks, image: ZarrImage) -> None:
    import zarr

    # Nothing is there to be replaced, and the folder itself is to stay: it is locked.
    root = zarr.open_group(str(folder), mode="a", zarr_format=3)
    statistics = RunningStatistics()
    levels: list[zarr.Array] = []
    finer: VoxelBlocks = volume
    while not levels or max(levels[-1].shape) > _COARSEST_EDGE:
        level = volume if not levels else _Halved(finer)
        chunks = tuple(min(CHUNK_EDGE, size) for size in level.shape)
        name = str(len(levels))
        stored = root.create_array(name, shape=level.shape, chunks=chunks, dtype="float32", dimension_names=_AXES)
        # What is halved reads eight times what it gives.
        for block in blocks_of(level.shape, CHUNK_EDGE * (1 if levels else _BLOCK_CHUNKS)):
            values = level.read(block)
            if not levels:
                statistics.add(values)
            stored[block] = values
        levels.append(stored)
        finer = _Stored(stored)
    datasets = [{"path": str(depth), "coordinateTransformations": _place(volume.shape, depth, image)}
                for depth in range(len(levels))]  # fmt: skip
    unit = {"unit": "angstrom"} if image.size_is_known else {}
    axes = [{"name": axis, "type": "space", **unit} for axis in _AXES]
    multiscale = {"name": image.name, "axes": axes, "datasets": datasets, "type": "mean", "metadata": _DOWNSAMPLING}
    ome: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale], "omero": _display(statistics.result())}
    root.attrs.update({} if image.provenance is None else {"tomokit": dict(image.provenance)}, ome=ome)


def _display(found: PixelStatistics) -> dict[str, Any]:
    """The contrast that viewers are told to begin with; without it some show floats from 0 to 1."""
    low, high = float(found.minimum), float(found.maximum)
    reach = _SHOWN_DEVIATIONS * float(found.rms)
    start, end = max(low, float(found.mean) - reach), min(high, float(found.mean) + reach)
    window = {"min": low, "max": high, "start": start, "end": end}
    return {"channels": [{"label": "density", "color": "FFFFFF", "active": True, "window": window}]}


def _place(shape_zyx: tuple[int, int, int], depth: int, image: ZarrImage) -> list[dict[str, Any]]:
    """Scale and translation of a level, which say where the centres of its voxels lie."""
    voxel, first_voxel = image.voxel_size_angstrom, dict(zip("xyz", image.origin_angstrom, strict=True))
    # The centre of a coarse voxel lies between those of the fine ones, but along an axis that was one voxel.
    halved = [_times_halved(size, depth) for size in shape_zyx]
    scale = [voxel * 2**times for times in halved]
    shift = [first_voxel[axis] + voxel * (2**times - 1) / 2 for axis, times in zip(_AXES, halved, strict=True)]
    return [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]


def _times_halved(size: int, level: int) -> int:
    """How often an axis of this size has been halved at a level."""
    times = 0
    while times < level and size > 1:
        size, times = -(-size // 2), times + 1
    return times


class _Stored:
    """A level that has been written."""

    def __init__(self, array: zarr.Array) -> None:
        self.shape = _three(array.shape)
        self._array = array

    def read(self, block: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        return np.asarray(self._array[block], np.float32)


class _Halved:
    """The means over pairs along every axis of another volume; an odd one at the end stands for itself."""

    def __init__(self, finer: VoxelBlocks) -> None:
        self.shape = _three(tuple(-(-size // 2) for size in finer.shape))
        self._finer = finer

    def read(self, block: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        z, y, x = (
            slice(2 * part.start, min(2 * part.stop, size)) for part, size in zip(block, self._finer.shape, strict=True)
        )
        return _halve_volume(self._finer.read((z, y, x)))


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    n_z, n_y, n_x = shape
    return n_z, n_y, n_x


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
