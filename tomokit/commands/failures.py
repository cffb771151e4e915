"""How an error ends the program: one line on stderr, with ``--json`` one object on stdout, and an exit status."""

from __future__ import annotations

import errno
from typing import Any

import typer

from tomokit.commands.output import complain, error_facts, give_up_stdout, show_error
from tomokit.errors import TomokitError
from tomokit.io.durable import NO_ROOM

FAULT, MENDABLE, INTERRUPTED = 1, 2, 130
_READER_IS_GONE = 0


def end_by(error: BaseException, as_json: bool, interrupted: bool = False) -> int:
    """Tell of the error that ends a command, and give the exit status; a fault of tomokit is raised again.

    Parameters
    ----------
    error : BaseException
        What was raised.
    as_json : bool
        Whether stdout is to have the error as an object.
    interrupted : bool
        Whether an interrupt has come. Any error after one counts as the interrupt: it may be a library's way of
        reporting it.

    Returns
    -------
    int
        The exit status.
    """
    if interrupted or isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return _tell(error, "interrupted", INTERRUPTED, as_json, "Interrupted")
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return _READER_IS_GONE
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)  # type: ignore[attr-defined]
        return MENDABLE
    if _is_of_stdout(error):
        give_up_stdout()
    line = _mendable(error)
    if line is None:
        if as_json:
            line = f"a fault of tomokit: {type(error).__name__}: {error}"
            show_error(error_facts(error, type(error).__name__, line, FAULT))
        raise error
    return _tell(error, line, MENDABLE, as_json, kind_of(error))


def kind_of(error: BaseException) -> str:
    """The kind of an error as ``--json`` names it.

    Parameters
    ----------
    error : BaseException
        What the user can mend.

    Returns
    -------
    str
        The class of :mod:`tomokit.errors` that it is of, ``"UsageError"`` for what the parser refuses, or the name of
        Python's own class.
    """
    if isinstance(error, TomokitError):
        return next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == TomokitError.__module__)
    return "UsageError" if hasattr(error, "format_message") else type(error).__name__


def _tell(error: BaseException, line: str, status: int, as_json: bool, kind: str) -> int:
    if as_json:
        show_error(error_facts(error, kind, line, status))
    complain(line)
    return status


def _mendable(error: BaseException) -> str | None:
    """What is wrong and what to do about it, in one line; None if the user can do nothing."""
    if isinstance(error, TomokitError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"out of memory{f' ({error})' if str(error) else ''}; give a smaller volume"
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        if _is_of_stdout(error):
            return f"standard output: cannot be written ({error.strerror})"
        return f"{error.filename}: no room on the disk; free some space or choose another disk"
    # Usage errors of the parser, whichever library Typer builds on.
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        context = getattr(error, "ctx", None)
        pointer = f" (see `{context.command_path} --help`)" if context is not None else ""
        return f"{_usage(error, context)}{pointer}"
    return None


def _is_of_stdout(error: BaseException) -> bool:
    """Whether there was no room for what stdout got: files are written by name, but for a plugin that knows better."""
    return isinstance(error, OSError) and error.errno in NO_ROOM and not error.filename


def _usage(error: Any, context: Any) -> str:
    """What the parser says, and what an option that does not exist may have been meant for."""
    unknown = getattr(error, "option_name", None)
    if type(error).__name__ != "NoSuchOption" or not unknown or context is None:
        said: str = error.format_message()
        return said
    from tomokit.plugin.near import near_names

    own = [spelt for parameter in context.command.params for spelt in parameter.opts if spelt.startswith("--")]
    settings = _settings() if "--set" in own else []
    asked = unknown.strip("-").replace("-", "_")
    if asked in settings:
        hint = f"; it is an option of methods: give --set {asked}=VALUE"
    else:
        near = near_names(unknown, own) or [f"--set {name}=VALUE" for name in near_names(unknown, settings)]
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no option {unknown}{hint}"


def _settings() -> list[str]:
    """What the methods have for ``--set``."""
    import dataclasses

    from tomokit.plugin.manager import get_registry

    methods = get_registry().entries(("method",))
    return sorted({item.name for method in methods for item in dataclasses.fields(method.target.Options)})
