"""What the options of methods, regularizers and optimizers do, for the command line and for the documents.

Both are made of the helps that the options are declared with, and of what the preset ``default`` sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tomokit.pipeline.config import read_preset
from tomokit.plugin.options import describe_options, range_text
from tomokit.plugin.registry import KINDS_WITH_OPTIONS, Registry


def listed_plugins(registry: Registry) -> list[dict[str, Any]]:
    """List what is registered, with every option.

    Parameters
    ----------
    registry : Registry
        What there is.

    Returns
    -------
    list of dict
        JSON-serializable: ``name``, ``kind``, ``origin``, ``version``, ``summary``, and ``options`` as
        :func:`tomokit.plugin.options.describe_options` gives them, each with ``preset_default``: what the preset
        ``default`` sets, None where it says nothing.
    """
    preset = read_preset("default")
    listed = []
    for entry in registry.entries():
        facts: dict[str, Any] = {key: getattr(entry, key) for key in ("name", "kind", "origin", "version", "summary")}
        options = getattr(entry.target, "Options", None)
        described = describe_options(options) if options is not None and entry.kind in KINDS_WITH_OPTIONS else []
        chosen = _options_in(preset, entry.kind, entry.name)
        # Tables, of optimizers and regularizers, are told with these.
        plain = {name: value for name, value in chosen.items() if not isinstance(value, Mapping)}
        facts["options"] = [option | {"preset_default": plain.get(option["name"])} for option in described]
        listed.append(facts)
    return listed


def _options_in(preset: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    """What a preset sets of a plugin."""
    options = preset.get("options", {})
    if kind == "method":
        return options if preset.get("method") == name else {}
    below: Mapping[str, Any] = options.get(f"{kind}s", {}).get(name.replace("-", "_"), {})
    return below


def default_text(option: Mapping[str, Any]) -> str:
    """Say what an option is where the user gives none.

    Parameters
    ----------
    option : mapping
        From :func:`listed_plugins`.

    Returns
    -------
    str
        What the preset ``default`` sets, and in brackets the method's own default, where they differ.
    """
    own = _value_text(option["default"])
    preset = option["preset_default"]
    return own if preset is None or _value_text(preset) == own else f"{_value_text(preset)} [method's own: {own}]"


def allowed_text(option: Mapping[str, Any]) -> str:
    """Say which values an option takes.

    Parameters
    ----------
    option : mapping
        From :func:`tomokit.plugin.options.describe_options`.

    Returns
    -------
    str
        Its choices or bounds; empty where there are none.
    """
    if option["choices"] is not None:
        return f"one of {', '.join(map(str, option['choices']))}"
    low, high = option["minimum"], option["maximum"]
    return "" if low is None and high is None else range_text(_rounded(low), _rounded(high))


def _rounded(bound: float | None) -> float | None:
    """A bound as it is told: 0.999999999 is there to keep 1 out."""
    return None if bound is None else float(f"{bound:.6g}") if isinstance(bound, float) else bound


def _value_text(value: Any) -> str:
    if value is None or value in ((), [], {}, "()"):
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def options_page(registry: Registry, origin: str = "tomokit") -> str:
    """Write the options of a distribution's plugins as a part of ``docs/cli.md``.

    Parameters
    ----------
    registry : Registry
        What there is.
    origin : str
        The distribution.

    Returns
    -------
    str
        Markdown: a heading and a table for each method, regularizer and optimizer.
    """
    parts = []
    for facts in listed_plugins(registry):
        if facts["origin"] != origin or not facts["options"]:
            continue
        prefix = "" if facts["kind"] == "method" else f"{facts['kind']}s.{facts['name'].replace('-', '_')}."
        name = f"{facts['kind'].capitalize()} `{facts['name']}`"
        rows = [
            f"| `{prefix}{option['name']}` | {default_text(option)} | {allowed_text(option)} | {option['help']} |"
            for option in facts["options"]
        ]
        head = [f"### {name}", "", f"{facts['summary']}.", "", "| option | default | values | |", "|---|---|---|---|"]
        parts.append("\n".join([*head, *rows]))
    return "\n\n".join(parts) + "\n"
