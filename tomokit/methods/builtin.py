"""The built-in methods, registered through the same hook as anyone else's."""

from __future__ import annotations

from collections.abc import Callable

from tomokit.methods.octree.method import Octree
from tomokit.methods.voxels.sart import Sart
from tomokit.methods.voxels.sart_tv import SartTv
from tomokit.methods.voxels.sirt import Sirt
from tomokit.methods.voxels.tv import Tv
from tomokit.methods.voxels.wbp import Wbp
from tomokit.plugin.hookspecs import hookimpl


@hookimpl
def tomokit_register_methods(register: Callable[[type], None]) -> None:
    """Register the octree method and the classical ones."""
    for method in (Octree, Tv, SartTv, Sart, Sirt, Wbp):
        register(method)
