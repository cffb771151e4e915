"""What of an octree fit has kernels for a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomokit.fit import setup
from tomokit.fit.penalties import Weighted, make_regularizers
from tomokit.fit.weights import FOLLOW_NOISE
from tomokit.optimizers.block import is_block_optimizer
from tomokit.regularizers.boundary import Boundary
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.tv import TotalVariation

if TYPE_CHECKING:
    from tomokit.fit.options import OctreeOptions

MOST_BINS = 1024
"""Nodes of the cross-node constraint whose arrays fit into any device's shared memory."""


def regularizers_of(options: OctreeOptions) -> list[Weighted]:
    """All regularizers that a fit may have; those whose weight follows from the data with any weight."""
    return make_regularizers(options.regularizers, {name: {"weight": 1.0} for name in FOLLOW_NOISE})


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
        if type(item.regularizer) not in (TotalVariation, Boundary, CrossNode):
            return f"regularizer {item.regularizer.name} has no CUDA kernel"
        if isinstance(item.regularizer, CrossNode) and item.options.bins > MOST_BINS:
            return f"regularizers.cnlc.bins={item.options.bins} nodes do not fit into a GPU block, {MOST_BINS} do"
    return None
