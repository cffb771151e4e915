"""A small forest of two levels, and a geometry of steep and flat views, that tests of several folders share."""

from __future__ import annotations

import numpy as np

from tomokit.geometry import TiltGeometry
from tomokit.octree import Forest

ANGLES = [-70.0, -45.0, -3.0, 0.0, 1e-4, 30.0, 60.0, 90.0, 135.0]


def two_level_forest(n: int = 5) -> Forest:
    """Three roots by two by two, one of them split, one of them missing."""
    index = np.stack(np.meshgrid(range(3), range(2), range(2), indexing="ij"), -1).reshape(-1, 3)
    children = index[4] * 2 + np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    roots = np.delete(index, [4, 11], axis=0)
    level = np.r_[np.zeros(len(roots)), np.ones(len(children))]
    return Forest((-13.0, -8.0, -7.5), 8.0, (3, 2, 2), n, level, np.r_[roots, children])


def geometry(n_u: int = 23, n_v: int = 14) -> TiltGeometry:
    """Steep and flat views, with shifts."""
    rng = np.random.default_rng(5)
    return TiltGeometry(np.array(ANGLES), n_u, n_v, rng.normal(0, 1, len(ANGLES)), rng.normal(0, 1, len(ANGLES)))
