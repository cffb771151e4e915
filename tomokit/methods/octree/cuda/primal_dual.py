"""Steps of the primal-dual solver on a device: duals of the views, lengths of the steps (``data_duals.cu``).

The same as :mod:`tomokit.methods.octree.primal_dual`, where the formulas are. In a step nothing passes through the
host, but once the weights of total variation where negative densities have a price.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import sent
from tomokit.gpu.reductions import add_total, load_reductions
from tomokit.methods.octree.cuda.primal_dual_field import PrimalDualField, StepLengths
from tomokit.methods.octree.cuda.pyramid_level import ForwardResult, LevelOnDevice
from tomokit.methods.octree.cuda.ties import TiesOnDevice
from tomokit.methods.octree.solver import (
    NORM_ITERATIONS,
    density_steps,
    kept_negative,
    norm_probe,
    steepest_group,
    variation_factors,
    view_groups,
)
from tomokit.methods.octree.view_duals import REACH, filter_taps, weights_by_tilt
from tomokit.projector.cuda.leaf_adjoint import back_project
from tomokit.regularizers.cuda.interface import GradientsOnGpu

_SOURCE = Path(__file__).with_name("data_duals.cu")
_THREADS = 256  # as in data_duals.cu
_STRIDE = 1 << 16  # values that one block sums up


class PrimalDualOnDevice:
    """The steps of the solver on one forest, whose leaves are all on one device.

    Parameters
    ----------
    field : PrimalDualField
        Changed by every step.
    level : LevelOnDevice
        The level that is fitted, with all its rows.
    n_groups : int
        Groups of views, one for each step of an epoch.
    is_new : bool
        Whether no step was taken on these leaves yet: then the data's duals are taken over from other ones.
    """

    def __init__(self, field: PrimalDualField, level: LevelOnDevice, n_groups: int, is_new: bool) -> None:
        device, host = field.device, level.level
        problem = host.problem
        self._field, self._level, self._projector = field, level, level.projector(field.forest)
        self._groups = view_groups(problem.geometry.n_views, n_groups)
        self._mass = field.forest.spacing_px.astype(np.float64) ** 3
        self._kappa, weights = float(np.float32(host.kappa)), weights_by_tilt(problem, field.solver.tilt_weights)
        self._steepest = steepest_group(self._groups, problem.geometry.tilt_rad, weights)
        self._dual = sent(device, host.dual)
        with device:
            put = device.xp.asarray
            self._kernels = device.load(_SOURCE, REACH=REACH)
            self._taps, self._weights = put(filter_taps(field.solver.balance)), put(weights)
            self._ties = TiesOnDevice(device, field.forest)
            self._step = density_steps(self._mass, self._norm(), len(self._groups))
            half_weight, step = 0.5 * max(float(host.mask_sums.sum()), 1.0), put(self._step.astype(np.float32))
            self._lengths = StepLengths(step, self._ties.tied, len(self._groups), half_weight)
            # The factor of what is negative, and the weights of total variation that it is for.
            self._kept: tuple[float, DeviceArray] | None = None
            self._factors = put(variation_factors(field.forest.spacing_px).astype(np.float32))
            self._scaled: tuple[DeviceArray, DeviceArray] | None = None
            if is_new:
                self._begin()

    def _begin(self) -> None:
        """Take over the duals of the data from other leaves: what they pull at is the same."""
        projector, pull = self._projector, self._field.state("data_pull")
        ones = self._field.device.xp.full(self._mass.size, 1.0, np.float32)
        for views in self._groups:
            # The host's are those that were fetched with the leaves before.
            if self._level.level.dual[views].any():
                chosen = projector.chosen(views)
                contracted = projector.contract(self._dual[chosen], chosen, self._kappa)
                back_project(projector, contracted, chosen, ones, pull, adds=True)

    def _norm(self) -> float:
        """Squared norm of ``F^1/2 k A`` in the metric of masses, of the group whose rays are longest."""
        device, growth = self._field.device, 0.0
        xp = device.xp
        inverse_mass = xp.asarray((1 / self._mass).astype(np.float32))
        values = sent(device, norm_probe(self._field.forest.values_shape))
        self._ties.apply(values)
        size = math.sqrt(self._squares(values))
        for _ in range(NORM_ITERATIONS):
            # Divided by what the field's norm was, so that the answer's norm is the growth.
            self._project_and_back(values, inverse_mass * (self._kappa**2 / size))
            size = math.sqrt(self._squares(values))
            if size == 0:
                break
            growth = size
        return growth or 1.0

    def _project_and_back(self, values: DeviceArray, factor: DeviceArray) -> None:
        """Replace a field by ``factor A^T F A`` of it, tied, in the metric of a step."""
        projector, chosen = self._projector, self._projector.chosen(self._steepest)
        images, _ = projector.residual(projector.project(values, chosen), chosen, 1.0)
        mask, kernels = self._level.mask, self._kernels
        grid, block = self._launch(images)
        moved, pixels = self._field.device.xp.empty_like(images), images.shape[1] * images.shape[2]
        # The square root of the weights acts before the filter and after it.
        kernels["data_dual_pull"](grid, block, (images, mask, None, None, self._weights, chosen, pixels))
        kernels["data_dual_filter"](
            grid, block,
            (images, mask, None, self._weights, chosen, self._taps, moved, None, images.shape[2], images.shape[1]),
        )  # fmt: skip
        contracted = projector.contract(moved, chosen)
        back_project(projector, contracted, chosen, factor, values, adds=False)
        # As many times longer as vertices are shared.
        self._ties.multiply(values)
        self._ties.apply(values)

    @staticmethod
    def _launch(images: DeviceArray) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Grid and block of a kernel with a thread for each pixel of some views."""
        return (-(-images.shape[1] * images.shape[2] // _THREADS), images.shape[0], 1), (_THREADS, 1, 1)

    def _squares(self, values: DeviceArray) -> float:
        """Sum of the squares of a field, read by the host."""
        device = self._field.device
        kernels, blocks = load_reductions(device), -(-values.size // _STRIDE)
        partial, total = device.xp.empty(blocks, np.float32), device.xp.zeros(1, np.float64)
        kernels["sum_squares"]((blocks, 1, 1), (_THREADS, 1, 1), (values, partial, values.size, _STRIDE))
        add_total(kernels["add_total"], partial, total, 0)
        return float(device.to_host(total)[0])

    def step(
        self, forward_result: ForwardResult, partial: DeviceArray, gradients: GradientsOnGpu, totals: DeviceArray
    ) -> None:
        """Take one step on the views of a forward result; its residual is overwritten.

        Parameters
        ----------
        forward_result : ForwardResult
            From :meth:`tomokit.methods.octree.cuda.pyramid_level.LevelOnDevice.forward`.
        partial : array of float32, shape (n_chosen, n_blocks, 2)
            Its sums over blocks.
        gradients : GradientsOnGpu
            What the penalties add.
        totals : array of float64
            The epoch's sums; the first two are added to: sum of ``m (P - p)^2``, and of m.
        """
        chosen, projector = forward_result.chosen, self._projector
        offset = self._level.solve_offsets(self._field, forward_result, partial, totals)
        self._step_duals(forward_result, offset)
        contracted = projector.contract(forward_result.residual, chosen, self._kappa)
        gradients.variation_step = self._by_volume(gradients.variation_step)
        kept = self._kept_negative(gradients.variation_step)
        self._field.step(projector, contracted, chosen, gradients, self._lengths, kept)
        self._ties.apply(self._field.density, kept)

    def _by_volume(self, variation_step: DeviceArray | None) -> DeviceArray | None:
        """The gradients of a difference by which leaves of all sizes have the same total variation by volume."""
        if variation_step is None:
            return None
        if self._scaled is None or self._scaled[0] is not variation_step:
            self._scaled = variation_step, variation_step * self._factors
        return self._scaled[1]

    def _kept_negative(self, variation_step: DeviceArray | None) -> float:
        """The factor of what is negative in a step; the weights are read by the host once, while they are the same."""
        field, solver = self._field, self._field.solver
        if variation_step is None or solver.negative_penalty is None:
            return kept_negative(solver, self._step, np.zeros_like(self._step), field.forest.spacing_px)
        if self._kept is None or self._kept[1] is not variation_step:
            weight = self._lengths.half_weight * field.device.to_host(variation_step).astype(np.float64)
            self._kept = kept_negative(solver, self._step, weight, field.forest.spacing_px), variation_step
        return self._kept[0]

    def _step_duals(self, forward_result: ForwardResult, offset: DeviceArray) -> None:
        """Change the duals of the views, and put what they change by in the place of the residual."""
        residual, chosen, mask = forward_result.residual, forward_result.chosen, forward_result.mask
        (n_chosen, columns, rows), xp, kernels = residual.shape, self._field.device.xp, self._kernels
        (grid, block), shift, sums = self._launch(residual), None, None
        if self._level.level.problem.fit_offsets:
            sums, shift = xp.empty((n_chosen, grid[0], 2), np.float32), xp.empty(n_chosen, np.float32)
        moved, taps, weights = xp.empty_like(residual), self._taps, self._weights
        kernels["data_dual_pull"](grid, block, (residual, mask, self._dual, offset, weights, chosen, rows * columns))
        kernels["data_dual_filter"](
            grid, block, (residual, mask, self._dual, weights, chosen, taps, moved, sums, rows, columns)
        )
        if sums is not None:
            # The offset is what makes the dual's sum vanish.
            kernels["data_dual_shift"]((n_chosen, 1, 1), block, (sums, shift, grid[0]))
        kernels["data_dual_step"](
            grid, block, (residual, moved, mask, self._dual, shift, weights, chosen, taps, rows, columns)
        )

    def fetch_duals(self) -> None:
        """Bring the duals of all views to the host's level."""
        device = self._field.device
        with device:
            self._level.level.dual[...] = device.to_host(self._dual)
