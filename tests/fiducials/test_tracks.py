"""3-D positions of tracks: exact without noise, unmoved by wrong positions, and honest about wrong geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bead_series import BEADS, GEOMETRY, TILT_DEG

from tomokit.errors import InputError
from tomokit.fiducials.linking import link_points
from tomokit.fiducials.model import model_tracks, read_fiducials
from tomokit.fiducials.tracks import Track, fit_tracks, predict
from tomokit.geometry import TiltGeometry

VIEWS = np.arange(TILT_DEG.size)


def _tracks(geometry: TiltGeometry = GEOMETRY) -> list[Track]:
    u, v = geometry.locate(BEADS)
    return [Track(VIEWS, u[:, bead], v[:, bead]) for bead in range(len(BEADS))]


def test_positions_are_exact_where_tracks_are() -> None:
    for fit, bead in zip(fit_tracks(_tracks(), TILT_DEG), BEADS, strict=True):
        np.testing.assert_allclose(fit.xyz_px, bead, atol=1e-9)
        assert fit.rms_px < 1e-9
        assert fit.depth_known


def test_a_fit_projects_back_to_its_track_as_the_geometry_does() -> None:
    u, v = GEOMETRY.locate(BEADS)
    for bead, xyz in enumerate(BEADS):
        np.testing.assert_allclose(predict(xyz, TILT_DEG), (u[:, bead], v[:, bead]), atol=1e-12)


def test_residual_shifts_of_views_are_taken_off() -> None:
    rng = np.random.default_rng(3)
    shifts = rng.normal(size=(2, TILT_DEG.size))
    geometry = TiltGeometry(TILT_DEG, 128, 120, *shifts)
    fits = fit_tracks(_tracks(geometry), TILT_DEG, shift_u_px=shifts[0], shift_v_px=shifts[1])
    np.testing.assert_allclose([fit.xyz_px for fit in fits], BEADS, atol=1e-9)


def test_a_few_wrong_positions_have_no_say() -> None:
    track = _tracks()[0]
    u = track.u_px + np.random.default_rng(0).normal(0, 0.3, track.u_px.size)
    u[2], u[8] = u[2] + 25, u[8] - 40
    (fit,) = fit_tracks([Track(VIEWS, u, track.v_px)], TILT_DEG)
    np.testing.assert_allclose(fit.xyz_px, BEADS[0], atol=0.5)
    assert np.flatnonzero(~fit.used).tolist() == [2, 8]
    assert 0.1 < fit.rms_px < 0.6


def test_the_residual_tells_a_tilt_axis_that_is_off_by_90_degrees() -> None:
    turned = [Track(VIEWS, track.v_px, track.u_px) for track in _tracks()]
    assert min(fit.rms_px for fit in fit_tracks(turned, TILT_DEG)) > 2


def test_the_sign_of_all_angles_turns_depth_around_and_no_more() -> None:
    for fit, bead in zip(fit_tracks(_tracks(), -TILT_DEG), BEADS, strict=True):
        np.testing.assert_allclose(fit.xyz_px, bead * [1, 1, -1], atol=1e-9)


def test_views_close_together_leave_the_depth_open() -> None:
    u, v = GEOMETRY.locate(BEADS[:1])
    (fit,) = fit_tracks([Track(VIEWS[5:6], u[5:6, 0], v[5:6, 0])], TILT_DEG)
    assert not fit.depth_known
    assert fit.xyz_px[2] == 0


def test_a_view_without_an_angle_is_refused() -> None:
    with pytest.raises(InputError, match="views 0 to 10"):
        fit_tracks([Track(np.array([11]), np.zeros(1), np.zeros(1))], TILT_DEG)


def test_points_are_linked_and_strangers_stay_loose() -> None:
    rng = np.random.default_rng(1)
    u, v = GEOMETRY.locate(BEADS)
    n_strangers = 60
    views = np.r_[np.repeat(VIEWS, len(BEADS)), rng.integers(0, VIEWS.size, n_strangers)]
    all_u = np.r_[u.ravel(), rng.uniform(-60, 60, n_strangers)] + rng.normal(0, 0.2, views.size)
    all_v = np.r_[v.ravel(), rng.uniform(-60, 60, n_strangers)] + rng.normal(0, 0.2, views.size)
    tracks, loose = link_points(
        views, all_u, all_v, np.ones(views.size), TILT_DEG, tolerance_px=1.5, least_views=6, largest_z_px=64
    )
    assert len(tracks) == len(BEADS)
    assert all(len(track) == VIEWS.size and len({int(p) % len(BEADS) for p in track}) == 1 for track in tracks)
    assert loose.size == n_strangers


def test_real_tracks_fit_to_a_third_to_half_a_pixel(shared_data: Path) -> None:
    folder = shared_data / "empiar-10643-40"
    tilt = np.loadtxt(folder / "tilts.tlt")
    tracks = model_tracks(read_fiducials(folder / "fiducials.txt"), TiltGeometry(tilt, 820, 820))
    whole = [track for track in tracks if track.name in {f"contour {n}" for n in range(1, 6)}]
    rms = [fit.rms_u_px for fit in fit_tracks(whole, tilt)]
    assert len(rms) == 5
    assert 0.25 < min(rms) < max(rms) < 0.5
