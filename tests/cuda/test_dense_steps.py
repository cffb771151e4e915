"""SIRT and SART whose steps are taken on the tests' device, against the CPU's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import needs_compiler, small_problem
from on_cpu import CpuDevice

from tomokit.cuda.device import use_devices
from tomokit.geometry import TiltGeometry
from tomokit.methods.contract import Problem
from tomokit.methods.pausing import EpochPaused
from tomokit.methods.sart import Sart, SartOptions
from tomokit.methods.sart_tv import SartTv, SartTvOptions
from tomokit.methods.sirt import Sirt, SirtOptions

pytestmark = needs_compiler

METHODS = {
    "sirt": (Sirt(), SirtOptions(epochs=3, margin=0.2)),
    "sart": (Sart(), SartOptions(epochs=2, margin=0.2)),
    "sart-tv": (SartTv(), SartTvOptions(epochs=2)),
}


@pytest.fixture
def device() -> Iterator[CpuDevice]:
    with use_devices([CpuDevice(3, is_strict=True)]):
        from tomokit.cuda.device import devices

        yield devices()[0]  # type: ignore[misc]


def problem(backend: str, kind: str) -> Problem:
    """Masked and shifted views with exposures, or none of it."""
    made = small_problem(backend)
    if kind == "plain":
        g = made.geometry
        flat = TiltGeometry(g.tilt_deg, g.n_u, g.n_v)
        made = replace(made, mask=None, fit_exposure=False, geometry=flat)
    return made


@pytest.mark.parametrize("kind", ["masked", "plain"])
@pytest.mark.parametrize("name", METHODS)
def test_every_epoch_is_the_cpus(name: str, kind: str, device: CpuDevice) -> None:
    method, options = METHODS[name]
    cpu, found = (method.start(problem(backend, kind), options) for backend in ("cpu", "cuda"))
    assert found._steps is not None
    for _ in range(options.epochs):
        expected = cpu.advance()
        for key, value in found.advance().items():
            assert value == pytest.approx(expected[key], rel=1e-5), key
        np.testing.assert_allclose(found.exposure(), cpu.exposure(), atol=1e-6)
    volume, wanted = found.volume(), cpu.volume()
    assert np.linalg.norm(volume - wanted) < 1e-5 * np.linalg.norm(wanted)


@pytest.mark.parametrize("name", METHODS)
def test_stop_and_go_on_gives_the_same_bits(name: str, device: CpuDevice) -> None:
    method, options = METHODS[name]
    given = problem("cuda", "masked")
    whole, first, rest = (method.start(given, options) for _ in range(3))
    whole.advance()
    whole.advance()
    first.advance()
    rest.restore(1, {key: array.copy() for key, array in first.arrays().items()})
    assert rest.advance() == pytest.approx(first.advance())
    for key, array in whole.arrays().items():
        np.testing.assert_array_equal(rest.arrays()[key], array, err_msg=key)
        np.testing.assert_array_equal(first.arrays()[key], array, err_msg=key)


def test_a_pause_within_a_sweep_changes_nothing(device: CpuDevice) -> None:
    method, options = METHODS["sart"]
    given = problem("cuda", "masked")
    whole, rest = method.start(given, options), method.start(given, options)
    loss = whole.advance()["loss"]
    rest.pause = lambda: True
    for _ in range(2):
        with pytest.raises(EpochPaused):
            rest.advance()
    state = {key: array.copy() for key, array in rest.arrays().items()}
    rest = method.start(given, options)
    rest.restore(0, state)
    assert rest.advance()["loss"] == loss
    np.testing.assert_array_equal(rest.arrays()["density"], whole.arrays()["density"])


def test_nothing_but_sums_and_the_density_passes_in_an_epoch(
    device: CpuDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: dict[str, Any] = {}
    for name in ("sirt", "sart"):
        method, options = METHODS[name]
        runs[name] = method.start(problem("cuda", "plain"), options)
        runs[name].advance()
    passed: list[tuple[int, ...]] = []
    to_host, send = device.to_host, device.xp.asarray
    monkeypatch.setattr(device, "to_host", lambda array: passed.append(array.shape) or to_host(array))
    monkeypatch.setattr(device.xp, "asarray", lambda array: passed.append(array.shape) or send(array))
    runs["sirt"].advance()
    assert passed == [(5,), (1,)]
    passed.clear()
    runs["sart"].advance()
    volume = runs["sart"].operator.volume_shape
    assert passed == [volume, (5,), (1,), volume, (5,), (1,)]


def test_what_does_not_fit_goes_in_slabs() -> None:
    method, options = METHODS["sirt"]
    given = problem("cuda", "masked")
    volume = int(np.prod(method.start(problem("cpu", "masked"), options).operator.volume_shape))
    expected = method.start(problem("cpu", "masked"), options)
    small = CpuDevice(memory_bytes=4 * 3 * volume)
    with use_devices([small]):
        found = method.start(given, options)
        assert found._steps is None
        found.advance()
    expected.advance()
    assert small.launches > 0
    assert np.linalg.norm(found.volume() - expected.volume()) < 1e-5 * np.linalg.norm(expected.volume())


@pytest.mark.parametrize("name", ["sirt", "sart"])
def test_the_estimate_covers_what_is_taken(name: str) -> None:
    method, options = METHODS[name]
    ample = CpuDevice()
    with use_devices([ample]):
        run = method.start(problem("cuda", "masked"), options)
        ample.xp.peak_bytes = ample.xp.held_bytes
        run.advance()
    # What the device must have free for the run to be on it.
    least, most = 0, 1 << 24
    while most - least > 1000:
        middle = (least + most) // 2
        with use_devices([CpuDevice(memory_bytes=middle)]):
            fits = method.start(problem("cuda", "masked"), options)._steps is not None
        least, most = (least, middle) if fits else (middle, most)
    assert ample.xp.peak_bytes <= most <= 1.6 * ample.xp.peak_bytes
