"""What of a report could be found out, and what could not: one part that is missing leaves the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tomokit.errors import TomokitError, printable

T = TypeVar("T")

_OF_STRANGE_FILES = (OSError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError)
"""What libraries raise for files that are not what they look like."""


@dataclass
class Attempts:
    """Collects what is missing and what gives doubt, in words.

    Attributes
    ----------
    missing : list of str
        Parts that are not there, each with the reason.
    warnings : list of str
        What the reader should know of what is there.
    """

    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def run(self, what: str, find: Callable[[], T]) -> T | None:
        """Find something out; where that fails, it is missing.

        Parameters
        ----------
        what : str
            What it is, as the beginning of a line.
        find : callable
            Finds it.

        Returns
        -------
        object or None
            What `find` gave; None if it could not.
        """
        try:
            return find()
        except TomokitError as error:
            self.lack(what, str(error))
        except MemoryError:
            self.lack(what, "there is not enough memory for it")
        except _OF_STRANGE_FILES as error:
            self.lack(what, f"{type(error).__name__}: {error}")
        return None

    def lack(self, what: str, reason: str) -> None:
        """Say that something is missing.

        Parameters
        ----------
        what, reason : str
        """
        self.missing.append(printable(" ".join(f"{what}: {reason}".split())))

    def warn(self, text: str) -> None:
        """Say what gives doubt, once.

        Parameters
        ----------
        text : str
        """
        line = printable(" ".join(text.split()))
        if line not in self.warnings:
            self.warnings.append(line)
