"""The crowded slab: rays through its surfaces, what they cut, and what lies beyond the field of view."""

from dataclasses import replace

import numpy as np
import pytest

from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry, centre
from tomokit.phantom import Ellipsoids, project_analytic
from tomokit.phantom.crowded import Reach, crowded_specimen
from tomokit.phantom.layer import STEEPEST, Layer, Surface
from tomokit.phantom.room import Room
from tomokit.phantom.specimen import Specimen, divide_by_layer

SHAPE = (24, 40, 40)
TILTS = np.array([-60.0, 0.0, 60.0])
NO_WAVES = (np.zeros((0, 2)), np.zeros(0), np.zeros(0))


@pytest.fixture(scope="module")
def crowded() -> Specimen:
    return crowded_specimen(SHAPE, 3, pixel_size_angstrom=10, reach=Reach.of_views(SHAPE, TILTS))


def flat_layer(half_px: float, density: float) -> Layer:
    return Layer(Surface(-half_px, *NO_WAVES), Surface(half_px, *NO_WAVES), density)


def some_ellipsoids() -> Ellipsoids:
    rng = np.random.default_rng(5)
    rotation = np.linalg.qr(rng.normal(size=(6, 3, 3)))[0]
    return Ellipsoids(rng.uniform(-8, 8, (6, 3)), rng.uniform(3, 9, (6, 3)), rotation, rng.uniform(-1, 1, 6))


@pytest.mark.parametrize("tilt_deg", [-80.0, -41.0, 0.0, 80.0])
def test_a_ray_meets_a_surface_where_its_height_is_that_of_the_ray(tilt_deg):
    surface = Surface.random(10.0, 8.0, 40.0, np.random.default_rng(1))
    tilt, (u, v) = np.deg2rad(tilt_deg), np.meshgrid(np.linspace(-60, 60, 41), np.linspace(-50, 50, 31))
    w = surface.depth(tilt, u, v)
    x, z = u * np.cos(tilt) + w * np.sin(tilt), -u * np.sin(tilt) + w * np.cos(tilt)
    np.testing.assert_allclose(surface.height(x, v), z, atol=1e-5)
    x = np.linspace(-100, 100, 5001)
    assert np.abs(surface.slope_x(x, 0 * x)).max() <= STEEPEST
    np.testing.assert_allclose(
        np.gradient(surface.height(x, 0 * x), x)[1:-1], surface.slope_x(x, 0 * x)[1:-1], atol=1e-4
    )


def test_a_flat_layer_is_its_thickness_over_the_cosine():
    nothing = Ellipsoids.concatenate([])
    angles = np.array([-80.0, -30.0, 0.0, 60.0])
    images = Specimen(nothing, nothing, flat_layer(7.25, 0.6)).project(TiltGeometry(angles, 12, 10), turned_deg=17.0)
    expected = 0.6 * 14.5 / np.cos(np.deg2rad(angles))
    np.testing.assert_allclose(images, np.broadcast_to(expected[:, None, None], images.shape), rtol=1e-6)


@pytest.mark.parametrize("turned_deg", [0.0, 33.0])
def test_what_no_surface_cuts_is_projected_as_it_is_without_a_layer(turned_deg):
    some = some_ellipsoids()
    geometry = TiltGeometry([-55.0, 20.0], 40, 36, np.array([1.5, -2.0]), np.array([0.5, 3.0]))
    whole = project_analytic(some, geometry, 8, turned_deg=turned_deg)
    cut = Specimen(Ellipsoids.concatenate([]), some, flat_layer(90.0, 0.0)).project(geometry, 8, turned_deg=turned_deg)
    assert np.linalg.norm(cut - whole) < 2e-3 * np.linalg.norm(whole)


def test_a_cut_ball_is_what_marching_along_the_beam_finds():
    ball = Ellipsoids(np.array([[2.0, -1.0, 6.0]]), np.full((1, 3), 8.0), np.eye(3)[None], np.ones(1))
    layer = Layer(flat_layer(9.0, 0).bottom, Surface.random(9.0, 1.0, 30.0, np.random.default_rng(2)), 0.0)
    tilt = np.deg2rad(38.0)
    image = Specimen(Ellipsoids.concatenate([]), ball, layer).project(TiltGeometry([38.0], 32, 30), 7)[0]
    depth = np.linspace(-30, 30, 3001)
    for row, column in ((14, 12), (10, 17), (16, 9)):
        part = (np.arange(5) + 0.5) / 5 - 0.5
        v, u = (a.ravel()[:, None] for a in np.meshgrid(row - centre(30) + part, column - centre(32) + part))
        x, z = u * np.cos(tilt) + depth * np.sin(tilt), -u * np.sin(tilt) + depth * np.cos(tilt)
        y = np.broadcast_to(v, x.shape)
        inside = ball.density_at(np.stack([x, y, z], -1)) * (z < layer.top.height(x, y))
        assert image[row, column] == pytest.approx(inside.sum(axis=1).mean() * (depth[1] - depth[0]), abs=0.06)


def test_ellipsoids_are_divided_by_where_the_surfaces_are():
    layer = flat_layer(10.0, 0.6)
    heights = np.array([0.0, 9.0, -9.0, 14.0, -30.0])
    balls = Ellipsoids(
        np.column_stack([np.zeros((5, 2)), heights]),
        np.full((5, 3), 3.0),
        np.tile(np.eye(3), (5, 1, 1)),
        np.arange(5.0),
    )
    whole, cut = divide_by_layer(balls, layer)
    assert (whole.density.tolist(), cut.density.tolist()) == ([0.0], [1.0, 2.0])


