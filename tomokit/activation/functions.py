"""Activations: densities rho from stored values v, vertex by vertex, with derivative and inverse.

The kernels take flat contiguous blocks, one leaf's or everything, so that a fused pass can call them while a leaf is in
cache; `kind` is one of :data:`KINDS`.

- ``squareplus``: ``rho = (v + sqrt(v^2 + b)) / 2`` (Barron, arXiv:2112.11687, 2021), ``rho' = rho / sqrt(v^2 + b)``,
  ``v = rho - b / (4 rho)``. At v = 0 it is ``sqrt(b) / 2`` with slope 1/2. The default ``b = (ln 2)^2`` makes that
  ``ln(2) / 2``, the value of the publication's softplus, so that learning rates and weights carry over.
- ``softplus``: ``rho = ln(1 + e^(beta v)) / beta``, ``rho' = 1 / (1 + e^(-beta v))``; beta 2 in the publication.
- ``identity``: ``rho = v``, for signed densities.

No branch of any of them overflows, and none cancels: for negative v, where ``v + sqrt(v^2 + b)`` would, the squareplus
is taken as ``b / (2 (sqrt(v^2 + b) + |v|))``, which is the same number. Kernels work in the type of their arrays, and
all constants are converted to it: a number of Python's own would lift a loop over singles to double precision.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.activation.exponential import exp_of, log_of_one_plus
from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out

SQUAREPLUS, SOFTPLUS, IDENTITY = 0, 1, 2
KINDS = {"squareplus": SQUAREPLUS, "softplus": SOFTPLUS, "identity": IDENTITY}
DEFAULT_PARAMETER = {"squareplus": math.log(2.0) ** 2, "softplus": 2.0, "identity": 0.0}
"""``b`` of the squareplus and ``beta`` of the softplus; the identity has none."""


@compiled(inlined=True, fastmath={"contract", "nsz"})
def activate_block(kind: int, parameter: float, values: NDArray[np.floating], density: NDArray[np.floating]) -> None:
    """Densities of a block of stored values, ``density = s(values)``.

    Parameters
    ----------
    kind : int
        One of :data:`KINDS`.
    parameter : float
        ``b > 0`` or ``beta > 0``; see :data:`DEFAULT_PARAMETER`.
    values : array of float32 or float64, shape (size,)
        Stored values v, C-contiguous.
    density : array like `values`, written
        Densities rho. May be `values` itself.
    """
    real = values.dtype.type
    half = real(0.5)
    if kind == SQUAREPLUS:
        b = real(parameter)
        for i in range(values.size):
            v = values[i]
            # |v| + sqrt(v^2 + b) never cancels, and both branches are made of it: the loop selects and does not branch.
            larger = abs(v) + np.sqrt(v * v + b)
            density[i] = half * larger if v >= 0 else half * b / larger
    elif kind == SOFTPLUS:
        beta = real(parameter)
        unit = real(1.0 / parameter)
        for i in range(values.size):
            x = beta * values[i]
            # ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), whose exponential is at most 1.
            density[i] = (max(x, real(0)) + log_of_one_plus(exp_of(-abs(x), real), real)) * unit
    else:
        for i in range(values.size):
            density[i] = values[i]


@shared_out()
def activate_leaves(
    share: Share, kind: int, parameter: float, values: NDArray[np.floating], density: NDArray[np.floating]
) -> None:
    """Densities of all leaves, each by :func:`activate_block` for itself, as a step of the fit has it.

    Of all leaves at once the last bits may differ: where a loop is not a whole number of vectors, what is left over is
    computed otherwise.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    kind, parameter
        See :func:`activate_block`.
    values : array of float32 or float64, shape (n_leaves, n, n, n)
        Stored values ``[leaf, x, z, y]``.
    density : array like `values`, written
        Densities. May be `values` itself.
    """
    for leaf in items_of(share, values.shape[0]):
        activate_block(kind, parameter, values[leaf].reshape(-1), density[leaf].reshape(-1))


@compiled(inlined=True, fastmath={"contract", "nsz"})
def chain_block(kind: int, parameter: float, values: NDArray[np.floating], gradient: NDArray[np.floating]) -> None:
    """Chain rule: turn a gradient by densities into one by stored values, ``gradient *= s'(values)``.

    Parameters
    ----------
    kind, parameter
        See :func:`activate_block`.
    values : array of float32 or float64, shape (size,)
        Stored values v, C-contiguous.
    gradient : array like `values`, changed
        By density before, by stored value after.
    """
    real = values.dtype.type
    half, one = real(0.5), real(1)
    if kind == SQUAREPLUS:
        b = real(parameter)
        for i in range(values.size):
            v = values[i]
            root = np.sqrt(v * v + b)
            larger = abs(v) + root
            density = half * larger if v >= 0 else half * b / larger
            gradient[i] *= density / root
    elif kind == SOFTPLUS:
        beta = real(parameter)
        for i in range(values.size):
            x = beta * values[i]
            # The logistic function by the exponential of -|x|, which does not overflow on either side.
            small = exp_of(-abs(x), real)
            gradient[i] *= (one if x >= 0 else small) / (one + small)


@compiled(fastmath={"contract", "nsz"})
def invert_block(
    kind: int, parameter: float, density: NDArray[np.floating], values: NDArray[np.floating], floor: float
) -> None:
    """Stored values that give a block of densities, ``values = s^-1(max(density, floor))``; the identity has no floor.

    Parameters
    ----------
    kind, parameter
        See :func:`activate_block`.
    density : array of float32 or float64, shape (size,)
        Densities rho, C-contiguous.
    values : array like `density`, written
        Stored values v. May be `density` itself.
    floor : float
        Least density, positive: zero would lie at minus infinity.
    """
    real = density.dtype.type
    least = real(floor)
    if kind == SQUAREPLUS:
        quarter = real(0.25 * parameter)
        for i in range(density.size):
            rho = max(density[i], least)
            values[i] = rho - quarter / rho
    elif kind == SOFTPLUS:
        beta = real(parameter)
        for i in range(density.size):
            rho = max(density[i], least)
            # ln(e^(beta rho) - 1) / beta, with e^(beta rho) taken out so that it does not overflow.
            values[i] = rho + np.log(-np.expm1(-beta * rho)) / beta
    else:
        for i in range(density.size):
            values[i] = density[i]
