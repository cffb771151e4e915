"""The ties between leaves on a device (``ties.cu``), in the order in which the host ties them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.methods.octree.ties import Ties
from tomokit.octree import Forest
from tomokit.octree.faces import Faces

_SOURCE = Path(__file__).with_name("ties.cu")
_THREADS = 256  # as in ties.cu


class TiesOnDevice:
    """The faces of a forest that are tied, and the launches that tie them; the device is the current one.

    Parameters
    ----------
    device : Device
    forest : Forest
        All leaves of the fit.

    Attributes
    ----------
    tied : array of int32, shape (n_leaves,)
        By bits ``2 * axis + upper``, whether a leaf's side is shared with a leaf of its own level.
    """

    def __init__(self, device: Device, forest: Forest) -> None:
        ties = Ties.of(forest)
        put, jumps = device.xp.asarray, ties.jumps
        self._kernels = device.load(_SOURCE, N=forest.n)
        self.tied: DeviceArray = put((ties.tied * (1 << np.arange(6))).sum(axis=1).astype(np.int32))
        self._equals = [(axis, put(below), put(above)) for axis, (below, above) in enumerate(ties.equals) if below.size]
        self._launches = [put(faces) for faces in launches_of(jumps, forest.n_leaves)]
        self._jumps = (
            put(jumps.axis), put(jumps.fine), put(jumps.coarse), put(jumps.fine_is_below.astype(np.int32)),
            put(jumps.offset.astype(np.float32)), put(jumps.scale.astype(np.float32)),
        )  # fmt: skip

    def apply(self, values: DeviceArray, kept_negative: float = 1.0) -> None:
        """Tie the shared vertices of a field that a step has changed.

        Parameters
        ----------
        values : array of float32, shape (n_leaves, n, n, n)
            ``[leaf, x, z, y]``, changed.
        kept_negative : float
            Factor that is then put on what is negative on the leaves' sides: 0 for a bound, 1 for none. Between, where
            a step has not done so: on sides that are shared with an equal leaf.
        """
        block = (_THREADS, 1, 1)
        for axis, below, above in self._equals:
            self._kernels["tie_equals"]((below.size, 1, 1), block, (values, below, above, axis))
        for faces in self._launches:
            self._kernels["tie_jumps"]((faces.size, 1, 1), block, (values, faces, *self._jumps))
        if kept_negative < 1:
            self._kernels["soften_sides"]((6, self.tied.size, 1), block, (values, self.tied, kept_negative))

    def multiply(self, values: DeviceArray) -> None:
        """Multiply values by the number of equal leaves that share their vertex.

        Parameters
        ----------
        values : array of float32, shape (n_leaves, n, n, n)
            ``[leaf, x, z, y]``, changed.
        """
        self._kernels["multiply_tied"]((6, self.tied.size, 1), (_THREADS, 1, 1), (values, self.tied))


def launches_of(faces: Faces, n_leaves: int) -> list[NDArray[np.int32]]:
    """Put faces that have no leaf in common into one launch, so that each leaf sees its faces in their order.

    Parameters
    ----------
    faces : Faces
    n_leaves : int
        Leaves of the forest.

    Returns
    -------
    list of ndarray of int32
        Numbers of faces, ascending, each of them in one launch.
    """
    # A face goes right after the last of the faces before it that has one of its leaves.
    next_launch = np.zeros(n_leaves, np.int64)
    launch = np.empty(faces.n_faces, np.int64)
    for face, (fine, coarse) in enumerate(zip(faces.fine.tolist(), faces.coarse.tolist(), strict=True)):
        launch[face] = max(next_launch[fine], next_launch[coarse])
        next_launch[fine] = next_launch[coarse] = launch[face] + 1
    return [np.flatnonzero(launch == number).astype(np.int32) for number in range(int(next_launch.max(initial=0)))]
