"""The command line: which commands there are, and how errors are reported.

Nothing heavy is imported at start: each command imports what it needs when it runs. Commands of plugins are looked for
only when a name is not one of tomokit's own, so that an installed plugin does not slow down ``--help``;
``tomokit plugins list`` shows them.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tomokit.commands import (
    compare,
    completion,
    contrast,
    export,
    fsc,
    inspect,
    mask,
    plugins,
    project,
    reconstruct,
    report,
    resume,
    simulate,
    tune,
    warm_up,
)
from tomokit.commands.completion import COMPLETING, InstallCompletion, ShowCompletion, with_shell
from tomokit.commands.environment import check_environment
from tomokit.commands.failures import INTERRUPTED, end_by
from tomokit.commands.interrupts import heeded_interrupts
from tomokit.commands.output import begin_report, complain
from tomokit.errors import OptionError, PluginError
from tomokit.kernels.notice import listen
from tomokit.version import __version__

_HELP_OPTIONS = {"-h", "--help"}


class _WithPlugins(TyperGroup):
    """The commands of tomokit, and those of plugins for a name that is not built in.

    Built-in commands take no empty argument: as a path it would be the working folder.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Take the words of the command line; completion may be asked for without naming a shell."""
        return super().parse_args(ctx, with_shell(args))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command's name, the command and its arguments, none of which is empty."""
        if args[0] in self.commands:
            for before, argument in pairwise(args):
                option, equals, value = argument.partition("=")
                if not argument or (option.startswith("--") and equals and not value):
                    field = option or (before if before.startswith("-") else None)
                    raise OptionError("an empty argument", field=field, remedy="give a value, or leave it out")
            if not _HELP_OPTIONS & set(args):
                check_environment()
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
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Reconstruct electron tomograms from a single-axis tilt series.",
    epilog="Plugins may bring further commands: see `tomokit plugins list`.",
)
app.command("simulate")(simulate.simulate)
app.command("inspect")(inspect.inspect)
app.command("mask")(mask.mask)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("resume")(resume.resume)
app.command("export")(export.export)
app.command("project")(project.project)
app.command("compare")(compare.compare)
app.command("contrast")(contrast.contrast)
app.command("fsc")(fsc.fsc)
app.command("report")(report.report)
app.command("tune")(tune.tune)
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
    install_completion: InstallCompletion = None,
    show_completion: ShowCompletion = None,
) -> None:
    pass


@app.command("help")
def show_help(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND]...", help="The command to be explained, such as `plugins new`."),
    ] = None,
) -> None:
    """Show the help of a command, as its --help does, or of tomokit as a whole."""
    from tomokit.plugin.near import did_you_mean

    context: Any = ctx.parent
    for name in command or []:
        group: Any = context.command
        known = group.list_commands(context) if hasattr(group, "list_commands") else []
        found = group.get_command(context, name) if hasattr(group, "get_command") else None
        if found is None:
            remedy = f"{did_you_mean(name, known)}choose from {', '.join(known)}" if known else "it has none below it"
            raise OptionError(f"no command {name!r}", field=context.command_path, remedy=remedy)
        context = type(context)(found, info_name=name, parent=context)
    typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process.

    The exit status is 0 when all is done, 2 for what the user can mend (told in one line on stderr), 75 for a job that
    was stopped and can be resumed from its state, and 130 for an interrupt. With ``--json`` what ends a command is one
    object on stdout too, with the key ``error``.

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
    begin_report()
    if COMPLETING in os.environ:
        completion.enable()
    try:
        status = _command().main(arguments, prog_name="tomokit", standalone_mode=False)
    except (KeyboardInterrupt, Exception) as error:
        return end_by(error, "--json" in arguments, interrupted())
    except SystemExit:
        # So the parser ends where the reader of a help text is gone, with a stdout that takes whatever is left.
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":
            return 0
        raise
    if status == INTERRUPTED:  # newer Typer catches the interrupt
        return end_by(KeyboardInterrupt(), "--json" in arguments)
    return status if isinstance(status, int) else 0


@functools.cache
def _command() -> Any:
    """The parser of all commands, which takes longer to build than most words to parse: once in a process."""
    return typer.main.get_command(app)
