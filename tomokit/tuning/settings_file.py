"""The TOML that reproduces a choice, whatever the default preset sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tomokit.io.given_inputs import is_given_directly
from tomokit.pipeline.config import PATHS, default_options, method_options
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.plugin.manager import get_registry
from tomokit.plugin.settings import FIELD_FILLING, by_plugin_name

OF_THE_SEARCH = ("stack", "output", "overwrite", "options", "preview", "y", "hold_out", "threads", "state", "slabs")
"""Settings of a job that are not the tomogram's, or only the search's."""

Table = dict[str, Any]


def settings_toml(request: ReconstructionRequest, header: Sequence[str]) -> str:
    """Write the settings of a job as a file for ``--config``.

    Parameters
    ----------
    request : ReconstructionRequest
        The job with the options that were chosen.
    header : sequence of str
        Lines of comment.

    Returns
    -------
    str
        TOML. Files are named by absolute paths.
    """
    import tomli_w

    table: Table = {}
    for item in dataclasses.fields(request):
        value = getattr(request, item.name)
        if item.name in OF_THE_SEARCH or (value == item.default and item.name not in ("method",)):
            continue
        if item.name in PATHS and value is not None and not is_given_directly(item.name, value):
            value = str(Path(value).resolve())
        table[item.name] = str(value) if isinstance(value, Path) else value
    table["options"] = explicit_options(request.method, request.options)
    comment = "".join(f"# {' '.join(line.split())}\n" for line in header)
    return f"{comment}\n{tomli_w.dumps(table)}"


def explicit_options(method_name: str, options: Mapping[str, Any]) -> Table:
    """Collect the options that a method has to be given, on top of the default preset, to run with these.

    Parameters
    ----------
    method_name : str
        The method.
    options : mapping
        Its options, as a request has them: typed or as texts.

    Returns
    -------
    dict
        Typed, for TOML; ``"none"`` where there is no value.
    """
    method = get_registry().get("method", method_name)()
    preset = default_options(method_name)
    built, by_preset = method_options(method, options), method_options(method, preset)
    found: Table = {}
    table = options.get(FIELD_FILLING) or {}
    for item in dataclasses.fields(built):
        value = getattr(built, item.name)
        if item.name == FIELD_FILLING:
            continue
        if isinstance(value, dict):
            below = _explicit_below(item.name.removesuffix("s"), value, preset.get(item.name, {}), bool(table))
            if below:
                found[item.name] = below
        elif table and item.name in preset and value == getattr(by_preset, item.name):
            # What stands in the file is given by itself, but the preset's own values are to give way to its table.
            continue
        elif item.name in options or item.name in preset:
            found[item.name] = _plain(value)
    if table != preset.get(FIELD_FILLING, {}):
        found |= {FIELD_FILLING: table} if table else {"solver": built.solver}
    return found


def _explicit_below(kind: str, given: Mapping[str, Any], preset: Mapping[str, Any], gives_way: bool) -> Table:
    """The tables of regularizers or optimizers: what is given, and the class's own where only the preset gives it; but
    for what is as the preset has it, if that is to give way."""
    from tomokit.plugin.options import build_options

    by_name, by_preset = by_plugin_name(given), by_plugin_name(preset)
    found: Table = {}
    for name in {**by_preset, **by_name}:
        cls = get_registry().get(kind, name).Options
        typed = build_options(cls, by_name.get(name, {}), f"{kind}s.{name}")
        keys = {**by_preset.get(name, {}), **by_name.get(name, {})}
        own = {key: _plain(getattr(typed, key)) for key in keys}
        if gives_way:
            kept = build_options(cls, by_preset.get(name, {}), f"{kind}s.{name}")
            own = {
                key: one
                for key, one in own.items()
                if key not in by_preset.get(name, {}) or one != _plain(getattr(kept, key))
            }
        if own:
            found[name.replace("-", "_")] = own
    return found


def _plain(value: Any) -> Any:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value
