"""The field being fitted, on a device: raw values, densities old and new, and what the optimizer remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.device import Kernel
from tomokit.gpu.reductions import add_total, load_reductions
from tomokit.methods.octree.cuda.device_buffers import DeviceBuffers
from tomokit.octree.partition import Partition
from tomokit.optimizers.block import BlockOptimizer
from tomokit.projector.cuda.leaves import BLOCK_THREADS, LeavesOnDevice
from tomokit.projector.vertex_footprint import KNOTS
from tomokit.regularizers.cuda.interface import GradientsOnGpu

if TYPE_CHECKING:
    from tomokit.methods.octree.leaf_field import LeafField

_ACTIVATE_SOURCE = Path(__file__).with_name("leaf_activate.cu")
_UPDATE_SOURCE = Path(__file__).with_name("leaf_update.cu")
_STRIDE = 1 << 16
_MOST_PASSES = 8
_SUM_THREADS = 256  # as in reductions.cu
_ADAM = 2  # as in optimizer.cuh and tomokit.optimizers.kernel


class FieldOnDevice:
    """A part of a :class:`tomokit.methods.octree.leaf_field.LeafField` on a device.

    Parameters
    ----------
    buffers : DeviceBuffers
        Where its arrays are. If others are there in turn, all else is asked of it after :meth:`enter` alone.
    leaves : LeafField
        What to start from; it stays as it is until :meth:`fetch`.
    optimizer : BlockOptimizer
        Its rule is the kernel's.
    partition : Partition
        The leaves that are fitted here.

    Attributes
    ----------
    forest : Forest
        The part's leaves.
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
        self.columns = max(1, BLOCK_THREADS // n)
        self.passes = passes_of(n, self.columns)
        self.blocks = -(-n * n // (self.columns * self.passes))
        self._state = list(leaves.state)
        # What there is of it while others have the device; where none ever has, the start alone.
        self._left = {
            name: _rows(array, partition.own) for name, array in {"values": leaves.values, **leaves.state}.items()
        }
        self._changed = False
        self._updates: dict[int, Kernel] = {}  # by the taps that they are compiled for
        with self.device:
            self._activate = self.device.load(_ACTIVATE_SOURCE, **self.constants)["leaf_activate"]
        if buffers.is_shared:
            for name, array in self._left.items():
                self._left[name] = self.device.host_empty(array.shape)
                self._left[name][...] = array
        else:
            self.enter()
            self.device.wait()
            self._left = {}

    @property
    def values(self) -> Any:
        """Raw values, float32 of shape (n_leaves, n, n, n)."""
        return self._rows("values")

    @property
    def density(self) -> Any:
        """Densities, likewise."""
        return self._rows("density")

    def working(self, name: str, *of_leaf: int) -> Any:
        """A working array (see :class:`tomokit.regularizers.cuda.interface.LeavesOnGpu`)."""
        return self.buffers.array(name, self.forest.n_leaves, of_leaf)

    def state(self, name: str) -> Any:
        """What the optimizer remembers, likewise."""
        return self._rows(name)

    def enter(self) -> None:
        """Be on the device."""
        self.buffers.admit(self)

    def swap_in(self) -> None:
        """Send what is needed, and find the densities."""
        for name, array in self._left.items():
            self.device.send(array, self._rows(name))
        with self.device:
            self._activate(*self.grid, (self.values, self.density, self._kind, self._parameter))
        self._changed = False

    def swap_out(self) -> None:
        """Bring what has changed to the host."""
        if self._changed:
            for name, array in self._left.items():
                self.device.bring(self._rows(name), array)

    def _rows(self, name: str) -> Any:
        return self.buffers.rows(name, self.forest.n_leaves)

    @property
    def constants(self) -> dict[str, int]:
        """What those kernels are compiled with."""
        return {"N": self.forest.n, "COLUMNS": self.columns, "PASSES": self.passes}

    @property
    def grid(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Grid and block of kernels that take every vertex."""
        return (self.blocks, self.forest.n_leaves, 1), (self.forest.n, self.columns, 1)

    def update(self, a: LeavesOnDevice, contracted: Any, chosen: Any, gradients: GradientsOnGpu, hyper: Any) -> None:
        """One optimizer step on all leaves (``leaf_update.cu``).

        Parameters
        ----------
        a : LeavesOnDevice
            The projector over these leaves, in the level's pixels.
        contracted : array of float32
            From :meth:`LeavesOnDevice.contract`, with the data term's factor.
        chosen : array of int32
            The views of the step.
        gradients : GradientsOnGpu
            What the penalties add.
        hyper : array of float32, shape (7,)
            A row of :func:`hyper_rows`.
        """
        if a.pad not in self._updates:
            loaded = self.device.load(_UPDATE_SOURCE, KNOTS=KNOTS, PAD=a.pad, **self.constants)
            self._updates[a.pad] = loaded["leaf_update"]
        o, arrays, table = self.optimizer, a.arrays, gradients.table
        self._updates[a.pad](
            *self.grid,
            (
                self.values, self.density, self._rows("spare"),
                None if o.first is None else self.state(o.first), None if o.second is None else self.state(o.second),
                arrays["slab_of"], arrays["corner"], arrays["level"], arrays["spacing"], arrays["views"],
                arrays["half_width"], arrays["taps"], arrays["tables"], chosen, contracted,
                gradients.variation_step, gradients.sides,
                None if table is None else table.row, None if table is None else table.grid,
                None if table is None else table.table, gradients.by_density, gradients.by_value, hyper,
                gradients.variation, chosen.size, a.n_levels, a.geometry.n_u, gradients.variant, gradients.delta,
                gradients.stencil, 2 if table is None else table.table.shape[1],
                0.0 if table is None else table.scale, 0 if table is None else int(table.is_raw),
                self._kind, self._parameter, o.kind,
            ),
        )  # fmt: skip
        self.buffers.swap("density", "spare")
        self._changed = True

    def add_density(self, totals: Any, slot: int) -> None:
        """Add the sum of all own densities, by which one that is not finite is seen.

        Parameters
        ----------
        totals : array of float64, changed
        slot : int
            Where it is added.
        """
        density = self.density
        blocks = -(-density.size // _STRIDE)
        partial = self.device.xp.empty(blocks, np.float32)
        kernels = load_reductions(self.device)
        kernels["sum_blocks"]((blocks, 1, 1), (_SUM_THREADS, 1, 1), (density, partial, density.size, _STRIDE))
        add_total(kernels["add_total"], partial, totals, slot)

    def fetch(self, leaves: LeafField) -> None:
        """Bring everything back into the host's field."""
        own = self.partition.own
        self.enter()
        with self.device:
            leaves.values[own] = self.device.to_host(self.values)
            leaves.density[own] = self.device.to_host(self.density)
            for name in self._state:
                leaves.state[name][own] = self.device.to_host(self.state(name))


def passes_of(n: int, columns: int) -> int:
    """How often a block takes so many columns of n vertices: about a plane of a leaf, within its shared memory."""
    return min(_MOST_PASSES, -(-n // columns))


def _rows(array: NDArray[np.float32], leaves: NDArray[np.int64]) -> NDArray[np.float32]:
    """Some leaves of an array, which is not copied if they are all."""
    return array if np.array_equal(leaves, np.arange(len(array))) else array[leaves]


def hyper_rows(optimizer: BlockOptimizer, rate: float, first_count: int, steps: int) -> NDArray[np.float32]:
    """What ``optimizer.cuh`` asks of each of the next steps, taken in double precision and rounded once.

    Returns
    -------
    ndarray of float32, shape (steps, 7)
    """
    lr, keep_first, keep_second, eps = (float(x) for x in optimizer.hyper(rate))
    rows = np.empty((steps, 7))
    rows[:] = lr, keep_first, 1.0 - keep_first, keep_second, 1.0 - keep_second, eps, 1.0
    if optimizer.kind == _ADAM:
        count = np.arange(first_count, first_count + steps)
        rows[:, 0] = lr / (1.0 - keep_first**count)
        rows[:, 6] = 1.0 / (1.0 - keep_second**count)
    return rows.astype(np.float32)
