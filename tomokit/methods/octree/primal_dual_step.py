"""One primal-dual step on the leaves: duals of total variation, then densities, in one pass while a leaf is in cache.

The lattice is that of all leaves together: a vertex that two leaves share counts once, so a leaf has the differences
of its cells' first vertices alone, and those at its upper sides only where no equal leaf goes on. With w the weight of
total variation by differences, t the step length and s the number of steps in an epoch:

    q' = project(q + rate grad d) onto |q| <= limit at every vertex
    z' = z + g,   g the back-projected change of the data's duals
    d' = d - t (z' + s g + w div*(2 q' - q) + other gradients),    what is negative of it times a factor

The limits, at most 1, are what total variation's weight is multiplied by (:mod:`tomokit.methods.octree.texture`).

``div*`` is the gradient's transpose. At a side that is tied a leaf sees half of its vertices' data and differences, at
edges and corners a quarter and an eighth; there t is as many times longer, so that the mean of all copies
(:mod:`tomokit.methods.octree.ties`) takes the step by the whole.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.methods.octree.step_arrays import PenaltyArrays, ResidualArrays
from tomokit.projector.leaves_cpu import gather_leaf
from tomokit.regularizers.cross_node_kernels import cross_node_leaf

_FLAGS = {"contract", "reassoc", "nsz"}


class PrimalDualArrays(NamedTuple):
    """Arrays of the field that a primal-dual step changes, all of shape (n_leaves, n, n, n), ``[leaf, x, z, y]``.

    Attributes
    ----------
    density : ndarray of float32
        Densities d in the fit's unit.
    data_pull : ndarray of float32
        The back-projected duals of all views, z.
    dual_x, dual_z, dual_y : ndarray of float32
        These duals q, one for each difference to the next vertex.
    """

    density: NDArray[np.float32]
    data_pull: NDArray[np.float32]
    dual_x: NDArray[np.float32]
    dual_z: NDArray[np.float32]
    dual_y: NDArray[np.float32]


class PrimalDualLengths(NamedTuple):
    """Step lengths and weights, and which sides of leaves are tied.

    Attributes
    ----------
    step : ndarray of float32, shape (n_leaves,)
        Step of the densities, t.
    weight : ndarray of float32, shape (n_leaves,)
        Weight of a difference's absolute value in the objective, w; 0 without total variation.
    rate : ndarray of float32, shape (n_leaves,)
        Step of the duals by density.
    tied : ndarray of bool, shape (n_leaves, 6)
        Sides ``2 * axis + upper`` that are shared with a leaf of the same level.
    steps : float
        Steps of an epoch, s.
    smooth : float
        Factor of the other penalties' gradients.
    kept_negative : float
        Factor on densities below zero: 0 where zero is their bound, 1 where there is none.
    limits : ndarray of float32, shape (n_leaves, m, m, m) or with no leaves
        Most that a dual may be long, at nodes a whole number of which divide a leaf evenly, ``[leaf, x, z, y]``;
        linear between. With no leaves 1 everywhere.
    """

    step: NDArray[np.float32]
    weight: NDArray[np.float32]
    rate: NDArray[np.float32]
    tied: NDArray[np.bool_]
    steps: float
    smooth: float
    kept_negative: float
    limits: NDArray[np.float32]


@shared_out(fastmath=_FLAGS)
def step_leaves(
    share: Share,
    field: PrimalDualArrays,
    residual: ResidualArrays,
    penalties: PenaltyArrays,
    lengths: PrimalDualLengths,
    variation: NDArray[np.float64],
) -> None:
    """Take one primal-dual step on all leaves, each by itself; shared vertices are still to be tied.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    field : PrimalDualArrays
        Changed.
    residual : ResidualArrays
        The change of the data's duals in the views of the step, times kappa.
    penalties : PenaltyArrays
        Of which total variation and sides are not used.
    lengths : PrimalDualLengths
    variation : ndarray of float64, shape (n_leaves,), written
        Sum of the lengths of each leaf's differences before the step.
    """
    density, data_pull, dual_x, dual_z, dual_y = field
    contracted, pad, slab_of, corner, spacing, level, theta, du, centre_u, half_width, taps, tables = residual
    (
        _variation_weight, _variant, _delta, _stencil, _sides, table_row, grid, table, table_scale, _is_raw,
        by_density, by_value,
    ) = penalties  # fmt: skip
    step, weight, rate, tied, steps, smooth, kept_negative, limits = lengths
    n = density.shape[1]
    everywhere = np.ones((2, 2, 2), np.float32)
    for leaf in items_of(share, density.shape[0]):
        change = np.zeros((n, n, n), np.float32)
        gather_leaf(
            change.reshape(-1), leaf, corner, spacing, level, theta, du, centre_u, half_width, taps, tables,
            contracted[slab_of[leaf]], pad,
        )  # fmt: skip
        # Values are densities here, so penalties by either are one gradient.
        other = np.zeros((n, n, n), np.float32)
        flat = other.reshape(-1)
        row = table_row[leaf] if table_row.size > 0 else -1
        if row >= 0:
            cross_node_leaf(density[leaf], other, grid[row, 0], grid[row, 1], table[row], table_scale)
        for is_value in (False, True):
            others = by_value if is_value else by_density
            if others.shape[0] > 0:
                given = others[leaf].reshape(-1)
                for i in range(flat.size):
                    flat[i] += given[i]
        variation[leaf] = _step_leaf(
            density[leaf], data_pull[leaf], dual_x[leaf], dual_z[leaf], dual_y[leaf], change, other,
            step[leaf], weight[leaf], rate[leaf], tied[leaf], steps, smooth, kept_negative,
            limits[leaf] if limits.shape[0] > 0 else everywhere,
        )  # fmt: skip


@compiled(inlined=True, fastmath=_FLAGS)
def _step_leaf(
    density: NDArray[Any], data_pull: NDArray[Any], dual_x: NDArray[Any], dual_z: NDArray[Any],
    dual_y: NDArray[Any], change: NDArray[Any], other: NDArray[Any], step: np.floating,
    weight: np.floating, rate: np.floating, tied: NDArray[np.bool_], steps: float, smooth: float,
    kept_negative: float, limits: NDArray[Any],
) -> float:  # fmt: skip
    """Step on one leaf, whole planes of constant x at a time; vertex (z, y) of a plane is number ``z n + y``."""
    n = density.shape[0]
    plane = n * n
    real = density.dtype.type
    zero, one, two, extrapolated, factor = real(0), real(1), real(2), real(1 + steps), real(smooth)
    counted, next_z, next_y, length, kept = _vertex_tables(n, tied, step, real(kept_negative))
    limit, expanded = np.empty(plane, real), _expand_limits(limits, n)
    nodes = np.empty(limits.shape[0] * n, real)
    d, z = density.reshape(-1), data_pull.reshape(-1)
    q_x, q_z, q_y = dual_x.reshape(-1), dual_z.reshape(-1), dual_y.reshape(-1)
    g, o = change.reshape(-1), other.reshape(-1)
    # The plane with room beyond its end, where the masks make nothing of what is read; and each dual where the far
    # vertex of its difference is, so that a vertex finds the dual of the difference behind it under its own number.
    here, far_z, far_y, far_x = (
        np.zeros(plane + n, real), np.zeros(plane + n, real), np.zeros(plane + 1, real), np.zeros(plane, real),
    )  # fmt: skip
    new_x, new_z, new_y = np.empty(plane, real), np.empty(plane, real), np.empty(plane, real)
    total = 0.0
    for x in range(n):
        begin = x * plane
        # Loops, as an assignment of arrays takes seconds to compile.
        for i in range(plane):
            here[i] = d[begin + i]
        # The last plane is its own next one: its differences along x are zero.
        following = min(x + 1, n - 1) * plane
        ahead = d[following : following + plane]
        counts = zero if x == n - 1 and tied[1] else one
        before_x, before_z, before_y = (
            q_x[begin : begin + plane], q_z[begin : begin + plane], q_y[begin : begin + plane],
        )  # fmt: skip
        plane_sum = zero
        _interpolate_limits(expanded, x, nodes, limit)
        for i in range(plane):
            dx = ahead[i] - here[i]
            dz = (here[i + n] - here[i]) * next_z[i]
            dy = (here[i + 1] - here[i]) * next_y[i]
            most = limit[i]
            own = counts * counted[i] * most
            plane_sum += own * np.sqrt(dx * dx + dz * dz + dy * dy)
            a, b, c = before_x[i] + rate * dx, before_z[i] + rate * dz, before_y[i] + rate * dy
            shrink = own / np.sqrt(max(most * most, a * a + b * b + c * c))
            new_x[i], new_z[i], new_y[i] = a * shrink, b * shrink, c * shrink
        total += plane_sum
        # From here on what is new stands for 2 q' - q, of which the densities take the transposed gradient.
        for i in range(plane):
            beyond_x, beyond_z = two * new_x[i] - before_x[i], two * new_z[i] - before_z[i]
            beyond_y = two * new_y[i] - before_y[i]
            before_x[i], before_z[i], before_y[i] = new_x[i], new_z[i], new_y[i]
            new_x[i], new_z[i], new_y[i] = beyond_x, beyond_z, beyond_y
            far_z[i + n], far_y[i + 1] = beyond_z, beyond_y
        # Tied sides across x: the whole plane has twice the step, and no bound before it is tied.
        is_tied = (x == 0 and tied[0]) or (x == n - 1 and tied[1])
        longer, freed = (two, one) if is_tied else (one, zero)
        z_plane, d_plane = z[begin : begin + plane], d[begin : begin + plane]
        g_plane, o_plane = g[begin : begin + plane], o[begin : begin + plane]
        for i in range(plane):
            pull = (far_x[i] - new_x[i]) + (far_z[i] - new_z[i]) + (far_y[i] - new_y[i])
            downhill = z_plane[i] + extrapolated * g_plane[i] + weight * pull + factor * o_plane[i]
            z_plane[i] += g_plane[i]
            moved = here[i] - longer * length[i] * downhill
            d_plane[i] = max(moved, zero) + max(kept[i], freed) * min(moved, zero)
        for i in range(plane):
            far_x[i] = new_x[i]
    return total


@compiled(inlined=True, fastmath=_FLAGS)
def _vertex_tables(
    n: int, tied: NDArray[np.bool_], step: np.floating, kept_negative: np.floating
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """What is the same in all planes of a leaf: which vertices have differences of their own, which a next vertex along
    z and y; step lengths, and the factors of what is negative."""
    plane = n * n
    counted, next_z, next_y = np.ones(plane, np.float32), np.ones(plane, np.float32), np.ones(plane, np.float32)
    length, kept = np.full(plane, step), np.full(plane, kept_negative)
    for j in range(n):
        for k in range(n):
            i = j * n + k
            if j == n - 1:
                next_z[i] = 0
            if k == n - 1:
                next_y[i] = 0
            if (j == n - 1 and tied[3]) or (k == n - 1 and tied[5]):
                counted[i] = 0
            if (j == 0 and tied[2]) or (j == n - 1 and tied[3]):
                length[i] *= 2
                kept[i] = 1
            if (k == 0 and tied[4]) or (k == n - 1 and tied[5]):
                length[i] *= 2
                kept[i] = 1
    return counted, next_z, next_y, length, kept


@compiled(inlined=True, fastmath=_FLAGS)
def _between_nodes(i: int, n: int, m: int) -> tuple[int, np.float32]:
    """The node before vertex `i` of `n`, of `m` nodes from the first vertex to the last, and how far beyond it lies."""
    at = np.float32(i * (m - 1)) / np.float32(n - 1)
    node = min(int(at), m - 2)
    return node, at - np.float32(node)


@compiled(inlined=True, fastmath=_FLAGS)
def _expand_limits(limits: NDArray[Any], n: int) -> NDArray[Any]:
    """A leaf's limits at its nodes along x and z, and at every vertex along y, linear between: ``[x, z, y]``."""
    m = limits.shape[0]
    expanded = np.empty((m, m, n), limits.dtype)
    for k in range(n):
        r, u = _between_nodes(k, n, m)
        for p in range(m):
            for q in range(m):
                expanded[p, q, k] = limits[p, q, r] + u * (limits[p, q, r + 1] - limits[p, q, r])
    return expanded


@compiled(inlined=True, fastmath=_FLAGS)
def _interpolate_limits(expanded: NDArray[Any], x: int, nodes: NDArray[Any], limit: NDArray[Any]) -> None:
    """Write a plane's limits, linear between a leaf's nodes along x and z; `nodes` is room for those of the plane."""
    m, n = expanded.shape[0], expanded.shape[2]
    # Rows along y as they lie, so that both steps are sums of whole rows.
    p, s = _between_nodes(x, n, m)
    near, far = expanded[p].reshape(-1), expanded[p + 1].reshape(-1)
    for i in range(m * n):
        nodes[i] = near[i] + s * (far[i] - near[i])
    for j in range(n):
        q, t = _between_nodes(j, n, m)
        before, behind = nodes[q * n : q * n + n], nodes[q * n + n : q * n + 2 * n]
        row = limit[j * n : j * n + n]
        for k in range(n):
            row[k] = before[k] + t * (behind[k] - before[k])
