"""Faults of simulated series: each is what the record says, and leaves all others as they are."""

import functools
import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import tomokit
from tomokit.data.ctf import Optics, contrast_transfer
from tomokit.data.exposure_filter import exposure_filter
from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry
from tomokit.io.transforms import align_images
from tomokit.phantom import Faults, random_shells, simulate_experiment, simulate_series
from tomokit.phantom.imaging import Views, image_specimen
from tomokit.phantom.particles import balls
from tomokit.phantom.specimen import Specimen

SHAPE, TILTS = (16, 48, 48), np.array([-60.0, -30.0, 0.0, 30.0, 60.0])


STREAMS = np.random.SeedSequence(4).spawn(7)
SPECIMEN = Specimen(random_shells(SHAPE, STREAMS[0]))


@functools.cache
def views(**faults) -> Views:
    return image_specimen(SPECIMEN, TiltGeometry(TILTS, 48, 48), Faults(**faults), 10.0, STREAMS[1:])


def images(**faults) -> np.ndarray:
    return views(**faults).images.astype(np.float64)


def test_without_faults_the_series_is_that_of_simulate_series():
    series, truth = simulate_series(SHAPE, TILTS, noise=0.1, seed=4)
    same = simulate_experiment(SHAPE, TILTS, 4, faults=Faults(noise=0.1, offsets=0.3, dose_e_per_a2=2.0))
    np.testing.assert_array_equal(same.truth.density, truth.density)
    record = json.loads(json.dumps(same.series.provenance))["simulation"]
    assert record["faults"]["offsets"] == 0.3
    assert (record["seed"], record["phantom"], record["tomokit"]) == (
        4,
        "random ellipsoidal shells",
        tomokit.__version__,
    )
    without = same.series.images - np.array(record["offsets"])[:, None, None]
    np.testing.assert_allclose(without, series.images, atol=1e-5)
    assert "faults" not in series.provenance["simulation"]
    np.testing.assert_array_equal(views(noise=0.1).images, series.images)


def test_offsets_drift_and_gains_are_the_recorded_ones():
    clean = images()
    contrast = np.sqrt(clean.var(axis=(1, 2)).mean())
    for faults in ({"offsets": 0.5}, {"drift": 2.0}, {"offsets": 0.5, "drift": 2.0, "snr": 1.0}):
        added = images(**faults) - images(**{name: value for name, value in faults.items() if name == "snr"})
        np.testing.assert_allclose(
            added, np.broadcast_to(added.mean(axis=(1, 2), keepdims=True), added.shape), atol=1e-4
        )
        np.testing.assert_allclose(added.mean(axis=(1, 2)), views(**faults).truth["offsets"], atol=1e-5)
    drift = np.array(views(drift=2.0).truth["offsets"]) / contrast
    # Views are taken in the order 0, 30, -30, -60, 60.
    np.testing.assert_allclose(drift, [0.5, 0.0, -1.0, -0.5, 1.0], atol=1e-5)
    gains = np.array(views(gain=0.05).truth["gains"])
    np.testing.assert_allclose(images(gain=0.05), clean * gains[:, None, None], rtol=1e-5, atol=1e-5)
    assert 0.01 < gains.std() < 0.12


def test_a_fault_leaves_the_others_as_they_are():
    alone = views(offsets=0.5).truth["offsets"]
    assert alone == views(offsets=0.5, noise=0.1, hot_pixels=2, gain=0.02, shift_error_px=0.0).truth["offsets"]
    np.testing.assert_allclose(views(offsets=1.0).truth["offsets"], 2 * np.array(alone))
    noise = images(noise=0.1) - images()
    np.testing.assert_allclose(images(noise=0.1, offsets=0.5) - images(offsets=0.5), noise, atol=1e-5)
    shifts = views(shift_error_px=1.0, noise=0.1, tilt_error_deg=0.5).misalignment.shift_px
    np.testing.assert_allclose(2 * shifts, views(shift_error_px=2.0).misalignment.shift_px)


def test_signal_to_noise_is_as_asked():
    clean = images()
    noise = images(snr=0.5) - clean
    assert clean.var(axis=(1, 2)).mean() / noise.var() == pytest.approx(0.5, rel=0.05)
    assert views(snr=0.5).truth["noise_deviation"] == pytest.approx(noise.std(), rel=0.02)


