"""Simulated tilt series and the true density behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tomokit.data import TiltSeries, Volume
from tomokit.errors import OptionError
from tomokit.geometry import ORIENTATION, TiltGeometry
from tomokit.phantom.sampling import project_analytic, voxelize
from tomokit.phantom.shells import random_shells
from tomokit.version import __version__

DEFAULT_PIXEL_SIZE_ANGSTROM = 10.0
"""Edge of a pixel of a simulated series, if none is asked for."""
MOST_NOISE = 1e6
"""A signal a million times weaker than its noise is lost, and float32 would be soon after."""


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
    if not 0 <= noise <= MOST_NOISE:
        raise OptionError(
            f"noise of {noise:g}",
            field="--noise",
            remedy="give a number from 0 to 1e6, in units of the signal's maximum",
        )
    if seed < 0:
        raise OptionError(f"seed of {seed}", field="--seed", remedy="give a whole number of at least 0")
    phantom_stream, noise_stream = np.random.SeedSequence(seed).spawn(2)
    phantom = random_shells(shape_zyx, phantom_stream)
    geometry = TiltGeometry(np.asarray(tilt_deg, dtype=np.float64), n_u=shape_zyx[2], n_v=shape_zyx[1])
    images = project_analytic(phantom, geometry, supersample)
    scale = float(images.max())
    rng = np.random.default_rng(noise_stream)
    if noise > 0:
        # View by view, so that a stack's worth of noise is never held.
        for image in images:
            image += np.float32(noise * scale) * rng.standard_normal(image.shape, dtype=np.float32)
    provenance: dict[str, Any] = {
        "simulation": {
            "tomokit": __version__,
            "phantom": "random ellipsoidal shells",
            "ellipsoids": len(phantom),
            "shape_zyx": list(shape_zyx),
            "seed": seed,
            "noise": noise,
            "scale": scale,
            "units": "density x pixels",
        }
    }
    truth = voxelize(phantom, shape_zyx, supersample)
    return (
        TiltSeries(images, geometry, pixel_size_angstrom, provenance=provenance),
        Volume(truth, pixel_size_angstrom, provenance={"orientation": ORIENTATION, **provenance}),
    )
