"""The field of one subdomain on a device by gradient steps: densities old and new, and the launch of the update."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Kernel
from tomokit.methods.octree.cuda.device_buffers import DeviceBuffers
from tomokit.methods.octree.cuda.field_arrays import FieldArrays
from tomokit.octree.partition import Partition
from tomokit.optimizers.block import BlockOptimizer
from tomokit.optimizers.codes import ADAM
from tomokit.projector.cuda.leaves import LeavesOnDevice
from tomokit.projector.vertex_footprint import KNOTS
from tomokit.regularizers.cuda.interface import GradientsOnGpu

if TYPE_CHECKING:
    from tomokit.methods.octree.leaf_field import LeafField

_ACTIVATE_SOURCE = Path(__file__).with_name("leaf_activate.cu")
_UPDATE_SOURCE = Path(__file__).with_name("leaf_update.cu")


class FieldOnDevice(FieldArrays):
    """A field whose raw values an optimizer changes; densities follow from them.

    Parameters
    ----------
    buffers : DeviceBuffers
        With :data:`BUFFERS` beside what the optimizer remembers.
    leaves : LeafField
        The host's field to start from; it stays as it is until :meth:`fetch`.
    optimizer : BlockOptimizer
        Its rule is the kernel's.
    partition : Partition
        The leaves that are fitted here.

    Attributes
    ----------
    optimizer : BlockOptimizer
    """

    BUFFERS = ("values", "density", "spare")
    """Arrays of the field's size; the update writes the new density to the spare one."""

    def __init__(
        self, buffers: DeviceBuffers, leaves: LeafField, optimizer: BlockOptimizer, partition: Partition
    ) -> None:
        super().__init__(buffers, leaves, partition, "values")
        self._kind, self._parameter = leaves.kind, leaves.parameter
        self.optimizer = optimizer
        self._update_kernels: dict[int, Kernel] = {}  # by the padding that they are compiled for
        with self.device:
            self._activate = self.device.load(_ACTIVATE_SOURCE, **self.constants)["leaf_activate"]
        self.send()

    def swap_in(self) -> None:
        """Send values and optimizer state, and compute the densities (see
        :class:`tomokit.methods.octree.cuda.device_buffers.BufferUser`)."""
        super().swap_in()
        with self.device:
            self._activate(*self.grid, (self.values, self.density, self._kind, self._parameter))

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
