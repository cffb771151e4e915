"""README, documents and examples say what is so."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tomokit.pipeline.backend import BACKENDS
from tomokit.pipeline.config import build_request, preset_names
from tomokit.pipeline.request import ReconstructionRequest

ROOT = Path(__file__).resolve().parents[2]
Cli = Callable[..., tuple[int, str, str]]


def blocks() -> list[str]:
    return re.findall(
        r"^```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )


def test_the_first_two_blocks_are_one_line_each_and_ci_runs_the_second() -> None:
    first, second = blocks()[:2]
    assert first.count("\n") == second.count("\n") == 1
    assert second.strip() in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_commands_of_the_first_block_work_on_a_smaller_specimen(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [part.split()[1:] for part in blocks()[0].split("&&") if "bin/tomokit" in part]
    assert [command[0] for command in commands] == ["simulate", "reconstruct", "compare"]
    for command in commands:
        words = [{"48,128,128": "16,24,24", "48": "16"}.get(word, word) for word in command]
        assert cli(*words)[0] == 0
    assert {path.name for path in (tmp_path / "demo").glob("*.png")} == {"tomogram.png", "compare.png"}


@pytest.mark.parametrize("line", [line for block in blocks()[2:] for line in block.splitlines()])
def test_other_commands_of_the_readme_have_options_that_exist(cli: Cli, line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "tomokit"
    # The files are not there: any other complaint is about the command.
    status, _, err = cli(*words)
    assert status == 2
    assert "tilts" in err
    assert "--help" not in err


def test_every_option_of_reconstruct_is_documented() -> None:
    document = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for item in dataclasses.fields(ReconstructionRequest):
        if item.name not in ("stack", "output", "options", "preview"):
            assert f"--{item.name.replace('_', '-')}" in document
    for name in preset_names():
        assert f"`{name}`" in document


def test_every_option_of_every_command_is_documented(cli: Cli) -> None:
    document = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", document, flags=re.DOTALL | re.MULTILINE))
    for command in ("simulate", "reconstruct", "resume", "export", "project", "compare", "fsc", "tune"):
        options = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", cli(command, "--help")[1], flags=re.MULTILINE))
        assert len(options) > 3
        for option in options - {"--help", "--json"}:
            assert f"`{option}" in parts[command], f"{command} {option}"


def test_the_backends_are_the_same_in_help_document_and_error(cli: Cli) -> None:
    listed = "|".join(BACKENDS)
    assert f"--backend {listed}" in cli("reconstruct", "--help")[1]
    assert f"--backend {listed}" in (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").replace("\\|", "|")
    error = cli("reconstruct", "a.mrc", "-o", "b.mrc", "--backend", "gpu")[2]
    assert error.rstrip().endswith(f"choose from {', '.join(BACKENDS)}")


def test_the_configuration_in_the_document_is_taken(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)```", document, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "c.toml").write_text(example, encoding="utf-8")
    files = {"stack": Path("s.mrc"), "output": tmp_path / "o.mrc"}
    request = build_request(files, config=tmp_path / "c.toml")
    assert (request.hold_out, request.preview, request.exclude) == (20, False, "0,3,7-9")
    assert request.mask == tmp_path / "mask.mrc"
    assert request.options == {"epochs": 60}


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_map_names_every_folder_of_the_package() -> None:
    document = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    folders = [path.name for path in (ROOT / "tomokit").iterdir() if (path / "__init__.py").is_file()]
    assert len(folders) > 5
    for name in [*folders, "presets"]:
        assert f"`tomokit/{name}`" in document
