"""Layers of configuration: a preset, then a configuration file, then the command line, then ``--set``.

A layer is a table whose keys are the names of :class:`~tomokit.pipeline.request.ReconstructionRequest`'s fields, with
the method's own options below ``options``::

    method = "tv"
    bin = 2

    [options]
    iterations = 100

Options belong to a method: where a later layer names another method, those of the earlier layers are dropped.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tomokit.errors import OptionError
from tomokit.io.angle_keyword import names_no_file
from tomokit.io.regular import require_regular
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.plugin.options import build_options
from tomokit.plugin.settings import merge, parse_settings, read_toml

PRESETS = Path(__file__).resolve().parent.parent / "presets"
PATHS = ("angles", "mask", "xf", "state")
ONLY_ON_COMMAND_LINE = ("stack", "output", "overwrite", "preset", "config")


def preset_names() -> list[str]:
    """List the presets that come with tomokit.

    Returns
    -------
    list of str
        Names for ``--preset``, sorted.
    """
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def read_preset(name: str) -> dict[str, Any]:
    """Read the settings of a preset.

    Parameters
    ----------
    name : str
        One of :func:`preset_names`.

    Returns
    -------
    dict
        The layer: names of the request's fields, and ``options``.

    Raises
    ------
    OptionError
        If there is no preset of that name.
    """
    names = preset_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OptionError(f"no preset {name!r}", field="--preset", remedy=f"{hint}choose from {', '.join(names)}")
    return read_toml(PRESETS / f"{name}.toml")


def default_options(method: str) -> dict[str, Any]:
    """Tell which options the preset ``default`` sets for a method.

    Parameters
    ----------
    method : str
        Name of the method.

    Returns
    -------
    dict
        By name; empty for a method that the preset does not choose.
    """
    preset = read_preset("default")
    return dict(preset.get("options", {})) if preset.get("method") == method else {}


def read_config(path: Path) -> dict[str, Any]:
    """Read the settings of a configuration file; relative paths in it start from its folder.

    Parameters
    ----------
    path : Path
        A TOML file.

    Returns
    -------
    dict
        The layer: names of the request's fields, and ``options``.

    Raises
    ------
    InputError
        If the file cannot be read as TOML.
    OptionError
        If it has a key that only the command line takes.
    """
    require_regular(path)
    layer = read_toml(path)
    for key in ONLY_ON_COMMAND_LINE:
        if key in layer:
            raise OptionError(f"{key!r} is given on the command line only", field=str(path), remedy="remove it")
    for key in PATHS:
        # An empty path stays empty, to be refused as such, and does not become the folder.
        if isinstance(layer.get(key), str) and layer[key] and not (key == "angles" and names_no_file(layer[key])):
            layer[key] = str(path.resolve().parent / layer[key])
    for key in ("exclude", "exclude_from_1"):
        views = layer.get(key)
        if isinstance(views, list) and all(isinstance(view, int) and not isinstance(view, bool) for view in views):
            layer[key] = ",".join(map(str, views)) if views else "none"
    return layer


def build_request(
    command_line: Mapping[str, Any],
    *,
    settings: Sequence[str] = (),
    config: Path | None = None,
    preset: str | None = None,
    caller: str = "command line",
) -> ReconstructionRequest:
    """Build a request from its layers, the later over the earlier.

    Parameters
    ----------
    command_line : mapping
        Fields of the request that were given; those that are None were not.
    settings : sequence of str
        The values of ``--set``: options of the method.
    config : Path, optional
        Configuration file.
    preset : str, optional
        Preset; the one named ``default`` if none is given.
    caller : str
        What errors call the layer that was given.

    Returns
    -------
    ReconstructionRequest
        Every option, typed and within its bounds.

    Raises
    ------
    InputError, OptionError
        If a layer cannot be read, has an unknown key, or a value of the wrong type.
    OutputError
        If there is a configuration file and an output would replace it, or cannot be written.
    """
    layers = [(f"preset {preset or 'default'}", read_preset(preset or "default"))]
    if config is not None:
        layers.append((str(config), read_config(config)))
    layers.append((caller, {key: value for key, value in command_line.items() if value is not None}))
    merged: dict[str, Any] = {}
    for where, layer in layers:
        # Each layer is built alone first, so that an error names the layer it is in.
        required = {"stack": "-", "output": "-"} | dict(layer)
        build_options(ReconstructionRequest, required, where)
        if layer.get("method", merged.get("method")) != merged.get("method"):
            merged.pop("options", None)
        merged = merge(merged, layer)
    # Last, and after any change of method: these are for the method that is used.
    merged = merge(merged, {"options": parse_settings(settings)})
    request = build_options(ReconstructionRequest, merged, caller)
    if config is not None:
        _check_config_is_kept(config, request)
    return request


def _check_config_is_kept(config: Path, request: ReconstructionRequest) -> None:
    """Refuse an output that would replace the configuration file, which is an input that nothing after this knows."""
    from tomokit.io.output import check_output

    for path in (request.output, request.preview_path, request.provenance_path):
        if path is not None:
            check_output(path, overwrite=request.overwrite, inputs=[config])
    if request.state is not None:
        # Whether there is a state already, and what to do then, is told later.
        check_output(request.state, overwrite=True, inputs=[config])
