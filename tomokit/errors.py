"""Errors that a user can cause, each told in one line: what is wrong, where, and what to do."""

from __future__ import annotations

from os import PathLike, fspath


def printable(text: str) -> str:
    r"""Write out what a terminal would obey or could not show: control characters, escape sequences, damaged names.

    Parameters
    ----------
    text : str
        One line; what it quotes may come from a file or a file's name.

    Returns
    -------
    str
        With ``\x1b`` and the like in place of characters that are not printable.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class TomokitError(Exception):
    """Base of every error that the command line prints as one line and answers with exit status 2.

    Parameters
    ----------
    problem : str
        What is wrong, as a sentence without a full stop.
    file : path-like, optional
        The file that is at fault, as the user named it.
    field : str, optional
        The header field, line, option or array in which the fault lies.
    remedy : str, optional
        What the user can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | PathLike[str] | None = None,
        field: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else fspath(file)
        self.field = field
        self.remedy = remedy
        super().__init__(problem)

    def __str__(self) -> str:
        place = ": ".join(name for name in (self.file, self.field) if name)
        line = f"{place}: {self.problem}" if place else self.problem
        if self.remedy:
            line = f"{line}; {self.remedy}"
        # A line feed in a file name or in a library's message must not make two lines of it.
        return printable(" ".join(line.split()))


class InputError(TomokitError):
    """A file or an array that cannot be used as it is."""


class OptionError(TomokitError):
    """An option, or a combination of options, that makes no sense."""


class OutputError(TomokitError):
    """An output that exists already, cannot be written, or did not fit on the disk."""


class ResourceError(TomokitError):
    """The job needs more memory, or another device, than this machine has."""


class PluginError(TomokitError):
    """A plugin that is missing, broken, or registers a name that is taken."""
