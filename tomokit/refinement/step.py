"""One step of the corrections of a view: a prediction and its derivatives fitted to the view by least squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import centre

Image = NDArray[np.floating]
Floats = NDArray[np.float64]

PARAMETERS = ("u", "v", "tilt", "rotation", "magnification")
"""Of a view, in pixels, pixels, radians, radians and one."""


def plane_slopes(by_shift_u: Image, by_shift_v: Image) -> tuple[Image, Image]:
    """Tell how a prediction changes as its view is turned in its plane and magnified.

    Parameters
    ----------
    by_shift_u, by_shift_v : ndarray, shape (n_u, n_v)
        Its derivatives by the view's shifts, per pixel.

    Returns
    -------
    by_rotation, by_magnification : ndarray, shape (n_u, n_v)
        Per radian from u to v, and per one, about the centre of the view.
    """
    n_u, n_v = by_shift_u.shape
    u = (np.arange(n_u) - centre(n_u)).astype(by_shift_u.dtype)[:, None]
    v = (np.arange(n_v) - centre(n_v)).astype(by_shift_u.dtype)[None, :]
    return u * by_shift_v - v * by_shift_u, u * by_shift_u + v * by_shift_v


def without_background(image: Image, weight: Image | None, wider_px: float) -> Image:
    """Take away what is wider than a length: structure that looks alike in any geometry, and that other views lack.

    Parameters
    ----------
    image : ndarray, shape (n_u, n_v)
    weight : ndarray or None, same shape
        Mask; what it leaves out has no say.
    wider_px : float
        Standard deviation of a Gaussian in pixels.

    Returns
    -------
    ndarray like `image`
        0 where it is masked.
    """
    from scipy.ndimage import gaussian_filter

    if weight is None:
        return image - gaussian_filter(image, wider_px)
    used = (weight > 0).astype(image.dtype)
    around = gaussian_filter(image * used, wider_px)
    around /= np.maximum(gaussian_filter(used, wider_px), 1e-3)
    return (image - around) * used


def view_step(
    data: Image, weight: Image | None, predicted: Image, slopes: dict[str, Image], present: Floats, spread: Floats
) -> Floats:
    """Find the change of a view's parameters that explains most of what its prediction leaves.

    ``sum m (data - a (P + sum_k change_k dP/dk) - b)^2`` is least over gain a, offset b and the changes, with a
    quadratic term that holds each parameter near 0 as if it had been measured there once, by a pixel.

    Parameters
    ----------
    data, predicted : ndarray, shape (n_u, n_v)
        The view and its prediction.
    weight : ndarray or None, same shape
        Mask.
    slopes : dict of str to ndarray, same shape
        Derivatives of the prediction by those parameters that are refined.
    present : ndarray of float64, shape (5,)
        Parameters so far, from what was given.
    spread : ndarray of float64, shape (5,)
        Standard deviation that each is expected to have.

    Returns
    -------
    ndarray of float64, shape (5,)
        By what each of :data:`PARAMETERS` is to be changed; 0 for those that are not refined, and throughout where the
        prediction does not resemble the view.
    """
    used = slice(None) if weight is None else weight.ravel() > 0
    m = 1.0 if weight is None else weight.ravel()[used].astype(np.float64)
    target = data.ravel()[used].astype(np.float64)
    columns = [predicted.ravel()[used].astype(np.float64), *(image.ravel()[used] for image in slopes.values())]
    total = float(np.sum(m)) if weight is not None else float(target.size)
    # An offset is solved for by taking all about their means.
    design = np.array(columns, np.float64)
    design -= (design * m).sum(axis=1, keepdims=True) / total
    target = target - float((target * m).sum()) / total
    normal, right = (design * m) @ design.T, (design * m) @ target
    power = float((target * m) @ target) if weight is not None else float(target @ target)
    change = np.zeros(len(PARAMETERS))
    if not (normal[0, 0] > 0 and power > 0 and right[0] > 0):
        return change
    gain = right[0] / normal[0, 0]
    left = max(power - gain * right[0], 0.0)
    index = [PARAMETERS.index(name) for name in slopes]
    # What the gain can explain is no sign of a shift.
    across = normal[1:, 0] / normal[0, 0]
    matrix = gain**2 * (normal[1:, 1:] - np.outer(across, normal[0, 1:]))
    residual = gain * (right[1:] - across * right[0])
    hold = (left / total) / spread[index] ** 2
    matrix[np.diag_indices_from(matrix)] += hold
    change[index] = np.linalg.solve(matrix, residual - hold * present[index])
    return change
