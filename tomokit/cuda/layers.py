"""The layers of leaves at the cuts of a fit, which parts on either side need of each other for boundary consistency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.parts import Part


class Layers:
    """One part's share of them.

    Parameters
    ----------
    device : Device
    parts : sequence of Part
        All, as they follow each other along y.
    number : int
        Which of them this is.

    Attributes
    ----------
    beyond : array of float32, shape (n_ghosts, n, n), or None
        The neighbours' vertices at the cuts, ``[ghost, x, z]``; None before :func:`exchange`.
    """

    def __init__(self, device: Device, parts: Sequence[Part], number: int) -> None:
        self.device, self.number, self.beyond = device, number, None
        part = parts[number]
        self._shape = (part.ghosts.size, part.forest.n, part.forest.n)
        # Of each neighbour: its ghosts here, and the leaves here that are its ghosts.
        self._ghosts: dict[int, NDArray[np.int64]] = {}
        self._asked: dict[int, Any] = {}
        self._given: dict[int, Any] = {}
        for other in (number - 1, number + 1):
            if 0 <= other < len(parts):
                self._ghosts[other] = np.flatnonzero(np.isin(part.ghosts, parts[other].own))
                with device:
                    self._asked[other] = device.xp.asarray(np.flatnonzero(np.isin(part.own, parts[other].ghosts)))

    def take(self, field: Any) -> None:
        """Note the layers at the cuts of a field ``[leaf, x, z, y]`` of the part, on the device."""
        for other, leaves in self._asked.items():
            at = field.shape[3] - 1 if other > self.number else 0
            self._given[other] = field[..., at][leaves]


def exchange(layers: Sequence[Layers]) -> None:
    """Give every part what its neighbours have noted, through the host."""
    given: dict[tuple[int, int], NDArray[np.float32]] = {}
    for part in layers:
        with part.device:
            for other, layer in part._given.items():
                given[part.number, other] = part.device.to_host(layer)
    for part in layers:
        found = np.empty(part._shape, np.float32)
        for other, ghosts in part._ghosts.items():
            found[ghosts] = given[other, part.number]
        with part.device:
            part.beyond = part.device.xp.asarray(found)
