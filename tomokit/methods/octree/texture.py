"""Texture: where the specimen has detail, total variation gets a smaller weight than where there is none.

One weight everywhere takes contrast from detail in order to silence the noise around it. The weight that suits a
region is in proportion to the noise's variance over the mean length of the gradient there: that is what a Laplacian
prior of the gradient gives whose scale is not one number but the local one. The factor of the weight is

    c = max(least, 1 / (1 + g / g0)),

g the mean of ``|grad d|`` under a Gaussian of some pixels. It is measured from the density that the fit has reached,
again before each of the later epochs, so that in the end the fit minimizes a penalty that grows less than linearly with
the texture of a whole neighbourhood, not of a single vertex: noise of single vertices is not spared as an edge.

Means are taken over cells, a whole number of which fill a finest leaf; factors are kept at the cells' corners, which
leaves of one size share, so that smoothing does not change where one leaf meets the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.methods.octree.solver import Texture
from tomokit.octree import Forest

_CELL_PX = 4.0  # about how large a cell is
_ROOM = 3.0  # standard deviations of the Gaussian: what the grid is larger than the leaves


def cells_along(forest: Forest) -> int:
    """Number of cells along the edge of a leaf, the same for leaves of all sizes.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    int
    """
    return cells_of(float(forest.size_px.min(initial=forest.root_px)), forest.n)


def cells_of(finest_px: float, n: int) -> int:
    """Number of cells along the edge of a leaf, by the edge of the finest ones.

    Parameters
    ----------
    finest_px : float
        In pixels.
    n : int
        Vertices along a leaf's edge.

    Returns
    -------
    int
    """
    return int(np.clip(round(finest_px / _CELL_PX), 1, n - 1))


def whole_limits(forest: Forest) -> NDArray[np.float32]:
    """Factors of total variation's weight before any texture is known: 1 at all corners of cells.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    ndarray of float32, shape (n_leaves, m, m, m)
        ``[leaf, x, z, y]``, m one more than the cells along a leaf.
    """
    return np.ones((forest.n_leaves, *(3 * (cells_along(forest) + 1,))), np.float32)


def mean_gradients(density: NDArray[np.float32], forest: Forest) -> NDArray[np.float64]:
    """Mean length of the gradient in the cells of each leaf.

    Parameters
    ----------
    density : ndarray of float32, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``.
    forest : Forest

    Returns
    -------
    ndarray of float64, shape (n_leaves, c, c, c)
        ``[leaf, x, z, y]``, per pixel.
    """
    means = np.zeros((forest.n_leaves, *(3 * (cells_along(forest),))))
    average_gradients(density, means)
    means /= forest.spacing_px[:, None, None, None]
    return means


@shared_out()
def average_gradients(share: Share, density: NDArray[np.floating], means: NDArray[np.float64]) -> None:
    """Average the length of the differences to the next vertices, over those of each cell.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    density : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``.
    means : ndarray of float64, shape (n_leaves, c, c, c), written
        Zeros before.
    """
    n, cells = density.shape[1], means.shape[1]
    counts = np.zeros(cells)
    for i in range(n - 1):
        counts[i * cells // (n - 1)] += 1
    for leaf in items_of(share, density.shape[0]):
        block, sums = density[leaf], means[leaf]
        for i in range(n - 1):
            p = i * cells // (n - 1)
            for j in range(n - 1):
                q = j * cells // (n - 1)
                for k in range(n - 1):
                    here = block[i, j, k]
                    x, z, y = block[i + 1, j, k] - here, block[i, j + 1, k] - here, block[i, j, k + 1] - here
                    sums[p, q, k * cells // (n - 1)] += np.sqrt(x * x + z * z + y * y)
        for p in range(cells):
            for q in range(cells):
                for r in range(cells):
                    sums[p, q, r] /= counts[p] * counts[q] * counts[r]


def smoothing_limits(forest: Forest, means: NDArray[np.float64], texture: Texture) -> NDArray[np.float32]:
    """Factors of total variation's weight that suit the texture of the density.

    Parameters
    ----------
    forest : Forest
    means : ndarray of float64, shape (n_leaves, c, c, c)
        From :func:`mean_gradients`.
    texture : Texture

    Returns
    -------
    ndarray of float32, shape (n_leaves, c + 1, c + 1, c + 1)
        ``[leaf, x, z, y]``, at the corners of the cells, from ``texture.least`` to 1.
    """
    from scipy.ndimage import gaussian_filter

    cells = means.shape[1]
    finest = int(forest.level.max())
    larger = 1 << (finest - forest.level.astype(np.int64))
    # The grid has cells of a finest leaf; a larger leaf's stand for several. First cells of the leaves, from the least.
    first = forest.index.astype(np.int64) * (larger * cells)[:, None]
    first -= first.min(axis=0)
    cell_px = float(forest.size_px.min()) / cells
    room = int(np.ceil(_ROOM * texture.width_px / cell_px)) + 1
    first += room
    shape = (first + (larger * cells)[:, None]).max(axis=0) + room
    totals, present = np.zeros((2, *shape), np.float32)
    for leaf, (x, z, y) in enumerate(first):
        own = means[leaf]
        for axis in range(3):
            own = np.repeat(own, larger[leaf], axis=axis)
        box = np.s_[x : x + len(own), z : z + len(own), y : y + len(own)]
        totals[box], present[box] = own, 1.0
    corners = []
    for grid in (totals, present):
        smooth = gaussian_filter(grid, texture.width_px / cell_px, mode="constant")
        # A corner has the eight cells around it; corner (0, 0, 0) is the upper end of the first cell.
        for axis in range(3):
            pairs = np.arange(smooth.shape[axis] - 1)
            smooth = smooth.take(pairs, axis) + smooth.take(pairs + 1, axis)
        corners.append(smooth)
    mean = corners[0] / np.maximum(corners[1], np.finfo(np.float32).tiny)
    limit = np.maximum(1 / (1 + mean / texture.gradient), texture.least).astype(np.float32)
    limits = whole_limits(forest)
    for leaf, (x, z, y) in enumerate(first - 1):
        step = larger[leaf]
        end = step * cells + 1
        limits[leaf] = limit[x : x + end : step, z : z + end : step, y : y + end : step]
    return limits
