"""The registry of methods, regularizers, optimizers, readers and commands, each with the distribution it is from."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tomokit.errors import PluginError

KINDS = ("method", "regularizer", "optimizer", "reader", "command")
KINDS_WITH_OPTIONS = ("method", "regularizer", "optimizer")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NEEDED = {
    "method": ("start", "estimate_bytes"),
    "regularizer": ("value_and_gradient",),
    "optimizer": ("state_arrays", "step"),
    "reader": ("suffixes", "shape", "read"),
    "command": ("function",),
}
_OPTIONS_NEEDED = {"regularizer": ("weight", "every", "space"), "optimizer": ("lr",)}


@dataclass(frozen=True)
class Entry:
    """A method, regularizer, optimizer, reader or command that is registered.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    name, summary : str
        Those of the target.
    origin, version : str
        Name and version of the distribution that brought it.
    target : object
        The class, or the :class:`~tomokit.plugin.command.Command`.
    """

    kind: str
    name: str
    summary: str
    origin: str
    version: str
    target: Any

    @classmethod
    def of(cls, kind: str, target: Any, origin: str, version: str) -> Entry:
        """Make an entry, after checking that the target has what its kind needs.

        Parameters
        ----------
        kind : str
            One of :data:`KINDS`.
        target : object
            The class or command that a plugin registers.
        origin, version : str
            Name and version of the distribution that brings it.

        Returns
        -------
        Entry
            With the target's own name and summary.

        Raises
        ------
        PluginError
            If an attribute is missing or of the wrong kind.
        """
        name = getattr(target, "name", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"a {kind} of plugin {origin} has the name {name!r}", remedy="use a-z, 0-9 and -")
        where = f"{kind} {name!r} of plugin {origin}"
        summary = getattr(target, "summary", None)
        if not isinstance(summary, str) or not summary.strip() or "\n" in summary:
            raise PluginError(f"{where} has no summary", remedy="give it a `summary` of one line")
        if kind in KINDS_WITH_OPTIONS and not dataclasses.is_dataclass(getattr(target, "Options", None)):
            raise PluginError(f"{where} has no `Options`", remedy="give it a frozen dataclass of that name")
        for attribute in _NEEDED[kind]:
            if not hasattr(target, attribute):
                raise PluginError(f"{where} has no `{attribute}`", remedy="see docs/plugins.md")
        for attribute in _OPTIONS_NEEDED.get(kind, ()):
            if attribute not in {field.name for field in dataclasses.fields(target.Options)}:
                raise PluginError(f"{where} has no option `{attribute}`", remedy="see docs/plugins.md")
        return cls(kind, name, summary, origin, version, target)


@dataclass(frozen=True)
class Refusal:
    """A plugin, or something that a plugin registers, that was not taken into the registry.

    Attributes
    ----------
    origin : str
        Distribution (or entry point) at fault.
    kind, name : str or None
        What was refused; None if it is the plugin as a whole.
    problem : str
        Why, in one line.
    """

    origin: str
    kind: str | None
    name: str | None
    problem: str


class Registry:
    """Entries by kind and name, of which the first to take a name keeps it.

    Attributes
    ----------
    refused : list of Refusal
        What was not taken, in the order in which it came.
    """

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
        self.refused: list[Refusal] = []

    def add(self, entry: Entry) -> None:
        """Add an entry to the registry under its kind and name.

        Parameters
        ----------
        entry : Entry

        Raises
        ------
        PluginError
            If the name is taken; both origins are named.
        """
        taken = self._entries[entry.kind].get(entry.name)
        if taken is not None:
            raise PluginError(
                f"{entry.kind} {entry.name!r} of plugin {entry.origin} {entry.version} is refused: "
                f"the name is taken by {taken.origin} {taken.version}",
                remedy="rename one of them, or isolate with TOMOKIT_LOAD_PLUGINS",
            )
        self._entries[entry.kind][entry.name] = entry

    def refuse(self, origin: str, error: BaseException, kind: str | None = None, name: str | None = None) -> None:
        """Record that a plugin, or something that it registers, was not taken, and why.

        Parameters
        ----------
        origin : str
            Distribution or entry point at fault.
        error : BaseException
            What was raised; its message becomes one line.
        kind, name : str, optional
            What was not taken, if it is not the plugin as a whole.
        """
        text = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        self.refused.append(Refusal(origin, kind, name, " ".join(text.split())))

    def entries(self, kinds: Iterable[str] = KINDS) -> list[Entry]:
        """List the entries of some kinds.

        Parameters
        ----------
        kinds : iterable of str
            Some of :data:`KINDS`; by default all.

        Returns
        -------
        list of Entry
            By kind, as they are given, and within a kind in the order of registration.
        """
        return [entry for kind in kinds for entry in self._entries[kind].values()]

    def names(self, kind: str) -> list[str]:
        """List the names that are registered for one kind.

        Parameters
        ----------
        kind : str
            One of :data:`KINDS`.

        Returns
        -------
        list of str
            Sorted.
        """
        return sorted(self._entries[kind])

    def get(self, kind: str, name: str) -> Any:
        """The class (or command) that is registered under a name.

        Settings write underscores for hyphens (``regularizers.patch_nlm.weight``): both find the same.

        Parameters
        ----------
        kind : str
            One of :data:`KINDS`.
        name : str
            Its name, with hyphens or underscores.

        Returns
        -------
        object
            The entry's ``target``.

        Raises
        ------
        PluginError
            If there is none; the message has the nearest name, and which plugins were refused.
        """
        entry = self._entries[kind].get(name.replace("_", "-"))
        if entry is not None:
            return entry.target
        names = self.names(kind)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        listed = f"choose from {', '.join(names)}" if names else f"no {kind} is registered"
        broken = sorted({refusal.origin for refusal in self.refused})
        note = f" (not loaded: {', '.join(broken)}; see `tomokit plugins list`)" if broken else ""
        field = "--method" if kind == "method" else None
        raise PluginError(f"no {kind} of the name {name!r}{note}", field=field, remedy=hint + listed)
