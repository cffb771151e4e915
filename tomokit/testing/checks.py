"""Run a list of checks to its end, and report what failed."""

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
    """A plugin does not do what its hook asks for; the message has a line for each failure."""


class NotTriedError(Exception):
    """A check cannot be done on this machine or with these options; the message says why."""


@dataclass(frozen=True)
class Check:
    """One property of a plugin, and the function that checks it.

    Attributes
    ----------
    name : str
        What holds if the check passes, as a sentence.
    run : callable
        Raises :class:`CheckError` if it does not hold, :class:`NotTriedError` if it cannot be tried.
    """

    name: str
    run: Callable[[], None]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check: passed, failed with a problem, or not tried.

    Attributes
    ----------
    name : str
        Name of the check.
    problem : str or None
        What is wrong; None if the check passed or was not tried.
    cause : Exception or None
        What the plugin raised, if that is the problem.
    not_tried : str or None
        Why the check was not tried; None if it was.
    """

    name: str
    problem: str | None = None
    cause: Exception | None = None
    not_tried: str | None = None


def run_checks(checks: Iterable[Check], tell: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Run all checks to the end, whatever fails.

    Parameters
    ----------
    checks : iterable of Check
        Made while they are run: a later check may depend on what an earlier one found.
    tell : callable, optional
        Called with each outcome as it comes.

    Returns
    -------
    list of Outcome
        One for each check, in order.
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
    """Run all checks, and raise an error if any fails.

    Parameters
    ----------
    checks : iterable of Check
    what : str
        What is checked, such as ``"method Sirt"``, for the error.

    Returns
    -------
    list of str
        Names of the checks that passed; without those that could not be tried.

    Raises
    ------
    CheckError
        If any failed, listing all that did.
    """
    outcomes = run_checks(checks)
    failed = [outcome for outcome in outcomes if outcome.problem is not None]
    if failed:
        lines = "\n".join(f"  {outcome.name}: NO, {outcome.problem}" for outcome in failed)
        cause = next((outcome.cause for outcome in failed if outcome.cause is not None), None)
        raise CheckError(f"{what}: {len(failed)} of {len(outcomes)} checks failed\n{lines}") from cause
    return [outcome.name for outcome in outcomes if outcome.not_tried is None]


def make_options(cls: type, options: Any) -> Any:
    """Make the options that a plugin is checked with.

    Parameters
    ----------
    cls : type
        The class that is registered, with its ``Options``.
    options : dataclass instance, mapping or None
        The options themselves, options by name, or None for the defaults.

    Returns
    -------
    instance of ``cls.Options``

    Raises
    ------
    CheckError
        If the class does not have such options, or takes no such values.
    """
    if dataclasses.is_dataclass(options) and not isinstance(options, type):
        return options
    given: Mapping[str, Any] = {} if options is None else options
    try:
        return build_options(cls.Options, given, f"options of {cls.name}")  # type: ignore[attr-defined]
    except TomokitError as error:
        raise CheckError(f"its options cannot be made: {error}") from error


def check_declaration(kind: str, cls: type) -> None:
    """Make sure that a class would be registered, and that each of its options has a default and help.

    Parameters
    ----------
    kind : str
        ``"method"``, ``"regularizer"`` or ``"optimizer"``.
    cls : type
        The class that is to be registered.

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
    """The first check of every kind of plugin, and the options that the other checks are done with.

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
        Whether the class is declared as its hook asks.
    options : dataclass instance or None
        The options, from when the check has passed; None before, and after it has failed.
    """

    def __init__(self, kind: str, cls: type, options: Any) -> None:
        self._kind, self._cls, self._given = kind, cls, options
        self.options: Any = None
        self.check = Check("it is declared as its hook asks", self._run)

    def _run(self) -> None:
        check_declaration(self._kind, self._cls)
        self.options = make_options(self._cls, self._given)
