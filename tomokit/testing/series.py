"""A small specimen with its simulated tilt series, for tests of methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.phantom import project_analytic, random_shells, voxelize


@dataclass(frozen=True)
class Specimen:
    """A known density, and the problem of reconstructing it that a method is given.

    Attributes
    ----------
    truth : ndarray of float32, shape (n_x, n_z, n_y)
        The density, of which ``kappa * line integral in pixels`` is the projection.
    problem : Problem
        Its projections with noise, and their geometry.
    """

    truth: NDArray[np.float32]
    problem: Problem

    def error(self, volume: NDArray[np.floating]) -> float:
        """Relative L2 distance of a volume from the truth, which is 1 for an empty volume.

        Parameters
        ----------
        volume : ndarray, shape (n_x, n_z, n_y)

        Returns
        -------
        float
        """
        return float(np.linalg.norm(volume - self.truth) / np.linalg.norm(self.truth))


def small_specimen(
    shape: tuple[int, int, int] = (16, 32, 24), step_deg: float = 6.0, noise: float = 0.02, seed: int = 1
) -> Specimen:
    """Simulate shells in a slab, seen from -60 to 60 degrees.

    Parameters
    ----------
    shape : tuple of int
        Voxels along z, x and y, all different: an axis taken for another must not go unnoticed.
    step_deg : float
        Degrees between views.
    noise : float
        Standard deviation, relative to the largest projection value.
    seed : int
        Seed of specimen and noise.

    Returns
    -------
    Specimen
        With projections of float32, ``[tilt, u, y]``, and no mask.
    """
    n_z, n_x, n_y = shape
    phantom = random_shells((n_z, n_y, n_x), seed)
    geometry = TiltGeometry(np.arange(-60.0, 60.5, step_deg), n_x, n_y)
    stack = project_analytic(phantom, geometry).transpose(0, 2, 1) * np.float32(geometry.kappa)
    noisy = stack + np.random.default_rng(seed).normal(0, noise * stack.max(), stack.shape)
    truth = np.ascontiguousarray(voxelize(phantom, (n_z, n_y, n_x)).transpose(2, 0, 1))
    return Specimen(truth, Problem(np.ascontiguousarray(noisy, np.float32), None, geometry, n_z))
