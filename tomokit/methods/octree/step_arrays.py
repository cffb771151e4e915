"""The arguments of the fused step's kernel as named tuples, and how they are collected."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import centre
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.penalties import PenaltyGradients
from tomokit.optimizers.block import BlockOptimizer
from tomokit.projector.leaves import LeafProjector


class LeafArrays(NamedTuple):
    """Arrays of the field and what the optimizer remembers of it, all changed by the step.

    Attributes
    ----------
    values, density : ndarray of float32, shape (n_leaves, n, n, n)
        Raw values v and densities ``s(v)``, ``[leaf, x, z, y]``.
    first, second : ndarray of float32, shape (n_leaves * n**3,) or of size 0
        The optimizer's momentum and mean square.
    sides : ndarray of float32, shape (n_leaves, 6, n, n) or with no leaves
        Densities on the leaves' sides.
    """

    values: NDArray[np.float32]
    density: NDArray[np.float32]
    first: NDArray[np.floating]
    second: NDArray[np.floating]
    sides: NDArray[np.float32]


class ResidualArrays(NamedTuple):
    """The residuals of a step's views, contracted to the leaves' lattice along y, and how leaves gather them.

    Attributes
    ----------
    contracted : ndarray of float32, shape (n_slabs, n_views, n_u + 2 * pad, n)
        Residuals with the data term's factor (:meth:`tomokit.projector.leaves.LeafProjector.contract`).
    pad : int
        Columns of zeros on either side of the detector.
    slab_of : ndarray of int64, shape (n_leaves,)
        Slab along y that a leaf lies in.
    corner, spacing, level, theta, du, centre_u, half_width, taps, tables
        The leaves' places, the views and the footprints: see :func:`tomokit.projector.leaves_cpu.gather_leaf`.
    """

    contracted: NDArray[np.float32]
    pad: int
    slab_of: NDArray[np.int64]
    corner: NDArray[np.float64]
    spacing: NDArray[np.float64]
    level: NDArray[np.int32]
    theta: NDArray[np.float64]
    du: NDArray[np.float64]
    centre_u: float
    half_width: NDArray[np.float64]
    taps: NDArray[np.int64]
    tables: NDArray[np.float32]


class PenaltyArrays(NamedTuple):
    """Arrays of the penalties; those with no leaves, or of size 0, stand for penalties that there are not.

    Attributes
    ----------
    variation_weight : ndarray of float64, shape (n_leaves,)
        Factor of each leaf's mean total variation in the loss; 0 where it has none.
    variant, delta, stencil
        See :func:`tomokit.regularizers.tv_kernel.tv_leaf`.
    side_gradient : ndarray of float32, shape (n_leaves, 6, n, n)
        Gradient by the densities on the leaves' sides.
    table_row : ndarray of int64, shape (n_leaves,)
        Row of each leaf in the tables, -1 for leaves that have none.
    grid, table, table_scale
        See :func:`tomokit.regularizers.cross_node_kernels.cross_node_leaf`.
    table_is_raw : bool
        Whether the tables are of raw values.
    by_density, by_value : ndarray of float32, shape (n_leaves, n, n, n)
        Gradients of all other penalties, by density and by raw value.
    """

    variation_weight: NDArray[np.float64]
    variant: int
    delta: float
    stencil: int
    side_gradient: NDArray[np.floating]
    table_row: NDArray[np.int64]
    grid: NDArray[np.float64]
    table: NDArray[np.floating]
    table_scale: float
    table_is_raw: bool
    by_density: NDArray[np.float32]
    by_value: NDArray[np.float32]


class StepRules(NamedTuple):
    """Numbers of the activation and of the optimizer's rule.

    Attributes
    ----------
    activation, parameter
        See :func:`tomokit.activation.functions.activate_block`.
    optimizer, hyper, steps
        Rule, hyper-parameters, and steps since the optimizer's state was made, this one included: see
        :func:`tomokit.optimizers.kernel.optimizer_block`.
    """

    activation: int
    parameter: float
    optimizer: int
    hyper: NDArray[np.float64]
    steps: int


def leaf_arrays(leaves: LeafField, optimizer: BlockOptimizer) -> LeafArrays:
    """Collect the arrays of a field for the kernel.

    Parameters
    ----------
    leaves : LeafField
    optimizer : BlockOptimizer
        The field's own.

    Returns
    -------
    LeafArrays
    """
    # Flat views: the kernel takes its leaf out of them, or nothing where the rule has no such array.
    first, second = optimizer.block_arrays(leaves.state, np.float32)
    return LeafArrays(leaves.values, leaves.density, first, second, leaves.sides)


def residual_arrays(
    projector: LeafProjector, contracted: NDArray[np.float32], views: NDArray[np.int64]
) -> ResidualArrays:
    """Collect the arrays of a step's residuals for the kernel.

    Parameters
    ----------
    projector : LeafProjector
        Over the field's leaves, in the level's pixels.
    contracted : ndarray of float32, shape (n_slabs, n_views, n_u + 2 * pad, n)
        From :meth:`tomokit.projector.leaves.LeafProjector.contract`.
    views : ndarray of int64, shape (n_views,)
        The step's views.

    Returns
    -------
    ResidualArrays
    """
    geometry = projector.geometry
    # Of all views those of the step, in its order, as `contracted` has them.
    return ResidualArrays(
        contracted, projector.pad, projector.slabs.slab_of, projector.corner, projector.spacing, projector.forest.level,
        geometry.tilt_rad[views], geometry.shift_u_px[views], centre(geometry.n_u), projector.half_width[views],
        projector.taps[views], projector.tables[views],
    )  # fmt: skip


def penalty_arrays(penalties: PenaltyGradients) -> PenaltyArrays:
    """Collect the arrays of a step's penalties for the kernel, with empty ones for penalties that there are not.

    Parameters
    ----------
    penalties : PenaltyGradients

    Returns
    -------
    PenaltyArrays
    """
    n_leaves, term, table = penalties.forest.n_leaves, penalties.variation, penalties.table
    # Placeholders of the types that the compiled kernel has: another type would compile it once more.
    variation = (np.zeros(n_leaves), 0, 1.0, 0)
    if term is not None:
        variation = (term.weight, term.variant, term.delta, term.stencil)
    tables = (np.empty(0, np.int64), np.empty((0, 2)), np.empty((0, 1, 8), np.float32), 0.0)
    if table is not None:
        # The inverse of the list of leaves that take part: the kernel runs over leaves and asks for their rows.
        row = np.full(n_leaves, -1, np.int64)
        row[table.leaves] = np.arange(table.leaves.size)
        tables = (row, table.grid, table.table.astype(np.float32, copy=False), table.scale)
    return PenaltyArrays(
        *variation, penalties.side_gradient, *tables, penalties.table_is_raw, penalties.by_density, penalties.by_value
    )
