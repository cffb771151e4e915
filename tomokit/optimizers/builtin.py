"""The built-in optimizers, registered through the same hook as anyone else's."""

from __future__ import annotations

from collections.abc import Callable

from tomokit.optimizers.rules import Adam, Rmsprop, Sgd
from tomokit.plugin.hookspecs import hookimpl


@hookimpl
def tomokit_register_optimizers(register: Callable[[type], None]) -> None:
    """Register the optimizers RMSprop, Adam and SGD."""
    for optimizer in (Rmsprop, Adam, Sgd):
        register(optimizer)
