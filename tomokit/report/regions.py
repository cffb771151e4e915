"""Named regions of a tomogram, measured and as boxes that the page draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.json_numbers import finite_or_none
from tomokit.metrics.contrast import contrast_to_noise, equivalent_looks, mean_and_deviation
from tomokit.metrics.regions import read_regions


def measured_regions(values_zyx: NDArray[np.floating], path: Path) -> dict[str, Any]:
    """Measure the regions that a file names.

    Parameters
    ----------
    values_zyx : ndarray, shape (n_z, n_y, n_x)
        Densities.
    path : Path
        As of ``tomokit contrast --regions``.

    Returns
    -------
    dict
        JSON-serializable: ``regions`` (``name``, ``start`` and ``stop`` in voxels ``[z, y, x]``, ``mean``,
        ``deviation``, ``enl``) and ``pairs`` (``features``, ``background``, ``cnr``); null for what is no number.

    Raises
    ------
    InputError
        If the file cannot be read, or a region is not in the tomogram.
    """
    named = read_regions(path, values_zyx.shape)
    facts = {name: mean_and_deviation(values_zyx, box) for name, box in named.boxes.items()}
    return {
        "regions": [
            {
                "name": name,
                "start": list(box.start),
                "stop": list(box.stop),
                "mean": finite_or_none(facts[name][0]),
                "deviation": finite_or_none(facts[name][1]),
                "enl": finite_or_none(equivalent_looks(facts[name])),
            }
            for name, box in named.boxes.items()
        ],
        "pairs": [
            {
                "features": features,
                "background": background,
                "cnr": finite_or_none(contrast_to_noise(facts[features], facts[background])),
            }
            for features, background in named.pairs
        ],
    }
