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
from typing import Any

import numpy as np
from numba import njit, prange

from tomokit.projector.vertex_footprint import KNOTS


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _scatter(a: Any, a0: int, source: Any, s0: int, n: int, w: Any, taps: int) -> None:
    """``a[a0 + tap * n + j] += w[tap] * source[s0 + j]`` for all taps, four at a time."""
    tap = 0
    m = np.uintp(n)
    s = np.uintp(s0)
    while taps - tap >= 4:
        r0 = np.uintp(a0 + tap * n)
        r1, r2, r3 = r0 + m, r0 + m + m, r0 + m + m + m
        w0, w1, w2, w3 = w[tap], w[tap + 1], w[tap + 2], w[tap + 3]
        for j in range(m):
            value = source[s + j]
            a[r0 + j] += w0 * value
            a[r1 + j] += w1 * value
            a[r2 + j] += w2 * value
            a[r3 + j] += w3 * value
        tap += 4
    if taps - tap >= 2:
        r0 = np.uintp(a0 + tap * n)
        r1 = r0 + m
        w0, w1 = w[tap], w[tap + 1]
        for j in range(m):
            value = source[s + j]
            a[r0 + j] += w0 * value
            a[r1 + j] += w1 * value
        tap += 2
    if taps - tap >= 1:
        r0 = np.uintp(a0 + tap * n)
        w0 = w[tap]
        for j in range(m):
            a[r0 + j] += w0 * source[s + j]


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _gather(g: Any, g0: int, b: Any, b0: int, n: int, w: Any, taps: int) -> None:
    """``g[g0 + j] += sum_tap w[tap] * b[b0 + tap * n + j]``, four taps at a time."""
    tap = 0
    m = np.uintp(n)
    d = np.uintp(g0)
    while taps - tap >= 4:
        r0 = np.uintp(b0 + tap * n)
        r1, r2, r3 = r0 + m, r0 + m + m, r0 + m + m + m
        w0, w1, w2, w3 = w[tap], w[tap + 1], w[tap + 2], w[tap + 3]
        for j in range(m):
            g[d + j] += (w0 * b[r0 + j] + w1 * b[r1 + j]) + (w2 * b[r2 + j] + w3 * b[r3 + j])
        tap += 4
    if taps - tap >= 2:
        r0 = np.uintp(b0 + tap * n)
        r1 = r0 + m
        w0, w1 = w[tap], w[tap + 1]
        for j in range(m):
            g[d + j] += w0 * b[r0 + j] + w1 * b[r1 + j]
        tap += 2
    if taps - tap >= 1:
        r0 = np.uintp(b0 + tap * n)
        w0 = w[tap]
        for j in range(m):
            g[d + j] += w0 * b[r0 + j]


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _weights(table: Any, fraction: float, taps: int, w: Any) -> None:
    """Weights of one vertex column: the table's rows, interpolated."""
    scaled = fraction * KNOTS
    row = min(int(scaled), KNOTS - 1)
    part = np.float32(scaled - row)
    for tap in range(taps):
        w[tap] = table[row, tap] + part * (table[row + 1, tap] - table[row, tap])


@njit(cache=True, error_model="numpy")
def _side(i: int, n: int) -> int:
    """Where a vertex lies along an axis of its leaf: 0 on the lower face, 1 inside, 2 on the upper face."""
    return 0 if i == 0 else (2 if i == n - 1 else 1)


