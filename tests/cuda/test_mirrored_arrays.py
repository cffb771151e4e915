"""Arrays that exist on the host and on a device: what is copied when, and what is given back."""

from __future__ import annotations

import numpy as np
from on_cpu import CpuDevice

from tomokit.gpu.mirrored_arrays import MirroredArrays


def test_each_side_has_what_the_other_has_changed() -> None:
    device = CpuDevice(is_strict=True)
    first, second = np.zeros(3, np.float32), np.zeros(2, np.float64)
    mirrored = MirroredArrays(device, {"first": first})
    mirrored.add(second=second)
    there = mirrored["first"]
    assert mirrored["first"] is there
    there += 1
    mirrored.bring()
    assert first[0] == 0  # nobody has said that it changed
    mirrored.changed("first", "second")
    mirrored.bring("second")  # not there, so the host's counts
    assert first[0] == 0
    mirrored.bring()
    assert first[0] == 1
    assert second[0] == 0
    first[:] = 5
    there[:] = 6
    mirrored.bring()  # once is enough
    assert first[0] == 5
    mirrored.changed("first")
    mirrored.forget("first")
    mirrored.bring()
    assert first[0] == 5
    assert device.to_host(mirrored["first"])[0] == 5
    with device:
        other = device.xp.full((3,), 7.0, np.float32)
    mirrored["first"] = other
    assert mirrored["first"] is other
    mirrored.bring("first")
    assert first[0] == 7


def test_what_is_forgotten_is_given_back() -> None:
    device = CpuDevice()
    mirrored = MirroredArrays(device, {"first": np.zeros(8, np.float32), "second": np.zeros(8, np.float32)})
    for name in ("first", "second"):
        assert mirrored[name].size == 8
    assert device.xp.held_bytes == 64
    mirrored.forget()
    assert device.xp.held_bytes == 0
