"""Which GPUs there are, tried before they are trusted; and the choice of others for a test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tomokit.errors import ResourceError
from tomokit.gpu.cuda_device import CudaDevice
from tomokit.gpu.device import Device

_PROBE_SOURCE = Path(__file__).with_name("probe.cu")


def check_device(device: Device) -> None:
    """Run a kernel and look at what it did: a device can be listed, and hold memory, without running anything.

    Parameters
    ----------
    device : Device

    Raises
    ------
    ResourceError
        If the result is wrong. Whatever the driver raises is passed on.
    """
    with device:
        xp = device.xp
        # The kernel must write all elements, or NaN is left; 64 threads for 40 elements try its bound as well.
        given, out = xp.asarray(np.arange(40, dtype=np.float32)), xp.full(40, np.nan, np.float32)
        device.load(_PROBE_SOURCE)["probe"]((1, 1, 1), (64, 1, 1), (given, out, 0.25, 40))
        written = device.to_host(out)
    # Quarters and small whole numbers are exact in single precision.
    expected = 1.25 * np.arange(40, dtype=np.float32)
    if not np.array_equal(written, expected):
        raise ResourceError("a test kernel gave a wrong result", field="--backend", remedy="give --backend cpu")


_usable_devices: list[Device] = []
"""Empty until :func:`devices` has looked, or :func:`use_devices` has said."""


def devices() -> list[Device]:
    """The devices that kernels run on, found once: all that the CUDA runtime lists and that pass :func:`check_device`.

    Returns
    -------
    list of Device
        At least one, in the order of the CUDA runtime.

    Raises
    ------
    ResourceError
        If there is none, with the reason why the first is not used.
    """
    if not _usable_devices:
        first = CudaDevice(0)
        reasons: list[str] = []
        try:
            count = int(first.xp.cuda.runtime.getDeviceCount())
        except Exception as error:
            count, reasons = 0, [_error_first_line(error)]
        for number in range(count):
            device = CudaDevice(number)
            try:
                check_device(device)
            except Exception as error:  # CuPy, the driver and the compiler each raise their own
                reasons.append(f"device {number}: {_error_first_line(error)}")
            else:
                _usable_devices.append(device)
        if not _usable_devices:
            why = reasons[0] if reasons else "the CUDA runtime lists no device"
            raise ResourceError(f"no GPU can be used ({why})", field="--backend", remedy="give --backend cpu")
    return list(_usable_devices)


def any_chosen() -> bool:
    """Whether devices have been found or chosen already, so that asking for them takes no time.

    Returns
    -------
    bool
    """
    return bool(_usable_devices)


@contextmanager
def use_devices(chosen: Sequence[Device]) -> Iterator[None]:
    """Let :func:`devices` return the given devices within a ``with`` block, in place of all that are found.

    Parameters
    ----------
    chosen : sequence of Device

    Yields
    ------
    None
    """
    before = list(_usable_devices)
    _usable_devices[:] = chosen
    try:
        yield
    finally:
        _usable_devices[:] = before


def _error_first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
