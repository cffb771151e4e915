"""The backward pass with a gradient array, for optimizers that take the whole field at once.

The same kernels in the same order as in :mod:`tomokit.methods.octree.fused_step`, with the same result; the price is
one more array of the field's size and several passes over memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from tomokit.activation.functions import activate_leaves, chain_block
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.penalties import PenaltyGradients
from tomokit.projector.leaves import LeafProjector
from tomokit.regularizers.boundary_kernels import add_all_sides, copy_all_sides
from tomokit.regularizers.cross_node_kernels import add_leaves
from tomokit.regularizers.tv_kernel import tv_leaves


def step_whole(
    leaves: LeafField,
    projector: LeafProjector,
    residual: NDArray[np.float32],
    views: NDArray[np.int64],
    penalty_gradients: PenaltyGradients,
    rate: float,
    variation: NDArray[np.float64],
) -> None:
    """One step on all leaves by :meth:`tomokit.optimizers.interface.Optimizer.step`.

    Parameters
    ----------
    leaves : LeafField
        Changed; its `count` is that of this step.
    projector : LeafProjector
    residual : ndarray of float32, shape (n, n_u, n_y)
        Of these views, with the data term's factor.
    views : ndarray of int64, shape (n,)
    penalty_gradients : PenaltyGradients
    rate : float
        Factor of the learning rate.
    variation : ndarray of float64, shape (n_leaves,), written
        Mean total variation of each leaf before the step.
    """
    gradient = projector.T(residual, views)
    if penalty_gradients.tv_weight.any():
        tv_leaves(
            leaves.density,
            gradient,
            penalty_gradients.tv_weight,
            penalty_gradients.tv_variant,
            penalty_gradients.tv_delta,
            penalty_gradients.tv_stencil,
            variation,
        )
    if len(penalty_gradients.sides):
        add_all_sides(penalty_gradients.sides, gradient)
    pairs = penalty_gradients.pair_leaves
    if len(pairs) and not penalty_gradients.pair_raw:
        add_leaves(
            leaves.density,
            pairs,
            penalty_gradients.pair_grid,
            penalty_gradients.pair_table,
            penalty_gradients.pair_scale,
            gradient,
        )
    if len(penalty_gradients.extra):
        gradient += penalty_gradients.extra
    n_leaves = leaves.forest.n_leaves
    values = leaves.values.reshape(n_leaves, -1)
    _chain_leaves(leaves.kind, leaves.parameter, values, gradient.reshape(n_leaves, -1))
    if len(pairs) and penalty_gradients.pair_raw:
        add_leaves(
            leaves.values,
            pairs,
            penalty_gradients.pair_grid,
            penalty_gradients.pair_table,
            penalty_gradients.pair_scale,
            gradient,
        )
    if len(penalty_gradients.extra_raw):
        gradient += penalty_gradients.extra_raw
    leaves.optimizer.step(leaves.values, gradient, leaves.state, leaves.count, rate)
    activate_leaves(leaves.kind, leaves.parameter, leaves.values, leaves.density)
    if len(leaves.sides):
        copy_all_sides(leaves.density, leaves.sides)


@njit(cache=True, error_model="numpy", parallel=True)
def _chain_leaves(kind: int, parameter: float, values: Any, gradient: Any) -> None:
    for leaf in prange(values.shape[0]):
        chain_block(kind, parameter, values[leaf], gradient[leaf])
