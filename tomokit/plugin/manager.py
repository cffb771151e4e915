"""Build the registry: the built-ins first, then what installed distributions announce.

A third-party plugin that does not import, or takes a name that is taken, must not take the command line down:
it is recorded in :attr:`Registry.refused`, shown by ``tomokit plugins list``, and the rest goes on.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib import metadata
from typing import Any

import pluggy

from tomokit.errors import PluginError
from tomokit.plugin import hookspecs
from tomokit.plugin.registry import Entry, Registry
from tomokit.version import __version__

GROUP = "tomokit"
BUILT_IN_MODULES = (
    "tomokit.methods.builtin",
    "tomokit.regularizers.builtin",
    "tomokit.optimizers.builtin",
    "tomokit.pipeline.readers",
)
ISOLATION = "TOMOKIT_LOAD_PLUGINS"


@cache
def get_registry() -> Registry:
    """The registry of this process, built at the first call.

    Entry points of the group ``tomokit`` are loaded here and nowhere else. The environment variable
    ``TOMOKIT_LOAD_PLUGINS`` chooses among them: unset, all; empty, none; otherwise a comma-separated list of
    distributions.

    Returns
    -------
    Registry
        The same object at every call.
    """
    return build_registry(_chosen_entry_points, os.environ.get(ISOLATION))


def build_registry(
    find: Callable[[str | None, Registry], Iterable[metadata.EntryPoint]], chosen: str | None
) -> Registry:
    """Build a new registry of the built-ins and of the plugins behind some entry points.

    Parameters
    ----------
    find : callable
        ``find(chosen, registry)`` gives the entry points; it records in the registry what is missing.
    chosen : str or None
        Value of ``TOMOKIT_LOAD_PLUGINS``; None if it is not set.

    Returns
    -------
    Registry
        With the built-ins first, then plugins in the order of their entry points.

    Raises
    ------
    PluginError
        If a built-in is at fault; third-party faults are recorded instead.
    """
    registry = Registry()
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for module in BUILT_IN_MODULES:
        _register_plugin(
            registry, manager, importlib.import_module(module), hookspecs.PROJECT, __version__, strict=True
        )
    for entry_point in find(chosen, registry):
        origin, version = _distribution(entry_point)
        try:
            plugin = entry_point.load()
        # Whatever a plugin raises on import, sys.exit included, is its own fault and ends nothing else.
        except (Exception, SystemExit) as error:
            registry.refuse(origin, error)
            continue
        _register_plugin(registry, manager, plugin, origin, version, strict=False)
    return registry


def _register_plugin(
    registry: Registry, manager: pluggy.PluginManager, plugin: Any, origin: str, version: str, *, strict: bool
) -> None:
    """Register one plugin and call its hooks, and only its hooks."""
    try:
        manager.register(plugin, name=f"{origin}:{getattr(plugin, '__name__', plugin)}")
        manager.check_pending()
    except (ValueError, pluggy.PluginValidationError) as error:
        if manager.is_registered(plugin):
            manager.unregister(plugin)
        if strict:
            raise
        registry.refuse(origin, error)
        return
    others = [registered for registered in manager.get_plugins() if registered is not plugin]
    for kind, hook in hookspecs.HOOK_OF_KIND.items():
        targets: list[Any] = []
        try:
            # Called for this plugin alone, so that what it registers is known to be of it.
            manager.subset_hook_caller(hook.__name__, others)(register=targets.append)
        except (Exception, SystemExit) as error:
            if strict:
                raise
            registry.refuse(origin, error, kind)
            continue
        for target in targets:
            try:
                registry.add(Entry.of(kind, target, origin, version))
            except PluginError as error:
                if strict:
                    raise
                registry.refuse(origin, error, kind, str(getattr(target, "name", None)))


def _chosen_entry_points(chosen: str | None, registry: Registry) -> Iterable[metadata.EntryPoint]:
    if chosen is not None and not chosen.strip():
        return []
    installed = list(metadata.entry_points(group=GROUP))
    if chosen is None:
        return installed
    wanted = {_normalized_name(name): name.strip() for name in chosen.split(",") if name.strip()}
    kept = [entry_point for entry_point in installed if _normalized_name(_distribution(entry_point)[0]) in wanted]
    for missing in wanted.keys() - {_normalized_name(_distribution(entry_point)[0]) for entry_point in kept}:
        registry.refuse(wanted[missing], PluginError(f"{ISOLATION} names it, but it is not installed"))
    return kept


def _distribution(entry_point: metadata.EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that announces an entry point."""
    dist = entry_point.dist
    return (entry_point.name, "unknown") if dist is None else (dist.name, dist.version)


def _normalized_name(name: str) -> str:
    """A distribution's name as PEP 503 compares names: ``tomokit_NLM`` and ``tomokit-nlm`` are one."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
