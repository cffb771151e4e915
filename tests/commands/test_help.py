"""Help by every name, and completion of what is typed, in the shells that there are."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import warm_start

Cli = Callable[..., tuple[int, str, str]]
COMMANDS = (
    "simulate",
    "inspect",
    "reconstruct",
    "resume",
    "export",
    "project",
    "compare",
    "contrast",
    "fsc",
    "tune",
    "help",
    "plugins",
)
BELOW = (("plugins", "list"), ("plugins", "check"), ("plugins", "new"))


@pytest.mark.parametrize("words", [(), *((name,) for name in COMMANDS), *BELOW])
def test_help_is_the_same_by_every_name(cli: Cli, words: tuple[str, ...]) -> None:
    status, out, err = cli(*words, "--help")
    assert (status, err) == (0, "")
    assert "-h, --help" in out
    assert out.startswith(f"Usage: {' '.join(('tomokit', *words))} ")
    assert cli(*words, "-h") == (0, out, "")
    if words != ("help",):
        assert cli("help", *words) == (0, out, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("recontruct",),
            "tomokit: tomokit: no command 'recontruct'; did you mean reconstruct? choose from simulate, ",
        ),
        (("plugins", "lst"), "tomokit: tomokit plugins: no command 'lst'; did you mean list? choose from list, "),
        (("inspect", "more"), "tomokit: tomokit inspect: no command 'more'; it has none below it"),
    ],
)
def test_help_of_what_does_not_exist(cli: Cli, words: tuple[str, ...], said: str) -> None:
    status, out, err = cli("help", *words)
    assert (status, out) == (2, "")
    assert err.startswith(said)


def completed(words: str) -> list[str]:
    """What bash is offered at the end of a command line."""
    parts = words.split(" ")
    environment = {**os.environ, "_TOMOKIT_COMPLETE": "complete_bash", "COMP_WORDS": words,
                   "COMP_CWORD": str(len(parts) - 1)}  # fmt: skip
    code = "from tomokit.commands.app import main; main()"
    done = warm_start.run(["-c", code], env=environment)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("tomokit rec", {"reconstruct"}),
        ("tomokit plugins ", {"list", "check", "new"}),
        ("tomokit reconstruct a.mrc --pix", {"--pixel-size"}),
        ("tomokit reconstruct a.mrc --method s", {"sirt", "sart", "sart-tv"}),
        ("tomokit reconstruct a.mrc --preset paper", {"paper-real", "paper-synthetic"}),
        ("tomokit reconstruct a.mrc --backend c", {"cpu", "cuda"}),
        ("tomokit reconstruct a.mrc --method wbp --set ", {"filter=", "cutoff=", "iterations="}),
        ("tomokit reconstruct a.mrc --set regularizers.tv.w", {"regularizers.tv.weight="}),
        ("tomokit plugins check cn", {"cnlc"}),
    ],
)
def test_the_tab_key_completes(words: str, offered: set[str]) -> None:
    assert set(completed(words)) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_shown_and_installed(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    status, script, err = cli("--show-completion", shell)
    assert (status, err) == (0, "")
    assert f"_TOMOKIT_COMPLETE=complete_{shell}" in script
    if shutil.which(shell):
        assert subprocess.run([shell, "-n", "-c", script], check=False).returncode == 0
    monkeypatch.setenv("HOME", str(tmp_path))
    status, out, _ = cli("--install-completion", shell)
    assert status == 0
    path = Path(out.split(" is in ")[1].split(" and ")[0].split(";")[0])
    assert path.is_relative_to(tmp_path)
    assert script.strip() == path.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("option", ["--show-completion", "--install-completion"])
def test_a_shell_that_there_is_no_completion_for(cli: Cli, option: str) -> None:
    status, out, err = cli(option, "tcsh")
    assert (status, out) == (2, "")
    assert err == f"tomokit: {option}: 'tcsh' is no shell that it is for; choose from bash, zsh, fish\n"
