"""Named arrays that exist twice, on the host and on a device, copied only when one side needs what the other has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device, sent


class MirroredArrays:
    """Arrays by name, each sent to the device when first asked for there, and brought back when the host asks for it.

    Parameters
    ----------
    device : Device
        Where the copies lie.
    host : mapping
        The host's arrays by name, of any type and shape. They stay the same objects: what comes back is written into
        them.
    """

    def __init__(self, device: Device, host: Mapping[str, NDArray[Any]]) -> None:
        self.device = device
        self._host, self._on_device = dict(host), dict[str, DeviceArray]()
        # Names of the arrays whose copy on the device is newer than the host's.
        self._newer: set[str] = set()

    def add(self, **host: NDArray[Any]) -> None:
        """Register further arrays of the host; nothing is sent yet.

        Parameters
        ----------
        **host : ndarray
            Arrays of any type and shape, by the names under which they are asked for.
        """
        self._host.update(host)

    def __getitem__(self, name: str) -> DeviceArray:
        """The copy of one array on the device, sent at the first call."""
        if name not in self._on_device:
            self._on_device[name] = sent(self.device, self._host[name])
        return self._on_device[name]

    def __setitem__(self, name: str, array: DeviceArray) -> None:
        """Put another array of the device, of the same shape and type, in the place of a copy."""
        self._on_device[name] = array
        self._newer.add(name)

    def changed(self, *names: str) -> None:
        """Note that kernels have written into the copies on the device, so that the host's arrays are outdated.

        Parameters
        ----------
        *names : str
            Which ones. Of an array that has no copy on the device nothing is noted.
        """
        self._newer.update(name for name in names if name in self._on_device)

    def bring(self, *names: str) -> None:
        """Copy what is newer on the device into the host's arrays; waits for it.

        Parameters
        ----------
        *names : str
            Which arrays; all if none are named.
        """
        for name in names or self._host:
            if name in self._newer:
                with self.device:
                    self._host[name][...] = self.device.to_host(self._on_device[name])
                self._newer.remove(name)

    def forget(self, *names: str) -> None:
        """Drop copies on the device, without bringing them back: from now on the host's arrays are the valid ones.

        Parameters
        ----------
        *names : str
            Which arrays; all if none are named.
        """
        for name in names or self._host:
            self._on_device.pop(name, None)
            self._newer.discard(name)
