"""The projection pyramid: centres, masks and means."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry, centre
from tomokit.methods.octree.pyramid import KERNEL, halve


def blob_problem(n_u: int, n_y: int, mask: np.ndarray | None = None) -> tuple[Problem, np.ndarray, np.ndarray]:
    """Views of one point at (x, y, z) = (3, -2, 4), seen as a Gaussian."""
    rng = np.random.default_rng(0)
    geometry = TiltGeometry(np.array([-50.0, 0.0, 40.0]), n_u, n_y, rng.normal(size=3), rng.normal(size=3))
    u, v = geometry.locate([[3.0, -2.0, 4.0]])
    iu, iy = np.arange(n_u) - centre(n_u), np.arange(n_y) - centre(n_y)
    images = np.exp(-((iu[None, :, None] - u[:, :, None]) ** 2 + (iy[None, None, :] - v[:, :, None]) ** 2) / 18)
    return Problem(images.astype(np.float32), mask, geometry, 20), u, v


@pytest.mark.parametrize(("n_u", "n_y"), [(40, 36), (41, 36), (40, 37), (43, 39)])
def test_a_point_stays_where_the_geometry_says(n_u: int, n_y: int) -> None:
    problem, _, _ = blob_problem(n_u, n_y)
    coarse = halve(problem)
    u, v = coarse.geometry.locate([[1.5, -1.0, 2.0]])
    image = coarse.projections.astype(float)
    iu = np.arange(image.shape[1]) - centre(image.shape[1])
    iy = np.arange(image.shape[2]) - centre(image.shape[2])
    total = image.sum(axis=(1, 2))
    np.testing.assert_allclose((image.sum(axis=2) @ iu) / total, u[:, 0], atol=0.02)
    np.testing.assert_allclose((image.sum(axis=1) @ iy) / total, v[:, 0], atol=0.02)


def test_the_kernel_has_unit_mass_and_the_stated_width() -> None:
    assert KERNEL.sum() == pytest.approx(1, abs=1e-6)
    assert KERNEL[3] / KERNEL[2] == pytest.approx(np.exp(-0.5 / 1.06**2), rel=1e-6)


def test_masked_pixels_leak_into_no_coarse_pixel() -> None:
    rng = np.random.default_rng(1)
    mask = (rng.random((3, 40, 36)) > 0.2).astype(np.float32)
    mask[1, 10:24, 8:20] = 0
    problem, _, _ = blob_problem(40, 36, mask)
    dirty = problem.projections.copy()
    dirty[mask == 0] = 1e6
    clean = halve(problem)
    soiled = halve(Problem(dirty, mask, problem.geometry, 20))
    np.testing.assert_array_equal(clean.projections, soiled.projections)
    assert clean.mask is not None
    assert clean.mask[1, 7:10, 6:8].max() == 0
    assert clean.mask[1, :4, :4].min() > 0


def test_a_constant_stays_under_any_mask() -> None:
    rng = np.random.default_rng(2)
    mask = (rng.random((3, 40, 36)) > 0.5).astype(np.float32)
    problem, _, _ = blob_problem(40, 36, mask)
    flat = Problem(np.full_like(problem.projections, 0.7), mask, problem.geometry, 20)
    coarse = halve(flat)
    assert coarse.mask is not None
    np.testing.assert_allclose(coarse.projections[coarse.mask > 0], 0.7, rtol=1e-5)
