"""Converged total-variation reconstruction by a preconditioned primal-dual method.

Minimizes ``1/2 sum m (A d + b - p)^2 + weight TV(d)`` over ``d >= 0`` and the offsets b, as the saddle point of
Chambolle and Pock (J. Math. Imaging Vis. 40, 120, 2011) with one dual for each of the data, the gradient and
non-negativity:

    y <- m (y + A e - p - b) / (m + 1),     b such that sum y = 0 in each view (or b = 0)
    q <- project(q + (g / weight) grad e) onto |q| <= 1
    r <- min(0, r + g e)
    d' = d - M^-1 (A^T y - weight div q + r),     e = 2 d' - d

with unit step in the data's dual. The primal step is the matrix ``M ~ A^T A + g grad^T grad + g``
(:mod:`tomokit.methods.voxels.preconditioner`), which any positive matrix with ``M >= K^T K`` may be (Pock and
Chambolle, ICCV 2011). Without it, plain FISTA needs several hundred iterations for what takes some fifty here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.data.contrast import contrast, tv_weight
from tomokit.data.margin import margin_option
from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.capabilities import around
from tomokit.methods.voxels.engine import TvEngine
from tomokit.methods.voxels.engine_choice import choose_tv_engine
from tomokit.methods.voxels.run import VoxelRun, voxel_bytes
from tomokit.plugin.options import option


@dataclass(frozen=True)
class TvOptions:
    """Options of the method :class:`Tv`."""

    epochs: int = option(
        80,
        "Iterations, each of which uses all views once. The result is that of the smoothing and not of when "
        "it stops: give more only if it still changes, fewer for a preview.",
        minimum=1,
        maximum=1_000_000,
    )
    weight: float | None = option(
        None,
        "Weight of total variation against the data, in units of projection times pixels. Without it "
        "strength times what the noise asks for; give it only to repeat a setting.",
        minimum=0.0,
    )
    strength: float = option(
        0.65,
        "Smoothing relative to what the measured noise asks for. The first option to try: raise it if the "
        "tomogram is noisy or speckled, lower it if detail is lost or flat patches appear. It has no say "
        "where weight is given.",
        minimum=0.0,
    )
    balance: float = option(
        10.0,
        "How long the steps of the gradient's dual variable are, which decides how fast edges settle; it "
        "changes the speed and not the converged result. Leave it; try 3 or 30 if the loss falls slowly.",
        minimum=1e-3,
    )
    nonnegative: bool = option(
        True,
        "Keep densities from becoming negative, which sharpens and fills the missing wedge a little. Turn it "
        "off for data of which zero is not the least.",
    )
    margin: float | None = margin_option()


class TvRun(VoxelRun):
    """A total-variation reconstruction under way.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    options : TvOptions

    Attributes
    ----------
    weight : float
        Weight of total variation, in units of projection times px.
    """

    _engine: TvEngine

    def __init__(self, problem: Problem, options: TvOptions) -> None:
        super().__init__(problem, options.epochs, options.margin)
        from numba import get_num_threads

        from tomokit.methods.voxels.preconditioner import CosinePreconditioner

        self.options = options
        given = options.weight
        self.weight = options.strength * tv_weight(problem) if given is None else given * problem.share
        shape, dtype = self.operator.volume_shape, self.operator.dtype
        # Of a density whose line integral through the whole thickness is the contrast of the projections.
        density_scale = max(contrast(problem), 1e-12) / problem.thickness_px
        self._dual_rate = max(options.balance * self.weight / density_scale, 1e-6)
        self._precondition = CosinePreconditioner(
            problem.geometry, shape, self._dual_rate, self._dual_rate, get_num_threads()
        )
        self._ahead = self.projection_density.copy()
        self._data_dual = np.zeros(self.operator.stack_shape, dtype)
        self._gradient_dual = np.zeros((3, *shape), dtype)
        self._nonnegativity_dual = np.zeros(shape, dtype)
        self._engine = choose_tv_engine(self.data_term, self._host_arrays(), self._precondition)

    def advance(self) -> dict[str, float]:
        """Do one primal-dual iteration over all views.

        Returns
        -------
        dict of str to float
            ``data``, the data term at the point ahead; ``tv``, total variation of the new density times its weight, in
            the same units; and their sum, ``loss``.
        """
        squares, variation = self._engine.iterate(self._dual_rate, self.weight, self.options.nonnegative)
        data = squares / self.data_term.total_weight
        # What is minimized has half the squares, so its other term counts twice here.
        tv = 2 * self.weight * variation / self.data_term.total_weight
        self.epoch += 1
        return {"loss": data + tv, "data": data, "tv": tv}

    def _estimate(self) -> NDArray[np.floating]:
        """The density with the constraint enforced, which the iterates meet only in the limit."""
        density = super()._estimate()
        return np.maximum(density, 0) if self.options.nonnegative else density

    def stored_density(self) -> dict[str, Any]:
        """How the density, with the constraint enforced, follows from the arrays (see :mod:`tomokit.state.density`)."""
        return super().stored_density() | {"least": 0.0 if self.options.nonnegative else None}

    def resolved_parameters(self) -> dict[str, Any]:
        """Values that follow from the data and the options, for the provenance.

        Returns
        -------
        dict
            Those of :meth:`VoxelRun.resolved_parameters`, and the ``weight`` of total variation.
        """
        return super().resolved_parameters() | {"weight": float(self.weight)}

    def _host_arrays(self) -> dict[str, NDArray[np.floating]]:
        """Density and offsets, the point ahead and the three duals."""
        return {
            **super()._host_arrays(),
            "ahead": self._ahead,
            "data_dual": self._data_dual,
            "gradient_dual": self._gradient_dual,
            "nonnegativity_dual": self._nonnegativity_dual,
        }


class Tv:
    """Converged total-variation reconstruction by a primal-dual method (see :class:`Method`)."""

    name: ClassVar[str] = "tv"
    summary: ClassVar[str] = "total-variation reconstruction, converged by a preconditioned primal-dual method"
    Options: ClassVar[type] = TvOptions
    weighs_views: ClassVar[bool] = True
    models_transfer: ClassVar[bool] = True
    epochs_are_a_prefix: ClassVar[bool] = True

    def start(self, problem: Problem, options: TvOptions) -> TvRun:
        """Set up a run (see :class:`Method`)."""
        return TvRun(problem, options)

    def worth_tuning(self, problem: Problem, options: TvOptions) -> dict[str, tuple[float, float]]:
        """The strength, or a weight that is given (see :class:`tomokit.methods.capabilities.SuggestsTuning`)."""
        given = {"strength": options.strength} if options.weight is None else {"weight": options.weight}
        return {name: around(value) for name, value in given.items() if value > 0}

    def cuda_unsupported_reason(self, options: TvOptions) -> None:
        """None: every option runs on a GPU (see :class:`Method`)."""

    def estimate_bytes(self, problem_shape: ProblemShape, options: TvOptions) -> int:
        """Density, point ahead, four duals and two at work; data dual and residuals (see :class:`Method`)."""
        from tomokit.methods.voxels.preconditioner import PROBES

        # The preconditioner's probes are as long, however short the specimen is.
        probes = replace(problem_shape, n_y=PROBES)
        start = voxel_bytes(problem_shape, options.margin, volumes=1, stacks=0)
        start += voxel_bytes(probes, options.margin, volumes=4, stacks=1)
        return max(start, voxel_bytes(problem_shape, options.margin, volumes=9, stacks=2))
