"""Analytic projections against formulas, masses and other ways to integrate the same density."""

import numpy as np
import pytest
from scipy.ndimage import rotate

from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry, centre
from tomokit.phantom import Ellipsoids, project_analytic, random_shells, voxelize

ANGLES = np.array([-70.0, -33.3, 0.0, 12.5, 45.0, 69.5, 90.0])


def ball(centre_xyz, radius, density=1.0):
    return Ellipsoids(
        np.array([centre_xyz], float), np.full((1, 3), float(radius)), np.eye(3)[None], np.array([density])
    )


def tilted_ellipsoid(centre_xyz=(2.3, -4.1, 5.7)):
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    return Ellipsoids(np.array([centre_xyz]), np.array([[14.0, 5.0, 8.0]]), rotation[None], np.array([0.7]))


def test_ball_is_twice_the_root_in_every_view():
    radius, density = 12.3, 0.6
    geometry = TiltGeometry(ANGLES, n_u=40, n_v=36)
    images = project_analytic(ball((0, 0, 0), radius, density), geometry, supersample=16)
    fine = 20
    u = (np.arange(40 * fine) + 0.5) / fine - 20
    v = (np.arange(36 * fine) + 0.5) / fine - 18
    chord = 2 * density * np.sqrt(np.maximum(0, radius**2 - u[None] ** 2 - v[:, None] ** 2))
    expected = chord.reshape(36, fine, 40, fine).mean(axis=(1, 3))
    np.testing.assert_allclose(images, np.broadcast_to(expected, images.shape), atol=2e-3 * expected.max())
    # The pixel nearest the axis lies half a pixel from it either way.
    assert images[3, 18, 20] == pytest.approx(2 * density * np.sqrt(radius**2 - 0.5), rel=1e-3)


