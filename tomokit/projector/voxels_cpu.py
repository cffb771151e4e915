"""Forward projection and adjoint of a grid of voxels on the CPU.

Both directions are gathers of rows along y (see :mod:`tomokit.projector.rows`). The volume is cut into tiles of
a few voxel columns, small enough that their rows stay in cache while a group of views passes over them. For each
tile and view the weights are computed once and sorted into lists: for the forward projection by detector column,
for the adjoint by voxel column. One work item writes rows that no other item writes, and every row is summed in
the order of tiles or views, so the result is the same at any number of threads, bit for bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.projector.footprint import MAX_TAPS, box_profile, box_row_weights
from tomokit.projector.rows import add_weighted_rows

TILE_X = 16
TILE_Z = 8
VIEW_GROUP = 8
_WIDTH = TILE_X + TILE_Z + 8  # detector columns that a tile can meet
# Voxel columns of a tile that can meet one detector column. Those of a line along x (below 45 degrees) or along z
# (above) are at least 0.707 px apart on the detector, and a footprint with its pixel is at most 2.42 px wide: at most
# four of each line, of which there are at most TILE_X.
_DEPTH = 4 * TILE_X


@compiled(inlined=True)
def _lists_by_pixel(
    x0: int,
    x1: int,
    z0: int,
    z1: int,
    n_x: int,
    n_z: int,
    theta: float,
    du: float,
    n_u: int,
    count: NDArray[np.int32],
    row: NDArray[np.int32],
    weight: NDArray[np.float32],
    first: NDArray[np.int32],
    taps: NDArray[np.float32],
) -> int:
    """Sort the footprints of a tile by detector column.

    `row` and `weight` list, for each detector column, the voxel columns that it meets, `count` of them; `first` and
    `taps` are scratch. Returns the detector column of list 0.
    """
    cos, sin = math.cos(theta), math.sin(theta)
    profile = box_profile(theta)
    centre_x, centre_z, centre_u = (n_x - 1) / 2, (n_z - 1) / 2, (n_u - 1) / 2
    # The least detector column that any corner of the tile can meet; lists are counted from it.
    left = min((x0 - centre_x) * cos, (x1 - 1 - centre_x) * cos)
    left += min(-(z0 - centre_z) * sin, -(z1 - 1 - centre_z) * sin)
    u_base = math.floor(left + du + centre_u - profile[0])
    count[:] = 0
    for z in range(z0, z1):
        # Along x neighbouring voxels are cos apart on the detector, so that a row of weights is one call.
        start = (x0 - centre_x) * cos - (z - centre_z) * sin + du + centre_u
        box_row_weights(start, cos, x1 - x0, profile, first, taps)
        for i in range(x1 - x0):
            for k in range(MAX_TAPS):
                w = taps[k, i]
                # Nothing is listed for a tap that is not met: lists stay as short as the sums need.
                if w > 0:
                    slot = first[i] + k - u_base
                    n = count[slot]
                    row[slot, n] = (x0 + i) * n_z + z
                    weight[slot, n] = w
                    count[slot] = n + 1
    return u_base


@shared_out()
def forward(
    share: Share,
    volume: NDArray[np.float32],
    theta: NDArray[np.float64],
    du: NDArray[np.float64],
    stack: NDArray[np.float32],
    n_slabs: int,
) -> None:
    """Add the line integrals of a volume to a stack of projections.

    Parameters
    ----------
    share : Share
        Which items are this thread's.
    volume : float32 array, shape (n_x, n_z, n_y)
        Density ``[x, z, y]``, C-ordered.
    theta, du : float64 array, shape (n_views,)
        Tilt in radians and shift across the axis in pixels.
    stack : float32 array, shape (n_views, n_u, n_y), added to
        Line integrals ``[tilt, u, y]`` in pixels times density.
    n_slabs : int
        Work items along y; has no influence on the result.
    """
    n_x, n_z, n_y = volume.shape
    n_views, n_u = stack.shape[0], stack.shape[1]
    rows = volume.reshape(n_x * n_z, n_y)
    n_groups = (n_views + VIEW_GROUP - 1) // VIEW_GROUP
    # An item is a group of views over a range of y: no other item writes into its rows.
    for item in items_of(share, n_groups * n_slabs):
        t0 = (item // n_slabs) * VIEW_GROUP
        t1 = min(n_views, t0 + VIEW_GROUP)
        slab = item % n_slabs
        y0, y1 = n_y * slab // n_slabs, n_y * (slab + 1) // n_slabs
        count = np.zeros(_WIDTH, np.int32)
        row = np.empty((_WIDTH, _DEPTH), np.int32)
        weight = np.empty((_WIDTH, _DEPTH), np.float32)
        first = np.empty(TILE_X, np.int32)
        taps = np.empty((MAX_TAPS, TILE_X), np.float32)
        for x0 in range(0, n_x, TILE_X):
            x1 = min(n_x, x0 + TILE_X)
            for z0 in range(0, n_z, TILE_Z):
                z1 = min(n_z, z0 + TILE_Z)
                # The tile's rows are still in cache for the second and later views of the group.
                for t in range(t0, t1):
                    u_base = _lists_by_pixel(
                        x0, x1, z0, z1, n_x, n_z, theta[t], du[t], n_u, count, row, weight, first, taps
                    )  # fmt: skip
                    # Lists beside the detector are left out here, not when they are made.
                    for slot in range(max(0, -u_base), min(_WIDTH, n_u - u_base)):
                        if count[slot] > 0:
                            add_weighted_rows(
                                stack[t, u_base + slot], rows, row[slot], weight[slot], count[slot], y0, y1
                            )


@compiled(inlined=True)
def _lists_by_voxel(
    x0: int,
    x1: int,
    z0: int,
    z1: int,
    n_x: int,
    n_z: int,
    theta: float,
    du: float,
    n_u: int,
    view: int,
    count: NDArray[np.int32],
    row: NDArray[np.int32],
    weight: NDArray[np.float32],
    first: NDArray[np.int32],
    taps: NDArray[np.float32],
) -> None:
    """Append one view's footprints to the lists of a tile's voxel columns.

    `row` and `weight` list, for each voxel column of the tile, the rows ``view * n_u + u`` of the stack that it meets,
    `count` of them so far; `first` and `taps` are scratch.
    """
    cos, sin = math.cos(theta), math.sin(theta)
    profile = box_profile(theta)
    centre_x, centre_z, centre_u = (n_x - 1) / 2, (n_z - 1) / 2, (n_u - 1) / 2
    for z in range(z0, z1):
        start = (x0 - centre_x) * cos - (z - centre_z) * sin + du + centre_u
        box_row_weights(start, cos, x1 - x0, profile, first, taps)
        for i in range(x1 - x0):
            slot = i * TILE_Z + z - z0
            n = count[slot]
            for k in range(MAX_TAPS):
                u = first[i] + k
                if taps[k, i] > 0 and u >= 0 and u < n_u:
                    row[slot, n] = view * n_u + u
                    weight[slot, n] = taps[k, i]
                    n += 1
            count[slot] = n


@shared_out()
def adjoint(
    share: Share,
    stack: NDArray[np.float32],
    theta: NDArray[np.float64],
    du: NDArray[np.float64],
    volume: NDArray[np.float32],
) -> None:
    """Add the back-projection of a stack to a volume: the transpose of :func:`forward`.

    Parameters
    ----------
    share : Share
        Which tiles are this thread's.
    stack : float32 array, shape (n_views, n_u, n_y)
        Projections ``[tilt, u, y]``, C-ordered.
    theta, du : float64 array, shape (n_views,)
        Tilt in radians and shift across the axis in pixels.
    volume : float32 array, shape (n_x, n_z, n_y), added to
        ``[x, z, y]``: the sum over views and pixels of weight times value.
    """
    n_x, n_z, n_y = volume.shape
    n_views, n_u = stack.shape[0], stack.shape[1]
    rows = stack.reshape(n_views * n_u, n_y)
    tiles_z = (n_z + TILE_Z - 1) // TILE_Z
    tiles_x = (n_x + TILE_X - 1) // TILE_X
    # One thread owns a tile's voxel columns, and adds to each in the order of views.
    for tile in items_of(share, tiles_x * tiles_z):
        x0, z0 = (tile // tiles_z) * TILE_X, (tile % tiles_z) * TILE_Z
        x1, z1 = min(n_x, x0 + TILE_X), min(n_z, z0 + TILE_Z)
        count = np.zeros(TILE_X * TILE_Z, np.int32)
        row = np.empty((TILE_X * TILE_Z, MAX_TAPS * VIEW_GROUP), np.int32)
        weight = np.empty((TILE_X * TILE_Z, MAX_TAPS * VIEW_GROUP), np.float32)
        first = np.empty(TILE_X, np.int32)
        taps = np.empty((MAX_TAPS, TILE_X), np.float32)
        # A group of views at once: up to 24 rows are added to a voxel column in one call, not two or three.
        for t0 in range(0, n_views, VIEW_GROUP):
            count[:] = 0
            for t in range(t0, min(n_views, t0 + VIEW_GROUP)):
                _lists_by_voxel(x0, x1, z0, z1, n_x, n_z, theta[t], du[t], n_u, t, count, row, weight, first, taps)
            for x in range(x0, x1):
                for z in range(z0, z1):
                    slot = (x - x0) * TILE_Z + z - z0
                    if count[slot] > 0:
                        add_weighted_rows(volume[x, z], rows, row[slot], weight[slot], count[slot], 0, n_y)
