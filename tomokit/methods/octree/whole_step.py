"""The backward pass with a gradient array, for optimizers that take all leaves at once.

The same kernels in the same order as in :mod:`tomokit.methods.octree.fused_step`, with the same result; the price is
one more array of the field's size and several passes over memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.activation.functions import activate_leaves, chain_block
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.penalties import PenaltyGradients
from tomokit.methods.octree.solver import PrimalDual
from tomokit.projector.leaves import LeafProjector
from tomokit.regularizers.boundary_kernels import add_all_sides, copy_all_sides
from tomokit.regularizers.tv_kernel import tv_leaves


def step_whole(
    leaves: LeafField,
    projector: LeafProjector,
    residual: NDArray[np.float32],
    views: NDArray[np.int64],
    penalties: PenaltyGradients,
    rate: float,
    variation: NDArray[np.float64],
) -> None:
    """Take one step on all leaves by :meth:`tomokit.optimizers.interface.Optimizer.step`.

    Parameters
    ----------
    leaves : LeafField
        Changed; its `count` is that of this step.
    projector : LeafProjector
    residual : ndarray of float32, shape (n_chosen, n_u, n_y)
        Residuals ``[view, u, y]`` of the step's views, with the data term's factor.
    views : ndarray of int64, shape (n_chosen,)
        The step's views.
    penalties : PenaltyGradients
        Penalties of this step, evaluated on the field before it.
    rate : float
        Factor of the learning rate.
    variation : ndarray of float64, shape (n_leaves,), written
        Mean total variation of each leaf before the step.
    """
    assert not isinstance(leaves.optimizer, PrimalDual)
    # By density first, as long as terms are by density.
    gradient = projector.T(residual, views)
    term, table = penalties.variation, penalties.table
    if term is not None:
        tv_leaves(leaves.density, gradient, term.weight, term.variant, term.delta, term.stencil, variation)
    if len(penalties.side_gradient):
        add_all_sides(penalties.side_gradient, gradient)
    if table is not None and not penalties.table_is_raw:
        table.add_to(leaves.density, gradient)
    if len(penalties.by_density):
        gradient += penalties.by_density
    # The chain rule makes it a gradient by raw value, to which the others are added.
    n_leaves = leaves.forest.n_leaves
    values = leaves.values.reshape(n_leaves, -1)
    _chain_leaves(leaves.kind, leaves.parameter, values, gradient.reshape(n_leaves, -1))
    if table is not None and penalties.table_is_raw:
        table.add_to(leaves.values, gradient)
    if len(penalties.by_value):
        gradient += penalties.by_value
    leaves.optimizer.step(leaves.values, gradient, leaves.state, leaves.count, rate)
    activate_leaves(leaves.kind, leaves.parameter, leaves.values, leaves.density)
    if len(leaves.sides):
        copy_all_sides(leaves.density, leaves.sides)


@shared_out()
def _chain_leaves(
    share: Share, kind: int, parameter: float, values: NDArray[np.float32], gradient: NDArray[np.float32]
) -> None:
    """The gradient by density of every leaf times ``s'(v)``, in place."""
    for leaf in items_of(share, values.shape[0]):
        chain_block(kind, parameter, values[leaf], gradient[leaf])
