"""Outputs are complete or absent."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tomokit.errors import OutputError
from tomokit.io import new_file, write_json, write_text


def test_a_file_gets_its_name_only_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    with new_file(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent == target.parent
    assert target.read_text() == "half"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def write() -> None:
        with new_file(tmp_path / "out.txt") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")

    def write() -> None:
        with new_file(target, overwrite=True) as temporary:
            temporary.write_text("new")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_existing_output_is_refused_with_its_remedy(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(OutputError, match=r"out\.txt: exists already; give --overwrite"):
        write_text(target, "new")
    assert target.read_text() == "old"
    write_text(target, "new", overwrite=True)
    assert target.read_text() == "new"


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"

    def write() -> None:
        with new_file(target) as temporary:
            temporary.write_text("ours")
            target.write_text("theirs")

    with pytest.raises(OutputError, match="exists already"):
        write()
    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"there is no folder .*nowhere; make it first"):
        write_text(tmp_path / "nowhere" / "out.txt", "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "/dev/full", "a\0b"])
def test_names_that_are_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError):
        write_text(name if name.startswith("/") else f"{tmp_path}/{name}", "x", overwrite=True)


def test_a_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    write_text(link, "new", overwrite=True)
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_json_round_trip_and_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"å": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"å": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_a_failure_of_reading_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="input"), new_file(tmp_path / "out.txt"):
        (tmp_path / "input").read_bytes()


@pytest.mark.parametrize("limit", [600, 1024, 5000, 1 << 16])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    """A real limit on the size of a file, at several places in header and pixels."""
    program = f"""
import resource, sys
import numpy as np
from tomokit.data import Volume
from tomokit.errors import OutputError
from tomokit.io import write_volume
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {resource.RLIM_INFINITY}))
try:
    write_volume({str(tmp_path / "out.mrc")!r}, Volume(np.ones((8, 64, 64), np.float32)))
except OutputError as error:
    print(error)
    sys.exit(2)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert "no room on the disk" in done.stdout
    assert "out.mrc" in done.stdout
    assert list(tmp_path.iterdir()) == []
