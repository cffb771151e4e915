"""A small specimen, its tilt series, and the ways to run a method on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.phantom import project_analytic, random_shells, voxelize
from tomokit.plugin.manager import get_registry

# What suits a small specimen, where a method's defaults are made for large ones.
SMALL: dict[str, dict[str, Any]] = {
    "octree": {
        "epochs": 8,
        "n": 13,
        "leaf_px": 12.0,
        "start": 1.0,
        "views_per_step": 2,
        "optimizers": {"rmsprop": {"lr": 0.1}},
    },
}


@dataclass(frozen=True)
class Specimen:
    """What was projected, and what a method is given."""

    truth: np.ndarray
    problem: Problem

    def error(self, volume: np.ndarray) -> float:
        """Relative L2 distance from the truth; 1 for the zero volume."""
        return float(np.linalg.norm(volume - self.truth) / np.linalg.norm(self.truth))

    def varied(self, **changes: Any) -> Problem:
        """The problem with something else."""
        return replace(self.problem, **changes)


@pytest.fixture(scope="session")
def specimen() -> Specimen:
    """Shells in 24 x 48 x 48 voxels, seen in 31 views with 2 % of noise."""
    shape = (24, 48, 48)
    phantom = random_shells(shape, 1)
    geometry = TiltGeometry(np.arange(-60.0, 61.0, 4.0), 48, 48)
    stack = project_analytic(phantom, geometry).transpose(0, 2, 1) * np.float32(geometry.kappa)
    noise = np.random.default_rng(0).normal(0, 0.02 * stack.max(), stack.shape)
    truth = np.ascontiguousarray(voxelize(phantom, shape).transpose(2, 0, 1))
    return Specimen(truth, Problem((stack + noise).astype(np.float32), None, geometry, shape[0]))


@pytest.fixture(scope="session")
def mask(specimen) -> np.ndarray:
    """One pixel in ten unused, a bead in every view, and one view without any."""
    mask = (np.random.default_rng(1).random(specimen.problem.projections.shape) > 0.1).astype(np.float32)
    mask[:, 20:29, 10:17] = 0
    mask[5] = 0
    return mask


@pytest.fixture(scope="session")
def small(specimen: Specimen) -> Specimen:
    """Every third view and row of it, for what holds for any data."""
    problem, rows = specimen.problem, slice(16, 32)
    geometry = TiltGeometry(problem.geometry.tilt_deg[::3], 48, 16)
    projections = np.ascontiguousarray(problem.projections[::3, :, rows])
    return Specimen(specimen.truth[:, :, rows], Problem(projections, None, geometry, problem.thickness_px))


@pytest.fixture(scope="session")
def small_mask(mask: np.ndarray) -> np.ndarray:
    """The same of the mask, and one view without any."""
    mask = np.ascontiguousarray(mask[::3, :, :16])
    mask[2] = 0
    return mask


@pytest.fixture(scope="session")
def start() -> Callable[..., Any]:
    """``start(name, problem, **options)``: a run of a registered method; options that it does not have are left out."""

    def start(name: str, problem: Problem, **options: Any) -> Any:
        options = SMALL.get(name, {}) | options
        method = get_registry().get("method", name)()
        known = {field.name for field in fields(method.Options)}
        return method.start(problem, method.Options(**{key: options[key] for key in options if key in known}))

    return start


@pytest.fixture(scope="session")
def finish() -> Callable[[Any], list[dict[str, float]]]:
    """``finish(run)``: all the epochs that are left, and what each gave."""

    def finish(run: Any) -> list[dict[str, float]]:
        return [run.advance() for _ in range(run.epoch, run.epochs)]

    return finish
