"""The contrast transfer function against values by hand, and phase flipping of flat and tilted views."""

import dataclasses
import itertools

import numpy as np
import pytest

from tomokit.data.ctf import Optics, contrast_transfer, first_zero
from tomokit.data.fourier_filter import filter_columns, frequency_grid
from tomokit.data.masked_fill import fill_from_around
from tomokit.data.phase_flipping import ViewOptics, flip_phases, strip_bounds
from tomokit.errors import OptionError

TITAN = Optics(300.0)
PIXEL = 5.0


def ctf(k: float, defocus: float, angle: float = 0.0, **more: float) -> float:
    """At one frequency along x."""
    return float(contrast_transfer(np.array(k), np.array(0.0), (defocus, defocus, angle), TITAN, **more))


def test_the_wavelength_is_relativistic() -> None:
    assert TITAN.wavelength_angstrom == pytest.approx(0.0196875, abs=2e-7)
    assert Optics(200.0).wavelength_angstrom == pytest.approx(0.0250793, abs=2e-7)


def test_first_zero_at_three_micrometres() -> None:
    # Where pi lambda k^2 D = pi - arcsin 0.07: k = sqrt(0.977700 / (0.0196875 x 30000)) = 1 / 24.578, and 1 / 24.575
    # with the aberration's 0.0009 in chi.
    zero = 1 / 24.575
    assert ctf(zero, 3.0) == pytest.approx(0, abs=1e-4)
    assert ctf(0.98 * zero, 3.0) > 0.1
    assert ctf(1.02 * zero, 3.0) < -0.1


@pytest.mark.parametrize(("defocus", "shift"), [(3.0, 0.0), (0.3, 90.0), (-1.0, 0.0), (0.0, 0.0), (0.0, 50.0)])
def test_the_first_zero_is_where_the_sign_changes_first(defocus: float, shift: float) -> None:
    zero = first_zero(defocus, TITAN, shift)
    k = np.linspace(0, zero, 2000)
    values = contrast_transfer(k, np.zeros(1), (defocus, defocus, 0.0), TITAN, shift)
    assert (values[:-1] > 0).all()
    assert values[-1] == pytest.approx(0, abs=1e-9)
    if shift == 0 and defocus == 3:
        assert 1 / zero == pytest.approx(24.575, abs=1e-3)


def test_there_may_be_no_zero() -> None:
    # 0.01 um under focus: the aberration turns the phase back before it has come to pi.
    assert np.isinf(first_zero(0.01, TITAN))


def test_signs_at_low_frequency() -> None:
    assert ctf(0.0, 3.0) == pytest.approx(0.07)
    assert ctf(0.005, 3.0) > 0 > ctf(0.01, -3.0)
    assert ctf(0.0, 0.5, phase_shift_deg=90.0) == pytest.approx(np.sqrt(1 - 0.07**2))


def test_astigmatism_is_along_its_axes() -> None:
    defocus = (3.0, 2.0, 30.0)
    k = 0.03
    for angle, value in ((30, 3.0), (120, 2.0), (75, 2.5), (-60, 2.0)):
        alpha = np.radians(angle)
        found = contrast_transfer(np.array(k * np.cos(alpha)), np.array(k * np.sin(alpha)), defocus, TITAN)
        assert float(found) == pytest.approx(ctf(k, value), abs=1e-12)


@pytest.mark.parametrize(
    ("values", "option"), [((3e5,), "--voltage"), ((300, 99), "--cs"), ((300, 2.7, 7), "contrast")]
)
def test_optics_that_make_no_sense_are_refused(values: tuple[float, ...], option: str) -> None:
    with pytest.raises(OptionError, match=option):
        Optics(*values)


def test_strips_keep_the_phase_within_an_eighth_of_pi() -> None:
    view = ViewOptics(TITAN, (3.0, 3.0, 0.0), slope=float(np.tan(np.radians(60))))
    bounds = strip_bounds(1000, PIXEL, view)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 1000
    assert all(stop == first for (_, stop), (first, _) in itertools.pairwise(bounds))
    widest = max(stop - first for first, stop in bounds)
    change = widest / 2 * PIXEL * np.tan(np.radians(60))
    assert np.pi * TITAN.wavelength_angstrom * (0.5 / PIXEL) ** 2 * change <= 1.02 * np.pi / 8
    assert strip_bounds(1000, PIXEL, dataclasses.replace(view, slope=0.0)) == [(0, 1000)]


def shown(truth: np.ndarray, view: ViewOptics) -> np.ndarray:
    """What a microscope shows of a projection, in float64: every eight columns by the transfer at their middle."""
    n_x = truth.shape[1]
    spectrum, grid = np.fft.rfft2(truth), frequency_grid(truth.shape, PIXEL)
    image = np.empty_like(truth)
    for first in range(0, n_x, 8):
        defocus = view.defocus_at((first + 3.5 - (n_x - 1) / 2) * PIXEL)
        whole = np.fft.irfft2(spectrum * contrast_transfer(*grid, defocus, view.optics), truth.shape)
        image[:, first : first + 8] = whole[:, first : first + 8]
    return image


