"""Weights of the priors that follow from the data's noise."""

from __future__ import annotations

from tomokit.methods.contract import Problem
from tomokit.methods.noise import tv_weight
from tomokit.octree import Forest


def total_variation_weight(problem: Problem, forest: Forest) -> float:
    """Weight of the octree's total variation that does to the density what :func:`tv_weight` does to voxels.

    There the objective is ``1/2 sum m r^2 + w sum |grad d|`` with ``d = kappa rho`` and one term a voxel. Here it is
    ``sum m r^2 / sum m + lambda T``, T the mean over all ``n^3`` vertices of the absolute difference to the next. A
    vertex stands for ``h^3`` voxels and a difference for ``h`` times the slope, so

        lambda = 2 w / sum(m) * kappa * h^2 * n_leaves n^3,

    h the spacing of the finest leaves.

    Parameters
    ----------
    problem : Problem
        At full resolution.
    forest : Forest
    """
    used = problem.projections.size if problem.mask is None else float(problem.mask.sum(dtype="float64"))
    h = float(forest.spacing_px.min())
    vertices = forest.n_leaves * forest.n**3
    return 2 * tv_weight(problem) / max(used, 1.0) * problem.geometry.kappa * h * h * vertices
