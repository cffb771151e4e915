"""A fault at any file operation of a run: no traceback, nothing half written, nothing lost, and the same bits after it.

A sample of the operations here; ``nox -s faults`` takes all of them, by ``TOMOKIT_FAULTS=all``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faults import Dead, Faults

from tomokit.commands.app import run
from tomokit.io import write_stack

EVERY = os.environ.get("TOMOKIT_FAULTS") == "all"
SAMPLE = 5
OUTPUTS = ("o.mrc", "o.png", "o.provenance.json")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    write_stack(folder / "tilts.mrc", np.random.default_rng(0).random((5, 6, 16), np.float32))
    (folder / "tilts.tlt").write_text("-40\n-20\n0\n20\n40\n")
    return folder


@pytest.fixture
def words(series: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """The command, for a folder of its own below ``tmp_path``."""

    def make(folder: Path, *more: str, seed: int = 0, state: bool = True) -> list[str]:
        folder.mkdir(exist_ok=True)
        job = ["reconstruct", str(series / "tilts.mrc"), "-o", str(folder / "o.mrc"), "--thickness", "4"]
        job += ["--method", "sirt", "--set", "epochs=2", "--linearization", "linear", "--seed", str(seed), *more]
        return [*job, "--state", str(folder / "r.h5"), "--state-epochs", "1"] if state else job

    return make


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def outputs(folder: Path) -> dict[str, bytes]:
    """The set, without what an epoch took, which the record does not have."""
    return {name: content for name, content in contents(folder).items() if name in OUTPUTS}


def hidden(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.startswith("."))


def points(count: int, operations: list[tuple[str, str]]) -> list[int]:
    """Operations to fail at: all, or some over the whole run and each change of an output's name."""
    if EVERY:
        return list(range(1, count + 1))
    names = [n for n, (operation, _) in enumerate(operations, 1) if operation == "renameat2"]
    return sorted({*np.linspace(1, count, SAMPLE).astype(int).tolist(), *names})


@pytest.fixture
def whole(words: Callable[..., list[str]], tmp_path: Path) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
    """What the run gives when nothing fails, and what it does to files on the way."""
    folder = tmp_path / "whole"
    with Faults(folder) as faults:
        assert run(words(folder)) == 0
    assert hidden(folder) == []
    assert set(contents(folder)) == {*OUTPUTS, "r.h5", "r.previous.h5"}
    return outputs(folder), faults.operations


def finish(words: list[str], folder: Path) -> int:
    """Do what a user does after a fault: resume if there is a state, else begin again."""
    if not (folder / "r.h5").exists():
        return run(words)
    # That a run may replace what was there has to be said again.
    return run(["resume", str(folder / "r.h5"), *(["--overwrite"] if "--overwrite" in words else [])])


@pytest.mark.parametrize("kind", ["EIO", "ENOSPC"])
def test_an_error_of_the_disk(
    words: Callable[..., list[str]],
    whole: tuple[dict[str, bytes], list[tuple[str, str]]],
    tmp_path: Path,
    kind: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    expected, operations = whole
    for number in points(len(operations), operations):
        folder = tmp_path / f"at-{number}"
        command = words(folder)
        capfd.readouterr()
        with Faults(folder, kind, number) as faults:
            status = run(command)
        said = capfd.readouterr().err
        where = (number, faults.operations[number - 1], said)
        assert "Traceback" not in said, where
        assert status in (0, 2), where
        # A picture that could not be written is a warning; the record and the volume are there or not together.
        there = outputs(folder)
        if status == 2:
            assert not there, where
            assert said.splitlines()[-1].startswith("tomokit: "), where
            assert finish(command, folder) == 0, where
            there = outputs(folder)
        assert there["o.mrc"] == expected["o.mrc"], where
        assert there["o.provenance.json"] == expected["o.provenance.json"], where
        assert there.get("o.png", expected["o.png"]) == expected["o.png"], where
        assert hidden(folder) == [] or faults.operations[number - 1][0] in ("unlink", "rmdir"), where
        shutil.rmtree(folder)


@pytest.mark.parametrize("overwrite", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_kill(
    words: Callable[..., list[str]],
    whole: tuple[dict[str, bytes], list[tuple[str, str]]],
    tmp_path: Path,
    overwrite: bool,
) -> None:
    """As SIGKILL: nothing that would be done afterwards reaches the disk. With and without an earlier run's files."""
    expected, operations = whole
    old: dict[str, bytes] = {}
    if overwrite:
        assert run(words(tmp_path / "old", seed=1)) == 0
        old = contents(tmp_path / "old")
        with Faults(tmp_path / "old") as faults:
            assert run(words(tmp_path / "old", "--overwrite")) == 0
        operations = faults.operations
    for number in points(len(operations), operations):
        folder = tmp_path / f"at-{number}"
        command = words(folder, *(["--overwrite"] if overwrite else []))
        for name, content in old.items():
            (folder / name).write_bytes(content)
        with Faults(folder, "kill", number) as faults, pytest.raises(Dead):
            run(command)
        where = (number, faults.operations[number - 1])
        if overwrite and (folder / "r.h5").read_bytes() == old["r.h5"]:
            # It had not begun: what is there is the earlier run's, finished.
            assert contents(folder).items() >= old.items(), where
            assert run(command) == 0, where
        else:
            assert finish(command, folder) == 0, where
        assert outputs(folder) == expected, where
        assert hidden(folder) == [], where
        shutil.rmtree(folder)


def test_an_interrupt(
    words: Callable[..., list[str]], whole: tuple[dict[str, bytes], list[tuple[str, str]]], tmp_path: Path
) -> None:
    """Ctrl-C at any operation of a run without a state leaves all of the outputs or none."""
    expected, _ = whole
    with Faults(tmp_path / "plain") as faults:
        assert run(words(tmp_path / "plain", state=False)) == 0
    for number in points(len(faults.operations), faults.operations):
        folder = tmp_path / f"at-{number}"
        with Faults(folder, "SIGINT", number) as interrupted:
            status = run(words(folder, state=False))
        where = (number, interrupted.operations[number - 1])
        assert status == 130, where
        there = outputs(folder)
        assert not there or there == expected, where
        shutil.rmtree(folder)


def test_old_outputs_are_as_they_were(words: Callable[..., list[str]], tmp_path: Path) -> None:
    """A run with ``--overwrite`` that fails while it writes leaves tomogram, picture and record of the earlier one."""
    folder = tmp_path / "job"
    assert run(words(folder, seed=1, state=False)) == 0
    old = contents(folder)
    command = words(folder, "--overwrite", state=False)
    with Faults(tmp_path / "other") as faults:
        assert run(words(tmp_path / "other", state=False)) == 0
    for number in points(len(faults.operations), faults.operations):
        with Faults(folder, "EIO", number) as failing:
            status = run(command)
        where = (number, failing.operations[number - 1])
        if status == 2:
            assert {name: content for name, content in contents(folder).items() if name in OUTPUTS} == old, where
        else:
            assert status == 0, where
            assert json.loads((folder / "o.provenance.json").read_text())["seed"] == 0, where
            for name, content in old.items():
                (folder / name).write_bytes(content)
        for name in hidden(folder):
            (folder / name).unlink()
