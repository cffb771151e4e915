"""The lateral margin of a volume beyond the detector's sides, where high tilts see specimen that lower ones do not."""

from __future__ import annotations

import math
from typing import Any

from tomokit.data.problem import ProblemShape
from tomokit.plugin.options import option


def margin_option() -> Any:
    """Declare the option ``margin`` that the iterative methods have in common.

    Returns
    -------
    dataclass field
        Of type ``float or None``: margin on each side as a fraction of the detector's width.
    """
    return option(
        None,
        "Room beside the tomogram, on each side and as a share of the detector's width, for what high tilts see there. "
        "Without it what the highest views see if the specimen fills the field (its offsets are fitted), else none; "
        "raise it if bright or dark bands run along the left and right edges, at the cost of memory.",
        minimum=0.0,
        maximum=10.0,
    )


def margin_px(shape: ProblemShape, margin: float | None) -> int:
    """Width of the lateral margin on each side, in voxels.

    At a tilt of theta a detector of width W sees ``W / cos(theta)`` of the slab's middle. Where specimen continues
    beyond the field, what lies there has to be given room, or it is pressed into the edges. Tilts beyond 60 degrees ask
    for no more than 60.

    Parameters
    ----------
    shape : ProblemShape
        Sizes of the problem.
    margin : float or None
        The option: margin on each side as a fraction of the detector's width. None gives what the highest tilt sees if
        offsets are fitted, which is where specimen fills the field, and 0 otherwise.

    Returns
    -------
    int
        Voxels of one detector pixel, at least 0.
    """
    if margin is None:
        widest = min(abs(shape.highest_tilt_deg), 60.0)
        # Half of what W / cos(theta) has more than W, on either side.
        margin = (1 / math.cos(math.radians(widest)) - 1) / 2 if shape.fit_offsets else 0.0
    return round(margin * shape.n_u)
