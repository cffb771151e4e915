"""Point-wise updates of voxel arrays ``[x, z, y]``, each in one pass over memory."""

from __future__ import annotations

from typing import Any

from numba import njit, prange


@njit(cache=True, parallel=True, error_model="numpy")
def step(density: Any, direction: Any, scale: Any, factor: Any, nonnegative: bool) -> None:
    """``density += factor * scale * direction``, then clipped at zero if asked; in place, all shaped alike."""
    zero = factor * 0
    for x in prange(density.shape[0]):
        for z in range(density.shape[1]):
            d, u, s = density[x, z], direction[x, z], scale[x, z]
            for y in range(density.shape[2]):
                value = d[y] + factor * s[y] * u[y]
                d[y] = max(value, zero) if nonnegative else value


@njit(cache=True, parallel=True, error_model="numpy")
def add_scaled(density: Any, direction: Any, factor: Any, nonnegative: bool) -> None:
    """``density += factor * direction``, then clipped at zero if asked; in place."""
    zero = factor * 0
    for x in prange(density.shape[0]):
        for z in range(density.shape[1]):
            d, u = density[x, z], direction[x, z]
            for y in range(density.shape[2]):
                value = d[y] + factor * u[y]
                d[y] = max(value, zero) if nonnegative else value


@njit(cache=True, parallel=True, error_model="numpy")
def step_nonnegativity_dual(density: Any, dual: Any, rate: Any, total: Any) -> None:
    """``dual <- min(0, dual + rate * density)``, the dual of non-negativity, then ``total += dual``; in place."""
    zero = rate * 0
    for x in prange(density.shape[0]):
        for z in range(density.shape[1]):
            d, r, t = density[x, z], dual[x, z], total[x, z]
            for y in range(density.shape[2]):
                value = min(zero, r[y] + rate * d[y])
                r[y] = value
                t[y] += value


@njit(cache=True, parallel=True, error_model="numpy")
def extrapolate(density: Any, step_down: Any, ahead: Any) -> None:
    """``density -= step_down`` and ``ahead = density - step_down`` of the new density; in place."""
    for x in prange(density.shape[0]):
        for z in range(density.shape[1]):
            d, s, a = density[x, z], step_down[x, z], ahead[x, z]
            for y in range(density.shape[2]):
                value = d[y] - s[y]
                d[y] = value
                a[y] = value - s[y]
