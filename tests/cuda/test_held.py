"""Arrays that a device works on beside the host's."""

from __future__ import annotations

import numpy as np
from on_cpu import CpuDevice

from tomokit.cuda.held import HeldArrays


def test_each_side_has_what_the_other_has_changed() -> None:
    device = CpuDevice(is_strict=True)
    first, second = np.zeros(3, np.float32), np.zeros(2, np.float64)
    held = HeldArrays(device, {"first": first})
    held.add(second=second)
    there = held["first"]
    assert held["first"] is there
    there += 1
    held.bring()
    assert first[0] == 0  # nobody has said that it changed
    held.changed("first", "second")
    held.bring("second")  # not there, so the host's counts
    assert first[0] == 0
    held.bring()
    assert first[0] == 1
    assert second[0] == 0
    first[:] = 5
    there[:] = 6
    held.bring()  # once is enough
    assert first[0] == 5
    held.changed("first")
    held.forget("first")
    held.bring()
    assert first[0] == 5
    assert device.to_host(held["first"])[0] == 5
    with device:
        other = device.xp.full((3,), 7.0, np.float32)
    held["first"] = other
    assert held["first"] is other
    held.bring("first")
    assert first[0] == 7


def test_what_is_forgotten_is_given_back() -> None:
    device = CpuDevice()
    held = HeldArrays(device, {"first": np.zeros(8, np.float32), "second": np.zeros(8, np.float32)})
    for name in ("first", "second"):
        assert held[name].size == 8
    assert device.xp.held_bytes == 64
    held.forget()
    assert device.xp.held_bytes == 0
