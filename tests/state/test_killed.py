"""SIGKILL at random moments of a run, of its resumptions and of their savings.

A few in the suite; ``nox -s kills`` does 200, by ``TOMOKIT_KILLS``.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import warm_start

from tomokit.pipeline.request import ReconstructionRequest
from tomokit.state.read import newest_state, read_state

KILLS = int(os.environ.get("TOMOKIT_KILLS", "6"))


def words(request: ReconstructionRequest) -> list[str]:
    """The job as a command line, saved after every step: about half of its time is writing."""
    files = ["reconstruct", request.stack, "-o", request.output, "--state", request.state, "--state-seconds", 0]
    settings = [part for key, value in request.options.items() if key != "regularizers" for part in
                ("--set", f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}")]  # fmt: skip
    for name, table in request.options.get("regularizers", {}).items():
        settings += [part for key, value in table.items() for part in ("--set", f"regularizers.{name}.{key}={value}")]
    fixed = ["--method", request.method, "--thickness", request.thickness, "--hold-out", 5, "--no-preview"]
    return [str(word) for word in (*files, *fixed, *settings)]


def ended(arguments: list[str], state: Path, longest_s: float, random: np.random.Generator) -> float | None:
    """Run a command and kill it at some moment of a time; the seconds that it took if it had ended before."""
    begins, began = not state.exists(), time.monotonic()
    process = warm_start.Started(["-m", "tomokit", *arguments], stderr=subprocess.PIPE, text=True)
    while begins and not state.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.001)
    try:
        # What begins is waited for until it has a state; what resumes is killed while it starts and reads, too.
        process.wait(timeout=float(random.uniform(0, longest_s / 3 if begins else longest_s)))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    assert process.returncode == 0, process.communicate()[1]
    process.communicate()
    return time.monotonic() - began


@pytest.mark.parametrize("method", [pytest.param("octree", marks=pytest.mark.long), "sart-tv"])
def test_killed_at_any_moment_it_is_resumed_to_the_same_volume(
    job: Callable[..., ReconstructionRequest], method: str, record_property: Callable[[str, object], None]
) -> None:
    # In a process of its own, as those that are killed: what is compiled in this one, after all other tests, need not
    # round alike.
    whole = job(method, "whole")
    began = time.monotonic()
    assert warm_start.run(["-m", "tomokit", *words(whole)]).returncode == 0
    # As long as it takes where nothing happens, on this machine and under its load.
    longest_s = time.monotonic() - began
    expected, arrays = whole.output.read_bytes(), read_state(whole.state).arrays
    random = np.random.default_rng(KILLS)
    kills = while_writing = finished = 0
    moments = set()
    wanted = (KILLS + 1) // 2
    while kills < wanted:
        broken = job(method, f"broken-{finished}")
        arguments = words(broken)
        while True:
            if kills == wanted:
                # What the last kill left is brought to its end in peace.
                assert warm_start.run(["-m", "tomokit", *arguments]).returncode == 0
                break
            begins = not broken.state.exists()
            took_s = ended(arguments, broken.state, longest_s, random)
            if took_s is not None:
                # The first run may have compiled, or the load has changed: what ends too soon is not killed.
                longest_s = took_s if begins else longest_s
                break
            kills += 1
            while_writing += bool(list(broken.state.parent.glob(".run.h5.*.part")))
            state, _, _ = newest_state(broken.state)
            moments.add((state.epoch, len(state.history), state.paused))
            arguments = ["resume", str(broken.state)]
            if broken.output.exists():
                # It had done everything but to leave.
                break
        # Not compared as bytes by the assertion itself: pytest would spend minutes on showing how they differ.
        same_bytes = broken.output.read_bytes() == expected
        assert same_bytes
        for name, array in read_state(broken.state).arrays.items():
            np.testing.assert_array_equal(array, arrays[name], err_msg=name)
        finished += 1
    record_property("kills", f"{kills}, {while_writing} while writing, {finished} runs, at {len(moments)} moments")
    print(f"{method}: {kills} kills, {while_writing} while writing, {finished} runs brought to their end")
    if KILLS >= 100:
        assert while_writing > 0
        assert len(moments) > 5
