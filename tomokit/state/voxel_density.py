"""The density of a volume of voxels on any lattice: trilinear between their centres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.state.lattice_means import Triple


class VoxelDensity:
    """The density of a volume of voxels, trilinear between their centres, constant in the outer half voxels, else 0.

    Parameters
    ----------
    volume : ndarray, shape (n_x + 2 margin_px, n_z, n_y)
        Voxels ``[x, z, y]`` of any real type; may be memory-mapped, of which only what the points meet is read.
    margin_px : int
        Voxels along x before the tomogram's first, and after its last.
    scale : float
        By which the density is multiplied.
    least : float, optional
        To which voxels are raised before anything is interpolated.
    """

    def __init__(
        self, volume: NDArray[np.number], margin_px: int = 0, scale: float = 1.0, least: float | None = None
    ) -> None:
        self._volume, self._margin, self._scale, self._least = volume, margin_px, scale, least

    def sample(self, start: Triple, step: float, count: tuple[int, int, int]) -> NDArray[np.float32]:
        """Sample the density, as :meth:`tomokit.state.lattice_means.LatticeSampler.sample`.

        Parameters
        ----------
        start : tuple of float
        step : float
        count : tuple of int

        Returns
        -------
        ndarray of float32, shape `count`
        """
        # The stored volume has a margin along x, so that the tomogram's voxel 0 is its voxel `margin`.
        shifted = (start[0] + self._margin, start[1], start[2])
        axes = [
            _AxisPoints.of(at, step, n, size) for at, n, size in zip(shifted, count, self._volume.shape, strict=True)
        ]
        # Only what the points meet: each axis is interpolated over the whole extent of those after it.
        part = self._volume[tuple(slice(axis.first, axis.stop) for axis in axes)]
        volume = cast("NDArray[np.floating]", part if part.dtype.kind == "f" else part.astype(np.float32))
        for number, axis in enumerate(axes):
            # The bound from below is for voxels, not for what is interpolated: the first axis sees the voxels.
            volume = axis.interpolate(volume, number, self._least if number == 0 else None)
        return np.asarray(volume * self._scale, np.float32)

    def extent(self) -> tuple[tuple[float, float], ...]:
        """Tell from where to where the density may be other than 0: up to the faces of the outermost voxels.

        Returns
        -------
        tuple of three pairs of float
        """
        return tuple(
            (-margin - 0.5, size - margin - 0.5)
            for size, margin in zip(self._volume.shape, (self._margin, 0, 0), strict=True)
        )


@dataclass(frozen=True)
class _AxisPoints:
    """Points of a lattice along one axis: the voxels below and above each, and the weight of the upper one."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    upper: NDArray[np.float64]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, start: float, step: float, count: int, size: int) -> _AxisPoints:
        """The points ``start + i step`` among `size` voxels."""
        at = start + step * np.arange(count)
        # What a lattice that is meant to hit the centres misses them by, in float64, is no reason to interpolate.
        at = np.where(np.abs(at - np.round(at)) < 1e-9 * max(size, 1), np.round(at), at)
        inside = (at >= -0.5) & (at <= size - 0.5)
        low = np.clip(np.floor(at).astype(np.int64), 0, size - 1)
        high = np.minimum(low + 1, size - 1)
        # The clamp makes the outer half voxels constant.
        return cls(low, high, np.clip(at - low, 0, 1), inside)

    @property
    def first(self) -> int:
        """The first voxel that is needed."""
        return int(self.low[0])

    @property
    def stop(self) -> int:
        """The one after the last."""
        return int(self.high[-1]) + 1

    def interpolate(self, volume: NDArray[np.floating], number: int, least: float | None) -> NDArray[np.floating]:
        """A volume, cut to the voxels that are needed, at these points along one axis: linear, 0 beyond its faces."""
        shape = [1, 1, 1]
        shape[number] = self.low.size

        def planes(index: NDArray[np.int64]) -> NDArray[np.floating]:
            selected: NDArray[np.floating] = np.take(volume, index - self.first, number)
            return selected if least is None else np.maximum(selected, selected.dtype.type(least))

        upper = self.upper.astype(volume.dtype)
        result = planes(self.low)
        if upper.any():
            upper = upper.reshape(shape)
            result = result * (1 - upper) + planes(self.high) * upper
        if not self.inside.all():
            result[tuple(slice(None) if i != number else ~self.inside for i in range(3))] = 0
        return result


def check_finite(density: NDArray[np.floating], name: str) -> None:
    """Refuse a density that has diverged or was spoilt; one sum tells, for infinities and NaN survive it.

    Parameters
    ----------
    density : ndarray
    name : str
        Of the array in the state.

    Raises
    ------
    InputError
        Naming the array.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if not math.isfinite(float(density.sum(dtype=np.float64))):
            raise InputError("has densities that are not finite", field=f"/arrays/{name}")
