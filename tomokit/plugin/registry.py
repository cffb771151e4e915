"""What is registered: every method, regularizer, optimizer, reader and command, with the place it came from."""

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
    """One registered thing.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    name, summary : str
        As the thing itself gives them.
    origin, version : str
        Distribution that it came with.
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
        """Check that `target` has what its kind needs, and describe it.

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
    """Something that a plugin brought, or a whole plugin, that was not taken.

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
    """Entries by kind and name; the first to take a name keeps it."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
        self.refused: list[Refusal] = []

    def add(self, entry: Entry) -> None:
        """Take `entry`.

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
        """Record that something of `origin` was not taken, and why."""
        text = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        self.refused.append(Refusal(origin, kind, name, " ".join(text.split())))

    def entries(self, kinds: Iterable[str] = KINDS) -> list[Entry]:
        """Entries of the given kinds, by kind and in order of registration."""
        return [entry for kind in kinds for entry in self._entries[kind].values()]

    def names(self, kind: str) -> list[str]:
        """Names registered for `kind`, sorted."""
        return sorted(self._entries[kind])

    def get(self, kind: str, name: str) -> Any:
        """The class (or command) registered under `name`.

        Settings write underscores for hyphens (``regularizers.patch_nlm.weight``): both find the same.

        Raises
        ------
        PluginError
            If there is none; the message has the nearest name, and the reason if a plugin was refused.
        """
        found = self._entries[kind].get(name.replace("_", "-"))
        if found is not None:
            return found.target
        names = self.names(kind)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        listed = f"choose from {', '.join(names)}" if names else f"no {kind} is registered"
        broken = sorted({refusal.origin for refusal in self.refused})
        note = f" (not loaded: {', '.join(broken)}; see `tomokit plugins list`)" if broken else ""
        field = "--method" if kind == "method" else None
        raise PluginError(f"no {kind} of the name {name!r}{note}", field=field, remedy=hint + listed)
