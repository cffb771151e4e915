"""Views without an image and spoilt pixels of a stack in a file, as a reconstruction would find them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tomokit.data.defect_report import tell_spots, tell_views
from tomokit.data.defects import find_defects
from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.io.angle_sources import angles_of_stack
from tomokit.io.mrc_read import MrcImages


def describe_defects(images: MrcImages) -> tuple[dict[str, Any], list[str]]:
    """Look for defects in all pixels of a stack, one view in memory at a time.

    Parameters
    ----------
    images : MrcImages
        A tilt stack. Without usable angles its views count as evenly tilted, in their order, from -60 to 60 degrees.

    Returns
    -------
    facts : dict
        ``views_without_image``, ``doubtful_views`` and ``views_with_isolated_pixels``, as lists of indices from 0, and
        ``isolated_pixels``, their number; JSON-serializable.
    warnings : list of str
        The same in words.
    """
    n_views, n_y, n_x = images.pixels.shape
    try:
        tilt_deg = angles_of_stack(images, None).tilt_deg
    except InputError:
        tilt_deg = np.zeros(0)
    if tilt_deg.size != n_views or not np.isfinite(tilt_deg).all():
        tilt_deg = np.linspace(-60, 60, n_views)
    defects = find_defects(images.pixels, TiltGeometry(tilt_deg, n_x, n_y))
    index = range(n_views)
    facts = {
        "views_without_image": defects.lost,
        "doubtful_views": [bad.view for bad in defects.bad_views if not bad.lost],
        "views_with_isolated_pixels": list(defects.spots),
        "isolated_pixels": sum(len(spots) for spots in defects.spots.values()),
    }
    return facts, tell_views(defects, index, True) + tell_spots(defects, index, True)
