"""The projector over leaf grids against its float64 reference, and its identities."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from forests import ANGLES, geometry, two_level_forest
from scipy.integrate import quad

from tomokit.geometry import TiltGeometry
from tomokit.octree import Forest
from tomokit.projector import reference_leaves
from tomokit.projector.leaves import LeafProjector
from tomokit.projector.vertex_footprint import footprint, footprint_half_width, footprint_table, footprint_taps


def hat(x: float, side: int) -> float:
    """The triangle on [-1, 1], or the half of it that lies inside a leaf."""
    if (side == 0 and x < 0) or (side == 2 and x > 0):
        return 0.0
    return max(0.0, 1.0 - abs(x))


@pytest.mark.parametrize("angle", [-70.0, -20.0, 0.0, 33.0, 60.0, 90.0])
@pytest.mark.parametrize(("side_x", "side_z"), [(1, 1), (0, 1), (1, 2), (2, 0)])
def test_footprint_is_the_integral_over_a_pixel(angle: float, side_x: int, side_z: int) -> None:
    theta, h = np.deg2rad(angle), 1.4
    cos, sin = np.cos(theta), np.sin(theta)

    def inner(x: float, d: float) -> float:
        # Over z, the pixel admits |x cos - z sin - d| < 1/2.
        if abs(sin) < 1e-9:
            inside = abs(x * cos - d) < 0.5
            return (0.5 * h if side_z != 1 else h) * inside
        low, high = sorted(((x * cos - d - 0.5) / sin, (x * cos - d + 0.5) / sin))
        low, high = max(low, -h), min(high, h)
        if low >= high:
            return 0.0
        return quad(lambda z: hat(z / h, side_z), low, high, points=[0.0] if low < 0 < high else None)[0]

    for d in (-1.7, -0.4, 0.0, 0.9):
        expected = quad(lambda x, d=d: hat(x / h, side_x) * inner(x, d), -h, h, points=[0.0], limit=400, epsabs=1e-7)[0]
        found = footprint(np.array([d]), theta, h, side_x, side_z)[0]
        assert found == pytest.approx(expected, abs=2e-5 * h)


@pytest.mark.parametrize("h", [0.7, 1.39, 3.9])
@pytest.mark.parametrize("angle", ANGLES)
def test_tables_reproduce_the_footprint_and_its_mass(angle: float, h: float) -> None:
    theta = np.deg2rad(angle)
    taps = footprint_taps(theta, h)
    table = footprint_table(theta, h, taps + 1)
    mass = table.sum(axis=2)
    expected = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]).ravel() * h * h
    np.testing.assert_allclose(mass, np.repeat(expected[:, None], table.shape[1], axis=1), rtol=2e-5)
    assert not table[:, :, taps].any()
    peak = footprint(np.zeros(1), theta, h)[0]
    middle = (table[:, :-1] + table[:, 1:]) / 2
    fraction = (np.arange(table.shape[1] - 1) + 0.5) / (table.shape[1] - 1)
    d = 1.0 + np.arange(taps + 1)[None] - fraction[:, None] - footprint_half_width(theta, h)
    for side in range(9):
        exact = footprint(d, theta, h, side // 3, side % 3)
        # Half triangles seen edge-on have a jump, which a table can only follow to one step.
        kinked = side != 4 and min(abs(np.cos(theta)), abs(np.sin(theta))) < 0.1
        assert np.abs(middle[side] - exact).max() < (2e-2 if kinked else 2e-4) * max(peak, 1e-9)


def test_both_directions_agree_with_the_reference() -> None:
    forest, views = two_level_forest(), geometry()
    rng = np.random.default_rng(0)
    rho = rng.random(forest.values_shape, dtype=np.float32)
    stack = rng.random((views.n_views, views.n_u, views.n_v), dtype=np.float32)
    projector = LeafProjector(forest, views)
    for found, expected in (
        (projector(rho), reference_leaves.forward(rho, forest, views)),
        (projector.T(stack), reference_leaves.adjoint(stack, forest, views)),
    ):
        assert np.linalg.norm(found - expected) < 2e-4 * np.linalg.norm(expected)
        # Entries that are there must be there: a dropped corner passes a norm.
        assert ((expected > 1e-3 * expected.max()) <= (found > 0)).all()


@pytest.mark.parametrize(("edge", "n"), [(8.0, 17), (8.0, 14), (8.0, 5)])
def test_rows_miss_nothing_of_the_field(edge: float, n: int) -> None:
    # Of vertices half a pixel apart, every other lies between the rows' centres.
    index = np.stack(np.meshgrid(range(2), range(2), range(3), indexing="ij"), -1).reshape(-1, 3)
    forest = Forest((-edge, -edge, -1.5 * edge), edge, (2, 2, 3), n, np.zeros(len(index)), index)
    rho = np.random.default_rng(4).random(forest.values_shape, dtype=np.float32)
    views = TiltGeometry(np.array([-40.0, 0.0, 65.0]), 40, round(3 * edge))
    trapezoid = np.r_[0.5, np.ones(n - 2), 0.5] * edge / (n - 1)
    mass = np.einsum("lxzy,x,z,y->", rho, trapezoid, trapezoid, trapezoid)
    np.testing.assert_allclose(LeafProjector(forest, views)(rho).sum(axis=(1, 2)), mass, rtol=2e-5)


def test_adjoint_identity() -> None:
    forest, views = two_level_forest(7), geometry(31, 20)
    rng = np.random.default_rng(1)
    rho = rng.normal(size=forest.values_shape).astype(np.float32)
    stack = rng.normal(size=(views.n_views, views.n_u, views.n_v)).astype(np.float32)
    projector = LeafProjector(forest, views)
    forward, back = projector(rho), projector.T(stack)
    scale = np.linalg.norm(forward) * np.linalg.norm(stack)
    assert abs(np.vdot(forward.astype(float), stack) - np.vdot(rho.astype(float), back)) < 1e-6 * scale


def test_some_views_are_rows_of_all() -> None:
    forest, views = two_level_forest(), geometry()
    rho = np.random.default_rng(2).random(forest.values_shape, dtype=np.float32)
    projector = LeafProjector(forest, views)
    np.testing.assert_array_equal(projector(rho)[[6, 1]], projector(rho, [6, 1]))


def test_a_constant_field_projects_to_its_path_length() -> None:
    index = np.stack(np.meshgrid(range(4), range(2), range(4), indexing="ij"), -1).reshape(-1, 3)
    forest = Forest((-32.0, -16.0, -32.0), 16.0, (4, 2, 4), 6, np.zeros(len(index)), index)
    views = TiltGeometry(np.array([-30.0, 0.0, 20.0]), 21, 15)
    stack = LeafProjector(forest, views)(np.full(forest.values_shape, 0.5, np.float32))
    path = 0.5 * 32 / np.cos(views.tilt_rad)
    np.testing.assert_allclose(stack, np.broadcast_to(path[:, None, None], stack.shape), rtol=2e-5)


def test_the_same_bits_at_any_number_of_threads() -> None:
    forest, views = two_level_forest(9), geometry(31, 20)
    rng = np.random.default_rng(3)
    rho = rng.random(forest.values_shape, dtype=np.float32)
    stack = rng.random((views.n_views, views.n_u, views.n_v), dtype=np.float32)
    projector = LeafProjector(forest, views)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = projector(rho), projector.T(stack)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one[0], projector(rho))
    np.testing.assert_array_equal(one[1], projector.T(stack))
