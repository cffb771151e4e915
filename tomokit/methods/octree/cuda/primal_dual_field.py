"""The field of a fit by the primal-dual solver on a device, and the launch of its pass over the leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Kernel, sent
from tomokit.methods.octree.cuda.device_buffers import DeviceBuffers
from tomokit.methods.octree.cuda.field_arrays import FieldArrays
from tomokit.methods.octree.cuda.texture import mean_gradients
from tomokit.methods.octree.solver import SAFETY, VARIATION_DUALS, VARIATION_NORM, PrimalDual
from tomokit.methods.octree.texture import smoothing_limits
from tomokit.octree.partition import Partition
from tomokit.projector.cuda.leaves import LeavesOnDevice
from tomokit.projector.vertex_footprint import KNOTS
from tomokit.regularizers.cuda.interface import GradientsOnGpu

if TYPE_CHECKING:
    from tomokit.methods.octree.leaf_field import LeafField

_SOURCE = Path(__file__).with_name("leaf_primal_dual.cu")
_PULL_SOURCE = Path(__file__).with_name("leaf_dual_pull.cu")
_PULL_THREADS = 256  # as in leaf_dual_pull.cu


@dataclass(frozen=True)
class StepLengths:
    """What a step of the solver needs to know beside its data.

    Attributes
    ----------
    step : array of float32, shape (n_leaves,)
        Step of the densities.
    tied : array of int32, shape (n_leaves,)
        Sides that are shared with equal leaves, as :class:`tomokit.methods.octree.cuda.ties.TiesOnDevice` has them.
    groups : int
        Steps of an epoch.
    half_weight : float
        Half the masks' sum: what turns a penalty of the loss, a mean over pixels, into one of the objective.
    """

    step: DeviceArray
    tied: DeviceArray
    groups: int
    half_weight: float


class PrimalDualField(FieldArrays):
    """A field whose densities the primal-dual solver changes; it is not cut into subdomains.

    Parameters
    ----------
    buffers : DeviceBuffers
        With :data:`BUFFERS` beside what the solver remembers.
    leaves : LeafField
        The host's field to start from; it stays as it is until :meth:`fetch`.
    solver : PrimalDual
    partition : Partition
        All leaves.

    Attributes
    ----------
    solver : PrimalDual
    """

    BUFFERS = ("density", "variation_pull")
    """Arrays of the field's size: every array of a step changes in place. The transposed gradient of total variation's
    duals is kept here, as a block has no room for the duals before and after a step."""

    def __init__(self, buffers: DeviceBuffers, leaves: LeafField, solver: PrimalDual, partition: Partition) -> None:
        super().__init__(buffers, leaves, partition, "density")
        self.solver = solver
        self._kernels: dict[int, Kernel] = {}  # by the padding that they are compiled for
        self._nodes = leaves.limits.shape[1]
        # Without leaves where one weight of total variation holds everywhere.
        self._limits = sent(self.device, leaves.limits) if len(leaves.limits) else None
        self.send()
        with self.device:
            self._pull_of_duals()

    def _pull_of_duals(self) -> None:
        """Make the transposed gradient of the duals that the field starts from (``leaf_dual_pull.cu``)."""
        vertices = self.density.size
        kernel = self.device.load(_PULL_SOURCE, N=self.forest.n)["leaf_dual_pull"]
        duals = (self.state(name) for name in VARIATION_DUALS)
        grid = (-(-vertices // _PULL_THREADS), 1, 1)
        kernel(grid, (_PULL_THREADS, 1, 1), (*duals, self.variation_pull, vertices))

    @property
    def variation_pull(self) -> DeviceArray:
        """The transposed gradient of total variation's duals, float32 of shape (n_leaves, n, n, n)."""
        return self._rows("variation_pull")

    def renew_limits(self, leaves: LeafField) -> None:
        """Let the weight of total variation follow the texture of the present densities, here and on the host.

        Parameters
        ----------
        leaves : LeafField
            The host's field, whose limits are written; its densities are not read.
        """
        assert self.solver.texture is not None
        assert self._limits is not None
        means = mean_gradients(self.device, self.density, self.forest)
        leaves.limits[...] = smoothing_limits(self.forest, means, self.solver.texture)
        with self.device:
            self.device.send(leaves.limits, self._limits)
            self.device.wait()

    def step(
        self,
        projector: LeavesOnDevice,
        contracted: DeviceArray,
        chosen: DeviceArray,
        gradients: GradientsOnGpu,
        lengths: StepLengths,
        kept_negative: float,
    ) -> None:
        """Take one primal-dual step on all leaves (``leaf_primal_dual.cu``); shared vertices are still to be tied.

        Parameters
        ----------
        projector : LeavesOnDevice
            The projector over these leaves, in the level's pixels.
        contracted : array of float32, shape (n_slabs, n_chosen, n_u + 2 * pad, n)
            The change of the data's duals times kappa, from
            :meth:`tomokit.projector.cuda.leaves.LeavesOnDevice.contract`.
        chosen : array of int32, shape (n_chosen,)
            The views of the step.
        gradients : GradientsOnGpu
            Of the penalties; ``sides`` is not used, and total variation is isotropic.
        lengths : StepLengths
        kept_negative : float
            Factor on densities below zero: 0 where zero is their bound, 1 where there is none.
        """
        pad = projector.pad
        if pad not in self._kernels:
            loaded = self.device.load(_SOURCE, KNOTS=KNOTS, PAD=pad, NODES=self._nodes, **self.constants)
            self._kernels[pad] = loaded["leaf_primal_dual"]
        arrays, table = projector.arrays, gradients.table
        self._kernels[pad](
            (self.forest.n_leaves, 1, 1), self.grid[1],
            (
                self.density, self.state("data_pull"), self.variation_pull,
                *(self.state(name) for name in VARIATION_DUALS),
                arrays["slab_of"], arrays["corner"], arrays["level"], arrays["spacing"], arrays["views"],
                arrays["half_width"], arrays["taps"], arrays["tables"], chosen, contracted,
                lengths.step, lengths.tied, self._limits, gradients.variation_step,
                None if table is None else table.row, None if table is None else table.grid,
                None if table is None else table.table, gradients.by_density, gradients.by_value, gradients.variation,
                chosen.size, projector.n_levels, projector.geometry.n_u, 2 if table is None else table.table.shape[1],
                0.0 if table is None else table.scale, float(lengths.groups), lengths.half_weight,
                SAFETY / VARIATION_NORM, kept_negative, self.blocks,
            ),
        )  # fmt: skip
        self._changed = True
