"""Point beads projected by IMOD's formula into raw images, in double precision and without the code under test."""

from __future__ import annotations

import numpy as np


def project(points: np.ndarray, tilt_deg: float, x_tilt_deg: float = 0.0) -> np.ndarray:
    """Where points ``(x, y, z)`` appear in one aligned view, ``(u, v)`` in pixels from the tilt axis.

    The formula of flib/tilt/tilt.f90, subroutine project: ``y sin(alpha) sb + z cos(alpha) sb + x cb`` with
    ``sb = -sin(theta)``, and ``y cos(alpha) - z sin(alpha)``.
    """
    theta, alpha = np.deg2rad(tilt_deg), np.deg2rad(x_tilt_deg)
    x, y, z = np.asarray(points, float).T
    u = x * np.cos(theta) - y * np.sin(alpha) * np.sin(theta) - z * np.cos(alpha) * np.sin(theta)
    return np.stack([u, y * np.cos(alpha) - z * np.sin(alpha)], axis=1)


def transforms(n: int, angle_deg: float = 85.0, seed: int = 0) -> np.ndarray:
    """Rotation by about this angle, magnification and shift, other ones in each view; as in an ``.xf``."""
    rng = np.random.default_rng(seed)
    angle, scale = np.deg2rad(angle_deg + rng.normal(0, 1, n)), 1 + rng.normal(0, 0.01, n)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.stack([c, -s, s, c, rng.normal(0, 2, n), rng.normal(0, 2, n)], axis=1)


def raw_image(shape: tuple[int, int], aligned: np.ndarray, row: np.ndarray, sigma: float = 1.7) -> np.ndarray:
    """Gaussians in a raw image that the transform takes to these aligned points, both from (n - 1) / 2."""
    raw = np.linalg.solve(row[:4].reshape(2, 2), (aligned - row[4:]).T).T
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    image = np.zeros(shape)
    for rx, ry in raw:
        cx, cy = rx + (shape[1] - 1) / 2, ry + (shape[0] - 1) / 2
        image += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
    return image


def found_in_image(image: np.ndarray, at: np.ndarray, half: int = 5) -> np.ndarray:
    """Centroids near these positions, from the image's centre."""
    centre = (np.array(image.shape[::-1]) - 1) / 2
    found = []
    for x, y in at + centre:
        ix, iy = round(x), round(y)
        window = image[iy - half : iy + half + 1, ix - half : ix + half + 1]
        yy, xx = np.mgrid[iy - half : iy + half + 1, ix - half : ix + half + 1]
        found.append(((window * xx).sum() / window.sum(), (window * yy).sum() / window.sum()))
    return np.array(found) - centre


def found_in_volume(volume: np.ndarray, at_zyx: np.ndarray, half: int = 3) -> np.ndarray:
    """Positions ``[z, y, x]`` of the peaks near these, in voxels, by centroids of what is above half the peak."""
    found = []
    for point in at_zyx:
        low = np.round(point).astype(int) - half
        window = volume[tuple(slice(max(0, a), a + 2 * half + 1) for a in low)]
        weight = np.clip(window - window.max() / 2, 0, None)
        grid = np.indices(window.shape)
        found.append([(weight * axis).sum() / weight.sum() for axis in grid] + np.maximum(low, 0))
    return np.array(found)
