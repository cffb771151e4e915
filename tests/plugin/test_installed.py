"""A package made by ``plugins new``, installed by pip outside the repository, in a run that is stopped and goes on.

In an environment of its own, which sees the packages of the one that the tests run in.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tomokit.state.read import read_state

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION, NAME = "tomokit-two-words", "two-words"
EPOCHS = 120
needs_installer = pytest.mark.skipif(
    find_spec("pip") is None or find_spec("hatchling") is None, reason="no pip or no hatchling: pip install '.[dev]'"
)


class Place:
    """An environment in a folder.

    Parameters
    ----------
    folder : Path
        Where commands run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False)
        self.python = folder / "venv" / "bin" / "python"
        site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
        outer = [path for path in sys.path if path.endswith("-packages")]
        (site / "outer.pth").write_text("\n".join(outer), encoding="utf-8")
        # The tomokit that is tested, whatever may be installed.
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOMOKIT_LOAD_PLUGINS": DISTRIBUTION}

    def pip(self, *words: str | Path) -> None:
        """Run pip for this environment; nothing is downloaded."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check", "-q"]
        done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Begin a command of tomokit."""
        command = [str(self.python), "-m", "tomokit", *map(str, words)]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *words: object, status: int = 0) -> tuple[str, str]:
        """Run one to its end; what it printed."""
        process = self.start(*words)
        out, err = process.communicate(timeout=300)
        assert process.returncode == status, err
        return out, err

    def installed(self) -> tuple[list[dict[str, Any]], list[str]]:
        """What `plugins list` has of the distribution, and what is said of it where it cannot be loaded."""
        listed = json.loads(self.run("plugins", "list", "--json")[0])
        refused = [one["problem"] for one in listed["refused"] if one["origin"] == DISTRIBUTION]
        return [one for one in listed["plugins"] if one["origin"] == DISTRIBUTION], refused


def job(name: str) -> list[str]:
    """A fit under the new regularizer, its options not the defaults."""
    words = ["reconstruct", "data/tilts.mrc", "-o", f"{name}.mrc", "--state", f"{name}.h5", "--thickness", "16"]
    words += ["--method", "octree", "--no-preview", "--json", "--state-epochs", "1"]
    words += ["--set", f"epochs={EPOCHS}", "--set", "n=9"]
    for option in ("weight=0.5", "every=2", "space=raw"):
        words += ["--set", f"regularizers.{NAME}.{option}"]
    return words


@pytest.mark.long
@needs_installer
def test_installed_chosen_stopped_resumed_and_missed_when_it_is_gone(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.run("plugins", "new", DISTRIBUTION)
    place.pip("install", "--no-index", "--no-deps", "--no-build-isolation", tmp_path / DISTRIBUTION)
    # What runs is what pip has put there.
    shutil.rmtree(tmp_path / DISTRIBUTION)
    (mine,), refused = place.installed()
    assert refused == []
    assert (mine["name"], mine["kind"], mine["version"]) == (NAME, "regularizer", "0.1.0")
    place.run("simulate", "data", "--shape", "16,24,24", "--tilts=-60:60:20")

    broken = place.start(*job("broken"))
    while not (tmp_path / "broken.h5").exists() or read_state(tmp_path / "broken.h5").epoch < 2:
        assert broken.poll() is None, broken.communicate()
        time.sleep(0.02)
    broken.send_signal(signal.SIGTERM)
    out, err = broken.communicate(timeout=60)
    assert broken.returncode == 75, err
    assert 2 <= json.loads(out)["epochs"] < EPOCHS
    shutil.copy(tmp_path / "broken.h5", tmp_path / "kept.h5")

    state = read_state(tmp_path / "broken.h5")
    assert state.provenance["plugins"] == [
        {"kind": "regularizer", "name": NAME, "origin": DISTRIBUTION, "version": "0.1.0"}
    ]
    resolved_parameters = state.provenance["resolved_parameters"]["regularizers"][NAME]
    assert resolved_parameters == {"weight": 0.5, "every": 2, "space": "raw"}
    whole = json.loads(place.run(*job("whole"))[0])
    assert whole["history"][-1]["terms"][NAME] > 0
    place.run("resume", "broken.h5")
    same_bytes = (tmp_path / "broken.mrc").read_bytes() == (tmp_path / "whole.mrc").read_bytes()
    assert same_bytes
    arrays = [read_state(tmp_path / f"{name}.h5").arrays for name in ("broken", "whole")]
    assert arrays[0].keys() == arrays[1].keys()
    for name, array in arrays[0].items():
        np.testing.assert_array_equal(array, arrays[1][name], err_msg=name)

    place.pip("uninstall", "-y", DISTRIBUTION)
    none, refused = place.installed()
    assert none == []
    assert "not installed" in refused[0]
    (tmp_path / "broken.mrc").unlink()
    before = (tmp_path / "kept.h5").read_bytes()
    _, err = place.run("resume", "kept.h5", status=2)
    assert f"needs the regularizer '{NAME}' of plugin {DISTRIBUTION} 0.1.0, which is not installed" in err
    assert not (tmp_path / "broken.mrc").exists()
    assert (tmp_path / "kept.h5").read_bytes() == before
