"""The commands ``tomokit plugins``: list plugins, check one, and write the package of a new one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands import completion
from tomokit.commands.output import AsJson, at_least, show, table
from tomokit.errors import PluginError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Methods, regularizers, optimizers, readers and commands: list them, check them, write new ones.",
)


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_plugins(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Only what has this name, with its options; by default all.",
            autocompletion=completion.plugins,
            show_default=False,
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say what every option of each plugin does.")
    ] = False,
    json: AsJson = False,
) -> None:
    """List what is registered: name, kind, origin, version, summary, and what the options do."""
    from tomokit.pipeline.options_told import listed_plugins
    from tomokit.plugin.manager import get_registry
    from tomokit.plugin.near import did_you_mean

    registry = get_registry()
    listed = listed_plugins(registry)
    if name is not None:
        chosen = [facts for facts in listed if facts["name"] == name.replace("_", "-")]
        if not chosen:
            names = sorted({facts["name"] for facts in listed})
            remedy = f"{did_you_mean(name, names)}choose from {', '.join(names)}"
            raise PluginError(f"nothing of the name {name!r} is registered", remedy=remedy)
        listed, verbose = chosen, True
    refused = [dataclasses.asdict(refusal) for refusal in registry.refused]
    show({"plugins": listed, "refused": refused}, _list_text(listed, refused, verbose), json)


@app.command("check")
def check_plugin(
    name: Annotated[
        str,
        typer.Argument(
            help="A method, regularizer or optimizer, as shown by `plugins list`.", autocompletion=completion.plugins
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Check only that of this kind, where several plugins have the name.",
            autocompletion=completion.one_of("method", "regularizer", "optimizer"),
        ),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the plugin; repeatable.")
    ] = None,
    seed: Annotated[
        int, typer.Option(callback=at_least(0), help="Seed of the random fields and values that are tried.")
    ] = 0,
    json: AsJson = False,
) -> None:
    """Check that a plugin does what its hook asks for.

    Gradients against finite differences, determinism, state, masks: what tomokit.testing has. Exit status 2 if a check
    fails.
    """
    from tomokit.pipeline.config import default_options
    from tomokit.plugin.manager import get_registry
    from tomokit.plugin.settings import merge, parse_settings
    from tomokit.testing.checks import run_checks
    from tomokit.testing.registered import checks_of, find_checkable

    options = parse_settings(set_ or [])
    lines, results, failed = [], [], 0
    for entry in find_checkable(get_registry(), name, kind):
        # As `reconstruct` would run it.
        preset = default_options(entry.name) if entry.kind == "method" else {}
        outcomes = run_checks(checks_of(entry, merge(preset, options), seed))
        failed += sum(outcome.problem is not None for outcome in outcomes)
        checks = [{"check": one.name, "problem": one.problem, "not_tried": one.not_tried} for one in outcomes]
        results.append({key: getattr(entry, key) for key in ("name", "kind", "origin", "version")} | {"checks": checks})
        lines.append(f"{entry.kind} {entry.name} of {entry.origin} {entry.version}")
        lines += [_check_line(check) for check in checks]
    show({"passed": not failed, "checked": results}, "\n".join(lines), json)
    if failed:
        checks = [check for result in results for check in result["checks"]]
        problems = [f"{one['check']}: NO, {one['problem']}" for one in checks if one["problem"]]
        raise PluginError(f"{failed} of {len(checks)} checks failed: {'; '.join(problems)}", field=name)


@app.command("new")
def new_plugin(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make, such as tomokit-smooth.")],
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="Kind of the plugin: regularizer, optimizer or method.",
            autocompletion=completion.one_of("regularizer", "optimizer", "method"),
        ),
    ] = "regularizer",
    json: AsJson = False,
) -> None:
    """Write the package of a new plugin, which can be installed and passes its tests.

    The folder's name is that of the distribution; the plugin is called what follows `tomokit-`.
    """
    from tomokit.plugin.scaffold import write_package

    written = write_package(folder, kind)
    text = "\n".join([*map(str, written), f"next: pip install -e '{folder}[test]' && pytest {folder}"])
    show({"folder": str(folder), "kind": kind, "files": [str(path) for path in written]}, text, json, written)


def _list_text(listed: list[dict[str, Any]], refused: list[dict[str, Any]], verbose: bool) -> str:
    rows = [tuple(facts[key] for key in ("name", "kind", "origin", "version", "summary")) for facts in listed]
    lines = table([("name", "kind", "origin", "version", "summary"), *rows]).splitlines()
    if verbose:
        with_options: list[str] = [lines[0]]
        for line, facts in zip(lines[1:], listed, strict=True):
            with_options += [line, *(text for option in facts["options"] for text in _option_lines(option))]
        lines = with_options
    for refusal in refused:
        what = f"{refusal['kind']} {refusal['name']}" if refusal["name"] else "plugin"
        lines.append(f"not loaded: {what} of {refusal['origin']}: {refusal['problem']}")
    return "\n".join(lines)


def _check_line(check: dict[str, Any]) -> str:
    if check["not_tried"] is not None:
        return f"  --  {check['check']}: not tried, {check['not_tried']}"
    return f"  {'ok' if check['problem'] is None else 'NO'}  {check['check']}"


def _option_lines(option: dict[str, Any]) -> list[str]:
    """An option with its default and what is allowed, and below it what it does, in lines that a terminal holds."""
    import shutil
    import textwrap

    from tomokit.pipeline.options_told import allowed_text, default_text

    width = max(min(shutil.get_terminal_size().columns, 120), 40)
    told = textwrap.wrap(option["help"], width, initial_indent=" " * 8, subsequent_indent=" " * 8)
    allowed = allowed_text(option)
    return [
        f"    {option['name']} = {default_text(option)}  ({option['type']}{', ' if allowed else ''}{allowed})",
        *told,
    ]
