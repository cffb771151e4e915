"""Running a list of checks to its end, and telling what failed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tomokit.errors import TomokitError
from tomokit.plugin.options import build_options
from tomokit.plugin.registry import Entry


class CheckError(AssertionError):
    """A plugin that does not do what its hook asks for; the message says what, a line for each failure."""


class NotTriedError(Exception):
    """Raised by a check that cannot be done here; the message says why."""


@dataclass(frozen=True)
class Check:
    """One thing to be checked.

    Attributes
    ----------
    name : str
        What holds if it passes, as a sentence.
    run : callable
        Raises :class:`CheckError` if it does not, :class:`NotTriedError` if it cannot be tried.
    """

    name: str
    run: Callable[[], None]


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes
    ----------
    name : str
        That of the check.
    problem : str or None
        What is wrong; None if it passed.
    cause : Exception or None
        What the plugin raised, if that is the problem.
    not_tried : str or None
        Why it was not tried, if it was not.
    """

    name: str
    problem: str | None = None
    cause: Exception | None = None
    not_tried: str | None = None


def run_checks(checks: Iterable[Check], tell: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Run all checks, whatever fails.

    Parameters
    ----------
    checks : iterable of Check
    tell : callable, optional
        Called with each outcome as it comes.
    """
    outcomes = []
    for check in checks:
        try:
            check.run()
            outcome = Outcome(check.name)
        except NotTriedError as error:
            outcome = Outcome(check.name, not_tried=str(error))
        except CheckError as error:
            outcome = Outcome(check.name, str(error))
        except Exception as error:  # whatever an author's code may raise is what the author wants to be told
            outcome = Outcome(check.name, f"it raises {type(error).__name__}: {error}", error)
        outcomes.append(outcome)
        if tell is not None:
            tell(outcome)
    return outcomes


def demand(checks: Iterable[Check], what: str) -> list[str]:
    """Run all checks; the names of what was checked, without what could not be tried.

    Raises
    ------
    CheckError
        If any failed, listing them all.
    """
    outcomes = run_checks(checks)
    failed = [outcome for outcome in outcomes if outcome.problem is not None]
    if failed:
        lines = "\n".join(f"  {outcome.name}: NO, {outcome.problem}" for outcome in failed)
        cause = next((outcome.cause for outcome in failed if outcome.cause is not None), None)
        raise CheckError(f"{what}: {len(failed)} of {len(outcomes)} checks failed\n{lines}") from cause
    return [outcome.name for outcome in outcomes if outcome.not_tried is None]


def make_options(cls: type, options: Any) -> Any:
    """Options of `cls` from an instance of them, a mapping, or None for the defaults.

    Raises
    ------
    CheckError
        If they do not fit.
    """
    if dataclasses.is_dataclass(options) and not isinstance(options, type):
        return options
    given: Mapping[str, Any] = {} if options is None else options
    try:
        return build_options(cls.Options, given, f"options of {cls.name}")  # type: ignore[attr-defined]
    except TomokitError as error:
        raise CheckError(f"its options cannot be made: {error}") from error


def check_declaration(kind: str, cls: type) -> None:
    """Make sure that `cls` would be registered, and that each of its options has a default and help.

    Raises
    ------
    CheckError
        Saying what is missing.
    """
    try:
        Entry.of(kind, cls, "this", "0")
    except TomokitError as error:
        raise CheckError(str(error)) from error
    options: Any = cls.Options  # type: ignore[attr-defined]
    if not options.__dataclass_params__.frozen:
        raise CheckError("`Options` can be changed after it was checked: write @dataclass(frozen=True)")
    for field in dataclasses.fields(options):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise CheckError(f"the option `{field.name}` has no default")
        if not re.search(r"\w", str(field.metadata.get("help", ""))):
            raise CheckError(f"the option `{field.name}` has no help: make it with tomokit.plugin.options.option")


class Declaration:
    """The first check of every kind, and the options that the others are done with.

    Parameters
    ----------
    kind : str
        ``"method"``, ``"regularizer"`` or ``"optimizer"``.
    cls : type
        The class that is registered.
    options : dataclass instance, mapping or None
        See :func:`make_options`.

    Attributes
    ----------
    check : Check
    options : dataclass instance or None
        None until the check has passed.
    """

    def __init__(self, kind: str, cls: type, options: Any) -> None:
        self._kind, self._cls, self._given = kind, cls, options
        self.options: Any = None
        self.check = Check("it is declared as its hook asks", self._run)

    def _run(self) -> None:
        check_declaration(self._kind, self._cls)
        self.options = make_options(self._cls, self._given)
