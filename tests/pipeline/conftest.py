"""A method that is quick, deterministic and simple enough to know what it must give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tomokit.data.problem import Problem, ProblemShape
from tomokit.geometry import TiltGeometry
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import option
from tomokit.plugin.registry import Entry
from tomokit.projector import DenseProjector


@dataclass(frozen=True)
class BlurOptions:
    """Options of the test's method."""

    epochs: int = option(3, "Epochs.", minimum=1)
    fail_at: int = option(0, "Epoch after which the loss is not a number.", minimum=0)
    interrupt_at: int = option(0, "Epoch at which the user interrupts.", minimum=0)
    claim_bytes: int = option(0, "Memory that is claimed.", minimum=0)
    claim_bytes_with_exposure: int = option(0, "Memory that is claimed if offsets are fitted.", minimum=0)


class BlurRun:
    """Gradient descent on the data term, by the float64 reference."""

    def __init__(self, problem: Problem, options: BlurOptions) -> None:
        self.problem, self.options, self.epochs, self.epoch = problem, options, options.epochs, 0
        self.operator = DenseProjector(problem.geometry, problem.thickness_px, backend="reference")
        self.density = np.zeros(self.operator.volume_shape)
        weight = self.operator.T(self.operator(np.ones(self.operator.volume_shape)))
        self.step = 1 / weight.max()

    def advance(self) -> dict[str, float]:
        self.epoch += 1
        if self.epoch == self.options.interrupt_at:
            raise KeyboardInterrupt
        residual = self.problem.projections - self.operator(self.density)
        if self.problem.mask is not None:
            residual *= self.problem.mask
        self.density += self.step * self.operator.T(residual)
        loss = float("nan") if self.epoch == self.options.fail_at else float(np.mean(residual**2))
        return {"loss": loss, "data": loss}

    def predict(self, geometry: TiltGeometry) -> np.ndarray:
        projector = DenseProjector(geometry, self.problem.thickness_px, backend="reference")
        return projector(self.density).astype(np.float32)

    def volume(self) -> np.ndarray:
        return (self.density / self.problem.geometry.kappa).astype(np.float32)

    def offsets(self) -> np.ndarray:
        return np.zeros(self.problem.geometry.n_views, np.float32)

    def arrays(self) -> dict[str, Any]:
        return {"density": self.density}

    def restore(self, epoch: int, arrays: Mapping[str, Any]) -> None:
        self.epoch, self.density = epoch, arrays["density"]


class Blur:
    """The test's method."""

    name = "blur"
    summary = "gradient descent, for tests"
    Options = BlurOptions
    started: Problem | None = None

    def start(self, problem: Problem, options: BlurOptions) -> BlurRun:
        type(self).started = problem
        return BlurRun(problem, options)

    def estimate_bytes(self, problem_shape: ProblemShape, options: BlurOptions) -> int:
        return options.claim_bytes_with_exposure if problem_shape.fit_offsets else options.claim_bytes


@pytest.fixture(autouse=True)
def blur() -> Iterator[type[Blur]]:
    """The method, registered for one test."""
    get_registry.cache_clear()
    get_registry().add(Entry.of("method", Blur, "tests", "0"))
    Blur.started = None
    yield Blur
    get_registry.cache_clear()
