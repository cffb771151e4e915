"""The voxel projector on a device, and for host arrays on one or several devices, in slabs along the tilt axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import ResourceError
from tomokit.geometry import TiltGeometry, centre
from tomokit.gpu.arrays import DeviceArray
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
_MEMORY_FRACTION = 0.9  # of the free memory: the pool rounds sizes up
_LEAST_ROWS = 32  # a whole warp


def box_views(geometry: TiltGeometry) -> NDArray[np.float64]:
    """Table of what the kernels need to know of each view (see ``box.cuh``).

    Parameters
    ----------
    geometry : TiltGeometry
        Tilts, shifts across the axis and detector width.

    Returns
    -------
    ndarray of float64, shape (n_views, 8)
        cos, sin, offset, half width, half top, ramp, half over ramp, height; lengths in pixels, the latter five as in
        :func:`tomokit.projector.footprint.box_profile`. The offset is what brings a position to detector columns,
        ``du + (n_u - 1) / 2``.
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
        Tilts, shifts across the axis and detector columns. Rows are as many as the arrays have, and shifts along the
        axis are left to :meth:`shift_rows`.
    n_x, n_z : int
        Voxel columns.
    """

    def __init__(self, device: Device, geometry: TiltGeometry, n_x: int, n_z: int) -> None:
        self.device = device
        self._sizes = geometry.n_views, geometry.n_u, n_x, n_z
        with device:
            self._views = device.xp.asarray(box_views(geometry))

    def forward(self, volume: DeviceArray) -> DeviceArray:
        """Line integrals of a volume.

        Parameters
        ----------
        volume : array of float32, shape (n_x, n_z, n_y)
            Density ``[x, z, y]``, on the device.

        Returns
        -------
        array of float32, shape (n_views, n_u, n_y)
            ``[tilt, u, y]``, in pixels times density.
        """
        n_views, n_u, n_x, n_z = self._sizes
        n_y = volume.shape[2]
        stack: DeviceArray = self.device.xp.empty((n_views, n_u, n_y), np.float32)
        grid = (-(-n_u // (TILE * U_WARPS)), -(-n_views // VIEW_WARPS), -(-n_y // (LANES * ROWS)))
        sizes = (n_views, n_x, n_z, n_y, n_u)
        kernel = self._kernel("voxel_project", n_y)
        kernel(grid, (LANES, U_WARPS * VIEW_WARPS, 1), (volume, self._views, stack, *sizes))
        return stack

    def adjoint(self, stack: DeviceArray) -> DeviceArray:
        """Back-project a stack: the transpose of :meth:`forward`.

        Parameters
        ----------
        stack : array of float32, shape (n_views, n_u, n_y)
            ``[tilt, u, y]``, on the device.

        Returns
        -------
        array of float32, shape (n_x, n_z, n_y)
            ``[x, z, y]``.
        """
        n_views, n_u, n_x, n_z = self._sizes
        n_y = stack.shape[2]
        volume: DeviceArray = self.device.xp.empty((n_x, n_z, n_y), np.float32)
        grid = (-(-n_x // (2 * SIDE)), -(-n_z // (2 * SIDE)), -(-n_y // (LANES * ROWS)))
        sizes = (n_views, n_x, n_z, n_y, n_u)
        kernel = self._kernel("voxel_backproject", n_y)
        kernel(grid, (LANES, SIDE * SIDE, 1), (stack, self._views, volume, *sizes))
        return volume

    def shift_rows(
        self, stack: DeviceArray, whole: NDArray[np.int32], fraction: NDArray[np.float32], n_out: int
    ) -> DeviceArray:
        """Move every view along y by its own shift, sharing rows linearly.

        With the whole part w and the fraction f of a view's shift, ``out[y] = (1 - f) in[y - w] + f in[y - w - 1]``.

        Parameters
        ----------
        stack : array of float32, shape (n_views, n_u, n_in)
            ``[tilt, u, y]``, on the device.
        whole, fraction : ndarray of int32 and of float32, shape (n_views,)
            Shifts in rows from index to index, on the host; see :func:`split_shift`.
        n_out : int
            Rows of the result; what falls outside is lost.

        Returns
        -------
        array of float32, shape (n_views, n_u, n_out)
        """
        n_views, n_u, n_in = stack.shape
        xp = self.device.xp
        shifted: DeviceArray = xp.empty((n_views, n_u, n_out), np.float32)
        arguments = (stack, xp.asarray(whole), xp.asarray(fraction), shifted, n_u, n_in, n_out)
        kernel = self._kernel("shift_rows", n_out)
        kernel((-(-n_out // _SHIFT_BLOCK), n_u, n_views), (_SHIFT_BLOCK, 1, 1), arguments)
        return shifted

    def _kernel(self, name: str, n_y: int) -> Kernel:
        """A kernel, compiled for rows of a length that is a multiple of four, or for any length."""
        return self.device.load(_SOURCE, WIDE=int(n_y % ROWS == 0))[name]


@dataclass(frozen=True)
class _SlabRows:
    """Rows of one slab: of the result (`out`), of the input that they need (`taken`), and the shift between the two."""

    out: slice
    taken: slice
    whole: NDArray[np.int32]


def _cut_into_slabs(whole: NDArray[np.int32], shifted: bool, n_in: int, n_out: int, rows: int) -> list[_SlabRows]:
    """Slabs of `rows` rows of the result, with the rows of the input that shifts bring into them."""
    slabs = []
    for begin in range(0, n_out, rows):
        end = min(n_out, begin + rows)
        if not shifted:
            slabs.append(_SlabRows(slice(begin, end), slice(begin, end), whole))
            continue
        # Rows of the view that is shifted most, and of the one that is shifted least; at least one row, if unused.
        low = min(max(0, begin - int(whole.max()) - 1), n_in - 1)
        high = min(max(low + 1, end - int(whole.min())), n_in)
        slabs.append(_SlabRows(slice(begin, end), slice(low, high), (whole - begin + low).astype(np.int32)))
    return slabs


class VoxelProjectorInSlabs:
    """The voxel projector for host arrays: slabs along y are sent to the devices in turn, and brought back.

    Along y nothing is shared but rows between which a view is shifted, so every slab is computed as if it were alone
    and the result does not depend on how many there are.

    Parameters
    ----------
    devices : sequence of Device
        At least one.
    geometry : TiltGeometry
        Views and detector, shifts along the axis included.
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
        """Line integrals of a volume, with every view's shift along y.

        Parameters
        ----------
        volume : ndarray of float32, shape (n_x, n_z, n_y)
            Density ``[x, z, y]``.

        Returns
        -------
        ndarray of float32, shape (n_views, n_u, n_v)
            ``[tilt, u, y]``, in pixels times density.
        """
        g = self.geometry
        out = np.empty((g.n_views, g.n_u, g.n_v), np.float32)
        # Volume and detector are centred on each other, so that their numbers of rows count as a shift.
        shift = g.shift_v_px + (g.n_v - self.volume_shape[2]) / 2
        whole, fraction = split_shift(shift)
        shifted = bool(shift.any())
        for rows, projector in self._slabs_and_devices(whole, shifted, self.volume_shape[2], g.n_v):
            with projector.device:
                stack = projector.forward(sent(projector.device, volume[:, :, rows.taken]))
                if shifted:
                    stack = projector.shift_rows(stack, rows.whole, fraction, rows.out.stop - rows.out.start)
                out[:, :, rows.out] = projector.device.to_host(stack)
        return out

    def adjoint(self, stack: NDArray[np.float32]) -> NDArray[np.float32]:
        """Back-project a stack: the transpose of :meth:`forward`.

        Parameters
        ----------
        stack : ndarray of float32, shape (n_views, n_u, n_v)
            ``[tilt, u, y]``.

        Returns
        -------
        ndarray of float32, shape (n_x, n_z, n_y)
            ``[x, z, y]``.
        """
        g = self.geometry
        out = np.empty(self.volume_shape, np.float32)
        shift = -g.shift_v_px + (self.volume_shape[2] - g.n_v) / 2
        whole, fraction = split_shift(shift)
        shifted = bool(shift.any())
        for rows, projector in self._slabs_and_devices(whole, shifted, g.n_v, self.volume_shape[2]):
            with projector.device:
                slab = sent(projector.device, stack[:, :, rows.taken])
                if shifted:
                    slab = projector.shift_rows(slab, rows.whole, fraction, rows.out.stop - rows.out.start)
                out[:, :, rows.out] = projector.device.to_host(projector.adjoint(slab))
        return out

    def _slabs_and_devices(
        self, whole: NDArray[np.int32], shifted: bool, n_in: int, n_out: int
    ) -> list[tuple[_SlabRows, VoxelProjectorOnDevice]]:
        """Slabs and the device of each."""
        rows = self._most_rows or self._rows_that_fit_memory(whole)
        # As even as can be, and at least one for each device.
        pieces = max(-(-n_out // rows), min(len(self._each), -(-n_out // _LEAST_ROWS)))
        even = -(-n_out // pieces)
        quads = -(-even // ROWS) * ROWS  # which are read faster
        cut = _cut_into_slabs(whole, shifted, n_in, n_out, quads if quads <= rows else even)
        return [(part, self._each[i % len(self._each)]) for i, part in enumerate(cut)]

    def _rows_that_fit_memory(self, whole: NDArray[np.int32]) -> int:
        """Rows of a slab such that volume, stack and shifted stack fit into the least of the devices."""
        g = self.geometry
        per_row = 4 * (self.volume_shape[0] * self.volume_shape[1] + 2 * g.n_views * g.n_u)
        free = min(projector.device.free_bytes() for projector in self._each)
        rows = int(_MEMORY_FRACTION * free / per_row) - int(np.ptp(whole)) - 1
        if rows < 1:
            raise ResourceError(
                f"one row of {self.volume_shape[0]} x {self.volume_shape[1]} voxels and {g.n_views} views takes "
                f"{per_row >> 20} MiB, {free >> 20} MiB are free on the device",
                field="--backend",
                remedy="give a larger --bin, or --backend cpu",
            )
        return rows


def split_shift(shift: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Split shifts into a whole number of rows and the fraction of one that is left.

    Parameters
    ----------
    shift : ndarray of float64, shape (n_views,)
        In rows, of either sign.

    Returns
    -------
    whole : ndarray of int32, shape (n_views,)
        The shift rounded down.
    fraction : ndarray of float32, shape (n_views,)
        What is left, from 0 to 1.
    """
    whole = np.floor(shift)
    return whole.astype(np.int32), (shift - whole).astype(np.float32)