@njit(cache=True, error_model="numpy", parallel=True, fastmath={"contract"})
def project_groups(
    rho: Any, group: Any, corner: Any, spacing: Any, level: Any, theta: Any, du: Any, centre_u: float, half_width: Any,
    taps: Any, tables: Any, low: Any, high: Any, offset: Any, buffer: Any
) -> None:  # fmt: skip
    """Accumulate ``A[u, j]`` of every group and view.

    Parameters
    ----------
    rho : float32 array, shape (n_leaves, n, n, n)
        Density ``[leaf, x, z, y]``.
    group : int array, shape (n_groups, 2)
        First leaf and one past the last.
    corner : float64 array, shape (n_leaves, 3)
        Lower corners ``(x, z, y)`` in pixels.
    spacing : float64 array, shape (n_leaves,)
    level : int array, shape (n_leaves,)
    theta, du : float64 array, shape (n_views,)
    centre_u : float
        Detector index of the origin.
    half_width : float64 array, shape (n_views, n_levels)
    taps : int array, shape (n_views, n_levels)
    tables : float32 array, shape (n_views, n_levels, 9, KNOTS + 1, max taps)
    low, high : int array, shape (n_groups, n_views)
        Detector columns that the group's buffer covers, ``low <= u < high``; columns wholly outside are skipped.
    offset : int array, shape (n_groups, n_views)
        Where the group's buffer starts, in floats.
    buffer : float32 array, written
    """
    n = rho.shape[1]
    flat = rho.reshape(-1)
    for g in prange(group.shape[0]):
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
                base = corner[leaf, 0] * cos - corner[leaf, 1] * sin + du[t] + centre_u - half_width[t, here]
                for i in range(n):
                    side_x = _side(i, n)
                    for k in range(n):
                        side = 3 * side_x + _side(k, n)
                        position = base + h * (i * cos - k * sin)
                        below = math.floor(position)
                        u = int(below) + 1
                        if u < first or u + n_taps > last:
                            continue
                        _weights(tables[t, here, side], position - below, n_taps, w)
                        _scatter(buffer, start + (u - first) * n, flat, ((leaf * n + i) * n + k) * n, n, w, n_taps)


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def gather_leaf(
    gradient: Any, leaf: int, corner: Any, spacing: Any, level: Any, theta: Any, du: Any, centre_u: float,
    half_width: Any, taps: Any, tables: Any, contracted: Any, pad: int
) -> None:  # fmt: skip
    """Add one leaf's back-projection to `gradient`, a flat block of ``n**3``.

    `contracted` is ``B[view, u + pad, j]`` of the leaf's slab, shape (n_views, n_u + 2 pad, n); the rest as in
    :func:`project_groups`.
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
            side_x = _side(i, n)
            for k in range(n):
                side = 3 * side_x + _side(k, n)
                position = base + h * (i * cos - k * sin)
                below = math.floor(position)
                u = int(below) + 1 + pad
                if u < 0 or u + n_taps > width:
                    continue
                _weights(tables[t, here, side], position - below, n_taps, w)
                _gather(gradient, (i * n + k) * n, flat, (t * width + u) * n, n, w, n_taps)


@njit(cache=True, error_model="numpy", parallel=True)
def gather_leaves(
    gradient: Any, slab_of: Any, corner: Any, spacing: Any, level: Any, theta: Any, du: Any, centre_u: float,
    half_width: Any, taps: Any, tables: Any, contracted: Any, pad: int
) -> None:  # fmt: skip
    """Add the back-projection to every leaf; `contracted` is ``B[slab, view, u + pad, j]``."""
    for leaf in prange(gradient.shape[0]):
        gather_leaf(
            gradient[leaf].reshape(-1), leaf, corner, spacing, level, theta, du, centre_u, half_width, taps, tables,
            contracted[slab_of[leaf]], pad
        )  # fmt: skip


@njit(cache=True, error_model="numpy", parallel=True, fastmath={"contract"})
def expand_rows(
    stack: Any, slab: Any, groups_of: Any, low: Any, high: Any, offset: Any, buffer: Any, of_slab: Any, vertex: Any,
    weight: Any, n: int
) -> None:  # fmt: skip
    """Add the buffers of all groups to detector rows.

    Parameters
    ----------
    stack : float32 array, shape (n_views, n_u, n_v), added to
    slab : int array, shape (n_slabs, 2)
        Level and position along y.
    groups_of : int array, shape (n_slabs, 2)
        First group and one past the last.
    low, high, offset, buffer
        As :func:`project_groups` has them.
    of_slab : int array, shape (n_slabs, n_views, 2)
    vertex : int array, shape (n_views, n_levels, n_v)
    weight : float32 array, shape (n_views, n_levels, n_v, taps)
        See :class:`tomokit.projector.leaf_rows.LeafRows`.
    n : int
        Vertices along y.
    """
    n_views, n_u, _ = stack.shape
    taps = weight.shape[3]
    for u in prange(n_u):
        line = np.empty(n, np.float32)
        for t in range(n_views):
            row = stack[t, u]
            for s in range(slab.shape[0]):
                met = False
                for g in range(groups_of[s, 0], groups_of[s, 1]):
                    if u < low[g, t] or u >= high[g, t]:
                        continue
                    start = offset[g, t] + (u - low[g, t]) * n
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


@njit(cache=True, error_model="numpy", parallel=True, fastmath={"contract"})
def contract_rows(stack: Any, slab: Any, contracted: Any, pad: int, of_slab: Any, vertex: Any, weight: Any) -> None:
    """The transpose of :func:`expand_rows`: ``B[slab, view, u + pad, j]`` from detector rows; the padding stays 0."""
    n_views, n_u, _ = stack.shape
    taps = weight.shape[3]
    for item in prange(slab.shape[0] * n_views):
        s, t = item // n_views, item % n_views
        first, w = vertex[t, slab[s, 0]], weight[t, slab[s, 0]]
        for u in range(n_u):
            line = contracted[s, t, u + pad]
            line[:] = 0
            for v in range(of_slab[s, t, 0], of_slab[s, t, 1]):
                j, value = first[v], stack[t, u, v]
                for tap in range(taps):
                    line[j + tap] += w[v, tap] * value
