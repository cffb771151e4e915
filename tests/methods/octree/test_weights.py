"""Scales that follow from the data: right in size, and independent of units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.weights import Scales, spacing_px
from tomokit.octree.cover import Region, cover


def test_noise_and_contrast_are_found(problem: Problem) -> None:
    scales = Scales.of(problem)
    clean = np.percentile(problem.projections, 99.9)
    assert scales.noise == pytest.approx(0.05, rel=0.15)
    assert scales.unit == pytest.approx(clean * 48 / 24, rel=0.25)


def test_everything_is_relative_to_the_contrast(problem: Problem) -> None:
    one = Scales.of(problem)
    other = Scales.of(replace(problem, projections=1e3 * problem.projections))
    assert other.unit == pytest.approx(1e3 * one.unit, rel=1e-4)
    assert other.relative_noise == pytest.approx(one.relative_noise, rel=1e-4)
    assert other.concave_delta() == pytest.approx(one.concave_delta(), rel=1e-4)
    forest = cover(Region(48, 48, 24), 0.0, 9, 12.0)
    # The data term is quadratic in the projections, and the penalty linear in the weight alone.
    assert other.total_variation_weight(forest) == pytest.approx(1e6 * one.total_variation_weight(forest), rel=1e-3)


def test_the_weight_is_that_of_an_integral(problem: Problem) -> None:
    """Of the slope over the volume: on leaves half as large the same up to the vertices that are stored twice."""
    scales = Scales.of(problem)
    slope = []
    for leaf, n in ((24.0, 17), (12.0, 9), (12.0, 17)):
        forest = cover(Region(48, 48, 24), 0.0, n, leaf)
        h = float(forest.spacing_px.min())
        per_leaf = n**3 * forest.n_leaves
        slope.append(scales.total_variation_weight(forest) * h / (h**3 * per_leaf))
    np.testing.assert_allclose(slope, slope[0], rtol=1e-6)


def test_a_fine_lattice_is_for_little_noise(problem: Problem) -> None:
    alone = [spacing_px(False, noise) for noise in (0.0, 0.02, 0.06, 0.3, 1.0, None)]
    assert alone[0] == alone[1] < alone[2] < alone[3] == alone[4] == alone[5] == 1.0
    fills_field = [spacing_px(True, noise) for noise in (0.0, 0.05, 0.3, None)]
    assert alone[0] < fills_field[0] < fills_field[1] < fills_field[2] == fills_field[3] == 1.0
    shape = FitPlan.of_problem(problem, OctreeOptions()).shape
    assert shape.relative_noise == Scales.of(problem).relative_noise
    assert replace(shape, relative_noise=None) == ProblemShape.of(problem)


def test_a_specimen_that_fills_the_field_is_not_taken_for_pieces(problem: Problem) -> None:
    alone, fills_field = Scales.of(problem), Scales.of(replace(problem, fit_offsets=True))
    assert fills_field.concave_delta() > 4 * alone.concave_delta()


def test_projections_that_are_all_alike_give_a_unit_all_the_same(problem: Problem) -> None:
    scales = Scales.of(replace(problem, projections=np.zeros_like(problem.projections)))
    assert scales.unit == 1.0
    assert scales.relative_noise == 0.0
