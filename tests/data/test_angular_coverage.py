"""Angular coverage where the answer is known: all directions, one view, a masked bead, the detector's edge."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tomokit.data.angular_coverage import angular_coverage, typical_arc_rad
from tomokit.geometry import TiltGeometry

N_U, N_V, N_Z = 21, 5, 9


def covered(tilts: object, arc_deg: float, mask: np.ndarray | None = None, **shifts: object) -> np.ndarray:
    return angular_coverage(TiltGeometry(tilts, N_U, N_V, **shifts), mask, N_Z, math.radians(arc_deg))


def test_views_all_around_cover_everything_in_the_middle() -> None:
    tilts = np.arange(-90, 90, 3.0)
    middle = covered(tilts, 3)[N_U // 2 - 3 : N_U // 2 + 4]
    np.testing.assert_allclose(middle, 1, rtol=1e-6)


@pytest.mark.parametrize("tilt", [-75.0, 0.0, 42.5])
def test_one_view_covers_its_own_arc_where_it_sees(tilt: float) -> None:
    found = covered([tilt], 3)
    x = np.arange(N_U)[:, None] - (N_U - 1) / 2
    z = np.arange(N_Z)[None] - (N_Z - 1) / 2
    u = x * math.cos(math.radians(tilt)) - z * math.sin(math.radians(tilt))
    seen = np.abs(u) < N_U / 2
    np.testing.assert_allclose(found, np.where(seen, 3 / 180, 0)[:, :, None] * np.ones(N_V), rtol=1e-5)


def test_the_arcs_of_views_that_lie_close_are_counted_once() -> None:
    middle = covered([0, 1, 2, 40], 3)[N_U // 2, N_Z // 2, 0]
    # From 0 to 2 with half an arc on either side, and one arc for itself.
    assert middle == pytest.approx((2 + 3 + 3) / 180, rel=1e-5)
    assert covered([-90, 90], 3)[N_U // 2, N_Z // 2, 0] == pytest.approx(3 / 180, rel=1e-5)
    # Across 90 degrees, where the directions close.
    assert covered([-89.5, 89.5], 3)[N_U // 2, N_Z // 2, 0] == pytest.approx(4 / 180, rel=1e-4)


def test_a_masked_bead_lowers_it_along_its_ray_alone() -> None:
    tilts = np.arange(-60, 61, 3.0)
    mask = np.ones((tilts.size, N_U, N_V), np.float32)
    mask[30, 8, 2] = 0
    lost = covered(tilts, 3) - covered(tilts, 3, mask)
    theta = math.radians(tilts[30])
    x = np.arange(N_U)[:, None] - (N_U - 1) / 2
    z = np.arange(N_Z)[None] - (N_Z - 1) / 2
    on_ray = np.abs(x * math.cos(theta) - z * math.sin(theta) - (8 - (N_U - 1) / 2)) < 0.5
    np.testing.assert_allclose(lost[:, :, 2], np.where(on_ray, 3 / 180, 0), atol=1e-6)
    assert np.abs(lost[:, :, [0, 1, 3, 4]]).max() == 0


def test_shifts_move_what_a_view_sees() -> None:
    found = covered([0.0], 3, shift_u_px=[4.0], shift_v_px=[-2.0])
    seen = np.zeros((N_U, N_V))
    seen[: N_U - 4, 2:] = 3 / 180
    np.testing.assert_allclose(found, seen[:, None] * np.ones((1, N_Z, 1)), rtol=1e-5)


def test_the_typical_arc_is_the_step_of_the_series() -> None:
    assert math.degrees(typical_arc_rad(np.radians(np.arange(-60, 61, 3.0)), 50)) == pytest.approx(3)
    assert math.degrees(typical_arc_rad(np.radians([30.0, -30.0]), 50)) == pytest.approx(60)
    assert math.degrees(typical_arc_rad(np.radians(np.arange(-90, 91, 30.0)), 50)) == pytest.approx(30)
    assert typical_arc_rad(np.zeros(1), 50) == pytest.approx(2 / 50)
    full = np.arange(-60, 61, 3.0)
    assert covered(full, 3)[N_U // 2, N_Z // 2, 0] == pytest.approx(41 * 3 / 180, rel=1e-5)
