"""Views that hold no image are told from those of another dose, of a thick specimen, and from all others."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.data.bad_views import find_bad_views, view_statistics

TILT = np.arange(-60, 61, 6.0)
N = TILT.size


def bright_field(dose: np.ndarray, mean_free_paths: float = 0.4, size: int = 48) -> np.ndarray:
    """Counts of a slab under these doses per pixel, one a view: Beer and Lambert with some structure, and noise."""
    rng = np.random.default_rng(1)
    structure = 0.2 * np.sin(np.arange(size) / 3)[None, :] * np.cos(np.arange(size) / 5)[:, None]
    thickness = mean_free_paths / np.cos(np.deg2rad(TILT))
    expected = dose[:, None, None] * np.exp(-thickness[:, None, None] * (1 + structure))
    return rng.poisson(expected).astype(np.float32)


def found(images: np.ndarray, tilt: np.ndarray = TILT) -> tuple[list[int], list[int]]:
    """Views that hold no image, and doubtful ones."""
    bad = find_bad_views([view_statistics(image) for image in images], tilt)
    return [b.view for b in bad if b.lost], [b.view for b in bad if not b.lost]


def test_a_good_series_has_none() -> None:
    for dose in (3.0, 30, 1000):
        assert found(bright_field(np.full(N, dose))) == ([], [])
    # A dose that follows 1/cos, one that was switched half-way, and drift.
    assert found(bright_field(100 / np.cos(np.deg2rad(TILT)))) == ([], [])
    assert found(bright_field(np.where(np.arange(N) < 10, 100, 60.0))) == ([], [])
    assert found(bright_field(100 * 1.05 ** np.arange(N))) == ([], [])


@pytest.mark.parametrize("value", [0.0, 100.0, -5.0])
def test_a_constant_view_holds_no_image(value: float) -> None:
    images = bright_field(np.full(N, 100.0))
    images[3] = value
    assert found(images) == ([3], [])
    assert found(images[:5], TILT[:5]) == ([3], [])
    images[3, 0, 0] += 1e5
    assert found(images) == ([3], [])


@pytest.mark.parametrize("lost", [[0], [20], [7], [18, 19, 20], [0, 1, 19, 20], [4, 5]])
def test_a_dark_view_holds_no_image(lost: list[int]) -> None:
    images = bright_field(np.full(N, 200.0))
    images[lost] *= 0.03
    assert found(images) == (lost, [])
    # The same where the images' zero is anywhere: the spread tells.
    assert found(images - 1000) == (lost, [])


def test_readout_noise_around_zero_holds_no_image() -> None:
    for dose in (4.0, 100):
        images = bright_field(np.full(N, dose))
        images[[2, 15]] = np.random.default_rng(0).normal(-0.1, 0.5, (2, 48, 48))
        assert found(images) == ([2, 15], [])


def test_a_thick_specimen_at_high_tilt_is_not_dark() -> None:
    images = bright_field(np.full(N, 5000.0), mean_free_paths=2.5)
    assert images[0].mean() < images[10].mean() / 10
    assert found(images) == ([], [])


def test_a_view_of_more_dose_is_used() -> None:
    dose = np.full(N, 30.0)
    dose[10] *= 15
    lost, doubtful = found(bright_field(dose))
    assert lost == []
    assert doubtful == [10]


def test_half_a_series_that_is_dark_is_not_left_out() -> None:
    images = bright_field(np.where(np.arange(N) % 2, 1000, 10.0))
    assert found(images)[0] == []


def test_masked_pixels_do_not_count() -> None:
    images = bright_field(np.full(N, 100.0))
    used = np.ones(images.shape[1:], bool)
    used[:, 30:] = False
    images[:, :, 30:] = 0
    images[5, :, 30:] = 1e6
    images[8, :, :30] = 7
    bad = find_bad_views([view_statistics(image, used) for image in images], TILT)
    assert [(b.view, b.what) for b in bad] == [(8, "is constant (7)")]
