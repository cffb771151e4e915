"""Known errors of a phantom are found, and what cannot be improved is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.geometry import TiltGeometry
from tomokit.io.transforms import align_images
from tomokit.phantom import simulate_series
from tomokit.refinement.corrections import Corrections
from tomokit.refinement.levels import Level
from tomokit.refinement.refine import Schedule, bytes_of_refinement, refine

TILT = np.arange(-60.0, 61.0, 3.0)
NONE = np.zeros(TILT.size)


def series(n: int, most_px: float) -> tuple[Level, Corrections]:
    """Views of which each is displaced, and by how much."""
    shifts = np.random.default_rng(5).uniform(-most_px, most_px, (2, TILT.size))
    clean, _ = simulate_series((n // 2, n, n), TILT, noise=0.02, seed=1)
    moves = np.column_stack([np.tile([1.0, 0, 0, 1], (TILT.size, 1)), shifts.T])
    images, _ = align_images(clean.images / clean.images.max(), moves)
    every = np.ones(TILT.size, bool)
    views = np.ascontiguousarray(images.transpose(0, 2, 1))
    level = Level(views, None, TiltGeometry(TILT, n, n), every, n // 2, 1.0, False)
    return level, Corrections(*shifts, NONE, NONE, NONE).without_gauge(TILT, every)


@pytest.mark.long
def test_shifts_of_up_to_three_pixels_are_found_to_a_twentieth() -> None:
    level, true = series(128, 3.0)
    found = refine(level, ("shifts",))
    assert found.applied
    assert found.at_bound == ()
    assert found.bins == [4, 2, 1]
    for name in ("shift_u_px", "shift_v_px"):
        assert np.std(getattr(found.corrections, name) - getattr(true, name)) < 0.05
    assert not found.corrections.tilt_deg.any()
    assert not found.corrections.resamples


def test_views_that_are_noise_keep_their_alignment() -> None:
    noise = np.random.default_rng(1).normal(size=(TILT.size, 32, 32)).astype(np.float32)
    level = Level(noise, None, TiltGeometry(TILT, 32, 32), np.ones(TILT.size, bool), 8, 1.0, True)
    found = refine(level, ("shifts",), schedule=Schedule((1,), 3, 3, 3))
    assert np.abs(found.corrections.parameters(1.0)).max() < 3.3
    assert found.applied == (found.prediction["after"] > found.prediction["before"])
    assert found.applied or not found.corrections.shift_u_px.any()
    assert bytes_of_refinement(level) > noise.nbytes


def test_turned_views_are_turned_back_and_held_out_views_feed_nothing() -> None:
    level, _ = series(32, 0.0)
    turned = Corrections(NONE, NONE, NONE, np.full(TILT.size, 2.0), NONE)
    back = level.corrected(turned)
    assert back.mask is not None
    assert 0.8 < back.mask.mean() < 1
    again = back.corrected(Corrections(NONE, NONE, NONE, np.full(TILT.size, -2.0), NONE))
    inner = np.s_[:, 6:-6, 6:-6]
    assert np.corrcoef(again.views[inner].ravel(), level.views[inner].ravel())[0, 1] > 0.995
    fitted = np.arange(TILT.size) % 5 != 2
    part = Level(level.views, None, level.geometry, fitted, 16, 1.0, False)
    spoilt = level.views.copy()
    spoilt[~fitted] = spoilt[~fitted][:, ::-1]
    other = Level(spoilt, None, level.geometry, fitted, 16, 1.0, False)
    first, second = (refine(each, ("shifts",), schedule=Schedule((1,), 5, 5, 3)) for each in (part, other))
    assert np.array_equal(first.corrections.shift_v_px[fitted], second.corrections.shift_v_px[fitted])
    assert first.held_out != second.held_out
