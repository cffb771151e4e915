"""Forests, geometries, differences and a plugin's regularizer that the kernels' tests share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from on_cpu import COMPILER

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.octree import Forest
from tomokit.plugin.options import option
from tomokit.projector import DenseProjector
from tomokit.regularizers.interface import Field

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no g++ to compile the kernels with")


def small_problem(backend: str = "cpu", shape: tuple[int, int, int] = (12, 24, 20), views: int = 5) -> Problem:
    """Balls in so many voxels ``(z, y, x)``, seen in a few masked and shifted views with noise, offsets fitted."""
    rng = np.random.default_rng(8)
    tilts = np.linspace(-55.0, 60.0, views)
    nz, ny, nx = shape
    seen = TiltGeometry(tilts, nx, ny, rng.normal(0, 0.7, views), rng.normal(0, 0.7, views))
    x, z, y = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in (nx, nz, ny)), indexing="ij")
    volume = sum(
        ((x - a) ** 2 + (z - b) ** 2 + (y - c) ** 2 < 10).astype(float)
        for a, b, c in ((-4, 1, 3), (5, -2, -6), (1, 2, 8))
    )
    projector = DenseProjector(seen, nz, backend="reference")
    data = seen.kappa * projector(volume)
    data = data / data.max() + rng.normal(0, 0.05, data.shape) + 0.2
    mask = np.ones(data.shape, np.float32)
    mask[:, 3:6, 10:13] = 0
    return Problem(data.astype(np.float32), mask, seen, nz, fit_offsets=True, seed=4, backend=backend)


def jumping_forest(n: int) -> Forest:
    """Leaves of three levels, the finest beside the coarsest: a face with a jump of two."""
    index = np.array([[0, 0, 0], [0, 0, 1]])
    halves = np.array([[2, 0, 0]]) + np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    quarters = 2 * halves[0] + np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    level = np.r_[np.zeros(2), np.ones(7), np.full(8, 2)]
    return Forest((-8.0, -4.0, -8.0), 8.0, (2, 1, 2), n, level, np.r_[index, halves[1:], quarters])


def gradient(d: np.ndarray) -> np.ndarray:
    """Forward differences with free boundaries, shape (3, n_x, n_z, n_y), float64."""
    q = np.zeros((3, *d.shape))
    q[0, :-1], q[1, :, :-1], q[2, :, :, :-1] = (np.diff(d.astype(np.float64), axis=axis) for axis in range(3))
    return q


def divergence(q: np.ndarray) -> np.ndarray:
    """Its negative transpose."""
    found = np.zeros(q.shape[1:])
    for axis, part in enumerate(q.astype(np.float64)):
        found += np.diff(part, axis=axis, prepend=0.0)
    return found


def dual_field(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Random vectors, zero where there is no forward difference."""
    q = np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float32)
    q[0, -1], q[1, :, -1], q[2, :, :, -1] = 0, 0, 0
    return q


@dataclass(frozen=True)
class DrawingOptions:
    """Options of :class:`Drawing`."""

    weight: float = option(0.0, "Weight.", minimum=0.0)
    every: int = option(1, "Every so many steps.", minimum=1)
    space: str = option("rho", "What it acts on.", choices=("rho", "raw"))
    held: bool = option(False, "Whether it does without a GPU.")


class Drawing:
    """Half the mean squared distance from a constant, over leaves that are drawn: written for any kind of array."""

    name: ClassVar[str] = "drawing"
    summary: ClassVar[str] = "towards a constant, for tests"
    Options: ClassVar[type] = DrawingOptions
    seen: ClassVar[list[Field]] = []

    def __init__(self, options: DrawingOptions) -> None:
        self.options = options

    def cuda_unsupported_reason(self, options: DrawingOptions) -> str | None:
        return "its option held says so" if options.held else None

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> Any:
        Drawing.seen.append(field)
        for leaf in field.rng.permutation(field.forest.n_leaves)[: field.forest.n_leaves // 2]:
            gradient[leaf] += np.float32(scale / field.values.size) * (field.values[leaf] - np.float32(0.5))
        away = field.values - np.float32(0.5)
        return (away * away).sum(dtype=np.float64) / (2 * away.size)
