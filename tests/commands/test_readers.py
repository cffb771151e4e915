"""Angles, views and inputs as a user gives them on the command line."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tomokit.io import read_stack, read_volume, write_stack

Cli = Callable[..., tuple[int, str, str]]
# The last of them is left off where a refusal is expected as a line.
WBP = ("--method", "wbp", "--thickness", 16, "--no-preview", "--json")


def _density(path: Path) -> np.ndarray:
    return np.array(read_volume(path).density)


def test_angles_by_range_are_those_of_the_file(cli: Cli, data: Path) -> None:
    basis = ("reconstruct", data / "tilts.mrc", *WBP)
    assert cli(*basis, "-o", data / "a.mrc")[0] == 0
    status, out, err = cli(*basis, "-o", data / "b.mrc", "--angles=-60:60:6")
    assert (status, err) == (0, "")
    assert json.loads(out)["parameters"]["angles"] == "-60:60:6"
    np.testing.assert_array_equal(_density(data / "a.mrc"), _density(data / "b.mrc"))
    status, _, err = cli(*basis, "-o", data / "c.mrc", "--angles=-60:60:3")
    assert (status, err.count("\n")) == (2, 1)
    assert "makes 41 angles, but tilts.mrc has 21 views" in err
    assert not (data / "c.mrc").exists()
    status, _, err = cli(*basis, "-o", data / "c.mrc", "--angles", "header")
    assert (status, "there is no extended header" in err) == (2, True)


def test_a_range_comes_from_a_configuration_file_too(cli: Cli, data: Path) -> None:
    config = data / "c.toml"
    config.write_text('angles = "-60:60:6"\nexclude_from_1 = [1, 21]\n')
    status, out, _ = cli("reconstruct", data / "tilts.mrc", *WBP, "-o", data / "a.mrc", "--config", config)
    assert status == 0
    views = json.loads(out)["views"]
    assert (views["excluded"], views["excluded_from_1"], views["fitted"]) == ([0, 20], [1, 21], list(range(1, 20)))


def test_a_run_with_a_range_is_resumed(cli: Cli, data: Path) -> None:
    basis = ("reconstruct", data / "tilts.mrc", "--method", "sirt", "--thickness", 8, "--no-preview", "--json")
    both = (*basis, "--angles=-60:60:6", "--exclude-from-1", "2")
    assert cli(*both, "-o", data / "a.mrc", "--set", "epochs=1", "--state", data / "run.h5")[0] == 0
    status, out, _ = cli("resume", data / "run.h5", "-o", data / "b.mrc", "--epochs", 2, "--json")
    assert status == 0
    assert json.loads(out)["views"]["excluded"] == [1]
    assert cli(*both, "-o", data / "c.mrc", "--set", "epochs=2")[0] == 0
    np.testing.assert_array_equal(_density(data / "b.mrc"), _density(data / "c.mrc"))


def test_views_are_left_out_by_either_count(cli: Cli, data: Path) -> None:
    basis = ("reconstruct", data / "tilts.mrc", "--method", "wbp", "--thickness", 16, "--no-preview")
    status, out, _ = cli(*basis, "-o", data / "a.mrc", "--exclude", "0,3,7-9")
    assert status == 0
    assert "views left out: 0, 3, 7, 8, 9 (counted from 1: 1, 4, 8, 9, 10)" in out
    assert cli(*basis, "-o", data / "b.mrc", "--exclude-from-1", "1,4,8-10")[0] == 0
    np.testing.assert_array_equal(_density(data / "a.mrc"), _density(data / "b.mrc"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--exclude-from-1", "0"), "--exclude-from-1: there is no view 0 among 21; count from 1 to 21"),
        (("--exclude-from-1", "22"), "--exclude-from-1: there is no view 22 among 21; count from 1 to 21"),
        (("--exclude-from-1", "1-21"), "no view of 21 is left"),
        (("--exclude-from-1", "x"), "'x' is not a view; write such as 1,4,8-10"),
        (("--exclude-from-1", "9" * 5000), "there is no view 9999"),
        (("--exclude-from-1", "2", "--exclude", "2"), "--exclude-from-1: does not go with --exclude"),
    ],
)
def test_numbers_that_are_no_views(cli: Cli, data: Path, options: tuple[str, ...], message: str) -> None:
    status, out, err = cli("reconstruct", data / "tilts.mrc", *WBP[:-1], "-o", data / "a.mrc", *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert len(err) < 400


def test_projections_by_range(cli: Cli, data: Path) -> None:
    status, out, _ = cli("project", data / "truth.mrc", "--angles=-30:30:30", "-o", data / "p.mrc", "--json")
    assert status == 0
    assert json.loads(out)["tilt_deg"] == [-30, 0, 30]


@pytest.mark.parametrize("role", ["stack", "--angles", "--mask", "--xf", "--config"])
def test_a_pipe_as_any_input_is_refused_at_once(cli: Cli, data: Path, role: str) -> None:
    pipe = data / "pipe"
    os.mkfifo(pipe)
    stack = pipe if role == "stack" else data / "tilts.mrc"
    options = () if role == "stack" else (role, pipe)
    status, _, err = cli("reconstruct", stack, *WBP[:-1], "-o", data / "a.mrc", *options)
    assert status == 2
    assert "pipe: cannot be read: it is a named pipe, not a file" in err.splitlines()[-1]


@pytest.mark.parametrize("words", [("inspect",), ("resume",), ("compare", "{truth}")])
def test_a_pipe_given_to_other_commands(cli: Cli, data: Path, words: tuple[str, ...]) -> None:
    pipe = data / "pipe.h5"
    os.mkfifo(pipe)
    arguments = [word.format(truth=data / "truth.mrc") for word in words]
    status, _, err = cli(*arguments, pipe)
    assert (status, err.count("\n")) == (2, 1)
    assert "pipe" in err


def test_escape_sequences_of_names_and_labels_do_not_reach_the_terminal(cli: Cli, data: Path) -> None:
    path = data / "a\x1b[31m\x07.mrc"
    write_stack(path, np.random.default_rng(1).normal(100, 9, (3, 16, 16)).astype(np.float32))
    status, out, err = cli("inspect", path, data / "none\x1b[2J.mrc")
    assert status == 2
    assert r"file: a\x1b[31m\x07.mrc" in out
    assert r"none\x1b[2J.mrc" in err
    assert "\x1b" not in out + err
    np.savetxt(data / "a.tlt", [-30, 0, 30])
    words = ("reconstruct", path, *WBP, "-o", data / "o\x1b[2J.mrc", "--angles", data / "a.tlt", "--progress", "lines")
    status, out, err = cli(*words, "--linearization", "log")
    assert status == 0
    assert r"a\x1b[31m\x07.mrc" in err
    assert "\x1b" not in out + err


def test_a_gzip_file_that_cannot_hold_its_stack_is_refused_at_once(cli: Cli, data: Path) -> None:
    raw = bytearray((data / "tilts.mrc").read_bytes())
    raw[:12] = np.array([100_000, 100_000, 1000], "<i4").tobytes()
    path = data / "bomb.mrc.gz"
    path.write_bytes(gzip.compress(bytes(raw)))
    for words in (("inspect", path), ("reconstruct", path, *WBP, "-o", data / "a.mrc", "--angles", data / "tilts.tlt")):
        status, _, err = cli(*words)
        assert status == 2
        assert "bytes of gzip cannot hold" in err


def test_a_compressed_stack_that_does_not_fit_in_memory_is_refused(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data / "tilts.mrc.gz"
    path.write_bytes(gzip.compress((data / "tilts.mrc").read_bytes()))
    assert cli("inspect", path)[0] == 0
    monkeypatch.setattr("tomokit.pipeline.memory.available_bytes", lambda *_: 1000)
    status, _, err = cli("inspect", path)
    assert status == 2
    assert "opening it needs about 84.0 KiB of memory, 1000 bytes is available; decompress it" in err


def test_upper_case_names_are_read(cli: Cli, data: Path) -> None:
    assert cli("reconstruct", data / "tilts.mrc", *WBP, "-o", data / "a.mrc")[0] == 0
    (data / "tilts.mrc").rename(data / "TILTS.MRC")
    (data / "tilts.tlt").rename(data / "TILTS.TLT")
    assert cli("reconstruct", data / "TILTS.MRC", *WBP, "-o", data / "b.mrc")[0] == 0
    np.testing.assert_array_equal(_density(data / "a.mrc"), _density(data / "b.mrc"))
    assert read_stack(data / "TILTS.MRC").pixels.shape[0] == 21
