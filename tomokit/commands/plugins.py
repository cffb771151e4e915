"""``tomokit plugins``: what is registered, and what was refused."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from tomokit.commands.output import AsJson, show, table

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Methods, regularizers, optimizers, readers and commands."
)


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_plugins(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every option of each.")] = False,
    json: AsJson = False,
) -> None:
    """List what is registered: name, kind, origin, version, summary."""
    from tomokit.plugin.manager import get_registry
    from tomokit.plugin.options import describe_options

    registry = get_registry()
    listed: list[dict[str, Any]] = []
    for entry in registry.entries():
        one = {key: getattr(entry, key) for key in ("name", "kind", "origin", "version", "summary")}
        options = getattr(entry.target, "Options", None)
        one["options"] = describe_options(options) if options is not None else []
        listed.append(one)
    refused = [dataclasses.asdict(refusal) for refusal in registry.refused]
    show({"plugins": listed, "refused": refused}, _text(listed, refused, verbose), json)


def _text(listed: list[dict[str, Any]], refused: list[dict[str, Any]], verbose: bool) -> str:
    rows = [tuple(one[key] for key in ("name", "kind", "origin", "version", "summary")) for one in listed]
    lines = table([("name", "kind", "origin", "version", "summary"), *rows]).splitlines()
    if verbose:
        with_options: list[str] = [lines[0]]
        for line, one in zip(lines[1:], listed, strict=True):
            with_options += [line, *(f"    {_option(option)}" for option in one["options"])]
        lines = with_options
    for refusal in refused:
        what = f"{refusal['kind']} {refusal['name']}" if refusal["name"] else "plugin"
        lines.append(f"not loaded: {what} of {refusal['origin']}: {refusal['problem']}")
    return "\n".join(lines)


def _option(option: dict[str, Any]) -> str:
    bounds = ""
    if option["choices"] is not None:
        bounds = f", one of {', '.join(map(str, option['choices']))}"
    elif option["minimum"] is not None or option["maximum"] is not None:
        low, high = ("" if option[key] is None else option[key] for key in ("minimum", "maximum"))
        bounds = f", {low}..{high}"
    return f"{option['name']} = {option['default']} ({option['type']}{bounds}): {option['help']}"
