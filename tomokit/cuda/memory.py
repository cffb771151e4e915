"""What an octree fit takes of a device's memory, from the sizes of its problem alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tomokit.cuda.device import Device
from tomokit.cuda.leaves import BLOCK_THREADS
from tomokit.cuda.penalties import has_kernels
from tomokit.cuda.support import foreign_bytes, regularizers_of
from tomokit.errors import ResourceError
from tomokit.fit import setup
from tomokit.fit.memory import Layout, footprint_sizes, lay_out
from tomokit.methods.contract import ProblemShape
from tomokit.projector.vertex_footprint import KNOTS
from tomokit.regularizers.boundary import Boundary
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.cross_node_scalars import FINE

if TYPE_CHECKING:
    from tomokit.fit.options import OctreeOptions

_FLOAT = 4
_UNEVEN = 1.5
_FLOATS_OF_A_LEAF = 50  # its place, and the faces around it


def device_bytes(shape: ProblemShape, options: OctreeOptions, masked: bool) -> int:
    """Most bytes that a fit's arrays hold on the device at one time.

    Raises
    ------
    LeafBudgetError
        If ``max_leaves`` is too small even without a margin.
    OptionError, PluginError
        If an optimizer, a regularizer or an option of one is unknown.
    """
    layout = lay_out(shape, options)
    field = _FLOAT * layout.leaves * layout.n**3
    remembered = sum(array.size for array in setup.make_optimizer(options).state_arrays((1,), np.float32).values())
    # Values, densities old and new, what the optimizer remembers.
    total = float(field * (3 + remembered))
    spaces = set()
    for item in regularizers_of(options):
        if type(item.regularizer) is CrossNode:
            # Of each leaf and node: the fine cells, two counts, and the table's row of eight.
            total += layout.leaves * item.options.bins * (8 * FINE + 2 * _FLOAT + 8 * _FLOAT)
        elif has_kernels(item):
            spaces |= {"raw"} if item.options.space == "raw" else set()
            total += 6 * field / layout.n if isinstance(item.regularizer, Boundary) else 0
        else:
            spaces.add(item.options.space)
            total += foreign_bytes(item, layout.leaves, layout.n)
    # A gradient array each, by density and by raw value.
    total += len(spaces) * field
    return int(total + max(_level_bytes(shape, options, layout, pixel, masked) for pixel in _pixels(options)))


def check_fit(devices: Sequence[Device], shape: ProblemShape, options: OctreeOptions, masked: bool) -> None:
    """Refuse a fit that does not fit, its parts on the devices being about alike.

    Raises
    ------
    ResourceError
        With the estimate and what is free.
    """
    free = min(device.free_bytes() for device in devices) * len(devices)
    # Parts are cut between roots, and each has a layer of the next and masks of its own.
    needed = device_bytes(shape, options, masked or len(devices) > 1) * (1.0 if len(devices) == 1 else _UNEVEN)
    if needed > free:
        where = "the device" if len(devices) == 1 else f"{len(devices)} devices"
        raise ResourceError(
            f"the fit needs about {needed / 2**30:.2f} GiB on {where}, {free / 2**30:.2f} GiB are free there",
            field="--backend",
            remedy="give --backend cpu, a larger --bin, fewer max_leaves or a smaller n",
        )


def _pixels(options: OctreeOptions) -> list[int]:
    """The levels of the pyramid that are fitted; one of them lies on the device at a time."""
    return [2] * (options.coarse_epochs > 0) + [1] * (options.coarse_epochs < options.epochs)


def _level_bytes(shape: ProblemShape, options: OctreeOptions, layout: Layout, pixel: int, masked: bool) -> float:
    """Data and tables of one level, and what a step on some views takes."""
    n_u, n_y = -(-shape.n_u // pixel), -(-shape.n_y // pixel)
    views = min(options.views_per_step, shape.n_views)
    levels, taps = footprint_sizes(options, layout, pixel)
    data = (1 + masked) * shape.n_views * n_u * n_y
    tables = shape.n_views * (levels * (9 * (KNOTS + 1) * taps + 3 * n_y) + 3 * layout.slabs)
    tables += layout.leaves * _FLOATS_OF_A_LEAF
    # The projection in each slab, the residual, and its contraction.
    step = 2 * layout.slabs * views * n_u * layout.n + views * n_u * n_y
    # Sums of blocks of vertices, of sides and of pixels.
    sums = layout.leaves * (layout.n**2 // (BLOCK_THREADS // layout.n or 1) + 7) + views * n_u * n_y // 64
    return _FLOAT * float(data + tables + step + sums)
