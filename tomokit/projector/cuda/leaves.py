"""The projector over leaves on a device: the kernels' launches for projection, residual and back-projection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry, centre
from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.octree import Forest
from tomokit.projector.leaves import Footprints, LeafProjector, find_footprints
from tomokit.projector.vertex_footprint import KNOTS

_PROJECT_SOURCE = Path(__file__).with_name("leaf_project.cu")
_ROWS_SOURCE = Path(__file__).with_name("leaf_rows.cu")
BLOCK_THREADS = 256
_SHARED_FLOATS = 8192  # of the 48 KiB that any device gives a block, two thirds


class FootprintsOnDevice:
    """Tables of footprints on a device, to be shared by all projectors there that have the same tilts and leaf sizes.

    Parameters
    ----------
    device : Device
    host : Footprints
        The tables on the host.

    Attributes
    ----------
    host : Footprints
    arrays : dict of DeviceArray
        ``half_width`` (float64), ``taps`` (int32) and ``tables`` (float32), shapes as in
        :class:`tomokit.projector.leaves.Footprints`.
    """

    def __init__(self, device: Device, host: Footprints) -> None:
        self.host = host
        with device:
            put = device.xp.asarray
            self.arrays: dict[str, DeviceArray] = {
                "half_width": put(host.half_width), "taps": put(host.taps.astype(np.int32)), "tables": put(host.tables)
            }  # fmt: skip


class LeavesOnDevice:
    """Line integrals in pixels of a trilinear density on leaves, and their transpose, between arrays on a device.

    The tables, slabs and rows are those of :class:`tomokit.projector.leaves.LeafProjector`, made on the host and sent
    once. Methods take the chosen views as an array on the device, from :meth:`chosen`; `n` of them, below.

    Parameters
    ----------
    device : Device
    forest : Forest
    geometry : TiltGeometry
        Views and detector.
    footprints : FootprintsOnDevice, optional
        Tables that are on the device already, of these levels at least; made and sent if not given.

    Attributes
    ----------
    n_slabs, n_levels : int
        Slabs of leaves, and levels that there are tables of.
    pad : int
        Columns of zeros on either side of a contracted stack: the most taps of any footprint.
    arrays : dict of DeviceArray
        What the kernels read, by name: see ``leaf_project.cu`` and ``leaf_rows.cu``. ``slab_lower``, shape (n_slabs,
        n_views), is where a slab's vertex 0 lies among the rows.
    """

    def __init__(
        self,
        device: Device,
        forest: Forest,
        geometry: TiltGeometry,
        footprints: FootprintsOnDevice | None = None,
    ) -> None:
        self.device, self.forest, self.geometry = device, forest, geometry
        footprints = footprints or FootprintsOnDevice(device, find_footprints(forest, geometry.tilt_rad))
        host = LeafProjector(forest, geometry, footprints.host)
        self.pad, self.n_levels = host.pad, host.tables.shape[1]
        self.n_slabs = len(host.slabs.slab)
        n = forest.n
        # The block's weights have to fit into shared memory: the wider the window of vertices, the fewer columns.
        most = min(_most_vertices_met(host, geometry), n)
        units = max(1, min(BLOCK_THREADS, _SHARED_FLOATS // (-(-most // 4) * 4)) // n)
        self._units, self._columns = units, max(1, BLOCK_THREADS // n)
        first = np.searchsorted(host.slabs.slab_of, np.arange(self.n_slabs + 1))
        shift = geometry.shift_u_px + centre(geometry.n_u)
        tilt = geometry.tilt_rad
        # Where vertex 0 of each slab lies among the rows of a view without shift.
        along = host.slabs.slab[:, 1] * host.size[host.slabs.slab[:, 0]] + forest.origin_px[2] + centre(geometry.n_v)
        sent_once = {
            "corner": np.ascontiguousarray(host.corner[:, :2]),
            "slab_first": first.astype(np.int32),
            "slab_level": host.slabs.slab[:, 0].astype(np.int32),
            "slab_of": host.slabs.slab_of.astype(np.int32),
            "level": forest.level,
            "spacing": host.size / (n - 1),
            "views": np.ascontiguousarray(np.stack([np.cos(tilt), np.sin(tilt), shift], axis=1)),
            "row_slab": host.rows.slab,
            "row_vertex": host.rows.vertex,
            "row_weight": host.rows.weight,
            "slab_rows": host.rows.of_slab,
            "slab_lower": (along[:, None] + geometry.shift_v_px).astype(np.float32),
            "slab_spacing": (host.size[host.slabs.slab[:, 0]] / (n - 1)).astype(np.float32),
        }
        with device:
            self.arrays: dict[str, DeviceArray] = {
                name: device.xp.asarray(array) for name, array in sent_once.items()
            } | footprints.arrays
            footprint = {"N": n, "KNOTS": KNOTS, "PAD": self.pad}
            self._project = device.load(_PROJECT_SOURCE, **footprint, UNITS=units, MOST=most)["leaf_project"]
            self._rows = device.load(_ROWS_SOURCE, N=n, TAPS=host.rows.weight.shape[3])

    def chosen(self, views: ArrayLike | None) -> DeviceArray:
        """Send indices of views to the device, as the other methods and the kernels take them.

        Parameters
        ----------
        views : array_like of int or None
            Indices of views; None for all.

        Returns
        -------
        array of int32, shape (n,)
            On the device.
        """
        index = np.arange(self.geometry.n_views) if views is None else np.atleast_1d(views)
        on_device: DeviceArray = self.device.xp.asarray(index.astype(np.int32))
        return on_device

    def project(self, density: DeviceArray, chosen: DeviceArray) -> DeviceArray:
        """Project a density onto the detector columns, still in the y-vertices of each slab: half of the projection.

        Parameters
        ----------
        density : array of float32, shape (n_leaves, n, n, n)
            ``[leaf, x, z, y]``.
        chosen : array of int32, shape (n,)
            Views.

        Returns
        -------
        array of float32, shape (n_slabs, n, n_u, forest.n)
            ``A[slab, view, u, j]``, in pixels times density.

        Raises
        ------
        InputError
            If the density does not fit the forest.
        """
        if density.shape != self.forest.values_shape:
            raise InputError(f"values of shape {density.shape}, expected {self.forest.values_shape}")
        a, g, n = self.arrays, self.geometry, self.forest.n
        projected: DeviceArray = self.device.xp.empty((self.n_slabs, chosen.size, g.n_u, n), np.float32)
        self._project(
            (-(-g.n_u // self._units), chosen.size, self.n_slabs), (n, self._units, 1),
            (density, a["corner"], a["slab_first"], a["slab_level"], a["spacing"], a["views"], a["half_width"],
             a["taps"],  a["tables"], chosen, projected, self.n_levels, g.n_u),
        )  # fmt: skip
        return projected

    def residual(
        self,
        projected: DeviceArray,
        chosen: DeviceArray,
        kappa: float,
        data: DeviceArray | None = None,
        mask: DeviceArray | None = None,
        offsets: DeviceArray | None = None,
        gathered: bool = False,
    ) -> tuple[DeviceArray, DeviceArray | None]:
        """Expand projections to detector rows, and subtract the data where they are given.

        Parameters
        ----------
        projected : array of float32, shape (n_slabs, n, n_u, forest.n)
            From :meth:`project`.
        chosen : array of int32, shape (n,)
            Views, those of `projected`.
        kappa : float
            What line integrals in pixels are multiplied by.
        data, mask : array of float32, shape (n_views, n_u, n_v) or (n, n_u, n_v), optional
            Projections and weights of all views or, where they are `gathered`, of the chosen ones alone, in their
            order. Without data, the result is the prediction; without mask, all weights are 1.
        offsets : array of float64, shape (n_views,)
            The last offset of each view, which belongs to the prediction; to be given with data.
        gathered : bool
            Whether data and mask are of the chosen views alone.

        Returns
        -------
        residual : array of float32, shape (n, n_u, n_v)
            ``[tilt, u, y]``, prediction less data.
        partial : array of float32, shape (n, n_blocks, 2), or None
            Sums of ``m r`` and ``m r^2`` over blocks of pixels, r the residual and m the mask; None without data.
        """
        a, g, xp = self.arrays, self.geometry, self.device.xp
        residual: DeviceArray = xp.empty((chosen.size, g.n_u, g.n_v), np.float32)
        blocks = -(-g.n_u * g.n_v // BLOCK_THREADS)
        partial: DeviceArray | None = None if data is None else xp.empty((chosen.size, blocks, 2), np.float32)
        self._rows["leaf_residual"](
            (blocks, chosen.size, 1), (BLOCK_THREADS, 1, 1),
            (projected, a["row_slab"], a["row_vertex"], a["row_weight"], chosen, data, mask, offsets, residual,
             partial, kappa, int(gathered), self.n_levels, g.n_u, g.n_v),
        )  # fmt: skip
        return residual, partial

    def fit_offsets(
        self,
        partial: DeviceArray,
        chosen: DeviceArray,
        mask_sum: DeviceArray,
        offsets: DeviceArray,
        totals: DeviceArray,
        fitted: bool,
    ) -> DeviceArray:
        """Solve for the offsets of some views, and add their data term to totals.

        Parameters
        ----------
        partial : array of float32, shape (n, n_blocks, 2)
            From :meth:`residual`.
        chosen : array of int32, shape (n,)
            Views.
        mask_sum : array of float64, shape (n_views,)
            Sum of each view's mask.
        offsets : array of float64, shape (n_views,), changed
            Offset of each view: those of the chosen ones are replaced by the best.
        totals : array of float64, shape (2,), added to
            Sum of ``m r^2`` at the new offsets, and sum of the mask.
        fitted : bool
            Whether offsets are fitted; otherwise they stay as they are.

        Returns
        -------
        array of float32, shape (n,)
            What is still to be subtracted from each view's residual: by how much its offset became smaller.
        """
        offset: DeviceArray = self.device.xp.empty(chosen.size, np.float32)
        arguments = (partial, chosen, mask_sum, offsets, offset, totals, chosen.size, partial.shape[1], int(fitted))
        self._rows["leaf_offsets"]((1, 1, 1), (BLOCK_THREADS, 1, 1), arguments)
        return offset

    def contract(
        self,
        residual: DeviceArray,
        chosen: DeviceArray,
        factor: float = 1.0,
        mask: DeviceArray | None = None,
        offset: DeviceArray | None = None,
        gathered: bool = False,
    ) -> DeviceArray:
        """Gather ``factor m (r - offset)`` on each slab's y-vertices: the first half of the transpose.

        Parameters
        ----------
        residual : array of float32, shape (n, n_u, n_v)
            r, ``[tilt, u, y]`` of the chosen views.
        chosen : array of int32, shape (n,)
            Views.
        factor : float
            What everything is multiplied by.
        mask : array of float32, shape (n_views, n_u, n_v) or (n, n_u, n_v), optional
            m, as for :meth:`residual`; 1 if not given.
        offset : array of float32, shape (n,), optional
            From :meth:`fit_offsets`; 0 if not given.
        gathered : bool
            Whether the mask is of the chosen views alone.

        Returns
        -------
        array of float32, shape (n_slabs, n, n_u + 2 * pad, forest.n)
            ``B[slab, view, u + pad, j]``; the padding is 0.
        """
        a, g, n = self.arrays, self.geometry, self.forest.n
        width = g.n_u + 2 * self.pad
        contracted: DeviceArray = self.device.xp.empty((self.n_slabs, chosen.size, width, n), np.float32)
        self._rows["leaf_contract"](
            (-(-width // self._columns), chosen.size, self.n_slabs), (n, self._columns, 1),
            (residual, a["slab_rows"], a["slab_lower"], a["slab_spacing"], a["slab_level"], a["row_vertex"],
             a["row_weight"], chosen, mask, offset, contracted, factor, int(gathered), self.n_levels,
             g.n_views, g.n_u, g.n_v, self.pad),
        )  # fmt: skip
        return contracted

    def __call__(self, density: DeviceArray, views: ArrayLike | None = None, kappa: float = 1.0) -> DeviceArray:
        """Line integrals of a density, times a factor, of some views or all.

        Parameters
        ----------
        density : array of float32, shape (n_leaves, n, n, n)
            ``[leaf, x, z, y]``, on the device.
        views : array_like of int, optional
            Indices of views; all if not given.
        kappa : float
            What line integrals in pixels are multiplied by.

        Returns
        -------
        array of float32, shape (n, n_u, n_v)
            ``[tilt, u, y]``, on the device.
        """
        with self.device:
            chosen = self.chosen(views)
            return self.residual(self.project(density, chosen), chosen, kappa)[0]


def _most_vertices_met(host: LeafProjector, geometry: TiltGeometry) -> int:
    """Most vertices of a line, along the axis that the rays cross steeply, within half a width of a detector column."""
    across = np.maximum(np.abs(np.cos(geometry.tilt_rad)), np.abs(np.sin(geometry.tilt_rad)))
    step = across[:, None] * (host.size / (host.forest.n - 1))[None, :]
    return int(np.floor(2 * host.half_width / step).max()) + 1
