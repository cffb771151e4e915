"""Faults of a geometry are told by the images, and nothing is told where nothing is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tilted_series import images_of, specimen, tilted
from tomokit.diagnosis.axis import judge_axis
from tomokit.diagnosis.bead_plane import bead_plane
from tomokit.diagnosis.bead_tracks import as_aligned, judge_tracks
from tomokit.diagnosis.defocus_gradient import gradient, judge_hand
from tomokit.diagnosis.examine import examine
from tomokit.diagnosis.geometry import Geometry
from tomokit.diagnosis.order import best_path, judge_order
from tomokit.diagnosis.plane import judge_plane
from tomokit.diagnosis.records import judge_records
from tomokit.diagnosis.shifts import judge_shifts
from tomokit.diagnosis.small_views import SmallViews, flat_patches
from tomokit.diagnosis.views import judge_views
from tomokit.fiducials.tracks import Track, predict
from tomokit.geometry import TiltGeometry
from tomokit.io.transforms import align_images

TILT = np.arange(-60.0, 61.0, 4.0)
SIZE = 64


@pytest.fixture(scope="module")
def images() -> NDArray[np.float32]:
    return images_of(specimen("blobs", 3, SIZE), TiltGeometry(TILT, n_u=SIZE, n_v=SIZE))


@pytest.fixture(scope="module")
def small(images: NDArray[np.float32]) -> SmallViews:
    return SmallViews.make(images, None, SIZE // 2)


@pytest.fixture(scope="module")
def shaken(images: NDArray[np.float32]) -> tuple[SmallViews, Geometry]:
    """Raw views, moved out of their places, and the geometry that aligns them."""
    geometry = Geometry.aligned(TILT)
    geometry.transform[:, 4:] = np.random.default_rng(1).normal(0, 2.0, (TILT.size, 2))
    back = geometry.with_shifts_scaled(-1.0)
    return SmallViews.make(align_images(images, back.transform)[0], None, SIZE // 2), geometry


def test_nothing_is_told_where_nothing_is_wrong(images: NDArray[np.float32]) -> None:
    diagnosis = examine(images, None, Geometry.aligned(TILT))
    assert diagnosis.findings == []
    assert not diagnosis.is_mended
    decided = {one.name for one in diagnosis.judgements if one.decided}
    assert {"order", "tilt axis", "views"} <= decided
    assert "hand" not in decided


@pytest.mark.parametrize("turn", [90.0, -90.0, 12.0])
def test_a_turned_axis_is_told(small: SmallViews, turn: float) -> None:
    (finding,) = judge_axis(small, Geometry.aligned(TILT).turned(turn)).findings
    assert finding.geometry is not None
    a11, a12, a21, a22 = finding.geometry.transform[0, :4]
    left = np.rad2deg(np.arctan2(a21 - a12, a11 + a22))
    # Up and down are the same: 180 degrees are all angles negated.
    assert min(abs(left), 180 - abs(left)) < 3


def test_an_order_of_acquisition_is_told_and_mended(small: SmallViews) -> None:
    right = Geometry.aligned(TILT)
    views = small.align(right)[0]
    assert judge_order(views, right).findings == ()
    acquired = np.array(sorted(TILT, key=lambda angle: (abs(angle), angle)))
    (finding,) = judge_order(views, right.with_angles(acquired)).findings
    assert finding.geometry is not None
    assert np.array_equal(finding.geometry.tilt_deg, TILT)


def test_the_order_of_noise_is_not_told() -> None:
    noise = np.random.default_rng(0).normal(size=(31, 32, 32)).astype(np.float32)
    common = noise + np.random.default_rng(1).normal(size=(32, 32)).astype(np.float32)
    for views in (noise, common):
        judgement = judge_order(views, Geometry.aligned(TILT))
        assert (judgement.decided, judgement.findings) == (False, ())


@pytest.mark.parametrize("factor", [2.0, 0.5, 4.0])
def test_shifts_in_other_pixels_are_told(shaken: tuple[SmallViews, Geometry], factor: float) -> None:
    small, right = shaken
    assert judge_shifts(small, right).decided
    assert judge_shifts(small, right).findings == ()
    (finding,) = judge_shifts(small, right.with_shifts_scaled(factor)).findings
    assert finding.geometry is not None
    np.testing.assert_allclose(finding.geometry.shifts_px, right.shifts_px)


def test_without_shifts_their_unit_is_not_decidable(small: SmallViews) -> None:
    assert not judge_shifts(small, Geometry.aligned(TILT)).decided


def test_a_view_out_of_place_is_told_and_moved_back(small: SmallViews) -> None:
    right = Geometry.aligned(TILT)
    assert judge_views(small, right).findings == ()
    (finding,) = judge_views(small, right.moved(11, np.array([5.0, -4.0]))).findings
    assert finding.geometry is not None
    assert "view 11" in finding.what
    assert np.abs(finding.geometry.shifts_px).max() < 1.5


@pytest.mark.parametrize(("tilt", "x_tilt"), [(0.0, 0.0), (10.0, 2.0), (-8.0, -6.0)])
def test_the_plane_of_a_specimen(tilt: float, x_tilt: float) -> None:
    geometry = TiltGeometry(TILT, n_u=96, n_v=96)
    images = images_of(tilted(specimen("beads", 1, 96), tilt, x_tilt), geometry)
    judgement = judge_plane(SmallViews.make(images, None, 48), Geometry.aligned(TILT))
    figures = judgement.figures
    assert figures["tilt_deg"] == pytest.approx(tilt, abs=1.5)
    assert figures["x_tilt_deg"] == pytest.approx(x_tilt, abs=1.5)
    assert bool(judgement.findings) == (abs(tilt) > 4)


def test_levelling_by_the_options_levels() -> None:
    """The option that is told has the sign of the angles and of the frame."""
    geometry = TiltGeometry(TILT, n_u=96, n_v=96)
    images = images_of(tilted(specimen("beads", 1, 96), 10.0, 0.0), geometry)
    small = SmallViews.make(images, None, 48)
    (finding,) = judge_plane(small, Geometry.aligned(TILT)).findings
    (option,) = finding.options
    offset = float(option.removeprefix("--tilt-offset "))
    level = judge_plane(small, Geometry.aligned(TILT + offset))
    assert level.figures["tilt_deg"] == pytest.approx(0.0, abs=1.5)


def tracks_of(tilt: NDArray[np.float64]) -> list[Track]:
    rng = np.random.default_rng(5)
    tracks = []
    for x, y, z in rng.uniform(-200, 200, (5, 3)):
        u, v = predict((x, y, z), tilt)
        noise = rng.normal(0, 0.3, (2, tilt.size))
        tracks.append(Track(np.arange(tilt.size), u + noise[0], v + noise[1]))
    return tracks


def test_tracks_tell_a_reversed_order_of_uneven_angles() -> None:
    uneven = TILT + np.where(TILT > 20, 2.0, 0.0)
    assert judge_tracks(tracks_of(uneven), Geometry.aligned(uneven)).decided
    (finding,) = judge_tracks(tracks_of(uneven), Geometry.aligned(uneven[::-1])).findings
    assert finding.geometry is not None
    assert np.array_equal(finding.geometry.tilt_deg, uneven)


def test_tracks_tell_neither_sign_nor_order_of_even_angles() -> None:
    tracks = tracks_of(TILT)
    for angles in (TILT, -TILT, TILT[::-1]):
        judgement = judge_tracks(tracks, Geometry.aligned(angles))
        assert not judgement.decided
        assert judgement.findings == ()


def test_the_tracks_of_a_real_series(shared_data) -> None:
    """EMPIAR-10643-40: its refined angles are uneven enough that beads tell a reversed order."""
    from tomokit.fiducials.model import model_tracks, read_fiducials

    tilt = np.loadtxt(shared_data / "empiar-10643-40" / "tilts.tlt")
    model = read_fiducials(shared_data / "empiar-10643-40" / "fiducials.txt")
    tracks = model_tracks(model, TiltGeometry(tilt, n_u=820, n_v=820))
    assert judge_tracks(tracks, Geometry.aligned(tilt)).findings == ()
    (finding,) = judge_tracks(tracks, Geometry.aligned(tilt[::-1].copy())).findings
    assert "reversed" in finding.what
    # They lie scattered through the ice: the slope that gathers them best is 14 degrees, where the particles lie level.
    assert bead_plane(tracks, tilt) is None


def ringed_views(tilt: NDArray[np.float64], hand: float) -> NDArray[np.float32]:
    """Views of noise under a contrast transfer function whose defocus grows along u with the tilt."""
    n, strip = 256, 32
    rng = np.random.default_rng(0)
    k2 = np.fft.fftfreq(n)[:, None] ** 2 + np.fft.rfftfreq(n)[None, :] ** 2
    views = np.empty((tilt.size, n, n), np.float32)
    for view, angle in enumerate(tilt):
        spectrum = np.fft.rfft2(rng.normal(size=(n, n)))
        for left in range(0, n, strip):
            u = left + strip / 2 - n / 2
            defocus = 24.0 * (1 + hand * 8e-4 * u * np.tan(np.deg2rad(angle)))
            filtered = np.fft.irfft2(spectrum * np.sin(np.pi * defocus * k2), (n, n))
            views[view, :, left : left + strip] = filtered[:, left : left + strip]
    return views + 0.1 * rng.normal(size=views.shape).astype(np.float32) + 10


@pytest.mark.parametrize("hand", [1.0, -1.0])
def test_the_defocus_gradient_tells_the_hand(hand: float) -> None:
    judgement = judge_hand(ringed_views(TILT, hand), None, Geometry.aligned(TILT))
    assert judgement.decided
    assert bool(judgement.findings) == (hand < 0)
    if judgement.findings and judgement.findings[0].geometry is not None:
        assert np.array_equal(judgement.findings[0].geometry.tilt_deg, -TILT)


def test_without_rings_the_hand_is_not_decidable() -> None:
    views = np.random.default_rng(1).normal(10, 1, (TILT.size, 256, 256)).astype(np.float32)
    judgement = judge_hand(views, None, Geometry.aligned(TILT))
    assert not judgement.decided
    assert "not decidable" in judgement.summary


def test_a_gradient_of_nothing_is_nothing() -> None:
    assert gradient(np.zeros((4, 3, 64)), np.ones((4, 3)), np.ones((4, 3), bool)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t + 2.5, None),
        (lambda t: -t, "negated"),
        (lambda t: t[::-1], "reversed"),
        (lambda t: np.roll(t, 7), "another order"),
        (lambda t: t[:-1], None),
    ],
)
def test_records_that_contradict_are_told(change, told: str | None) -> None:
    uneven = np.where(TILT > 20, TILT + 3.0, TILT)
    judgement = judge_records(Geometry.aligned(change(uneven)), {"ts.mdoc": uneven}, {})
    assert [told in finding.what for finding in judgement.findings] == ([True] if told else [])


def test_a_rotation_is_held_against_the_recorded_axis() -> None:
    right = Geometry.aligned(TILT).turned(-85.0)
    assert judge_records(right, {}, {"ts.mdoc": 85.3}).findings == ()
    (upside_down,) = judge_records(right, {}, {"ts.mdoc": -94.7}).findings
    assert "180 degrees" in upside_down.what
    (crossed,) = judge_records(right, {}, {"ts.mdoc": -5.0}).findings
    assert "90 degrees" in crossed.what


def test_the_best_path_is_found_from_a_shuffled_order() -> None:
    place = np.random.default_rng(2).permutation(15)
    likeness = np.exp(-np.abs(place[:, None] - place[None, :]) / 3.0)
    path = place[best_path(likeness, np.arange(15))]
    assert np.array_equal(path if path[0] == 0 else path[::-1], np.arange(15))


def test_flat_patches_are_found() -> None:
    image = np.random.default_rng(3).normal(size=(40, 40))
    image[5:15, 20:30] = 0.0
    flat = flat_patches(image)
    assert flat[5:15, 20:30].all()
    assert flat.sum() == 100


def test_faults_together(images: NDArray[np.float32]) -> None:
    acquired = np.array(sorted(TILT, key=lambda angle: (abs(angle), angle)))
    diagnosis = examine(images, None, Geometry.aligned(acquired).turned(90))
    assert [one.name for one in diagnosis.judgements if one.findings] == ["order", "tilt axis"]
    assert np.array_equal(diagnosis.mended.tilt_deg, TILT)
    assert diagnosis.to_json()["findings"][0]["certainty"] in ("certain", "likely")


def test_shifts_in_other_pixels_are_no_other_order() -> None:
    """Views out of place by twice their shifts have a best path of their own, which is no order of angles."""
    tilt = np.arange(-60.0, 61.0, 3.0)
    images = images_of(specimen("blobs", 0), TiltGeometry(tilt, n_u=128, n_v=128), noise=0.5, seed=0)
    geometry = Geometry.aligned(tilt)
    geometry.transform[:, 4:] = np.random.default_rng(0).normal(0, 2.0, (tilt.size, 2))
    raw, _ = align_images(images, geometry.with_shifts_scaled(-1.0).transform)
    twice = geometry.with_shifts_scaled(2.0)
    assert judge_order(SmallViews.make(raw, None, 64).align(twice)[0], twice).findings
    diagnosis = examine(raw, None, twice)
    assert [one.name for one in diagnosis.judgements if one.findings] == ["binning"]
    np.testing.assert_array_equal(diagnosis.mended.tilt_deg, tilt)
    np.testing.assert_allclose(diagnosis.mended.shifts_px, geometry.shifts_px)


def test_beads_tell_how_a_thick_specimen_lies() -> None:
    geometry = Geometry.aligned(TILT)
    rng = np.random.default_rng(2)
    xy = rng.uniform(-60, 60, (20, 2))
    slopes = np.tan(np.deg2rad([10.0, -4.0]))
    z = xy @ slopes + rng.choice([-40.0, 40.0], 20) + rng.normal(0, 1, 20)
    seen = [predict(place, TILT) for place in np.column_stack([xy, z])]
    tracks = [Track(np.arange(TILT.size), u, v) for u, v in seen]
    found = bead_plane(tracks, TILT)
    assert found is not None
    assert found.tilt_deg == pytest.approx(10, abs=1)
    assert found.x_tilt_deg == pytest.approx(-4, abs=1)
    assert found.distance_px == pytest.approx(80, abs=2)
    assert max(found.errors_deg) < 1
    small = SmallViews(np.zeros((TILT.size, 64, 64), np.float32), np.ones((TILT.size, 64, 64), np.float32), 1, 2)
    (finding,) = judge_plane(small, geometry, tracks=tracks).findings
    assert finding.options == (f"--tilt-offset {found.tilt_deg:.1f}",)
    # In one layer, and scattered through a slab as thick as these are apart, which is no layer.
    shares = rng.uniform(-40, 40, 20)
    flat, scattered = (
        bead_plane(
            [Track(np.arange(TILT.size), *predict(place, TILT)) for place in np.column_stack([xy, heights])], TILT
        )
        for heights in (xy @ slopes + shares / 40, xy @ slopes + shares)
    )
    assert scattered is None
    assert flat is not None
    assert flat.distance_px == 0
    assert flat[:2] == pytest.approx((10, -4), abs=0.5)
    # Eleven beads are too few, and beads in a row say nothing across it.
    assert bead_plane(tracks[:11], TILT) is None
    row = [replace(track, v_px=np.zeros_like(track.v_px)) for track in tracks]
    assert bead_plane(row, TILT) is None


def test_tracks_follow_the_views_that_are_aligned_otherwise() -> None:
    before = Geometry.aligned(TILT)
    before.transform[:, 4:] = np.random.default_rng(0).normal(0, 3, (TILT.size, 2))
    (track,) = tracks_of(TILT)[:1]
    turned = as_aligned([track], before, before.turned(90))[0]
    np.testing.assert_allclose(turned.u_px, -track.v_px, atol=1e-9)
    np.testing.assert_allclose(turned.v_px, track.u_px, atol=1e-9)
    halved = as_aligned([track], before, before.with_shifts_scaled(0.5))[0]
    np.testing.assert_allclose(halved.u_px, track.u_px - before.shifts_px[track.views, 0] / 2)
