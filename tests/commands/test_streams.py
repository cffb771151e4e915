"""What is said where: standard streams that are closed or full, empty arguments, no arguments at all."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import warm_start

Cli = Callable[..., tuple[int, str, str]]
Done = subprocess.CompletedProcess[str]
FULL = Path("/dev/full")


def tomokit(data: Path, line: str, *, full: bool = False, closed: tuple[int, ...] = ()) -> Done:
    """Run a command line in the folder of the data, with stdout on a full disk, or streams that are closed."""
    words = ["-m", "tomokit", *line.split()]
    if not full:
        return warm_start.run(words, cwd=data, closed=closed)
    with FULL.open("w") as stdout:
        return warm_start.run(words, cwd=data, stdout=stdout)


SIRT = "reconstruct tilts.mrc -o out.mrc --method sirt --thickness 8 --set epochs=1"


def test_a_closed_stderr_is_no_terminal(data: Path) -> None:
    done = tomokit(data, f"{SIRT} --json", closed=(2,))
    assert done.returncode == 0
    assert json.loads(done.stdout)["epochs"] == 1


def test_an_error_never_goes_to_stdout(data: Path) -> None:
    done = tomokit(data, "inspect lost.mrc", closed=(2,))
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this machine")
@pytest.mark.parametrize(
    ("line", "complete"),
    [
        (SIRT, "; out.mrc, out.png are complete"),
        pytest.param(
            "project truth.mrc --angles tilts.tlt -o out.mrc", "; out.mrc is complete", marks=pytest.mark.long
        ),
        ("inspect tilts.tlt", ""),
    ],
)
def test_a_full_stdout_is_told_apart_from_a_full_disk(data: Path, line: str, complete: str) -> None:
    done = tomokit(data, line, full=True)
    said = "tomokit: standard output: the report cannot be written (No space left on device)"
    assert (done.returncode, done.stderr) == (2, f"{said}{complete}\n")
    assert (data / "out.mrc").exists() == bool(complete)


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this machine")
def test_help_to_a_full_stdout(data: Path) -> None:
    done = tomokit(data, "--help", full=True)
    said = "tomokit: standard output: cannot be written (No space left on device)\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize("arguments", [(), ("plugins",)])
def test_without_arguments_the_help_is_shown(cli: Cli, arguments: tuple[str, ...]) -> None:
    status, out, err = cli(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"Usage: {' '.join(('tomokit', *arguments))} ")
    assert "\nCommands:\n" in err
    assert err.rstrip("\n") == cli(*arguments, "--help")[1].rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("simulate", ""), ""),
        (("inspect", ""), ""),
        (("inspect", "tilts.tlt", ""), ""),
        (("reconstruct", "", "-o", "out.mrc"), ""),
        (("reconstruct", "tilts.mrc", "-o", ""), "-o: "),
        (("reconstruct", "tilts.mrc", "-o", "out.mrc", "--mask="), "--mask: "),
        (("reconstruct", "tilts.mrc", "-o", "out.mrc", "--config", ""), "--config: "),
        (("project", "truth.mrc", "--angles", "", "-o", "out.mrc"), "--angles: "),
        (("compare", "truth.mrc", "truth.mrc", "--preview", ""), "--preview: "),
    ],
)
def test_an_empty_argument_is_refused(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], field: str
) -> None:
    monkeypatch.chdir(data)
    before = sorted(data.iterdir())
    status, out, err = cli(*arguments)
    assert (status, out, err) == (2, "", f"tomokit: {field}an empty argument; give a value, or leave it out\n")
    assert sorted(data.iterdir()) == before


@pytest.mark.parametrize("output", [".", "..", "/"])
def test_a_folder_is_no_output(cli: Cli, data: Path, output: str) -> None:
    status, out, err = cli("reconstruct", data / "tilts.mrc", "-o", output, "--thickness", 8, "--method", "sirt")
    assert (status, out, err) == (2, "", f"tomokit: {output}: exists and is not a regular file; give another name\n")


def test_an_empty_path_in_a_configuration_is_refused(cli: Cli, data: Path) -> None:
    (data / "c.toml").write_text("mask = ''\n")
    status, _, err = cli("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", "--config", data / "c.toml")
    assert (status, err) == (2, f"tomokit: {data / 'c.toml'}: mask: '' is not a path\n")


def test_inspect_goes_on_after_a_bad_file(cli: Cli, data: Path) -> None:
    (data / "bad.mrc").write_bytes(b"\0" * 50)
    files = [data / name for name in ("lost.tlt", "tilts.tlt", "bad.mrc", "truth.mrc")]
    status, out, err = cli("inspect", *files, "--json")
    assert status == 2
    assert [one["file"] for one in json.loads(out)["files"]] == ["tilts.tlt", "truth.mrc"]
    first, second = err.splitlines()
    assert first.startswith(f"tomokit: {data / 'lost.tlt'}: ")
    assert second.startswith(f"tomokit: {data / 'bad.mrc'}: ")
