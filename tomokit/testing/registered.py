"""Find registered plugins by name, and the checks for them."""

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
    """Find the entries of a name that there are checks for.

    Parameters
    ----------
    registry : Registry
    name : str
        Name of the plugin, with hyphens or underscores.
    kind : str, optional
        ``"method"``, ``"regularizer"`` or ``"optimizer"``; by default any of them.

    Returns
    -------
    list of Entry
        At least one; several where kinds share the name.

    Raises
    ------
    PluginError
        If there is none, with the reason if the plugin was refused.
    """
    if kind is not None and kind not in KINDS_WITH_OPTIONS:
        raise PluginError(f"no kind {kind!r}", field="--kind", remedy=f"choose from {', '.join(KINDS_WITH_OPTIONS)}")
    checkable = registry.entries(KINDS_WITH_OPTIONS if kind is None else (kind,))
    entries = [entry for entry in checkable if entry.name == name.replace("_", "-")]
    if entries:
        return entries
    for refusal in registry.refused:
        if name in (refusal.name, refusal.origin):
            raise PluginError(f"not loaded: {refusal.problem}", field=name)
    if any(entry.name == name for entry in registry.entries(("reader", "command"))):
        raise PluginError("there are no checks for readers and commands", field=name)
    listed = ", ".join(sorted({entry.name for entry in checkable}))
    sought = "method, regularizer or optimizer" if kind is None else kind
    raise PluginError(f"no {sought} of the name {name!r}", remedy=f"choose from {listed}")


def checks_of(entry: Entry, options: Mapping[str, Any], seed: int) -> Iterator[Check]:
    """The checks of a registered plugin, with the given options.

    Parameters
    ----------
    entry : Entry
        A method, regularizer or optimizer.
    options : mapping
        Options by name, as strings or typed; those that are not given have their defaults.
    seed : int
        Seed of the random fields and values that are tried; a method is always tried on the same specimen.

    Returns
    -------
    iterator of Check
        See :func:`tomokit.testing.methods.method_checks`.
    """
    if entry.kind == "method":
        return method_checks(entry.target, options)
    checks: Callable[..., Iterator[Check]] = regularizer_checks if entry.kind == "regularizer" else optimizer_checks
    return checks(entry.target, options, seed)
