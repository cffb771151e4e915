"""One part of a fit on its device, and what is done with it in a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.device import Device
from tomokit.methods.octree.cuda.field import FieldOnDevice
from tomokit.methods.octree.cuda.halo_exchange import HaloExchange
from tomokit.methods.octree.cuda.level import ForwardResult, LevelOnDevice
from tomokit.methods.octree.cuda.partition import Partition
from tomokit.methods.octree.cuda.penalties import PenaltiesOnDevice
from tomokit.projector.cuda.leaves import LeavesOnDevice

if TYPE_CHECKING:
    from tomokit.geometry import TiltGeometry
    from tomokit.octree.error_indicators import ErrorIndicators

SQUARES, WEIGHT, DENSITY, FIRST_PENALTY = 0, 1, 2, 3
"""Slots of the totals."""


@dataclass(frozen=True)
class EpochPlan:
    """An epoch's steps, or those that are left of it, as they are known before the first.

    Attributes
    ----------
    views : list of ndarray of int64
        Of each step.
    first_step : int
        Steps taken so far in the whole fit.
    counts_every : int
        Steps between evaluations of the cross-node constraint; 0 where there is none.
    counts_raw : bool
        Whether it counts raw values.
    rng : numpy.random.Generator or None
        What steps draw from themselves; None where all was drawn before.
    """

    views: list[NDArray[np.int64]]
    first_step: int
    counts_every: int = 0
    counts_raw: bool = False
    rng: np.random.Generator | None = None

    def counts(self, step: int) -> bool:
        """Whether the cross-node constraint is evaluated in a step, counted from the first of these."""
        return self.counts_every > 0 and (self.first_step + step) % self.counts_every == 0

    def evaluations(self, steps: int) -> int:
        """How often it is in the first of these steps."""
        return sum(map(self.counts, range(steps)))


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
        self._penalties: PenaltiesOnDevice | None = None
        self._forward_result: ForwardResult | None = None

    @property
    def device(self) -> Device:
        """Where it is."""
        return self.field.device

    @property
    def penalties(self) -> PenaltiesOnDevice:
        """Those of the epoch."""
        assert self._penalties is not None
        return self._penalties

    @penalties.setter
    def penalties(self, made: PenaltiesOnDevice) -> None:
        self._penalties = made

    def let_penalties_go(self) -> None:
        """Keep none of their arrays."""
        self._penalties = self.made_for = None

    @property
    def partial(self) -> Any:
        """Sums of the residual that :meth:`forward` has left."""
        assert self._forward_result is not None
        return self._forward_result.partial

    def begin(self, epoch_plan: EpochPlan, hyper: NDArray[np.float32], begun: NDArray[np.float64]) -> None:
        """Send what is known of an epoch's steps.

        Parameters
        ----------
        epoch_plan : EpochPlan
        hyper : ndarray of float32, shape (n_steps, 7)
        begun : ndarray of float64
            The totals so far.
        """
        put, order = self.device.xp.asarray, np.concatenate(epoch_plan.views).astype(np.int32)
        self._epoch_plan = epoch_plan
        self._begins = [0, *np.cumsum([views.size for views in epoch_plan.views]).tolist()]
        with self.device:
            self._order, self._hyper, self.totals = put(order), put(hyper), put(begun)

    def forward(self, step: int) -> None:
        """Before a step: the residual of its views, and what other parts need."""
        epoch_plan, views = self._epoch_plan, self._epoch_plan.views[step]
        begin = self._begins[step]
        self.field.enter()
        with self.device:
            if epoch_plan.counts(step):
                assert self.penalties.cross is not None
                self.penalties.cross.count(self.field.values if epoch_plan.counts_raw else self.field.density)
            if self.penalties.compares is not None:
                self.halo.take(getattr(self.field, self.penalties.compares))
            assert self.level is not None
            self._forward_result = self.level.forward(self.field, self._order[begin : begin + views.size], views)

    def step(self, step: int, partial: Any) -> None:
        """A step that was looked at, and a look at the next one, if there is one.

        Parameters
        ----------
        step : int
        partial : array of float32
            The sums of all parts' residuals.
        """
        self.field.enter()
        with self.device:
            assert self.level is not None
            assert self._forward_result is not None
            penalty_gradients = self.penalties.evaluate(
                self._epoch_plan.first_step + step, self.totals, FIRST_PENALTY, self.halo.beyond, self._epoch_plan.rng
            )
            self.level.update(
                self.field, self._forward_result, partial, penalty_gradients, self._hyper[step], self.totals
            )
            self._forward_result = None
            if penalty_gradients.tv_step is not None:
                self.penalties.add_variation(self.totals, self.penalties.variation_slot(FIRST_PENALTY))
            if step + 1 < len(self._epoch_plan.views):
                self.forward(step + 1)
            else:
                self.field.add_density(self.totals, DENSITY)

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
