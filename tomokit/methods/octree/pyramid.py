"""Coarser versions of a problem: projections blurred and thinned out, masked pixels never leaking.

5-tap Gaussian of 1.06 pixels across and along the axis, then every second pixel. Under a mask the convolution is
normalized: the weighted mean of the used pixels under the kernel, and the mask's own convolution becomes the coarse
weight, so that a coarse pixel whose kernel saw nothing carries none. Pixel 2 i of the fine level becomes pixel i of
the coarse one; the half pixel by which the centres then disagree goes into the views' shifts, exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from tomokit.data.problem import Problem
from tomokit.geometry import centre

SIGMA_PX = 1.06
_offsets = np.arange(-2, 3)
_kernel = np.exp(-0.5 * (_offsets / SIGMA_PX) ** 2)
KERNEL = (_kernel / _kernel.sum()).astype(np.float32)


def halve(problem: Problem) -> Problem:
    """The problem on pixels of twice the size.

    Parameters
    ----------
    problem : Problem
        Its thickness stays in fine pixels and is halved, rounded up.

    Returns
    -------
    Problem
        Projections ``[tilt, u, y]`` of half the size, rounded up, in the same units: a line integral in coarse pixels
        is half of that in fine ones.
    """
    fine = problem.geometry
    shape = (fine.n_views, -(-fine.n_u // 2), -(-fine.n_v // 2))
    projections = np.empty(shape, np.float32)
    mask = None if problem.mask is None else np.empty(shape, np.float32)
    # One view at a time: blurred images of full size are never there for all views.
    for view, image in enumerate(problem.projections):
        if problem.mask is None or mask is None:
            projections[view] = _blur(image)[::2, ::2]
            continue
        weight = _blur(problem.mask[view])[::2, ::2]
        # Normalized convolution: the mean of the used pixels under the kernel, 0 where there are none.
        weighted = _blur(image * problem.mask[view])[::2, ::2]
        projections[view] = np.divide(weighted, weight, out=np.zeros_like(weighted), where=weight > 0)
        mask[view] = weight
    offset_u, offset_v = _centre_offset_px(fine.n_u, shape[1]), _centre_offset_px(fine.n_v, shape[2])
    geometry = replace(
        fine,
        n_u=shape[1],
        n_v=shape[2],
        # Shifts in coarse pixels, with the half pixel by which the levels' centres disagree.
        shift_u_px=(fine.shift_u_px + offset_u) / 2,
        shift_v_px=(fine.shift_v_px + offset_v) / 2,
    )
    return replace(
        problem,
        projections=projections,
        mask=mask,
        geometry=geometry,
        transfer=None if problem.transfer is None else problem.transfer.binned(2, offset_u),
        thickness_px=-(-problem.thickness_px // 2),
    )


def _blur(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """An image ``[u, y]`` under the 5-tap kernel along both axes, edge pixels repeated outwards."""
    blurred_along_u = correlate1d(image, KERNEL, axis=0, mode="nearest")
    return np.asarray(correlate1d(blurred_along_u, KERNEL, axis=1, mode="nearest"))


def _centre_offset_px(n_fine: int, n_coarse: int) -> float:
    """Fine pixels between the centres of both levels, when fine pixel 2 i becomes coarse pixel i."""
    return centre(n_fine) - 2 * centre(n_coarse)
