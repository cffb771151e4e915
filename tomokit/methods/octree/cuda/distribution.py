"""How partitions are dealt to devices, and the gathering of arrays that every device needs of all partitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device


def deal(n_partitions: int, devices: Sequence[Device]) -> list[Device]:
    """The device of each partition: about as many partitions for each device, neighbours together.

    Parameters
    ----------
    n_partitions : int
    devices : sequence of Device

    Returns
    -------
    list of Device
        One for each partition, in the order of the partitions along y.
    """
    return [devices[number * len(devices) // n_partitions] for number in range(n_partitions)]


def gather(devices: Sequence[Device], arrays: Sequence[DeviceArray], axis: int) -> list[DeviceArray]:
    """Concatenate the partitions' arrays along an axis, and send the result to each device; through the host.

    Parameters
    ----------
    devices : sequence of Device
        The device of each partition.
    arrays : sequence of array
        Each on its partition's device, shaped alike but along `axis`.
    axis : int
        Along which they are put together.

    Returns
    -------
    list of array
        One for each partition, the same object for those on one device; of a single partition, the array itself.
    """
    if len(devices) == 1:
        return list(arrays)
    # Always in the order of the partitions: sums over the gathered arrays do not depend on the devices.
    on_host = []
    for device, array in zip(devices, arrays, strict=True):
        with device:
            on_host.append(device.to_host(array))
    gathered = np.concatenate(on_host, axis=axis)
    sent: dict[int, DeviceArray] = {}
    for device in devices:
        if id(device) not in sent:
            with device:
                sent[id(device)] = device.xp.asarray(gathered)
    return [sent[id(device)] for device in devices]