def test_the_true_transforms_undo_the_misalignment():
    clean = images()
    moved = views(shift_error_px=1.5, axis_rotation_deg=6.0)
    aligned, mask = align_images(moved.images, moved.misalignment.transforms())
    inside = mask[:, 6:-6, 6:-6] > 0
    # A spline does badly at the finest detail, which the specimen has.
    smooth, back, before = (gaussian_filter(a, (0, 1, 1)) for a in (clean, aligned, moved.images))
    error = (back - smooth)[:, 6:-6, 6:-6][inside]
    assert error.std() < 0.015 * smooth.std()
    assert (before - smooth)[:, 6:-6, 6:-6][inside].std() > 0.3 * smooth.std()
    assert 0.3 < moved.misalignment.shift_px.std() < 3.0


def test_views_are_taken_at_the_true_angles():
    moved = views(tilt_error_deg=0.8)
    true = moved.misalignment.tilt_deg
    assert np.abs(true - TILTS).max() > 0.2
    np.testing.assert_allclose(moved.images, SPECIMEN.project(TiltGeometry(true, 48, 48)), atol=1e-5)


def around(margin: int) -> np.ndarray:
    """Clean views of the shells on a detector with a margin."""
    return SPECIMEN.project(TiltGeometry(TILTS, 48 + 2 * margin, 48 + 2 * margin)).astype(np.float64)


def filtered(view: np.ndarray, margin: int, transfer, pixel: float = 10.0) -> np.ndarray:
    mean = view.mean()
    k_x, k_y = np.fft.rfftfreq(view.shape[1], pixel)[None], np.fft.fftfreq(view.shape[0], pixel)[:, None]
    return (
        np.fft.irfft2(np.fft.rfft2(view - mean) * transfer(k_x, k_y), view.shape)[margin:-margin, margin:-margin] + mean
    )


def test_contrast_transfer_is_the_filter_times_the_clean_view():
    optics, defocus = Optics(200.0, 2.0, 0.1), (4.0, 4.0, 0.0)
    wide = around(60)
    found = images(defocus_um=4.0, optics=optics, defocus_gradient="off")
    for view in range(5):
        expected = filtered(wide[view], 60, lambda k_x, k_y: contrast_transfer(k_x, k_y, defocus, optics))
        difference = (found[view] - expected) - (found[view] - expected).mean()
        assert difference.std() < 0.01 * expected.std()


def test_the_tilt_changes_the_defocus_across_the_axis():
    rng, pixel = np.random.default_rng(8), 2.0
    places = np.column_stack([rng.uniform(-190, 190, 60), rng.uniform(-8, 8, (60, 2))])
    specimen = Specimen(balls(places, rng.uniform(1.5, 3.0, 60), 1.0))
    geometry, found = TiltGeometry([0.0, 60.0], 200, 24), {}
    for gradient in ("on", "off", "inverted"):
        faults = Faults(defocus_um=1.5, defocus_gradient=gradient)
        found[gradient] = image_specimen(specimen, geometry, faults, pixel, STREAMS[1:]).images
    np.testing.assert_allclose(found["on"][0], found["off"][0], atol=1e-4)
    wide = specimen.project(TiltGeometry([60.0], 320, 144))[0].astype(np.float64)
    off_axis = slice(150, 200)
    micrometres = 1.5 + (174.5 - 99.5) * np.tan(np.pi / 3) * pixel * 1e-4
    transfer = functools.partial(contrast_transfer, defocus_um=(micrometres, micrometres, 0.0), optics=Optics(300.0))
    expected = filtered(wide, 60, transfer, pixel)[:, off_axis]
    errors = {gradient: (found[gradient][1][:, off_axis] - expected).std() for gradient in found}
    assert errors["on"] < 0.02 * expected.std() < 0.5 * errors["off"] < 0.4 * errors["inverted"]


