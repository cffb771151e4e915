"""The backward pass and the optimizer step, leaf by leaf while a leaf is in cache.

For one leaf: gather the residual of every view of the step, add total variation, the gradient by its sides and the
tabulated one, apply the activation's chain rule, take the optimizer's step, activate the new values for the next
projection, and copy the new sides for the next comparison. One pass over values and optimizer state per step, and no
gradient array of the field's size.

Nothing that a leaf reads is written by another: sides and tables are made before the pass, from the old values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.activation.functions import activate_block, chain_block
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.methods.octree.step_arrays import LeafArrays, PenaltyArrays, ResidualArrays, StepRules
from tomokit.optimizers.kernel import optimizer_block
from tomokit.projector.leaves_cpu import gather_leaf
from tomokit.regularizers.boundary_kernels import add_sides, copy_sides
from tomokit.regularizers.cross_node_kernels import cross_node_leaf
from tomokit.regularizers.tv_kernel import tv_leaf


@shared_out()
def update_leaves(
    share: Share,
    leaves: LeafArrays,
    residual: ResidualArrays,
    penalties: PenaltyArrays,
    rules: StepRules,
    variation: NDArray[np.float64],
) -> None:
    """Take one optimizer step on all leaves, each of them independent of the others.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    leaves : LeafArrays
        Changed.
    residual : ResidualArrays
    penalties : PenaltyArrays
    rules : StepRules
    variation : ndarray of float64, shape (n_leaves,), written
        Mean total variation of each leaf before the step.
    """
    # Taken apart here: the loop over leaves captures arrays and numbers, not tuples.
    values, density, first, second, sides = leaves
    contracted, pad, slab_of, corner, spacing, level, theta, du, centre_u, half_width, taps, tables = residual
    (
        variation_weight, variant, delta, stencil, side_gradient, table_row, grid, table, table_scale, table_is_raw,
        by_density, by_value,
    ) = penalties  # fmt: skip
    activation, parameter, optimizer, hyper, count = rules
    n_leaves, n = values.shape[0], values.shape[1]
    block = n * n * n
    for leaf in items_of(share, n_leaves):
        # The only gradient there is: n^3 numbers, which stay in the cache of the core that has this leaf.
        gradient = np.zeros((n, n, n), np.float32)
        flat = gradient.reshape(-1)
        gather_leaf(
            flat, leaf, corner, spacing, level, theta, du, centre_u, half_width, taps, tables,
            contracted[slab_of[leaf]], pad,
        )  # fmt: skip
        # First the gradient by density: all terms but those by raw value.
        if variation_weight[leaf] > 0:
            variation[leaf] = tv_leaf(density[leaf], gradient, variation_weight[leaf], variant, delta, stencil)
        if side_gradient.shape[0] > 0:
            add_sides(side_gradient[leaf], gradient)
        row = table_row[leaf] if table_row.size > 0 else -1
        raw = values[leaf].reshape(-1)
        # Twice the same, in a loop since code that stands twice is compiled twice: first what is by density.
        for by_raw in (False, True):
            if by_raw:
                # The chain rule makes the gradient one by raw value, to which the others are added.
                chain_block(activation, parameter, raw, flat)
            if row >= 0 and table_is_raw == by_raw:
                block_of_table = values[leaf] if by_raw else density[leaf]
                cross_node_leaf(block_of_table, gradient, grid[row, 0], grid[row, 1], table[row], table_scale)
            others = by_value if by_raw else by_density
            if others.shape[0] > 0:
                other = others[leaf].reshape(-1)
                for i in range(flat.size):
                    flat[i] += other[i]
        begin, end = leaf * block, (leaf + 1) * block
        # An array of size 0, which the rule does not have, stays one.
        optimizer_block(
            optimizer, hyper, count, raw, flat,
            first[min(begin, first.size) : min(end, first.size)],
            second[min(begin, second.size) : min(end, second.size)],
        )  # fmt: skip
        # From here on the density is the next step's: all that needs the old one of this leaf is done.
        activate_block(activation, parameter, raw, density[leaf].reshape(-1))
        if sides.shape[0] > 0:
            copy_sides(density[leaf], sides[leaf])
