"""A small simulated data set, and the command line called in this process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import warm_start

from tomokit.commands.app import run


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``tilts.mrc``, ``tilts.tlt``, ``truth.mrc``; not to be written to."""
    folder = tmp_path_factory.mktemp("simulated")
    arguments = ["--shape", "16,32,32", "--tilts=-60:60:6", "--noise", "0.05", "--seed", "1"]
    assert run(["simulate", str(folder), *arguments]) == 0
    return folder


@pytest.fixture
def data(simulated: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    folder = tmp_path / "data"
    shutil.copytree(simulated, folder)
    return folder


@pytest.fixture
def interrupted() -> Callable[[list[str]], tuple[int, str, str]]:
    """Start a command and interrupt it when it has had a second of a processor: exit status, stdout and stderr."""

    def call(words: list[str]) -> tuple[int, str, str]:
        process = warm_start.Started(
            ["-m", "tomokit", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            while _processor_seconds(process.pid) < 1:
                assert process.poll() is None, process.communicate()
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        return process.returncode, out, err

    return call


def _processor_seconds(pid: int) -> float:
    """Of all threads, which a busy machine does not change as it does the time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
