"""Checking what is registered, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tomokit.errors import PluginError
from tomokit.plugin.registry import KINDS_WITH_OPTIONS, Entry, Registry
from tomokit.testing.checks import Check
from tomokit.testing.methods import method_checks
from tomokit.testing.optimizers import optimizer_checks
from tomokit.testing.regularizers import regularizer_checks


def find_checkable(registry: Registry, name: str, kind: str | None = None) -> list[Entry]:
    """Entries of that name, of one kind or of any, that there are checks for.

    Raises
    ------
    PluginError
        If there is none; with the reason, if it was refused.
    """
    if kind is not None and kind not in KINDS_WITH_OPTIONS:
        raise PluginError(f"no kind {kind!r}", field="--kind", remedy=f"choose from {', '.join(KINDS_WITH_OPTIONS)}")
    checkable = registry.entries(KINDS_WITH_OPTIONS if kind is None else (kind,))
    found = [entry for entry in checkable if entry.name == name.replace("_", "-")]
    if found:
        return found
    for refusal in registry.refused:
        if name in (refusal.name, refusal.origin):
            raise PluginError(f"not loaded: {refusal.problem}", field=name)
    if any(entry.name == name for entry in registry.entries(("reader", "command"))):
        raise PluginError("there are no checks for readers and commands", field=name)
    listed = ", ".join(sorted({entry.name for entry in checkable}))
    what = "method, regularizer or optimizer" if kind is None else kind
    raise PluginError(f"no {what} of the name {name!r}", remedy=f"choose from {listed}")


def checks_of(entry: Entry, options: Mapping[str, Any], seed: int) -> Iterator[Check]:
    """The checks for its kind, on the defaults or the given options.

    Parameters
    ----------
    entry : Entry
        A method, regularizer or optimizer.
    options : mapping
        Options by name, as strings or typed.
    seed : int
        Of what is tried; a method is always tried on the same specimen.
    """
    if entry.kind == "method":
        return method_checks(entry.target, options)
    made: Callable[..., Iterator[Check]] = regularizer_checks if entry.kind == "regularizer" else optimizer_checks
    return made(entry.target, options, seed)
