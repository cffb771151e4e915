"""The built-in methods, registered through the same hook as anyone else's."""

from __future__ import annotations

from collections.abc import Callable

from tomokit.methods.octree import Octree
from tomokit.methods.sart import Sart
from tomokit.methods.sart_tv import SartTv
from tomokit.methods.sirt import Sirt
from tomokit.methods.tv import Tv
from tomokit.methods.wbp import Wbp
from tomokit.plugin.hookspecs import hookimpl


@hookimpl
def tomokit_register_methods(register: Callable[[type], None]) -> None:
    """Bring the octree method and the classical ones."""
    for method in (Octree, Tv, SartTv, Sart, Sirt, Wbp):
        register(method)
