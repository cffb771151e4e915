"""The command line itself: start-up, errors in one line, exit statuses, commands of plugins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import pytest
import typer

from tomokit import __version__
from tomokit.errors import InputError
from tomokit.plugin.command import Command
from tomokit.plugin.manager import get_registry
from tomokit.plugin.registry import Entry

Cli = Callable[..., tuple[int, str, str]]
COMMANDS = ("simulate", "inspect", "reconstruct", "project", "compare", "plugins")
HEAVY = ("numpy", "numba", "scipy", "matplotlib", "h5py", "mrcfile", "pandas", "pydantic", "rich")


def heavy_after(*arguments: str) -> list[str]:
    """The heavy modules, and the plugin manager, that are imported once the command line has run in a new process."""
    names = (*HEAVY, "tomokit.plugin.manager")
    code = (
        "import sys\nfrom tomokit.commands.app import run\n"
        f"assert run({list(arguments)!r}) == 0\n"
        f"print(*(name for name in {names!r} if name in sys.modules), sep=',')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *shown, last = done.stdout.splitlines()
    assert shown
    return [name for name in last.split(",") if name]


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_nothing_heavy_is_imported_at_start(argument: str) -> None:
    assert heavy_after(argument) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_heavy_is_imported_for_the_help_of_a_command(command: str) -> None:
    # Typer itself takes pydantic, to read a command's parameters; nothing of ours may.
    assert set(heavy_after(command, "--help")) <= {"pydantic"}


def test_what_is_heavy_is_seen_where_it_is_used() -> None:
    assert "tomokit.plugin.manager" in heavy_after("plugins", "list")


def test_help_lists_the_commands(cli: Cli) -> None:
    status, out, _ = cli("--help")
    assert status == 0
    for name in COMMANDS:
        assert f"\n  {name} " in out


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "plugins"])
def test_every_command_takes_json(cli: Cli, command: str) -> None:
    assert "--json" in cli(command, "--help")[1]


def test_python_m_tomokit_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "tomokit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"tomokit {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("reconstruct",),
        ("reconstruct", "a.mrc"),
        ("recontruct", "a.mrc"),
        ("inspect",),
        ("inspect", "--wrong"),
        ("reconstruct", "a.mrc", "-o", "b.mrc", "--thickness", "much"),
        ("plugins", "lst"),
        ("--wrong",),
    ],
)
def test_usage_errors_are_one_line_and_status_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    status, out, err = cli(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("tomokit: ")


class TestPluginCommands:
    @pytest.fixture(autouse=True)
    def registered(self) -> Iterator[None]:
        def greet(
            name: Annotated[str, typer.Argument()], loud: Annotated[bool, typer.Option("--loud")] = False
        ) -> None:
            """Greet someone."""
            if name == "nobody":
                raise InputError("there is nobody", field="NAME", remedy="name someone")
            if name == "memory":
                raise MemoryError("Unable to allocate")
            if name == "stop":
                raise KeyboardInterrupt
            if name == "disk":
                raise OSError(28, "No space left on device", "/there")
            typer.echo(f"hello {name}{'!' if loud else ''}")

        get_registry.cache_clear()
        get_registry().add(Entry.of("command", Command("greet", "greets someone", greet), "tests", "0"))
        yield
        get_registry.cache_clear()

    def test_a_command_of_a_plugin_runs(self, cli: Cli) -> None:
        assert cli("greet", "you", "--loud") == (0, "hello you!\n", "")
        assert "Greet someone." in cli("greet", "--help")[1]

    def test_it_is_listed(self, cli: Cli) -> None:
        assert "greets someone" in cli("plugins", "list")[1]

    @pytest.mark.parametrize(
        ("name", "status", "said"),
        [
            ("nobody", 2, "tomokit: NAME: there is nobody; name someone\n"),
            ("memory", 2, "tomokit: out of memory (Unable to allocate); give a smaller volume\n"),
            ("disk", 2, "tomokit: /there: no room on the disk; free some space or choose another disk\n"),
            ("stop", 130, "tomokit: interrupted\n"),
        ],
    )
    def test_errors_are_one_line_with_their_status(self, cli: Cli, name: str, status: int, said: str) -> None:
        assert cli("greet", name) == (status, "", said)

    def test_a_fault_of_a_plugin_is_listed(self, cli: Cli) -> None:
        get_registry().refuse("broken-dist", ImportError("no module named lost"))
        assert "not loaded: plugin of broken-dist: ImportError: no module named lost" in cli("plugins", "list")[1]
