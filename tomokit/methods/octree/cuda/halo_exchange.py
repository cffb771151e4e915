"""The halo exchange: vertices at the cuts, which subdomains on either side need of each other.

Boundary consistency compares leaves on the faces that they share. Where a cut lies between two of them, each subdomain
needs the plane of vertices on the other side; nothing else of a field is exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.octree.partition import Partition


class HaloExchange:
    """What one subdomain gives to its neighbours at the cuts, and receives from them.

    Parameters
    ----------
    device : Device
        Where the subdomain lies.
    partitions : sequence of Partition
        All of the fit, in their order along y.
    number : int
        Which of them the subdomain has.

    Attributes
    ----------
    device : Device
    number : int
    beyond : array of float32, shape (n_ghosts, n, n), or None
        The neighbours' vertices at the cuts, ``[ghost, x, z]``; None before :func:`exchange`.
    """

    def __init__(self, device: Device, partitions: Sequence[Partition], number: int) -> None:
        self.device, self.number = device, number
        self.beyond: DeviceArray | None = None
        partition = partitions[number]
        self._beyond_shape = (partition.ghosts.size, partition.forest.n, partition.forest.n)
        # By the number of the neighbouring partition: its leaves among the ghosts here, the leaves here that are its
        # ghosts, and the planes of these.
        self._ghosts_from: dict[int, NDArray[np.int64]] = {}
        self._leaves_for: dict[int, DeviceArray] = {}
        self._planes_for: dict[int, DeviceArray] = {}
        for neighbour in (number - 1, number + 1):
            if 0 <= neighbour < len(partitions):
                self._ghosts_from[neighbour] = np.flatnonzero(np.isin(partition.ghosts, partitions[neighbour].own))
                with device:
                    self._leaves_for[neighbour] = device.xp.asarray(
                        np.flatnonzero(np.isin(partition.own, partitions[neighbour].ghosts))
                    )

    def collect(self, field: DeviceArray) -> None:
        """Copy the planes of vertices at the cuts, to be given to the neighbours.

        Parameters
        ----------
        field : array of float32, shape (n_own, n, n, n)
            The subdomain's values or densities ``[leaf, x, z, y]``, on its device.
        """
        for neighbour, leaves in self._leaves_for.items():
            # The neighbour above touches the last vertex along y, the one below the first.
            plane = field.shape[3] - 1 if neighbour > self.number else 0
            self._planes_for[neighbour] = field[..., plane][leaves]


def exchange(halos: Sequence[HaloExchange]) -> None:
    """Give every subdomain the planes that its neighbours have collected, through the host.

    Parameters
    ----------
    halos : sequence of HaloExchange
        Of all subdomains; each one's ``beyond`` is made anew.
    """
    # By the giving and the receiving partition. All are read before any is sent: devices work on meanwhile.
    planes: dict[tuple[int, int], NDArray[np.float32]] = {}
    for halo in halos:
        with halo.device:
            for neighbour, collected in halo._planes_for.items():
                planes[halo.number, neighbour] = halo.device.to_host(collected)
    for halo in halos:
        beyond = np.empty(halo._beyond_shape, np.float32)
        for neighbour, ghosts in halo._ghosts_from.items():
            beyond[ghosts] = planes[neighbour, halo.number]
        with halo.device:
            halo.beyond = halo.device.xp.asarray(beyond)
