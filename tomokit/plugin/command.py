"""The record of a command that a plugin brings to the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Command:
    """A command of a plugin, as registered by the hook ``tomokit_register_commands``.

    Attributes
    ----------
    name : str
        What a user types after ``tomokit``.
    summary : str
        One line for ``tomokit plugins list``.
    function : callable
        A function with Typer's annotations, whose docstring is the command's ``--help``. It raises
        :class:`tomokit.errors.TomokitError` for what the user can mend.
    """

    name: str
    summary: str
    function: Callable[..., Any]
