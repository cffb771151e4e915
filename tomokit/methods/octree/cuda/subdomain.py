"""One subdomain of a fit on its device, and what is done with it in a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.methods.octree.cuda.field import FieldOnDevice
from tomokit.methods.octree.cuda.halo_exchange import HaloExchange
from tomokit.methods.octree.cuda.penalties import PenaltiesOnGpu, layers_at_cut
from tomokit.methods.octree.cuda.primal_dual import PrimalDualOnDevice
from tomokit.methods.octree.cuda.primal_dual_field import PrimalDualField
from tomokit.methods.octree.cuda.pyramid_level import ForwardResult, LevelOnDevice
from tomokit.methods.octree.epoch_plan import EpochPlan
from tomokit.octree.partition import Partition
from tomokit.projector.cuda.leaves import LeavesOnDevice
from tomokit.regularizers.cuda.interface import StepOnGpu

if TYPE_CHECKING:
    from tomokit.geometry import TiltGeometry
    from tomokit.methods.octree.leaf_field import LeafField
    from tomokit.methods.octree.penalties import WeightedRegularizer
    from tomokit.octree.error_indicators import ErrorIndicators

SQUARES, WEIGHT, DENSITY, FIRST_PENALTY = 0, 1, 2, 3
"""Slots of the totals: squares of the residual, sum of the mask, sum of densities, and one for each regularizer."""


class Subdomain:
    """The leaves of one partition on their device; of the pyramid only the level that is being fitted.

    Parameters
    ----------
    partition : Partition
    field : FieldOnDevice or PrimalDualField
        Values and densities of the partition's leaves.
    halo : HaloExchange
        Exchanges vertices with the neighbouring subdomains.

    Attributes
    ----------
    partition : Partition
    field : FieldOnDevice or PrimalDualField
    halo : HaloExchange
    level : LevelOnDevice or None
        The level that is being fitted; None before the first epoch.
    made_for : list of WeightedRegularizer or None
        The list that :attr:`penalties` were made for.
    totals : array of float64, shape (n_totals,)
        The epoch's sums so far, after :meth:`begin`.
    """

    totals: DeviceArray

    def __init__(self, partition: Partition, field: FieldOnDevice | PrimalDualField, halo: HaloExchange) -> None:
        self.partition, self.field, self.halo = partition, field, halo
        self.made_for: list[WeightedRegularizer] | None = None
        self.level: LevelOnDevice | None = None
        self._penalties: PenaltiesOnGpu | None = None
        self._forward_result: ForwardResult | None = None
        self._primal_dual: PrimalDualOnDevice | None = None

    @property
    def device(self) -> Device:
        """The device that the subdomain lies on."""
        return self.field.device

    @property
    def penalties(self) -> PenaltiesOnGpu:
        """The regularizers of the epoch on this subdomain."""
        assert self._penalties is not None
        return self._penalties

    @penalties.setter
    def penalties(self, penalties: PenaltiesOnGpu) -> None:
        """Replace the regularizers, when an epoch has others."""
        self._penalties = penalties

    def drop_penalties(self) -> None:
        """Free the arrays of the regularizers, so that they are not there beside new ones."""
        self._penalties = self.made_for = None

    @property
    def partial(self) -> DeviceArray:
        """Sums over blocks of the residual that :meth:`forward` has left, (n_chosen, n_blocks, 2)."""
        assert self._forward_result is not None
        return self._forward_result.partial

    def begin(
        self, plan: EpochPlan, hyper: NDArray[np.float32] | None, begun: NDArray[np.float64], draws_in_steps: bool
    ) -> None:
        """Send views, step sizes and totals of an epoch's steps.

        Parameters
        ----------
        plan : EpochPlan
        hyper : ndarray of float32, shape (n_steps, 7), or None
            The optimizer's numbers for each step (:func:`tomokit.methods.octree.cuda.field.hyper_rows`); None for the
            primal-dual solver.
        begun : ndarray of float64, shape (n_totals,)
            The totals so far: those of the steps before a pause.
        draws_in_steps : bool
            Whether terms draw random numbers themselves.
        """
        send, view_order = self.device.xp.asarray, np.concatenate(plan.views).astype(np.int32)
        self._plan, self._rng = plan, plan.rng if draws_in_steps else None
        # Where each step's views begin among those of the epoch, which are sent as one array.
        self._first_views = [0, *np.cumsum([views.size for views in plan.views]).tolist()]
        with self.device:
            self._view_order = send(view_order)
            self._hyper = None if hyper is None else send(hyper)
            self.totals = send(begun)

    def solve_primal_dual(self, n_groups: int, is_new: bool) -> None:
        """Prepare the steps of the primal-dual solver, unless they are those of the epoch before.

        Parameters
        ----------
        n_groups : int
            Groups of views, one for each step of an epoch.
        is_new : bool
            Whether no step was taken on these leaves yet.
        """
        if self._primal_dual is None:
            assert isinstance(self.field, PrimalDualField)
            assert self.level is not None
            self._primal_dual = PrimalDualOnDevice(self.field, self.level, n_groups, is_new)

    def renew_limits(self, leaves: LeafField) -> None:
        """Let smoothing follow the texture (see
        :meth:`tomokit.methods.octree.cuda.primal_dual_field.PrimalDualField.renew_limits`)."""
        assert isinstance(self.field, PrimalDualField)
        self.field.renew_limits(leaves)

    def fetch(self, leaves: LeafField) -> None:
        """Copy the subdomain's field into the host's, and the solver's duals to the host's level.

        Parameters
        ----------
        leaves : LeafField
            On the forest of all leaves, written.
        """
        self.field.fetch(leaves)
        if self._primal_dual is not None:
            self._primal_dual.fetch_duals()

    def forward(self, step: int) -> None:
        """Compute the residual of a step's views, and collect what other subdomains need, before any leaf changes.

        Parameters
        ----------
        step : int
            Counted from the first of the plan.
        """
        views, first = self._plan.views[step], self._first_views[step]
        self.field.ensure_on_device()
        with self.device:
            self.penalties.prepare(self._step_on_gpu(step))
            if self.penalties.compares is not None:
                self.halo.collect(layers_at_cut(self.field, self.penalties.compares))
            assert self.level is not None
            chosen = self._view_order[first : first + views.size]
            self._forward_result = self.level.forward(self.field, chosen, views)

    def step(self, step: int, partial: DeviceArray) -> None:
        """Update the leaves by the residual of :meth:`forward`, and compute that of the next step, if there is one.

        Both in one visit: where subdomains share their device's buffers, each is swapped in once a step.

        Parameters
        ----------
        step : int
            Counted from the first of the plan.
        partial : array of float32, shape (n_chosen, n_blocks, 2)
            Sums over the blocks of all subdomains' residuals.
        """
        self.field.ensure_on_device()
        with self.device:
            assert self.level is not None
            assert self._forward_result is not None
            step_on_gpu = self._step_on_gpu(step)
            gradients = self.penalties.evaluate(step_on_gpu, FIRST_PENALTY)
            if self._primal_dual is not None:
                self._primal_dual.step(self._forward_result, partial, gradients, self.totals)
            else:
                assert isinstance(self.field, FieldOnDevice)
                assert self._hyper is not None
                self.level.update(self.field, self._forward_result, partial, gradients, self._hyper[step], self.totals)
            # The residual's memory is free for that of the next step.
            self._forward_result = None
            self.penalties.finish(step_on_gpu, FIRST_PENALTY)
            if step + 1 < len(self._plan.views):
                self.forward(step + 1)
            else:
                self.field.add_density(self.totals, DENSITY)

    def _step_on_gpu(self, step: int) -> StepOnGpu:
        """A step of the plan as the regularizers' terms are given it."""
        return StepOnGpu(self._plan.first_step + step, self.totals, self.halo.beyond, self._rng)

    def predict(self, geometry: TiltGeometry, kappa: float, stack: NDArray[np.float32]) -> None:
        """Add the projections of the subdomain's density to a stack on the host.

        Parameters
        ----------
        geometry : TiltGeometry
            Views of the full detector, at full resolution.
        kappa : float
            Projection per line integral in pixels.
        stack : ndarray of float32, shape (n_views, n_u, n_y), changed
            ``[tilt, u, y]``, in units of projection.
        """
        self.field.ensure_on_device()
        with self.device:
            projector = LeavesOnDevice(self.device, self.partition.forest, geometry)
            # One view at a time: the projection in every slab would not fit for all.
            for view in range(geometry.n_views):
                # Each row belongs to one subdomain; the others project zeros to it.
                stack[view] += self.device.to_host(projector(self.field.density, view, kappa))[0]

    def measure_indicators(self) -> ErrorIndicators:
        """Measure the error indicators of the subdomain's densities.

        Returns
        -------
        ErrorIndicators
            For each of its leaves, in their order.
        """
        from tomokit.octree.cuda.error_indicators import measure_indicators

        self.field.ensure_on_device()
        return measure_indicators(self.device, self.field.density)
