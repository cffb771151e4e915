"""The dense projector on a device, and on host arrays through one or several devices in slabs along the tilt axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import ResourceError
from tomokit.geometry import TiltGeometry, centre
from tomokit.gpu.device import Device, Kernel, sent

# As in voxels.cu.
_SOURCE = Path(__file__).with_name("voxels.cu")
LANES = 32
ROWS = 4
TILE = 4
U_WARPS = 8
VIEW_WARPS = 4
SIDE = 4
_SHIFT_BLOCK = 128
_SHARE = 0.9  # of the free memory: the pool rounds sizes up
_LEAST_ROWS = 32  # a whole warp


def box_views(geometry: TiltGeometry) -> NDArray[np.float64]:
    """What ``box.cuh`` asks of each view: cos, sin, offset, reach, half top, ramp, half over ramp, height.

    Returns
    -------
    ndarray of float64, shape (n_views, 8)
        The offset is what brings a position to detector columns, ``du + (n_u - 1) / 2``.
    """
    theta = geometry.tilt_rad
    c, s = np.abs(np.cos(theta)), np.abs(np.sin(theta))
    ramp = np.minimum(c, s)
    curve = np.divide(0.5, ramp, out=np.zeros_like(ramp), where=ramp > 1e-9)
    offset = geometry.shift_u_px + centre(geometry.n_u)
    trapezoid = ((1.0 + c + s) / 2.0, np.abs(c - s) / 2.0, ramp, curve, 1.0 / np.maximum(c, s))
    return np.ascontiguousarray(np.stack([np.cos(theta), np.sin(theta), offset, *trapezoid], axis=1))


class VoxelProjectorOnDevice:
    """Line integrals of voxels on one device, and their transpose, between arrays that lie on it.

    Parameters
    ----------
    device : Device
    geometry : TiltGeometry
        Views and columns; rows are as many as the arrays have.
    n_x, n_z : int
        Voxel columns.
    """

    def __init__(self, device: Device, geometry: TiltGeometry, n_x: int, n_z: int) -> None:
        self.device = device
        self._sizes = geometry.n_views, geometry.n_u, n_x, n_z
        with device:
            self._views = device.xp.asarray(box_views(geometry))

    def forward(self, volume: Any) -> Any:
        """Line integrals ``[tilt, u, y]`` of a volume ``[x, z, y]``, both float32 on the device."""
        n_views, n_u, n_x, n_z = self._sizes
        n_y = volume.shape[2]
        stack = self.device.xp.empty((n_views, n_u, n_y), np.float32)
        grid = (-(-n_u // (TILE * U_WARPS)), -(-n_views // VIEW_WARPS), -(-n_y // (LANES * ROWS)))
        sizes = (n_views, n_x, n_z, n_y, n_u)
        kernel = self._kernel("voxel_project", n_y)
        kernel(grid, (LANES, U_WARPS * VIEW_WARPS, 1), (volume, self._views, stack, *sizes))
        return stack

    def adjoint(self, stack: Any) -> Any:
        """Back-projection ``[x, z, y]`` of a stack ``[tilt, u, y]``."""
        n_views, n_u, n_x, n_z = self._sizes
        n_y = stack.shape[2]
        volume = self.device.xp.empty((n_x, n_z, n_y), np.float32)
        grid = (-(-n_x // (2 * SIDE)), -(-n_z // (2 * SIDE)), -(-n_y // (LANES * ROWS)))
        sizes = (n_views, n_x, n_z, n_y, n_u)
        kernel = self._kernel("voxel_backproject", n_y)
        kernel(grid, (LANES, SIDE * SIDE, 1), (stack, self._views, volume, *sizes))
        return volume

    def shift_rows(self, stack: Any, whole: NDArray[np.int32], fraction: NDArray[np.float32], n_out: int) -> Any:
        """``out[t, u, y] = (1 - f) in[y - w] + f in[y - w - 1]`` with each view's whole shift w and fraction f."""
        n_views, n_u, n_in = stack.shape
        xp = self.device.xp
        shifted = xp.empty((n_views, n_u, n_out), np.float32)
        arguments = (stack, xp.asarray(whole), xp.asarray(fraction), shifted, n_u, n_in, n_out)
        kernel = self._kernel("shift_rows", n_out)
        kernel((-(-n_out // _SHIFT_BLOCK), n_u, n_views), (_SHIFT_BLOCK, 1, 1), arguments)
        return shifted

    def _kernel(self, name: str, n_y: int) -> Kernel:
        """A kernel for rows of such a length."""
        return self.device.load(_SOURCE, WIDE=int(n_y % ROWS == 0))[name]


@dataclass(frozen=True)
class _Rows:
    """Which rows a slab gives, ``out``, which it takes for that, ``taken``, and the shift that is left between them."""

    out: slice
    taken: slice
    whole: NDArray[np.int32]


def _cut(whole: NDArray[np.int32], shifted: bool, n_in: int, n_out: int, rows: int) -> list[_Rows]:
    """Slabs of `rows` rows of the result, with the rows that shifts bring in."""
    found = []
    for begin in range(0, n_out, rows):
        end = min(n_out, begin + rows)
        if not shifted:
            found.append(_Rows(slice(begin, end), slice(begin, end), whole))
            continue
        low = min(max(0, begin - int(whole.max()) - 1), n_in - 1)
        high = min(max(low + 1, end - int(whole.min())), n_in)
        found.append(_Rows(slice(begin, end), slice(low, high), (whole - begin + low).astype(np.int32)))
    return found


class VoxelProjectorInSlabs:
    """The dense projector for host arrays: slabs along y are sent to the devices in turn, and brought back.

    Along y nothing is shared but rows between which a view is shifted, so every slab is computed as if it were alone
    and the result does not depend on how many there are.

    Parameters
    ----------
    devices : sequence of Device
    geometry : TiltGeometry
    volume_shape : tuple of int
        ``(n_x, n_z, n_y)``.
    most_rows : int, optional
        Rows of a slab; as many as the free memory allows if not given.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        geometry: TiltGeometry,
        volume_shape: tuple[int, int, int],
        most_rows: int | None = None,
    ) -> None:
        self.geometry = geometry
        self.volume_shape = volume_shape
        self._each = [VoxelProjectorOnDevice(device, geometry, *volume_shape[:2]) for device in devices]
        self._most_rows = most_rows

    def forward(self, volume: NDArray[np.float32]) -> NDArray[np.float32]:
        """Line integrals ``[tilt, u, y]`` of a volume ``[x, z, y]``, views shifted along y."""
        g = self.geometry
        out = np.empty((g.n_views, g.n_u, g.n_v), np.float32)
        shift = g.shift_v_px + (g.n_v - self.volume_shape[2]) / 2
        whole, fraction = split_shift(shift)
        shifted = bool(shift.any())
        for rows, dense in self._shares(whole, shifted, self.volume_shape[2], g.n_v):
            with dense.device:
                part = dense.forward(sent(dense.device, volume[:, :, rows.taken]))
                if shifted:
                    part = dense.shift_rows(part, rows.whole, fraction, rows.out.stop - rows.out.start)
                out[:, :, rows.out] = dense.device.to_host(part)
        return out

    def adjoint(self, stack: NDArray[np.float32]) -> NDArray[np.float32]:
        """Back-projection ``[x, z, y]`` of a stack ``[tilt, u, y]``."""
        g = self.geometry
        out = np.empty(self.volume_shape, np.float32)
        shift = -g.shift_v_px + (self.volume_shape[2] - g.n_v) / 2
        whole, fraction = split_shift(shift)
        shifted = bool(shift.any())
        for rows, dense in self._shares(whole, shifted, g.n_v, self.volume_shape[2]):
            with dense.device:
                part = sent(dense.device, stack[:, :, rows.taken])
                if shifted:
                    part = dense.shift_rows(part, rows.whole, fraction, rows.out.stop - rows.out.start)
                out[:, :, rows.out] = dense.device.to_host(dense.adjoint(part))
        return out

    def _shares(
        self, whole: NDArray[np.int32], shifted: bool, n_in: int, n_out: int
    ) -> list[tuple[_Rows, VoxelProjectorOnDevice]]:
        """Slabs and the device of each."""
        rows = self._most_rows or self._rows_that_fit(whole)
        # As even as can be, and at least one for each device.
        pieces = max(-(-n_out // rows), min(len(self._each), -(-n_out // _LEAST_ROWS)))
        even = -(-n_out // pieces)
        quads = -(-even // ROWS) * ROWS  # which are read faster
        cut = _cut(whole, shifted, n_in, n_out, quads if quads <= rows else even)
        return [(part, self._each[i % len(self._each)]) for i, part in enumerate(cut)]

    def _rows_that_fit(self, whole: NDArray[np.int32]) -> int:
        """Rows of a slab such that volume, stack and shifted stack fit into the least of the devices."""
        g = self.geometry
        per_row = 4 * (self.volume_shape[0] * self.volume_shape[1] + 2 * g.n_views * g.n_u)
        free = min(dense.device.free_bytes() for dense in self._each)
        rows = int(_SHARE * free / per_row) - int(np.ptp(whole)) - 1
        if rows < 1:
            raise ResourceError(
                f"one row of {self.volume_shape[0]} x {self.volume_shape[1]} voxels and {g.n_views} views takes "
                f"{per_row >> 20} MiB, {free >> 20} MiB are free on the device",
                field="--backend",
                remedy="give a larger --bin, or --backend cpu",
            )
        return rows


def split_shift(shift: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Whole part and fraction of shifts."""
    whole = np.floor(shift)
    return whole.astype(np.int32), (shift - whole).astype(np.float32)
