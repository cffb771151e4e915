"""An iteration of total variation on the tests' device against its formulas in float64; the cosine transform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import divergence, dual_field, gradient, needs_compiler, small_problem
from on_cpu import CpuDevice
from scipy.fft import dctn, idctn

from tomokit.data.problem import Problem
from tomokit.gpu.discovery import use_devices
from tomokit.methods.voxels.cuda import cosine
from tomokit.methods.voxels.cuda.cosine import cosine_bytes, cosine_transform, has_cosine
from tomokit.methods.voxels.cuda.tv import TvEngineOnDevice
from tomokit.methods.voxels.host_engine import TvEngineOnHost
from tomokit.methods.voxels.tv import Tv, TvOptions, TvRun
from tomokit.projector import DenseProjector

SHAPES = [(5, 4, 7), (1, 6, 9), (6, 1, 1), (1, 1, 1), (16, 9, 12)]


def problem(shape: tuple[int, int, int], masked: str, fit_offsets: bool) -> Problem:
    """Voxels ``(z, y, x)``; a mask of weights with one view that has none."""
    made = small_problem("cuda", shape)
    mask = made.mask
    assert mask is not None
    if masked == "weights":
        mask = mask * np.random.default_rng(1).choice(np.float32([0, 0.25, 0.5, 1]), mask.shape)
        mask[2] = 0
    return replace(made, mask=None if masked == "none" else mask, fit_offsets=fit_offsets)


def state_of(run: TvRun) -> dict[str, np.ndarray]:
    """Random arrays that meet what the run's own meet: duals in their bounds, zero where they cannot be else."""
    rng = np.random.default_rng(2)
    arrays = {key: rng.normal(0, 0.1, array.shape).astype(array.dtype) for key, array in run.arrays().items()}
    arrays["gradient_dual"] = 0.3 * dual_field(run.projection_density.shape, 3)
    arrays["nonnegativity_dual"] = -np.abs(arrays["nonnegativity_dual"])
    if run.data_term.mask is not None:
        arrays["data_dual"] *= run.data_term.mask
    return arrays


def iteration(run: TvRun, kept: dict[str, np.ndarray]) -> dict[str, Any]:
    """The formulas of :mod:`tomokit.methods.voxels.tv` as they stand there, in float64."""
    given, options = run.problem, run.options
    d, e, y, q, r = (
        kept[key].astype(np.float64) for key in ("density", "ahead", "data_dual", "gradient_dual", "nonnegativity_dual")
    )
    n_x, n_z, n_y = d.shape
    exact = DenseProjector(given.geometry, n_z, n_x, n_y, backend="reference")
    m = np.ones(y.shape) if given.mask is None else given.mask.astype(np.float64)
    away = given.projections - exact(e)
    share, offsets = m / (m + 1), np.array(kept["offsets"])
    residual, v = m * away, y - away
    if given.fit_offsets:
        seen = m.sum(axis=(1, 2)) > 0
        offsets[seen] = residual.sum(axis=(1, 2))[seen] / m.sum(axis=(1, 2))[seen]
        residual = m * (away - offsets[:, None, None])
        c = (share * v).sum(axis=(1, 2)) / np.where(seen, share.sum(axis=(1, 2)), 1)
        v = v - c[:, None, None]
    y = share * v
    uphill = exact.T(y)
    if options.nonnegative:
        r = np.minimum(0, r + run._dual_rate * e)
        uphill += r
    if run.weight > 0:
        q = q + run._dual_rate / run.weight * gradient(e)
        q /= np.maximum(1, np.sqrt((q**2).sum(axis=0)))
        uphill -= run.weight * divergence(q)
    made = run._precondition
    down = idctn(dctn(uphill, norm="ortho") / (made.plane[:, :, None] + made.line.astype(np.float64)), norm="ortho")
    d = d - down
    weights = max(m.sum(), 1)
    data = (residual**2).sum() / weights
    tv = 2 * run.weight * np.sqrt((gradient(d) ** 2).sum(axis=0)).sum() / weights
    return {
        "density": d, "ahead": d - down, "data_dual": y, "gradient_dual": q, "nonnegativity_dual": r,
        "offsets": offsets,
        "terms": {"loss": data + tv, "data": data, "tv": tv},
    }  # fmt: skip


