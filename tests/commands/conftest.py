"""A small simulated data set, and the command line called in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tomokit.commands.app import run

Cli = Callable[..., tuple[int, str, str]]


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
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Call the command line; exit status, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return status, out, err

    return call
