"""Arrays of a device that the subdomains of a fit use one after the other.

A fit that a device cannot hold is cut into more partitions than there are devices (:mod:`tomokit.octree.partition`).
The arrays that grow with the number of leaves are then there once, for the largest subdomain; the values of the others
wait in the host's memory. A step visits each subdomain once: its arrays are swapped in, the step before is ended with
its update, and the next one begun with its projection, so that the values of each subdomain and what the optimizer
remembers go there and back once a step; densities follow from values. Subdomains are visited from one end and the
other alternately, so that the last of a step stays for the next. With F bytes of values, r arrays that the optimizer
remembers, and k subdomains on a device, a step moves

    2 (1 + r) F (k - 1) / k

bytes between host and device, and little else.

A subdomain that is alone on its device stays there.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device


class BufferUser(Protocol):
    """A subdomain whose arrays lie in a device's buffers while it is worked on."""

    def swap_in(self) -> None:
        """Fill the buffers with the subdomain's arrays."""
        ...

    def swap_out(self) -> None:
        """Save the subdomain's arrays from the buffers to the host."""
        ...


class DeviceBuffers:
    """Arrays on a device that hold one subdomain at a time.

    Parameters
    ----------
    device : Device
    n : int
        Vertices along a leaf's edge.
    sizes : sequence of int
        Number of leaves of each subdomain on the device.
    names : iterable of str
        Of the arrays of the field's size, the optimizer's included.

    Attributes
    ----------
    device : Device
    is_shared : bool
        Whether there is more than one subdomain on the device.
    """

    def __init__(self, device: Device, n: int, sizes: Sequence[int], names: Iterable[str]) -> None:
        self.device, self.is_shared = device, len(sizes) > 1
        self._most_leaves = max(sizes)
        self._arrays: dict[str, DeviceArray] = {}
        self._user: weakref.ref[BufferUser] | None = None
        for name in names:
            self.array(name, 0, (n, n, n))

    def array(self, name: str, leaves: int, of_leaf: tuple[int, ...]) -> DeviceArray:
        """The first rows of a buffer, which is made when first asked for; its content is the last user's.

        Parameters
        ----------
        name : str
            Which buffer: the same memory under the same name.
        leaves : int
            Number of rows that are wanted, one for each leaf of the subdomain.
        of_leaf : tuple of int
            Shape of a row; a buffer of another shape is made anew.

        Returns
        -------
        array of float32, shape (leaves, *of_leaf)
        """
        buffer = self._arrays.get(name)
        if buffer is None or buffer.shape[1:] != of_leaf:
            # The old one goes first, so that both are never there at once.
            self._arrays.pop(name, None)
            buffer = None
            with self.device:
                buffer = self._arrays[name] = self.device.xp.empty((self._most_leaves, *of_leaf), np.float32)
        return self._first_rows(buffer, leaves)

    def rows(self, name: str, leaves: int) -> DeviceArray:
        """The first rows of a buffer that is there already.

        Parameters
        ----------
        name : str
            As they were given.
        leaves : int
            Number of rows that are wanted, one for each leaf of the subdomain.

        Returns
        -------
        array of float32, shape (leaves, n, n, n)
        """
        return self._first_rows(self._arrays[name], leaves)

    def _first_rows(self, buffer: DeviceArray, leaves: int) -> DeviceArray:
        # A subdomain that is alone asks for its arrays several times a step: no view has to be made of them.
        return buffer if leaves == self._most_leaves else buffer[:leaves]

    def swap(self, first: str, second: str) -> None:
        """Exchange the names of two buffers; nothing is copied.

        Parameters
        ----------
        first, second : str
        """
        self._arrays[first], self._arrays[second] = self._arrays[second], self._arrays[first]

    def assign_to(self, user: BufferUser) -> None:
        """Let a subdomain use the buffers, after the present user has been swapped out.

        Parameters
        ----------
        user : BufferUser
            Swapped in, unless it is the present user.
        """
        present = None if self._user is None else self._user()
        if present is user:
            return
        if present is not None:
            present.swap_out()
        # The user refers to its buffers too: a cycle would keep the arrays after both are given up.
        self._user = weakref.ref(user)
        user.swap_in()
