"""What the user is told of compilation: that it takes place, and where machine code cannot be kept."""

from __future__ import annotations

from collections.abc import Callable

COMPILING = "compiling machine code, once per installation; this may take a minute"
"""Said when the first function has to be compiled."""

_listeners: list[Callable[[str], None]] = []
_said: set[str] = set()


def listen(listener: Callable[[str], None]) -> None:
    """Let a function hear what is said of compilation from now on; without any, nothing is told.

    Parameters
    ----------
    listener : callable
        Takes one line of text.
    """
    _listeners.append(listener)


def say(text: str) -> None:
    """Tell a line to those who listen, once in a process.

    Parameters
    ----------
    text : str
        One line.
    """
    if text not in _said:
        _said.add(text)
        for listener in _listeners:
            listener(text)
