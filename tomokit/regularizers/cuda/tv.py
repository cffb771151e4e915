"""Total variation inside the leaves of one subdomain on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.reductions import add_total, load_reductions
from tomokit.regularizers.cuda.interface import GradientsOnGpu, LeavesOnGpu, StepOnGpu

LOCAL_PENALTY_SOURCE = Path(__file__).with_name("local_penalty.cu")


class TotalVariationOnGpu:
    """The term of total variation on one subdomain (see :class:`tomokit.regularizers.cuda.interface.TermOnGpu`).

    The variation of densities is left to the update of the leaves; that of raw values is differentiated before it.

    Parameters
    ----------
    leaves : LeavesOnGpu
        The subdomain's leaves.
    weight : ndarray of float64, shape (n_leaves,)
        Factor of the mean total variation of each leaf of the whole forest in the loss.
    variant : int
        0 anisotropic, 1 isotropic, 2 Huber, 3 concave (:data:`tomokit.regularizers.codes.VARIANTS`).
    delta : float
        Difference at which Huber's penalty turns linear, or what an edge costs the concave one.
    stencil : callable
        From a step's number in the fit to its stencil.
    is_raw : bool
        Whether raw values are penalized, not densities.
    """

    compares = None

    def __init__(
        self,
        leaves: LeavesOnGpu,
        weight: NDArray[np.float64],
        variant: int,
        delta: float,
        stencil: Callable[[int], int],
        is_raw: bool,
    ) -> None:
        self._leaves, self._is_raw = leaves, is_raw
        self._variant, self._delta, self._stencil = variant, delta, stencil
        n = leaves.partition.forest.n
        # A leaf's mean is over n^2 (n - 1) differences along each axis.
        step = weight[leaves.partition.own] / (n * n * (n - 1.0))
        device = leaves.device
        self._step = device.xp.asarray(step.astype(np.float32))
        self._add_total = load_reductions(device)["add_total"]
        if self._is_raw:
            self._local_penalty = device.load(LOCAL_PENALTY_SOURCE, **leaves.constants)["local_penalty"]

    def prepare(self, step: StepOnGpu) -> None:
        """Nothing: a leaf needs itself alone (see :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""

    def add(self, gradients: GradientsOnGpu, step: StepOnGpu, slot: int) -> None:
        """Add the variation (see :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""
        leaves, variant, delta, stencil = self._leaves, self._variant, self._delta, self._stencil(step.number)
        variation = leaves.working("variation", leaves.blocks)
        if not self._is_raw:
            gradients.variation_step, gradients.variation = self._step, variation
            gradients.variant, gradients.delta, gradients.stencil = variant, delta, stencil
            return
        # The kernel of the raw variation adds to a gradient that another term has begun, or begins it.
        n = leaves.partition.forest.n
        gradient = leaves.working("by_value", n, n, n)
        is_begun = int(gradients.by_value is not None)
        self._local_penalty(
            *leaves.grid,
            (leaves.values, self._step, None, gradient, variation, variant, delta, stencil, is_begun),
        )
        gradients.by_value = gradient
        add_total(self._add_total, variation, step.totals, slot)

    def finish(self, step: StepOnGpu, slot: int) -> None:
        """Add the variation of densities, which the update has measured (see
        :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""
        if not self._is_raw:
            add_total(self._add_total, self._leaves.working("variation", self._leaves.blocks), step.totals, slot)
