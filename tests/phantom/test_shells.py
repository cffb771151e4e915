"""Random specimens: apart, inside, within [0, 1], reproducible."""

import numpy as np
import pytest

from tomokit.errors import OptionError
from tomokit.phantom import random_shells, voxelize
from tomokit.phantom.ellipsoids import Ellipsoids
from tomokit.phantom.particles import body, ladder, solid, star, vesicle, virion
from tomokit.phantom.shells import place_particles

SHAPES = [(16, 32, 32), (24, 48, 64), (40, 32, 80), (48, 128, 128), (64, 64, 40)]


def surface_points(ellipsoids: Ellipsoids, n: int = 200) -> np.ndarray:
    """Points on all surfaces, shape (len(ellipsoids), n, 3)."""
    directions = np.random.default_rng(0).normal(size=(n, 3))
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    turned = np.einsum("eij,enj->eni", ellipsoids.rotation, unit * ellipsoids.semi_axes_px[:, None])
    return ellipsoids.centre_xyz_px[:, None] + turned


def inside(envelope: Ellipsoids, points: np.ndarray) -> np.ndarray:
    local = (points - envelope.centre_xyz_px[0]) @ envelope.rotation[0] / envelope.semi_axes_px[0]
    return np.linalg.norm(local, axis=-1)


# Where there are many particles one seed has as many pairs as several elsewhere.
@pytest.mark.parametrize(
    ("seed", "shape"),
    [(seed, shape) for seed in range(3) for shape in SHAPES if seed == 0 or shape not in (SHAPES[2], SHAPES[4])],
)
def test_particles_are_apart_and_in_the_box_at_any_tilt(shape, seed):
    particles = place_particles(shape, seed)
    assert len(particles) >= 5
    envelopes = Ellipsoids.concatenate([particle.envelope for particle in particles])
    points = surface_points(envelopes, 300)
    reach = envelopes.semi_axes_px.max(axis=1)
    for k, particle in enumerate(particles):
        # Those whose circumscribed balls are apart cannot touch.
        distance = np.linalg.norm(envelopes.centre_xyz_px - envelopes.centre_xyz_px[k], axis=1)
        near = np.flatnonzero(distance < reach + reach[k])
        others = points[near[near != k]]
        assert inside(particle.envelope, others).min(initial=np.inf) > 1
        # Nor does one lie wholly within another.
        assert (inside(particle.envelope, np.delete(envelopes.centre_xyz_px, k, axis=0)) > 1).all()
    n_z, n_y, n_x = shape
    assert np.abs(points[..., 2]).max() < n_z / 2
    assert np.abs(points[..., 1]).max() < n_y / 2
    assert np.hypot(points[..., 0], points[..., 2]).max() < n_x / 2


@pytest.mark.parametrize("seed", range(3))
def test_density_lies_between_0_and_1_and_reaches_far(seed):
    shape = (32, 96, 96)
    phantom = random_shells(shape, seed)
    # Where an ellipsoid overlaps another that it should not, some point near its surface or centre shows it.
    edges = phantom.centre_xyz_px[:, None] + 0.97 * (surface_points(phantom, 16) - phantom.centre_xyz_px[:, None])
    density = np.concatenate([phantom.density_at(edges).ravel(), phantom.density_at(phantom.centre_xyz_px)])
    assert density.min() > -1e-12
    assert density.max() < 1 + 1e-12
    assert density.max() > 0.9
    volume = voxelize(phantom, shape)
    assert 0.05 < (volume > 0.01).mean() < 0.4
    assert volume.dtype == np.float32
    assert volume.shape == shape
    assert volume.min() >= 0
    assert volume.max() <= 1 + 1e-6


def test_the_seed_decides():
    first, again, other = (random_shells((32, 64, 64), seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.centre_xyz_px, again.centre_xyz_px)
    np.testing.assert_array_equal(first.density, again.density)
    assert first.centre_xyz_px.shape != other.centre_xyz_px.shape or not np.allclose(
        first.centre_xyz_px, other.centre_xyz_px
    )


@pytest.mark.parametrize("build", [virion, vesicle, body, solid])
def test_parts_stay_in_the_envelope_and_densities_in_range(build):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        particle = build(np.array([22.0, 17.0, 14.0]), 0.8, rng)
        assert inside(particle.envelope, surface_points(particle.parts)).max() < 1 + 1e-9
        density = particle.parts.density_at(rng.uniform(-22, 22, (20_000, 3)))
        assert density.min() > -1e-12
        assert 0.2 < density.max() < 0.8 + 1e-12


@pytest.mark.parametrize("particle", [star(20.0), star(7.0, 8), ladder(4.0), ladder(1.5), ladder(0.5)])
def test_targets_do_not_overlap_themselves_and_fit_their_envelope(particle):
    assert inside(particle.envelope, surface_points(particle.parts)).max() < 1 + 1e-9
    points = surface_points(particle.parts, 400)
    for k in range(len(particle.parts)):
        one = Ellipsoids(*(getattr(particle.parts, name)[k : k + 1] for name in particle.parts.__dataclass_fields__))
        assert inside(one, np.delete(points, k, axis=0)).min() > 1 - 1e-9


def test_ladder_halves_its_pitch_every_two_groups():
    rods = ladder(4.0).parts
    x, width = rods.centre_xyz_px[:, 0], 2 * rods.half_extent_xyz()[:, 0]
    pitch = np.diff(x.reshape(-1, 3), axis=1)
    np.testing.assert_allclose(pitch, np.broadcast_to(2 * width.reshape(-1, 3)[:, :1], pitch.shape))
    np.testing.assert_allclose(width[::3][2:] / width[::3][:-2], 0.5)
    assert width.min() >= 0.7


def test_star_rays_come_closer_towards_the_middle():
    rays = star(20.0, 12).parts
    for radius in (8.0, 11.6, 15.0):
        angles = np.linspace(0, 2 * np.pi, 7200, endpoint=False)
        circle = radius * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
        profile = rays.density_at(circle)
        assert np.count_nonzero(np.diff(profile, append=profile[:1]) > 0) == 12


@pytest.mark.parametrize("shape", [(8, 64, 64), (64, 64, 4)])
def test_a_box_too_small_is_refused(shape):
    with pytest.raises(OptionError, match="too small"):
        random_shells(shape, 0)


def test_targets_can_be_left_out():
    everything, shells = (
        place_particles((32, 96, 96), 1, targets=targets, n_particles=10) for targets in (True, False)
    )
    assert len(shells) <= 10 < len(everything)
