"""One part of a fit on its device, and what is done with it in a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.device import Device
from tomokit.methods.octree.cuda.field import FieldOnDevice
from tomokit.methods.octree.cuda.halo_exchange import HaloExchange
from tomokit.methods.octree.cuda.level import ForwardResult, LevelOnDevice
from tomokit.methods.octree.cuda.penalties import PenaltiesOnGpu, layers_at_cut
from tomokit.methods.octree.epoch_plan import EpochPlan
from tomokit.octree.partition import Partition
from tomokit.projector.cuda.leaves import LeavesOnDevice
from tomokit.regularizers.cuda.interface import StepOnGpu

if TYPE_CHECKING:
    from tomokit.geometry import TiltGeometry
    from tomokit.octree.error_indicators import ErrorIndicators

SQUARES, WEIGHT, DENSITY, FIRST_PENALTY = 0, 1, 2, 3
"""Slots of the totals."""


class Subdomain:
    """One part on its device; of the levels only the one that is being fitted.

    Parameters
    ----------
    partition : Partition
    field : FieldOnDevice
    halo : HaloExchange
    """

    def __init__(self, partition: Partition, field: FieldOnDevice, halo: HaloExchange) -> None:
        self.partition, self.field, self.halo = partition, field, halo
        self.made_for: Any = None
        self.level: LevelOnDevice | None = None
        self._penalties: PenaltiesOnGpu | None = None
        self._forward_result: ForwardResult | None = None

    @property
    def device(self) -> Device:
        """Where it is."""
        return self.field.device

    @property
    def penalties(self) -> PenaltiesOnGpu:
        """The regularizers of the epoch on this subdomain."""
        assert self._penalties is not None
        return self._penalties

    @penalties.setter
    def penalties(self, made: PenaltiesOnGpu) -> None:
        self._penalties = made

    def drop_penalties(self) -> None:
        """Give up the arrays of the epoch before, so that they are not there beside new ones."""
        self._penalties = self.made_for = None

    @property
    def partial(self) -> Any:
        """Sums of the residual that :meth:`forward` has left."""
        assert self._forward_result is not None
        return self._forward_result.partial

    def begin(
        self, plan: EpochPlan, hyper: NDArray[np.float32], begun: NDArray[np.float64], draws_in_steps: bool
    ) -> None:
        """Send what is known of an epoch's steps.

        Parameters
        ----------
        plan : EpochPlan
        hyper : ndarray of float32, shape (n_steps, 7)
            The optimizer's numbers for each step (:func:`tomokit.methods.octree.cuda.field.hyper_rows`).
        begun : ndarray of float64, shape (n_totals,)
            The totals so far.
        draws_in_steps : bool
            Whether terms draw random numbers themselves.
        """
        put, order = self.device.xp.asarray, np.concatenate(plan.views).astype(np.int32)
        self._plan, self._rng = plan, plan.rng if draws_in_steps else None
        self._begins = [0, *np.cumsum([views.size for views in plan.views]).tolist()]
        with self.device:
            self._order, self._hyper, self.totals = put(order), put(hyper), put(begun)

    def forward(self, step: int) -> None:
        """Before a step: the residual of its views, and what other subdomains need.

        Parameters
        ----------
        step : int
            Counted from the first of the plan.
        """
        views, begin = self._plan.views[step], self._begins[step]
        self.field.enter()
        with self.device:
            self.penalties.prepare(self._told(step))
            if self.penalties.compares is not None:
                self.halo.take(layers_at_cut(self.field, self.penalties.compares))
            assert self.level is not None
            self._forward_result = self.level.forward(self.field, self._order[begin : begin + views.size], views)

    def step(self, step: int, partial: Any) -> None:
        """A step whose residual is there, and the residual of the next one, if there is one.

        Parameters
        ----------
        step : int
            Counted from the first of the plan.
        partial : array of float32, shape (n_views, n_blocks, 2)
            The sums of all subdomains' residuals.
        """
        self.field.enter()
        with self.device:
            assert self.level is not None
            assert self._forward_result is not None
            told = self._told(step)
            gradients = self.penalties.evaluate(told, FIRST_PENALTY)
            self.level.update(self.field, self._forward_result, partial, gradients, self._hyper[step], self.totals)
            self._forward_result = None
            self.penalties.finish(told, FIRST_PENALTY)
            if step + 1 < len(self._plan.views):
                self.forward(step + 1)
            else:
                self.field.add_density(self.totals, DENSITY)

    def _told(self, step: int) -> StepOnGpu:
        """What the terms are told of a step."""
        return StepOnGpu(self._plan.first_step + step, self.totals, self.halo.beyond, self._rng)

    def predict(self, geometry: TiltGeometry, kappa: float, stack: NDArray[np.float32]) -> None:
        """Add the part's projections to a stack."""
        self.field.enter()
        with self.device:
            projector = LeavesOnDevice(self.device, self.partition.forest, geometry)
            for view in range(geometry.n_views):
                # A row is seen in one part; in the others it is zero.
                stack[view] += self.device.to_host(projector(self.field.density, view, kappa))[0]

    def measure_indicators(self) -> ErrorIndicators:
        """Of the part's densities."""
        from tomokit.octree.cuda.error_indicators import measure_indicators

        self.field.enter()
        return measure_indicators(self.device, self.field.density)