def test_view_at_zero_is_the_sum_of_the_voxels(crowded: Specimen):
    image = crowded.project(TiltGeometry([0.0], 40, 40), 6)[0]
    summed = crowded.voxelize(SHAPE, 6).sum(axis=0)
    assert image.mean() == pytest.approx(summed.mean(), rel=1e-3)
    assert np.linalg.norm(image - summed) < 0.01 * np.linalg.norm(summed)
    contrast = image - image.mean()
    assert np.linalg.norm(contrast - (summed - summed.mean())) < 0.06 * np.linalg.norm(contrast)


def test_views_turned_by_a_right_angle_are_the_turned_views(crowded: Specimen):
    geometry = TiltGeometry([-60.0, 25.0], 40, 40)
    plain = crowded.project(geometry, 6)
    turned = crowded.project(geometry, 6, turned_deg=90.0)
    # Rows run upward: what lay along +x comes to lie along +y.
    expected = np.rot90(plain, -1, axes=(1, 2))
    assert np.linalg.norm(turned - expected) < 2e-3 * np.linalg.norm(expected)


def test_what_lies_beyond_the_field_is_seen_at_high_tilt_only(crowded: Specimen):
    geometry = TiltGeometry(TILTS, 40, 40)

    def within(some: Ellipsoids) -> Ellipsoids:
        inside = (np.abs(some.centre_xyz_px[:, :2]) < 20 + some.half_extent_xyz()[:, :2]).all(axis=1)
        return Ellipsoids(
            *(getattr(some, name)[inside] for name in ("centre_xyz_px", "semi_axes_px", "rotation", "density"))
        )

    alone = replace(crowded, whole=within(crowded.whole), cut=within(crowded.cut))
    every, field = crowded.project(geometry), alone.project(geometry)
    np.testing.assert_allclose(every[1], field[1], rtol=1e-5)
    for view in (0, 2):
        difference = every[view] - field[view]
        assert difference.std() > 0.2 * every[view].std()
        # The middle of the detector sees what lies over and under the field's middle.
        assert np.abs(difference[:, :4]).mean() > 10 * np.abs(difference[:, 18:22]).mean()


def test_no_view_sees_the_end_of_the_slab(crowded: Specimen):
    # Views of a detector that is turned, moved and has a margin are as full at their edges as in their middle.
    geometry = TiltGeometry([-60.0, 60.0], 120, 120, np.array([10.0, 10.0]), np.array([10.0, 10.0]))
    images = crowded.project(geometry, 1, turned_deg=45.0)
    ice = Specimen(Ellipsoids.concatenate([]), Ellipsoids.concatenate([]), crowded.layer).project(
        geometry, 1, turned_deg=45.0
    )
    molecules = images - ice
    middle = molecules[:, 40:80, 40:80].mean()
    for edge in (molecules[:, :8], molecules[:, -8:], molecules[:, :, :8], molecules[:, :, -8:]):
        assert edge.mean() > 0.5 * middle


def test_density_is_everywhere_and_bounded(crowded: Specimen):
    truth = crowded.voxelize(SHAPE)
    assert truth.dtype == np.float32
    inside = truth[5:-5]
    assert inside.min() > 0.3
    assert np.percentile(inside, 99) < 1.3
    assert inside.std() > 0.05
    assert truth[0].max() < 1e-6


def test_the_seed_decides(crowded: Specimen):
    reach = Reach.of_views(SHAPE, TILTS)
    again = crowded_specimen(SHAPE, 3, pixel_size_angstrom=10, reach=reach)
    np.testing.assert_array_equal(again.whole.centre_xyz_px, crowded.whole.centre_xyz_px)
    beads = crowded_specimen(SHAPE, 3, pixel_size_angstrom=10, reach=reach, gold=3)
    assert len(beads.whole) == len(crowded.whole) + len(beads.gold_xyz_px)
    assert (np.abs(beads.gold_xyz_px[:3, :2]) < 20).all()
    assert np.count_nonzero((np.abs(beads.gold_xyz_px[:, :2]) < 20).all(axis=1)) == 3


@pytest.mark.parametrize(("shape", "tilts"), [((8, 64, 64), [0.0]), ((24, 40, 40), [-60.0, 81.0])])
def test_impossible_fields_are_refused(shape, tilts):
    with pytest.raises(OptionError, match=r"--shape|--tilts"):
        crowded_specimen(shape, 1, pixel_size_angstrom=10, reach=Reach.of_views(shape, np.array(tilts)))


def test_balls_that_find_room_keep_apart():
    room = Room(np.array([20.0, 20.0, 20.0]), cell_px=1.0)
    rng = np.random.default_rng(0)
    place, placed = room.place_balls(rng.uniform(-15, 15, (300, 8, 3)), np.full(300, 4.0))
    assert 20 < len(place) == placed.sum() < 300
    distance = np.linalg.norm(place[:, None] - place[None], axis=-1) + 100 * np.eye(len(place))
    assert distance.min() > 2 * 4.0 - np.sqrt(3)
    assert room.is_taken(place).all()
    assert room.is_taken(np.array([[25.0, 0, 0]])).all()
    assert not room.place_wall(np.zeros(3), np.eye(3), np.full(3, 12.0), 3.0)
    assert Room(np.full(3, 20.0)).place_wall(np.zeros(3), np.eye(3), np.full(3, 12.0), 3.0)
