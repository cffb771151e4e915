"""The kernels, run by g++ on the repository's device for tests, against the CPU's, which are held to differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tomokit_patch_nlm.device as on_device
from tomokit_patch_nlm.device import SOURCES, device_bytes
from tomokit_patch_nlm.regularizer import PatchNlm, PatchNlmOptions

from tomokit.gpu.discovery import use_devices
from tomokit.octree import Forest
from tomokit.regularizers.interface import Field
from tomokit.testing.devices import DeviceSubject
from tomokit.testing.trees import random_field, single_leaf, two_level_forest, without_leaf

on_cpu = pytest.importorskip("on_cpu", reason="the repository's tests are not there")
pytestmark = pytest.mark.skipif(on_cpu.COMPILER is None, reason="no g++ to compile the kernels with")


def jumping_forest(n: int) -> Forest:
    """Leaves of three levels, the finest beside the coarsest: a face with a jump of two."""
    corners = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    halves = np.array([[2, 0, 0]]) + corners
    index = np.r_[np.array([[0, 0, 0], [0, 0, 1]]), halves[1:], 2 * halves[0] + corners]
    level = np.r_[np.zeros(2), np.ones(7), np.full(8, 2)]
    return Forest((-8.0, -4.0, -8.0), 8.0, (2, 1, 2), n, level, index)


def both(field: Field, options: PatchNlmOptions, scale: float = 3e3, seed: int = 0):
    """Values and gradients of the CPU and of the device, from the same start, and both generators' states."""
    start = np.random.default_rng(9).standard_normal(field.values.shape).astype(np.float32) * 1e-3
    found = []
    for device in (None, on_cpu.CpuDevice(seed)):
        rng, gradient, values = np.random.default_rng(3), start.copy(), field.values
        if device is not None:
            gradient, values = device.xp.asarray(gradient), device.xp.asarray(values)
        seen = replace(field, values=values, rng=rng, device=device)
        value = PatchNlm(options).value_and_gradient(seen, gradient, scale)
        if device is not None:
            gradient, value = device.to_host(gradient), value if isinstance(value, float) else device.to_host(value)
        found.append((float(value), gradient - start, rng.bit_generator.state))
    return found


@pytest.mark.parametrize("rough", [True, False])
@pytest.mark.parametrize(
    ("forest", "options"),
    [
        (two_level_forest(), {}),
        (jumping_forest(5), {"search": 2, "offsets": 20, "bandwidth": 0.7}),
        (without_leaf(two_level_forest(6), 3), {"search": 1, "offsets": 13}),
        (single_leaf(9), {"search": 4, "offsets": 3}),
        (replace(single_leaf(34)), {"search": 1, "offsets": 2}),
    ],
    ids=["two levels", "three levels", "hole", "one", "two tiles"],
)
def test_it_is_the_cpus(forest: Forest, options: dict, rough: bool) -> None:
    field = random_field(forest, 1, rough=rough, dtype=np.float32)
    (value, gradient, state), (found, there, drawn) = both(field, PatchNlmOptions(**options))
    assert found == pytest.approx(value, rel=1e-6)
    assert np.linalg.norm(there - gradient) < 1e-5 * np.linalg.norm(gradient)
    assert ((there != 0) == (gradient != 0)).mean() > 0.99
    assert drawn == state


@pytest.mark.parametrize(
    "options", [{"offsets": 3}, {"space": "raw", "search": 1, "offsets": 2}], ids=["default", "raw"]
)
def test_it_can_be_trusted_on_a_device(options: dict) -> None:
    # The check of check_regularizer that has to do with devices; the others are done on the CPU.
    with use_devices([on_cpu.CpuDevice()]):
        DeviceSubject(PatchNlm, PatchNlmOptions(**options), two_level_forest(), 0, 1e-5).check()


def test_batches_and_the_order_of_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    field = random_field(two_level_forest(), 2, dtype=np.float32)
    first = both(field, PatchNlmOptions(), seed=1)[1]
    second = both(field, PatchNlmOptions(), seed=2)[1]
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])
    monkeypatch.setattr(on_device, "_WORK_BYTES", 1)
    single = both(field, PatchNlmOptions(), seed=3)[1]
    assert single[0] == first[0]
    np.testing.assert_allclose(single[1], first[1], rtol=1e-4, atol=1e-6 * np.abs(first[1]).max())


