"""The data's duals of the primal-dual solver: one image for each view, which at the end is its weighted residual.

The data are ``1/2 sum_t w_t sum m r^2`` over views t of residuals ``r = k A d + b - p``. With ``s = sqrt(w m)`` a step
is

    y' = y + s F s^-1 (w m r - y) - c s F s,    c such that sum y' = 0 in each view (c = 0 where b is held)

F a symmetric positive filter along u. Its step is explicit, where the proximal map would be a system of equations under
a mask, and at rest if ``y = w m r``, whatever F is.

F decides the speed. Together the views answer to a frequency k across the tilt axis with the inverse of its size, so
that with one step for all frequencies those of fine detail are the last to arrive. A ramp makes up for it: its steps
are as long as the answer allows at every frequency (preconditioning of primal-dual methods: Pock and Chambolle, ICCV
2011). It is made of the first cosines of the ramp, which leaves F as short as a few pixels, and has a floor, as the
lowest frequencies have to arrive too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.kernels.shared import Share, items_of, shared_out

REACH = 7
"""Pixels along u over which the filter reaches to either side."""
FLOOR = 0.2
"""What it has at the lowest frequency, of nearly 1 at the highest."""


def filter_taps(balance: float) -> NDArray[np.float32]:
    """The filter along u, half of it: the others are the same on the other side.

    ``|k| / pi`` over ``-pi < k <= pi`` is ``1/2 - 4 / pi^2 sum cos(j k) / j^2`` over odd j; it ends at :data:`REACH`,
    where what is missing only adds to the floor.

    Parameters
    ----------
    balance : float
        What it has at the highest frequency.

    Returns
    -------
    ndarray of float32, shape (REACH + 1,)
        Of the pixel itself and of those 1, 2, ... beside it.
    """
    odd = np.arange(REACH + 1) % 2 == 1
    taps = np.zeros(REACH + 1)
    taps[odd] = -2 / (np.pi * np.arange(REACH + 1)[odd]) ** 2
    taps[0] = 0.5
    taps *= 1 - FLOOR
    taps[0] += FLOOR
    return (balance * taps).astype(np.float32)


def weights_by_tilt(problem: Problem, power: float) -> NDArray[np.float32]:
    """Weigh views by a power of the cosine of their tilt.

    Parameters
    ----------
    problem : Problem
    power : float
        0 for equal weights.

    Returns
    -------
    ndarray of float32, shape (n_views,)
        Of mean 1 over the views of the whole problem, where this one has a part of them.
    """
    cosines = [np.cos(each.geometry.tilt_rad) for each in (problem, problem.scaled_by)]
    # A view along the slab has little weight, but some: zero would leave it without a dual.
    own, whole = (np.maximum(each, 0.01) ** power for each in cosines)
    return np.asarray(own / whole.mean(), np.float32)


@shared_out()
def filter_across(
    share: Share, images: NDArray[np.float32], taps: NDArray[np.float32], filtered: NDArray[np.float32]
) -> None:
    """Filter images along u; beyond their edges there is nothing.

    Parameters
    ----------
    share : Share
        Which columns are this thread's.
    images : ndarray of float32, shape (n_images, n_u, n_y)
    taps : ndarray of float32, shape (REACH + 1,)
        From :func:`filter_taps`.
    filtered : ndarray of float32, shape (n_images, n_u, n_y), written
    """
    n_images, n_u, n_y = images.shape
    for item in items_of(share, n_images * n_u):
        image, u = item // n_u, item % n_u
        row = filtered[image, u]
        for y in range(n_y):
            row[y] = taps[0] * images[image, u, y]
        # Between are even distances, of which a ramp has none.
        for distance in range(1, taps.size, 2):
            tap = taps[distance]
            if u >= distance:
                before = images[image, u - distance]
                for y in range(n_y):
                    row[y] += tap * before[y]
            if u + distance < n_u:
                behind = images[image, u + distance]
                for y in range(n_y):
                    row[y] += tap * behind[y]


class ViewDuals:
    """The filter and the weights of the views of a problem.

    Parameters
    ----------
    problem : Problem
        Its mask may have any weights.
    balance : float
        What the filter has at the highest frequency, at most 1.
    power : float
        Of the cosine of their tilt, by which views are weighed.
    """

    def __init__(self, problem: Problem, balance: float, power: float) -> None:
        self._problem, self._taps = problem, filter_taps(balance)
        self.weights = weights_by_tilt(problem, power)

    def roots(self, views: NDArray[np.int64]) -> NDArray[np.float32]:
        """The square roots s of the weights of pixels in some views.

        Parameters
        ----------
        views : ndarray of int64, shape (n_chosen,)

        Returns
        -------
        ndarray of float32, shape (n_chosen, n_u, n_y)
        """
        mask, weights = self._problem.mask, self.weights[views][:, None, None]
        if mask is None:
            return np.broadcast_to(np.sqrt(weights), (views.size, *self._problem.projections.shape[1:])).copy()
        roots = mask[views]
        roots *= weights
        return np.asarray(np.sqrt(roots, out=roots))

    def filter(self, images: NDArray[np.float32], roots: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply F along u, and then s, to images of some views.

        Parameters
        ----------
        images, roots : ndarray of float32, shape (n_chosen, n_u, n_y)
            Images, and s of the same views.

        Returns
        -------
        ndarray of float32, shape (n_chosen, n_u, n_y)
        """
        filtered = np.empty_like(images)
        filter_across(images, self._taps, filtered)
        filtered *= roots
        return filtered

    def step(self, dual: NDArray[np.float32], residuals: NDArray[np.float32], views: NDArray[np.int64]) -> None:
        """Change the duals of some views, and put what they change by in the place of the residuals.

        Parameters
        ----------
        dual : ndarray of float32, shape (n_views, n_u, n_y)
            Of all views; changed.
        residuals : ndarray of float32, shape (n_chosen, n_u, n_y)
            ``m r`` at the best offsets; overwritten by ``y' - y``.
        views : ndarray of int64, shape (n_chosen,)
        """
        roots = self.roots(views)
        residuals *= self.weights[views][:, None, None]
        residuals -= dual[views]
        # Where the mask is 0 there is neither residual nor dual.
        np.divide(residuals, roots, out=residuals, where=roots > 0)
        moved = self.filter(residuals, roots)
        if self._problem.fit_offsets:
            spread = self.filter(roots, roots)
            for change, along, view in zip(moved, spread, views, strict=True):
                total = float(along.sum(dtype=np.float64))
                if total > 0:
                    beyond = float(dual[view].sum(dtype=np.float64)) + float(change.sum(dtype=np.float64))
                    change -= np.float32(beyond / total) * along
        for change, view in zip(moved, views, strict=True):
            dual[view] += change
        residuals[...] = moved
