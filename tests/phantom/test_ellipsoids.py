"""Ellipsoids as sets of points: containment, motion, stretching, and the test that two of them are apart."""

import numpy as np
import pytest

from tomokit.errors import InputError
from tomokit.phantom.ellipsoids import Ellipsoids, separated


def random_ellipsoids(n: int, seed: int) -> Ellipsoids:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0]
    return Ellipsoids(rng.uniform(-6, 6, (n, 3)), rng.uniform(1, 4, (n, 3)), rotation, rng.uniform(-1, 1, n))


def surface(ellipsoids: Ellipsoids, k: int, n: int = 4000) -> np.ndarray:
    directions = np.random.default_rng(1).normal(size=(n, 3))
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return ellipsoids.centre_xyz_px[k] + (unit * ellipsoids.semi_axes_px[k]) @ ellipsoids.rotation[k].T


def test_shape_matrix_describes_the_surface():
    one = random_ellipsoids(1, 3)
    offsets = surface(one, 0) - one.centre_xyz_px[0]
    values = np.einsum("ni,ij,nj->n", offsets, np.linalg.inv(one.shape_matrices()[0]), offsets)
    np.testing.assert_allclose(values, 1, atol=1e-10)
    half = one.half_extent_xyz()[0]
    assert (np.abs(offsets) <= half + 1e-12).all()
    np.testing.assert_allclose(np.abs(offsets).max(axis=0), half, rtol=0.01)


def test_round_trip_through_shape_matrices_keeps_the_density():
    some = random_ellipsoids(5, 4)
    again = Ellipsoids.from_shape_matrices(some.centre_xyz_px, some.shape_matrices(), some.density)
    points = np.random.default_rng(0).uniform(-8, 8, (2000, 3))
    np.testing.assert_array_equal(some.density_at(points), again.density_at(points))
    assert again.mass() == pytest.approx(some.mass())


def test_motion_and_stretching_carry_the_density_along():
    some = random_ellipsoids(5, 5)
    points = np.random.default_rng(0).uniform(-8, 8, (2000, 3))
    expected = some.density_at(points)
    assert np.unique(expected).size > 5
    rotation = np.linalg.qr(np.random.default_rng(6).normal(size=(3, 3)))[0]
    shift = np.array([1.0, -2.0, 3.0])
    np.testing.assert_array_equal(some.moved(rotation, shift).density_at(points @ rotation.T + shift), expected)
    factors = np.array([2.0, 0.5, 1.3])
    np.testing.assert_array_equal(some.stretched(factors).density_at(points * factors), expected)
    assert some.stretched(factors).mass() == pytest.approx(some.mass() * factors.prod())


def test_mass_of_a_shell_is_that_of_the_difference():
    shell = Ellipsoids(np.zeros((2, 3)), np.array([[5.0] * 3, [3.0] * 3]), np.stack([np.eye(3)] * 2), np.array([1, -1]))
    assert shell.mass() == pytest.approx(4 / 3 * np.pi * (125 - 27))
    np.testing.assert_array_equal(shell.density_at([[0, 0, 0], [4, 0, 0], [0, 6, 0]]), [0, 1, 0])


def test_separated_never_passes_a_pair_that_shares_a_point():
    some = random_ellipsoids(60, 7)
    shapes = some.shape_matrices()
    apart = np.stack(
        [separated(c, s, some.centre_xyz_px, shapes) for c, s in zip(some.centre_xyz_px, shapes, strict=True)]
    )
    np.testing.assert_array_equal(apart, apart.T)
    touching = np.zeros_like(apart)
    for k in range(len(some)):
        points = np.concatenate([surface(some, k, 500), some.centre_xyz_px[k : k + 1]])
        for j in range(len(some)):
            local = ((points - some.centre_xyz_px[j]) @ some.rotation[j]) / some.semi_axes_px[j]
            touching[k, j] = (np.sum(local**2, axis=1) <= 1).any()
    touching |= touching.T
    assert not (apart & touching).any()
    # Few of the pairs without a common sampled point are left undecided.
    assert (apart | touching).mean() > 0.97


def test_separated_finds_the_distance_of_balls():
    ball = 4 * np.eye(3)
    centres = np.array([[0, 0, 4.05], [0, 4.05, 0], [3.95, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(
        separated(np.zeros(3), ball, centres, np.stack([ball] * 4)), [True, True, False, False]
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"semi_axes_px": np.array([[1.0, 0.0, 1.0]])}, "semi_axes_px"),
        ({"centre_xyz_px": np.zeros((2, 3))}, "centre_xyz_px"),
        ({"rotation": 2 * np.eye(3)[None]}, "rotation"),
        ({"density": np.array([np.nan])}, "density"),
    ],
)
def test_impossible_ellipsoids_are_refused(change, field):
    good = {
        "centre_xyz_px": np.zeros((1, 3)),
        "semi_axes_px": np.ones((1, 3)),
        "rotation": np.eye(3)[None],
        "density": np.ones(1),
    }
    Ellipsoids(**good)
    with pytest.raises(InputError, match=field):
        Ellipsoids(**good | change)
