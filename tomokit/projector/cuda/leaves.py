"""The projector over leaf grids on a device: the launches of a step's data term."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry, centre
from tomokit.gpu.device import Device
from tomokit.octree import Forest
from tomokit.projector.leaves import Footprints, LeafProjector, find_footprints
from tomokit.projector.vertex_footprint import KNOTS

_PROJECT_SOURCE = Path(__file__).with_name("leaf_project.cu")
_ROWS_SOURCE = Path(__file__).with_name("leaf_rows.cu")
BLOCK_THREADS = 256
_SHARED_FLOATS = 8192  # of the 48 KiB that any device gives a block, two thirds


class FootprintsOnDevice:
    """:class:`tomokit.projector.leaves.Footprints` on a device, for all projectors there that have the same.

    Attributes
    ----------
    host : Footprints
    arrays : dict
        As of :class:`LeavesOnDevice`.
    """

    def __init__(self, device: Device, host: Footprints) -> None:
        self.host = host
        with device:
            put = device.xp.asarray
            self.arrays = {
                "half_width": put(host.half_width), "taps": put(host.taps.astype(np.int32)), "tables": put(host.tables)
            }  # fmt: skip


class LeavesOnDevice:
    """Line integrals in pixels of a trilinear density on leaves, and their transpose, between arrays on a device.

    The tables, slabs and rows are those of :class:`tomokit.projector.leaves.LeafProjector`, made on the host and sent
    once.

    Parameters
    ----------
    device : Device
    forest : Forest
    geometry : TiltGeometry
    footprints : FootprintsOnDevice, optional
        Where they are there already, of these levels at least.

    Attributes
    ----------
    n_slabs : int
    arrays : dict
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
        made = LeafProjector(forest, geometry, footprints.host)
        self.pad, self.n_levels = made.pad, made.tables.shape[1]
        self.n_slabs = len(made.slabs.slab)
        n = forest.n
        most = min(_most_inside(made, geometry), n)
        units = max(1, min(BLOCK_THREADS, _SHARED_FLOATS // (-(-most // 4) * 4)) // n)
        self._units, self._columns = units, max(1, BLOCK_THREADS // n)
        first = np.searchsorted(made.slabs.slab_of, np.arange(self.n_slabs + 1))
        shift = geometry.shift_u_px + centre(geometry.n_u)
        tilt = geometry.tilt_rad
        along = made.slabs.slab[:, 1] * made.size[made.slabs.slab[:, 0]] + forest.origin_px[2] + centre(geometry.n_v)
        host = {
            "corner": np.ascontiguousarray(made.corner[:, :2]),
            "slab_first": first.astype(np.int32),
            "slab_level": made.slabs.slab[:, 0].astype(np.int32),
            "slab_of": made.slabs.slab_of.astype(np.int32),
            "level": forest.level,
            "spacing": made.size / (n - 1),
            "views": np.ascontiguousarray(np.stack([np.cos(tilt), np.sin(tilt), shift], axis=1)),
            "row_slab": made.rows.slab,
            "row_vertex": made.rows.vertex,
            "row_weight": made.rows.weight,
            "slab_rows": made.rows.of_slab,
            "slab_lower": (along[:, None] + geometry.shift_v_px).astype(np.float32),
            "slab_spacing": (made.size[made.slabs.slab[:, 0]] / (n - 1)).astype(np.float32),
        }
        with device:
            self.arrays = {name: device.xp.asarray(array) for name, array in host.items()} | footprints.arrays
            footprint = {"N": n, "KNOTS": KNOTS, "PAD": self.pad}
            self._project = device.load(_PROJECT_SOURCE, **footprint, UNITS=units, MOST=most)["leaf_project"]
            self._rows = device.load(_ROWS_SOURCE, N=n, TAPS=made.rows.weight.shape[3])

    def chosen(self, views: ArrayLike | None) -> Any:
        """Indices of views as the kernels take them; all if None."""
        index = np.arange(self.geometry.n_views) if views is None else np.atleast_1d(views)
        return self.device.xp.asarray(index.astype(np.int32))

    def project(self, density: Any, chosen: Any) -> Any:
        """``A[slab, view, u, j]`` of a density ``[leaf, x, z, y]``, in the y-vertices of each slab."""
        if density.shape != self.forest.values_shape:
            raise InputError(f"values of shape {density.shape}, expected {self.forest.values_shape}")
        a, g, n = self.arrays, self.geometry, self.forest.n
        projected = self.device.xp.empty((self.n_slabs, chosen.size, g.n_u, n), np.float32)
        self._project(
            (-(-g.n_u // self._units), chosen.size, self.n_slabs), (n, self._units, 1),
            (density, a["corner"], a["slab_first"], a["slab_level"], a["spacing"], a["views"], a["half_width"],
             a["taps"],  a["tables"], chosen, projected, self.n_levels, g.n_u),
        )  # fmt: skip
        return projected

    def residual(
        self,
        projected: Any,
        chosen: Any,
        kappa: float,
        data: Any = None,
        mask: Any = None,
        offsets: Any = None,
        gathered: bool = False,
    ) -> tuple[Any, Any]:
        """Rows of the prediction, less data and last offset where these are given; and sums of its blocks.

        Data and mask are of all views, or of the chosen ones alone where they are `gathered`.

        Returns
        -------
        residual : array of float32, shape (n, n_u, n_y)
        partial : array of float32, shape (n, n_blocks, 2), or None
            Sums of ``m r`` and ``m r^2``.
        """
        a, g, xp = self.arrays, self.geometry, self.device.xp
        residual = xp.empty((chosen.size, g.n_u, g.n_v), np.float32)
        blocks = -(-g.n_u * g.n_v // BLOCK_THREADS)
        partial = None if data is None else xp.empty((chosen.size, blocks, 2), np.float32)
        self._rows["leaf_residual"](
            (blocks, chosen.size, 1), (BLOCK_THREADS, 1, 1),
            (projected, a["row_slab"], a["row_vertex"], a["row_weight"], chosen, data, mask, offsets, residual,
             partial, kappa, int(gathered), self.n_levels, g.n_u, g.n_v),
        )  # fmt: skip
        return residual, partial

    def fit_offsets(self, partial: Any, chosen: Any, mask_sum: Any, offsets: Any, totals: Any, fitted: bool) -> Any:
        """Solve for offsets, add to the totals; returns what is still to be subtracted from each view's residual."""
        offset = self.device.xp.empty(chosen.size, np.float32)
        arguments = (partial, chosen, mask_sum, offsets, offset, totals, chosen.size, partial.shape[1], int(fitted))
        self._rows["leaf_offsets"]((1, 1, 1), (BLOCK_THREADS, 1, 1), arguments)
        return offset

    def contract(
        self,
        residual: Any,
        chosen: Any,
        factor: float = 1.0,
        mask: Any = None,
        offset: Any = None,
        gathered: bool = False,
    ) -> Any:
        """``B[slab, view, pad + u, j]``: ``factor m (r - offset)`` gathered on each slab's y-vertices; zeros around."""
        a, g, n = self.arrays, self.geometry, self.forest.n
        width = g.n_u + 2 * self.pad
        contracted = self.device.xp.empty((self.n_slabs, chosen.size, width, n), np.float32)
        self._rows["leaf_contract"](
            (-(-width // self._columns), chosen.size, self.n_slabs), (n, self._columns, 1),
            (residual, a["slab_rows"], a["slab_lower"], a["slab_spacing"], a["slab_level"], a["row_vertex"],
             a["row_weight"], chosen, mask, offset, contracted, factor, int(gathered), self.n_levels,
             g.n_views, g.n_u, g.n_v, self.pad),
        )  # fmt: skip
        return contracted

    def __call__(self, density: Any, views: ArrayLike | None = None, kappa: float = 1.0) -> Any:
        """`kappa` times the line integrals ``[tilt, u, y]`` of a density ``[leaf, x, z, y]``, of some views or all."""
        with self.device:
            chosen = self.chosen(views)
            return self.residual(self.project(density, chosen), chosen, kappa)[0]


def _most_inside(made: LeafProjector, geometry: TiltGeometry) -> int:
    """Most vertices of a line, along the axis that the rays cross steeply, within reach of one detector column."""
    across = np.maximum(np.abs(np.cos(geometry.tilt_rad)), np.abs(np.sin(geometry.tilt_rad)))
    step = across[:, None] * (made.size / (made.forest.n - 1))[None, :]
    return int(np.floor(2 * made.half_width / step).max()) + 1
