"""The fixtures, as a package of somebody else's sees them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import warm_start

PLUGIN = "tomokit.pytest_plugin"
TESTS = """
def test_forest(tomokit_forest, tomokit_field):
    assert set(tomokit_forest.level) == {0, 1}
    field = tomokit_field(seed=3, rough=False)
    assert field.values.shape == tomokit_forest.values_shape
    assert field.faces.n_faces > 0

def test_specimen(tomokit_specimen):
    assert tomokit_specimen.error(tomokit_specimen.truth) == 0
    assert tomokit_specimen.problem.geometry.n_views == 21
"""


def pytest_in(folder: Path, *arguments: str, anew: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder, in a process that has tomokit imported or in one that is started anew."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # By name for an installation from before it was announced; pytest takes no plugin twice.
    announced = [point.value for point in entry_points(group="pytest11", name="tomokit")]
    by_name = [] if PLUGIN in announced else ["-p", PLUGIN]
    command = ["-m", "pytest", "-q", *by_name, *arguments]
    if not anew:
        return warm_start.run(command, cwd=folder)
    command = [sys.executable, *command]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_fixtures_are_there_outside_the_repository(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(TESTS, encoding="utf-8")
    done = pytest_in(tmp_path)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_run_that_has_no_use_for_them_imports_nothing(tmp_path: Path) -> None:
    # Not whether NumPy is there: other plugins of pytest may have brought it.
    test = "def test():\n    import sys\n    assert not [m for m in sys.modules if m.startswith(('tomokit.', 'numba'))"
    test += f" and m not in ({PLUGIN!r}, 'tomokit.version')]\n"
    (tmp_path / "test_other.py").write_text(test, encoding="utf-8")
    done = pytest_in(tmp_path, anew=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_it_is_announced() -> None:
    import tomllib

    with (Path(__file__).resolve().parents[2] / "pyproject.toml").open("rb") as stream:
        points = tomllib.load(stream)["project"]["entry-points"]["pytest11"]
    assert points == {"tomokit": PLUGIN}
