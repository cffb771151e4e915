"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# As the driver does: OpenMP's threads are not to spin on a core that another process wants.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What they read on stderr is about what went wrong; tests of the progress ask for it.
os.environ["TOMOKIT_PROGRESS"] = "none"
# What they expect is the CPU's; a GPU is for `nox -s gpu`.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

# Scripts start jobs in the background with it ignored, which the programs that are tested would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent
# What tests of several folders share is a module there.
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets: ``TOMOKIT_TEST_DATA``, else ``../shared/data`` beside the repository."""
    given = os.environ.get("TOMOKIT_TEST_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} is not a folder (set TOMOKIT_TEST_DATA)")
    return folder


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call the command line; exit status, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        from tomokit.commands.app import run

        capfd.readouterr()
        status = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return status, out, err

    return call
