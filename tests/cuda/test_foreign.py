"""Regularizers of plugins in a fit on the tests' device: what they get, that they get their way, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from cases import Drawing, DrawingOptions, needs_compiler, small_problem
from on_cpu import CpuDevice
from pausing import check_pauses

from tomokit.data.problem import ProblemShape
from tomokit.errors import OptionError
from tomokit.methods.octree.cuda.memory import device_bytes
from tomokit.methods.octree.cuda.support import unsupported_reason
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.plugin.manager import get_registry
from tomokit.plugin.registry import Entry

pytestmark = [needs_compiler, pytest.mark.long]

OPTIONS = OctreeOptions(
    epochs=2, coarse_epochs=1, n=6, leaf_px=10.0, coarser=1, views_per_step=2, margin=0.3, max_leaves=40
)  # fmt: skip


class Frank(Drawing):
    """The same, which says what it holds: at most the distances, their squares and, of a leaf, what is on the way."""

    name: ClassVar[str] = "frank"

    def cuda_bytes(self, options: DrawingOptions, n_leaves: int, n: int) -> int:
        return 2 * 4 * (n_leaves + 1) * n**3


class HostOnly(Drawing):
    """A regularizer that knows nothing of devices."""

    name: ClassVar[str] = "host-only"
    cuda_unsupported_reason = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def plugins() -> Iterator[None]:
    """All of them, registered for one test."""
    get_registry.cache_clear()
    for regularizer in (Drawing, Frank, HostOnly):
        get_registry().add(Entry.of("regularizer", regularizer, "tests", "0"))
    Drawing.seen.clear()
    yield
    get_registry.cache_clear()


def with_it(name: str = "drawing", **settings: Any) -> OctreeOptions:
    """The options with a plugin's regularizer among them."""
    return replace(OPTIONS, regularizers={name: {"weight": 10.0, **settings}})


@pytest.mark.parametrize(
    "regularizers",
    [
        {"drawing": {"weight": 10.0}},
        {"drawing": {"weight": 10.0, "space": "raw", "every": 2}},
        {"drawing": {"weight": 5.0}, "frank": {"weight": 5.0}, "tv": {"space": "raw"}},
        {"boundary": {"space": "raw", "weight": 1e-3}, "drawing": {"weight": 5.0, "space": "raw"}},
    ],
    ids=["rho", "raw", "two", "with raw ones"],
)
def test_a_fit_with_one_is_the_cpus(regularizers: dict[str, Any]) -> None:
    options = replace(OPTIONS, regularizers=regularizers)
    cpu = start_fit(small_problem(), options)
    device = start_fit(small_problem("cuda"), options, [CpuDevice(3)])
    for _ in range(options.epochs):
        expected, found = cpu.advance(), device.advance()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-3), name
    wanted = cpu.volume()
    assert np.linalg.norm(device.volume() - wanted) < 3e-3 * np.linalg.norm(wanted)
    assert {(field.device is None, field.xp is np) for field in Drawing.seen} == {(True, True), (False, False)}
    plain = start_fit(small_problem(), OPTIONS)
    plain.advance()
    plain.advance()
    assert np.linalg.norm(plain.volume() - wanted) > 0.02 * np.linalg.norm(wanted)


def test_it_is_given_the_device_and_whole_fields() -> None:
    device = CpuDevice()
    run = start_fit(small_problem("cuda"), with_it(), [device])
    run.advance()
    assert {field.step for field in Drawing.seen} == {0, 1, 2}
    for field in Drawing.seen:
        assert field.device is device
        assert field.xp is device.xp
        assert field.values.dtype == np.float32
        assert field.values.shape == field.forest.values_shape
        assert field.forest is run.leaves.forest
        assert field.inside is run._inside


def test_nothing_is_fetched_within_an_epoch_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    device = CpuDevice()
    run = start_fit(small_problem("cuda"), with_it(), [device])
    run.advance()
    fetched: list[tuple[int, ...]] = []
    to_host = device.to_host
    monkeypatch.setattr(device, "to_host", lambda array: fetched.append(array.shape) or to_host(array))
    run.advance()
    # The sums, and the offsets of the views.
    assert [len(shape) for shape in fetched] == [1, 1]


def test_a_pause_within_an_epoch_draws_the_same() -> None:
    options = with_it(every=2)
    whole = start_fit(small_problem("cuda"), options, [CpuDevice(4)])
    whole.advance()
    whole.advance()
    check_pauses(whole, options)


def test_a_fit_with_one_stays_on_the_first_device() -> None:
    devices = [CpuDevice(1), CpuDevice(2)]
    run = start_fit(small_problem("cuda", (12, 40, 20)), with_it(), devices)
    run.advance()
    assert devices[0].launches > 0
    assert devices[1].launches == 0


@pytest.mark.parametrize("space", ["rho", "raw"])
def test_the_estimate_counts_what_it_says(space: str) -> None:
    device, options = CpuDevice(), with_it("frank", space=space)
    run = start_fit(small_problem("cuda"), options, [device])
    run.advance()
    run.advance()
    shape = ProblemShape.of(small_problem())
    estimate = device_bytes(FitPlan(options, shape, is_masked=True))
    assert device.xp.peak_bytes <= estimate <= 1.6 * device.xp.peak_bytes
    # One that says nothing is counted as two fields.
    assert device_bytes(FitPlan(with_it(space=space), shape, is_masked=True)) == estimate - 2 * 4 * 6**3


def test_what_has_no_path_is_refused_with_the_reason() -> None:
    for options, told in (
        (with_it("host-only"), "regularizer host-only has no path on a GPU"),
        (with_it(held=True), "regularizer drawing cannot be used on a GPU: its option held says so"),
    ):
        assert unsupported_reason(options) == told
        with pytest.raises(OptionError, match=told):
            start_fit(small_problem("cuda"), options, [CpuDevice()])
    assert unsupported_reason(with_it()) is None
    # One of weight zero is not in the fit.
    assert unsupported_reason(with_it("host-only", weight=0.0)) is None
