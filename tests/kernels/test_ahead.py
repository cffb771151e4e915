"""Processes that compile beside another: turns that are taken once, and helpers that end when they should."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import warm_start

from tomokit.kernels import turns
from tomokit.kernels.ahead import CompilersBeside
from tomokit.kernels.notice import COMPILING

LISTED = """
import sys, time
import numpy as np
from tomokit.kernels.shared import items_of, shared_out

@shared_out()
def double(share, values):
    for i in items_of(share, values.size):
        values[i] *= 2

@shared_out()
def halve(share, values):
    for i in items_of(share, values.size):
        values[i] /= 2

def kernels():
    if sys.argv[-1] == SLOW:
        time.sleep(300)
    return [(double, (np.empty(0),)), (halve, (np.empty(0),))]

def others():
    return [(halve, (np.empty(0),))]
"""
RUN = """
import sys
sys.dont_write_bytecode = True
import os, time
from pathlib import Path
import numpy as np
from tomokit.kernels.ahead import CompilersBeside
from tomokit.kernels.notice import listen
listen(print)
"""


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[str], list[str]]:
    """Run code in a process that finds a module ``listed``; the lines that it prints."""
    (tmp_path / "path").mkdir()
    # Its processes have the number of the one that started them as their last word.
    (tmp_path / "path" / "listed.py").write_text(LISTED.replace("SLOW", "open('slow').read()"))
    (tmp_path / "slow").write_text("none")

    def run(code: str) -> list[str]:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        done = warm_start.run(["-c", RUN + code], path=[str(tmp_path / "path")], env=environment, cwd=tmp_path)
        assert done.stderr == ""
        return done.stdout.splitlines()

    return run


@pytest.fixture
def other(tmp_path: Path) -> Iterator[int]:
    """A process that has the turn for ``name``, until it is killed."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.write(writer, b"1" if turns.take_turn(tmp_path, "name") else b"0")
        time.sleep(60)
        os._exit(0)
    assert os.read(reader, 1) == b"1"
    yield process
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_a_turn_is_one_process_s(other: int, tmp_path: Path) -> None:
    assert not turns.take_turn(tmp_path, "name")
    assert turns.take_turn(tmp_path, "another name")
    turns.end_turn(tmp_path, "another name")


def test_a_process_that_is_gone_has_no_turn(other: int, tmp_path: Path) -> None:
    os.kill(other, signal.SIGSTOP)
    assert not turns.take_turn(tmp_path, "name")
    os.kill(other, signal.SIGKILL)
    began = time.monotonic()
    turns.wait_for_turn(tmp_path, "name")
    assert time.monotonic() - began < 10
    assert turns.take_turn(tmp_path, "name")


def test_nobody_waits_for_ever(other: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_LONGEST_WAIT_S", 0.05)
    turns.wait_for_turn(tmp_path, "name")
    assert not turns.take_turn(tmp_path, "name")


def test_without_a_folder_everyone_has_the_turn(tmp_path: Path) -> None:
    turns.wait_for_turn(tmp_path / "none", "name")
    assert turns.take_turn(tmp_path / "none", "name")
    turns.end_turn(tmp_path / "none", "name")


def test_what_they_have_compiled_is_not_compiled_again(listed: Callable[[str], list[str]]) -> None:
    said = listed("""
for threads in (1, 2, 2):
    with CompilersBeside() as compilers:
        compilers.start("listed:kernels", threads)
        print([process.wait() for process in compilers.processes])
from listed import double, halve
values = np.ones(3)
double(values)
double(values)
halve(values)
print(values)
""")
    assert said == ["[]", "[0]", "[]", "[2. 2. 2.]"]


def test_another_list_takes_the_place_of_the_first(listed: Callable[[str], list[str]]) -> None:
    said = listed("""
with CompilersBeside() as compilers:
    compilers.start("listed:kernels", 2)
    first = compilers.processes[0]
    compilers.start("listed:kernels", 2)
    print(compilers.processes == [first])
    compilers.start("listed:others", 2)
    print(first.returncode, [process.wait() for process in compilers.processes])
""")
    assert said == ["True", "-9 [0]"]


def test_one_compiles_where_the_other_died(listed: Callable[[str], list[str]]) -> None:
    said = listed("""
with CompilersBeside() as compilers:
    compilers.start("listed:kernels", 2)
    compilers.processes[0].kill()
    from listed import double
    values = np.ones(3)
    double(values)
    print(values)
""")
    assert said == [COMPILING, "[2. 2. 2.]"]


@pytest.mark.parametrize("end", ["sys.exit()", "os.kill(os.getpid(), 9)", "raise_in_with()"])
def test_they_end_with_the_process(listed: Callable[[str], list[str]], tmp_path: Path, end: str) -> None:
    said = listed(f"""
Path("slow").write_text(str(os.getpid()))
def raise_in_with():
    os._exit(0)
compilers = CompilersBeside().__enter__()
compilers.start("listed:kernels", 3)
print(*[process.pid for process in compilers.processes], flush=True)
{end}
""")
    pids = [int(word) for word in said[0].split()]
    assert len(pids) == 2
    end_s = time.monotonic() + 10
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_an_error_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="mine"), CompilersBeside() as compilers:
        raise ValueError("mine")
    assert compilers.processes == []


def is_running(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
