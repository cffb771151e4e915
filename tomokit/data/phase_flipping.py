"""Phase flipping of a tilted view: in strips along the tilt axis, whose defocus differs across it.

A specimen that is tilted by theta about the y axis lies higher on one side. The column u, in pixels from the axis, has
the defocus ``D + u tan(theta)`` times the pixel's edge, with the sign of IMOD's tilt angles; series of the other hand
have it reversed.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.data.ctf import Optics, contrast_transfer
from tomokit.data.fourier_filter import Transfer, filter_columns

TOLERANCE_RAD = math.pi / 8
"""Within a strip the phase of the transfer function at Nyquist's frequency errs by less than this."""
LEAST_MARGIN_PX = 32
_LEAST_STRIP_PX = 8


@dataclass(frozen=True)
class ViewOptics:
    """All that the contrast transfer function of a view, column for column, follows from.

    Attributes
    ----------
    optics : Optics
        The microscope.
    defocus_um : (float, float, float)
        Defocus on the tilt axis along both principal axes in micrometres, and the angle of the first from x in degrees.
    phase_shift_deg : float
        Shift of a phase plate in degrees.
    slope : float
        Change of defocus across the tilt axis, over length: the tangent of the tilt, its sign as the hand has it, or 0.
    """

    optics: Optics
    defocus_um: tuple[float, float, float]
    phase_shift_deg: float = 0.0
    slope: float = 0.0

    def defocus_at(self, u_angstrom: float) -> tuple[float, float, float]:
        """Compute the defocus of a column.

        Parameters
        ----------
        u_angstrom : float
            Distance from the tilt axis in ångström.

        Returns
        -------
        (float, float, float)
            As :attr:`defocus_um`.
        """
        change = u_angstrom * self.slope * 1e-4
        first, second, angle = self.defocus_um
        return first + change, second + change, angle


def strip_bounds(n_x: int, pixel_size_angstrom: float, view: ViewOptics) -> list[tuple[int, int]]:
    """Divide the columns of a view into strips of nearly the same defocus.

    From the middle of a strip to its edge the phase of the transfer function at Nyquist's frequency changes by at most
    :data:`TOLERANCE_RAD`; strips are at least 8 pixels wide.

    Parameters
    ----------
    n_x : int
        Columns.
    pixel_size_angstrom : float
        Edge of a pixel in ångström.
    view : ViewOptics

    Returns
    -------
    list of (int, int)
        First column, and the one after the last, of each strip.
    """
    nyquist = 0.5 / pixel_size_angstrom
    tolerance_angstrom = 2 * TOLERANCE_RAD / (math.pi * view.optics.wavelength_angstrom * nyquist**2)
    whole_angstrom = abs(view.slope) * n_x * pixel_size_angstrom
    n_strips = max(1, min(math.ceil(whole_angstrom / tolerance_angstrom), n_x // _LEAST_STRIP_PX))
    edges = np.rint(np.linspace(0, n_x, n_strips + 1)).astype(int)
    return [(int(first), int(stop)) for first, stop in itertools.pairwise(edges)]


def reach_px(pixel_size_angstrom: float, largest_defocus_um: float, optics: Optics) -> int:
    """Compute how far a point is spread at Nyquist's frequency: the gradient of the phase, and a little more.

    Parameters
    ----------
    pixel_size_angstrom : float
        Edge of a pixel in ångström.
    largest_defocus_um : float
        Its magnitude in micrometres.
    optics : Optics

    Returns
    -------
    int
        Pixels.
    """
    k, wavelength = 0.5 / pixel_size_angstrom, optics.wavelength_angstrom
    spread = wavelength * k * abs(largest_defocus_um) * 1e4
    spread += abs(optics.spherical_aberration_mm) * 1e7 * (wavelength * k) ** 3
    return LEAST_MARGIN_PX + math.ceil(spread / pixel_size_angstrom)


def flip_phases(
    image: NDArray[np.float32],
    pixel_size_angstrom: float,
    view: ViewOptics,
    *,
    axis_px: float = 0.0,
    other: Transfer | None = None,
    workers: int = 1,
) -> NDArray[np.float32]:
    """Flip the phases of a view where its contrast transfer function is negative.

    Parameters
    ----------
    image : ndarray of float32, shape (n_y, n_x)
        A view, tilt axis along y, masked pixels filled.
    pixel_size_angstrom : float
        Edge of a pixel in ångström.
    view : ViewOptics
        Its defocus.
    axis_px : float
        Where the tilt axis lies, in pixels from the centre.
    other : callable, optional
        A further filter that is applied in the same pass, as :data:`tomokit.data.fourier_filter.Transfer`.
    workers : int
        Threads of the Fourier transforms.

    Returns
    -------
    ndarray of float32, shape (n_y, n_x)
        A new image.
    """
    n_x = image.shape[1]
    axis = (n_x - 1) / 2 + axis_px
    edges = (-axis * pixel_size_angstrom, (n_x - 1 - axis) * pixel_size_angstrom)
    largest = max(abs(value) for u in edges for value in view.defocus_at(u)[:2])
    # Beyond its own width an image has nothing to tell but its reflection's reflection.
    margin = min(reach_px(pixel_size_angstrom, largest, view.optics), max(image.shape))
    flipped = np.empty_like(image)
    for first, stop in strip_bounds(n_x, pixel_size_angstrom, view):
        middle = ((first + stop - 1) / 2 - axis) * pixel_size_angstrom
        flipped[:, first:stop] = filter_columns(
            image,
            _flipping(view, view.defocus_at(middle), other),
            pixel_size_angstrom,
            margin_px=margin,
            columns=(first, stop),
            workers=workers,
        )
    return flipped


def _flipping(view: ViewOptics, defocus_um: tuple[float, float, float], other: Transfer | None) -> Transfer:
    def transfer(k_x: NDArray[np.float64], k_y: NDArray[np.float64]) -> NDArray[np.float64]:
        signs = np.copysign(1.0, contrast_transfer(k_x, k_y, defocus_um, view.optics, view.phase_shift_deg))
        return signs if other is None else signs * other(k_x, k_y)

    return transfer
