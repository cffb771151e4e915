"""How the room of a page is shared among the volumes on it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tomokit.report.grey_volume import LEAST_LEVELS, MOST_LEVELS, grey_volume

_LEAST_SHARE = 1 / 8
"""Of what a volume takes at all levels, at the fewest: of what neighbours tell, half as many levels tell less than a
bit less."""


def share(volumes: Mapping[str, NDArray[np.floating]], most_bytes: int) -> dict[str, tuple[int, int]]:
    """Share room among volumes: the largest are averaged as far as they must, then all lose as many bits a voxel.

    Parameters
    ----------
    volumes : mapping of str to ndarray, shape (n_z, n_y, n_x)
        Densities by any name.
    most_bytes : int
        For all of them, compressed.

    Returns
    -------
    dict of str to tuple of int
        For each the bytes that it may have, and the edge of the cubes of voxels that have to be averaged for it.
    """
    if len(volumes) < 2:
        return dict.fromkeys(volumes, (most_bytes, 1))
    bins = dict.fromkeys(volumes, 1)
    needs = {name: _need(values, 1) for name, values in volumes.items()}
    bits = math.log2(MOST_LEVELS / LEAST_LEVELS)
    while True:
        counts = {name: math.prod(n // bins[name] for n in values.shape) for name, values in volumes.items()}
        least = {name: max(_LEAST_SHARE * need, need - bits * counts[name] / 8) for name, need in needs.items()}
        coarser = {name: size for name, size in least.items() if min(volumes[name].shape) >= 2 * (bins[name] + 1)}
        if sum(least.values()) <= most_bytes or not coarser:
            break
        largest = max(coarser, key=lambda name: coarser[name])
        bins[largest] += 1
        needs[largest] = _need(volumes[largest], bins[largest])
    lacking = max(0.0, sum(needs.values()) - most_bytes) / sum(counts.values())
    wanted = {name: max(least[name], need - lacking * counts[name]) for name, need in needs.items()}
    scale = most_bytes / sum(wanted.values())
    return {name: (int(scale * want), bins[name]) for name, want in wanted.items()}


def _need(values: NDArray[np.floating], edge: int) -> int:
    """Bytes of a volume with all levels."""
    return len(grey_volume(values, values.size + 1024, edge).stream)
