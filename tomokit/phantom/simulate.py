"""Simulated tilt series and the true density behind them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tomokit.data import TiltSeries, Volume
from tomokit.data.acquisition import Acquisition
from tomokit.errors import OptionError
from tomokit.geometry import ORIENTATION, TiltGeometry
from tomokit.phantom.crowded import Reach, crowded_specimen
from tomokit.phantom.faults import MOST_NOISE, Faults
from tomokit.phantom.imaging import Misalignment, image_specimen
from tomokit.phantom.shells import random_shells
from tomokit.phantom.specimen import Specimen
from tomokit.version import __version__

__all__ = [
    "DEFAULT_PIXEL_SIZE_ANGSTROM",
    "MOST_NOISE",
    "SPECIMENS",
    "Simulation",
    "simulate_experiment",
    "simulate_series",
]

DEFAULT_PIXEL_SIZE_ANGSTROM = 10.0
"""Edge of a pixel of a simulated series, if none is asked for."""
SPECIMENS = {"shells": "random ellipsoidal shells", "crowded": "crowded slab"}
_STREAMS = 7


@dataclass(frozen=True)
class Simulation:
    """A simulated tilt series with all that is true of it.

    Attributes
    ----------
    series : TiltSeries
        The views, at the nominal angles. Its provenance records all settings, and what is true of each view, under
        ``"simulation"``.
    truth : Volume
        The density ``[z, y, x]``, with the same provenance.
    misalignment : Misalignment
        Where the views truly lie.
    acquisition : Acquisition
        Dose, order, defocus and optics.
    """

    series: TiltSeries
    truth: Volume
    misalignment: Misalignment
    acquisition: Acquisition


def simulate_experiment(
    shape_zyx: tuple[int, int, int],
    tilt_deg: ArrayLike,
    seed: int = 0,
    *,
    specimen: str = "shells",
    gold: int = 0,
    faults: Faults | None = None,
    pixel_size_angstrom: float = DEFAULT_PIXEL_SIZE_ANGSTROM,
    supersample: int = 3,
) -> Simulation:
    """Simulate a tilt series with chosen faults.

    Specimen, noise and each fault come from independent random streams: the same seed gives the same specimen at any
    fault, and each fault in the same pattern at any other.

    Parameters
    ----------
    shape_zyx : tuple of int
        Voxels of the truth along z, y and x; the views have y rows and x columns.
    tilt_deg : array_like, shape (n_views,)
        Nominal tilt angles in degrees.
    seed : int
        Seed of all that is random, at least 0.
    specimen : {"shells", "crowded"}
        Particles that lie within every view, of :func:`~tomokit.phantom.random_shells`, or a slab that goes on beyond
        them, of :func:`~tomokit.phantom.crowded.crowded_specimen`.
    gold : int
        Gold beads on a crowded slab, in the field.
    faults : Faults, optional
        Noise and all else; by default clean projections.
    pixel_size_angstrom : float
        Edge of a pixel and of a voxel in ångström.
    supersample : int
        Samples per pixel and voxel along an axis that is not integrated exactly.

    Returns
    -------
    Simulation

    Raises
    ------
    OptionError
        If the seed is negative, the box too small, or an option contradicts the specimen.
    """
    faults = Faults() if faults is None else faults
    if seed < 0:
        raise OptionError(f"seed of {seed}", field="--seed", remedy="give a whole number of at least 0")
    if not 0.1 <= pixel_size_angstrom <= 1000:
        raise OptionError(f"{pixel_size_angstrom:g} is not from 0.1 to 1000 angstrom", field="--pixel-size")
    if specimen not in SPECIMENS:
        raise OptionError(f"no {specimen!r}", field="--specimen", remedy=f"choose from {', '.join(SPECIMENS)}")
    if gold and specimen != "crowded":
        raise OptionError("beads lie on a slab", field="--gold", remedy="give --specimen crowded too")
    if not 0 <= gold <= 1000:
        raise OptionError(f"{gold} is not from 0 to 1000", field="--gold")
    phantom_stream, *streams = np.random.SeedSequence(seed).spawn(_STREAMS)
    angles = np.atleast_1d(np.asarray(tilt_deg, dtype=np.float64))
    if specimen == "crowded":
        reach = Reach.of_views(shape_zyx, angles)
        imaged = crowded_specimen(
            shape_zyx, phantom_stream, pixel_size_angstrom=pixel_size_angstrom, reach=reach, gold=gold
        )
    else:
        imaged = Specimen(random_shells(shape_zyx, phantom_stream))
    geometry = TiltGeometry(angles, n_u=shape_zyx[2], n_v=shape_zyx[1])
    views = image_specimen(imaged, geometry, faults, pixel_size_angstrom, streams, supersample)
    record: dict[str, Any] = {
        "tomokit": __version__,
        "phantom": SPECIMENS[specimen],
        "ellipsoids": len(imaged),
        "shape_zyx": list(shape_zyx),
        "seed": seed,
        "noise": faults.noise or 0.0,
        "scale": views.truth["scale"],
        "units": "electrons" if faults.counting else "density x pixels",
    }
    if specimen != "shells" or not faults.none or faults.snr is not None:
        record |= _all_settings(faults, gold, imaged, shape_zyx, views.truth)
    if faults.misaligned:
        true = views.misalignment
        record |= {"true_tilt_deg": true.tilt_deg.tolist(), "true_shift_px": true.shift_px.tolist()}
    provenance = {"simulation": record}
    truth = imaged.voxelize(shape_zyx, supersample)
    return Simulation(
        TiltSeries(views.images, geometry, pixel_size_angstrom, provenance=provenance),
        Volume(truth, pixel_size_angstrom, provenance={"orientation": ORIENTATION, **provenance}),
        views.misalignment,
        views.acquisition,
    )


def _all_settings(
    faults: Faults, gold: int, specimen: Specimen, shape_zyx: tuple[int, int, int], truth: dict[str, Any]
) -> dict[str, Any]:
    """Settings and truths of a series that is more than shells in white noise."""
    half = np.array(shape_zyx[:0:-1]) / 2
    beads = specimen.gold_xyz_px[(np.abs(specimen.gold_xyz_px[:, :2]) <= half).all(axis=1)]
    return {"gold": gold, "gold_xyz_px": beads.tolist(), "faults": dataclasses.asdict(faults), **truth}


def simulate_series(
    shape_zyx: tuple[int, int, int],
    tilt_deg: ArrayLike,
    noise: float = 0.0,
    seed: int = 0,
    *,
    pixel_size_angstrom: float = DEFAULT_PIXEL_SIZE_ANGSTROM,
    supersample: int = 3,
) -> tuple[TiltSeries, Volume]:
    """Simulate a tilt series of random ellipsoidal shells, with Gaussian noise, and its true density.

    The projections are line integrals in density x pixels, so that a reconstruction of them without a change of
    scale compares directly with the truth. The phantom and the noise come from independent random streams: the
    same seed gives the same specimen at any noise, and noise of one pattern.

    Parameters
    ----------
    shape_zyx : tuple of int
        Voxels of the specimen along z, y and x; the views have y rows and x columns.
    tilt_deg : array_like, shape (n_views,)
        Tilt angles in degrees. The publication's are -70 to 69.5 in steps of 1.5.
    noise : float
        Standard deviation of the noise relative to the maximum of the noise-free projections. The publication's
        are 0.02 to 0.5.
    seed : int
        Seed of specimen and noise, at least 0.
    pixel_size_angstrom : float
        Edge of a pixel and of a voxel in ångström.
    supersample : int
        Samples per pixel and voxel along an axis that is not integrated exactly, as in
        :func:`~tomokit.phantom.project_analytic` and :func:`~tomokit.phantom.voxelize`.

    Returns
    -------
    series : TiltSeries
        The views. Its provenance records under ``"simulation"`` version, seed, noise and the scale: the noise-free
        maximum in density x pixels.
    truth : Volume
        The density ``[z, y, x]``, in [0, 1], with the same provenance.

    Raises
    ------
    OptionError
        If the noise is negative or beyond a million, the seed negative, or the box too small.
    """
    found = simulate_experiment(
        shape_zyx,
        tilt_deg,
        seed,
        faults=Faults(noise=noise),
        pixel_size_angstrom=pixel_size_angstrom,
        supersample=supersample,
    )
    return found.series, found.truth
