"""The choice of the backend, and jobs of every method on the tests' device through the driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from cases import needs_compiler
from on_cpu import CpuDevice

from tomokit.errors import OptionError, ResourceError
from tomokit.gpu.discovery import use_devices
from tomokit.methods.octree.method import Octree
from tomokit.methods.voxels.sirt import Sirt, SirtOptions
from tomokit.pipeline import backend
from tomokit.pipeline.backend import choose_backend
from tomokit.pipeline.driver import reconstruct
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.plugin.options import build_options


class NoKernels:
    """A plugin's method, which knows nothing of GPUs."""

    name = "blur"


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_DRIVER", ())


@pytest.fixture
def on_device() -> Iterator[list[CpuDevice]]:
    devices = [CpuDevice(1), CpuDevice(2)]
    with use_devices(devices):
        yield devices


def test_auto_is_the_cpu_without_a_word_where_nothing_looks_like_a_gpu(no_driver: None) -> None:
    told: list[str] = []
    assert choose_backend("auto", Sirt(), SirtOptions(), told.append) == "cpu"
    assert told == []


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_auto_is_the_cpu_without_a_word_where_all_gpus_are_hidden(
    hidden: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(backend, "_DRIVER", (str(tmp_path),))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    told: list[str] = []
    assert choose_backend("auto", Sirt(), SirtOptions(), told.append) == "cpu"
    assert told == []


def test_auto_says_once_why_a_gpu_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The driver's files are there, CuPy or a GPU that runs kernels is not.
    monkeypatch.setattr(backend, "_DRIVER", (str(tmp_path),))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "99")
    told: list[str] = []
    assert choose_backend("auto", Sirt(), SirtOptions(), told.append) == "cpu"
    assert len(told) == 1
    assert told[0].startswith("the CPU is used: ")
    with pytest.raises(ResourceError, match=r"--backend.*(cupy cannot be imported|no GPU can be used)"):
        choose_backend("cuda", Sirt(), SirtOptions(), told.append)
    assert len(told) == 1


def test_a_device_is_used_by_methods_that_have_kernels(on_device: list[CpuDevice]) -> None:
    assert choose_backend("auto", Sirt(), SirtOptions()) == "cuda"
    assert choose_backend("cuda", Sirt(), SirtOptions()) == "cuda"
    assert choose_backend("cpu", Sirt(), SirtOptions()) == "cpu"
    told: list[str] = []
    assert choose_backend("auto", NoKernels(), None, told.append) == "cpu"
    assert told == ["the CPU is used: method blur has no CUDA kernels"]
    with pytest.raises(OptionError, match=r"--backend: method blur has no CUDA kernels; give --backend cpu"):
        choose_backend("cuda", NoKernels(), None)
    for settings, text in (({}, None), ({"regularizers": {"cnlc": {"bins": 2048}}}, "2048 nodes")):
        refused = Octree().cuda_unsupported_reason(build_options(Octree.Options, settings, "method octree"))
        assert refused is None if text is None else text in str(refused)


@needs_compiler
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("wbp", {}),
        ("sirt", {"epochs": 2}),
        ("sart", {"epochs": 1}),
        ("sart-tv", {"epochs": 1}),
        ("tv", {"epochs": 3}),
        ("octree", {"epochs": 2, "n": 6, "leaf_px": 8.0}),
    ],
)
def test_every_method_gives_the_cpus_tomogram(
    method: str, options: dict[str, object], on_device: list[CpuDevice], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    tilts = np.array([-50.0, -20.0, 5.0, 30.0, 55.0])
    images = rng.random((5, 12, 16)).astype(np.float32)
    with mrcfile.new(tmp_path / "s.mrc") as file:
        file.set_data(images)
        file.voxel_size = 4.0
    np.savetxt(tmp_path / "s.tlt", tilts)
    summaries = {}
    for chosen in ("cpu", "auto"):
        request = ReconstructionRequest(
            tmp_path / "s.mrc", tmp_path / f"{chosen}.mrc", method=method, backend=chosen, thickness=8,
            linearization="linear", offsets="zero", hold_out=5, preview=False, options=dict(options),
        )  # fmt: skip
        summaries[chosen] = reconstruct(request)
    assert [summaries[name]["backend"] for name in ("cpu", "auto")] == ["cpu", "cuda"]
    assert not any("CPU is used" in warning for warning in summaries["auto"]["warnings"])
    assert on_device[0].launches > 0
    found, expected = (mrcfile.read(tmp_path / f"{name}.mrc") for name in ("auto", "cpu"))
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)
    correlations = [summaries[name]["held_out"]["correlation"] for name in ("cpu", "auto")]
    assert correlations[0] == pytest.approx(correlations[1], abs=1e-3)
