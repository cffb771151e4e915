"""One part of a fit on its device, and what is done with it in a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.field import FieldOnDevice
from tomokit.cuda.layers import Layers
from tomokit.cuda.leaves import LeavesOnDevice
from tomokit.cuda.level import LevelOnDevice, Seen
from tomokit.cuda.parts import Part
from tomokit.cuda.penalties import PenaltiesOnDevice

if TYPE_CHECKING:
    from tomokit.geometry import TiltGeometry
    from tomokit.octree.measures import Measures

SQUARES, WEIGHT, DENSITY, FIRST_PENALTY = 0, 1, 2, 3
"""Slots of the totals."""


@dataclass(frozen=True)
class Course:
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


class Share:
    """One part on its device; of the levels only the one that is being fitted.

    Parameters
    ----------
    part : Part
    field : FieldOnDevice
    layers : Layers
    """

    def __init__(self, part: Part, field: FieldOnDevice, layers: Layers) -> None:
        self.part, self.field, self.layers = part, field, layers
        self.made_for: Any = None
        self.level: LevelOnDevice | None = None
        self._penalties: PenaltiesOnDevice | None = None
        self._seen: Seen | None = None

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
        """Sums of the residual that :meth:`look` has left."""
        assert self._seen is not None
        return self._seen.partial

    def begin(self, course: Course, hyper: NDArray[np.float32], begun: NDArray[np.float64]) -> None:
        """Send what is known of an epoch's steps.

        Parameters
        ----------
        course : Course
        hyper : ndarray of float32, shape (n_steps, 7)
        begun : ndarray of float64
            The totals so far.
        """
        put, order = self.device.xp.asarray, np.concatenate(course.views).astype(np.int32)
        self._course = course
        self._begins = [0, *np.cumsum([views.size for views in course.views]).tolist()]
        with self.device:
            self._order, self._hyper, self.totals = put(order), put(hyper), put(begun)

    def look(self, step: int) -> None:
        """Before a step: the residual of its views, and what other parts need."""
        course, views = self._course, self._course.views[step]
        begin = self._begins[step]
        self.field.enter()
        with self.device:
            if course.counts(step):
                assert self.penalties.cross is not None
                self.penalties.cross.count(self.field.values if course.counts_raw else self.field.density)
            if self.penalties.compares is not None:
                self.layers.take(getattr(self.field, self.penalties.compares))
            assert self.level is not None
            self._seen = self.level.look(self.field, self._order[begin : begin + views.size], views)

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
            assert self._seen is not None
            pulls = self.penalties.evaluate(
                self._course.first_step + step, self.totals, FIRST_PENALTY, self.layers.beyond, self._course.rng
            )
            self.level.update(self.field, self._seen, partial, pulls, self._hyper[step], self.totals)
            self._seen = None
            if pulls.tv_step is not None:
                self.penalties.add_variation(self.totals, self.penalties.variation_slot(FIRST_PENALTY))
            if step + 1 < len(self._course.views):
                self.look(step + 1)
            else:
                self.field.add_density(self.totals, DENSITY)

    def predict(self, geometry: TiltGeometry, kappa: float, stack: NDArray[np.float32]) -> None:
        """Add the part's projections to a stack."""
        self.field.enter()
        with self.device:
            projector = LeavesOnDevice(self.device, self.part.forest, geometry)
            for view in range(geometry.n_views):
                # A row is seen in one part; in the others it is zero.
                stack[view] += self.device.to_host(projector(self.field.density, view, kappa))[0]

    def measure(self) -> Measures:
        """Of the part's densities."""
        from tomokit.cuda.measures import measure

        self.field.enter()
        return measure(self.device, self.field.density)
