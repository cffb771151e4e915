"""Arrays of a run that a device works on, beside the host's of the same names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from tomokit.gpu.device import Device, sent


class MirroredArrays:
    """Each array goes to the device when it is first asked for there, and comes back when the host asks for it.

    Parameters
    ----------
    device : Device
    host : mapping
        The host's arrays by name. They stay the same ones: what comes back is written into them.
    """

    def __init__(self, device: Device, host: Mapping[str, NDArray[Any]]) -> None:
        self.device = device
        self._host, self._there = dict(host), dict[str, Any]()
        # What the host has an older one of.
        self._newer: set[str] = set()

    def add(self, **host: NDArray[Any]) -> None:
        """More arrays."""
        self._host.update(host)

    def __getitem__(self, name: str) -> Any:
        """The device's array."""
        if name not in self._there:
            self._there[name] = sent(self.device, self._host[name])
        return self._there[name]

    def __setitem__(self, name: str, array: Any) -> None:
        """Take another array of the device in the place of one, of the same shape and type."""
        self._there[name] = array
        self._newer.add(name)

    def changed(self, *names: str) -> None:
        """Note that the device has written into those of its arrays that are there."""
        self._newer.update(name for name in names if name in self._there)

    def bring(self, *names: str) -> None:
        """Let the host have these arrays, or all, as they are on the device."""
        for name in names or self._host:
            if name in self._newer:
                with self.device:
                    self._host[name][...] = self.device.to_host(self._there[name])
                self._newer.remove(name)

    def forget(self, *names: str) -> None:
        """Give up the device's arrays, these or all: from now on the host's count."""
        for name in names or self._host:
            self._there.pop(name, None)
            self._newer.discard(name)
