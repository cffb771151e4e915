"""Views of a specimen with the faults of real ones, and the truth about each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.acquisition import Acquisition
from tomokit.data.ctf import contrast_transfer
from tomokit.data.exposure_filter import exposure_filter, exposures_of_views
from tomokit.data.fourier_filter import filter_columns, frequency_grid
from tomokit.data.phase_flipping import ViewOptics, reach_px, strip_bounds
from tomokit.geometry import TiltGeometry
from tomokit.phantom.faults import GRADIENTS, Faults, counts_per_pixel
from tomokit.phantom.layer import Layer
from tomokit.phantom.molecules import ICE
from tomokit.phantom.sampling import run_in_threads, turn_matrix
from tomokit.phantom.specimen import Specimen

_STREAMS = ("offsets", "gain", "shift", "tilt", "hot")
_TRUNCATED_AT = 3.0
_MOST_MARGIN_PX = 64
_HOT = (20.0, 100.0)

_Streams = dict[str, np.random.Generator]
_FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Misalignment:
    """How the views of a series truly lie.

    Attributes
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        True tilt angles in degrees.
    shift_px : ndarray of float64, shape (n_views, 2)
        Where the origin of the specimen lies along x and y in pixels from the centre of each view, before it is turned.
    axis_rotation_deg : float
        Angle of the tilt axis from y in the views, counter-clockwise.
    """

    tilt_deg: _FloatArray
    shift_px: _FloatArray
    axis_rotation_deg: float

    def transforms(self) -> _FloatArray:
        """Compute the transforms that undo it, as of an ``.xf``.

        Returns
        -------
        ndarray of float64, shape (n_views, 6)
            ``A11 A12 A21 A22 DX DY`` of each view.
        """
        matrix = turn_matrix(-self.axis_rotation_deg).ravel()
        return np.column_stack([np.tile(matrix, (len(self.tilt_deg), 1)), -self.shift_px])


@dataclass(frozen=True)
class Views:
    """Simulated views, and what is true of them.

    Attributes
    ----------
    images : ndarray of float32, shape (n_views, n_y, n_x)
        Line integrals in density x pixels, or counts of electrons.
    misalignment : Misalignment
    acquisition : Acquisition
    truth : dict
        What was added to and multiplied with each view, JSON-serializable; ``scale`` is the maximum of the noise-free
        views, ``contrast`` their standard deviation about the mean of each.
    """

    images: NDArray[np.float32]
    misalignment: Misalignment
    acquisition: Acquisition
    truth: dict[str, Any]


def image_specimen(
    specimen: Specimen,
    nominal: TiltGeometry,
    faults: Faults,
    pixel_size_angstrom: float,
    streams: list[np.random.SeedSequence],
    supersample: int = 3,
) -> Views:
    """Take views of a specimen.

    The specimen is projected where it truly lies, shifts and rotation included, so nothing is interpolated. Contrast
    transfer and dose act on projections that go on beyond the detector. Then come offsets and drift, then the gain, and
    then noise. Where electrons are counted ``N exp(-a p)`` is their mean, with N the dose of a pixel times the gain, p
    the view, and a the absorption of ice over its density.

    Parameters
    ----------
    specimen : Specimen
    nominal : TiltGeometry
        Detector, and the angles at which the stage is meant to be.
    faults : Faults
    pixel_size_angstrom : float
    streams : list of numpy.random.SeedSequence
        Of noise, offsets, gain, shift, tilt and hot pixels.
    supersample : int
        As of :func:`~tomokit.phantom.project_analytic`.

    Returns
    -------
    Views
    """
    noise_rng, *others = (np.random.default_rng(stream) for stream in streams)
    random: _Streams = dict(zip(_STREAMS, others, strict=True))
    n_views = nominal.n_views
    acquisition = _acquisition(nominal.tilt_deg, faults)
    true = _misalignment(nominal.tilt_deg, faults, random)
    images = _clean(specimen, nominal, true, faults, acquisition, pixel_size_angstrom, supersample)
    scale, contrast = float(images.max()), _contrast(images)
    offset = faults.offsets * contrast * random["offsets"].standard_normal(n_views)
    order = acquisition.order if acquisition.order is not None else np.arange(n_views)
    offset += faults.drift * contrast * (order / max(1, n_views - 1) - 0.5)
    gain = 1 + faults.gain * np.clip(random["gain"].standard_normal(n_views), -_TRUNCATED_AT, _TRUNCATED_AT)
    truth: dict[str, Any] = {"scale": scale, "contrast": contrast}
    if faults.offsets or faults.drift:
        truth["offsets"] = offset.tolist()
        images += offset.astype(np.float32)[:, None, None]
    if faults.gain:
        truth["gains"] = gain.tolist()
    if faults.counting:
        deviation = _count(images, gain, faults, pixel_size_angstrom, specimen.layer, noise_rng)
    else:
        if faults.gain:
            images *= gain.astype(np.float32)[:, None, None]
        deviation = _add_noise(images, faults, scale, contrast, noise_rng)
    truth["noise_deviation"] = deviation
    if faults.hot_pixels:
        _heat(images, faults.hot_pixels, deviation or contrast, random["hot"])
    return Views(images, true, acquisition, truth)


def _acquisition(tilt_deg: _FloatArray, faults: Faults) -> Acquisition:
    n_views = tilt_deg.size
    order = np.arange(n_views)
    if faults.order == "dose-symmetric":
        # By magnitude; of equal ones, pairs of steps begin on alternate sides: 0, 3, -3, -6, 6, 9, -9 ...
        magnitude = np.round(np.abs(tilt_deg), 6)
        step = np.searchsorted(np.unique(magnitude), magnitude)
        first = np.where(step % 2 == 1, tilt_deg < 0, tilt_deg > 0)
        order = np.argsort(np.lexsort([first, magnitude]))
    dose = prior = None
    if faults.dose_e_per_a2 is not None:
        dose = np.full(n_views, faults.dose_e_per_a2)
        prior = faults.dose_e_per_a2 * order.astype(np.float64)
    defocus = None
    if faults.defocus_um is not None:
        defocus = np.tile([faults.defocus_um, faults.defocus_um, 0.0], (n_views, 1))
    return Acquisition(
        n_views,
        dose_e_per_a2=dose,
        prior_dose_e_per_a2=prior,
        order=order,
        defocus_um=defocus,
        voltage_kv=faults.optics.voltage_kv,
        spherical_aberration_mm=faults.optics.spherical_aberration_mm,
        amplitude_contrast=faults.optics.amplitude_contrast,
    )


def _misalignment(tilt_deg: _FloatArray, faults: Faults, random: _Streams) -> Misalignment:
    n_views = tilt_deg.size
    tilt = tilt_deg + faults.tilt_error_deg * _truncated(random["tilt"], (n_views,))
    return Misalignment(
        tilt, faults.shift_error_px * _truncated(random["shift"], (n_views, 2)), faults.axis_rotation_deg
    )


def _truncated(rng: np.random.Generator, shape: tuple[int, ...]) -> _FloatArray:
    """Normal deviates, drawn again beyond three."""
    drawn = rng.standard_normal(shape)
    while (beyond := np.abs(drawn) > _TRUNCATED_AT).any():
        drawn[beyond] = rng.standard_normal(int(beyond.sum()))
    return drawn


def _clean(
    specimen: Specimen,
    nominal: TiltGeometry,
    true: Misalignment,
    faults: Faults,
    acquisition: Acquisition,
    pixel_size_angstrom: float,
    supersample: int,
) -> NDArray[np.float32]:
    """Projections after contrast transfer and dose, without noise."""
    filtered = faults.defocus_um is not None or faults.fading
    margin = 0
    if filtered:
        reach = reach_px(pixel_size_angstrom, faults.defocus_um or 0.0, faults.optics)
        margin = min(reach, _MOST_MARGIN_PX)
    geometry = TiltGeometry(
        true.tilt_deg, nominal.n_u + 2 * margin, nominal.n_v + 2 * margin, true.shift_px[:, 0], true.shift_px[:, 1]
    )
    images = specimen.project(geometry, supersample, turned_deg=true.axis_rotation_deg)
    if not filtered:
        return images
    exposures = exposures_of_views(acquisition) if faults.fading else np.zeros(nominal.n_views)
    cropped = np.empty((nominal.n_views, nominal.n_v, nominal.n_u), dtype=np.float32)

    def apply(view: int) -> None:
        slope = GRADIENTS[faults.defocus_gradient] * math.tan(geometry.tilt_rad[view])
        cropped[view] = _transfer(
            images[view], margin, reach, slope, true, view, faults, float(exposures[view]), pixel_size_angstrom
        )

    run_in_threads(apply, nominal.n_views)
    return cropped


def _transfer(
    image: NDArray[np.float32],
    margin: int,
    reach: int,
    slope: float,
    true: Misalignment,
    view: int,
    faults: Faults,
    exposure: float,
    pixel_size_angstrom: float,
) -> NDArray[np.float32]:
    """One view with a margin after contrast transfer and dose, its mean kept; the margin is left off."""
    n_y, n_x = (n - 2 * margin for n in image.shape)
    mean = image.mean(dtype=np.float64)
    # Beyond a margin that is no wider than the specimen goes on, the reflection of what is there.
    around = np.pad(image - np.float32(mean), reach - margin, mode="symmetric")
    spectrum = np.fft.rfft2(around)
    k_x, k_y = frequency_grid(around.shape, pixel_size_angstrom)
    spectrum *= exposure_filter(np.hypot(k_x, k_y), exposure, faults.optics.voltage_kv)
    if faults.defocus_um is None:
        filtered = np.fft.irfft2(spectrum, around.shape)
        return (filtered[reach : reach + n_y, reach : reach + n_x] + mean).astype(np.float32)
    # Absorption is the amplitude's part of the whole contrast: where electrons are counted, it is the view, and the
    # transfer at zero frequency is 1.
    spectrum *= 1 / faults.optics.amplitude_contrast if faults.counting else 1.0
    optics = ViewOptics(faults.optics, (faults.defocus_um, faults.defocus_um, 0.0), 0.0, slope)
    result = np.empty((n_y, n_x), dtype=np.float32)
    for columns, rows in _patches(n_x, n_y, pixel_size_angstrom, optics, true.axis_rotation_deg):
        middle = [(columns.start + columns.stop - n_x) / 2, (rows.start + rows.stop - n_y) / 2]
        u = (turn_matrix(-true.axis_rotation_deg) @ middle)[0] - true.shift_px[view, 0]
        defocus = optics.defocus_at(u * pixel_size_angstrom)
        filtered = np.fft.irfft2(spectrum * contrast_transfer(k_x, k_y, defocus, faults.optics), around.shape)
        inside = filtered[reach + rows.start : reach + rows.stop, reach + columns.start : reach + columns.stop]
        result[rows, columns] = inside + mean
    return result


def _patches(
    n_x: int, n_y: int, pixel_size_angstrom: float, optics: ViewOptics, turned_deg: float
) -> list[tuple[slice, slice]]:
    """Columns and rows of parts of nearly one defocus: strips along the tilt axis, or rectangles where it is aslant."""
    turn = math.radians(turned_deg)

    def bounds(n: int, part: float) -> list[slice]:
        along = replace(optics, slope=optics.slope * part)
        return [slice(*ends) for ends in strip_bounds(n, pixel_size_angstrom, along)]

    return [
        (columns, rows) for columns in bounds(n_x, abs(math.cos(turn))) for rows in bounds(n_y, abs(math.sin(turn)))
    ]


def _contrast(images: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean([image.var(dtype=np.float64) for image in images])))


def _add_noise(
    images: NDArray[np.float32], faults: Faults, scale: float, contrast: float, rng: np.random.Generator
) -> float:
    """Add white noise; its standard deviation."""
    deviation = (faults.noise or 0.0) * scale
    if faults.snr is not None:
        deviation = contrast / math.sqrt(faults.snr)
    if deviation > 0:
        # View by view, so that a stack's worth of noise is never held.
        for image in images:
            image += np.float32(deviation) * rng.standard_normal(image.shape, dtype=np.float32)
    return deviation


def _count(
    images: NDArray[np.float32],
    gain: _FloatArray,
    faults: Faults,
    pixel_size_angstrom: float,
    layer: Layer | None,
    rng: np.random.Generator,
) -> float:
    """Turn line integrals into counts of electrons; the root of their mean, about the deviation of their noise."""
    assert faults.dose_e_per_a2 is not None
    beam = counts_per_pixel(faults.dose_e_per_a2, pixel_size_angstrom)
    ice = ICE if layer is None else layer.density
    absorption = pixel_size_angstrom / (faults.mean_free_path_angstrom * ice)

    def blur(k_x: _FloatArray, k_y: _FloatArray) -> _FloatArray:
        nyquist = 0.5 / pixel_size_angstrom
        return np.asarray(np.power(faults.mtf, (k_x**2 + k_y**2) / nyquist**2))

    for view, image in enumerate(images):
        mean = beam * gain[view] * np.exp(-absorption * image.astype(np.float64))
        image[:] = rng.poisson(np.minimum(mean, 1e12))
        if faults.mtf < 1:
            image[:] = filter_columns(image, blur, pixel_size_angstrom, margin_px=32)
    return math.sqrt(float(images.mean(dtype=np.float64)))


def _heat(images: NDArray[np.float32], n: int, deviation: float, rng: np.random.Generator) -> None:
    for image in images:
        where = rng.choice(image.size, min(n, image.size), replace=False)
        image.flat[where] += (deviation * rng.uniform(*_HOT, len(where))).astype(np.float32)
