"""The arrays of one subdomain's field on a device, whichever solver changes them: transfers, and launches over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.reductions import add_total, load_reductions
from tomokit.methods.octree.cuda.device_buffers import DeviceBuffers
from tomokit.octree.partition import Partition
from tomokit.projector.cuda.leaf_adjoint import columns_of, passes_of

if TYPE_CHECKING:
    from tomokit.methods.octree.leaf_field import LeafField

_STRIDE = 1 << 16  # densities that one block sums up
_SUM_THREADS = 256  # as in reductions.cu


class FieldArrays:
    """The leaves of one partition of a :class:`tomokit.methods.octree.leaf_field.LeafField`, on a device.

    Parameters
    ----------
    buffers : DeviceBuffers
        Memory of the arrays. Where several subdomains share it, arrays may be asked for only after
        :meth:`ensure_on_device`.
    leaves : LeafField
        The host's field to start from; it stays as it is until :meth:`fetch`.
    partition : Partition
        The leaves that are fitted here.
    values_name : str
        The buffer of the values: ``"density"`` where densities are stored as they are.

    Attributes
    ----------
    device : Device
    buffers : DeviceBuffers
    partition : Partition
    forest : Forest
        The partition's leaves.
    columns, passes : int
        Vertex columns that a block over the leaves takes at a time, and how often it does.
    blocks : int
        Blocks that share a leaf, each of which leaves a sum of total variation.
    """

    def __init__(self, buffers: DeviceBuffers, leaves: LeafField, partition: Partition, values_name: str) -> None:
        self.device, self.buffers, self.partition, self.forest = buffers.device, buffers, partition, partition.forest
        n = leaves.forest.n
        # A block has n threads along y and as many columns beside each other as fill it.
        self.columns = columns_of(n)
        self.passes = passes_of(n)
        self.blocks = -(-n * n // (self.columns * self.passes))
        self._values_name = values_name
        self._state_names = list(leaves.state)
        # The host's copies while other subdomains use the buffers; of one that is alone, only what it starts from.
        self._host_copies = {
            name: _leaves_of(array, partition.own)
            for name, array in {values_name: leaves.values, **leaves.state}.items()
        }
        self._changed = False

    def send(self) -> None:
        """Bring what the field starts from to the device, or to pinned memory where it waits for its turn."""
        if self.buffers.is_shared:
            # In pinned memory, since they are sent and brought back in every step.
            for name, array in self._host_copies.items():
                self._host_copies[name] = self.device.host_empty(array.shape)
                self._host_copies[name][...] = array
        else:
            self.ensure_on_device()
            self.device.wait()
            self._host_copies = {}

    @property
    def values(self) -> DeviceArray:
        """Raw values ``[leaf, x, z, y]``, float32 of shape (n_own, n, n, n)."""
        return self._rows(self._values_name)

    @property
    def density(self) -> DeviceArray:
        """Densities in the fit's unit ``[leaf, x, z, y]``, float32 of shape (n_own, n, n, n)."""
        return self._rows("density")

    def working(self, name: str, *of_leaf: int) -> DeviceArray:
        """A working array (see :class:`tomokit.regularizers.cuda.interface.LeavesOnGpu`)."""
        return self.buffers.array(name, self.forest.n_leaves, of_leaf)

    def state(self, name: str) -> DeviceArray:
        """An array that the optimizer remembers.

        Parameters
        ----------
        name : str
            As in the host field's ``state``.

        Returns
        -------
        array of float32, shape (n_own, n, n, n)
        """
        return self._rows(name)

    def ensure_on_device(self) -> None:
        """Swap the subdomain in, unless its arrays are in the buffers already."""
        self.buffers.assign_to(self)

    def swap_in(self) -> None:
        """Send values and optimizer state (see :class:`tomokit.methods.octree.cuda.device_buffers.BufferUser`)."""
        for name, array in self._host_copies.items():
            self.device.send(array, self._rows(name))
        self._changed = False

    def swap_out(self) -> None:
        """Bring values and optimizer state to the host, if they have changed (see
        :class:`tomokit.methods.octree.cuda.device_buffers.BufferUser`)."""
        if self._changed:
            for name, array in self._host_copies.items():
                self.device.bring(self._rows(name), array)

    def _rows(self, name: str) -> DeviceArray:
        return self.buffers.rows(name, self.forest.n_leaves)

    @property
    def constants(self) -> dict[str, int]:
        """Constants that kernels over all vertices are compiled with: ``N``, ``COLUMNS``, ``PASSES``."""
        return {"N": self.forest.n, "COLUMNS": self.columns, "PASSES": self.passes}

    @property
    def grid(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Grid and block of kernels over all vertices."""
        return (self.blocks, self.forest.n_leaves, 1), (self.forest.n, self.columns, 1)

    def add_density(self, totals: DeviceArray, slot: int) -> None:
        """Add the sum of the subdomain's densities to the totals: it is not finite if any density is not.

        Parameters
        ----------
        totals : array of float64, changed
            The epoch's sums.
        slot : int
            Index of the sum that is added to.
        """
        density = self.density
        blocks = -(-density.size // _STRIDE)
        # Blocks in single, their sums in double precision, always in the same order.
        partial = self.device.xp.empty(blocks, np.float32)
        kernels = load_reductions(self.device)
        kernels["sum_blocks"]((blocks, 1, 1), (_SUM_THREADS, 1, 1), (density, partial, density.size, _STRIDE))
        add_total(kernels["add_total"], partial, totals, slot)

    def fetch(self, leaves: LeafField) -> None:
        """Copy the subdomain's values, densities and optimizer state into the host's field.

        Parameters
        ----------
        leaves : LeafField
            The host's field, of all leaves of the fit; those of the partition are written.
        """
        own = self.partition.own
        self.ensure_on_device()
        with self.device:
            leaves.density[own] = self.device.to_host(self.density)
            if leaves.values is not leaves.density:
                leaves.values[own] = self.device.to_host(self.values)
            for name in self._state_names:
                leaves.state[name][own] = self.device.to_host(self.state(name))


def _leaves_of(array: NDArray[np.float32], leaves: NDArray[np.int64]) -> NDArray[np.float32]:
    """The rows of some leaves of an array; the array itself, not a copy, if they are all."""
    return array if np.array_equal(leaves, np.arange(len(array))) else array[leaves]
