"""Two halves of one tomogram against each other: Fourier shell correlation, with its mask, threshold and check."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from tomokit.data import Volume
from tomokit.data.json_numbers import finite_or_none
from tomokit.errors import InputError, OptionError
from tomokit.metrics.fourier_shells import ShellCorrelation, Spectrum, check_tilt_range, shell_correlation
from tomokit.metrics.phase_randomization import is_checked, randomize_phases, true_correlation
from tomokit.metrics.resolution import effective_voxels, find_crossing, half_bit_curve
from tomokit.pipeline.half_map_inputs import common_shape, common_voxel_size, make_mask
from tomokit.pipeline.memory import check_memory
from tomokit.pipeline.volumes import VolumeLike, as_volume, volume_path

Floats = NDArray[np.float64]

RANDOM_BELOW = 0.8
"""Phases are random by default from where the correlation without a mask has fallen below this, as in RELION."""

_BYTES_PER_VOXEL, _BYTES_PER_MASKED_VOXEL = 40, 76
"""Measured; the second where the mask's edge is made by a transform of distances."""


@dataclass(frozen=True)
class FourierOptions:
    """What is asked of :func:`half_map_correlation`.

    Attributes
    ----------
    mask : str
        One of :data:`tomokit.pipeline.half_map_inputs.MASKS`, or the path of an MRC volume with values from 0 to 1.
    edge_px : float
        Width of soft edges in voxels; a volume of 0 and 1 alone gets one too.
    tilt_range_deg : tuple of float or None
        Least and greatest tilt angle: only what these views measure counts.
    randomize_angstrom : float or None
        Resolution beyond which phases are random for the check of the mask; None: chosen.
    check_mask : bool
        Whether the mask is checked.
    seed : int
        Of the random phases.
    """

    mask: str = "box"
    edge_px: float = 8.0
    tilt_range_deg: tuple[float, float] | None = None
    randomize_angstrom: float | None = None
    check_mask: bool = True
    seed: int = 0


def half_map_correlation(
    first: VolumeLike, second: VolumeLike, options: FourierOptions | None = None
) -> dict[str, Any]:
    """Correlate two halves of one tomogram by spatial frequency.

    Parameters
    ----------
    first, second : Volume, ndarray or path-like
        Densities ``[z, y, x]`` of one shape and voxel size.
    options : FourierOptions, optional

    Returns
    -------
    dict
        JSON-serializable. ``voxel_size_angstrom`` (null if unknown), ``shape``, ``mask`` (``kind``, ``edge_px`` and its
        mean over voxels, ``share``), ``tilt_range_deg``, ``check`` (null, or ``beyond_angstrom``, ``beyond_frequency``
        and the greatest correlation ``by_mask_alone`` beyond it), ``crossings`` (of ``0.143``, ``0.5`` and
        ``half_bit``: ``resolution_angstrom``, ``frequency`` and ``found``), ``curves`` (lists over shells:
        ``frequency`` in cycles per voxel, ``resolution_angstrom``, ``fsc``, ``fsc_masked``, ``fsc_unmasked``,
        ``fsc_randomized``, ``half_bit``, ``voxels``, ``effective_voxels``; null where there is no value) and
        ``warnings``. ``fsc`` is what is left when what the mask adds is taken out, and is that of the masked volumes
        where it was not checked.

    Raises
    ------
    InputError
        If a file cannot be read, shapes or voxel sizes differ, a volume is constant, or the mask has values outside
        0 to 1 or none above 0.
    OptionError
        If the tilt range, the edge or the resolution makes no sense.
    ResourceError
        If it does not fit in memory.
    """
    options = options or FourierOptions()
    if options.tilt_range_deg is not None:
        check_tilt_range(options.tilt_range_deg)
    if not 0 <= options.edge_px < 1e6:
        raise OptionError(f"an edge of {options.edge_px:g} voxels", field="--edge", remedy="give at least 0")
    halves = [as_volume(first), as_volume(second)]
    names = [str(volume_path(half) or "array") for half in (first, second)]
    voxel_size, warnings = common_voxel_size(halves, names)
    beyond = _asked_frequency(options, voxel_size)
    shape = common_shape(halves, names)
    check_memory(
        bytes_per_voxel(options.mask) * halves[0].density.size, "the Fourier transforms of two volumes",
        "bin both volumes, or cut the same box out of them",
    )  # fmt: skip
    mask = make_mask(options.mask, options.edge_px, halves, shape)
    job = _Transforms(halves, names, shape, options.tilt_range_deg)
    spectra = [job.transform(half, None) for half in (0, 1)]
    unmasked = job.correlate(spectra)
    frequency, masked, randomized = unmasked.frequency, unmasked.correlation, None
    if mask is not None:
        masked = job.correlate([job.transform(half, mask) for half in (0, 1)]).correlation
    if mask is None or not options.check_mask:
        beyond = None
    elif beyond is None:
        beyond = _where_random(unmasked, warnings)
    best, check = masked, None
    if mask is not None and beyond is not None:
        random = [job.randomize(spectra[half], beyond, 2 * options.seed + half, mask) for half in (0, 1)]
        randomized = job.correlate(random).correlation
        best = true_correlation(frequency, masked, randomized, beyond)
        past = randomized[is_checked(frequency, beyond) & np.isfinite(randomized)]
        check = {
            "beyond_frequency": beyond,
            "beyond_angstrom": _resolution(beyond, voxel_size),
            "by_mask_alone": float(past.max()) if past.size else None,
        }
    effective = effective_voxels(unmasked.voxels, mask)
    half_bit = half_bit_curve(effective)
    thresholds: tuple[tuple[str, float | Floats], ...] = (("0.143", 0.143), ("0.5", 0.5), ("half_bit", half_bit))
    crossings = {name: find_crossing(frequency, best, threshold) for name, threshold in thresholds}
    return {
        "voxel_size_angstrom": voxel_size,
        "shape": list(shape),
        "mask": {
            "kind": options.mask,
            "edge_px": None if mask is None else options.edge_px,
            "share": 1.0 if mask is None else float(mask.mean(dtype=np.float64)),
        },
        "tilt_range_deg": None if options.tilt_range_deg is None else list(options.tilt_range_deg),
        "check": check,
        "crossings": {
            name: {
                "resolution_angstrom": _resolution(crossing.frequency, voxel_size),
                "frequency": crossing.frequency,
                "found": crossing.found,
            }
            for name, crossing in crossings.items()
        },
        "curves": {
            "frequency": frequency.tolist(),
            "resolution_angstrom": [_resolution(value, voxel_size) for value in frequency],
            "fsc": _plain(best),
            "fsc_masked": _plain(masked),
            "fsc_unmasked": _plain(unmasked.correlation),
            "fsc_randomized": [None] * frequency.size if randomized is None else _plain(randomized),
            "half_bit": _plain(half_bit),
            "voxels": unmasked.voxels.tolist(),
            "effective_voxels": _plain(effective),
        },
        "warnings": warnings,
    }


