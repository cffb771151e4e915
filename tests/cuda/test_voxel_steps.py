"""The iterative voxel methods whose steps are taken on the tests' device, against the CPU's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from cases import needs_compiler, small_problem
from on_cpu import CpuDevice

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.gpu.discovery import use_devices
from tomokit.methods.pausing import EpochPaused
from tomokit.methods.voxels.cuda.steps import DenoisingEngineOnDevice, HostDenoisingEngine, StepEngineOnDevice
from tomokit.methods.voxels.cuda.total_variation import VariationOnDevice
from tomokit.methods.voxels.cuda.tv import TvEngineOnDevice
from tomokit.methods.voxels.engine import EngineOnHost
from tomokit.methods.voxels.sart import Sart, SartOptions
from tomokit.methods.voxels.sart_tv import SartTv, SartTvOptions
from tomokit.methods.voxels.sirt import Sirt, SirtOptions
from tomokit.methods.voxels.tv import Tv, TvOptions

pytestmark = needs_compiler

METHODS = {
    "sirt": (Sirt(), SirtOptions(epochs=3, margin=0.2)),
    "sart": (Sart(), SartOptions(epochs=2, margin=0.2)),
    "sart-tv": (SartTv(), SartTvOptions(epochs=3)),
    "tv": (Tv(), TvOptions(epochs=4, margin=0.2)),
}

ENGINES_ON_DEVICE = {
    "sirt": StepEngineOnDevice,
    "sart": StepEngineOnDevice,
    "sart-tv": DenoisingEngineOnDevice,
    "tv": TvEngineOnDevice,
}


@pytest.fixture
def device() -> Iterator[CpuDevice]:
    with use_devices([CpuDevice(3, is_strict=True)]):
        from tomokit.gpu.discovery import devices

        yield devices()[0]  # type: ignore[misc]


def problem(backend: str, kind: str) -> Problem:
    """Masked and shifted views with offsets, the mask of weights or not, or none of it."""
    made = small_problem(backend)
    if kind == "weighted":
        mask = made.mask * np.random.default_rng(1).choice(np.float32([0, 0.25, 0.5, 1]), made.mask.shape)
        mask[2] = 0
        made = replace(made, mask=mask)
    if kind == "plain":
        g = made.geometry
        flat = TiltGeometry(g.tilt_deg, g.n_u, g.n_v)
        made = replace(made, mask=None, fit_offsets=False, geometry=flat)
    return made


@contextmanager
def counted(device: CpuDevice, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, ...]]]:
    """Shapes of all that passes between host and device."""
    passed: list[tuple[int, ...]] = []
    to_host, put, send = device.to_host, device.xp.asarray, device.send
    with monkeypatch.context() as patch:
        patch.setattr(device, "to_host", lambda array: passed.append(array.shape) or to_host(array))
        patch.setattr(device, "send", lambda host, into: passed.append(host.shape) or send(host, into))
        patch.setattr(device.xp, "asarray", lambda array: passed.append(array.shape) or put(array))
        yield passed


@pytest.mark.parametrize("kind", ["masked", "weighted", "plain"])
@pytest.mark.parametrize("name", METHODS)
def test_every_epoch_is_the_cpus(name: str, kind: str, device: CpuDevice) -> None:
    method, options = METHODS[name]
    cpu, found = (method.start(problem(backend, kind), options) for backend in ("cpu", "cuda"))
    assert isinstance(found._engine, ENGINES_ON_DEVICE[name])
    for _ in range(options.epochs):
        expected = cpu.advance()
        for key, value in found.advance().items():
            assert value == pytest.approx(expected[key], rel=1e-5), key
        np.testing.assert_allclose(found.offsets(), cpu.offsets(), atol=1e-6)
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


@pytest.mark.parametrize("name", ["sart", "sart-tv"])
def test_a_pause_within_a_sweep_changes_nothing(name: str, device: CpuDevice) -> None:
    method, options = METHODS[name]
    given = problem("cuda", "masked")
    whole, rest = method.start(given, options), method.start(given, options)
    for run in (whole, rest):
        run.advance()
    loss = whole.advance()["loss"]
    rest.pause = lambda: True
    for _ in range(2):
        with pytest.raises(EpochPaused):
            rest.advance()
    # Saved elsewhere, and gone on with here: as if nothing had been.
    state = {key: array.copy() for key, array in rest.arrays().items()}
    other = method.start(given, options)
    other.restore(1, state)
    rest.pause = lambda: False
    for run in (rest, other):
        assert run.advance()["loss"] == loss
        for key, array in whole.arrays().items():
            np.testing.assert_array_equal(run.arrays()[key], array, err_msg=key)


@pytest.mark.parametrize("backends", [("cpu", "cuda"), ("cuda", "cpu")])
@pytest.mark.parametrize("name", METHODS)
def test_a_state_of_one_backend_goes_on_with_the_other(name: str, backends: tuple[str, str], device: CpuDevice) -> None:
    method, options = METHODS[name]
    first, rest = (method.start(problem(backend, "weighted"), options) for backend in backends)
    rest.advance()  # what is on the device then must not be what it goes on with
    for _ in range(2):
        first.advance()
    rest.restore(2, {key: array.copy() for key, array in first.arrays().items()})
    assert rest.advance()["loss"] == pytest.approx(first.advance()["loss"], rel=1e-5)
    for key, wanted in first.arrays().items():
        assert np.linalg.norm(rest.arrays()[key] - wanted) <= 1e-5 * np.linalg.norm(wanted), key


@pytest.mark.parametrize("name", METHODS)
def test_nothing_but_sums_passes_in_an_epoch(name: str, device: CpuDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    method, options = METHODS[name]
    run = method.start(problem("cuda", "plain"), options)
    run.advance()
    with counted(device, monkeypatch) as passed:
        run.advance()
        assert passed == [(2,) if name == "tv" else (1,)]
        passed.clear()
        kept = run.arrays()
        # Each once, and only what the device has changed: offsets are held here.
        assert sorted(passed) == sorted(array.shape for key, array in kept.items() if key not in ("offsets", "sweep"))
        passed.clear()
        run.arrays()
        run.volume()
        run.offsets()
        assert passed == []
    run = method.start(problem("cuda", "masked"), options)
    run.advance()
    with counted(device, monkeypatch) as passed:
        run.advance()
        # And the views' shifts.
        assert max(int(np.prod(shape)) for shape in passed) <= 5


@pytest.mark.parametrize("memory", [1 << 40, 80_000])
@pytest.mark.parametrize("name", METHODS)
def test_nothing_as_large_as_the_data_takes_pinned_memory(
    name: str, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, (method, options), given = CpuDevice(memory_bytes=memory), METHODS[name], problem("cuda", "masked")
    # CuPy's asarray takes it, and keeps it.
    passed, put = [0], device.xp.asarray
    monkeypatch.setattr(device.xp, "asarray", lambda array: passed.append(array.size) or put(array))
    with use_devices([device]):
        run = method.start(given, options)
        assert isinstance(run._engine, EngineOnHost if memory < 1 << 40 else ENGINES_ON_DEVICE[name])
        run.advance()
    assert max(passed) < given.geometry.n_u * given.geometry.n_v


@pytest.mark.parametrize("name", ["sirt", "tv"])
def test_what_does_not_fit_goes_in_slabs(name: str) -> None:
    method, options = METHODS[name]
    given = problem("cuda", "masked")
    volume = int(np.prod(method.start(problem("cpu", "masked"), options).operator.volume_shape))
    expected = method.start(problem("cpu", "masked"), options)
    small = CpuDevice(memory_bytes=4 * 3 * volume)
    with use_devices([small]):
        found = method.start(given, options)
        assert isinstance(found._engine, EngineOnHost)
        found.advance()
    expected.advance()
    assert small.launches > 0
    assert np.linalg.norm(found.volume() - expected.volume()) < 1e-5 * np.linalg.norm(expected.volume())


def test_a_volume_that_fits_without_the_dual_is_denoised_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    method, options = METHODS["sart-tv"]
    cpu = method.start(problem("cpu", "masked"), options)
    small = CpuDevice(is_strict=True)
    with use_devices([small]):
        ample = method.start(problem("cuda", "masked"), options)
        small.memory_bytes = int(
            small.xp.held_bytes + 3 * cpu.projection_density.nbytes + 3 * cpu.data_term.projections.nbytes / 0.9
        )
        found = method.start(problem("cuda", "masked"), options)
    assert isinstance(ample._engine, DenoisingEngineOnDevice)
    assert isinstance(found._engine, HostDenoisingEngine)
    assert not found.resolved_parameters()["in_slabs"]
    denoised, proximal = [], VariationOnDevice.proximal
    monkeypatch.setattr(
        VariationOnDevice, "proximal", lambda self, *given: denoised.append(self) or proximal(self, *given)
    )
    for _ in range(2):
        losses = [run.advance()["loss"] for run in (cpu, ample, found)]
        assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-5)
    assert denoised == [ample._engine._variation] * 2
    for key, wanted in cpu.arrays().items():
        assert np.linalg.norm(found.arrays()[key] - wanted) <= 1e-5 * np.linalg.norm(wanted), key


@pytest.mark.parametrize("name", METHODS)
def test_the_estimate_covers_what_is_taken(name: str) -> None:
    method, options = METHODS[name]
    ample = CpuDevice()
    with use_devices([ample]):
        run = method.start(problem("cuda", "masked"), options)
        assert type(run._engine) is ENGINES_ON_DEVICE[name]
        ample.xp.peak_bytes = ample.xp.held_bytes
        run.advance()
    # What the device must have free for the run to be on it.
    least, most = 0, 1 << 24
    while most - least > 1000:
        middle = (least + most) // 2
        with use_devices([CpuDevice(memory_bytes=middle)]):
            tried = method.start(problem("cuda", "masked"), options)
        fits = type(tried._engine) is ENGINES_ON_DEVICE[name]
        least, most = (least, middle) if fits else (middle, most)
    assert ample.xp.peak_bytes <= most <= 1.6 * ample.xp.peak_bytes
