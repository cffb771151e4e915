"""The state on the command line: signals, refusals, and states that cannot be used."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import warm_start

from tomokit.state.read import read_state
from tomokit.state.record import previous_path
from tomokit.state.seal import FORMAT_VERSION, SEAL_BYTES, seal_of

Cli = Callable[..., tuple[int, str, str]]
Interrupted = Callable[[list[str]], tuple[int, str, str]]


def arguments(data: Path, name: str = "out", epochs: int = 4, *more: object) -> list[str]:
    files = ["reconstruct", data / "tilts.mrc", "-o", data / f"{name}.mrc", "--state", data / f"{name}.h5"]
    job = ["--method", "sart-tv", "--thickness", 16, "--set", f"epochs={epochs}", "--no-preview"]
    return [str(word) for word in (*files, *job, *more)]


def start(words: list[str]) -> subprocess.Popen[str]:
    return warm_start.Started(["-m", "tomokit", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_steps(path: Path, process: subprocess.Popen[str]) -> None:
    """Until the state has arrays: before the first step signals end a job at once."""
    while not (path.exists() and read_state(path).arrays):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize(
    "name", ["SIGTERM", "SIGINT", *(pytest.param(name, marks=pytest.mark.long) for name in ("SIGUSR1", "SIGHUP"))]
)
def test_a_signal_stops_a_run_that_resume_continues(cli: Cli, data: Path, name: str) -> None:
    process = start(arguments(data, "out", 4000, "--json", "--state-epochs", 1))
    wait_for_steps(data / "out.h5", process)
    process.send_signal(signal.Signals[name])
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75
    summary = json.loads(out)
    assert (summary["stopped_by"], summary["output"], summary["state"]) == (name, None, str(data / "out.h5"))
    assert f"{name}: finishing the step and saving the state" in err
    assert f"tomokit resume {data / 'out.h5'}" in err
    assert not (data / "out.mrc").exists()
    state = read_state(data / "out.h5")
    assert state.epoch == summary["epochs"] < 4000
    epochs = state.epoch + 1 + state.paused
    assert cli("resume", data / "out.h5", "--epochs", epochs)[0] == 0
    assert cli(*arguments(data, "whole", epochs))[0] == 0
    assert (data / "out.mrc").read_bytes() == (data / "whole.mrc").read_bytes()


def test_a_second_interrupt_leaves_at_once(data: Path) -> None:
    """In the middle of an iteration over a volume so deep that it takes a while."""
    process = start([*arguments(data, "out", 99, "--state-epochs", 1), "--method", "sirt", "--thickness", "10000"])
    wait_for_steps(data / "out.h5", process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "SIGINT: finishing the step" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == -signal.SIGINT
    read_state(data / "out.h5")
    assert not (data / "out.mrc").exists()


def test_without_a_state_an_interrupt_is_what_it_was(data: Path, interrupted: Interrupted) -> None:
    words = arguments(data, "out", 10**6)
    at = words.index("--state")
    assert interrupted([*words[:at], *words[at + 2 :]]) == (130, "", "tomokit: interrupted\n")
    assert sorted(path.name for path in data.iterdir()) == ["tilts.mrc", "tilts.tlt", "truth.mrc"]


@pytest.fixture
def finished(cli: Cli, data: Path) -> Path:
    """A state with no predecessor to fall back on."""
    assert cli(*arguments(data))[0] == 0
    previous_path(data / "out.h5").unlink()
    (data / "out.mrc").unlink()
    (data / "out.provenance.json").unlink()
    return data / "out.h5"


def reseal(path: Path, content: bytes, version: int = FORMAT_VERSION) -> None:
    path.write_bytes(seal_of(len(content), hashlib.sha256(content[SEAL_BYTES:]).hexdigest(), version) + content[512:])


def spoil(state: Path, how: str) -> None:
    whole = state.read_bytes()
    if how == "bit":
        middle = len(whole) // 2
        state.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    elif how == "truncated":
        state.write_bytes(whole[:-100])
    elif how == "empty":
        state.write_bytes(b"")
    elif how == "folder":
        state.unlink()
        state.mkdir()
    elif how == "text":
        state.write_text("tomokit\n" * 99)
    elif how == "hdf5":
        state.write_bytes(b"\x89HDF\r\n\x1a\n" + whole[520:])
    elif how == "missing":
        state.unlink()
    elif how == "format":
        reseal(state, whole, 1)
    elif how == "version":
        import tomokit

        old, new = (f'"tomokit": "{version}"'.encode() for version in (tomokit.__version__, "0.0.9"))
        assert len(old) == len(new)
        assert old in whole
        changed = whole.replace(old, new)
        # The digest beside the text has to agree, or the file would be damaged and not of another version.
        start = changed.index(b'{\n "tomokit"')
        text = changed[start : start + json.JSONDecoder().raw_decode(changed[start:].decode("latin-1"))[1]]
        before = whole[start : start + len(text)]
        digests = [hashlib.sha256(part).hexdigest().encode() for part in (before, text)]
        assert digests[0] in changed
        reseal(state, changed.replace(*digests))
    elif how == "input":
        stack = state.with_name("tilts.mrc")
        content = bytearray(stack.read_bytes())
        content[-1] ^= 1
        stack.write_bytes(bytes(content))
    elif how == "angles":
        state.with_name("tilts.tlt").write_text(state.with_name("tilts.tlt").read_text().replace("60", "59.5"))
    elif how == "no input":
        state.with_name("tilts.mrc").unlink()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("bit", "out.h5: damaged: its SHA-256"),
        ("truncated", "out.h5: cut off"),
        ("empty", "out.h5: is empty"),
        ("folder", "out.h5: is a folder, not a state file"),
        ("text", "out.h5: is no state of tomokit"),
        ("hdf5", "out.h5: is HDF5, but no state of tomokit"),
        ("missing", "out.h5: there is no such file"),
        (
            "format",
            "out.h5: a state of format 1, but this version of tomokit reads format 2; continue it with tomokit 0.1",
        ),
        ("version", "out.h5: made by tomokit 0.0.9"),
        ("input", "tilts.mrc: is not the stack that out.h5 was made from"),
        ("angles", "is not the angles that out.h5 was made from"),
        ("no input", "out.h5: the stack is neither at"),
    ],
)
def test_a_state_that_cannot_be_used_is_refused_in_one_line(cli: Cli, finished: Path, how: str, words: str) -> None:
    spoil(finished, how)
    before = {path.name: path.is_file() and path.read_bytes() for path in finished.parent.iterdir()}
    status, out, err = cli("resume", finished)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert words in err
    assert {path.name: path.is_file() and path.read_bytes() for path in finished.parent.iterdir()} == before


def test_a_damaged_state_is_told_and_the_one_before_continued(cli: Cli, data: Path) -> None:
    assert cli(*arguments(data, "out", 3, "--state-epochs", 1))[0] == 0
    shutil.move(data / "out.mrc", data / "expected.mrc")
    (data / "out.provenance.json").unlink()
    spoil(data / "out.h5", "bit")
    status, _, err = cli("resume", data / "out.h5")
    assert status == 0
    assert err.count("\n") == 1
    assert f"{data / 'out.h5'}: damaged" in err
    assert f"{data / 'out.previous.h5'}, epoch 2 of 3" in err
    assert (data / "out.mrc").read_bytes() == (data / "expected.mrc").read_bytes()


def test_a_state_may_stand_in_a_configuration(cli: Cli, data: Path) -> None:
    (data / "c.toml").write_text('state = "out.h5"\nstate-epochs = 2\n[options]\nepochs = 4\n')
    words = ["reconstruct", data / "tilts.mrc", "-o", data / "out.mrc", "--thickness", 16, "--config", data / "c.toml"]
    status, out, _ = cli(*words, "--method", "sart", "--set", "epochs=4", "--json")
    assert status == 0
    assert json.loads(out)["state"] == str(data / "out.h5")
    assert json.loads(out)["checkpoints"]["written"] == 3
    for path in (data / "out.mrc", data / "out.png", data / "out.provenance.json"):
        path.unlink()
    status, _, err = cli(*words, "--method", "sart")
    assert status == 2
    assert "out.h5: exists already; continue it by `tomokit resume`" in err
    assert "is an input of this job" in cli(*words, "--state", data / "c.toml", "--overwrite")[2]


def test_a_run_that_was_stopped_and_never_saved_says_so(data: Path) -> None:
    """No file may grow, as on a disk that is full: SIGTERM cannot promise a state that is not there."""
    words = ["-m", "tomokit", *arguments(data, "out", 4000)]
    process = warm_start.Started(words, file_bytes=100, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "the state after epoch 0 could not be saved (File too large)" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "stopped by SIGTERM" in err.splitlines()[-1]
    assert "no state to resume" in err.splitlines()[-1]
    assert sorted(path.name for path in data.iterdir()) == ["tilts.mrc", "tilts.tlt", "truth.mrc"]


def test_inspect_tells_what_a_state_is(cli: Cli, finished: Path) -> None:
    renamed = finished.rename(finished.with_name("state"))
    status, out, _ = cli("inspect", renamed, "--json")
    assert status == 0
    (facts,) = json.loads(out)["files"]
    assert (facts["kind"], facts["method"], facts["epoch"], facts["finished"]) == ("state", "sart-tv", 4, True)
    assert facts["arrays"]["density"] == "float32 [32, 16, 32]"
    assert facts["inputs"]["stack"] == hashlib.sha256((finished.parent / "tilts.mrc").read_bytes()).hexdigest()
    assert facts["previous"] is None
    spoil(renamed, "bit")
    status, out, err = cli("inspect", renamed)
    assert (status, out) == (2, "")
    assert "state: damaged" in err
    assert err.count("\n") == 1


def test_export_on_the_command_line(cli: Cli, finished: Path) -> None:
    output = finished.with_name("e.mrc")
    status, out, _ = cli("export", finished, output, "--box=-2:6,0:32,4:8", "--spacing", 5, "--json")
    assert status == 0
    summary = json.loads(out)
    assert (summary["shape"], summary["origin_angstrom"]) == ([16, 64, 8], [37.5, -2.5, -22.5])
    status, _, err = cli("export", finished, output)
    assert (status, err) == (2, f"tomokit: {output}: exists already; give --overwrite to replace it\n")
    assert cli("export", finished, output, "--overwrite")[0] == 0
