"""Reading and writing files: MRC, tilt angles, transforms, and what an unknown file is.

Names are looked up on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tomokit.io.angles import check_angles, find_angles, read_angles
    from tomokit.io.binning import bin_series
    from tomokit.io.inspection import describe
    from tomokit.io.mrc_header import MrcHeader
    from tomokit.io.mrc_read import MrcImages, read_stack, read_volume
    from tomokit.io.mrc_write import write_stack
    from tomokit.io.output import new_file, write_json, write_text
    from tomokit.io.series import load_series
    from tomokit.io.transforms import align_images, read_xf
    from tomokit.io.volume_write import write_volume

_HOME = {
    "MrcHeader": "mrc_header",
    "MrcImages": "mrc_read",
    "align_images": "transforms",
    "bin_series": "binning",
    "check_angles": "angles",
    "describe": "inspection",
    "find_angles": "angles",
    "load_series": "series",
    "new_file": "output",
    "read_angles": "angles",
    "read_stack": "mrc_read",
    "read_volume": "mrc_read",
    "read_xf": "transforms",
    "write_json": "output",
    "write_stack": "mrc_write",
    "write_text": "output",
    "write_volume": "volume_write",
}

__all__ = [
    "MrcHeader",
    "MrcImages",
    "align_images",
    "bin_series",
    "check_angles",
    "describe",
    "find_angles",
    "load_series",
    "new_file",
    "read_angles",
    "read_stack",
    "read_volume",
    "read_xf",
    "write_json",
    "write_stack",
    "write_text",
    "write_volume",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"tomokit.io.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
