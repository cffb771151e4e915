"""The layers of leaves at the cuts of a fit, which parts on either side need of each other for boundary consistency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.device import Device
from tomokit.octree.partition import Partition


class HaloExchange:
    """One part's share of them.

    Parameters
    ----------
    device : Device
    partitions : sequence of Partition
        All, as they follow each other along y.
    number : int
        Which of them this is.

    Attributes
    ----------
    beyond : array of float32, shape (n_ghosts, n, n), or None
        The neighbours' vertices at the cuts, ``[ghost, x, z]``; None before :func:`exchange`.
    """

    def __init__(self, device: Device, partitions: Sequence[Partition], number: int) -> None:
        self.device, self.number, self.beyond = device, number, None
        partition = partitions[number]
        self._shape = (partition.ghosts.size, partition.forest.n, partition.forest.n)
        # Of each neighbour: its ghosts here, and the leaves here that are its ghosts.
        self._ghosts: dict[int, NDArray[np.int64]] = {}
        self._asked: dict[int, Any] = {}
        self._given: dict[int, Any] = {}
        for other in (number - 1, number + 1):
            if 0 <= other < len(partitions):
                self._ghosts[other] = np.flatnonzero(np.isin(partition.ghosts, partitions[other].own))
                with device:
                    self._asked[other] = device.xp.asarray(
                        np.flatnonzero(np.isin(partition.own, partitions[other].ghosts))
                    )

    def take(self, field: Any) -> None:
        """Note the layers at the cuts of a field ``[leaf, x, z, y]`` of the part, on the device."""
        for other, leaves in self._asked.items():
            at = field.shape[3] - 1 if other > self.number else 0
            self._given[other] = field[..., at][leaves]


def exchange(halo: Sequence[HaloExchange]) -> None:
    """Give every part what its neighbours have noted, through the host."""
    given: dict[tuple[int, int], NDArray[np.float32]] = {}
    for partition in halo:
        with partition.device:
            for other, layer in partition._given.items():
                given[partition.number, other] = partition.device.to_host(layer)
    for partition in halo:
        found = np.empty(partition._shape, np.float32)
        for other, ghosts in partition._ghosts.items():
            found[ghosts] = given[other, partition.number]
        with partition.device:
            partition.beyond = partition.device.xp.asarray(found)
