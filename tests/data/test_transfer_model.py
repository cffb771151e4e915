"""Contrast transfer as an operator on views: symmetric, no longer than one, and the transfer function at each wave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import fft

from tomokit.data.ctf import Optics, contrast_transfer
from tomokit.data.phase_flipping import ViewOptics, strip_bounds
from tomokit.data.problem import Problem
from tomokit.data.transfer_model import TransferModel, largest_oblique_phase
from tomokit.geometry import TiltGeometry
from tomokit.methods.octree.pyramid import halve
from tomokit.phantom import Faults, simulate_experiment

TITAN = Optics(300.0)
PIXEL = 4.0
SHAPE = (150, 47)


def model(*slopes: float, defocus: tuple[float, float, float] = (0.9, 0.8, 0.0)) -> TransferModel:
    """A view for each slope, the tilt axis beside the middle."""
    views = tuple(ViewOptics(TITAN, defocus, slope=slope) for slope in slopes)
    return TransferModel(views, PIXEL, tuple(3.0 * number for number in range(len(slopes))))


SLOPES = (0.0, 1.0, -1.7, 4.0)


def test_the_operator_is_its_own_transpose() -> None:
    rng = np.random.default_rng(0)
    operator = model(*SLOPES)
    assert [len(strip_bounds(SHAPE[0], PIXEL, view)) for view in operator.views] == [1, 1, 2, 3]
    x, y = rng.normal(size=(2, 4, *SHAPE))
    there, back = x.copy(), y.copy()
    operator.apply(there, range(4))
    operator.apply(back, range(4))
    for view in range(4):
        assert np.vdot(there[view], y[view]) == pytest.approx(np.vdot(x[view], back[view]), rel=1e-11)
        assert np.linalg.norm(there[view] - x[view]) > 0.5 * np.linalg.norm(x[view])
    single = x.astype(np.float32)
    operator.apply(single, range(4))
    assert single.dtype == np.float32
    assert np.linalg.norm(single - there) < 1e-6 * np.linalg.norm(there)


@pytest.mark.parametrize("slope", SLOPES)
def test_no_view_gets_longer(slope: float) -> None:
    """What the steps of every solver rely on; strips may only exceed it by what their filters differ."""
    operator, image = model(slope), np.random.default_rng(1).normal(size=(1, *SHAPE))
    for _ in range(40):
        image /= np.linalg.norm(image)
        operator.apply(image, [0])
    assert 0.9 < np.linalg.norm(image) < (1 + 1e-12 if slope == 0 else 1.02)


@pytest.mark.parametrize(("of_u", "of_y"), [(43, 0), (0, 35), (78, 12), (138, 40)])
def test_a_wave_is_multiplied_by_the_transfer_function(of_u: int, of_y: int) -> None:
    n_u, n_y = SHAPE
    wave = np.outer(
        np.cos(np.pi * of_u * (np.arange(n_u) + 0.5) / n_u), np.cos(np.pi * of_y * (np.arange(n_y) + 0.5) / n_y)
    )
    k = np.array(of_u / (2 * n_u * PIXEL)), np.array(of_y / (2 * n_y * PIXEL))
    factor = float(contrast_transfer(*k, (0.9, 0.8, 0.0), TITAN))
    images = wave[None].copy()
    model(0.0).apply(images, [0])
    np.testing.assert_allclose(images[0], factor * wave, atol=1e-12)
    assert abs(factor - 1) > 0.1


def test_below_the_first_peak_views_may_pass_as_they_are() -> None:
    (n_u, n_y), images = SHAPE, np.random.default_rng(4).normal(size=(1, *SHAPE))
    whole, part = images.copy(), images.copy()
    model(0.0, defocus=(0.9, 0.9, 0.0)).apply(whole, [0])
    replace(model(0.0, defocus=(0.9, 0.9, 0.0)), from_first_peak=True).apply(part, [0])
    before, all_of_it, from_peak = (fft.dctn(image[0], norm="ortho") for image in (images, whole, part))
    k = np.hypot(np.arange(n_u)[:, None] / (2 * n_u * PIXEL), np.arange(n_y) / (2 * n_y * PIXEL))
    # Where pi lambda k^2 D = pi / 2 - arcsin 0.07, the aberration left out.
    peak = np.sqrt((0.5 - np.arcsin(0.07) / np.pi) / (TITAN.wavelength_angstrom * 0.9e4))
    np.testing.assert_allclose(from_peak[k < 0.98 * peak], before[k < 0.98 * peak], atol=1e-12)
    np.testing.assert_allclose(from_peak[k > 1.02 * peak], all_of_it[k > 1.02 * peak], atol=1e-12)
    assert peak < 0.5 * k.max()


def test_the_mean_of_a_view_passes() -> None:
    images = np.full((4, *SHAPE), 7.0)
    model(*SLOPES).apply(images, range(4))
    np.testing.assert_allclose(images[0], 7.0, rtol=1e-9)
    # A strip's share is no constant, and its low frequencies differ by little from strip to strip.
    np.testing.assert_allclose(images, 7.0, rtol=0.01)


def test_defocus_changes_across_the_tilt_axis() -> None:
    """A wave along the axis gets in each column the factor of the defocus there, between those of two middles."""
    n_u, n_y, of_y = 400, 64, 51
    view = ViewOptics(TITAN, (1.0, 1.0, 0.0), slope=1.7)
    wave = np.broadcast_to(np.cos(np.pi * of_y * (np.arange(n_y) + 0.5) / n_y), (n_u, n_y))
    images = wave[None].copy()
    TransferModel((view,), PIXEL, (-20.0,)).apply(images, [0])
    k = np.array(of_y / (2 * n_y * PIXEL))
    u = (np.arange(n_u) - (n_u - 1) / 2 + 20) * PIXEL
    exact = np.array([float(contrast_transfer(np.array(0.0), k, view.defocus_at(at), TITAN)) for at in u])
    found = images[0] @ wave[0] / (wave[0] @ wave[0])
    assert exact.min() < -0.7 < 0.7 < exact.max()
    assert np.abs(found - exact)[20:-20].max() < 0.1


def test_it_predicts_what_a_simulated_microscope_shows() -> None:
    """Fourier transforms of a larger field by other code: within, nothing but strips and edges differ."""
    shape, tilts = (24, 64, 64), np.array([-50.0, 0.0, 40.0])
    clean, seen = (
        simulate_experiment(shape, tilts, 3, faults=faults, pixel_size_angstrom=PIXEL).series.images
        for faults in (Faults(), Faults(defocus_um=0.7, optics=TITAN))
    )
    views = tuple(ViewOptics(TITAN, (0.7, 0.7, 0.0), slope=float(np.tan(np.radians(tilt)))) for tilt in tilts)
    predicted = clean.transpose(0, 2, 1).astype(np.float64)
    before = predicted.copy()
    TransferModel(views, PIXEL, (0.0,) * 3).apply(predicted, range(3))
    # The mean of the larger field is another.
    for images in (predicted, seen):
        images -= images.mean(axis=(1, 2), keepdims=True)
    for image, unfiltered, truth in zip(predicted, before, seen.transpose(0, 2, 1), strict=True):
        assert np.corrcoef(image.ravel(), truth.ravel())[0, 1] > 0.999
        assert np.linalg.norm(image - truth) < 0.05 * np.linalg.norm(truth)
        assert np.corrcoef(unfiltered.ravel(), truth.ravel())[0, 1] < 0.9


def test_views_are_chosen_with_their_axis() -> None:
    operator = model(*SLOPES)
    images = np.random.default_rng(2).normal(size=(4, *SHAPE))
    whole, part = images.copy(), images[[3, 1]]
    operator.apply(whole, range(4))
    operator.select([3, 1]).apply(part, range(2))
    np.testing.assert_array_equal(part, whole[[3, 1]])


@pytest.mark.parametrize("n_u", [40, 41])
def test_the_axis_stays_where_it_is_on_larger_pixels(n_u: int) -> None:
    """Whatever the origin of the volume, which shifts of the geometry follow."""
    geometry = TiltGeometry([0.0, 30.0], n_u, 16, np.array([5.0, 7.0]))
    transfer = TransferModel(model(0.0, 1.0).views, PIXEL, (1.0, -3.0))
    coarse = halve(Problem(np.zeros((2, n_u, 16), np.float32), None, geometry, 8, transfer=transfer)).transfer
    assert coarse is not None
    assert coarse.pixel_size_angstrom == 2 * PIXEL
    # A coarse pixel lies on every second fine one from the first.
    from_first = np.array([1.0, -3.0]) + (n_u - 1) / 2
    n_coarse = -(-n_u // 2)
    np.testing.assert_allclose(np.array(coarse.axis_px) + (n_coarse - 1) / 2, from_first / 2)


def test_astigmatism_along_the_diagonals_is_told() -> None:
    along, aslant = model(0.0, defocus=(1.0, 0.8, 0.0)), model(0.0, defocus=(1.0, 0.8, 45.0))
    assert largest_oblique_phase(along) == 0
    nyquist = 0.5 / PIXEL
    expected = np.pi * TITAN.wavelength_angstrom * 0.1e4 * nyquist**2
    assert largest_oblique_phase(aslant) == pytest.approx(expected)
    # Left out, and no more: what acts is the mean defocus.
    images = np.random.default_rng(3).normal(size=(1, *SHAPE))
    mean = images.copy()
    aslant.apply(images, [0])
    replace(aslant, views=(ViewOptics(TITAN, (0.9, 0.9, 0.0)),)).apply(mean, [0])
    np.testing.assert_allclose(images, mean, atol=1e-9)