def in_band(image: np.ndarray, truth: np.ndarray, low: float, high: float, columns: slice) -> float:
    """Correlation of two images in a band of frequencies, in cycles per angstrom, over some columns."""
    k = np.hypot(*frequency_grid(truth.shape, PIXEL))
    band = (k >= low) & (k < high)
    parts = [np.fft.irfft2(np.fft.rfft2(part) * band, truth.shape)[:, columns] for part in (image, truth)]
    return float(np.corrcoef(parts[0].ravel(), parts[1].ravel())[0, 1])


MIDDLE, RIM = slice(300, 340), slice(32, 128)


@pytest.mark.parametrize("tilt_deg", [0.0, 60.0, -60.0])
def test_flipping_turns_contrast_beyond_the_first_zero(tilt_deg: float) -> None:
    view = ViewOptics(TITAN, (3.0, 3.0, 0.0), slope=float(np.tan(np.radians(tilt_deg))))
    truth = np.random.default_rng(0).normal(size=(48, 640))
    image = shown(truth, view).astype(np.float32)
    flipped = flip_phases(image, PIXEL, view)
    # On the axis the first and the second zero of 3 um lie at 1/24.6 and 1/17.3 per angstrom.
    assert in_band(image, truth, 0.044, 0.054, MIDDLE) < -0.7
    assert in_band(flipped, truth, 0.044, 0.054, MIDDLE) > 0.7
    # Far from it other bands are reversed: the defocus there differs by up to 0.28 um.
    assert in_band(flipped, truth, 0.02, 0.095, RIM) > 0.8
    assert abs(in_band(image, truth, 0.044, 0.095, RIM)) < 0.4
    if tilt_deg:
        flat = flip_phases(image, PIXEL, dataclasses.replace(view, slope=0.0))
        other_hand = flip_phases(image, PIXEL, dataclasses.replace(view, slope=-view.slope))
        scores = [in_band(found, truth, 0.07, 0.095, RIM) for found in (flipped, flat, other_hand)]
        assert scores[0] > 0.75
        assert scores[0] > max(scores[1:]) + 0.3


def test_a_tilt_axis_beside_the_centre_moves_the_gradient_with_it() -> None:
    image = np.random.default_rng(5).normal(size=(32, 200)).astype(np.float32)
    view = ViewOptics(TITAN, (3.0, 3.0, 0.0), slope=1.5)
    moved = dataclasses.replace(view, defocus_um=(*(3.0 + 1.5 * 30 * PIXEL * 1e-4,) * 2, 0.0))
    shifted = flip_phases(image, PIXEL, view, axis_px=-30.0)
    np.testing.assert_array_equal(shifted, flip_phases(image, PIXEL, moved))


def test_flipping_twice_gives_the_view_back_but_for_its_edges() -> None:
    image = np.random.default_rng(1).normal(100, 1, (128, 128)).astype(np.float32)
    view = ViewOptics(TITAN, (2.0, 2.2, 20.0))
    once = flip_phases(image, PIXEL, view)
    twice = flip_phases(once, PIXEL, view)
    assert np.abs(once - image).std() > 0.5
    inside = (slice(40, -40), slice(40, -40))
    # White noise has most of its power where signs change from one frequency to the next, and the filter is longest.
    assert np.corrcoef(twice[inside].ravel(), image[inside].ravel())[0, 1] > 0.97
    assert once.mean() == pytest.approx(image.mean(), abs=0.02)


def test_strips_agree_with_the_whole_view_where_defocus_does_not_change() -> None:
    image = np.random.default_rng(2).normal(size=(64, 160)).astype(np.float32)
    view = ViewOptics(TITAN, (1.0, 1.0, 0.0))
    whole = flip_phases(image, PIXEL, view)
    tilted = dataclasses.replace(view, slope=1.7)
    almost = flip_phases(image, PIXEL, tilted)
    assert len(strip_bounds(160, PIXEL, tilted)) == 2
    # The change of 0.034 um either way moves zeros by little.
    assert np.corrcoef(whole.ravel(), almost.ravel())[0, 1] > 0.9


def test_threads_change_no_bit_and_a_filter_of_ones_little() -> None:
    image = np.random.default_rng(3).normal(1e4, 1, (50, 70)).astype(np.float32)
    same = filter_columns(image, lambda k_x, k_y: np.ones((k_y.size, k_x.size)), PIXEL, margin_px=20)
    np.testing.assert_allclose(same, image, atol=2e-3)
    view = ViewOptics(TITAN, (3.0, 3.0, 0.0), slope=1.0)
    np.testing.assert_array_equal(flip_phases(image, PIXEL, view), flip_phases(image, PIXEL, view, workers=2))


def test_masked_pixels_have_no_say() -> None:
    rng = np.random.default_rng(4)
    image = rng.normal(10, 1, (75, 91)).astype(np.float32)
    used = np.ones(image.shape, bool)
    used[10:30, 40:60] = used[:, :7] = False
    spoilt = image.copy()
    spoilt[~used] = np.nan
    filled = fill_from_around(image, used)
    np.testing.assert_array_equal(filled, fill_from_around(spoilt, used))
    np.testing.assert_array_equal(filled[used], image[used])
    assert image[used].min() <= filled.min()
    assert filled.max() <= image[used].max()
    # A slope is continued, not met by the mean.
    slope = np.broadcast_to(np.arange(91, dtype=np.float32), image.shape)
    assert np.abs(fill_from_around(slope, used) - slope)[10:30, 40:60].max() < 6
    assert (fill_from_around(image, np.zeros_like(used)) == 0).all()
