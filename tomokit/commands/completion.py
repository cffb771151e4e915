"""Completion in bash, zsh and fish: the options that install it, and what it completes besides commands and options.

The shells ask by the protocol of Typer (a variable ``_TOMOKIT_COMPLETE``), whose scripts are used too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.errors import OptionError, OutputError

SHELLS = ("bash", "zsh", "fish")
INSTALL, SHOW = "--install-completion", "--show-completion"
_THIS_SHELL = "this shell"
COMPLETING = "_TOMOKIT_COMPLETE"
"""The variable by which a shell asks for completions."""


def with_shell(arguments: list[str]) -> list[str]:
    """Give the options of this module the shell that is running, where none is named.

    Parameters
    ----------
    arguments : list of str
        Words after the program's name.

    Returns
    -------
    list of str
        The same, with a value after either option.
    """
    for place, word in enumerate(arguments[:1]):
        following = arguments[place + 1 : place + 2]
        if word in (INSTALL, SHOW) and not (following and not following[0].startswith("-")):
            return [*arguments[: place + 1], _THIS_SHELL, *arguments[place + 1 :]]
    return arguments


def _install(shell: str | None) -> None:
    """Write the script where the shell looks for it, and say where."""
    if shell is None:
        return
    from typer._completion_shared import install

    name = _checked(shell, INSTALL)
    try:
        path = install(shell=name, prog_name="tomokit", complete_var=COMPLETING)[1]
    except OSError as error:
        raise OutputError(
            f"completion cannot be installed ({error.strerror})",
            file=error.filename,
            remedy=f"put what `tomokit {SHOW} {name}` prints where {name} reads it",
        ) from error
    beside = f" and {Path.home() / '.bashrc'}" if name == "bash" else f" and {Path.home() / '.zshrc'}" * (name == "zsh")
    typer.echo(f"completion for {name} is in {path}{beside}; it takes effect in a new shell")
    raise typer.Exit


def _show(shell: str | None) -> None:
    """Print the script."""
    if shell is None:
        return
    from typer._completion_shared import get_completion_script

    name = _checked(shell, SHOW)
    typer.echo(get_completion_script(prog_name="tomokit", complete_var=COMPLETING, shell=name))
    raise typer.Exit


def _checked(shell: str, option: str) -> str:
    """The shell that is meant, if completion is offered for it."""
    remedy = f"choose from {', '.join(SHELLS)}"
    if shell == _THIS_SHELL:
        from typer._completion_shared import _get_shell_name

        found = _get_shell_name()
        if found is None:
            raise OptionError("it is not known which shell this is", field=option, remedy=remedy)
        shell = found
    if shell not in SHELLS:
        raise OptionError(f"{shell!r} is no shell that it is for", field=option, remedy=remedy)
    return shell


InstallCompletion = Annotated[
    str | None,
    typer.Option(
        INSTALL,
        metavar="[SHELL]",
        callback=_install,
        is_eager=True,
        show_default=False,
        help=f"Install completion for {', '.join(SHELLS)}; by default for the shell that this is.",
    ),
]
ShowCompletion = Annotated[
    str | None,
    typer.Option(
        SHOW,
        metavar="[SHELL]",
        callback=_show,
        is_eager=True,
        show_default=False,
        help="Print that completion, to install it otherwise.",
    ),
]


def enable() -> None:
    """Make the shells known that ask by ``_TOMOKIT_COMPLETE``."""
    from typer._completion_classes import completion_init

    completion_init()


def methods(incomplete: str) -> list[tuple[str, str]]:
    """Names of methods that begin so, with their summaries.

    Parameters
    ----------
    incomplete : str
        What has been typed.

    Returns
    -------
    list of tuple of str
    """
    return _entries(("method",), incomplete)


def plugins(incomplete: str) -> list[tuple[str, str]]:
    """Names of all that is registered and begins so, with their summaries.

    Parameters
    ----------
    incomplete : str
        What has been typed.

    Returns
    -------
    list of tuple of str
    """
    return _entries(("method", "regularizer", "optimizer", "reader", "command"), incomplete)


def presets(incomplete: str) -> list[str]:
    """Names of presets that begin so.

    Parameters
    ----------
    incomplete : str
        What has been typed.

    Returns
    -------
    list of str
    """
    from tomokit.pipeline.config import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


def settings(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Options of the method that is chosen, for ``--set``, with the sign that their values follow.

    Parameters
    ----------
    ctx : typer.Context
        The command line so far: its ``--method`` or ``--preset``.
    incomplete : str
        What has been typed.

    Returns
    -------
    list of tuple of str
    """
    from tomokit.errors import TomokitError
    from tomokit.pipeline.config import options_below, read_preset
    from tomokit.plugin.manager import get_registry
    from tomokit.plugin.options import describe_options

    try:
        name = ctx.params.get("method") or read_preset(ctx.params.get("preset") or "default")["method"]
        method: Any = get_registry().get("method", name)
    except TomokitError:
        return []
    own = [(f"{one['name']}=", str(one["help"])) for one in describe_options(method.Options)]
    below = [(f"{name}=", "") for name in options_below(method)]
    tables = ("regularizers=", "optimizers=")
    return [(name, help) for name, help in own + below if name.startswith(incomplete) and name not in tables]


def one_of(*words: str) -> Any:
    """Make the completion of an option that has a few values.

    Parameters
    ----------
    *words : str
        The values.

    Returns
    -------
    callable
        For Typer's ``autocompletion``.
    """

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _entries(kinds: tuple[str, ...], incomplete: str) -> list[tuple[str, str]]:
    from tomokit.plugin.manager import get_registry

    entries = get_registry().entries(kinds)
    return [(entry.name, entry.summary) for entry in entries if entry.name.startswith(incomplete)]
