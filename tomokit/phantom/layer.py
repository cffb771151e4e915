"""A layer of vitreous ice without end in x and y, between two slightly uneven surfaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import centre

STEEPEST = 0.08
"""Largest slope of a surface; times the tangent of 80 degrees it is below 1, so that a ray meets it once."""
_NEWTON_STEPS = 12
_NEWTON_TOLERANCE_PX = 1e-6

_FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """A surface ``z = level + sum of amplitude * sin(k_x x + k_y y + phase)``.

    Attributes
    ----------
    level_px : float
        Mean height.
    wave_per_px : ndarray of float64, shape (n, 2)
        Wave vectors ``(k_x, k_y)`` in radians per pixel.
    phase_rad, amplitude_px : ndarray of float64, shape (n,)
        Of each wave.
    """

    level_px: float
    wave_per_px: _FloatArray
    phase_rad: _FloatArray
    amplitude_px: _FloatArray

    @classmethod
    def random(
        cls, level_px: float, roughness_px: float, shortest_px: float, rng: np.random.Generator, n_waves: int = 5
    ) -> Surface:
        """Make a surface of waves of random directions, nowhere steeper than :data:`STEEPEST`.

        Parameters
        ----------
        level_px : float
            Mean height.
        roughness_px : float
            Root of the mean square of the height about the mean, if that is not too steep.
        shortest_px : float
            Shortest wavelength; the longest is four times as long.
        rng : numpy.random.Generator
        n_waves : int

        Returns
        -------
        Surface
        """
        length = shortest_px * np.exp(rng.uniform(0, np.log(4), n_waves))
        angle = rng.uniform(0, 2 * np.pi, n_waves)
        wave = (2 * np.pi / length)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        amplitude = rng.uniform(0.5, 1.0, n_waves)
        amplitude *= roughness_px * np.sqrt(2 / np.sum(amplitude**2))
        amplitude *= min(1.0, STEEPEST / np.sum(amplitude * 2 * np.pi / length))
        return cls(level_px, wave, rng.uniform(0, 2 * np.pi, n_waves), amplitude)

    def height(self, x: _FloatArray, y: _FloatArray) -> _FloatArray:
        """Height z of the surface.

        Parameters
        ----------
        x, y : ndarray of float64, any one shape
            In pixels.

        Returns
        -------
        ndarray of float64, same shape
            In pixels.
        """
        total = np.full(np.broadcast(x, y).shape, self.level_px)
        for (k_x, k_y), phase, amplitude in zip(self.wave_per_px, self.phase_rad, self.amplitude_px, strict=True):
            total += amplitude * np.sin(k_x * x + k_y * y + phase)
        return total

    def slope_x(self, x: _FloatArray, y: _FloatArray) -> _FloatArray:
        """Change of the height along x.

        Parameters
        ----------
        x, y : ndarray of float64, any one shape
            In pixels.

        Returns
        -------
        ndarray of float64, same shape
        """
        total = np.zeros(np.broadcast(x, y).shape)
        for (k_x, k_y), phase, amplitude in zip(self.wave_per_px, self.phase_rad, self.amplitude_px, strict=True):
            total += amplitude * k_x * np.cos(k_x * x + k_y * y + phase)
        return total

    def depth(self, tilt_rad: float, u: _FloatArray, v: _FloatArray) -> _FloatArray:
        """Where rays along the beam meet the surface.

        The ray of the detector position (u, v) is ``x = u cos + w sin, y = v, z = -u sin + w cos``, with w along the
        beam; the depth is solved for by Newton's method.

        Parameters
        ----------
        tilt_rad : float
            Tilt angle, at most 80 degrees either way.
        u, v : ndarray of float64, any one shape
            Detector positions in pixels from the tilt axis.

        Returns
        -------
        ndarray of float64, same shape
            Depths w in pixels.
        """
        cos, sin = np.cos(tilt_rad), np.sin(tilt_rad)
        w = (self.level_px + u * sin) / cos
        for _ in range(_NEWTON_STEPS):
            x = u * cos + w * sin
            step = (w * cos - u * sin - self.height(x, v)) / (cos - sin * self.slope_x(x, v))
            w = w - step
            if np.abs(step).max() < _NEWTON_TOLERANCE_PX:
                break
        return np.asarray(w)


@dataclass(frozen=True)
class Layer:
    """What lies between two surfaces, of one density.

    Attributes
    ----------
    bottom, top : Surface
        The surfaces; nowhere do they meet.
    density : float
        Of the ice.
    """

    bottom: Surface
    top: Surface
    density: float

    def depths(self, tilt_rad: float, u: _FloatArray, v: _FloatArray) -> tuple[_FloatArray, _FloatArray]:
        """Where rays along the beam enter and leave the layer.

        Parameters
        ----------
        tilt_rad : float
            Tilt angle, at most 80 degrees either way.
        u, v : ndarray of float64, any one shape
            Detector positions in pixels from the tilt axis.

        Returns
        -------
        low, high : ndarray of float64, same shape
            Depths along the beam in pixels.
        """
        return self.bottom.depth(tilt_rad, u, v), self.top.depth(tilt_rad, u, v)

    def fractions(self, shape_zyx: tuple[int, int, int], parts: int = 2) -> NDArray[np.float32]:
        """Part of each voxel that lies within the layer, exactly along z and by samples along x and y.

        Parameters
        ----------
        shape_zyx : tuple of int
            Voxels of the box along z, y and x, about the origin.
        parts : int
            Samples per voxel along x, and along y.

        Returns
        -------
        ndarray of float32, shape `shape_zyx`
            From 0 to 1.
        """
        n_z, n_y, n_x = shape_zyx
        offsets = (np.arange(parts) + 0.5) / parts - 0.5
        z = (np.arange(n_z) - centre(n_z))[:, None, None]
        total = np.zeros(shape_zyx, dtype=np.float32)
        for dy in offsets:
            for dx in offsets:
                x, y = np.meshgrid(np.arange(n_x) - centre(n_x) + dx, np.arange(n_y) - centre(n_y) + dy)
                below = np.clip(self.top.height(x, y) - (z - 0.5), 0, 1)
                below -= np.clip(self.bottom.height(x, y) - (z - 0.5), 0, 1)
                total += below.astype(np.float32)
        return total / np.float32(parts**2)
