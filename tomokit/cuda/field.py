"""The field being fitted, on a device: raw values, densities old and new, and what the optimizer remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.leaves import BLOCK_THREADS, LeavesOnDevice
from tomokit.cuda.penalties import PullsOnDevice
from tomokit.optimizers.block import BlockOptimizer
from tomokit.projector.vertex_footprint import KNOTS

if TYPE_CHECKING:
    from tomokit.fit.leaf_field import LeafField

_ADAM = 2  # as in optimizer.cuh and tomokit.optimizers.kernel


class FieldOnDevice:
    """A :class:`tomokit.fit.leaf_field.LeafField` on a device.

    Parameters
    ----------
    device : Device
    leaves : LeafField
        What to start from; it stays as it is until :meth:`fetch`.
    optimizer : BlockOptimizer
        Its rule is the kernel's.

    Attributes
    ----------
    values, density : array of float32, shape (n_leaves, n, n, n)
    blocks : int
        Blocks of the update that share a leaf, each of which leaves a sum of total variation.
    """

    def __init__(self, device: Device, leaves: LeafField, optimizer: BlockOptimizer) -> None:
        self.device, self.forest = device, leaves.forest
        self._kind, self._parameter = leaves.kind, leaves.parameter
        self.optimizer = optimizer
        n = leaves.forest.n
        self._columns = max(1, BLOCK_THREADS // n)
        self.blocks = -(-n * n // self._columns)
        with device:
            xp = device.xp
            self.values = xp.asarray(leaves.values)
            self.density, self._spare = xp.empty_like(self.values), xp.empty_like(self.values)
            self.state = {name: xp.asarray(array) for name, array in leaves.state.items()}
            kernel = device.load("leaf_activate", N=n, COLUMNS=self._columns)["leaf_activate"]
            kernel(*self.grid, (self.values, self.density, self._kind, self._parameter))

    @property
    def grid(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Grid and block of kernels that take a thread for each vertex."""
        return (self.blocks, self.forest.n_leaves, 1), (self.forest.n, self._columns, 1)

    @property
    def columns(self) -> int:
        """Vertex columns of one block."""
        return self._columns

    def update(self, a: LeavesOnDevice, contracted: Any, chosen: Any, pulls: PullsOnDevice, hyper: Any) -> None:
        """One optimizer step on all leaves (``leaf_update.cu``).

        Parameters
        ----------
        a : LeavesOnDevice
            The projector over these leaves, in the level's pixels.
        contracted : array of float32
            From :meth:`LeavesOnDevice.contract`, with the data term's factor.
        chosen : array of int32
            The views of the step.
        pulls : PullsOnDevice
        hyper : array of float32, shape (7,)
            A row of :func:`hyper_rows`.
        """
        kernel = self.device.load("leaf_update", N=self.forest.n, KNOTS=KNOTS, PAD=a.pad, COLUMNS=self._columns)
        o, arrays, pair = self.optimizer, a.arrays, pulls.pair
        kernel["leaf_update"](
            *self.grid,
            (
                self.values, self.density, self._spare,
                None if o.first is None else self.state[o.first], None if o.second is None else self.state[o.second],
                arrays["slab_of"], arrays["corner"], arrays["level"], arrays["spacing"], arrays["views"],
                arrays["reach"], arrays["taps"], arrays["tables"], chosen, contracted,
                pulls.tv_step, pulls.sides,
                None if pair is None else pair.pair_of, None if pair is None else pair.grid,
                None if pair is None else pair.table, pulls.extra_raw, hyper, pulls.variation,
                chosen.size, a.n_levels, a.geometry.n_u, pulls.tv_variant, pulls.tv_delta,
                2 if pair is None else pair.table.shape[1], 0.0 if pair is None else pair.scale,
                0 if pair is None else int(pair.raw), self._kind, self._parameter, o.kind,
            ),
        )  # fmt: skip
        self.density, self._spare = self._spare, self.density

    def fetch(self, leaves: LeafField) -> None:
        """Bring everything back into the host's field."""
        with self.device:
            leaves.values[...] = self.device.to_host(self.values)
            leaves.density[...] = self.device.to_host(self.density)
            for name, array in self.state.items():
                leaves.state[name][...] = self.device.to_host(array)


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
