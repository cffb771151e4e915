"""Every script in examples/ runs, in small, and uses nothing of tomokit but what `import tomokit` offers."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tomokit
from tomokit.io import write_stack, write_text, write_volume

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def reconstructs_a_phantom(main: Callable, folder: Path) -> None:
    assert main(24)["psnr_db"] > 12


def write_series(folder: Path) -> None:
    """A small ``tilts.mrc`` with its angles, a mask that uses every pixel, and ``truth.mrc``."""
    series, truth = tomokit.simulate_series((12, 16, 16), range(-60, 61, 6), noise=0.05)
    write_stack(folder / "tilts.mrc", series)
    write_text(folder / "tilts.tlt", "".join(f"{angle}\n" for angle in series.geometry.tilt_deg))
    write_stack(folder / "mask.mrc", np.ones_like(series.images))
    write_volume(folder / "truth.mrc", truth)


def compares_methods(main: Callable, folder: Path) -> None:
    write_series(folder)
    correlations = main(str(folder / "tilts.mrc"), 12)
    assert correlations.keys() == {"wbp", "sirt", "tv"}
    assert min(correlations.values()) > 0.5


def projects(main: Callable, folder: Path) -> None:
    assert main(16) < 1e-4


RUNS = {
    "compare_methods.py": compares_methods,
    "project_and_backproject.py": projects,
    "reconstruct_phantom.py": reconstructs_a_phantom,
}


def test_every_example_is_run() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    RUNS[name](runpy.run_path(str(EXAMPLES / name))["main"], tmp_path)


@pytest.mark.parametrize("name", RUNS)
def test_an_example_uses_the_front_door_alone(name: str) -> None:
    tree = ast.parse((EXAMPLES / name).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module for module in imported if module.startswith("tomokit")} == {"tomokit"}
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tomokit"
    }
    assert used <= set(tomokit.__all__)


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)```", text, flags=re.DOTALL | re.MULTILINE)
    smaller = block.replace("320", "12").replace("hold_out=", 'method="sirt", hold_out=')
    assert smaller.count("sirt") == 1
    names: dict = {}
    exec(smaller, names)
    assert names["result"].volume.density.shape == (12, 16, 16)
    assert names["views"].images.shape == (21, 16, 16)
