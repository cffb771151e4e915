"""Halves of a small tomogram with a truth, and the command line called in this process; one thread."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tomokit.commands.app import run
from tomokit.data import Volume
from tomokit.io import write_volume

SHAPE = (24, 48, 32)
NOISE = 1.0


def make_truth(seed: int) -> np.ndarray:
    """Balls and shells of density 1 in a slab of 0, blurred by a voxel."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    truth = np.zeros(SHAPE, np.float32)
    for _ in range(30):
        centre, radius = [rng.uniform(0, n) for n in SHAPE], rng.uniform(3, 7)
        distance = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
        truth[(distance < radius) & (distance > radius * rng.choice([0.0, 0.6]))] = 1.0
    return gaussian_filter(truth, 0.8)


def _write_half(path: Path, density: np.ndarray, **provenance: Any) -> Path:
    write_volume(path, Volume(density.astype(np.float32), 10.0, provenance=provenance), overwrite=True)
    return path


@pytest.fixture(scope="session")
def truth() -> np.ndarray:
    return make_truth(5)


@pytest.fixture
def other_halves() -> list[np.ndarray]:
    """Halves of another specimen."""
    rng = np.random.default_rng(2)
    return [make_truth(6) + rng.normal(0, NOISE, SHAPE) for _ in range(2)]


@pytest.fixture
def write_half() -> Callable[..., Path]:
    """Write densities as an MRC volume; words go into its labels."""
    return _write_half


@pytest.fixture
def tomogram(tmp_path: Path, truth: np.ndarray) -> Path:
    """A tomogram, the mean of two halves that lie beside it, whose noise is independent."""
    rng = np.random.default_rng(1)
    halves = [3.0 * (truth + rng.normal(0, NOISE, truth.shape)) + 7.0 for _ in range(2)]
    for name, half in zip(("even", "odd"), halves, strict=True):
        _write_half(tmp_path / f"cell_{name}.mrc", half, method="wbp")
    return _write_half(tmp_path / "cell.mrc", (halves[0] + halves[1]) / 2, method="wbp")


@pytest.fixture
def denoise(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any, str]]:
    """Call the command with --json and few steps: exit status, the object on stdout, and stderr."""

    def call(*words: object) -> tuple[int, Any, str]:
        capsys.readouterr()
        few = [] if "--steps" in words or "--model" in words else ["--steps", "3"]
        small = ["--width", "8", "--patch", "16", *few, "--threads", "1", "--device", "cpu", "--progress", "lines"]
        status = run(["denoise", *small, *map(str, words), "--json"])
        out, err = capsys.readouterr()
        return status, json.loads(out), err

    return call
