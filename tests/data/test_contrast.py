"""The estimate of the noise, and what follows from it."""

import numpy as np
import pytest

from tomokit.data.contrast import contrast, tv_weight
from tomokit.data.noise import noise_level
from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.phantom import Ellipsoids, project_analytic


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    """Eight views of 128 x 128, of a dozen ellipsoids that are smooth at the scale of pixels, up to 1."""
    rng = np.random.default_rng(0)
    phantom = Ellipsoids(
        rng.uniform(-35, 35, (12, 3)),
        rng.uniform(12, 25, (12, 3)),
        np.linalg.qr(rng.normal(size=(12, 3, 3)))[0],
        rng.uniform(0.3, 1, 12),
    )
    stack = project_analytic(phantom, TiltGeometry(np.linspace(-60, 60, 8), 128, 128)).transpose(0, 2, 1)
    return stack / stack.max()


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1, 0.5])
def test_noise_is_found_to_five_percent(sigma, clean):
    noisy = clean + np.random.default_rng(1).normal(0, sigma, clean.shape)
    assert noise_level(noisy, None) == pytest.approx(sigma, rel=0.05)


def test_beads_and_painted_patches_under_the_mask_do_not_count(clean):
    rng = np.random.default_rng(2)
    noisy = clean + rng.normal(0, 0.1, clean.shape)
    mask = np.ones(clean.shape, np.float32)
    mask[:, 30:120, 10:110] = 0
    honest = noise_level(noisy, mask)
    noisy[mask == 0] = 1e3 * rng.normal(size=int((mask == 0).sum()))
    assert noise_level(noisy, mask) == honest == pytest.approx(0.1, rel=0.05)
    assert noise_level(noisy, None) > 10


def test_scales_with_the_data_and_ignores_constants_and_slopes(clean):
    noisy = clean + np.random.default_rng(3).normal(0, 0.1, clean.shape)
    level = noise_level(noisy, None)
    assert noise_level(-3 * noisy + 7, None) == pytest.approx(3 * level)
    slope = np.arange(128)[:, None] * 5.0 + np.arange(128) ** 2
    assert noise_level(noisy + slope, None) == pytest.approx(level, rel=1e-9)


def test_one_odd_view_does_not_decide(clean):
    noisy = clean + np.random.default_rng(3).normal(0, 0.1, clean.shape)
    noisy[2] *= 100
    assert noise_level(noisy, None) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("shape", [(3, 2, 40), (3, 40, 2), (2, 4, 4), (0, 9, 9)])
def test_too_few_pixels_give_none(shape):
    assert noise_level(np.random.default_rng(0).normal(size=shape), None) == 0


def problem(projections: np.ndarray, mask: np.ndarray | None = None, fit_offsets: bool = False) -> Problem:
    geometry = TiltGeometry(np.linspace(-60, 60, len(projections)), *projections.shape[1:])
    return Problem(projections.astype(np.float32), mask, geometry, 16, fit_offsets)


def test_weight_is_noise_times_the_root_of_the_views(clean):
    noisy = clean + np.random.default_rng(3).normal(0, 0.1, clean.shape)
    assert tv_weight(problem(noisy)) == pytest.approx(0.1 * np.sqrt(8), rel=0.05)


def test_contrast_is_the_range_of_used_pixels_but_for_exposures(clean):
    mask = np.ones(clean.shape, np.float32)
    mask[:, :10] = 0
    spoilt = clean.copy()
    spoilt[:, :10] = 1e4
    assert contrast(problem(clean)) == pytest.approx(np.subtract(*np.percentile(clean, (99.9, 0.1))), rel=1e-5)
    assert contrast(problem(spoilt, mask)) == pytest.approx(np.subtract(*np.percentile(clean[:, 10:], (99.9, 0.1))))
    added = np.arange(8.0)[:, None, None]
    assert contrast(problem(clean + added, None, True)) == pytest.approx(contrast(problem(clean, None, True)), rel=1e-5)
    assert contrast(problem(clean + added)) > 5
    assert contrast(problem(clean, 0 * mask)) == 0
