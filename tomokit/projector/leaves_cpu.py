"""Projection of leaf grids and its adjoint on the CPU.

Leaves at one level and one y-slab share their lattice along y. A slab's projection is therefore accumulated in its own
y-vertices, ``A[u, j]``, and expanded to detector rows once, a few taps per row; the adjoint contracts the residual
to ``B[u, j]`` first and then gathers. One vertex column meets a few detector columns with weights that
do not depend on y, read from a table (:mod:`tomokit.projector.vertex_footprint`).

Leaves are dealt to groups, parts of one slab that write into a buffer of their own; buffers are added in the order of
groups. Which leaves share a group depends on the forest alone, so the result is the same at any number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.projector.vertex_footprint import KNOTS


@compiled(inlined=True, fastmath={"contract"})
def _scatter_row(
    target: NDArray[np.float32],
    target_start: int,
    source: NDArray[np.float32],
    source_start: int,
    n: int,
    w: NDArray[np.float32],
    taps: int,
) -> None:
    """``target[target_start + tap * n + j] += w[tap] * source[source_start + j]`` for all taps; j runs along y."""
    tap = 0
    # Unsigned indices spare Numba its test for negative ones, without which the loops do not vectorize.
    m = np.uintp(n)
    s = np.uintp(source_start)
    # Four rows at a time: the source is then loaded once for four multiply-adds.
    while taps - tap >= 4:
        r0 = np.uintp(target_start + tap * n)
        r1, r2, r3 = r0 + m, r0 + m + m, r0 + m + m + m
        w0, w1, w2, w3 = w[tap], w[tap + 1], w[tap + 2], w[tap + 3]
        for j in range(m):
            value = source[s + j]
            target[r0 + j] += w0 * value
            target[r1 + j] += w1 * value
            target[r2 + j] += w2 * value
            target[r3 + j] += w3 * value
        tap += 4
    if taps - tap >= 2:
        r0 = np.uintp(target_start + tap * n)
        r1 = r0 + m
        w0, w1 = w[tap], w[tap + 1]
        for j in range(m):
            value = source[s + j]
            target[r0 + j] += w0 * value
            target[r1 + j] += w1 * value
        tap += 2
    if taps - tap >= 1:
        r0 = np.uintp(target_start + tap * n)
        w0 = w[tap]
        for j in range(m):
            target[r0 + j] += w0 * source[s + j]


@compiled(inlined=True, fastmath={"contract"})
def _gather_rows(
    target: NDArray[np.float32],
    target_start: int,
    source: NDArray[np.float32],
    source_start: int,
    n: int,
    w: NDArray[np.float32],
    taps: int,
) -> None:
    """``target[target_start + j] += sum_tap w[tap] * source[source_start + tap * n + j]``; j runs along y."""
    tap = 0
    m = np.uintp(n)
    d = np.uintp(target_start)
    # The transpose of _scatter_row, cut in the same way: four rows are read for one load and store of the target.
    while taps - tap >= 4:
        r0 = np.uintp(source_start + tap * n)
        r1, r2, r3 = r0 + m, r0 + m + m, r0 + m + m + m
        w0, w1, w2, w3 = w[tap], w[tap + 1], w[tap + 2], w[tap + 3]
        for j in range(m):
            target[d + j] += (w0 * source[r0 + j] + w1 * source[r1 + j]) + (w2 * source[r2 + j] + w3 * source[r3 + j])
        tap += 4
    if taps - tap >= 2:
        r0 = np.uintp(source_start + tap * n)
        r1 = r0 + m
        w0, w1 = w[tap], w[tap + 1]
        for j in range(m):
            target[d + j] += w0 * source[r0 + j] + w1 * source[r1 + j]
        tap += 2
    if taps - tap >= 1:
        r0 = np.uintp(source_start + tap * n)
        w0 = w[tap]
        for j in range(m):
            target[d + j] += w0 * source[r0 + j]


@compiled(inlined=True, fastmath={"contract"})
def _interpolate_weights(table: NDArray[np.float32], fraction: float, taps: int, w: NDArray[np.float32]) -> None:
    """Weights of one vertex column, between the two rows of its table that are next to `fraction`, in pixels."""
    scaled = fraction * KNOTS
    # A fraction just below 1 may round up to KNOTS, and the table's last row has none after it.
    row = min(int(scaled), KNOTS - 1)
    part = np.float32(scaled - row)
    for tap in range(taps):
        w[tap] = table[row, tap] + part * (table[row + 1, tap] - table[row, tap])


@compiled(inlined=True)
def _side_of_vertex(i: int, n: int) -> int:
    """Where a vertex lies along an axis of its leaf: 0 on the lower face, 1 inside, 2 on the upper face."""
    return 0 if i == 0 else (2 if i == n - 1 else 1)


@shared_out(fastmath={"contract"})
def project_groups(
    share: Share,
    rho: NDArray[np.float32],
    group: NDArray[np.int64],
    corner: NDArray[np.float64],
    spacing: NDArray[np.float64],
    level: NDArray[np.int32],
    theta: NDArray[np.float64],
    du: NDArray[np.float64],
    centre_u: float,
    half_width: NDArray[np.float64],
    taps: NDArray[np.int64],
    tables: NDArray[np.float32],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    offset: NDArray[np.int64],
    buffer: NDArray[np.float32],
) -> None:
    """Project leaves onto ``A[u, j]``, detector column by y-vertex, for every group of leaves and every view.

    Parameters
    ----------
    share : Share
        Which groups are this thread's.
    rho : float32 array, shape (n_leaves, n, n, n)
        Density ``[leaf, x, z, y]``.
    group : int array, shape (n_groups, 2)
        First leaf and one past the last.
    corner : float64 array, shape (n_leaves, 3)
        Lower corners ``(x, z, y)`` in pixels.
    spacing : float64 array, shape (n_leaves,)
        Distance between a leaf's vertices in pixels.
    level : int array, shape (n_leaves,)
        Level of each leaf, by which footprints are looked up.
    theta, du : float64 array, shape (n_views,)
        Tilt in radians and shift across the axis in pixels.
    centre_u : float
        Detector index of the origin.
    half_width : float64 array, shape (n_views, n_levels)
        Half width of footprint and pixel together, in pixels.
    taps : int array, shape (n_views, n_levels)
        Most detector columns that a footprint meets.
    tables : float32 array, shape (n_views, n_levels, 9, KNOTS + 1, max taps)
        See :func:`tomokit.projector.vertex_footprint.footprint_table`.
    low, high : int array, shape (n_groups, n_views)
        Detector columns that the group's buffer covers, ``low <= u < high``; columns wholly outside are skipped.
    offset : int array, shape (n_groups, n_views)
        Where the group's buffer starts, in floats.
    buffer : float32 array, written
        ``A[u, j]`` of each group and view one after the other, each of shape (high - low, n).
    """
    n = rho.shape[1]
    flat = rho.reshape(-1)
    # Each group has a buffer of its own, so no two threads write the same place, and the order of sums is fixed.
    for g in items_of(share, group.shape[0]):
        w = np.empty(tables.shape[4], np.float32)
        for t in range(theta.size):
            cos, sin = math.cos(theta[t]), math.sin(theta[t])
            first, last, start = low[g, t], high[g, t], offset[g, t]
            buffer[start : start + max(last - first, 0) * n] = 0
            if last <= first:
                continue
            for leaf in range(group[g, 0], group[g, 1]):
                here, h = level[leaf], spacing[leaf]
                n_taps = taps[t, here]
                # Double precision: at column 1000 a single one is off by 1e-4 px, and a knot of the tables is 1/64 px.
                base = corner[leaf, 0] * cos - corner[leaf, 1] * sin + du[t] + centre_u - half_width[t, here]
                for i in range(n):
                    side_x = _side_of_vertex(i, n)
                    for k in range(n):
                        side = 3 * side_x + _side_of_vertex(k, n)
                        # The footprint's left end; the first pixel centre beyond it is the column of tap 0.
                        position = base + h * (i * cos - k * sin)
                        below = math.floor(position)
                        u = int(below) + 1
                        # The margins are as wide as a footprint: what does not fit lies wholly beside the detector.
                        if u < first or u + n_taps > last:
                            continue
                        _interpolate_weights(tables[t, here, side], position - below, n_taps, w)
                        _scatter_row(buffer, start + (u - first) * n, flat, ((leaf * n + i) * n + k) * n, n, w, n_taps)


@compiled(inlined=True, fastmath={"contract"})
def gather_leaf(
    gradient: NDArray[np.float32],
    leaf: int,
    corner: NDArray[np.float64],
    spacing: NDArray[np.float64],
    level: NDArray[np.int32],
    theta: NDArray[np.float64],
    du: NDArray[np.float64],
    centre_u: float,
    half_width: NDArray[np.float64],
    taps: NDArray[np.int64],
    tables: NDArray[np.float32],
    contracted: NDArray[np.float32],
    pad: int,
) -> None:
    """Add the back-projection of one leaf to its block of a gradient.

    Serial, so that a fused pass can call it for a leaf and go on with the block while it is in cache.

    Parameters
    ----------
    gradient : float32 array, shape (n**3,), added to
        The leaf's vertices ``[x, z, y]``, flattened.
    leaf : int
        Number of the leaf, which `corner`, `spacing` and `level` are indexed by.
    corner, spacing, level, theta, du, centre_u, half_width, taps, tables
        See :func:`project_groups`.
    contracted : float32 array, shape (n_views, n_u + 2 * pad, n)
        Residual ``B[view, u + pad, j]`` of the leaf's slab, from :func:`contract_rows`.
    pad : int
        Columns of zeros on either side of the detector: as many as the widest footprint has taps.
    """
    n = contracted.shape[2]
    width = contracted.shape[1]
    flat = contracted.reshape(-1)
    w = np.empty(tables.shape[4], np.float32)
    here, h = level[leaf], spacing[leaf]
    for t in range(theta.size):
        cos, sin = math.cos(theta[t]), math.sin(theta[t])
        n_taps = taps[t, here]
        base = corner[leaf, 0] * cos - corner[leaf, 1] * sin + du[t] + centre_u - half_width[t, here]
        for i in range(n):
            side_x = _side_of_vertex(i, n)
            for k in range(n):
                side = 3 * side_x + _side_of_vertex(k, n)
                position = base + h * (i * cos - k * sin)
                below = math.floor(position)
                u = int(below) + 1 + pad
                # The padding is as wide as a footprint: what does not fit lies wholly beside the detector.
                if u < 0 or u + n_taps > width:
                    continue
                _interpolate_weights(tables[t, here, side], position - below, n_taps, w)
                _gather_rows(gradient, (i * n + k) * n, flat, (t * width + u) * n, n, w, n_taps)


@shared_out()
def gather_leaves(
    share: Share,
    gradient: NDArray[np.float32],
    slab_of: NDArray[np.int64],
    corner: NDArray[np.float64],
    spacing: NDArray[np.float64],
    level: NDArray[np.int32],
    theta: NDArray[np.float64],
    du: NDArray[np.float64],
    centre_u: float,
    half_width: NDArray[np.float64],
    taps: NDArray[np.int64],
    tables: NDArray[np.float32],
    contracted: NDArray[np.float32],
    pad: int,
) -> None:
    """Add the back-projection to a gradient, leaf by leaf in parallel.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    gradient : float32 array, shape (n_leaves, n, n, n), added to
        ``[leaf, x, z, y]``.
    slab_of : int array, shape (n_leaves,)
        Slab of each leaf.
    corner, spacing, level, theta, du, centre_u, half_width, taps, tables
        See :func:`project_groups`.
    contracted : float32 array, shape (n_slabs, n_views, n_u + 2 * pad, n)
        Residual ``B[slab, view, u + pad, j]``, from :func:`contract_rows`.
    pad : int
        Columns of zeros on either side of the detector.
    """
    for leaf in items_of(share, gradient.shape[0]):
        gather_leaf(
            gradient[leaf].reshape(-1), leaf, corner, spacing, level, theta, du, centre_u, half_width, taps, tables,
            contracted[slab_of[leaf]], pad
        )  # fmt: skip


@shared_out(fastmath={"contract"})
def expand_rows(
    share: Share,
    stack: NDArray[np.float32],
    slab: NDArray[np.int64],
    groups_of: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    offset: NDArray[np.int64],
    buffer: NDArray[np.float32],
    of_slab: NDArray[np.int32],
    vertex: NDArray[np.int32],
    weight: NDArray[np.float32],
    n: int,
) -> None:
    """Sum the buffers of all groups and expand them from y-vertices to detector rows.

    Parameters
    ----------
    share : Share
        Which detector columns are this thread's.
    stack : float32 array, shape (n_views, n_u, n_v), added to
        Line integrals ``[tilt, u, y]`` in pixels.
    slab : int array, shape (n_slabs, 2)
        Level and position along y.
    groups_of : int array, shape (n_slabs, 2)
        First group and one past the last.
    low, high, offset, buffer
        As :func:`project_groups` has them.
    of_slab : int array, shape (n_slabs, n_views, 2)
        First row of each slab and one past its last.
    vertex : int array, shape (n_views, n_levels, n_v)
        First vertex that each row sees.
    weight : float32 array, shape (n_views, n_levels, n_v, taps)
        Weights of that vertex and the next ones; see :class:`tomokit.projector.leaf_rows.LeafRows`.
    n : int
        Vertices along y.
    """
    n_views, n_u, _ = stack.shape
    taps = weight.shape[3]
    # One thread owns a detector column, so every row of the stack is summed by one thread, in the order of slabs.
    for u in items_of(share, n_u):
        line = np.empty(n, np.float32)
        for t in range(n_views):
            row = stack[t, u]
            for s in range(slab.shape[0]):
                # Sum the groups first, then expand once: taps are read per row, not per row and group.
                met = False
                for g in range(groups_of[s, 0], groups_of[s, 1]):
                    if u < low[g, t] or u >= high[g, t]:
                        continue
                    start = offset[g, t] + (u - low[g, t]) * n
                    # The first group sets the line, which spares clearing it.
                    if met:
                        for j in range(n):
                            line[j] += buffer[start + j]
                    else:
                        for j in range(n):
                            line[j] = buffer[start + j]
                    met = True
                if not met:
                    continue
                first, w = vertex[t, slab[s, 0]], weight[t, slab[s, 0]]
                for v in range(of_slab[s, t, 0], of_slab[s, t, 1]):
                    j = first[v]
                    total = np.float32(0)
                    for tap in range(taps):
                        total += w[v, tap] * line[j + tap]
                    row[v] += total


@shared_out(fastmath={"contract"})
def contract_rows(
    share: Share,
    stack: NDArray[np.float32],
    slab: NDArray[np.int64],
    contracted: NDArray[np.float32],
    pad: int,
    of_slab: NDArray[np.int32],
    vertex: NDArray[np.int32],
    weight: NDArray[np.float32],
) -> None:
    """Gather detector rows on the y-vertices of each slab, ``B[slab, view, u + pad, j]``.

    The transpose of :func:`expand_rows`.

    Parameters
    ----------
    share : Share
        Which items are this thread's.
    stack : float32 array, shape (n_views, n_u, n_v)
        Residuals ``[tilt, u, y]``.
    slab : int array, shape (n_slabs, 2)
        Level and position along y.
    contracted : float32 array, shape (n_slabs, n_views, n_u + 2 * pad, n), written
        The `pad` columns on either side are left as they are, which is 0.
    pad : int
        Columns on either side of the detector.
    of_slab, vertex, weight
        See :func:`expand_rows`.
    """
    n_views, n_u, _ = stack.shape
    taps = weight.shape[3]
    for item in items_of(share, slab.shape[0] * n_views):
        s, t = item // n_views, item % n_views
        first, w = vertex[t, slab[s, 0]], weight[t, slab[s, 0]]
        for u in range(n_u):
            line = contracted[s, t, u + pad]
            line[:] = 0
            for v in range(of_slab[s, t, 0], of_slab[s, t, 1]):
                j, value = first[v], stack[t, u, v]
                for tap in range(taps):
                    line[j + tap] += w[v, tap] * value