def test_what_it_holds_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = two_level_forest(9)
    field = random_field(forest, 2, dtype=np.float32)
    for work in (1, 1 << 20, 1 << 30):
        monkeypatch.setattr(on_device, "_WORK_BYTES", work)
        device, regularizer = on_cpu.CpuDevice(), PatchNlm(PatchNlmOptions())
        values, gradient = device.xp.asarray(field.values), device.xp.zeros(field.values.shape, np.float32)
        seen = replace(field, values=values, device=device, inside=np.ones_like(field.inside))
        before = device.xp.held_bytes
        regularizer.value_and_gradient(seen, gradient, 1.0)
        said = regularizer.cuda_bytes(PatchNlmOptions(), forest.n_leaves, forest.n)
        assert said == device_bytes(forest.n_leaves, forest.n, 4, 8)
        taken = device.xp.peak_bytes - before
        assert taken <= said <= 1.6 * taken, work


def test_a_value_that_is_no_number_is_told_and_no_leaf_is_nothing() -> None:
    field = random_field(two_level_forest(), 2, dtype=np.float32)
    field.values[4, 2, 2, 2] = np.nan
    spoilt = both(replace(field, inside=np.ones_like(field.inside)), PatchNlmOptions())[1]
    assert np.isnan(spoilt[0])
    nothing = both(replace(field, inside=np.zeros_like(field.inside)), PatchNlmOptions())[1]
    assert nothing[0] == 0
    assert not nothing[1].any()


def test_zero_weight_launches_nothing_that_writes() -> None:
    field = random_field(two_level_forest(), 2, dtype=np.float32)
    (value, _, _), (found, gradient, _) = both(field, PatchNlmOptions(), scale=0.0)
    assert found == pytest.approx(value, rel=1e-5)
    assert not gradient.any()


@pytest.mark.parametrize(
    ("n", "architecture"), [(4, "sm_90"), (42, "sm_80"), (42, "sm_90"), (42, "sm_100"), (128, "sm_90")]
)
def test_the_kernels_compile_within_their_registers(n: int, architecture: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="no NVRTC: pip install 'tomokit[cuda-check]'")
    from nvrtc import MOST_REGISTERS, compile_for

    from tomokit.gpu.source import source_text

    found = {}
    for source in SOURCES:
        found |= compile_for(source_text(source, {"N": n, "MARGIN": 4}), source.stem, architecture)
    assert set(found) == {"take_blocks", "compare", "differentiate", "collect", "hand_back"}
    for name, compiled in found.items():
        assert compiled.spilled_bytes == 0, name
        assert compiled.registers <= MOST_REGISTERS, name


def test_no_instruction_is_in_double_precision() -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="no NVRTC: pip install 'tomokit[cuda-check]'")
    from nvrtc import ptx_of

    from tomokit.gpu.source import source_text

    for path in SOURCES:
        source = source_text(path, {"N": 42, "MARGIN": 4})
        assert ".f64" not in ptx_of(source, path.stem, "compute_90")
    # Doubles would be seen.
    assert ".f64" in ptx_of(source.replace("value += s * alike", "value += 1.1 * s * alike"), "patches", "compute_90")


def test_a_fit_with_it_is_the_cpus() -> None:
    from cases import small_problem

    from tomokit.methods.octree.method import start_fit
    from tomokit.methods.octree.options import OctreeOptions
    from tomokit.plugin.manager import get_registry
    from tomokit.plugin.registry import Entry

    def options(**settings: object) -> OctreeOptions:
        return OctreeOptions(
            epochs=3, large_leaves=0.4, n=6, leaf_px=10.0, coarser=1, max_leaves=40, views_per_step=2, margin=0.3,
            regularizers={"patch_nlm": {"offsets": 3, **settings}},
        )  # fmt: skip

    get_registry.cache_clear()
    try:
        if "patch-nlm" not in get_registry().names("regularizer"):
            get_registry().add(Entry.of("regularizer", PatchNlm, "tests", "0"))
        without = start_fit(small_problem(), options(weight=0.0))
        for _ in range(3):
            without.advance()
        plain = without.volume()
        for chosen in (options(weight=50.0, every=2), options(weight=50.0, space="raw", search=2)):
            cpu = start_fit(small_problem(), chosen)
            run = start_fit(small_problem("cuda"), chosen, [on_cpu.CpuDevice(4)])
            for _ in range(3):
                expected, found = cpu.advance(), run.advance()
                assert found.keys() == expected.keys()
                for name, value in expected.items():
                    assert found[name] == pytest.approx(value, rel=2e-3), name
            wanted = cpu.volume()
            assert np.linalg.norm(run.volume() - wanted) < 1e-3 * np.linalg.norm(wanted)
            assert np.linalg.norm(wanted - plain) > 0.02 * np.linalg.norm(plain)
    finally:
        get_registry.cache_clear()