def bytes_per_voxel(mask: str) -> int:
    """Tell what :func:`half_map_correlation` takes of memory beside both halves.

    Parameters
    ----------
    mask : str
        As of :class:`FourierOptions`.

    Returns
    -------
    int
        Bytes for each voxel of one half.
    """
    return _BYTES_PER_VOXEL if mask in ("box", "none", "sphere") else _BYTES_PER_MASKED_VOXEL


class _Transforms:
    """Fourier transforms of both halves, in single precision; what is summed of them is in double."""

    def __init__(
        self, halves: list[Volume], names: list[str], shape: tuple[int, int, int], tilts: tuple[float, float] | None
    ) -> None:
        self._densities, self._names, self._shape, self._tilts = [h.density for h in halves], names, shape, tilts
        self._workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def transform(self, half: int, mask: NDArray[np.float32] | None) -> Spectrum:
        """The transform of a half less its mean, times the mask."""
        try:
            return self._masked(self._densities[half], mask)
        except InputError as error:
            error.file = error.file or self._names[half]
            raise

    def randomize(self, spectrum: Spectrum, beyond: float, seed: int, mask: NDArray[np.float32]) -> Spectrum:
        """The transform of a half whose phases are random beyond a frequency, under the mask."""
        random = randomize_phases(spectrum, self._shape, beyond, seed, self._workers)
        values = scipy.fft.irfftn(random, self._shape, workers=self._workers, overwrite_x=True)
        return self._masked(values, mask)

    def correlate(self, spectra: list[Spectrum]) -> ShellCorrelation:
        """The correlation of two transforms over shells."""
        return shell_correlation(spectra[0], spectra[1], self._shape, self._tilts)

    def _masked(self, values: NDArray[np.float32], mask: NDArray[np.float32] | None) -> Spectrum:
        if mask is None:
            mean = float(values.mean(dtype=np.float64))
            levelled = values - np.float32(mean)
        else:
            # The mean under the mask: the level would imprint the mask itself on both halves.
            weighed = sum(float(np.vdot(v.astype(np.float64), m)) for v, m in zip(values, mask, strict=True))
            levelled = values - np.float32(weighed / float(mask.sum(dtype=np.float64)))
            levelled *= mask
        if not levelled.any():
            raise InputError("is constant: there is nothing to be correlated", field="density")
        return scipy.fft.rfftn(levelled, workers=self._workers, overwrite_x=True)


def _asked_frequency(options: FourierOptions, voxel_size: float | None) -> float | None:
    """Where phases are to be random, in cycles per voxel, if that was asked."""
    resolution = options.randomize_angstrom
    if resolution is None:
        return None
    if voxel_size is None:
        raise OptionError(
            "no resolution in ångström without a voxel size", field="--randomize-beyond",
            remedy="leave it out, or give the files a voxel size",
        )  # fmt: skip
    if not resolution > 2 * voxel_size:
        raise OptionError(
            f"{resolution:g} ångström is not coarser than two voxels of {voxel_size:g}", field="--randomize-beyond",
            remedy="give a larger number",
        )  # fmt: skip
    return voxel_size / resolution


def _where_random(unmasked: ShellCorrelation, warnings: list[str]) -> float | None:
    """Where phases are to be random by default, in cycles per voxel; None, with a warning, where nowhere."""
    if unmasked.correlation[0] < RANDOM_BELOW:
        return float(unmasked.frequency[0])
    frequency = find_crossing(unmasked.frequency, unmasked.correlation, RANDOM_BELOW).frequency
    if frequency is None:
        warnings.append(
            f"the mask was not checked: the correlation without it is nowhere below {RANDOM_BELOW:g}; "
            "--randomize-beyond sets where phases are to be random"
        )
    return frequency


def _resolution(frequency: float | None, voxel_size: float | None) -> float | None:
    return None if frequency is None or voxel_size is None else float(voxel_size / frequency)


def _plain(values: Floats) -> list[float | None]:
    """Numbers for JSON, which has no NaN."""
    return [finite_or_none(value) for value in values]
