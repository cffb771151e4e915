"""A program that the tests fork from a server is the one that is started anew: status, streams, signals, folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm_start


def test_it_answers_as_one_that_is_started_anew(data: Path) -> None:
    words = ["-m", "tomokit", "inspect", "lost.mrc", "tilts.tlt"]
    anew = subprocess.run([sys.executable, *words], cwd=data, capture_output=True, text=True, check=False)
    forked = warm_start.run(words, cwd=data)
    assert anew.returncode == 2
    assert (forked.returncode, forked.stdout, forked.stderr) == (anew.returncode, anew.stdout, anew.stderr)


def test_it_ends_as_programs_end(tmp_path: Path) -> None:
    code = "import atexit, os, sys; atexit.register(print, os.getcwd(), os.environ['A'], sys.argv, flush=True); {}"
    told = f"{tmp_path} b ['-c', 'word']\n"
    environment = {**os.environ, "A": "b"}
    for end, status, out in (
        ("sys.exit(7)", 7, told),
        ("1 / 0", 1, told),
        ("os._exit(3)", 3, ""),
        ("os.kill(os.getpid(), 9)", -9, ""),
    ):
        done = warm_start.run(["-c", code.format(end), "word"], cwd=tmp_path, env=environment)
        assert (done.returncode, done.stdout) == (status, out)
        assert ("ZeroDivisionError" in done.stderr) == (end == "1 / 0")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)])
def test_it_gets_signals(number: signal.Signals, status: int) -> None:
    words = ["-c", "import time; print('here', flush=True); time.sleep(60)"]
    with warm_start.Started(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == status


def test_one_that_runs_holds_no_other_up() -> None:
    with warm_start.Started(["-c", "import time; time.sleep(60)"]) as process:
        begin = time.monotonic()
        assert warm_start.run(["-c", "print('quick')"]).stdout == "quick\n"
        assert process.poll() is None
        assert time.monotonic() - begin < 30
        process.kill()


def test_what_is_read_by_imports_cannot_be_given() -> None:
    with pytest.raises(ValueError, match="NUMBA_NUM_THREADS is read when modules are imported"):
        warm_start.run(["-m", "tomokit"], env={**os.environ, "NUMBA_NUM_THREADS": "1"})
