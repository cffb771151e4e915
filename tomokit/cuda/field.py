"""The field being fitted, on a device: raw values, densities old and new, and what the optimizer remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.leaves import BLOCK_THREADS, LeavesOnDevice
from tomokit.cuda.parts import Part
from tomokit.cuda.penalties import PullsOnDevice
from tomokit.optimizers.block import BlockOptimizer
from tomokit.projector.vertex_footprint import KNOTS

if TYPE_CHECKING:
    from tomokit.fit.leaf_field import LeafField

_STRIDE = 1 << 16
_SUM_THREADS = 256  # as in totals.cu
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
    part : Part
        The leaves that are fitted here.

    Attributes
    ----------
    forest : Forest
        The part's own leaves.
    values, density : array of float32, shape (n_leaves + n_ghosts, n, n, n)
        Of the own leaves, then of the ghosts, of which only the layer beyond the cut is kept up to date.
    columns : int
        Vertex columns of one block of the update.
    blocks : int
        Blocks of the update that share a leaf, each of which leaves a sum of total variation.
    """

    def __init__(self, device: Device, leaves: LeafField, optimizer: BlockOptimizer, part: Part) -> None:
        self.device, self.part, self.forest = device, part, part.forest
        self._kind, self._parameter = leaves.kind, leaves.parameter
        self.optimizer = optimizer
        n = leaves.forest.n
        self.columns = max(1, BLOCK_THREADS // n)
        self.blocks = -(-n * n // self.columns)
        with device:
            xp = device.xp
            held = np.concatenate([part.own, part.ghosts])
            self.values = xp.asarray(_rows(leaves.values, held))
            self.density, self._spare = xp.empty_like(self.values), xp.empty_like(self.values)
            self.state = {name: xp.asarray(_rows(array, part.own)) for name, array in leaves.state.items()}
            kernel = device.load("leaf_activate", N=n, COLUMNS=self.columns)["leaf_activate"]
            grid = (self.blocks, held.size, 1)
            kernel(grid, self.grid[1], (self.values, self.density, self._kind, self._parameter))

    @property
    def grid(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Grid and block of kernels that take a thread for each vertex."""
        return (self.blocks, self.forest.n_leaves, 1), (self.forest.n, self.columns, 1)

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
        kernel = self.device.load("leaf_update", N=self.forest.n, KNOTS=KNOTS, PAD=a.pad, COLUMNS=self.columns)
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
                None if pair is None else pair.table, pulls.extra, pulls.extra_raw, hyper, pulls.variation,
                chosen.size, a.n_levels, a.geometry.n_u, pulls.tv_variant, pulls.tv_delta,
                2 if pair is None else pair.table.shape[1], 0.0 if pair is None else pair.scale,
                0 if pair is None else int(pair.raw), self._kind, self._parameter, o.kind,
            ),
        )  # fmt: skip
        self.density, self._spare = self._spare, self.density

    def add_density(self, totals: Any, slot: int) -> None:
        """Add the sum of all own densities, by which one that is not finite is seen.

        Parameters
        ----------
        totals : array of float64, changed
        slot : int
            Where it is added.
        """
        density = self.density[: self.part.own.size]
        blocks = -(-density.size // _STRIDE)
        partial = self.device.xp.empty(blocks, np.float32)
        kernels, block = self.device.load("totals"), (_SUM_THREADS, 1, 1)
        kernels["sum_blocks"]((blocks, 1, 1), block, (density, partial, density.size, _STRIDE))
        kernels["add_total"]((1, 1, 1), block, (partial, None, totals, 1.0, slot, blocks, 1))

    def fetch(self, leaves: LeafField) -> None:
        """Bring everything back into the host's field."""
        own = self.part.own
        with self.device:
            leaves.values[own] = self.device.to_host(self.values[: own.size])
            leaves.density[own] = self.device.to_host(self.density[: own.size])
            for name, array in self.state.items():
                leaves.state[name][own] = self.device.to_host(array)

    def layer(self, leaves: NDArray[np.int64], upper: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Values and densities of some own leaves on their lower or upper side along y, brought to the host."""
        index, at = self.device.xp.asarray(leaves), self.forest.n - 1 if upper else 0
        values, density = (self.device.to_host(array[index, :, :, at]) for array in (self.values, self.density))
        return values, density

    def put_layer(
        self, ghosts: NDArray[np.int64], upper: bool, layer: tuple[NDArray[np.float32], NDArray[np.float32]]
    ) -> None:
        """The same of ghosts, by their place among the ghosts, from the host."""
        xp = self.device.xp
        index, at = xp.asarray(ghosts + self.part.own.size), self.forest.n - 1 if upper else 0
        for array, new in zip((self.values, self.density), layer, strict=True):
            array[index, :, :, at] = xp.asarray(new)


def _rows(array: NDArray[np.float32], leaves: NDArray[np.int64]) -> NDArray[np.float32]:
    """Some leaves of an array, which is not copied if they are all."""
    return array if np.array_equal(leaves, np.arange(len(array))) else array[leaves]


def exchange_layers(fields: list[FieldOnDevice]) -> None:
    """Bring every ghost's layer beyond the cut up to date: parts follow each other along y."""
    for part, field in enumerate(fields):
        for other, upper in ((part - 1, True), (part + 1, False)):
            if not 0 <= other < len(fields):
                continue
            source = fields[other]
            found, ghosts, there = np.intersect1d(
                field.part.ghosts, source.part.own, assume_unique=True, return_indices=True
            )
            if found.size:
                with source.device:
                    layer = source.layer(there, upper)
                with field.device:
                    field.put_layer(ghosts, upper, layer)


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
