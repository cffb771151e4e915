"""The hooks of tomokit that plugins implement, and the argument that each is passed.

A plugin is a module with functions of these names, marked with :data:`hookimpl`, that an installed
distribution announces under the entry-point group ``tomokit``. The built-in methods come in by the same door.
Every hook passes one argument, ``register``, to be called once for each thing that the plugin brings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from tomokit.plugin.command import Command

PROJECT = "tomokit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def tomokit_register_methods(register: Callable[[type], None]) -> None:
    """Register reconstruction methods, chosen by ``reconstruct --method NAME``.

    Parameters
    ----------
    register : callable
        ``register(cls)`` with a class that meets :class:`tomokit.methods.interface.Method`.
    """


@hookspec
def tomokit_register_regularizers(register: Callable[[type], None]) -> None:
    """Register regularizers, which penalize what a density should not look like.

    Parameters
    ----------
    register : callable
        ``register(cls)`` with a class that meets :class:`tomokit.regularizers.interface.Regularizer`: ``name``,
        ``summary``, ``Options`` with at least ``weight``, ``every`` and ``space``, and
        ``value_and_gradient(field, gradient, scale)``.
    """


@hookspec
def tomokit_register_optimizers(register: Callable[[type], None]) -> None:
    """Register optimizers, which turn a gradient into a step.

    Parameters
    ----------
    register : callable
        ``register(cls)`` with a class that meets :class:`tomokit.optimizers.interface.Optimizer`: ``name``,
        ``summary``, ``Options`` with at least ``lr``, ``state_arrays(shape, dtype)`` and
        ``step(values, gradient, state, count, rate)``.
    """


@hookspec
def tomokit_register_readers(register: Callable[[type], None]) -> None:
    """Register readers of tilt-series files, chosen by the end of the file's name.

    Parameters
    ----------
    register : callable
        ``register(cls)`` with a class that meets :class:`tomokit.pipeline.readers.Reader`: ``name``, ``summary``,
        ``suffixes`` (a tuple such as ``(".hspy",)``), ``shape(path)`` and ``read(path, **options)``.
    """


@hookspec
def tomokit_register_commands(register: Callable[[Command], None]) -> None:
    """Register commands of the command line, found when a name is not one of tomokit's own.

    Parameters
    ----------
    register : callable
        ``register(command)`` with a :class:`tomokit.plugin.command.Command`.
    """


HOOK_OF_KIND: dict[str, Callable[..., None]] = {
    "method": tomokit_register_methods,
    "regularizer": tomokit_register_regularizers,
    "optimizer": tomokit_register_optimizers,
    "reader": tomokit_register_readers,
    "command": tomokit_register_commands,
}
