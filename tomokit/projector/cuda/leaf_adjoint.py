"""Back-projection to the leaves on a device, for what needs it whole (``leaf_backproject.cu``)."""

from __future__ import annotations

from pathlib import Path

from tomokit.gpu.arrays import DeviceArray
from tomokit.projector.cuda.leaves import BLOCK_THREADS, LeavesOnDevice
from tomokit.projector.vertex_footprint import KNOTS

_SOURCE = Path(__file__).with_name("leaf_backproject.cu")
_MOST_PASSES = 8  # what a block gathers for its columns waits in shared memory


def columns_of(n: int) -> int:
    """Vertex columns that a block over the leaves takes at a time, one thread for each vertex.

    Parameters
    ----------
    n : int
        Vertices along a leaf's edge, and so of a column.

    Returns
    -------
    int
    """
    return max(1, BLOCK_THREADS // n)


def passes_of(n: int) -> int:
    """How often such a block takes its columns: about a plane of a leaf in all, within its shared memory.

    Parameters
    ----------
    n : int
        Vertices along a leaf's edge: there are n columns in a plane.

    Returns
    -------
    int
    """
    return min(_MOST_PASSES, -(-n // columns_of(n)))


def back_project(
    projector: LeavesOnDevice,
    contracted: DeviceArray,
    chosen: DeviceArray,
    factor: DeviceArray,
    values: DeviceArray,
    adds: bool,
) -> None:
    """Back-project a contracted stack to all vertices; its device is the current one.

    Parameters
    ----------
    projector : LeavesOnDevice
    contracted : array of float32, shape (n_slabs, n, n_u + 2 * pad, forest.n)
        From :meth:`tomokit.projector.cuda.leaves.LeavesOnDevice.contract`.
    chosen : array of int32, shape (n,)
        Its views.
    factor : array of float32, shape (n_leaves,)
        What each leaf's values are multiplied by.
    values : array of float32, shape (n_leaves, n, n, n), written
        ``[leaf, x, z, y]``.
    adds : bool
        Whether the result is added to the values that are there.
    """
    forest, a, n = projector.forest, projector.arrays, projector.forest.n
    columns, passes = columns_of(n), passes_of(n)
    kernel = projector.device.load(_SOURCE, N=n, KNOTS=KNOTS, PAD=projector.pad, COLUMNS=columns, PASSES=passes)
    kernel["leaf_backproject"](
        (-(-n * n // (columns * passes)), forest.n_leaves, 1), (n, columns, 1),
        (values, factor, a["slab_of"], a["corner"], a["level"], a["spacing"], a["views"], a["half_width"], a["taps"],
         a["tables"], chosen, contracted, chosen.size, projector.n_levels, projector.geometry.n_u, int(adds)),
    )  # fmt: skip
