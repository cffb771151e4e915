"""The conventions as numbers: centres, signs, units, and what is refused."""

import numpy as np
import pytest

from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry, centre


def test_centre_lies_between_the_middle_pixels_of_an_even_axis():
    assert [centre(n) for n in (1, 2, 3, 8)] == [0.0, 0.5, 1.0, 3.5]


def test_known_points_appear_where_the_convention_says():
    geometry = TiltGeometry([0.0, 90.0, -90.0, 30.0], n_u=10, n_v=10)
    u, v = geometry.locate([[1.0, 2.0, 3.0], [0.0, -5.0, 4.0]])
    assert u.shape == v.shape == (4, 2)
    root = np.sqrt(3) / 2
    np.testing.assert_allclose(u[:, 0], [1.0, -3.0, 3.0, root - 1.5], atol=1e-12)
    np.testing.assert_allclose(u[:, 1], [0.0, -4.0, 4.0, -2.0], atol=1e-12)
    np.testing.assert_allclose(v, np.broadcast_to([2.0, -5.0], (4, 2)))


def test_positive_z_moves_to_negative_x_at_positive_tilt():
    u, _ = TiltGeometry([-45.0, 45.0], 4, 4).locate([0.0, 0.0, 1.0])
    np.testing.assert_allclose(u[:, 0], [np.sqrt(0.5), -np.sqrt(0.5)])


def test_shifts_add_to_the_position_in_their_view_only():
    geometry = TiltGeometry([0.0, 20.0], 8, 6, [0.0, 1.5], [-2.0, 0.0])
    u, v = geometry.locate([0.0, 1.0, 0.0])
    np.testing.assert_allclose(u[:, 0], [0.0, 1.5])
    np.testing.assert_allclose(v[:, 0], [-1.0, 1.0])


def test_units_and_scale():
    geometry = TiltGeometry([0.0, 180.0], n_u=250, n_v=3)
    np.testing.assert_allclose(geometry.tilt_rad, [0, np.pi])
    assert geometry.kappa == pytest.approx(0.004)
    assert geometry.n_views == 2


def test_shifts_are_zero_unless_given():
    geometry = TiltGeometry([1.0, 2.0, 3.0], 4, 4)
    assert geometry.shift_u_px.tolist() == geometry.shift_v_px.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("index", [[2, 0], np.array([True, False, True])])
def test_select_takes_angles_and_shifts_together(index):
    geometry = TiltGeometry([-10.0, 0.0, 10.0], 5, 4, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    part = geometry.select(index)
    order = [2, 0] if isinstance(index, list) else [0, 2]
    np.testing.assert_array_equal(part.tilt_deg, geometry.tilt_deg[order])
    np.testing.assert_array_equal(part.shift_u_px, geometry.shift_u_px[order])
    np.testing.assert_array_equal(part.shift_v_px, geometry.shift_v_px[order])
    assert (part.n_u, part.n_v, part.n_views) == (5, 4, 2)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([0.0, np.nan], 4, 4), "tilt_deg"),
        (([0.0, np.inf], 4, 4), "tilt_deg"),
        (([0.0, 1.0], 4, 4, [1.0]), "shift_u_px"),
        (([0.0, 1.0], 4, 4, [0.0, 0.0], [1.0, 2.0, 3.0]), "shift_v_px"),
        (([0.0, 1.0], 4, 4, [np.nan, 0.0]), "shift_u_px"),
        (([0.0], 0, 4), "n_u"),
        (([0.0], 4, -1), "n_v"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments, named):
    with pytest.raises(InputError, match=named):
        TiltGeometry(*arguments)