def close(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.linalg.norm(found - wanted) <= 2e-6 * np.linalg.norm(wanted))


@needs_compiler
@pytest.mark.parametrize(
    ("shape", "masked", "fit_offsets", "options"),
    [
        *(
            ((6, 13, 11), masked, fit_offsets, {})
            for masked in ("none", "zeros", "weights")
            for fit_offsets in (False, True)
        ),
        ((6, 13, 11), "weights", True, {"nonnegative": False}),
        ((6, 13, 11), "weights", True, {"weight": 0.0}),
        ((6, 13, 11), "zeros", True, {"weight": 0.0, "nonnegative": False}),
        ((1, 13, 35), "weights", True, {}),
        ((9, 1, 11), "weights", True, {}),
        ((9, 70, 4), "none", True, {}),
    ],
)
def test_an_iteration_is_its_formulas(
    shape: tuple[int, int, int], masked: str, fit_offsets: bool, options: dict[str, Any]
) -> None:
    with use_devices([CpuDevice(4, is_strict=True)]):
        run = Tv().start(problem(shape, masked, fit_offsets), TvOptions(**({"weight": 0.02, "margin": 0.1} | options)))
        assert isinstance(run._engine, TvEngineOnDevice)
        assert not run.resolved_parameters()["in_slabs"]
        kept = state_of(run)
        run.restore(0, kept)
        wanted = iteration(run, kept)
        terms = run.advance()
        found = run.arrays()
    assert terms == pytest.approx(wanted["terms"], rel=2e-6)
    for key, array in found.items():
        assert close(array, wanted[key]), f"{key}: {np.linalg.norm(array - wanted[key]) / np.linalg.norm(wanted[key])}"


@pytest.mark.parametrize("slab", [1, 40, 1 << 24])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_transform_is_scipys_in_slabs_of_any_size(
    shape: tuple[int, int, int], slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosine, "_SLAB_VOXELS", slab)
    device = CpuDevice(is_strict=True)
    given = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with device:
        volume = device.xp.asarray(given)
    device.xp.peak_bytes = device.xp.held_bytes
    cosine_transform(device, volume, inverse=False)
    np.testing.assert_allclose(device.to_host(volume), dctn(given.astype(np.float64), norm="ortho"), atol=1e-5)
    cosine_transform(device, volume, inverse=True)
    np.testing.assert_allclose(device.to_host(volume), given, atol=1e-5)
    assert device.xp.peak_bytes - volume.nbytes <= cosine_bytes(shape) <= 1.5 * (device.xp.peak_bytes - volume.nbytes)


def test_what_the_transform_takes_does_not_grow_with_the_volume() -> None:
    assert cosine_bytes((512, 512, 512)) == cosine_bytes((512, 512, 1024)) < 2 << 30
    assert cosine_bytes((2048, 512, 2048)) < 1.01 * cosine_bytes((512, 512, 512))


@needs_compiler
def test_where_it_cannot_be_transformed_the_host_iterates(monkeypatch: pytest.MonkeyPatch) -> None:
    device = CpuDevice()
    assert has_cosine(device)

    def missing(*_: Any, **__: Any) -> None:
        raise ImportError("libcufft.so.11: cannot open shared object file")

    monkeypatch.setattr(device.fft, "dct", missing)
    assert not has_cosine(device)
    given, options = problem((6, 13, 11), "zeros", True), TvOptions(epochs=2)
    with use_devices([device]):
        found = Tv().start(given, options)
        assert isinstance(found._engine, TvEngineOnHost)
        assert found.resolved_parameters()["in_slabs"]
        expected = Tv().start(replace(given, backend="cpu"), options)
        for run in (found, expected):
            run.advance()
            run.advance()
    assert close(found.volume(), expected.volume())
    monkeypatch.setattr(device.fft, "dct", lambda x, axis, norm: x)
    assert not has_cosine(device)