def test_views_fade_by_the_dose_that_the_specimen_has_taken():
    faded = views(dose_e_per_a2=20.0, fading=True)
    np.testing.assert_array_equal(faded.acquisition.order, [3, 2, 0, 1, 4])
    np.testing.assert_array_equal(faded.acquisition.prior_dose_e_per_a2, [60, 40, 0, 20, 80])
    wide = around(60)
    for view, exposure in enumerate([70.0, 50.0, 10.0, 30.0, 90.0]):
        expected = filtered(wide[view], 60, lambda k_x, k_y, e=exposure: exposure_filter(np.hypot(k_x, k_y), e, 300.0))
        error = faded.images[view] - expected
        assert (error - error.mean()).std() < 0.01 * expected.std()
    in_turn = views(dose_e_per_a2=20.0, fading=True, order="sequential").acquisition
    np.testing.assert_array_equal(in_turn.prior_dose_e_per_a2, [0, 20, 40, 60, 80])


def test_a_dose_symmetric_scheme_alternates_by_twos():
    angles = np.arange(-12.0, 13.0, 3.0)
    faults = Faults(dose_e_per_a2=1.0)
    order = image_specimen(SPECIMEN, TiltGeometry(angles, 8, 8), faults, 10.0, STREAMS[1:]).acquisition.order
    np.testing.assert_array_equal(angles[np.argsort(order)], [0, 3, -3, -6, 6, 9, -9, -12, 12])


def test_counts_have_the_mean_of_what_is_not_absorbed_and_its_variance():
    clean = images()
    counts = images(counting=True, dose_e_per_a2=5.0, mean_free_path_angstrom=2000.0)
    mean = 500.0 * np.exp(-10.0 / (2000.0 * 0.6) * clean)
    np.testing.assert_array_equal(counts, np.round(counts))
    score = (counts - mean) / np.sqrt(mean)
    assert abs(score.mean()) < 0.05
    assert score.std() == pytest.approx(1.0, abs=0.03)
    blurred = images(counting=True, dose_e_per_a2=5.0, mean_free_path_angstrom=2000.0, mtf=0.3)
    np.testing.assert_allclose(blurred.mean(axis=(1, 2)), counts.mean(axis=(1, 2)), rtol=2e-3)
    # A deviation at Nyquist's frequency of 0.3 along x and y.
    ratio = (
        np.fft.rfft2(blurred[2] - blurred[2].mean())[1:23, 24] / np.fft.rfft2(counts[2] - counts[2].mean())[1:23, 24]
    )
    assert 0.1 < np.abs(ratio).mean() < 0.4


def test_hot_pixels_are_as_many_as_asked_for_in_each_view():
    difference = images(noise=0.1, hot_pixels=3) - images(noise=0.1)
    np.testing.assert_array_equal((difference > 0).sum(axis=(1, 2)), 3)
    assert difference.max() > 20 * views(noise=0.1).truth["scale"] * 0.1


@pytest.mark.parametrize(
    ("faults", "field"),
    [
        ({"noise": 0.1, "snr": 1.0}, "--snr"),
        ({"snr": 0.0}, "--snr"),
        ({"noise": np.nan}, "--noise"),
        ({"noise": 0.1, "counting": True, "dose_e_per_a2": 1.0}, "--noise"),
        ({"counting": True}, "--counting"),
        ({"fading": True}, "--fading"),
        ({"mtf": 0.5}, "--mtf"),
        ({"mtf": 0.0}, "--mtf"),
        ({"defocus_um": 0.001}, "--defocus"),
        ({"defocus_um": 3.0, "defocus_gradient": "up"}, "--defocus-gradient"),
        ({"order": "random"}, "--order"),
        ({"offsets": -1.0}, "--offsets"),
        ({"drift": np.inf}, "--drift"),
        ({"gain": 0.5}, "--gain"),
        ({"shift_error_px": 17.0}, "--shift-error"),
        ({"tilt_error_deg": 2.0}, "--tilt-error"),
        ({"axis_rotation_deg": 181.0}, "--axis-rotation"),
        ({"dose_e_per_a2": 0.0}, "--dose"),
        ({"hot_pixels": -1}, "--hot-pixels"),
    ],
)
def test_impossible_faults_are_refused_by_name(faults, field):
    with pytest.raises(OptionError, match=field):
        Faults(**faults)
