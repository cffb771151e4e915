"""The backward pass with a gradient array, for optimizers that take the whole field at once.

The same kernels in the same order as in :mod:`tomokit.fit.fused`, with the same result; the price is one more array of
the field's size and several passes over memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from tomokit.field.activation import activate_leaves, chain_block
from tomokit.fit.leaf_field import LeafField
from tomokit.fit.penalties import Pulls
from tomokit.projector.leaves import LeafProjector
from tomokit.regularizers.boundary_kernels import add_all_sides, copy_all_sides
from tomokit.regularizers.cross_node_kernels import add_leaves
from tomokit.regularizers.tv_kernel import tv_leaves


def step_whole(
    leaves: LeafField,
    projector: LeafProjector,
    residual: NDArray[np.float32],
    views: NDArray[np.int64],
    pulls: Pulls,
    rate: float,
    variation: NDArray[np.float64],
) -> None:
    """One step on all leaves by :meth:`tomokit.optimizers.contract.Optimizer.step`.

    Parameters
    ----------
    leaves : LeafField
        Changed; its `count` is that of this step.
    projector : LeafProjector
    residual : ndarray of float32, shape (n, n_u, n_y)
        Of these views, with the data term's factor.
    views : ndarray of int64, shape (n,)
    pulls : Pulls
    rate : float
        Factor of the learning rate.
    variation : ndarray of float64, shape (n_leaves,), written
        Mean total variation of each leaf before the step.
    """
    gradient = projector.T(residual, views)
    if pulls.tv_weight.any():
        tv_leaves(leaves.density, gradient, pulls.tv_weight, pulls.tv_variant, pulls.tv_delta, pulls.tv_turn, variation)
    if len(pulls.sides):
        add_all_sides(pulls.sides, gradient)
    pairs = pulls.pair_leaves
    if len(pairs) and not pulls.pair_raw:
        add_leaves(leaves.density, pairs, pulls.pair_grid, pulls.pair_table, pulls.pair_scale, gradient)
    if len(pulls.extra):
        gradient += pulls.extra
    n_leaves = leaves.forest.n_leaves
    values = leaves.values.reshape(n_leaves, -1)
    _chain_leaves(leaves.kind, leaves.parameter, values, gradient.reshape(n_leaves, -1))
    if len(pairs) and pulls.pair_raw:
        add_leaves(leaves.values, pairs, pulls.pair_grid, pulls.pair_table, pulls.pair_scale, gradient)
    if len(pulls.extra_raw):
        gradient += pulls.extra_raw
    leaves.optimizer.step(leaves.values, gradient, leaves.state, leaves.count, rate)
    activate_leaves(leaves.kind, leaves.parameter, leaves.values, leaves.density)
    if len(leaves.sides):
        copy_all_sides(leaves.density, leaves.sides)


@njit(cache=True, error_model="numpy", parallel=True)
def _chain_leaves(kind: int, parameter: float, values: Any, gradient: Any) -> None:
    for leaf in prange(values.shape[0]):
        chain_block(kind, parameter, values[leaf], gradient[leaf])
