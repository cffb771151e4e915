"""SART+TV: sweeps of SART, each followed by total-variation denoising; the publication's classical baseline.

After every sweep the density is replaced by the proximal map of total variation, whose weight falls with the sweeps
as the SART step does. It alternates between the two and does not minimize their sum (the method ``tv`` does).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.data.contrast import tv_weight
from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.capabilities import around
from tomokit.methods.voxels.engine import DenoisingEngine, StepWeights
from tomokit.methods.voxels.engine_choice import choose_denoising_engine
from tomokit.methods.voxels.run import voxel_bytes
from tomokit.methods.voxels.sart import SartOptions, SartRun
from tomokit.plugin.options import option


@dataclass(frozen=True)
class SartTvOptions(SartOptions):
    """Options of the method :class:`SartTv`."""

    epochs: int = option(
        20,
        "Sweeps over all views, each followed by denoising. More bring out detail that the denoising has "
        "kept; stop where the held-out score is best.",
        minimum=1,
        maximum=1_000_000,
    )
    relaxation: float = option(
        0.1,
        "Length of the step of every view. Lower it for noisy series, raise it if contrast comes out weak.",
        minimum=1e-6,
        maximum=1.999,
    )
    decay: float = option(
        0.97,
        "Factor on steps and denoising from one sweep to the next. Lower it to settle sooner, raise it to "
        "let later sweeps change more.",
        minimum=0.01,
        maximum=1.0,
    )
    weight: float | None = option(
        None,
        "Strength of the first denoising, in units of projection per pixel. Without it strength times what "
        "the noise asks for; give it only to repeat a setting.",
        minimum=0.0,
    )
    strength: float = option(
        0.5,
        "Denoising relative to what the measured noise asks for. The first option to try: raise it if the "
        "tomogram is noisy, lower it if detail is lost. It has no say where weight is given.",
        minimum=0.0,
    )
    inner: int = option(
        20,
        "Iterations of the denoising after each sweep. Leave it; raise it if strong denoising leaves grain, "
        "lower it for speed.",
        minimum=1,
    )


class SartTvRun(SartRun):
    """A SART+TV reconstruction under way.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    options : SartTvOptions

    Attributes
    ----------
    weight : float
        Weight of the first sweep's denoising, in units of projection per pixel.
    """

    options: SartTvOptions
    _engine: DenoisingEngine

    def __init__(self, problem: Problem, options: SartTvOptions) -> None:
        super().__init__(problem, options)
        # One sweep of step omega leaves about omega sigma sqrt(n_views) / thickness of noise in a voxel.
        noise = options.relaxation * tv_weight(problem) / problem.thickness_px
        given = options.weight
        self.weight = options.strength * noise if given is None else given * problem.share

    def _choose_engine(self, weights: StepWeights) -> DenoisingEngine:
        self._dual = np.zeros((3, *self.operator.volume_shape), self.operator.dtype)
        return choose_denoising_engine(self.data_term, self._host_arrays(), weights)

    def advance(self) -> dict[str, float]:
        """Sweep once over all views, and denoise.

        Returns
        -------
        dict of str to float
            The data term as the sweep's steps found it, as ``loss`` and ``data``.
        """
        loss = self.sweep()
        weight = self.weight * self.options.decay**self.epoch
        self._engine.denoise(weight, self.options.inner, self.options.nonnegative)
        self.epoch += 1
        return {"loss": loss, "data": loss}

    def resolved_parameters(self) -> dict[str, Any]:
        """Values that follow from the data and the options, for the provenance.

        Returns
        -------
        dict
            Those of :meth:`VoxelRun.resolved_parameters`, and ``weight`` of the first denoising.
        """
        return super().resolved_parameters() | {"weight": float(self.weight)}

    def _host_arrays(self) -> dict[str, NDArray[np.floating]]:
        return {**super()._host_arrays(), "dual": self._dual}


class SartTv:
    """Sweeps of SART that alternate with total-variation denoising (see :class:`Method`)."""

    name: ClassVar[str] = "sart-tv"
    summary: ClassVar[str] = "SART sweeps alternating with total-variation denoising, the publication's baseline"
    Options: ClassVar[type] = SartTvOptions
    weighs_views: ClassVar[bool] = True
    epochs_are_a_prefix: ClassVar[bool] = True

    def start(self, problem: Problem, options: SartTvOptions) -> SartTvRun:
        """Set up a run (see :class:`Method`)."""
        return SartTvRun(problem, options)

    def worth_tuning(self, problem: Problem, options: SartTvOptions) -> dict[str, tuple[float, float]]:
        """The strength, or a weight that is given (see :class:`tomokit.methods.capabilities.SuggestsTuning`)."""
        given = {"strength": options.strength} if options.weight is None else {"weight": options.weight}
        return {name: around(value) for name, value in given.items() if value > 0}

    def cuda_unsupported_reason(self, options: SartTvOptions) -> None:
        """None: every option runs on a GPU (see :class:`Method`)."""

    def estimate_bytes(self, problem_shape: ProblemShape, options: SartTvOptions) -> int:
        """Density, direction and dual; ray weights (see :class:`Method`)."""
        return voxel_bytes(problem_shape, options.margin, volumes=5, stacks=1, views=3)
