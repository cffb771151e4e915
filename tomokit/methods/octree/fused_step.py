"""The backward pass and the optimizer step, leaf by leaf while a leaf is in cache.

For one leaf: gather the residual of every view of the step, add total variation, the pull of its neighbours' sides and
the cross-node constraint, apply the activation's chain rule, take the optimizer's step, activate the new values
for the next projection, and copy the new sides for the next comparison. One pass over values and optimizer
state per step, and no gradient array of the field's size.

Nothing that a leaf reads is written by another: sides and tables are made before the pass, from the old values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from tomokit.activation.functions import activate_block, chain_block
from tomokit.optimizers.kernel import optimizer_block
from tomokit.projector.leaves_cpu import gather_leaf
from tomokit.regularizers.boundary_kernels import add_sides, copy_sides
from tomokit.regularizers.cross_node_kernels import cross_node_leaf
from tomokit.regularizers.tv_kernel import tv_leaf


@njit(cache=True, error_model="numpy", parallel=True)
def update_leaves(
    values: Any, density: Any, first: Any, second: Any, slab_of: Any, corner: Any, spacing: Any, level: Any,
    theta: Any, du: Any, centre_u: float, half_width: Any, taps: Any, tables: Any, contracted: Any, pad: int,
    tv_weight: Any, tv_variant: int, tv_delta: float, tv_stencil: int, sides: Any, side_gradient: Any, pair_of: Any,
    pair_grid: Any, pair_table: Any, pair_scale: float, pair_raw: bool, extra: Any, extra_raw: Any, activation: int,
    parameter: float, optimizer: int, hyper: Any, count: int, variation: Any
) -> None:  # fmt: skip
    """One step on all leaves.

    Parameters
    ----------
    values, density : float32 array, shape (n_leaves, n, n, n), changed
        Raw values v and densities ``s(v)``.
    first, second : float32 array, shape (n_leaves * n**3,) or of size 0, changed
        Optimizer state.
    slab_of, corner, spacing, level, theta, du, centre_u, reach, taps, tables, contracted, pad
        See :mod:`tomokit.projector.leaves_cpu`; the residuals carry the data term's factor.
    tv_weight : float64 array, shape (n_leaves,)
        Factor of each leaf's mean total variation in the loss; the rest as in
        :func:`tomokit.regularizers.tv_kernel.tv_leaf`.
    sides, side_gradient : float32 array, shape (n_leaves, 6, n, n) or with no leaves
        Sides of the densities, renewed; and the gradient of boundary consistency by them.
    pair_of : int64 array, shape (n_leaves,) or of size 0
        Row of each leaf in the cross-node tables, -1 for leaves that take no part.
    pair_grid, pair_table, pair_scale
        See :func:`tomokit.regularizers.cross_node_kernels.cross_node_leaf`.
    pair_raw : bool
        Whether the tables are of raw values.
    extra, extra_raw : float32 array, shape (n_leaves, n, n, n) or with no leaves
        Gradients by density and by raw value of any other regularizers.
    activation, parameter
        See :func:`tomokit.activation.functions.activate_block`.
    optimizer, hyper, count
        See :func:`tomokit.optimizers.kernel.optimizer_block`.
    variation : float64 array, shape (n_leaves,), written
        Mean total variation of each leaf before the step.
    """
    n_leaves, n = values.shape[0], values.shape[1]
    block = n * n * n
    for leaf in prange(n_leaves):
        gradient = np.zeros((n, n, n), np.float32)
        flat = gradient.reshape(-1)
        gather_leaf(
            flat,
            leaf,
            corner,
            spacing,
            level,
            theta,
            du,
            centre_u,
            half_width,
            taps,
            tables,
            contracted[slab_of[leaf]],
            pad,
        )
        if tv_weight[leaf] > 0:
            variation[leaf] = tv_leaf(density[leaf], gradient, tv_weight[leaf], tv_variant, tv_delta, tv_stencil)
        if side_gradient.shape[0] > 0:
            add_sides(side_gradient[leaf], gradient)
        pair = pair_of[leaf] if pair_of.size > 0 else -1
        if pair >= 0 and not pair_raw:
            cross_node_leaf(
                density[leaf], gradient, pair_grid[pair, 0], pair_grid[pair, 1], pair_table[pair], pair_scale
            )  # fmt: skip
        if extra.shape[0] > 0:
            flat += extra[leaf].reshape(-1)
        raw = values[leaf].reshape(-1)
        chain_block(activation, parameter, raw, flat)
        if pair >= 0 and pair_raw:
            cross_node_leaf(
                values[leaf], gradient, pair_grid[pair, 0], pair_grid[pair, 1], pair_table[pair], pair_scale
            )  # fmt: skip
        if extra_raw.shape[0] > 0:
            flat += extra_raw[leaf].reshape(-1)
        begin, end = leaf * block, (leaf + 1) * block
        optimizer_block(
            optimizer, hyper, count, raw, flat,
            first[min(begin, first.size) : min(end, first.size)],
            second[min(begin, second.size) : min(end, second.size)],
        )  # fmt: skip
        activate_block(activation, parameter, raw, density[leaf].reshape(-1))
        if sides.shape[0] > 0:
            copy_sides(density[leaf], sides[leaf])
