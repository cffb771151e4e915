"""Random forests for the tests of the octree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tomokit.octree import Forest
from tomokit.octree.lookup import CHILDREN


def _grow(seed: int, n: int = 3, deepest: int = 3, splits: int = 4, holes: bool = True) -> Forest:
    rng = np.random.default_rng(seed)
    roots = rng.permutation([1, 2, 3])
    leaves = [(0, x, z, y) for x in range(roots[0]) for z in range(roots[1]) for y in range(roots[2])]
    for _ in range(int(rng.integers(splits + 1))):
        able = [leaf for leaf in leaves if leaf[0] < deepest]
        # The deepest leaf is the likeliest, so that jumps of several levels come up.
        level, *place = able[-1] if rng.random() < 0.5 else able[int(rng.integers(len(able)))]
        leaves.remove((level, *place))
        leaves += [(level + 1, *(2 * np.array(place) + child)) for child in CHILDREN]
    if holes:
        leaves = [leaf for leaf in leaves if rng.random() < 0.85] or leaves[:1]
    table = np.array(leaves)
    origin = rng.uniform(-20, 10, 3)
    return Forest(
        origin_px=(float(origin[0]), float(origin[1]), float(origin[2])),
        root_px=float(rng.uniform(6, 14)),
        roots=(int(roots[0]), int(roots[1]), int(roots[2])),
        n=n,
        level=table[:, 0].astype(np.int32),
        index=table[:, 1:].astype(np.int32),
    )


@pytest.fixture(scope="session")
def grow() -> Callable[..., Forest]:
    """``grow(seed, n=3, deepest=3, splits=4, holes=True)``: a random forest of an anisotropic box of six roots."""
    return _grow
