"""The arrays of a device that the parts of a fit take in turn.

A fit that a device cannot hold is cut in more parts than there are devices
(:mod:`tomokit.methods.octree.cuda.partition`). The arrays that grow with the number of leaves are then there once, for
the largest part, and what the others have in them waits in the host's memory. A step visits each part once: it takes
what it left, ends the step before with its update, and begins the next with its projection, so that of each part the
values and what the optimizer remembers go there and back once a step; densities follow from values. Parts are visited
in turn from either end, so that the last of a step stays for the next. With F bytes of values, r arrays that the
optimizer remembers, and k parts on a device, a step moves

    2 (1 + r) F (k - 1) / k

bytes between host and device, and little else.

A part that is alone on its device stays there.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from tomokit.gpu.device import Device


class BufferUser(Protocol):
    """What has its arrays in a residence."""

    def swap_in(self) -> None:
        """Bring the arrays."""
        ...

    def swap_out(self) -> None:
        """Take them away."""
        ...


class DeviceBuffers:
    """Arrays for one part at a time.

    Parameters
    ----------
    device : Device
    n : int
        Vertices along a leaf's edge.
    sizes : sequence of int
        Leaves of each of the parts.
    remembered : iterable of str
        Names of the optimizer's arrays.

    Attributes
    ----------
    is_shared : bool
        Whether there is more than one part.
    """

    def __init__(self, device: Device, n: int, sizes: Sequence[int], remembered: Iterable[str]) -> None:
        self.device, self.is_shared = device, len(sizes) > 1
        self._most = max(sizes)
        self._kept: dict[str, Any] = {}
        self._guest: weakref.ref[BufferUser] | None = None
        for name in ("values", "density", "spare", *remembered):
            self.array(name, 0, (n, n, n))

    def array(self, name: str, leaves: int, of_leaf: tuple[int, ...]) -> Any:
        """Rows for so many leaves of an array that is kept; what is in it is the guest's, or what another has left."""
        found = self._kept.get(name)
        if found is None or found.shape[1:] != of_leaf:
            self._kept.pop(name, None)  # first, so that both are never there at once
            found = None
            with self.device:
                found = self._kept[name] = self.device.xp.empty((self._most, *of_leaf), np.float32)
        return self._first(found, leaves)

    def rows(self, name: str, leaves: int) -> Any:
        """The same of an array that is there already."""
        return self._first(self._kept[name], leaves)

    def _first(self, array: Any, leaves: int) -> Any:
        # A part that is alone is asked for its arrays several times a step: no view has to be made of them.
        return array if leaves == self._most else array[:leaves]

    def swap(self, one: str, other: str) -> None:
        """Let two arrays change places."""
        self._kept[one], self._kept[other] = self._kept[other], self._kept[one]

    def admit(self, guest: BufferUser) -> None:
        """Let a part have the arrays, in the place of who had them."""
        present = None if self._guest is None else self._guest()
        if present is guest:
            return
        if present is not None:
            present.swap_out()
        # The guest knows its residence too: a circle would keep the arrays after both are given up.
        self._guest = weakref.ref(guest)
        guest.swap_in()
