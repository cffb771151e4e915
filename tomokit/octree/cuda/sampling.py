"""The trilinear field on a lattice, from densities on a device (see :mod:`tomokit.octree.sampling`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device, Kernel
from tomokit.octree import Forest
from tomokit.octree.lattice import OCTANTS, Boxes, lattice_boxes

_SOURCE = Path(__file__).with_name("sample.cu")
_LANES, _ROWS = 32, 8  # as in sample.cu
_BLOCKS_PER_BOX = 64


def sample_volume(
    device: Device, values: DeviceArray, forest: Forest, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """The field's means over a tomogram's voxels, one a detector pixel, brought to the host in slabs of x.

    Parameters
    ----------
    device : Device
    values : array of float32, shape (n_leaves, n, n, n)
        Densities, on the device.
    forest : Forest
    shape : tuple of int
        ``(n_u, thickness_px, n_v)``.

    Returns
    -------
    ndarray of float32, shape `shape`
        ``[x, z, y]``; 0 outside all leaves.
    """
    out = np.empty(shape, np.float32)
    # A slab is there three times: as the sum, as one octant's samples, and as a temporary of the addition.
    slab = max(1, min(shape[0], int(device.free_bytes() // 3 // (4 * shape[1] * shape[2]))))
    for begin in range(0, shape[0], slab):
        size = (min(slab, shape[0] - begin), *shape[1:])
        start = np.array([begin - (shape[0] - 1) / 2, -(shape[1] - 1) / 2, -(shape[2] - 1) / 2])
        with device:
            total = device.xp.zeros(size, np.float32)
            for octant in OCTANTS:
                total += sample(device, values, forest, start + np.array(octant), np.ones(3), size)
            total *= np.float32(1 / len(OCTANTS))
            out[begin : begin + size[0]] = device.to_host(total)
    return out


def sample(
    device: Device,
    values: DeviceArray,
    forest: Forest,
    start: NDArray[np.float64],
    step: NDArray[np.float64],
    shape: tuple[int, int, int],
) -> DeviceArray:
    """The field at the points ``start + (i, k, j) * step`` of a lattice.

    Parameters
    ----------
    device : Device
    values : array of float32, shape (n_leaves, n, n, n)
        Densities ``[leaf, x, z, y]``, on the device.
    forest : Forest
    start, step : ndarray of float64, shape (3,)
        First point and spacing ``(x, z, y)`` in detector pixels, on the host.
    shape : tuple of int
        Number of points along x, z and y.

    Returns
    -------
    array of float32, shape `shape`
        ``[x, z, y]``, on the device; 0 outside all leaves.
    """
    boxes = lattice_boxes(forest, start, step, np.array(shape))
    with device:
        out: DeviceArray = device.xp.zeros(shape, np.float32)
        kernel = device.load(_SOURCE, N=forest.n)["sample_boxes"]
        for leaf, first, stop in _upper_faces(boxes):
            _launch_fill(device, kernel, values, boxes, np.array([leaf]), first[None], stop[None], out)
        # Owners come last, as they override what lies on their lower faces.
        owned = np.flatnonzero((boxes.stop > boxes.first).all(axis=1))
        _launch_fill(device, kernel, values, boxes, owned, boxes.first[owned], boxes.stop[owned], out)
    return out


def _upper_faces(boxes: Boxes) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Boxes of points on upper faces, in the order in which they are to be filled: the lowest-numbered leaf last."""
    pieces = []
    for leaf in boxes.on_upper_faces[::-1]:
        for axis in range(3):
            if boxes.closed[leaf, axis] > boxes.stop[leaf, axis]:
                first = boxes.first[leaf].copy()
                first[axis] = boxes.stop[leaf, axis]
                if (boxes.closed[leaf] > first).all():
                    pieces.append((int(leaf), first, boxes.closed[leaf]))
    return pieces


def _launch_fill(
    device: Device,
    kernel: Kernel,
    values: DeviceArray,
    boxes: Boxes,
    leaves: NDArray[np.int64],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    out: DeviceArray,
) -> None:
    """Fill one box of lattice points ``first <= point < stop`` from each of some leaves."""
    if not leaves.size:
        return
    xp = device.xp
    corners = np.ascontiguousarray(np.concatenate([first, stop], axis=1).astype(np.int32))
    places = np.ascontiguousarray(np.concatenate([boxes.base[leaves], boxes.rate[leaves]], axis=1))
    kernel(
        (_BLOCKS_PER_BOX, leaves.size, 1), (_LANES, _ROWS, 1),
        (values, xp.asarray(leaves.astype(np.int32)), xp.asarray(corners), xp.asarray(places), out, *out.shape[1:]),
    )  # fmt: skip
