"""No output replaces a file that the job reads, whatever ``--overwrite`` says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., tuple[int, str, str]]
Kept = Callable[..., None]


@pytest.fixture
def kept(cli: Cli, data: Path) -> Kept:
    """Call a command with ``--overwrite``; it must be refused because of `name`, with every file as it was."""

    def call(name: str, *arguments: object) -> None:
        before = {path.name: path.read_bytes() for path in data.iterdir()}
        status, out, err = cli(*arguments, "--overwrite")
        assert (status, out) == (2, "")
        assert err == f"tomokit: {data / name}: is an input of this job; give another name\n"
        assert {path.name: path.read_bytes() for path in data.iterdir()} == before

    return call


def reconstruct(data: Path, output: str, *arguments: object) -> tuple[object, ...]:
    basis = ("reconstruct", data / "tilts.mrc", "-o", data / output, "--method", "sirt", "--thickness", 8)
    return (*basis, "--set", "epochs=1", *arguments)


@pytest.mark.parametrize("output", ["tilts.mrc", "tilts.tlt"])
def test_reconstruct_keeps_the_stack_and_the_angles_found_beside_it(kept: Kept, data: Path, output: str) -> None:
    kept(output, *reconstruct(data, output))


def test_reconstruct_keeps_its_configuration(kept: Kept, data: Path) -> None:
    (data / "c.toml").write_text("bin = 2\n")
    kept("c.toml", *reconstruct(data, "c.toml", "--config", data / "c.toml"))


@pytest.mark.parametrize("named", [False, True])
def test_a_preview_replaces_no_input(kept: Kept, data: Path, named: bool) -> None:
    """An input under the preview's name: angles called ``.png``, or a configuration."""
    (data / "out.png").write_bytes(b"" if named else (data / "tilts.tlt").read_bytes())
    kept("out.png", *reconstruct(data, "out.mrc", "--config" if named else "--angles", data / "out.png"))


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_another_name_of_an_input_is_that_input(kept: Kept, data: Path, link: Callable[..., None]) -> None:
    link(data / "tilts.tlt", data / "other")
    kept("other", *reconstruct(data, "other"))


@pytest.mark.parametrize("output", ["truth.mrc", "tilts.tlt"])
def test_project_keeps_volume_and_angles(kept: Kept, data: Path, output: str) -> None:
    kept(output, "project", data / "truth.mrc", "--angles", data / "tilts.tlt", "-o", data / output)


@pytest.mark.parametrize("preview", ["truth.mrc", "tilts.mrc"])
def test_compare_keeps_both_volumes(kept: Kept, data: Path, preview: str) -> None:
    kept(preview, "compare", data / "tilts.mrc", data / "truth.mrc", "--preview", data / preview)


def test_what_is_no_input_is_replaced(cli: Cli, data: Path) -> None:
    (data / "out.mrc").write_text("old")
    status, _, err = cli(*reconstruct(data, "out.mrc", "--overwrite"))
    assert (status, err) == (0, "")
    assert (data / "out.mrc").stat().st_size > 1024
