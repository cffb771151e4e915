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

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tomokit.errors import OptionError
from tomokit.io.given_inputs import is_given_directly
from tomokit.io.regular import require_regular
from tomokit.methods.interface import Method
from tomokit.pipeline.folder_found import FoundSeries
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.plugin.manager import get_registry
from tomokit.plugin.near import did_you_mean
from tomokit.plugin.options import build_options
from tomokit.plugin.settings import TypedKey, as_typed, by_plugin_name, give_way, merge, parse_settings, read_toml

PRESETS = Path(__file__).resolve().parent.parent / "presets"
_MOST_VIEWS = 10**9
PATHS = ("angles", "mask", "xf", "alignment", "mask_beads", "dose", "ctf", "state")
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
        hint = did_you_mean(name, names)
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
    """Read the settings of a configuration file.

    Relative paths of the request's files start from its folder, and ``~`` is the user's home.

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
    if isinstance(layer.get("dose"), (int, float)) and not isinstance(layer["dose"], bool):
        layer["dose"] = str(layer["dose"])
    for key in PATHS:
        # An empty path stays empty, to be refused as such, and does not become the folder.
        if isinstance(layer.get(key), str) and layer[key] and not is_given_directly(key, layer[key]):
            layer[key] = str(path.resolve().parent / _in_home(layer[key]))
    for key in ("exclude", "exclude_from_1"):
        views = layer.get(key)
        if isinstance(views, list) and all(isinstance(view, int) and not isinstance(view, bool) for view in views):
            if any(abs(view) > _MOST_VIEWS for view in views):
                field = f"{path}: {next(as_typed(other) for other in layer if other == key)}"
                raise OptionError("an index of a view is too large", field=field, remedy="give views of the stack")
            layer[key] = ",".join(map(str, views)) if views else "none"
    return layer


def _in_home(path: str) -> Path:
    """The path with ``~`` as the home of the user, or of the one whom it names."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # `~nobody`: a name like any other
        return Path(path)


def build_request(
    command_line: Mapping[str, Any],
    *,
    settings: Sequence[str] = (),
    config: Path | None = None,
    preset: str | None = None,
    caller: str = "",
    found: FoundSeries | None = None,
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
        What errors call the layer that was given; empty for the command line, where an option is told as it is typed.
    found : FoundSeries, optional
        What was found in the folder that was given as the stack. It stands between the preset and the configuration
        file, and gives way to what contradicts it in either of the two.

    Returns
    -------
    ReconstructionRequest
        Every option, typed and within its bounds.

    Raises
    ------
    InputError, OptionError
        If a layer cannot be read, has an unknown key, or a value of the wrong type.
    OutputError
        If there is a configuration file and an output would replace it.
    """
    layers = [(f"preset {preset or 'default'}", read_preset(preset or "default"))]
    explicit = [] if config is None else [(str(config), read_config(config))]
    if found is not None:
        names = {key for key, value in command_line.items() if value is not None} - {"stack"}
        names |= {str(key) for _, layer in explicit for key in layer}
        command_line = {**command_line, "stack": found.stack}
        layers.append((str(found.folder), found.settings_beside(names)))
    layers += explicit
    given = {key: value for key, value in command_line.items() if value is not None}
    if not caller:
        given = {TypedKey(key, f"--{key.replace('_', '-')}"): value for key, value in given.items()}
    layers.append((caller, given))
    merged: dict[str, Any] = {}
    for where, layer in layers:
        # Each layer is built alone first, so that an error names the layer it is in.
        required = {"stack": "-", "output": "-"} | dict(layer)
        build_options(ReconstructionRequest, required, where, _options_of_methods(layer))
        if layer.get("method", merged.get("method")) != merged.get("method"):
            merged.pop("options", None)
        merged = merge(merged, layer)
    # Last, and after any change of method: these are for the method that is used.
    last = parse_settings(settings)
    merged = merge(merged, {"options": last})
    by_themselves = last
    for _, layer in reversed([*explicit, (caller, given)]):
        by_themselves = merge(layer.get("options") or {}, by_themselves)
    if "options" in merged:
        merged["options"] = give_way(merged["options"], by_themselves)
    if found is not None:
        merged = found.leave_out_too(merged)
    request = build_options(ReconstructionRequest, merged, caller)
    _check_optimizer_is_used(last, request)
    if config is not None:
        _check_config_is_kept(config, request)
    return request


def _check_optimizer_is_used(settings: Mapping[str, Any], request: ReconstructionRequest) -> None:
    """Refuse settings of an optimizer that the method does not use; presets and files may have tables of several."""
    tables = settings.get("optimizers")
    if not isinstance(tables, Mapping):
        return
    fields = dataclasses.fields(get_registry().get("method", request.method)().Options)
    used = request.options.get("optimizer", next((item.default for item in fields if item.name == "optimizer"), None))
    unused = [name for name in by_plugin_name(tables) if name != used]
    if isinstance(used, str) and unused:
        raise OptionError(
            f"no effect, since the optimizer is {used}",
            field=f"--set optimizers.{unused[0]}",
            remedy=f"give --set optimizer={unused[0]} too, or set optimizers.{used}",
        )


def method_options(method: Method, given: Mapping[str, Any]) -> Any:
    """Build the options of a method, and say of an unknown one where it belongs.

    Parameters
    ----------
    method : Method
        The method.
    given : mapping
        Values by option, typed or as texts.

    Returns
    -------
    object
        An instance of the method's ``Options``.

    Raises
    ------
    OptionError
        For a name that the method does not have, or a value that it does not take.
    """
    for key in given:
        # `--set bin=2` is most likely meant for `--bin`, and is refused with its name.
        if key in _request_names() and key not in {item.name for item in dataclasses.fields(method.Options)}:
            raise OptionError(
                f"no option {as_typed(key)!r}",
                field=f"method {method.name}",
                remedy=f"it is none of the method: give --{key.replace('_', '-')}, or the key {key} of a --config file",
            )
    return build_options(method.Options, given, f"method {method.name}", options_below(method))


def options_below(method: Method) -> list[str]:
    """List the options of the regularizers and optimizers that a method takes, as ``--set`` has them.

    Parameters
    ----------
    method : Method
        The method; one without options of the name ``regularizers`` or ``optimizers`` has none.

    Returns
    -------
    list of str
        Such as ``"regularizers.tv.weight"``.
    """
    tables = {item.name for item in dataclasses.fields(method.Options)} & {"regularizers", "optimizers"}
    entries = get_registry().entries(("regularizer", "optimizer"))
    return [
        f"{entry.kind}s.{entry.name.replace('-', '_')}.{item.name}"
        for entry in entries
        if f"{entry.kind}s" in tables
        for item in dataclasses.fields(entry.target.Options)
    ]


def _options_of_methods(layer: Mapping[str, Any]) -> list[str]:
    """Where a key belongs that a method has and the request has not, in a file and not below ``[options]``."""
    if all(key in _request_names() for key in layer):
        return []
    methods = get_registry().entries(("method",))
    names = {item.name for method in methods for item in dataclasses.fields(method.target.Options)}
    return [f"options.{name}" for name in sorted(names)]


def _request_names() -> set[str]:
    return {item.name for item in dataclasses.fields(ReconstructionRequest)}


def _check_config_is_kept(config: Path, request: ReconstructionRequest) -> None:
    """Refuse an output that would replace the configuration file, which is an input that nothing after this knows."""
    from tomokit.io.output import check_is_no_input

    for path in (request.output, request.preview_path, request.provenance_path, request.state):
        # Whether it is there already, and what to do then, is told later.
        if path is not None:
            check_is_no_input(path, [config])
