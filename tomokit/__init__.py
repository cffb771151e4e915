"""tomokit: reconstruction and denoising of electron tomograms.

What users of Python need is here, and looked up when it is first used, so that ``import tomokit`` costs nothing::

    import tomokit

    series = tomokit.load_series("tilts.mrc")
    result = tomokit.reconstruct(series, thickness=320, output="tomogram.mrc")

Names that are not in ``__all__``, and all modules below this one but those that ``docs/plugins.md`` describes, are
internal: they may change at any time.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tomokit.version import __version__

__all__ = [
    "DenseProjector",
    "InputError",
    "OptionError",
    "OutputError",
    "PluginError",
    "Reconstruction",
    "ResourceError",
    "StateError",
    "TiltGeometry",
    "TiltSeries",
    "TomokitError",
    "Volume",
    "__version__",
    "compare",
    "load_series",
    "project",
    "reconstruct",
    "resume",
    "simulate_series",
]

if TYPE_CHECKING:
    from tomokit.data.series import TiltSeries, Volume
    from tomokit.errors import InputError, OptionError, OutputError, PluginError, ResourceError, TomokitError
    from tomokit.geometry.tilt import TiltGeometry
    from tomokit.io.series import load_series
    from tomokit.phantom.simulate import simulate_series
    from tomokit.pipeline.api import Reconstruction, reconstruct, resume
    from tomokit.pipeline.comparison import compare
    from tomokit.pipeline.projection import project
    from tomokit.projector.voxels import DenseProjector
    from tomokit.state.seal import StateError
else:
    _HOME = {
        "DenseProjector": "projector.voxels",
        "InputError": "errors",
        "OptionError": "errors",
        "OutputError": "errors",
        "PluginError": "errors",
        "Reconstruction": "pipeline.api",
        "ResourceError": "errors",
        "StateError": "state.seal",
        "TiltGeometry": "geometry.tilt",
        "TiltSeries": "data.series",
        "TomokitError": "errors",
        "Volume": "data.series",
        "compare": "pipeline.comparison",
        "load_series": "io.series",
        "project": "pipeline.projection",
        "reconstruct": "pipeline.api",
        "resume": "pipeline.api",
        "simulate_series": "phantom.simulate",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Kept, so that the next look-up does not come here.
        globals()[name] = value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
