"""Point-wise updates of voxel arrays ``[x, z, y]``, each in one pass over memory.

Threads take planes of constant x; the innermost loop runs along y, which is contiguous and so vectorizes. Scalars come
in the arrays' type, because a float64 among them would make the arithmetic double.
"""

from __future__ import annotations

from numpy import floating
from numpy.typing import NDArray

from tomokit.kernels.shared import Share, items_of, shared_out


@shared_out()
def step(
    share: Share,
    density: NDArray[floating],
    direction: NDArray[floating],
    scale: NDArray[floating],
    factor: floating,
    nonnegative: bool,
) -> None:
    """``density += factor * scale * direction``, then clipped at zero if asked; in place.

    Parameters
    ----------
    share : Share
        Which planes are this thread's.
    density : array, shape (n_x, n_z, n_y)
        Overwritten by the result.
    direction, scale : array, shape (n_x, n_z, n_y)
        Direction of the step, and what normalizes it in each voxel.
    factor : float of the arrays' type
        Length of the step.
    nonnegative : bool
        Whether negative densities are set to zero.
    """
    zero = factor * 0
    for x in items_of(share, density.shape[0]):
        for z in range(density.shape[1]):
            d, u, s = density[x, z], direction[x, z], scale[x, z]
            for y in range(density.shape[2]):
                value = d[y] + factor * s[y] * u[y]
                d[y] = max(value, zero) if nonnegative else value


@shared_out()
def add_scaled(
    share: Share, density: NDArray[floating], direction: NDArray[floating], factor: floating, nonnegative: bool
) -> None:
    """``density += factor * direction``, then clipped at zero if asked; in place.

    Parameters
    ----------
    share : Share
        Which planes are this thread's.
    density : array, shape (n_x, n_z, n_y)
        Overwritten by the result.
    direction : array, shape (n_x, n_z, n_y)
        Direction of the step.
    factor : float of the arrays' type
        Length of the step.
    nonnegative : bool
        Whether negative densities are set to zero.
    """
    zero = factor * 0
    for x in items_of(share, density.shape[0]):
        for z in range(density.shape[1]):
            d, u = density[x, z], direction[x, z]
            for y in range(density.shape[2]):
                value = d[y] + factor * u[y]
                d[y] = max(value, zero) if nonnegative else value


@shared_out()
def step_nonnegativity_dual(
    share: Share, density: NDArray[floating], dual: NDArray[floating], rate: floating, total: NDArray[floating]
) -> None:
    """``dual <- min(0, dual + rate * density)``, the dual of non-negativity, then ``total += dual``; in place.

    Parameters
    ----------
    share : Share
        Which planes are this thread's.
    density : array, shape (n_x, n_z, n_y)
        The density that shall not be negative.
    dual : array, shape (n_x, n_z, n_y)
        Never positive; overwritten by the stepped dual.
    rate : float of the arrays' type
        Step of the dual.
    total : array, shape (n_x, n_z, n_y)
        What the new dual is added to: the direction of the primal step.
    """
    zero = rate * 0
    for x in items_of(share, density.shape[0]):
        for z in range(density.shape[1]):
            d, r, t = density[x, z], dual[x, z], total[x, z]
            for y in range(density.shape[2]):
                value = min(zero, r[y] + rate * d[y])
                r[y] = value
                t[y] += value


@shared_out()
def extrapolate(
    share: Share, density: NDArray[floating], step_down: NDArray[floating], ahead: NDArray[floating]
) -> None:
    """``density -= step_down``, and ``ahead = density - step_down`` of the new density; in place.

    Parameters
    ----------
    share : Share
        Which planes are this thread's.
    density : array, shape (n_x, n_z, n_y)
        Overwritten by the new density d'.
    step_down : array, shape (n_x, n_z, n_y)
        The primal step h, so that ``d' = d - h``.
    ahead : array, shape (n_x, n_z, n_y)
        Overwritten by the point ahead, ``2 d' - d = d' - h``.
    """
    for x in items_of(share, density.shape[0]):
        for z in range(density.shape[1]):
            d, s, a = density[x, z], step_down[x, z], ahead[x, z]
            for y in range(density.shape[2]):
                value = d[y] - s[y]
                d[y] = value
                a[y] = value - s[y]
