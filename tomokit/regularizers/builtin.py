"""The built-in regularizers, registered through the same hook as anyone else's."""

from __future__ import annotations

from collections.abc import Callable

from tomokit.plugin.hookspecs import hookimpl
from tomokit.regularizers.boundary import Boundary
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.tv import TotalVariation


@hookimpl
def tomokit_register_regularizers(register: Callable[[type], None]) -> None:
    """Register total variation, boundary consistency and the cross-node non-local constraint."""
    for regularizer in (TotalVariation, Boundary, CrossNode):
        register(regularizer)
