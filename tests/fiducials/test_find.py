"""Beads found without a model, and models placed where the images have their beads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bead_series import BEADS, GEOMETRY, RADIUS_PX, TILT_DEG, bead_series

from tomokit.errors import InputError, OptionError
from tomokit.fiducials.beads import Disc, draw_discs
from tomokit.fiducials.find import find_beads
from tomokit.fiducials.place import place_beads
from tomokit.fiducials.tracks import Track
from tomokit.geometry import TiltGeometry


def _tracks(shift: tuple[float, float] = (0.0, 0.0), views: slice = slice(None)) -> list[Track]:
    u, v = GEOMETRY.locate(BEADS)
    at = np.arange(TILT_DEG.size)[views]
    return [Track(at, u[views, bead] + shift[0], v[views, bead] + shift[1]) for bead in range(len(BEADS))]


@pytest.mark.parametrize("sign", [1, -1], ids=["dark", "bright"])
def test_beads_are_found_where_they_are(sign: int) -> None:
    beads = find_beads(sign * bead_series(), GEOMETRY)
    assert beads is not None
    assert beads.sign == sign
    assert beads.radius_px == pytest.approx(RADIUS_PX, abs=0.4)
    assert RADIUS_PX < beads.reach_px < RADIUS_PX + 3
    found = sorted(tuple(bead.fit.xyz_px) for bead in beads.beads)
    np.testing.assert_allclose(found, sorted(map(tuple, BEADS)), atol=0.5)
    assert all(len(bead.discs) == 11 for bead in beads.beads)
    assert beads.rms_px < 0.5
    assert not beads.loose


def test_noise_alone_has_no_beads() -> None:
    assert find_beads(bead_series(beads=np.zeros((0, 3))), GEOMETRY) is None


def test_discs_that_do_not_move_as_the_specimen_does_are_no_beads() -> None:
    rng = np.random.default_rng(5)
    images = bead_series(beads=np.zeros((0, 3)))
    for view in range(len(images)):
        places = [Disc(view, *rng.uniform(10, 110, 2)) for _ in range(4)]
        images[view] -= 6 * draw_discs([replace(disc, view=0) for disc in places], (1, 120, 128), RADIUS_PX)[0]
    assert find_beads(images, GEOMETRY) is None


def test_a_bead_that_is_painted_over_in_some_views_is_masked_there_as_a_flat_disc() -> None:
    images = bead_series()
    images[3:6] = bead_series(painted=(1,))[3:6]
    beads = find_beads(images, GEOMETRY)
    assert beads is not None
    bead = min(beads.beads, key=lambda bead: float(np.abs(bead.fit.xyz_px - BEADS[1]).sum()))
    assert {disc.view for disc in bead.discs if not disc.painted} == {0, 1, 2, 6, 7, 8, 9, 10}


def test_beads_that_are_painted_over_everywhere_are_found_by_their_flatness() -> None:
    beads = find_beads(bead_series(painted=range(len(BEADS))), GEOMETRY)
    assert beads is not None
    assert beads.sign == 0
    assert all(disc.painted for disc in beads.discs)
    assert len(beads.discs) >= 0.95 * BEADS.shape[0] * TILT_DEG.size
    assert beads.radius_px == pytest.approx(RADIUS_PX, abs=0.3)


def test_what_is_masked_is_not_looked_at() -> None:
    u, v = GEOMETRY.locate(BEADS)
    discs = [Disc(view, v[view, bead] + 59.5, u[view, bead] + 63.5) for view in range(11) for bead in range(len(BEADS))]
    mask = 1 - draw_discs(discs, (11, 120, 128), RADIUS_PX + 2).astype(np.float32)
    assert find_beads(bead_series(), GEOMETRY, mask) is None


def test_the_same_images_have_the_same_beads() -> None:
    one, other = (find_beads(bead_series(seed=4), GEOMETRY) for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.discs == other.discs


def test_a_model_is_placed_where_the_images_have_its_beads() -> None:
    beads = place_beads(_tracks(shift=(2.0, -1.0)), bead_series(), GEOMETRY)
    assert beads.radius_px == pytest.approx(RADIUS_PX, abs=0.5)
    found = np.array([bead.fit.xyz_px for bead in beads.beads])
    np.testing.assert_allclose(found, BEADS, atol=0.4)
    assert any("another alignment" in text for text in beads.warnings)


def test_gaps_of_tracks_are_bridged() -> None:
    beads = place_beads(_tracks(views=slice(0, None, 2)), bead_series(), GEOMETRY)
    u, v = GEOMETRY.locate(BEADS)
    for bead, expected in zip(beads.beads, range(len(BEADS)), strict=True):
        assert [disc.view for disc in bead.discs] == list(range(11))
        for disc in bead.discs:
            assert np.hypot(disc.x - 63.5 - u[disc.view, expected], disc.y - 59.5 - v[disc.view, expected]) < 0.7
    assert not beads.warnings


def test_tracks_that_do_not_fit_the_angles_are_refused_with_their_residual() -> None:
    turned = [Track(track.views, track.v_px, track.u_px) for track in _tracks()]
    with pytest.raises(InputError, match=r"do not fit the angles: \d+\.\d pixels"):
        place_beads(turned, bead_series(), GEOMETRY, file="beads.fid")


def test_a_radius_that_cannot_be_measured_is_asked_for() -> None:
    nothing = bead_series(beads=np.zeros((0, 3)))
    with pytest.raises(OptionError, match="--radius"):
        place_beads(_tracks(), nothing, GEOMETRY)
    beads = place_beads(_tracks(), nothing, GEOMETRY, radius_px=5.0)
    assert beads.reach_px == 5.0
    assert any("no bead is seen" in text for text in beads.warnings)


def test_a_series_of_few_small_views_is_no_error() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 4, 4), (2, 7, 16), (3, 16, 5), (5, 33, 31)):
        geometry = TiltGeometry(np.linspace(-40, 40, shape[0]), shape[2], shape[1])
        assert find_beads(rng.normal(size=shape).astype(np.float32), geometry) is None
        assert find_beads(np.zeros(shape, np.float32), geometry) is None


def test_discs_cover_the_pixels_that_are_nearer_than_the_radius() -> None:
    covered = draw_discs([Disc(0, 10, 12.0), Disc(1, -3, 2.0), Disc(1, 400, 2)], (2, 20, 24), 4.0)
    rows, columns = np.mgrid[:20, :24]
    assert np.array_equal(covered[0], np.hypot(rows - 10, columns - 12) < 4)
    assert covered[1].sum() == (np.hypot(rows + 3, columns - 2) < 4).sum()
