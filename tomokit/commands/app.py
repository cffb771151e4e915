"""The command line: which commands there are, and how errors are reported.

Nothing heavy is imported at start: each command imports what it needs when it runs. Commands of plugins are looked for
only when a name is not one of tomokit's own, so that an installed plugin does not slow down ``--help``;
``tomokit plugins list`` shows them.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tomokit.commands import compare, export, inspect, plugins, project, reconstruct, resume, simulate, warm_up
from tomokit.commands.interrupts import heeded_interrupts
from tomokit.commands.output import complain
from tomokit.errors import OptionError, PluginError, TomokitError
from tomokit.io.durable import NO_ROOM
from tomokit.kernels.notice import listen
from tomokit.version import __version__

_INTERRUPTED = 130


class _WithPlugins(TyperGroup):
    """The commands of tomokit, and those of plugins for a name that is not built in.

    Built-in commands take no empty argument: as a path it would be the working folder.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command's name, the command and its arguments, none of which is empty."""
        if args[0] in self.commands:
            for before, argument in pairwise(args):
                option, equals, value = argument.partition("=")
                if not argument or (option.startswith("--") and equals and not value):
                    field = option or (before if before.startswith("-") else None)
                    raise OptionError("an empty argument", field=field, remedy="give a value, or leave it out")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, built in or a plugin's; None if there is none."""
        built_in = super().get_command(ctx, cmd_name)
        if built_in is not None or cmd_name.startswith("-"):
            return built_in
        from tomokit.plugin.manager import get_registry

        try:
            command = get_registry().get("command", cmd_name)
        except PluginError:
            return None
        single = typer.Typer(rich_markup_mode=None, add_completion=False)
        single.command(cmd_name)(command.function)
        return typer.main.get_command(single)


app = typer.Typer(
    cls=_WithPlugins,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Reconstruct electron tomograms from a single-axis tilt series.",
    epilog="Plugins may bring further commands: see `tomokit plugins list`.",
)
app.command("simulate")(simulate.simulate)
app.command("inspect")(inspect.inspect)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("resume")(resume.resume)
app.command("export")(export.export)
app.command("project")(project.project)
app.command("compare")(compare.compare)
app.command("warm-up")(warm_up.warm_up)
app.add_typer(plugins.app, name="plugins")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tomokit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process.

    The exit status is 0 when all is done, 2 for what the user can mend (told in one line on stderr), 75 for a job that
    was stopped and can be resumed from its state, and 130 for an interrupt.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the program's name; by default those of the process.
    """
    listen(complain)
    with heeded_interrupts() as interrupted:
        status = run(sys.argv[1:] if arguments is None else list(arguments), interrupted)
    sys.exit(status)


def run(arguments: list[str], interrupted: Callable[[], bool] = lambda: False) -> int:
    """Run the command line without ending the process.

    Parameters
    ----------
    arguments : list of str
        Words after the program's name.
    interrupted : callable
        Whether an interrupt has come. Any error after one counts as the interrupt: it may be a library's way of
        reporting it.

    Returns
    -------
    int
        The exit status, see :func:`main`.
    """
    try:
        status = typer.main.get_command(app).main(arguments, prog_name="tomokit", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except Exception as error:
        return _INTERRUPTED if interrupted() else _report_error(error)
    return status if isinstance(status, int) else 0


def _report_error(error: Exception) -> int:
    """Tell in one line what the user can mend, and give the exit status; everything else is raised again."""
    if isinstance(error, TomokitError):
        return _report_mendable(str(error))
    if isinstance(error, MemoryError):
        return _report_mendable(f"out of memory{f' ({error})' if str(error) else ''}; give a smaller volume")
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return 1
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        if not error.filename:
            # Files are written by name, so this is most likely stdout; a command of a plugin may know better.
            return _report_mendable(f"standard output: cannot be written ({error.strerror})")
        return _report_mendable(f"{error.filename}: no room on the disk; free some space or choose another disk")
    # Usage errors of the parser, whichever library Typer builds on.
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message(), err=True)
            return 2
        return _report_mendable(f"{error.format_message()}{_pointer_to_help(error)}")
    raise error


def _pointer_to_help(usage_error: Exception) -> str:
    context = getattr(usage_error, "ctx", None)
    return f" (see `{context.command_path} --help`)" if context is not None else ""


def _report_mendable(line: str) -> int:
    complain(line)
    return 2
