"""A small specimen with its tilt series, for tests of methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.phantom import project_analytic, random_shells, voxelize


@dataclass(frozen=True)
class Specimen:
    """What was projected, and what a method is given.

    Attributes
    ----------
    truth : ndarray of float32, shape (n_x, n_z, n_y)
        Density, such that ``kappa * line integral`` is the projection.
    problem : Problem
        Its noisy projections.
    """

    truth: NDArray[np.float32]
    problem: Problem

    def error(self, volume: NDArray[np.floating]) -> float:
        """Relative L2 distance from the truth; 1 for the zero volume."""
        return float(np.linalg.norm(volume - self.truth) / np.linalg.norm(self.truth))


def small_specimen(
    shape: tuple[int, int, int] = (16, 32, 24), step_deg: float = 6.0, noise: float = 0.02, seed: int = 1
) -> Specimen:
    """Shells in a slab, seen from -60 to 60 degrees.

    Parameters
    ----------
    shape : tuple of int
        Voxels along z, x and y, all different: an axis taken for another must not go unnoticed.
    step_deg : float
        Degrees between views.
    noise : float
        Standard deviation, relative to the largest projection.
    seed : int
        Of specimen and noise.
    """
    n_z, n_x, n_y = shape
    phantom = random_shells((n_z, n_y, n_x), seed)
    geometry = TiltGeometry(np.arange(-60.0, 60.5, step_deg), n_x, n_y)
    stack = project_analytic(phantom, geometry).transpose(0, 2, 1) * np.float32(geometry.kappa)
    noisy = stack + np.random.default_rng(seed).normal(0, noise * stack.max(), stack.shape)
    truth = np.ascontiguousarray(voxelize(phantom, (n_z, n_y, n_x)).transpose(2, 0, 1))
    return Specimen(truth, Problem(np.ascontiguousarray(noisy, np.float32), None, geometry, n_z))