@pytest.mark.parametrize("radius", [0.2, 0.7, 2.0, 9.0])
def test_mass_of_a_ball_of_any_size_is_kept(radius):
    geometry = TiltGeometry(ANGLES, n_u=32, n_v=32)
    body = ball((1.37, -2.21, 0.64), radius)
    np.testing.assert_allclose(project_analytic(body, geometry).sum(axis=(1, 2)), body.mass(), rtol=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_mass_of_a_phantom_is_kept_in_every_view(seed):
    # Also the proof that no view truncates the specimen.
    shape = (32, 80, 64)
    phantom = random_shells(shape, seed)
    images = project_analytic(phantom, TiltGeometry(ANGLES, n_u=64, n_v=80))
    np.testing.assert_allclose(images.sum(axis=(1, 2), dtype=np.float64), phantom.mass(), rtol=1e-3)
    assert voxelize(phantom, shape).sum(dtype=np.float64) == pytest.approx(phantom.mass(), rel=1e-3)


def test_line_integrals_agree_with_marching_along_the_beam():
    geometry = TiltGeometry(np.array([-52.0, 20.0]), 48, 40, np.array([1.5, -0.25]), np.array([0.0, 2.75]))
    body = tilted_ellipsoid()
    images = project_analytic(body, geometry, supersample=4)
    depth = np.linspace(-40, 40, 4001)
    rng = np.random.default_rng(0)
    for view in range(2):
        cos, sin = np.cos(geometry.tilt_rad[view]), np.sin(geometry.tilt_rad[view])
        for row, column in rng.integers((8, 8), (32, 40), (12, 2)):
            # Mean over the pixel of integrals along (sin, 0, cos), from sampled densities.
            du, dv = (np.stack(np.meshgrid(*[(np.arange(6) + 0.5) / 6 - 0.5] * 2), -1).reshape(-1, 2)).T
            u = column - centre(48) + du - geometry.shift_u_px[view]
            v = row - centre(40) + dv - geometry.shift_v_px[view]
            points = np.stack(
                [
                    u[:, None] * cos + depth * sin,
                    np.broadcast_to(v[:, None], (36, depth.size)),
                    -u[:, None] * sin + depth * cos,
                ],
                axis=-1,
            )
            marched = body.density_at(points).mean(axis=0).sum() * (depth[1] - depth[0])
            assert images[view, row, column] == pytest.approx(marched, abs=0.08)
    assert images.max() > 5


def test_view_at_zero_is_the_sum_of_the_voxels():
    shape = (40, 64, 56)
    phantom = random_shells(shape, 5)
    image = project_analytic(phantom, TiltGeometry([0.0], n_u=56, n_v=64), supersample=6)[0]
    summed = voxelize(phantom, shape, supersample=6).sum(axis=0)
    assert np.linalg.norm(image - summed) < 0.01 * np.linalg.norm(summed)


@pytest.mark.parametrize("angle", [-40.0, 25.0])
def test_tilted_view_is_the_sum_of_the_turned_voxels(angle):
    body = tilted_ellipsoid()
    volume = voxelize(body, (64, 48, 64))
    image = project_analytic(body, TiltGeometry([angle], n_u=64, n_v=48))[0]
    # SciPy's rotation by a fills (w, u) with the value at x = u cos a - w sin a. Ours is x = u cos + w sin: a = -angle.
    right, wrong = (
        np.linalg.norm(rotate(volume, sign * angle, axes=(0, 2), reshape=False, order=1).sum(axis=0) - image)
        for sign in (-1, 1)
    )
    assert right < 0.03 * np.linalg.norm(image)
    assert wrong > 0.3 * np.linalg.norm(image)


def test_positive_z_moves_to_negative_x_at_positive_tilt_as_the_geometry_says():
    point = np.array([3.0, 5.0, 11.0])
    geometry = TiltGeometry(
        np.array([-60.0, 0.0, 30.0]), 64, 48, np.array([0.5, -1.0, 2.25]), np.array([0.0, 1.5, -2.0])
    )
    images = project_analytic(ball(point, 4.0), geometry)
    u, v = geometry.locate(point)
    for view, image in enumerate(images):
        rows, columns = np.indices(image.shape)
        assert (image * columns).sum() / image.sum() - centre(64) == pytest.approx(u[view, 0], abs=0.01)
        assert (image * rows).sum() / image.sum() - centre(48) == pytest.approx(v[view, 0], abs=0.01)
    high = project_analytic(ball((0, 0, 11.0), 1.5), TiltGeometry([30.0], 64, 48))[0]
    assert high[:, :32].sum() > 0.99 * high.sum()


def test_an_odd_detector_has_its_centre_in_a_pixel():
    image = project_analytic(ball((0, 0, 0), 2.0), TiltGeometry([17.0], n_u=21, n_v=15))[0]
    assert np.unravel_index(image.argmax(), image.shape) == (7, 10)
    np.testing.assert_allclose(image, image[::-1, ::-1], atol=1e-5)


def test_what_falls_off_the_detector_is_left_out_and_the_rest_unchanged():
    body = tilted_ellipsoid((11.0, 9.0, 0.0))
    large = project_analytic(body, TiltGeometry([10.0], n_u=64, n_v=64))[0]
    small = project_analytic(body, TiltGeometry([10.0], n_u=20, n_v=24))[0]
    np.testing.assert_allclose(small, large[20:44, 22:42], atol=1e-5)
    assert small.sum() < 0.9 * large.sum()


def test_voxels_are_averages_over_their_volume():
    body = tilted_ellipsoid((0.3, 0.2, -0.4))
    # The body's ends lie beyond the box.
    shape = (14, 18, 20)
    volume = voxelize(body, shape, supersample=8)
    offsets = (np.arange(8) + 0.5) / 8 - 0.5
    axes = [(np.arange(n)[:, None] - centre(n) + offsets).ravel() for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    fine = body.density_at(np.stack([x, y, z], axis=-1))
    expected = fine.reshape(14, 8, 18, 8, 20, 8).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(volume, expected, atol=0.04)
    assert np.linalg.norm(volume - expected) < 4e-3 * np.linalg.norm(expected)


def test_no_ellipsoids_make_empty_arrays():
    nothing = Ellipsoids.concatenate([])
    assert not voxelize(nothing, (4, 5, 6)).any()
    assert project_analytic(nothing, TiltGeometry(ANGLES, 6, 5)).shape == (7, 5, 6)


def test_no_samples_are_refused():
    with pytest.raises(OptionError, match="supersample"):
        voxelize(ball((0, 0, 0), 1), (8, 8, 8), supersample=0)
