"""The field of one subdomain on a device: raw values, densities old and new, and what the optimizer remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Kernel
from tomokit.gpu.reductions import add_total, load_reductions
from tomokit.methods.octree.cuda.device_buffers import DeviceBuffers
from tomokit.octree.partition import Partition
from tomokit.optimizers.block import BlockOptimizer
from tomokit.optimizers.codes import ADAM
from tomokit.projector.cuda.leaves import BLOCK_THREADS, LeavesOnDevice
from tomokit.projector.vertex_footprint import KNOTS
from tomokit.regularizers.cuda.interface import GradientsOnGpu

if TYPE_CHECKING:
    from tomokit.methods.octree.leaf_field import LeafField

_ACTIVATE_SOURCE = Path(__file__).with_name("leaf_activate.cu")
_UPDATE_SOURCE = Path(__file__).with_name("leaf_update.cu")
_STRIDE = 1 << 16  # densities that one block sums up
_MOST_PASSES = 8  # what a block gathers for its columns waits in shared memory
_SUM_THREADS = 256  # as in reductions.cu


class FieldOnDevice:
    """The leaves of one partition of a :class:`tomokit.methods.octree.leaf_field.LeafField`, on a device.

    Parameters
    ----------
    buffers : DeviceBuffers
        Memory of the arrays. Where several subdomains share it, arrays may be asked for only after
        :meth:`ensure_on_device`.
    leaves : LeafField
        The host's field to start from; it stays as it is until :meth:`fetch`.
    optimizer : BlockOptimizer
        Its rule is the kernel's.
    partition : Partition
        The leaves that are fitted here.

    Attributes
    ----------
    device : Device
    buffers : DeviceBuffers
    partition : Partition
    optimizer : BlockOptimizer
    forest : Forest
        The partition's leaves.
    columns, passes : int
        Vertex columns that a block of the update takes at a time, and how often it does.
    blocks : int
        Blocks of the update that share a leaf, each of which leaves a sum of total variation.
    """

    def __init__(
        self, buffers: DeviceBuffers, leaves: LeafField, optimizer: BlockOptimizer, partition: Partition
    ) -> None:
        self.device, self.buffers, self.partition, self.forest = buffers.device, buffers, partition, partition.forest
        self._kind, self._parameter = leaves.kind, leaves.parameter
        self.optimizer = optimizer
        n = leaves.forest.n
        # A block has n threads along y and as many columns beside each other as make about BLOCK_THREADS.
        self.columns = max(1, BLOCK_THREADS // n)
        self.passes = passes_of(n, self.columns)
        self.blocks = -(-n * n // (self.columns * self.passes))
        self._state_names = list(leaves.state)
        # The host's copies while other subdomains use the buffers; of one that is alone, only what it starts from.
        self._host_copies = {
            name: _leaves_of(array, partition.own) for name, array in {"values": leaves.values, **leaves.state}.items()
        }
        self._changed = False
        self._update_kernels: dict[int, Kernel] = {}  # by the padding that they are compiled for
        with self.device:
            self._activate = self.device.load(_ACTIVATE_SOURCE, **self.constants)["leaf_activate"]
        if buffers.is_shared:
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
        return self._rows("values")

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
        """Send values and optimizer state, and compute the densities (see
        :class:`tomokit.methods.octree.cuda.device_buffers.BufferUser`)."""
        for name, array in self._host_copies.items():
            self.device.send(array, self._rows(name))
        with self.device:
            self._activate(*self.grid, (self.values, self.density, self._kind, self._parameter))
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

    def update(
        self,
        projector: LeavesOnDevice,
        contracted: DeviceArray,
        chosen: DeviceArray,
        gradients: GradientsOnGpu,
        hyper: DeviceArray,
    ) -> None:
        """Take one optimizer step on all leaves of the subdomain (``leaf_update.cu``).

        Parameters
        ----------
        projector : LeavesOnDevice
            The projector over these leaves, in the level's pixels.
        contracted : array of float32, shape (n_slabs, n_chosen, n_u + 2 * pad, n)
            Residuals with the data term's factor, from
            :meth:`tomokit.projector.cuda.leaves.LeavesOnDevice.contract`.
        chosen : array of int32, shape (n_chosen,)
            The views of the step.
        gradients : GradientsOnGpu
            What the penalties add.
        hyper : array of float32, shape (7,)
            A row of :func:`hyper_rows`.
        """
        pad = projector.pad
        if pad not in self._update_kernels:
            loaded = self.device.load(_UPDATE_SOURCE, KNOTS=KNOTS, PAD=pad, **self.constants)
            self._update_kernels[pad] = loaded["leaf_update"]
        optimizer, arrays, table = self.optimizer, projector.arrays, gradients.table
        first = None if optimizer.first is None else self.state(optimizer.first)
        second = None if optimizer.second is None else self.state(optimizer.second)
        # Neighbouring vertices read the old density while others write the new one, which therefore goes to "spare".
        self._update_kernels[pad](
            *self.grid,
            (
                self.values, self.density, self._rows("spare"), first, second,
                arrays["slab_of"], arrays["corner"], arrays["level"], arrays["spacing"], arrays["views"],
                arrays["half_width"], arrays["taps"], arrays["tables"], chosen, contracted,
                gradients.variation_step, gradients.sides,
                None if table is None else table.row, None if table is None else table.grid,
                None if table is None else table.table, gradients.by_density, gradients.by_value, hyper,
                gradients.variation, chosen.size, projector.n_levels, projector.geometry.n_u, gradients.variant,
                gradients.delta, gradients.stencil, 2 if table is None else table.table.shape[1],
                0.0 if table is None else table.scale, 0 if table is None else int(table.is_raw),
                self._kind, self._parameter, optimizer.kind,
            ),
        )  # fmt: skip
        # Names are exchanged, not contents: what was written as the new density is the density from here on.
        self.buffers.swap("density", "spare")
        self._changed = True

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
            leaves.values[own] = self.device.to_host(self.values)
            leaves.density[own] = self.device.to_host(self.density)
            for name in self._state_names:
                leaves.state[name][own] = self.device.to_host(self.state(name))


def passes_of(n: int, columns: int) -> int:
    """How often a block of the update takes its columns: about a plane of a leaf in all, within its shared memory.

    Parameters
    ----------
    n : int
        Vertices along a leaf's edge: there are n columns in a plane.
    columns : int
        Columns that a block takes at a time.

    Returns
    -------
    int
    """
    return min(_MOST_PASSES, -(-n // columns))


def _leaves_of(array: NDArray[np.float32], leaves: NDArray[np.int64]) -> NDArray[np.float32]:
    """The rows of some leaves of an array; the array itself, not a copy, if they are all."""
    return array if np.array_equal(leaves, np.arange(len(array))) else array[leaves]


def hyper_rows(optimizer: BlockOptimizer, rate: float, first_count: int, steps: int) -> NDArray[np.float32]:
    """The optimizer's numbers for each of the next steps, as ``optimizer.cuh`` takes them.

    Parameters
    ----------
    optimizer : BlockOptimizer
    rate : float
        Factor of the learning rate.
    first_count : int
        Steps since the optimizer's state was made, the first of these included.
    steps : int
        How many steps.

    Returns
    -------
    ndarray of float32, shape (steps, 7)
        Learning rate; factors that momentum keeps and takes of the gradient; the same of the mean square; eps; and
        Adam's correction of the mean square.
    """
    # In double precision, rounded once: 1 - keep^count of the first steps would lose digits in single precision.
    lr, keep_first, keep_second, eps = (float(number) for number in optimizer.hyper(rate))
    rows = np.empty((steps, 7))
    rows[:] = lr, keep_first, 1.0 - keep_first, keep_second, 1.0 - keep_second, eps, 1.0
    # The count is that of each step, so Adam's corrections for the bias towards zero differ from row to row.
    if optimizer.kind == ADAM:
        count = np.arange(first_count, first_count + steps)
        rows[:, 0] = lr / (1.0 - keep_first**count)
        rows[:, 6] = 1.0 / (1.0 - keep_second**count)
    return rows.astype(np.float32)
