"""The epoch plan: an epoch's steps, as they are known before the first of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.methods.octree.penalties import WeightedRegularizer
from tomokit.methods.octree.pyramid_level import PyramidLevel
from tomokit.methods.pausing import EpochProgress


@dataclass(frozen=True)
class EpochPlan:
    """The steps of an epoch, or those that are left of one that was paused.

    Attributes
    ----------
    level : PyramidLevel
        The level of the pyramid that is fitted.
    regularizers : list of WeightedRegularizer
        In the order in which they draw random numbers; the same list while neither forest nor phase changes, so that
        what an engine keeps for them stays good.
    inside : ndarray of bool, shape (n_leaves,)
        Leaves in the region of interest.
    views : list of ndarray of int64
        Indices of the views of each step that is left.
    n_steps : int
        Steps of the epoch, those before a pause included.
    first_step : int
        Steps taken so far in the whole fit.
    rate : float
        Factor of the learning rate.
    rng : numpy.random.Generator
        The epoch's random numbers, from where the view order or a pause has left them.
    begun : EpochProgress
        Sums over the steps before a pause; zeros at an epoch's beginning.
    renews_limits : bool
        Whether the field's limits are measured anew before the first of these steps.
    """

    level: PyramidLevel
    regularizers: list[WeightedRegularizer]
    inside: NDArray[np.bool_]
    views: list[NDArray[np.int64]]
    n_steps: int
    first_step: int
    rate: float
    rng: np.random.Generator
    begun: EpochProgress
    renews_limits: bool = False

    def is_due(self, regularizer: WeightedRegularizer, step: int) -> bool:
        """Whether a step evaluates a regularizer.

        Parameters
        ----------
        regularizer : WeightedRegularizer
        step : int
            Counted from the first of these steps.

        Returns
        -------
        bool
        """
        return regularizer.is_due(self.first_step + step)

    def evaluations(self, regularizer: WeightedRegularizer, steps: int) -> int:
        """How often a regularizer is evaluated in the first of these steps.

        Parameters
        ----------
        regularizer : WeightedRegularizer
        steps : int
            How many steps.

        Returns
        -------
        int
        """
        return sum(self.is_due(regularizer, step) for step in range(steps))
