"""Discs that some program has painted over in one grey: patches whose pixels are all alike, where noise should be.

They are no measurement, and no darker than what is around them: no matched filter sees them, but they are flat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.fiducials.matching import Image, Used

Discs = NDArray[np.float64]

LEAST_RADIUS_PX = 2.5
LEAST_INSIDE = 0.9
"""A disc's centre is at least so many radii inside of the view: patches of padding lie along its edges."""
_FLAT = 1e-3
_MOST_FLAT = 0.5
_LARGEST = 6.0
_ALIKE = 0.15
_SAMPLES = 20_000


def flat_discs(image: Image, used: Used | None, largest_radius_px: float) -> Discs:
    """Find the discs of one view whose pixels are all alike.

    Parameters
    ----------
    image : ndarray of float32, shape (n_y, n_x)
        One view.
    used : ndarray of bool, shape (n_y, n_x), or None
        Pixels that count: discs whose centre does not are left out.
    largest_radius_px : float
        Flat patches much wider than this are padding.

    Returns
    -------
    ndarray of float64, shape (n, 3)
        Row, column and radius of each in pixels. None where most of the view is flat: it has no noise.
    """
    from scipy.ndimage import (
        binary_dilation,
        center_of_mass,
        distance_transform_edt,
        find_objects,
        label,
        maximum_filter,
    )

    nothing = np.zeros((0, 3))
    if min(image.shape) < 8:
        return nothing
    step = np.abs(np.diff(image, axis=1))
    noise = float(np.median(step.ravel()[:: max(1, step.size // _SAMPLES)]))
    alike = step <= _FLAT * noise
    # Most views have none: this costs next to nothing.
    if not 0 < np.count_nonzero(alike) < _MOST_FLAT * alike.size:
        return nothing
    alike_y = np.abs(np.diff(image, axis=0)) <= _FLAT * noise
    flat = np.zeros(image.shape, bool)
    # A pixel that is like its four neighbours.
    flat[1:-1, 1:-1] = alike[1:-1, 1:] & alike[1:-1, :-1] & alike_y[1:, 1:-1] & alike_y[:-1, 1:-1]
    labels, _ = label(flat)
    found = []
    most = _LARGEST * np.pi * largest_radius_px**2
    for number, window in enumerate(find_objects(labels), start=1):
        if max(part.stop - part.start for part in window) < 2 * LEAST_RADIUS_PX - 2:
            continue
        inner = np.pad(labels[window] == number, 2)
        if not inner.sum() <= most:
            continue
        # The neighbours that a pixel is like belong to the patch.
        patch = binary_dilation(inner)
        depth = distance_transform_edt(patch)
        tops, _ = label((depth == maximum_filter(depth, 5)) & (depth >= LEAST_RADIUS_PX))
        for k in range(1, tops.max() + 1):
            y, x = np.argwhere(tops == k).mean(axis=0)
            found.append((y, x, float(depth[tops == k].max()), patch, window))
    discs = []
    for y, x, depth_px, patch, window in found:
        rows, columns = np.indices(patch.shape)
        near = patch & (np.hypot(rows - y, columns - x) <= 1.25 * depth_px)
        radius = float(np.sqrt(near.sum() / np.pi))
        if radius > 1.25 * depth_px or depth_px > 1.3 * largest_radius_px:
            continue  # a strip or a corner, no disc
        y, x = (place + part.start - 2 for place, part in zip(center_of_mass(near), window, strict=True))
        inside = min(y, x, image.shape[0] - 1 - y, image.shape[1] - 1 - x)
        if inside >= LEAST_INSIDE * radius and (used is None or used[round(y), round(x)]):
            discs.append((y, x, radius))
    return np.array(discs) if discs else nothing


def of_one_size(discs: list[Discs]) -> tuple[list[Discs], float]:
    """Keep the discs of the size that most of them have.

    Parameters
    ----------
    discs : list of ndarray, shape (n, 3)
        Of each view, from :func:`flat_discs`.

    Returns
    -------
    discs : list of ndarray, shape (n, 3)
        Those of about this radius.
    radius_px : float
        Its median; 0 if there is no disc.
    """
    radii = np.concatenate([found[:, 2] for found in discs])
    if radii.size == 0:
        return discs, 0.0
    counts = [np.count_nonzero(np.abs(radii - radius) <= _ALIKE * radius) for radius in radii]
    common = radii[int(np.argmax(counts))]
    radius = float(np.median(radii[np.abs(radii - common) <= _ALIKE * common]))
    return [found[np.abs(found[:, 2] - radius) <= _ALIKE * radius] for found in discs], radius
