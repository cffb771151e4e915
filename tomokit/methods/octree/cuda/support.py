"""What of an octree fit has kernels for a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomokit.methods.octree import setup
from tomokit.methods.octree.cuda.penalties import has_kernels
from tomokit.methods.octree.penalties import Weighted, make_regularizers
from tomokit.methods.octree.weights import FOLLOW_NOISE
from tomokit.optimizers.block import is_block_optimizer
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.interface import is_built_in

if TYPE_CHECKING:
    from tomokit.methods.octree.options import OctreeOptions

MOST_BINS = 1024
"""Nodes of the cross-node constraint whose arrays fit into any device's shared memory."""


def regularizers_of(options: OctreeOptions) -> list[Weighted]:
    """All regularizers that a fit may have; those whose weight follows from the data with any weight."""
    return make_regularizers(options.regularizers, {name: {"weight": 1.0} for name in FOLLOW_NOISE})


def foreign_refusal(item: Weighted) -> str | None:
    """Why a regularizer of a plugin does not take fields on a device; None if it does."""
    name, refuses = item.regularizer.name, getattr(item.regularizer, "cuda_unsupported_reason", None)
    if refuses is None:
        return f"regularizer {name} has no path on a GPU"
    reason = refuses(item.options)
    return None if reason is None else f"regularizer {name} cannot be used on a GPU: {reason}"


def foreign_bytes(item: Weighted, n_leaves: int, n: int) -> int:
    """What a regularizer of a plugin says that it holds on the device, its gradient not counted; or twice the field."""
    needs = getattr(item.regularizer, "cuda_bytes", None)
    return 2 * 4 * n_leaves * n**3 if needs is None else int(needs(item.options, n_leaves, n))


def needs_all_leaves(options: OctreeOptions) -> str | None:
    """The regularizer that has to see all leaves at once, so that the fit cannot be cut into parts; None if none has.

    A plugin is given fields as the CPU has them, whole: which leaves of other parts it would look at is not known.
    """
    return next((item.regularizer.name for item in regularizers_of(options) if not has_kernels(item)), None)


def refusal(options: OctreeOptions) -> str | None:
    """Why these options cannot be fitted on a GPU; None if they can.

    Raises
    ------
    OptionError, PluginError
        If an optimizer, a regularizer or an option of one is unknown.
    """
    optimizer = setup.make_optimizer(options)
    if not is_block_optimizer(optimizer):
        return f"optimizer {optimizer.name} has no CUDA kernel"
    for item in regularizers_of(options):
        if not has_kernels(item):
            reason = foreign_refusal(item)
            if reason is not None:
                return reason
        if is_built_in(item.regularizer, CrossNode) and item.options.bins > MOST_BINS:
            return f"regularizers.cnlc.bins={item.options.bins} nodes do not fit into a GPU block, {MOST_BINS} do"
    return None
