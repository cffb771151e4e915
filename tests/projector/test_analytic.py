"""Against projections that come from formulas: ellipsoids, and the place of a small ball."""

import numpy as np
import pytest

from tomokit.geometry import TiltGeometry, centre
from tomokit.phantom import Ellipsoids, project_analytic, voxelize
from tomokit.projector import DenseProjector

SIZE = 128


def ellipsoids(n: int, seed: int) -> Ellipsoids:
    """Random ellipsoids that no view truncates, one within another or apart."""
    rng = np.random.default_rng(seed)
    rotations = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0]
    return Ellipsoids(
        rng.uniform(-18, 18, (n, 3)), rng.uniform(8, 32, (n, 3)), rotations, rng.uniform(0.2, 1, n)
    )  # fmt: skip


@pytest.fixture(scope="module")
def phantom() -> tuple[Ellipsoids, np.ndarray]:
    body = ellipsoids(6, 3)
    volume = np.ascontiguousarray(voxelize(body, (SIZE, SIZE, SIZE)).transpose(2, 0, 1))
    return body, volume


def test_ellipsoids_at_128_cubed_to_one_percent(phantom):
    body, volume = phantom
    geometry = TiltGeometry(
        [-70.0, -45.0, -10.0, 0.0, 26.6, 60.0, 90.0],
        SIZE,
        SIZE,
        [0, 0.5, -3.2, 0, 1, 0, 0],
        [0, 0, 1.75, 0, 0, -0.5, 0],
    )
    views = DenseProjector(geometry, SIZE)(volume).transpose(0, 2, 1)
    expected = project_analytic(body, geometry)
    for view, truth in zip(views, expected, strict=True):
        assert np.linalg.norm(view - truth) < 0.01 * np.linalg.norm(truth)
        assert view.sum(dtype=np.float64) == pytest.approx(body.mass(), rel=1e-3)


def test_mirrored_angles_are_far_off(phantom):
    # The test above could not fail if the phantom looked the same from both sides.
    body, volume = phantom
    view = DenseProjector(TiltGeometry([-26.6], SIZE, SIZE), SIZE)(volume)[0].T
    truth = project_analytic(body, TiltGeometry([26.6], SIZE, SIZE))[0]
    assert np.linalg.norm(view - truth) > 0.1 * np.linalg.norm(truth)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_ball_appears_where_the_geometry_says(backend):
    point = np.array([4.3, -3.1, 11.6])
    geometry = TiltGeometry(
        [-80.0, -60.0, 0.0, 30.0, 45.0, 75.0],
        n_u=48,
        n_v=40,
        shift_u_px=[0.5, -1.0, 2.25, 0, -3.5, 0],
        shift_v_px=[0.0, 1.5, -2.0, 0.25, 0, 0],
    )
    ball = Ellipsoids(point[None], np.full((1, 3), 3.0), np.eye(3)[None], np.ones(1))
    volume = voxelize(ball, (31, 40, 48), supersample=6).transpose(2, 0, 1)
    views = DenseProjector(geometry, 31, backend=backend)(volume).astype(np.float64)
    u, v = geometry.locate(point)
    total = views.sum(axis=(1, 2))
    column = (views.sum(axis=2) * (np.arange(48) - centre(48))).sum(axis=1) / total
    row = (views.sum(axis=1) * (np.arange(40) - centre(40))).sum(axis=1) / total
    np.testing.assert_allclose(column, u[:, 0], atol=0.01)
    np.testing.assert_allclose(row, v[:, 0], atol=0.01)


def test_positive_z_goes_to_negative_x_at_positive_tilt():
    volume = np.zeros((33, 21, 1), np.float32)
    volume[16, 18] = 1
    up = DenseProjector(TiltGeometry([30.0, -30.0], 33, 1), 21)(volume)[:, :, 0]
    assert up[0].argmax() == 12
    assert up[1].argmax() == 20


def test_back_projection_of_a_pixel_is_a_ray_towards_positive_z_at_negative_x():
    stack = np.zeros((1, 33, 1), np.float32)
    stack[0, 16] = 1
    ray = DenseProjector(TiltGeometry([45.0], 33, 1), 21).T(stack)[:, :, 0]
    x, z = np.nonzero(ray > 0.5)
    # u = x cos - z sin = 0 at 45 degrees: x = z.
    np.testing.assert_array_equal(x - 16, z - 10)
